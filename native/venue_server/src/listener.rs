//! The listening socket: loopback only, and gone during an outage.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Wait after a failed accept, such as too many open files, before the next.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// While it lasts, connections are closed as they come, and those from before take no further request.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    until: Mutex<Option<Instant>>,
    generation: AtomicU64,
}

impl Outage {
    /// Begins, or begins anew, for `wall` time.
    pub(crate) fn begin(&self, wall: Duration) {
        *self.until.lock().expect("nothing panics while it holds the time") = Some(Instant::now() + wall);
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    fn is_on(&self) -> bool {
        let until = *self.until.lock().expect("nothing panics while it holds the time");
        until.is_some_and(|until| Instant::now() < until)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }
}

/// Connections that may wait between their handshake and their first request.
const ACCEPTED_MAX: usize = 64;
/// A client that has not finished its handshake by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A listener on 127.0.0.1, with TLS where it has a certificate.
#[derive(Debug)]
pub(crate) struct LoopbackListener {
    address: SocketAddr,
    accepted: Receiver<(Connection, SocketAddr)>,
    accepting: JoinHandle<()>,
}

impl LoopbackListener {
    pub(crate) async fn bind(port: u16, outage: Arc<Outage>, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let inner = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = inner.local_addr()?;
        let (sender, accepted) = channel(ACCEPTED_MAX);
        let accepting = tokio::spawn(accept(inner, outage, tls, sender));
        Ok(Self {
            address,
            accepted,
            accepting,
        })
    }
}

impl Drop for LoopbackListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Takes connections; a slow handshake holds up none but its own.
async fn accept(
    inner: TcpListener,
    outage: Arc<Outage>,
    tls: Option<TlsAcceptor>,
    sender: Sender<(Connection, SocketAddr)>,
) {
    loop {
        match inner.accept().await {
            Ok((_, address)) if outage.is_on() || !address.ip().is_loopback() => {}
            Ok((stream, address)) => {
                // Latency matters more than packets; a failure only costs latency.
                let _ = stream.set_nodelay(true);
                let born = outage.generation();
                let outage = Arc::clone(&outage);
                let Some(tls) = tls.clone() else {
                    let stream = Stream::Plain(stream);
                    if sender
                        .send((Connection { stream, born, outage }, address))
                        .await
                        .is_err()
                    {
                        return;
                    }
                    continue;
                };
                let sender = sender.clone();
                tokio::spawn(async move {
                    let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        let stream = Stream::Tls(Box::new(stream));
                        // The server may have stopped meanwhile.
                        let _ = sender.send((Connection { stream, born, outage }, address)).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

impl Listener for LoopbackListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            // Nothing more comes.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

/// What carries a connection's bytes.
#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that an outage ends: nothing more is read from it. What is being answered still goes out.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    born: u64,
    outage: Arc<Outage>,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.born != self.outage.generation() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
