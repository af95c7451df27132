//! The bounded queues into the thread that decides.

use domain::Timestamp;
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use tokio::sync::mpsc;
use venues::backlog::Backlog;
use venues::{FrameSink, StreamMessage};

use crate::fact::Fact;
use crate::wake::Wake;
use crate::watched::WatchedEvent;

/// Market messages that may wait: over a second of the busiest instrument recorded. Beyond it, and beyond
/// `venues::backlog::WAITING_BYTES_MAX`, the socket waits and then is given up as overrun
/// (`venues::websocket::DELIVERY_WAIT_MAX`): its end is told like any other, so that books are begun anew and orders
/// are compared.
pub(crate) const MARKET_FRAMES_MAX: usize = 16_384;

/// Account messages that may wait; bounded in bytes alike, by themselves.
pub(crate) const ACCOUNT_FRAMES_MAX: usize = 4_096;

/// Messages of one watched venue that may wait to be read, and events that may wait to be taken. They are taken when nothing
/// of the own venue waits: a venue that floods, or an own market that leaves no time, ends the connection of that venue.
pub(crate) const WATCHED_FRAMES_MAX: usize = 4_096;
pub(crate) const WATCHED_EVENTS_MAX: usize = 4_096;

/// What is taken next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A message of the own venue's market.
    Market(StreamMessage),
    /// A message of the account's stream.
    Account(StreamMessage),
    /// An event of a watched venue.
    Watched(WatchedEvent),
}

/// The taking ends of the queues.
#[derive(Debug)]
pub(crate) struct Inputs {
    market: Frames,
    account: Frames,
    watched: Vec<Consumer<WatchedEvent>>,
    facts: mpsc::Receiver<Fact>,
}

/// Which queue is next.
#[derive(Debug, Clone, Copy)]
enum Next {
    Market,
    Account,
    Watched(usize),
}

/// The taking end of one stream's queue.
#[derive(Debug)]
pub(crate) struct Frames {
    queue: Consumer<StreamMessage>,
    backlog: Backlog,
}

/// What waits in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl Frames {
    fn new(most: usize, wake: Wake) -> (Self, impl FrameSink + use<>) {
        let (sender, queue) = RingBuffer::new(most);
        let backlog = Backlog::default();
        let sink = sink(sender, backlog.clone(), wake);
        (Self { queue, backlog }, sink)
    }

    fn next_received(&self) -> Option<Timestamp> {
        self.queue.peek().ok().map(|message| message.ts_received)
    }

    /// The message that waits longest.
    pub(crate) fn take(&mut self) -> Option<StreamMessage> {
        let message = self.queue.pop().ok()?;
        self.backlog.give_back(message.bytes());
        Some(message)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether whoever filled it is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.queue.is_abandoned()
    }

    /// What waits.
    pub(crate) fn waiting(&self) -> Waiting {
        Waiting {
            messages: self.queue.slots(),
            bytes: self.backlog.bytes(),
        }
    }
}

impl Inputs {
    /// The queues, and the sinks of the market's and the account's stream.
    pub(crate) fn new(
        facts: mpsc::Receiver<Fact>,
        wake: &Wake,
    ) -> (Self, impl FrameSink + use<>, impl FrameSink + use<>) {
        let (market, market_sink) = Frames::new(MARKET_FRAMES_MAX, wake.clone());
        let (account, account_sink) = Frames::new(ACCOUNT_FRAMES_MAX, wake.clone());
        let inputs = Self {
            market,
            account,
            watched: Vec::new(),
            facts,
        };
        (inputs, market_sink, account_sink)
    }

    /// A queue for the events of one more watched venue.
    pub(crate) fn watch(&mut self) -> Producer<WatchedEvent> {
        let (producer, events) = RingBuffer::new(WATCHED_EVENTS_MAX);
        self.watched.push(events);
        producer
    }

    /// When what is taken next was received; `None` when nothing waits.
    pub(crate) fn next_received(&self) -> Option<Timestamp> {
        self.next().map(|(_, received)| received)
    }

    /// Whether a message of the own venue waits.
    pub(crate) fn own_waits(&self) -> bool {
        !self.market.queue.is_empty() || !self.account.queue.is_empty()
    }

    /// The message of the own venue that was received first, of two at one time the account's; where there is none, the event
    /// received first of those that are watched.
    pub(crate) fn take(&mut self) -> Option<Input> {
        let (next, _) = self.next()?;
        match next {
            Next::Market => self.market.take().map(Input::Market),
            Next::Account => self.account.take().map(Input::Account),
            Next::Watched(at) => self.watched.get_mut(at)?.pop().ok().map(Input::Watched),
        }
    }

    fn next(&self) -> Option<(Next, Timestamp)> {
        let (market, account) = (self.market.next_received(), self.account.next_received());
        match (market, account) {
            (Some(market), Some(account)) if market < account => Some((Next::Market, market)),
            (_, Some(account)) => Some((Next::Account, account)),
            (Some(market), None) => Some((Next::Market, market)),
            (None, None) => self.next_watched(),
        }
    }

    fn next_watched(&self) -> Option<(Next, Timestamp)> {
        let waiting = self.watched.iter().enumerate().filter_map(|(at, events)| {
            let event = events.peek().ok()?;
            Some((Next::Watched(at), event.received))
        });
        waiting.min_by_key(|(_, received)| *received)
    }

    /// The next fact, once no message of the account waits: what an answer says may be in those messages already.
    pub(crate) fn take_fact(&mut self) -> Option<Fact> {
        if self.account.queue.is_empty() {
            self.facts.try_recv().ok()
        } else {
            None
        }
    }

    /// Whether everybody who could say something is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.facts.is_closed() && self.facts.is_empty()
    }

    /// Whether anything waits.
    pub(crate) fn has_work(&self) -> bool {
        let watched = self.watched.iter().any(|events| !events.is_empty());
        self.own_waits() || watched || !self.facts.is_empty()
    }

    /// What waits: of the market, of the account.
    pub(crate) fn waiting(&self) -> (Waiting, Waiting) {
        (self.market.waiting(), self.account.waiting())
    }
}

/// A queue for the messages of a watched venue, and the sink of its stream, which wakes whoever reads them.
pub(crate) fn watched_queue(wake: &Wake) -> (impl FrameSink + use<>, Frames) {
    let (messages, sink) = Frames::new(WATCHED_FRAMES_MAX, wake.clone());
    (sink, messages)
}

fn sink(mut queue: Producer<StreamMessage>, backlog: Backlog, wake: Wake) -> impl FrameSink {
    move |message: StreamMessage| {
        let bytes = message.bytes();
        if !backlog.take_room(bytes) {
            return Err(message);
        }
        match queue.push(message) {
            Ok(()) => {
                wake.wake();
                Ok(())
            }
            Err(PushError::Full(message)) => {
                backlog.give_back(bytes);
                Err(message)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use domain::InstrumentId;
    use venues::backlog::WAITING_BYTES_MAX;
    use venues::{DisconnectReason, StreamMessageKind};

    use super::*;
    use crate::fact::FactSender;

    fn message(ns: i64) -> StreamMessage {
        StreamMessage {
            ts_received: Timestamp::from_nanos(ns),
            kind: StreamMessageKind::Connected,
        }
    }

    #[test]
    fn messages_come_in_the_order_of_their_receive_times_and_facts_after_the_account() {
        let wake = Wake::default();
        let (sender, facts) = FactSender::new(wake.clone());
        let (mut inputs, mut market, mut account) = Inputs::new(facts, &wake);
        assert!(!inputs.has_work());
        for ns in [10, 30, 50] {
            market.try_deliver(message(ns)).unwrap();
        }
        for ns in [20, 30] {
            account.try_deliver(message(ns)).unwrap();
        }
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(sender.send(Fact::Drain))
            .unwrap();
        let mut order = Vec::new();
        while let Some(input) = inputs.take() {
            order.push((input, inputs.account.queue.is_empty()));
        }
        use Input::{Account, Market};
        assert_eq!(
            order,
            [
                (Market(message(10)), false),
                (Account(message(20)), false),
                (Account(message(30)), true),
                (Market(message(30)), true),
                (Market(message(50)), true)
            ]
        );
        assert!(matches!(inputs.take_fact(), Some(Fact::Drain)));
        assert!(inputs.take_fact().is_none());
    }

    fn watched(ns: i64) -> WatchedEvent {
        let at = Timestamp::from_nanos(ns);
        WatchedEvent::complete(at, InstrumentId(1), at)
    }

    #[test]
    fn what_is_watched_waits_for_the_own_venue() {
        let wake = Wake::default();
        let (_sender, facts) = FactSender::new(wake.clone());
        let (mut inputs, mut market, mut account) = Inputs::new(facts, &wake);
        for received in [[5, 15], [7, 12]] {
            let mut events = inputs.watch();
            for ns in received {
                events.push(watched(ns)).unwrap();
            }
        }
        assert!(inputs.has_work() && !inputs.own_waits());
        market.try_deliver(message(90)).unwrap();
        account.try_deliver(message(80)).unwrap();
        assert!(inputs.own_waits());
        let mut order = Vec::new();
        while let Some(next) = inputs.next_received() {
            order.push((next.nanos(), inputs.take().unwrap()));
        }
        let own = [
            (80, Input::Account(message(80))),
            (90, Input::Market(message(90))),
        ];
        let beside = [5, 7, 12, 15].map(|ns| (ns, Input::Watched(watched(ns))));
        assert!(order[..2] == own && order[2..] == beside, "{order:?}");
        assert!(!inputs.has_work());
    }

    #[test]
    fn a_full_queue_of_a_watched_venue_is_no_other_s() {
        let wake = Wake::default();
        let (_sender, facts) = FactSender::new(wake.clone());
        let (mut inputs, mut market, _account) = Inputs::new(facts, &wake);
        let mut events = inputs.watch();
        for ns in 0..i64::try_from(WATCHED_EVENTS_MAX).unwrap() {
            events.push(watched(ns)).unwrap();
        }
        assert!(events.push(watched(7)).is_err());
        let (mut sink, _messages) = watched_queue(&wake);
        for ns in 0..i64::try_from(WATCHED_FRAMES_MAX).unwrap() {
            sink.try_deliver(message(ns)).unwrap();
        }
        assert_eq!(sink.try_deliver(message(7)), Err(message(7)));
        market.try_deliver(message(7)).unwrap();
        assert_eq!(inputs.take(), Some(Input::Market(message(7))));
    }

    #[test]
    fn a_full_queue_gives_the_message_back() {
        let wake = Wake::default();
        let (_sender, facts) = FactSender::new(wake.clone());
        let (_inputs, _market, mut account) = Inputs::new(facts, &wake);
        for ns in 0..i64::try_from(ACCOUNT_FRAMES_MAX).unwrap() {
            account.try_deliver(message(ns)).unwrap();
        }
        assert_eq!(account.try_deliver(message(7)), Err(message(7)));
    }

    #[test]
    fn a_queue_is_bounded_in_bytes_by_itself_and_its_end_is_told_all_the_same() {
        let wake = Wake::default();
        let (_sender, facts) = FactSender::new(wake.clone());
        let (mut inputs, mut market, mut account) = Inputs::new(facts, &wake);
        let of = |kind| StreamMessage {
            ts_received: Timestamp::EPOCH,
            kind,
        };
        let largest = Bytes::from(vec![b' '; venues::websocket::MESSAGE_BYTES_MAX]);
        let frame = |body: &Bytes| of(StreamMessageKind::Frame(body.clone()));
        let most = WAITING_BYTES_MAX / largest.len();
        for _ in 0..most {
            market.try_deliver(frame(&largest)).unwrap();
        }
        let small = Bytes::from_static(b" ");
        assert_eq!(market.try_deliver(frame(&small)), Err(frame(&small)));
        account.try_deliver(frame(&small)).unwrap();
        let end = of(StreamMessageKind::Disconnected(DisconnectReason::Overrun));
        market.try_deliver(end.clone()).unwrap();
        let (of_market, of_account) = inputs.waiting();
        assert_eq!(
            (of_market.messages, of_market.bytes),
            (most + 1, WAITING_BYTES_MAX)
        );
        assert_eq!((of_account.messages, of_account.bytes), (1, 1));
        assert_eq!(inputs.take(), Some(Input::Account(frame(&small))));
        for _ in 0..most {
            assert_eq!(inputs.take(), Some(Input::Market(frame(&largest))));
        }
        assert_eq!(inputs.take(), Some(Input::Market(end)));
        assert_eq!(inputs.waiting().0.bytes, 0);
        market.try_deliver(frame(&largest)).unwrap();
    }
}
