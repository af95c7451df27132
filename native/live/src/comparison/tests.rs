//! When the venue is asked, on a time that is counted and not waited for.

use std::path::Path;
use std::sync::Arc;

use domain::{
    CancelRequest, ClientOrderId, Currency, Epoch, Instrument, InstrumentId, InstrumentRules,
    InstrumentStatus, Money, OrderRequest, Price, Quantity, SlotId, Text,
};
use engine::{Action, Event, JournalHealth, OrphanRule};
use journal::Room;
use tokio::sync::mpsc;
use venues::clock::ServerClock;

use venues::{EncodeError, EncodeOrders, Instruments};

use super::*;
use crate::account_watch::Rules;
use crate::desk::ERRANDS_MAX;
use crate::egress::Egress;
use crate::memory::Memory;
use crate::monitoring::Counters;
use crate::outputs::Outputs;
use crate::record::{Begun, Record, RecordFault, Written};
use crate::run_folder::RunFolder;
use crate::setup::Setup;
use crate::told::Teller;
use crate::wiring;

const SECOND: Nanos = Nanos::from_secs(1);

/// How long the venue takes to answer.
const ANSWER: Nanos = Nanos::from_secs(2);

/// A record of nothing.
#[derive(Debug, Default)]
struct Forgotten(u64);

impl Record for Forgotten {
    fn next_event(&self) -> u64 {
        self.0 + 1
    }

    fn event(&mut self, _: &Event<'_>, _: Room) -> Result<(), RecordFault> {
        self.0 += 1;
        Ok(())
    }

    fn actions(&mut self, _: Timestamp, _: &[Action], _: Room) -> Result<(), RecordFault> {
        Ok(())
    }

    fn health(&self) -> JournalHealth {
        JournalHealth::Healthy
    }

    fn written(&self) -> Written {
        Written::default()
    }

    fn finish(self: Box<Self>) -> Result<(), RecordFault> {
        Ok(())
    }
}

#[derive(Debug)]
struct NoWords;

impl EncodeOrders for NoWords {
    fn encode_new_order(
        &mut self,
        _: &OrderRequest,
        _: &Instrument,
        _: Timestamp,
        _: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        Ok(())
    }
}

fn instrument() -> Instrument {
    let quote = Currency::new("USDT").unwrap();
    Instrument {
        id: InstrumentId(0),
        venue: Venue::Binance,
        symbol: Text::new("BTCUSDT").unwrap(),
        base: Currency::new("BTC").unwrap(),
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

fn setup(home: &Path) -> Setup {
    let limits = include_str!("../../../../config/risk_limits.toml");
    let keys = include_str!("../../../../tests/contract/bundle/trusted_keys.toml");
    std::fs::write(home.join("risk_limits.toml"), limits).unwrap();
    std::fs::write(home.join("trusted_keys.toml"), keys).unwrap();
    let text = format!(
        r#"
[service]
name = "comparison"
stage = "paper"
run_folder = "{home}/run"
bundle_store = "{home}/bundles"
trusted_keys_file = "{home}/trusted_keys.toml"
risk_limits_file = "{home}/risk_limits.toml"
portfolio_currency = "USDT"
[venue]
name = "binance"
rest_url = "http://127.0.0.1:1"
ws_url = "ws://127.0.0.1:1"
ws_api_url = "ws://127.0.0.1:1/ws-api/v3"
[[instrument]]
symbol = "BTCUSDT"
[[slot]]
id = 1
symbol = "BTCUSDT"
capital = 100000.0
[engine]
bar_seconds = 60
[telemetry]
metrics_port = 0
"#,
        home = home.display(),
    );
    let path = home.join("service.toml");
    std::fs::write(&path, text).unwrap();
    Setup::load(&path).unwrap()
}

/// A comparison that is online, and what it needs.
struct Bench {
    comparison: Comparison,
    driver: Driver,
    errands: mpsc::Receiver<Errand>,
    wall: Nanos,
    _memory: ipc::shared_memory::SegmentServer,
    _folder: RunFolder,
    _home: tempfile::TempDir,
}

impl Bench {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let setup = setup(home.path());
        let folder = RunFolder::open(&setup.run_folder()).unwrap();
        let instruments = Arc::new(Instruments::new(vec![instrument()]).unwrap());
        let config = wiring::engine_config(&setup, folder.epoch(), vec![instrument()]);
        let memory = Memory::create(&setup.service.config, &config.instruments, &folder).unwrap();
        let (sender, errands) = mpsc::channel(ERRANDS_MAX);
        let (latch, clock) = (memory.latch.clone(), Arc::new(ServerClock::local()));
        let listed = Arc::clone(&instruments);
        let egress = Egress::new(
            folder.epoch(),
            latch.clone(),
            Box::new(NoWords),
            listed,
            clock,
            sender,
        );
        let counters = Arc::new(Counters::default());
        let (teller, _) = Teller::new(Arc::clone(&counters));
        let out = Outputs::new(egress, latch, memory.rings, teller, counters);
        let begun = Begun {
            config,
            record: Box::new(Forgotten::default()),
            last: Timestamp::EPOCH,
            active: Vec::new(),
            serials: Vec::new(),
            ways_back: Vec::new(),
        };
        let venue = Venue::Binance;
        let (mut driver, _) = wiring::driver(begun, out, (None, venue), Timestamp::EPOCH).unwrap();
        driver.begin(folder.epoch());
        let rules = Rules {
            orphans: OrphanRule::Cancel,
            second_look: SECOND,
        };
        let account = AccountWatch::new(venue, instruments, home.path().to_owned(), None, rules);
        let mut comparison = Comparison::new(venue, account, SECOND);
        comparison.set_online(true, Nanos(0));
        Self {
            comparison,
            driver,
            errands,
            wall: Nanos(0),
            _memory: memory.server,
            _folder: folder,
            _home: home,
        }
    }

    /// The next question before this time, a hundredth of a second after the other; whether there is one.
    fn asked_before(&mut self, until: Nanos) -> Option<Question> {
        while self.wall < until {
            self.comparison.tick(&mut self.driver, self.wall);
            if let Ok(Errand::Reconcile(question)) = self.errands.try_recv() {
                return Some(question);
            }
            self.wall = Nanos(self.wall.0 + 10_000_000);
        }
        None
    }

    /// The venue answers; a fill is booked before it does, or not.
    fn answer(&mut self, question: &Question, fill: bool) {
        self.wall = Nanos(self.wall.0 + ANSWER.0);
        self.driver.out_mut().bookings += u64::from(fill);
        let truth = Truth {
            generation: question.generation,
            asked: question.asked,
            reports: Vec::new(),
            open: Vec::new(),
            trades: Vec::new(),
            balances: Vec::new(),
            is_still: true,
        };
        let received = self.driver.now();
        self.comparison
            .on_truth(&truth, &mut self.driver, received, self.wall);
        // What a balance that moved with the fill asks for.
        if fill {
            self.comparison.on_odd_balance(self.wall);
        }
    }
}

#[test]
fn an_account_that_fills_all_the_time_is_asked_about_ever_less_often() {
    let mut bench = Bench::start();
    let minute = Nanos(60 * SECOND.0);
    let mut asked = 0;
    while let Some(question) = bench.asked_before(minute) {
        assert_eq!(
            question.yields,
            asked > 0,
            "only the first may use all of the budget"
        );
        asked += 1;
        bench.answer(&question, true);
    }
    assert!((5..=9).contains(&asked), "{asked} questions in a minute");
    assert_eq!(bench.comparison.taken(), 0);
    // A cancel leaves meanwhile.
    let cancel = CancelRequest {
        client_order_id: ClientOrderId {
            epoch: Epoch(1),
            slot: SlotId(1),
            counter: 1,
        },
        instrument: InstrumentId(0),
    };
    let out = bench.driver.out_mut();
    out.egress.hand_over(Errand::Cancel(cancel)).unwrap();
    assert!(matches!(bench.errands.try_recv(), Ok(Errand::Cancel(_))));

    let question = bench.asked_before(Nanos(2 * minute.0)).unwrap();
    bench.answer(&question, false);
    assert_eq!(bench.comparison.taken(), 1);
    // The next that is overtaken is asked for again at once.
    let began = bench.wall;
    let question = bench
        .asked_before(Nanos(began.0 + INTERVAL.0 + SECOND.0))
        .unwrap();
    bench.answer(&question, true);
    let answered = bench.wall;
    bench.asked_before(Nanos(answered.0 + SECOND.0)).unwrap();
    assert_eq!(bench.wall, Nanos(answered.0 + AGAIN.0.0));
}

#[test]
fn the_last_question_of_a_life_waits_for_nothing() {
    let mut bench = Bench::start();
    let question = bench.asked_before(SECOND).unwrap();
    bench.answer(&question, false);
    bench.comparison.ask_last(bench.wall);
    let question = bench.asked_before(Nanos(bench.wall.0 + SECOND.0)).unwrap();
    assert!(!question.yields);
}
