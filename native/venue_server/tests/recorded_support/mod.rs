//! A recording that is served, and whoever listens to it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::PathBuf;

use futures_util::StreamExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use venue_server::{RecordedConfig, RecordedServer};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(crate) fn stamped(messages: &[String]) -> String {
    let line = |(at, message): (usize, &String)| format!("{} {message}\n", 1_700_000_000_000_000_000 + at);
    messages.iter().enumerate().map(line).collect()
}

pub(crate) struct Venue {
    pub(crate) server: RecordedServer,
    _folder: TempDir,
}

pub(crate) async fn serve(texts: &[String]) -> Venue {
    let folder = TempDir::new().unwrap();
    let files: Vec<PathBuf> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| {
            let path = folder.path().join(format!("part{at}"));
            std::fs::write(&path, text).unwrap();
            path
        })
        .collect();
    let config = RecordedConfig {
        files,
        speed: None,
        port: 0,
        exit_when_done: false,
    };
    let server = RecordedServer::start(config).await.unwrap();
    Venue {
        server,
        _folder: folder,
    }
}

impl Venue {
    pub(crate) async fn listen(&self, path: &str) -> Socket {
        let url = format!("ws://{}{path}", self.server.address());
        connect_async(url).await.unwrap().0
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.server.address()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: venue\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    pub(crate) async fn state(&self) -> Value {
        serde_json::from_str(&self.get("/admin/state").await.1).unwrap()
    }
}

pub(crate) async fn heard(socket: &mut Socket) -> Option<String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Some(text.to_string()),
            Some(Ok(Message::Ping(_))) => {}
            _ => return None,
        }
    }
}
