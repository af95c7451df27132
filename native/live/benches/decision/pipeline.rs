//! From a frame to a signed order, the parts put together as the service does: recorded, decided, recorded, encoded.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use domain::{
    BundleDigest, Currency, Decimal, Epoch, Fill, Liquidity, Money, Nanos, OrderReport, OrderReportKind,
    OrderRequest, OrderType, SlotId, Text, Timestamp, TradeId, VenueOrderId,
};
use engine::probe::NoProbe;
use engine::risk::RiskLimits;
use engine::strategy::{ThresholdModel, ThresholdParameters};
use engine::{
    Action, Actions, BundleActivated, CarriedState, Engine, EngineConfig, Event, EventBody, OnSwap,
    SlotConfig, SlotProgram,
};
use inference::TreeModel;
use journal::{Room, RunHeader, Writer};
use venues::binance::{Endpoints, MarketData, OrderEncoder, Settings, Signer};
use venues::{EncodeOrders as _, Instruments, NEW_ORDER_BYTES_MAX, Secret};

use crate::frames::{BAR, BTC, Frame, history, instrument};
use crate::stages::{Stage, Stages};

const SLOT: SlotId = SlotId(1);
const DIGEST: BundleDigest = BundleDigest([7; 32]);
const NEVER: Timestamp = Timestamp::from_nanos(i64::MAX);
/// The sample specification's features: the very file.
const FEATURES: &str = include_str!("../../../../config/features/btc_15m.toml");
/// Bars that warm the features: twice the longest restart window.
const HISTORY_BARS: i64 = 256;
/// Length of `&signature=` and what follows.
const SIGNATURE_BYTES: usize = 75;

fn share(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).expect("a decimal")
}

fn dollars(amount: i128) -> Money {
    let usdt = Currency::new("USDT").expect("a code");
    Money::from_units(amount * 10_i128.pow(16), usdt)
}

/// All limits are checked; none is in the way.
fn limits() -> RiskLimits {
    RiskLimits {
        max_position_usd: dollars(100_000),
        max_portfolio_concentration: Decimal::ONE,
        max_leverage: share("3"),
        var_limit_1d_95: dollars(50_000),
        max_drawdown_pct: share("0.9"),
        max_order_size_usd: dollars(50_000),
        max_order_rate_per_min: 1_000,
        margin_buffer: share("0.2"),
        margin_call_threshold: share("0.05"),
        price_collar_bps: 200,
        duplicate_window: Nanos::from_millis(100),
        repeated_execution_limit: 4_000,
        repeated_execution_window: Nanos::from_secs(60),
        max_data_age: Nanos::from_secs(5),
    }
}

pub(crate) fn engine_config() -> EngineConfig {
    EngineConfig {
        epoch: Epoch(1),
        portfolio_currency: dollars(0).currency(),
        instruments: vec![instrument()],
        slots: vec![SlotConfig {
            slot: SLOT,
            instrument: BTC,
            capital: dollars(100_000),
        }],
        limits: limits(),
        bar_span: BAR,
        bar_close_grace: Nanos::from_millis(500),
        order_ack_timeout: Nanos::from_secs(5),
        require_reconciliation: false,
        carried: CarriedState::default(),
    }
}

pub(crate) fn run_header() -> RunHeader {
    RunHeader {
        binary_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: "bench".to_owned(),
        config: engine_config(),
        texts: Vec::new(),
    }
}

/// What one frame led to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    /// No order.
    Nothing,
    /// A signed order.
    Order(OrderRequest),
}

/// Everything on the thread that decides.
pub(crate) struct Pipeline<S: Stages = NoProbe> {
    market: MarketData,
    decider: Decider<S>,
    trade_id: u64,
}

struct Decider<S: Stages> {
    engine: Engine<S>,
    actions: Actions,
    record: Option<Writer>,
    encoder: OrderEncoder,
    seq: u64,
    now: Timestamp,
    body: Vec<u8>,
    order: Option<OrderRequest>,
    probabilities: Vec<f32>,
    denied: usize,
}

impl Pipeline {
    /// Warm and running. `threshold` is the probability from which to hold a position.
    pub(crate) fn new(model: &[u8], threshold: Decimal, first: &Frame, record: Option<Writer>) -> Self {
        Self::with_stages(model, threshold, first, record, NoProbe)
    }
}

impl<S: Stages> Pipeline<S> {
    /// The same, watched stage by stage.
    pub(crate) fn with_stages(
        model: &[u8],
        threshold: Decimal,
        first: &Frame,
        record: Option<Writer>,
        stages: S,
    ) -> Self {
        let table = Arc::new(Instruments::new(vec![instrument()]).expect("a table"));
        let mut market = MarketData::new(table, Nanos(0));
        market.on_connected();
        let mut engine = Engine::with_probe(engine_config(), stages).expect("a configuration");
        engine.stage(program(model, threshold)).expect("a program");
        let mut pipeline = Self {
            market,
            decider: Decider {
                engine,
                actions: Actions::new(),
                record,
                encoder: OrderEncoder::new(signer(), &Settings::new(Endpoints::production())),
                seq: 0,
                now: first.received,
                body: Vec::with_capacity(NEW_ORDER_BYTES_MAX),
                order: None,
                probabilities: Vec::with_capacity(4_096),
                denied: 0,
            },
            trade_id: 0,
        };
        pipeline.begin(first.received);
        pipeline
    }

    fn begin(&mut self, now: Timestamp) {
        let since = now.floor_to(BAR);
        self.decider.give(now, EventBody::Started { epoch: Epoch(1) });
        for bar in history(since, HISTORY_BARS) {
            self.decider.give(now, EventBody::HistoricalBar(bar));
        }
        // The recording begins within a bar; the bar is taken as whole, so that the features stay warm.
        let complete = EventBody::TradesComplete {
            instrument: BTC,
            since,
        };
        self.decider.give(now, complete);
        let activation = BundleActivated {
            slot: SLOT,
            digest: DIGEST,
            serial: 1,
            expires: NEVER,
        };
        self.decider.give(now, EventBody::BundleActivated(activation));
    }

    /// Takes one frame from its bytes to the bytes of what follows from it.
    #[inline]
    pub(crate) fn take(&mut self, frame: &Frame) -> Outcome {
        let Self { market, decider, .. } = self;
        decider.order = None;
        decider.engine.probe_mut().begin();
        let mut give = |event: domain::MarketEvent<'_>| {
            decider.engine.probe_mut().ended(Stage::Parse);
            decider.give(frame.received, EventBody::Market(event));
        };
        let taken = if frame.is_snapshot {
            market.on_snapshot(frame.received, BTC, &frame.bytes, &mut give)
        } else {
            market.on_frame(NEVER, &frame.bytes, &mut give)
        };
        taken.expect("a frame that can be read");
        decider.order.map_or(Outcome::Nothing, Outcome::Order)
    }

    /// The venue accepts the order and fills it whole at its price.
    pub(crate) fn answer(&mut self, order: &OrderRequest) {
        self.trade_id += 1;
        let now = self.decider.now;
        let report = |kind| {
            EventBody::OrderReport(OrderReport {
                client_order_id: order.client_order_id,
                instrument: BTC,
                ts_event: now,
                kind,
            })
        };
        let venue_order_id = VenueOrderId(Text::new("4718").expect("an id"));
        self.decider
            .give(now, report(OrderReportKind::Accepted(venue_order_id)));
        let fill = Fill {
            trade_id: TradeId(self.trade_id),
            price: order.price.expect("a limit order"),
            quantity: order.quantity,
            side: order.side,
            fee: dollars(0),
            liquidity: Liquidity::Maker,
        };
        self.decider.give(now, report(OrderReportKind::Filled(fill)));
    }

    /// The last order's bytes, signature included.
    pub(crate) fn order_bytes(&self) -> &[u8] {
        &self.decider.body
    }

    /// The model's probabilities so far.
    pub(crate) fn probabilities(&self) -> &[f32] {
        &self.decider.probabilities
    }

    /// Bytes of the record so far.
    pub(crate) fn recorded_bytes(&self) -> u64 {
        self.decider.record.as_ref().map_or(0, Writer::bytes)
    }

    /// What watches.
    pub(crate) fn stages(&self) -> &S {
        self.decider.engine.probe()
    }

    /// What a run must not have: frames for the slow reader, a book in doubt, orders refused.
    pub(crate) fn assert_clean(&self) {
        let statistics = self.market.statistics();
        // The snapshot is one that the scanner may leave to the slow reader.
        assert!(
            statistics.fallbacks <= 1 && statistics.malformed == 0,
            "{statistics:?}"
        );
        assert!(self.market.is_synchronized(BTC), "the book is not in step");
        assert_eq!(self.decider.denied, 0, "risk refused orders");
    }
}

impl<S: Stages> Decider<S> {
    #[inline]
    fn give(&mut self, received: Timestamp, body: EventBody<'_>) {
        self.seq += 1;
        self.now = self.now.max(received);
        let event = Event {
            seq: self.seq,
            ts: self.now,
            body,
        };
        if let Some(record) = &mut self.record {
            record.append_event(&event, Room::Ordinary).expect("a record");
        }
        self.engine.probe_mut().ended(Stage::Record);
        self.engine.on_event(&event, &mut self.actions);
        assert!(!self.actions.overflowed());
        self.engine.probe_mut().ended(Stage::Rest);
        if let Some(record) = &mut self.record {
            let actions = self.actions.as_slice();
            record
                .append_actions(self.now, actions, Room::Ordinary)
                .expect("a record");
        }
        self.engine.probe_mut().ended(Stage::Record);
        for action in self.actions.drain() {
            match action {
                Action::Submit(approved) => {
                    let request = approved.into_inner();
                    self.encoder
                        .encode_new_order(&request, &instrument(), self.now, &mut self.body)
                        .expect("an order");
                    self.engine.probe_mut().ended(Stage::Encode);
                    self.order = Some(request);
                }
                Action::Signal(signal) if !signal.features.as_slice().is_empty() => {
                    self.probabilities.push(signal.probability);
                }
                Action::Denied { .. } => self.denied += 1,
                _ => {}
            }
        }
    }
}

fn program(model: &[u8], threshold: Decimal) -> SlotProgram {
    let model = TreeModel::load(model).expect("a model we evaluate");
    let parameters = ThresholdParameters {
        lookback_period: 0,
        entry_threshold: threshold,
        exit_threshold: threshold,
        position_size_pct: share("0.1"),
        order_type: OrderType::Limit,
        limit_offset_bps: 5,
        timeout_seconds: 30,
    };
    let strategy = ThresholdModel::new(parameters, &model).expect("parameters in range");
    let mut features = config::parse_feature_spec("btc_15m.toml", FEATURES).expect("the shipped file");
    features.bar_span = BAR;
    SlotProgram {
        slot: SLOT,
        digest: DIGEST,
        instrument: BTC,
        features: Some(features),
        model: Some(Box::new(model)),
        strategy: Box::new(strategy),
        limits: limits(),
        daily_volatility: share("0.03"),
        size_scale: Decimal::ONE,
        expires: NEVER,
        on_swap: OnSwap::Adopt,
    }
}

fn signer() -> Signer {
    Signer::new(&Secret::new("s".repeat(64)).expect("a secret")).expect("a key")
}

/// What no implementation is spared: to look at the frame's bytes, to sign the order's, and to write as many bytes as
/// the record did, in as many writes.
pub(crate) struct Floor {
    signer: Signer,
    file: File,
    at: u64,
    block: Vec<u8>,
}

impl Floor {
    pub(crate) fn new() -> Self {
        Self {
            signer: signer(),
            file: tempfile::tempfile().expect("a file"),
            at: 0,
            block: vec![7; 1 << 16],
        }
    }

    #[inline]
    pub(crate) fn pay(&mut self, frame: &Frame, order: &[u8], recorded_bytes: u64) -> u64 {
        // It wraps, because a checked sum is not vectorised.
        let quote = |&byte: &u8| u32::from(byte == b'"');
        let quotes = frame.bytes.iter().map(quote).fold(0, u32::wrapping_add);
        let signature = self.signer.signature(&order[..order.len() - SIGNATURE_BYTES]);
        let half = usize::try_from(recorded_bytes / 2).expect("a few hundred bytes");
        for _ in 0..2 {
            if half > 0 {
                self.file
                    .write_all_at(&self.block[..half], self.at)
                    .expect("room on the disk");
                self.at += half as u64;
            }
        }
        u64::from(quotes) + u64::from(signature.as_bytes()[0])
    }
}
