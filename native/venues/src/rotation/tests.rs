//! What two connections bring in one order, without a socket.

use bytes::Bytes;

use super::*;
use crate::websocket::{DisconnectReason, MESSAGE_BYTES_MAX};

/// Reads a message whose first byte is its number in the one stream there is.
fn numbered(frame: &[u8]) -> Option<(StreamKey, u64)> {
    let key = (Text::new("BTCUSDT")?, 0);
    frame.first().map(|number| (key, u64::from(*number)))
}

type Heard = Arc<Mutex<Vec<StreamMessage>>>;

/// Where everything that is delivered is heard.
fn router(heard: &Heard) -> Router<impl FrameSink + use<>> {
    standing_router(heard, &Standing::default())
}

/// The same, counting what is told of the stream's standing.
fn standing_router(heard: &Heard, standing: &Standing) -> Router<impl FrameSink + use<>> {
    let heard = Arc::clone(heard);
    let sink = move |message: StreamMessage| -> Result<(), StreamMessage> {
        lock(&heard).push(message);
        Ok(())
    };
    let lines = Arc::new(Lines::of("market"));
    Router::new(Told::new(sink, standing), Box::new(numbered), lines)
}

fn message(kind: StreamMessageKind) -> StreamMessage {
    let ts_received = Timestamp::EPOCH;
    StreamMessage { ts_received, kind }
}

fn frame(body: &Bytes) -> StreamMessage {
    message(StreamMessageKind::Frame(body.clone()))
}

fn is_full<S: FrameSink>(router: &mut Router<S>, one: &Bytes, most: usize) {
    router.take(1, message(StreamMessageKind::Connected)).unwrap();
    for _ in 0..most {
        router.take(1, frame(one)).unwrap();
    }
    assert_eq!(router.take(1, frame(one)), Err(frame(one)));
}

#[test]
fn a_new_connection_that_brings_too_much_ends_and_the_old_one_goes_on() {
    let largest = {
        let mut body = vec![b' '; MESSAGE_BYTES_MAX];
        body[0] = 9;
        Bytes::from(body)
    };
    let small = Bytes::from_static(&[9]);
    for (one, most) in [
        (largest.clone(), WAITING_BYTES_MAX / MESSAGE_BYTES_MAX),
        (small, KEPT_MAX),
    ] {
        let heard = Heard::default();
        let mut router = router(&heard);
        assert!(router.expect(1));
        is_full(&mut router, &one, most);
        let old = Bytes::from_static(&[3]);
        router.take(0, frame(&old)).unwrap();
        assert_eq!(*lock(&heard), [frame(&old)]);
        // Its end makes room for its next beginning.
        let end = StreamMessageKind::Disconnected(DisconnectReason::Overrun);
        router.take(1, message(end)).unwrap();
        is_full(&mut router, &one, most);
        let statistics = Arc::clone(&router.lines.statistics);
        assert_eq!(statistics.duplicates(), most as u64, "let go with the first try");
        // The old one delivers what was kept: the new one goes on behind it, and nothing was lost.
        router.take(0, frame(&Bytes::from_static(&[9]))).unwrap();
        assert_eq!(statistics.rotations(), 1);
        router.take(1, frame(&Bytes::from_static(&[10]))).unwrap();
        let last = lock(&heard).last().cloned();
        assert_eq!(last, Some(frame(&Bytes::from_static(&[10]))));
        assert_eq!(lock(&heard).len(), 3, "3, 9 and 10, each once");
    }
}

#[test]
fn a_loss_of_the_old_connection_makes_the_new_one_its_reconnect() {
    let heard = Heard::default();
    let mut router = router(&heard);
    assert!(router.expect(1));
    router.take(1, message(StreamMessageKind::Connected)).unwrap();
    let kept = Bytes::from_static(&[5]);
    router.take(1, frame(&kept)).unwrap();
    let end = message(StreamMessageKind::Disconnected(DisconnectReason::Closed));
    router.take(0, end.clone()).unwrap();
    let up = message(StreamMessageKind::Connected);
    assert_eq!(*lock(&heard), [end, up, frame(&kept)]);
    let statistics = &router.lines.statistics;
    assert_eq!((statistics.rotations(), statistics.reconnected()), (0, 1));
    router.take(0, frame(&kept)).unwrap();
    assert_eq!(router.lines.statistics.duplicates(), 1, "of the lost one");
}

/// What the book of the one instrument was when it was asked for.
fn answer() -> StreamMessage {
    message(StreamMessageKind::Snapshot {
        instrument: domain::InstrumentId(0),
        body: Bytes::from_static(b"{}"),
    })
}

#[test]
fn an_answer_outlives_a_change_of_connections_that_nobody_is_told_of_and_no_loss() {
    let (heard, standing) = (Heard::default(), Standing::default());
    let mut router = standing_router(&heard, &standing);
    let up = message(StreamMessageKind::Connected);
    let end = message(StreamMessageKind::Disconnected(DisconnectReason::Closed));
    let frame = |number: u8| frame(&Bytes::from(vec![number]));
    router.take(0, up.clone()).unwrap();
    let asked = standing.asked();
    assert!(router.expect(1));
    router.take(1, up.clone()).unwrap();
    router.take(1, frame(5)).unwrap();
    router.take(0, frame(5)).unwrap();
    assert_eq!(router.active, 1, "it took over");
    // The end of the one before is nobody's business.
    router.take(0, end.clone()).unwrap();
    router.answer(&asked, answer()).unwrap();
    assert_eq!(lock(&heard).split_off(0), [up.clone(), frame(5), answer()]);

    // A standby is the reconnect: to the consumer, the stream began anew.
    router.take(1, frame(6)).unwrap();
    assert!(router.expect(2));
    router.take(2, up.clone()).unwrap();
    router.take(2, frame(9)).unwrap();
    router.take(1, end.clone()).unwrap();
    router.answer(&asked, answer()).unwrap();
    let lost = [frame(6), end, up, frame(9)];
    assert_eq!(lock(&heard).split_off(0), lost);
    router.answer(&standing.asked(), answer()).unwrap();
    assert_eq!(lock(&heard).split_off(0), [answer()]);
}
