//! What the fuzz targets share.

use bytes::Bytes;
use domain::{
    BookUpdateKind, ClientOrderId, Epoch, InstrumentId, MarketEvent, OrderRequest, OrderType, Price,
    Quantity, Side, SlotId, TimeInForce, Timestamp,
};
use rustix::time::{ClockId, clock_gettime};
use venues::sample::instrument;
use venues::{Instruments, MarketProtocol, StreamMessage, StreamMessageKind};

/// Longest time that one input may take, nanoseconds of this thread's own processor time: what others on the machine
/// do does not count.
pub const INPUT_NS_MAX: i128 = 10_000_000;

/// Instruments of a protocol whose books are looked at.
const INSTRUMENTS_CHECKED: u16 = 3;

/// Times that an input is run which took too long: the machine below this one may have taken the processor away meanwhile,
/// and that counts as the thread's own time. What is slow is slow each time.
const TRIES: usize = 5;

/// Runs the code under test on one input.
///
/// # Panics
/// When it took longer than [`INPUT_NS_MAX`] each time: input that makes a reader slow is a fault like one that makes it
/// panic.
pub fn bounded(test: impl Fn()) {
    let took = || {
        let began = thread_ns();
        test();
        thread_ns() - began
    };
    let is_quick = (0..TRIES).any(|_| took() <= INPUT_NS_MAX);
    assert!(is_quick, "one input took over {INPUT_NS_MAX} ns, {TRIES} times");
}

fn thread_ns() -> i128 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// The instruments that messages may name.
///
/// # Panics
/// Never: the table is fixed.
#[must_use]
pub fn instruments() -> Instruments {
    Instruments::new(vec![instrument(0, "BTCUSDT")]).expect("a table")
}

/// The order that answers may be about.
///
/// # Panics
/// Never: the numbers are fixed.
#[must_use]
pub fn order() -> OrderRequest {
    OrderRequest {
        client_order_id: ClientOrderId {
            epoch: Epoch(3),
            slot: SlotId(1),
            counter: 42,
        },
        instrument: InstrumentId(0),
        side: Side::Sell,
        order_type: OrderType::Limit,
        price: Some(Price::parse(b"26500.1").expect("a price")),
        quantity: Quantity::parse(b"0.005").expect("a quantity"),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

/// Gives a protocol what came, at a time that nothing is later than.
///
/// # Panics
/// When a change is passed on of a book that does not stand, or a crossed book stands.
pub fn feed(protocol: &mut dyn MarketProtocol, kind: StreamMessageKind) {
    let ts_received = Timestamp::from_nanos(i64::MAX);
    let mut stands: Vec<InstrumentId> = (0..INSTRUMENTS_CHECKED)
        .map(InstrumentId)
        .filter(|&id| protocol.is_synchronized(id))
        .collect();
    let mut emit = |event: MarketEvent<'_>| match event {
        MarketEvent::Book(update) if update.kind == BookUpdateKind::Snapshot => {
            stands.push(update.instrument)
        }
        MarketEvent::Book(update) => assert!(stands.contains(&update.instrument), "a change of no book"),
        MarketEvent::BookInvalid(invalid) => stands.retain(|&id| id != invalid.instrument),
        _ => {}
    };
    // What cannot be read is refused.
    let _ = protocol.on_message(&StreamMessage { ts_received, kind }, &mut emit);
    for id in (0..INSTRUMENTS_CHECKED).map(InstrumentId) {
        assert_eq!(protocol.is_synchronized(id), stands.contains(&id));
        if let (Some(bid), Some(ask)) = protocol.best(id) {
            assert!(bid.price < ask.price, "a crossed book");
        }
    }
}

/// The same of a message that may be one of the stream, or an answer to a request for a book.
///
/// # Panics
/// As [`feed`].
pub fn feed_both(protocol: &mut dyn MarketProtocol, instrument: InstrumentId, frame: &[u8]) {
    let body = Bytes::copy_from_slice(frame);
    feed(protocol, StreamMessageKind::Frame(body.clone()));
    feed(protocol, StreamMessageKind::Snapshot { instrument, body });
}
