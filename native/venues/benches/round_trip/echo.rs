//! The least that any round trip costs: so many bytes there, so many bytes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use venues::TrustedRoots;

use crate::peer::{Authority, Stream};

/// A thread that answers, and our end of its socket.
pub(crate) struct Echo {
    stream: Box<dyn Stream>,
    message: Vec<u8>,
    answer: Vec<u8>,
    thread: JoinHandle<()>,
}

impl Echo {
    pub(crate) fn start(tls: Option<&Authority>, spins: bool, message: usize, answer: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let roots = tls.map(|authority| TrustedRoots::Only(vec![authority.certificate.clone()]));
        let thread = thread::spawn(move || {
            let socket = TcpStream::connect(address).expect("a connection");
            socket.set_nodelay(true).expect("a socket");
            let stream = client(socket, roots);
            answer_all(stream, message, answer, spins);
        });
        let (socket, _) = listener.accept().expect("a connection");
        socket.set_nodelay(true).expect("a socket");
        let stream: Box<dyn Stream> = match tls {
            Some(authority) => authority.accept(socket),
            None => Box::new(socket),
        };
        Self {
            stream,
            message: vec![7; message],
            answer: vec![0; answer],
            thread,
        }
    }

    /// Nanoseconds there and back.
    pub(crate) fn trip(&mut self) -> f64 {
        let begun = Instant::now();
        self.stream
            .write_all(&self.message)
            .expect("a socket that takes it");
        self.stream.flush().expect("a socket that takes it");
        self.stream.read_exact(&mut self.answer).expect("an answer");
        begun.elapsed().as_nanos() as f64
    }

    pub(crate) fn stop(self) {
        drop(self.stream);
        self.thread.join().expect("a thread that ends");
    }
}

/// The thread's end, and its socket by itself.
fn client(socket: TcpStream, roots: Option<TrustedRoots>) -> (Box<dyn Stream>, TcpStream) {
    let beside = socket.try_clone().expect("a socket");
    let Some(roots) = roots else {
        return (Box::new(socket), beside);
    };
    let config = roots.client_config().expect("a configuration");
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::clone(&config), name).expect("a configuration");
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).expect("a handshake");
    }
    (Box::new(stream), beside)
}

fn answer_all(
    (mut stream, socket): (Box<dyn Stream>, TcpStream),
    message: usize,
    answer: usize,
    spins: bool,
) {
    socket.set_nonblocking(spins).expect("a socket");
    let (mut taken, answer) = (vec![0; message], vec![7; answer]);
    while read_all(&mut stream, &mut taken) {
        stream.write_all(&answer).expect("a socket that takes it");
        stream.flush().expect("a socket that takes it");
    }
}

/// Fills the buffer, looking again and again where nothing is there yet; `false` when there will be nothing any more.
fn read_all(stream: &mut Box<dyn Stream>, buffer: &mut [u8]) -> bool {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => return false,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::hint::spin_loop(),
            Err(_) => return false,
        }
    }
    true
}
