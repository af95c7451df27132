//! The second process of the tests in this folder: writes a ring or a market cache, or holds a parameter slot, until it
//! is killed or its standard input ends. It says `ready` on standard output when others may attach.

#[cfg(not(loom))]
mod checked;

#[cfg(not(loom))]
mod roles {
    use std::io::{Read, Write};
    use std::path::Path;
    use std::time::Duration;

    use domain::{
        Currency, Decimal, InstrumentId, InstrumentStatus, Price, Quantity, Side, SlotId, Text, Timestamp,
        TradeId, Venue,
    };
    use ipc::market_cache::{BookHead, BookState, CachedInstrument, CachedTrade, MarketCacheWriter};
    use ipc::parameters::{ParameterChange, ParameterWriter};
    use ipc::ring_buffer::RingWriter;
    use ipc::shared_memory::SegmentServer;

    use super::checked::{levels, payload};

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    /// Records between two heartbeats.
    const BEAT: u64 = 1 << 12;

    fn say(word: &str) -> Outcome {
        let mut out = std::io::stdout();
        writeln!(out, "{word}")?;
        Ok(out.flush()?)
    }

    /// Returns when the parent closes our standard input, or is gone.
    fn wait_for_parent() -> Outcome {
        std::io::stdin().read_to_end(&mut Vec::new())?;
        Ok(())
    }

    /// `ring SOCKET NAME CAPACITY EPOCH COUNT`: publishes COUNT records (0: without end) as fast as it can.
    fn ring(socket: &Path, name: &str, [capacity, epoch, count]: [u64; 3]) -> Outcome {
        let mut writer = RingWriter::create(name, capacity, epoch)?;
        let server = SegmentServer::bind(socket)?;
        writer.offer(server.registry())?;
        std::thread::spawn(move || while server.serve_once(Some(Duration::from_secs(1))).is_ok() {});
        say("ready")?;
        while count == 0 || writer.published() < count {
            writer.publish_words(&payload(writer.published()));
            if writer.published() % BEAT == 0 {
                writer.heartbeat();
            }
        }
        wait_for_parent()
    }

    /// `cache SOCKET NAME EPOCH`: writes one market, book and trade in turn, as fast as it can and without end.
    fn cache(socket: &Path, name: &str, epoch: u64) -> Outcome {
        let currency = |code| Currency::new(code).ok_or("a code");
        let instrument = CachedInstrument {
            venue: Venue::Kraken,
            symbol: Text::new("BTC/USD").ok_or("a symbol that fits")?,
            base: currency("BTC")?,
            quote: currency("USD")?,
            status: InstrumentStatus::Trading,
            tick_size: Price::from_units(1),
            lot_size: Quantity::from_units(1),
        };
        let mut writer = MarketCacheWriter::create(name, &[instrument], epoch)?;
        let write = |writer: &mut MarketCacheWriter, number: u64| -> Outcome {
            let [bids, asks] = levels(number);
            let time = Timestamp::from_nanos(number.cast_signed());
            let head = BookHead {
                state: BookState::Valid,
                ts_event: time,
                ts_received: time,
                update_id: number,
            };
            writer.write_book(InstrumentId(0), &head, bids, asks)?;
            let trade = CachedTrade {
                ts_received: time,
                ts_event: time,
                trade_id: TradeId(number),
                price: Price::from_units(1),
                quantity: Quantity::from_units(number.cast_signed()),
                aggressor: Side::Buy,
            };
            writer.write_trade(InstrumentId(0), &trade)?;
            if number % BEAT == 1 {
                writer.heartbeat(time, 1_000_000_000);
            }
            Ok(())
        };
        write(&mut writer, 1)?;
        let server = SegmentServer::bind(socket)?;
        writer.offer(server.registry())?;
        std::thread::spawn(move || while server.serve_once(Some(Duration::from_secs(1))).is_ok() {});
        say("ready")?;
        (2..).try_for_each(|number| write(&mut writer, number))
    }

    /// `parameters SOCKET NAME`: becomes the writer of a slot, writes one request, and keeps the slot.
    fn parameters(socket: &Path, name: &str) -> Outcome {
        let mut writer = ParameterWriter::attach(socket, name)?;
        let name = Text::new("entry_threshold").ok_or("a name that fits")?;
        let change = ParameterChange {
            name,
            value: Decimal::from_units(61_000_000),
        };
        writer.request(SlotId(1), &[change], Timestamp::EPOCH)?;
        say("ready")?;
        wait_for_parent()
    }

    pub(crate) fn run() -> Outcome {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match arguments[..] {
            ["ring", socket, name, capacity, epoch, count] => ring(
                Path::new(socket),
                name,
                [capacity.parse()?, epoch.parse()?, count.parse()?],
            ),
            ["cache", socket, name, epoch] => cache(Path::new(socket), name, epoch.parse()?),
            ["parameters", socket, name] => parameters(Path::new(socket), name),
            _ => Err(
                "usage: ring SOCKET NAME CAPACITY EPOCH COUNT | cache SOCKET NAME EPOCH | parameters SOCKET NAME"
                    .into(),
            ),
        }
    }
}

#[cfg(not(loom))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    roles::run()
}

#[cfg(loom)]
fn main() {}
