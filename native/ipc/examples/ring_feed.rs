//! A service that does nothing but fill shared memory, at command: the other process of tests in any language.
//!
//! ```text
//! cargo run -p ipc --example ring_feed -- RUN/segments.sock CAPACITY EPOCH
//! ```
//!
//! It offers the ring `market`, the table `positions`, the market cache `market_cache`, the flags `stops` and the
//! parameters `parameters`, says `ready`, and then takes commands on standard input, each answered by one line on standard output. It ends when its standard
//! input does.
//!
//! ```text
//! publish N             the next N records of `sample`                   published TOTAL
//! put ENTRY NUMBER      a position, `sample` NUMBER of that kind         version VERSION
//! book INSTRUMENT NUMBER       cached book NUMBER                        version VERSION
//! gap INSTRUMENT NUMBER        the same, but the book is invalid
//! trade INSTRUMENT NUMBER      cached trade NUMBER
//! venue INSTRUMENT STATE       online or offline, learned at the clock's time
//! clock TS_SERVICE             service time stands still there           clock TS_SERVICE
//! raise ENTRY RUNG      pause, reduce-only or kill                       stops LADDER
//! lower ENTRY RUNG
//! parameters serve      answer requests (as at the start): `entry_threshold` may be 0.5 to 1
//! parameters hold       let them wait
//! applied               the last request that took effect                applied VERSION SLOT NAME=UNITS ...
//! ```
#![cfg_attr(
    loom,
    allow(unused, reason = "the shared rings are not built for the model checker")
)]

/// Markets that anybody can make again from their number alone: one pair at three venues, and a contract on it.
#[cfg(not(loom))]
mod latest {
    use domain::{Currency, InstrumentStatus, Level, Price, Quantity, Side, Text, Timestamp, TradeId, Venue};
    use ipc::market_cache::{BookHead, BookState, CachedInstrument, CachedTrade};

    /// Venue, symbol and status by index.
    const INSTRUMENTS: [(Venue, &str, InstrumentStatus); 4] = [
        (Venue::Binance, "BTCUSD", InstrumentStatus::Trading),
        (Venue::Coinbase, "BTC-USD", InstrumentStatus::CancelOnly),
        (Venue::Kraken, "BTC/USD", InstrumentStatus::Trading),
        (Venue::BinanceUsdm, "BTCUSD", InstrumentStatus::Halted),
    ];

    pub(crate) fn instruments() -> Vec<CachedInstrument> {
        let currency = |code| Currency::new(code).expect("a code that fits");
        let all = INSTRUMENTS
            .into_iter()
            .map(|(venue, symbol, status)| CachedInstrument {
                venue,
                symbol: Text::new(symbol).expect("a symbol that fits"),
                base: currency("BTC"),
                quote: currency("USD"),
                status,
                tick_size: Price::from_units(1_000_000),
                lot_size: Quantity::from_units(1_000),
            });
        all.collect()
    }

    fn made(number: i64) -> Timestamp {
        Timestamp::from_nanos(1_632_700_000_000_000_000 + number * 1_000_000)
    }

    fn received(number: i64) -> Timestamp {
        Timestamp::from_nanos(made(number).nanos() + 250)
    }

    pub(crate) fn head(number: i64, state: BookState) -> BookHead {
        BookHead {
            state,
            ts_event: made(number),
            ts_received: received(number),
            update_id: number.unsigned_abs(),
        }
    }

    /// Bids and asks, up to eleven of each.
    pub(crate) fn levels(instrument: u16, number: i64) -> [Vec<Level>; 2] {
        let middle = 4_000_000_000_000 + number * 1_000 + i64::from(instrument) * 250;
        let side = |sign: i64| {
            (1..=number % 12).map(move |far| Level {
                price: Price::from_units(middle + sign * far * 700),
                quantity: Quantity::from_units(number + far),
            })
        };
        [side(-1).collect(), side(1).collect()]
    }

    pub(crate) fn trade(number: i64) -> CachedTrade {
        CachedTrade {
            ts_received: received(number),
            ts_event: made(number),
            trade_id: TradeId((1 << 63) + number.unsigned_abs()),
            price: Price::from_units(4_000_000_000_000 + number),
            quantity: Quantity::from_units(number + 1),
            aggressor: if number % 2 == 0 { Side::Buy } else { Side::Sell },
        }
    }
}

/// Records that anybody can make again from their number alone, with values at the ends of their ranges among them.
#[cfg(not(loom))]
mod sample {
    use domain::{
        Bar, ClientOrderId, Currency, Epoch, Fill, InstrumentId, Liquidity, Money, Nanos, Price, Quantity,
        Quote, Side, SlotId, Timestamp, Trade, TradeId,
    };
    use ipc::record::{FillRecord, MAX_FEATURES, PositionRecord, Record, Signal};

    const BAR_SPAN: Nanos = Nanos(900_000_000_000);

    /// What all kinds make of a record's number.
    struct Parts {
        number: u64,
        signed: i64,
        instrument: InstrumentId,
        slot: SlotId,
        ts_event: Timestamp,
        ts_received: Timestamp,
        price: i64,
        /// Changes with every round through the kinds.
        turn: bool,
    }

    impl Parts {
        fn of(number: u64) -> Self {
            let signed = number.cast_signed();
            let small = |modulus: u64| u16::try_from(number % modulus).unwrap_or_default();
            let ts_event = 1_632_700_000_000_000_000 + signed * 1_000_000;
            Self {
                number,
                signed,
                instrument: InstrumentId(small(7)),
                slot: SlotId(1 + small(3)),
                ts_event: Timestamp::from_nanos(ts_event),
                ts_received: Timestamp::from_nanos(ts_event + 250),
                price: 4_000_000_000_000 + signed * 1_000,
                turn: number / 6 % 2 == 1,
            }
        }

        fn quantity(&self, more: i64) -> Quantity {
            Quantity::from_units(self.signed + more)
        }

        fn price(&self, more: i64) -> Price {
            Price::from_units(self.price + more)
        }

        fn side(&self) -> Side {
            if self.turn { Side::Sell } else { Side::Buy }
        }
    }

    /// Record `number`: the kinds take turns.
    pub(crate) fn record(number: u64) -> Record {
        let parts = Parts::of(number);
        match number % 6 {
            0 => quote(&parts),
            1 => trade(&parts),
            2 => bar(&parts),
            3 => signal(&parts),
            4 => fill(&parts),
            _ => position(number),
        }
    }

    fn quote(parts: &Parts) -> Record {
        Record::TopOfBook {
            ts_received: parts.ts_received,
            quote: Quote {
                instrument: parts.instrument,
                ts_event: parts.ts_event,
                update_id: u64::MAX - parts.number,
                bid: parts.price(0),
                bid_quantity: parts.quantity(1),
                ask: parts.price(100),
                ask_quantity: parts.quantity(2),
            },
        }
    }

    fn trade(parts: &Parts) -> Record {
        Record::Trade {
            ts_received: parts.ts_received,
            trade: Trade {
                instrument: parts.instrument,
                ts_event: parts.ts_event,
                trade_id: TradeId((1 << 63) + parts.number),
                price: parts.price(0),
                quantity: parts.quantity(1),
                aggressor: parts.side(),
            },
        }
    }

    fn bar(parts: &Parts) -> Record {
        Record::Bar {
            ts_received: parts.ts_received,
            bar: Bar {
                instrument: parts.instrument,
                ts_open: Timestamp::from_nanos(parts.ts_event.nanos() - BAR_SPAN.0),
                span: BAR_SPAN,
                open: parts.price(0),
                high: parts.price(50),
                low: parts.price(-50),
                close: parts.price(1),
                volume: parts.quantity(0),
            },
            is_empty: parts.turn,
        }
    }

    /// The floats are halves and eighths of small numbers, so both languages make the same bits of them.
    fn signal(parts: &Parts) -> Record {
        let real = |value: u64| f32::from(u16::try_from(value).unwrap_or_default());
        let count = u8::try_from(parts.number % 17).unwrap_or_default();
        let mut features = [0.0; MAX_FEATURES];
        for (at, feature) in (0..u64::from(count)).zip(&mut features) {
            *feature = real(parts.number % 1_000 + at) * 0.5;
        }
        Record::Signal(Signal {
            slot: parts.slot,
            instrument: parts.instrument,
            ts_event: parts.ts_event,
            ts_received: parts.ts_received,
            score: real(parts.number % 1_000) * -0.125,
            probability: real(parts.number % 9) * 0.125,
            bundle_prefix: 0x0123_4567_89ab_cdef ^ parts.number,
            feature_count: count,
            features,
        })
    }

    fn fill(parts: &Parts) -> Record {
        let fee = -(1 << 70) + i128::from(parts.signed);
        let currency = if parts.turn { "BNB" } else { "USDT" };
        let currency = Currency::new(currency).expect("a code that fits");
        Record::Fill(FillRecord {
            instrument: parts.instrument,
            ts_event: parts.ts_event,
            ts_received: parts.ts_received,
            client_order_id: ClientOrderId {
                epoch: Epoch(9),
                slot: parts.slot,
                counter: u32::try_from(parts.number).unwrap_or(u32::MAX),
            },
            fill: Fill {
                trade_id: TradeId(parts.number),
                price: parts.price(0),
                quantity: parts.quantity(1),
                side: parts.side(),
                fee: Money::from_units(fee, currency),
                liquidity: if parts.turn {
                    Liquidity::Taker
                } else {
                    Liquidity::Maker
                },
            },
            leaves_quantity: parts.quantity(0),
        })
    }

    /// Position `number`; amounts of more than 64 bits.
    pub(crate) fn position(number: u64) -> Record {
        let parts = Parts::of(number);
        let amount = i128::from(parts.signed);
        Record::Position(PositionRecord {
            slot: parts.slot,
            instrument: parts.instrument,
            ts_event: parts.ts_event,
            ts_received: parts.ts_received,
            quantity: Quantity::from_units(-parts.signed),
            average_entry_price: parts.price(0),
            mark_price: parts.price(3),
            realized_pnl: amount - (1 << 80),
            unrealized_pnl: (1 << 81) - amount,
            fees: amount,
            equity: i128::MIN + amount,
            open_orders: u32::try_from(number % 5).unwrap_or_default(),
        })
    }
}

#[cfg(not(loom))]
mod feed {
    use std::io::{BufRead, Write};
    use std::path::Path;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
    use std::time::Duration;

    use domain::{BookInvalidReason, Decimal, InstrumentId, Timestamp, VenueState};
    use ipc::atomic_flags::{FlagsWriter, StopFlags};
    use ipc::market_cache::{BookState, CachedVenue, MarketCacheWriter};
    use ipc::parameters::{ParameterInbox, ParameterPoll, ParameterRequest};
    use ipc::ring_buffer::RingWriter;
    use ipc::seqlock::TableWriter;
    use ipc::shared_memory::{SegmentServer, monotonic_ns, private_directory};

    use super::{latest, sample};

    type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

    /// Time between two looks at the parameters, and between two heartbeats.
    const BEAT: Duration = Duration::from_millis(1);
    /// Records between two heartbeats while publishing.
    const BEAT_RECORDS: u64 = 1 << 12;
    /// Entries of the table and of the flags.
    const ENTRIES: u64 = 4;
    /// Commands that may wait.
    const COMMANDS: usize = 64;

    struct Feed {
        ring: RingWriter,
        table: TableWriter,
        cache: MarketCacheWriter,
        /// Service time, which stands still.
        now: Timestamp,
        flags: FlagsWriter,
        inbox: ParameterInbox,
        holds_parameters: bool,
        applied: Option<ParameterRequest>,
    }

    impl Feed {
        fn create(capacity: u64, epoch: u64) -> Outcome<Self> {
            Ok(Self {
                ring: RingWriter::create("market", capacity, epoch)?,
                table: TableWriter::create("positions", ENTRIES, epoch)?,
                cache: MarketCacheWriter::create("market_cache", &latest::instruments(), epoch)?,
                now: Timestamp::EPOCH,
                flags: FlagsWriter::create("stops", ENTRIES, epoch)?,
                inbox: ParameterInbox::create("parameters", epoch)?,
                holds_parameters: false,
                applied: None,
            })
        }

        fn offer(&self, server: &SegmentServer) -> Outcome<()> {
            self.ring.offer(server.registry())?;
            self.table.offer(server.registry())?;
            self.cache.offer(server.registry())?;
            self.flags.offer(server.registry())?;
            Ok(self.inbox.offer(server.registry())?)
        }

        fn beat(&mut self) {
            self.ring.heartbeat();
            self.table.heartbeat();
            self.cache.heartbeat(self.now, 0);
            self.flags.heartbeat();
            self.inbox.heartbeat();
        }

        fn answer_parameters(&mut self) {
            if self.holds_parameters {
                return;
            }
            let now = monotonic_ns();
            if let ParameterPoll::Request(request) = self.inbox.poll(now) {
                let outcome = judge(&request);
                if outcome.is_ok() {
                    self.applied = Some(request);
                }
                self.inbox.acknowledge(&request, outcome, now);
            }
        }

        fn obey(&mut self, command: &str) -> Outcome<String> {
            let words: Vec<&str> = command.split_whitespace().collect();
            Ok(match words[..] {
                ["publish", count] => self.publish(count.parse()?),
                ["put", entry, number] => {
                    let record = sample::position(number.parse()?);
                    format!("version {}", self.table.write(entry.parse()?, &record)?)
                }
                [word @ ("book" | "gap" | "trade" | "venue"), instrument, what] => {
                    format!("version {}", self.show(word, instrument.parse()?, what)?)
                }
                ["clock", now] => {
                    self.now = Timestamp::from_nanos(now.parse()?);
                    self.beat();
                    format!("clock {now}")
                }
                ["raise", entry, rung] => {
                    self.flags.raise(entry.parse()?, flag(rung)?)?;
                    format!("stops {}", self.flags.get(entry.parse()?)?)
                }
                ["lower", entry, rung] => {
                    self.flags.lower(entry.parse()?, flag(rung)?)?;
                    format!("stops {}", self.flags.get(entry.parse()?)?)
                }
                ["parameters", word @ ("serve" | "hold")] => {
                    self.holds_parameters = word == "hold";
                    format!("parameters {word}")
                }
                ["applied"] => self
                    .applied
                    .as_ref()
                    .map_or("applied nothing".to_owned(), describe),
                _ => return Err(format!("{command:?} is no command; see the head of ring_feed.rs").into()),
            })
        }

        /// Changes a market of the cache.
        fn show(&mut self, word: &str, instrument: u16, what: &str) -> Outcome<u64> {
            let id = InstrumentId(instrument);
            let state = match (word, what) {
                ("trade", number) => {
                    return Ok(self.cache.write_trade(id, &latest::trade(number.parse()?))?);
                }
                ("venue", state) => {
                    let state = match state {
                        "online" => VenueState::Online,
                        "offline" => VenueState::Offline,
                        _ => return Err("a venue is online or offline".into()),
                    };
                    let (state, ts_received) = (Some(state), self.now);
                    return Ok(self.cache.write_venue(id, CachedVenue { state, ts_received })?);
                }
                ("book", _) => BookState::Valid,
                _ => BookState::Invalid(BookInvalidReason::Gap),
            };
            let number = what.parse()?;
            let [bids, asks] = latest::levels(instrument, number);
            Ok(self
                .cache
                .write_book(id, &latest::head(number, state), bids, asks)?)
        }

        fn publish(&mut self, count: u64) -> String {
            let end = self.ring.published() + count;
            while self.ring.published() < end {
                self.ring.publish(&sample::record(self.ring.published()));
                if self.ring.published().is_multiple_of(BEAT_RECORDS) {
                    self.beat();
                }
            }
            format!("published {end}")
        }
    }

    fn flag(rung: &str) -> Outcome<StopFlags> {
        match rung {
            "pause" => Ok(StopFlags::PAUSED),
            "reduce-only" => Ok(StopFlags::REDUCE_ONLY),
            "kill" => Ok(StopFlags::KILLED),
            _ => Err(format!("{rung:?} is no rung: use pause, reduce-only or kill").into()),
        }
    }

    /// All changes together or none, as the service does.
    fn judge(request: &ParameterRequest) -> Result<(), &'static str> {
        let allowed = Decimal::from_units(Decimal::ONE.units() / 2)..=Decimal::ONE;
        for change in request.changes() {
            match change.name.as_str() {
                "entry_threshold" if allowed.contains(&change.value) => {}
                "entry_threshold" => return Err("entry_threshold: allowed are 0.5 to 1"),
                "exit_threshold" => {}
                _ => return Err("parameters are entry_threshold, exit_threshold"),
            }
        }
        Ok(())
    }

    fn describe(request: &ParameterRequest) -> String {
        let changes = request.changes().iter();
        let changes = changes.map(|change| format!("{}={}", change.name, change.value.units()));
        let changes = changes.collect::<Vec<_>>().join(" ");
        format!("applied {} {} {changes}", request.version, request.slot.0)
    }

    fn say(line: &str) -> Outcome<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")?;
        Ok(out.flush()?)
    }

    /// The lines of standard input, read by a thread so that heartbeats go on meanwhile.
    fn commands() -> Receiver<String> {
        let (sender, receiver) = sync_channel(COMMANDS);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        receiver
    }

    pub(crate) fn run() -> Outcome<()> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [socket, capacity, epoch] = &arguments[..] else {
            return Err("usage: ring_feed SOCKET CAPACITY EPOCH".into());
        };
        let socket = Path::new(socket);
        private_directory(socket.parent().ok_or("the socket needs a directory")?)?;
        let mut feed = Feed::create(capacity.parse()?, epoch.parse()?)?;
        let server = SegmentServer::bind(socket)?;
        feed.offer(&server)?;
        std::thread::spawn(move || while server.serve_once(None).is_ok() {});
        let commands = commands();
        say("ready")?;
        loop {
            match commands.recv_timeout(BEAT) {
                Ok(command) => say(&feed.obey(&command)?)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            feed.beat();
            feed.answer_parameters();
        }
    }
}

#[cfg(not(loom))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    feed::run()
}

#[cfg(loom)]
fn main() {}
