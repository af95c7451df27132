//! Our end, of the parts that the service has: a connection for the market, a thread that decides, a gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{
    ClientOrderId, Currency, Epoch, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money,
    OrderReportKind, OrderRequest, OrderType, Price, Quantity, Side, SlotId, Text, TimeInForce, Venue,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use venues::binance::parser::Parser;
use venues::binance::{Credentials, Endpoints, Gateway, RestClient, Settings};
use venues::clock::{Clock, ServerClock};
use venues::rate_limit::ConnectBudget;
use venues::retry::Jitter;
use venues::websocket::{Connection, ConnectionSettings, Judgement, Protocol};
use venues::{
    EncodeOrders, Gateway as _, Instruments, LastLook, NEW_ORDER_BYTES_MAX, Secret, StreamMessage,
    StreamMessageKind, TrustedRoots, VenueError,
};

use crate::peer::Peer;

/// Workers of the service's runtime.
const WORKERS: usize = 2;
/// Orders on their way to the gateway.
const ERRANDS: usize = 256;

/// A market stream that needs no handshake.
struct Plain(String);

impl Protocol for Plain {
    fn name(&self) -> &'static str {
        "bench"
    }

    fn url(&self) -> &str {
        &self.0
    }

    fn hello(&mut self) -> Result<Vec<String>, VenueError> {
        Ok(Vec::new())
    }

    fn judge(&mut self, _: &[u8]) -> Judgement {
        Judgement::Deliver
    }
}

type Errand = (OrderRequest, Bytes);

pub(crate) struct Service {
    runtime: Runtime,
    gateway: Arc<Gateway>,
    instruments: Arc<Instruments>,
    clock: Arc<ServerClock>,
    market: Connection,
    decider: JoinHandle<()>,
    stopped: Arc<AtomicBool>,
}

impl Service {
    pub(crate) fn start(peer: &Peer, spins: bool) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .enable_all()
            .build();
        let runtime = runtime.expect("threads");
        let inside = runtime.enter();
        let roots = peer
            .certificate()
            .map_or(TrustedRoots::Public, |root| TrustedRoots::Only(vec![root]));
        let [market, orders] = peer.urls();
        let clock = Arc::new(ServerClock::local());
        let instruments = Arc::new(Instruments::new(vec![instrument()]).expect("a table"));
        let settings = settings(orders, &roots);
        let secret = |text: &str| Secret::new(text.repeat(64)).expect("a secret");
        let credentials = Credentials::new(secret("k"), secret("s"));
        let rest = RestClient::new(settings, Some(credentials), clock.clone()).expect("a client");
        let gateway = Gateway::over_websocket(Arc::new(rest), Arc::clone(&instruments)).expect("a gateway");
        let gateway = Arc::new(gateway);

        let (errands, taken) = mpsc::channel(ERRANDS);
        runtime.spawn(desk(Arc::clone(&gateway), taken));
        let (sender, frames) = channel::channel::<StreamMessage>();
        let sink = move |message: StreamMessage| sender.send(message).map_err(|gone| gone.0);
        let (_, injected) = mpsc::channel(1);
        let connection = ConnectionSettings {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(10),
            tls: roots.client_config().expect("a configuration"),
            connects: ConnectBudget::default(),
        };
        let market = Connection::spawn(
            Plain(market),
            connection,
            clock.clone(),
            Jitter::seeded(1),
            injected,
            sink,
        );
        let stopped = Arc::new(AtomicBool::new(false));
        let decider = {
            let decider = Decider {
                encoder: gateway.encoder(),
                instruments: Arc::clone(&instruments),
                clock: Arc::clone(&clock),
                parser: Parser::new(),
                body: Vec::with_capacity(NEW_ORDER_BYTES_MAX),
                counter: 0,
                errands,
            };
            let stopped = Arc::clone(&stopped);
            thread::spawn(move || decider.run(&frames, spins, &stopped))
        };
        drop(inside);
        Self {
            runtime,
            gateway,
            instruments,
            clock,
            market,
            decider,
            stopped,
        }
    }

    /// Waits until orders can leave.
    pub(crate) fn wait(&self) {
        while !self.gateway.is_open() {
            thread::yield_now();
        }
    }

    /// Sends orders one after the other at this pace; for each that was accepted, nanoseconds from when it was due.
    pub(crate) fn orders(&self, count: u32, pace: Duration) -> Vec<f64> {
        let begun = Instant::now();
        let mut encoder = self.gateway.encoder();
        let instrument = *self.instruments.iter().next().expect("an instrument");
        let (told, answers) = channel::channel();
        for number in 0..count {
            let due = begun + pace * number;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let request = order(1_000_000 + number);
            let mut body = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
            encoder
                .encode_new_order(&request, &instrument, self.clock.now(), &mut body)
                .expect("an order");
            let (gateway, told) = (Arc::clone(&self.gateway), told.clone());
            self.runtime.spawn(async move {
                let reports = gateway
                    .submit_encoded(&request, body.into(), LastLook::always())
                    .await;
                if matches!(
                    reports.first().map(|report| report.kind),
                    Some(OrderReportKind::Accepted(_))
                ) {
                    let _ = told.send(due.elapsed().as_nanos() as f64);
                }
            });
        }
        drop(told);
        answers.iter().collect()
    }

    pub(crate) fn stop(self) {
        self.stopped.store(true, Ordering::Release);
        self.runtime.block_on(self.market.stop());
        self.decider.join().expect("a thread that ends");
    }
}

/// Takes orders to the gateway, as the service's desk does.
async fn desk(gateway: Arc<Gateway>, mut errands: mpsc::Receiver<Errand>) {
    while let Some((request, body)) = errands.recv().await {
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            gateway.submit_encoded(&request, body, LastLook::always()).await;
        });
    }
}

/// The thread that decides: an order for every message.
struct Decider {
    encoder: Box<dyn EncodeOrders>,
    instruments: Arc<Instruments>,
    clock: Arc<ServerClock>,
    parser: Parser,
    body: Vec<u8>,
    counter: u32,
    errands: mpsc::Sender<Errand>,
}

impl Decider {
    fn run(mut self, frames: &channel::Receiver<StreamMessage>, spins: bool, stopped: &AtomicBool) {
        loop {
            let taken = if spins {
                frames
                    .try_recv()
                    .map_err(|error| error == channel::TryRecvError::Disconnected)
            } else {
                frames.recv().map_err(|_| true)
            };
            match taken {
                Ok(message) => self.take(&message),
                Err(is_over) if is_over || stopped.load(Ordering::Acquire) => return,
                Err(_) => std::hint::spin_loop(),
            }
        }
    }

    fn take(&mut self, message: &StreamMessage) {
        let StreamMessageKind::Frame(frame) = &message.kind else {
            return;
        };
        assert!(
            self.parser.stream_message(frame).is_ok(),
            "a message that can be read"
        );
        self.counter += 1;
        let request = order(self.counter);
        let instrument = self.instruments.iter().next().expect("an instrument");
        self.encoder
            .encode_new_order(&request, instrument, self.clock.now(), &mut self.body)
            .expect("an order");
        let errand = (request, Bytes::copy_from_slice(&self.body));
        self.errands.try_send(errand).expect("a place in the queue");
    }
}

fn settings(orders: String, roots: &TrustedRoots) -> Settings {
    let mut settings = Settings::new(Endpoints::production());
    settings.endpoints.ws_api = orders;
    settings.trusted_roots = roots.clone();
    // The venue's limits are not what is measured.
    settings.weight_per_minute = 10_000_000;
    settings.orders_per_ten_seconds = 1_000_000;
    settings.orders_per_day = 100_000_000;
    settings
}

fn order(counter: u32) -> OrderRequest {
    OrderRequest {
        client_order_id: ClientOrderId {
            epoch: Epoch(3),
            slot: SlotId(1),
            counter,
        },
        instrument: InstrumentId(0),
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(6_183_763_000_000)),
        quantity: Quantity::from_units(12_345_000),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

fn instrument() -> Instrument {
    let quote = Currency::new("USDT").expect("a code");
    Instrument {
        id: InstrumentId(0),
        venue: Venue::Binance,
        symbol: Text::new("BTCUSDT").expect("a symbol"),
        base: Currency::new("BTC").expect("a code"),
        quote,
        rules: InstrumentRules {
            tick_size: Price::from_units(1_000_000),
            lot_size: Quantity::from_units(1_000),
            min_price: Price::ZERO,
            max_price: Price::ZERO,
            min_quantity: Quantity::ZERO,
            max_quantity: Quantity::ZERO,
            min_notional: Money::zero(quote),
        },
        status: InstrumentStatus::Trading,
    }
}
