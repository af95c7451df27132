//! The other end: sends a market message, and waits for the order that follows from it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// Bytes either way, encrypted or not.
pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A change of one level and the best prices: what an order would follow from.
const TICKER: &str = r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#;

/// The message as it is on the wire.
pub(crate) fn frame() -> Vec<u8> {
    let length = u16::try_from(TICKER.len()).expect("a short message");
    let mut bytes = vec![0x81, 126];
    bytes.extend(length.to_be_bytes());
    bytes.extend(TICKER.as_bytes());
    bytes
}

/// Who vouches for the peer, and with what.
pub(crate) struct Authority {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) server: Arc<ServerConfig>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).expect("a certificate");
        let issuer = rcgen::Issuer::new(params, authority_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("a certificate with its key");
        Self {
            certificate: authority.der().clone(),
            server: Arc::new(server),
        }
    }

    /// The server's side of a connection.
    pub(crate) fn accept(&self, socket: TcpStream) -> Box<dyn Stream> {
        let connection = ServerConnection::new(Arc::clone(&self.server)).expect("a configuration");
        Box::new(StreamOwned::new(connection, socket))
    }
}

/// A venue that has nothing to say but one message.
pub(crate) struct Peer {
    listeners: [TcpListener; 2],
    authority: Option<Authority>,
    market: Option<WebSocket<Box<dyn Stream>>>,
    orders: Option<WebSocket<Box<dyn Stream>>>,
    frame: Vec<u8>,
}

impl Peer {
    pub(crate) fn listen(authority: Option<&Authority>) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        Self {
            listeners: [listen(), listen()],
            authority: authority.map(|given| Authority {
                certificate: given.certificate.clone(),
                server: Arc::clone(&given.server),
            }),
            market: None,
            orders: None,
            frame: frame(),
        }
    }

    /// Where market data and orders go.
    pub(crate) fn urls(&self) -> [String; 2] {
        let scheme = if self.authority.is_some() { "wss" } else { "ws" };
        let url = |listener: &TcpListener| {
            let address: SocketAddr = listener.local_addr().expect("an address");
            // The certificate is of a name.
            let host = if self.authority.is_some() {
                "localhost"
            } else {
                "127.0.0.1"
            };
            format!("{scheme}://{host}:{}", address.port())
        };
        [url(&self.listeners[0]), url(&self.listeners[1])]
    }

    pub(crate) fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.authority
            .as_ref()
            .map(|authority| authority.certificate.clone())
    }

    /// Waits for both connections.
    pub(crate) fn accept(&mut self) {
        let open = |listener: &TcpListener| {
            let (socket, _) = listener.accept().expect("a connection");
            socket.set_nodelay(true).expect("a socket");
            let stream: Box<dyn Stream> = match &self.authority {
                Some(authority) => authority.accept(socket),
                None => Box::new(socket),
            };
            tungstenite::accept(stream).unwrap_or_else(|_| panic!("a handshake failed"))
        };
        (self.market, self.orders) = (Some(open(&self.listeners[0])), Some(open(&self.listeners[1])));
    }

    /// Nanoseconds from a message to the order, and the order's bytes on the wire.
    pub(crate) fn trip(&mut self) -> (f64, usize) {
        let market = self.market.as_mut().expect("a connection").get_mut();
        let begun = Instant::now();
        market.write_all(&self.frame).expect("a socket that takes it");
        market.flush().expect("a socket that takes it");
        let orders = self.orders.as_mut().expect("a connection");
        let text = orders.read().expect("an order").into_text().expect("text");
        let nanos = begun.elapsed().as_nanos() as f64;
        answer(orders, &text);
        // Two bytes, two of the length, four of the mask.
        (nanos, text.len() + 8)
    }

    /// Takes every order until nobody is there.
    pub(crate) fn answer_all(mut self) {
        let orders = self.orders.as_mut().expect("a connection");
        while let Ok(message) = orders.read() {
            if let Message::Text(text) = message {
                answer(orders, &text);
            }
        }
    }
}

/// Says that the order was taken.
fn answer(orders: &mut WebSocket<Box<dyn Stream>>, text: &str) {
    let (_, after) = text.split_once(r#""id":""#).expect("a request with an id");
    let (id, _) = after.split_once('"').expect("an id");
    let answer = format!(
        r#"{{"id":"{id}","status":200,"result":{{"symbol":"BTCUSDT","orderId":28,"clientOrderId":"{id}","transactTime":7,"status":"NEW","fills":[]}}}}"#
    );
    // Nobody may be there any more.
    let _ = orders.send(Message::text(answer));
}
