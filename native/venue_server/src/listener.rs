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

/// A listener on 127.0.0.1.
#[derive(Debug)]
pub(crate) struct LoopbackListener {
    inner: TcpListener,
    outage: Arc<Outage>,
}

impl LoopbackListener {
    pub(crate) async fn bind(port: u16, outage: Arc<Outage>) -> io::Result<Self> {
        let inner = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok(Self { inner, outage })
    }
}

impl Listener for LoopbackListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.inner.accept().await {
                Ok((_, address)) if self.outage.is_on() || !address.ip().is_loopback() => {}
                Ok((stream, address)) => {
                    // Latency matters more than packets; a failure only costs latency.
                    let _ = stream.set_nodelay(true);
                    let born = self.outage.generation();
                    let outage = Arc::clone(&self.outage);
                    return (Connection { stream, born, outage }, address);
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

/// A connection that an outage ends: nothing more is read from it. What is being answered still goes out.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
