//! The bounded queues into the thread that decides.

use domain::Timestamp;
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use tokio::sync::mpsc;
use venues::{FrameSink, StreamMessage};

use crate::fact::Fact;
use crate::wake::Wake;

/// Market messages that may wait: over a second of the busiest instrument recorded. Beyond it the socket waits, and
/// then is given up (`venues::websocket::DELIVERY_WAIT_MAX`).
pub(crate) const MARKET_FRAMES_MAX: usize = 16_384;

/// Account messages that may wait.
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
    market: Consumer<StreamMessage>,
    account: Consumer<StreamMessage>,
    facts: mpsc::Receiver<Fact>,
}

impl Inputs {
    /// The queues, and the sinks of the market's and the account's stream.
    pub(crate) fn new(
        facts: mpsc::Receiver<Fact>,
        wake: &Wake,
    ) -> (Self, impl FrameSink + use<>, impl FrameSink + use<>) {
        let (market_in, market) = RingBuffer::new(MARKET_FRAMES_MAX);
        let (account_in, account) = RingBuffer::new(ACCOUNT_FRAMES_MAX);
        let inputs = Self {
            market,
            account,
            facts,
        };
        (
            inputs,
            sink(market_in, wake.clone()),
            sink(account_in, wake.clone()),
        )
    }

    /// When the next message was received; `None` when no stream has one.
    pub(crate) fn next_received(&self) -> Option<Timestamp> {
        let market = self.market.peek().ok().map(|message| message.ts_received);
        let account = self.account.peek().ok().map(|message| message.ts_received);
        match (market, account) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// The message received first; of two at one time, the account's.
    pub(crate) fn take_message(&mut self) -> Option<(Stream, StreamMessage)> {
        let market = self.market.peek().ok().map(|message| message.ts_received);
        let account = self.account.peek().ok().map(|message| message.ts_received);
        let from = match (market, account) {
            (None, None) => return None,
            (Some(market), Some(account)) if market < account => Stream::Market,
            (Some(_), None) => Stream::Market,
            _ => Stream::Account,
        };
        let message = match from {
            Stream::Market => self.market.pop(),
            Stream::Account => self.account.pop(),
        };
        message.ok().map(|message| (from, message))
    }

    /// The next fact, once no message of the account waits: what an answer says may be in those messages already.
    pub(crate) fn take_fact(&mut self) -> Option<Fact> {
        if self.account.is_empty() {
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
        !self.market.is_empty() || !self.account.is_empty() || !self.facts.is_empty()
    }

    /// How many messages wait: market, account.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.market.slots(), self.account.slots())
    }
}

fn sink(mut queue: Producer<StreamMessage>, wake: Wake) -> impl FrameSink {
    move |message| match queue.push(message) {
        Ok(()) => {
            wake.wake();
            Ok(())
        }
        Err(PushError::Full(message)) => Err(message),
    }
}

#[cfg(test)]
mod tests {
    use venues::StreamMessageKind;

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
            let facts_wait = inputs.account.is_empty();
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
}
