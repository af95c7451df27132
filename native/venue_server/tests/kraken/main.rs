//! Kraken's wire: orders over REST and the sockets, books under their checksums, faults.

#![allow(clippy::unwrap_used, reason = "what a test does not find, it fails on")]

mod books;
#[path = "../client/mod.rs"]
mod client;
mod faults;
mod orders;
mod sockets;

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use client::{Client, Response, Socket, paused_at};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use venue_server::{ApiKey, Server, ServerConfig, VenueKind};

const KEY: &str = "key_of_alpha";
/// Base64 of thirty-two bytes.
const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "key_of_beta1";

static NONCE: AtomicU64 = AtomicU64::new(1);

async fn start(config: ServerConfig) -> (Server, Client) {
    let keys = vec![ApiKey::new(KEY, SECRET), ApiKey::new(OTHER_KEY, SECRET)];
    let server = Server::start(config, keys).await.unwrap();
    let client = Client {
        address: server.address(),
        key: KEY,
        secret: SECRET,
    };
    (server, client)
}

fn paused(count: i64) -> ServerConfig {
    paused_at(VenueKind::Kraken, count)
}

async fn public(client: &Client, call: &str) -> Value {
    let response = client.request("GET", &format!("/0/public/{call}"), "").await;
    assert_eq!(response.status, 200);
    response.json()
}

fn signature(path: &str, nonce: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha512>::new_from_slice(&BASE64.decode(SECRET).unwrap()).unwrap();
    mac.update(path.as_bytes());
    mac.update(&Sha256::digest(format!("{nonce}{body}")));
    BASE64.encode(mac.finalize().into_bytes())
}

async fn send(client: &Client, method: &str, body: &str, signature: &str) -> Response {
    let headers = format!(
        "API-Key: {}\r\nAPI-Sign: {signature}\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        client.key
    );
    let target = format!("/0/private/{method}");
    client.exchange("POST", &target, &headers, body).await.unwrap()
}

async fn raw(client: &Client, method: &str, params: &str) -> Response {
    let nonce = NONCE.fetch_add(1, Ordering::Relaxed).to_string();
    let body = format!("nonce={nonce}&{params}");
    let signature = signature(&format!("/0/private/{method}"), &nonce, &body);
    send(client, method, &body, &signature).await
}

/// The result of a call that must succeed.
async fn call(client: &Client, method: &str, params: &str) -> Value {
    let answer = raw(client, method, params).await.json();
    assert_eq!(answer["error"], json!([]), "{method} {params}");
    answer["result"].clone()
}

/// The error of a call that must fail.
async fn refusal(client: &Client, method: &str, params: &str) -> String {
    let answer = raw(client, method, params).await.json();
    answer["error"][0]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

const LIMIT: &str = "ordertype=limit&pair=XBTUSD";

/// A socket that listens to the account's orders, its snapshot read.
async fn private_socket(client: &Client) -> (Socket, String) {
    let token = call(client, "GetWebSocketsToken", "").await["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut socket = client.socket("/v2").await;
    let params = json!({ "channel": "executions", "token": token });
    socket
        .send(&json!({ "method": "subscribe", "params": params, "req_id": 1 }))
        .await;
    let (before, snapshot) = socket.until(|message| message["type"] == "snapshot").await;
    let ack = before.last().unwrap();
    assert_eq!((&ack["success"], &ack["req_id"]), (&json!(true), &json!(1)));
    assert_eq!(snapshot["channel"], "executions");
    (socket, token)
}

/// What was said of orders before the answer to a ping.
async fn told(socket: &mut Socket) -> Vec<Value> {
    socket.send(&json!({ "method": "ping", "req_id": 999 })).await;
    let (before, _) = socket.until(|message| message["method"] == "pong").await;
    let executions = before
        .into_iter()
        .filter(|message| message["channel"] == "executions");
    executions
        .flat_map(|message| message["data"].as_array().unwrap().clone())
        .collect()
}

fn kinds(told: &[Value]) -> Vec<&str> {
    told.iter()
        .map(|entry| entry["exec_type"].as_str().unwrap())
        .collect()
}
