//! The bounded queues into the thread that decides.

use domain::Timestamp;
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use tokio::sync::mpsc;
use venues::backlog::Backlog;
use venues::{FrameSink, StreamMessage};

use crate::fact::Fact;
use crate::wake::Wake;

/// Market messages that may wait: over a second of the busiest instrument recorded. Beyond it, and beyond
/// `venues::backlog::WAITING_BYTES_MAX`, the socket waits and then is given up as overrun
/// (`venues::websocket::DELIVERY_WAIT_MAX`): its end is told like any other, so that books are begun anew and orders
/// are compared.
pub(crate) const MARKET_FRAMES_MAX: usize = 16_384;

/// Account messages that may wait; bounded in bytes alike, by themselves.
pub(crate) const ACCOUNT_FRAMES_MAX: usize = 4_096;

/// From which stream a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Market,
    Account,
}

/// The taking ends of the queues.
#[derive(Debug)]
pub(crate) struct Inputs {
    market: Frames,
    account: Frames,
    facts: mpsc::Receiver<Fact>,
}

/// The taking end of one stream's queue.
#[derive(Debug)]
struct Frames {
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

    fn take(&mut self) -> Option<StreamMessage> {
        let message = self.queue.pop().ok()?;
        self.backlog.give_back(message.bytes());
        Some(message)
    }

    fn waiting(&self) -> Waiting {
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
            facts,
        };
        (inputs, market_sink, account_sink)
    }

    /// When the next message was received; `None` when no stream has one.
    pub(crate) fn next_received(&self) -> Option<Timestamp> {
        let (market, account) = (self.market.next_received(), self.account.next_received());
        match (market, account) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// The message received first; of two at one time, the account's.
    pub(crate) fn take_message(&mut self) -> Option<(Stream, StreamMessage)> {
        let (market, account) = (self.market.next_received(), self.account.next_received());
        let from = match (market, account) {
            (None, None) => return None,
            (Some(market), Some(account)) if market < account => Stream::Market,
            (Some(_), None) => Stream::Market,
            _ => Stream::Account,
        };
        let message = match from {
            Stream::Market => self.market.take(),
            Stream::Account => self.account.take(),
        };
        message.map(|message| (from, message))
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
        !self.market.queue.is_empty() || !self.account.queue.is_empty() || !self.facts.is_empty()
    }

    /// What waits: of the market, of the account.
    pub(crate) fn waiting(&self) -> (Waiting, Waiting) {
        (self.market.waiting(), self.account.waiting())
    }
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
        while let Some((from, message)) = inputs.take_message() {
            let facts_wait = inputs.account.queue.is_empty();
            order.push((from, message.ts_received.nanos(), facts_wait));
        }
        use Stream::{Account, Market};
        assert_eq!(
            order,
            [
                (Market, 10, false),
                (Account, 20, false),
                (Account, 30, true),
                (Market, 30, true),
                (Market, 50, true)
            ]
        );
        assert!(matches!(inputs.take_fact(), Some(Fact::Drain)));
        assert!(inputs.take_fact().is_none());
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
        assert_eq!(inputs.take_message(), Some((Stream::Account, frame(&small))));
        for _ in 0..most {
            assert_eq!(inputs.take_message(), Some((Stream::Market, frame(&largest))));
        }
        assert_eq!(inputs.take_message(), Some((Stream::Market, end)));
        assert_eq!(inputs.waiting().0.bytes, 0);
        market.try_deliver(frame(&largest)).unwrap();
    }
}
