//! Both streams of a venue, each read by its protocol, with every message that is not what this build expects.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{ClientOrderId, InstrumentId, Level, MarketEvent, OrderReportKind, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use venues::backlog::Backlog;
use venues::sequencer::SequencerStatistics;
use venues::{
    AccountEvent, AccountFeed, AccountProtocol, Aside, FrameSink, MarketFeed, MarketProtocol,
    ResyncRequester, StreamMessage, StreamMessageKind, WireStatistics,
};

use crate::certificate::Difference;
use crate::wire::Wire;
use crate::words::Words;

/// Messages between a socket and its reader; `venues::backlog::WAITING_BYTES_MAX` bounds their bytes. Beyond either the
/// stream is given up as overrun, which the reader is told.
const QUEUED_MAX: usize = 65_536;

/// Differences of one stream, and events of an account, that are kept.
const DIFFERENCES_MAX: usize = 100;
/// Those of one kind among them.
const ALIKE_MAX: usize = 5;
const EVENTS_MAX: usize = 10_000;

/// Kinds of messages that only the slow reader reads: they come once for each connection or each few seconds, not once for
/// each change.
const RARE_KINDS: [&str; 6] = [
    "acknowledgement",
    "subscriptions",
    "status",
    "heartbeat",
    "heartbeats",
    "pong",
];

/// What a protocol calls a kind that it does not know.
const UNKNOWN_KIND: &str = "other";

/// A bounded queue from a socket to its reader; handshakes are compared on the way.
pub(crate) fn queue(stream: &'static str, wire: &Wire) -> (Box<dyn FrameSink>, Inbox) {
    let (sender, messages) = mpsc::channel(QUEUED_MAX);
    let backlog = Backlog::default();
    let sink = Sink {
        sender,
        backlog: backlog.clone(),
        stream,
        wire: wire.clone(),
    };
    (Box::new(sink), Inbox { messages, backlog })
}

/// The taking end of such a queue.
#[derive(Debug)]
pub(crate) struct Inbox {
    messages: mpsc::Receiver<StreamMessage>,
    backlog: Backlog,
}

impl Inbox {
    async fn next(&mut self) -> Option<StreamMessage> {
        let message = self.messages.recv().await?;
        self.backlog.give_back(message.bytes());
        Some(message)
    }
}

struct Sink {
    sender: mpsc::Sender<StreamMessage>,
    backlog: Backlog,
    stream: &'static str,
    wire: Wire,
}

impl FrameSink for Sink {
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        let bytes = message.bytes();
        if !self.backlog.take_room(bytes) {
            return Err(message);
        }
        self.sender.try_send(message).map_err(|refused| {
            self.backlog.give_back(bytes);
            refused.into_inner()
        })
    }

    fn overhear(&mut self, _: Timestamp, aside: Aside<'_>) {
        if let Aside::Handshake(message) = aside {
            self.wire.message(self.stream, message);
        }
    }
}

/// Differences, bounded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Odd(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    all: Vec<Difference>,
    /// How many had no room.
    left_out: u64,
}

impl Odd {
    fn add(&self, difference: Difference) {
        self.keep(difference, ALIKE_MAX);
    }

    /// Adds it unless one like it is there.
    pub(crate) fn add_once(&self, difference: Difference) {
        self.keep(difference, 1);
    }

    fn keep(&self, difference: Difference, alike_max: usize) {
        let mut kept = self.lock();
        let is_like = |one: &&Difference| one.what == difference.what && one.place == difference.place;
        if kept.all.iter().filter(is_like).count() >= alike_max {
            return;
        }
        if kept.all.len() < DIFFERENCES_MAX {
            kept.all.push(difference);
        } else {
            kept.left_out += 1;
        }
    }

    pub(crate) fn all(&self) -> Vec<Difference> {
        let kept = self.lock();
        let mut all = kept.all.clone();
        if kept.left_out > 0 {
            let what = format!("{} more differences were not kept", kept.left_out);
            all.push(Difference::new("whole tour", what, ""));
        }
        all
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text_of(message: &StreamMessage) -> String {
    match &message.kind {
        StreamMessageKind::Frame(bytes) | StreamMessageKind::Snapshot { body: bytes, .. } => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        other => format!("{other:?}"),
    }
}

/// What the market's streams have told of one instrument.
#[derive(Debug, Clone, Default)]
pub(crate) struct MarketSeen {
    pub(crate) is_synchronized: bool,
    pub(crate) best: (Option<Level>, Option<Level>),
    pub(crate) wire: WireStatistics,
    pub(crate) book: SequencerStatistics,
}

impl MarketSeen {
    /// How often the book was proven: by the venue's checksums or an independent best level, and where the wire has
    /// neither, by the numbers of its messages.
    pub(crate) fn proofs(&self) -> u64 {
        let against = self.book.checksums_right + self.book.best_compared - self.book.best_mismatches;
        if against > 0 {
            against
        } else {
            self.book.diffs_applied
        }
    }
}

/// The market's streams, running.
#[derive(Debug)]
pub(crate) struct MarketWatch {
    feed: MarketFeed,
    task: JoinHandle<()>,
    seen: watch::Receiver<MarketSeen>,
    pub(crate) odd: Odd,
}

/// The place in a certificate of what the market's streams told.
pub(crate) const MARKET: &str = "market streams";
/// The same of the account's.
pub(crate) const ACCOUNT: &str = "account stream";

impl MarketWatch {
    pub(crate) fn spawn(
        feed: MarketFeed,
        inbox: Inbox,
        protocol: Box<dyn MarketProtocol>,
        (words, wire): (Words, Wire),
    ) -> Self {
        let (tell, seen) = watch::channel(MarketSeen::default());
        let odd = Odd::default();
        let reader = MarketReader {
            protocol,
            words,
            wire,
            odd: odd.clone(),
        };
        let task = tokio::spawn(reader.run(inbox, feed.requester(), tell));
        Self {
            feed,
            task,
            seen,
            odd,
        }
    }

    /// Waits until what was told is enough.
    pub(crate) async fn until(&self, enough: impl FnMut(&MarketSeen) -> bool) -> Option<MarketSeen> {
        let mut seen = self.seen.clone();
        let found = seen.wait_for(enough).await.ok()?;
        Some(found.clone())
    }

    pub(crate) fn seen(&self) -> MarketSeen {
        self.seen.borrow().clone()
    }

    pub(crate) async fn stop(self) {
        self.task.abort();
        self.feed.stop().await;
    }
}

/// Whose book is toured: the session has one instrument.
const TOURED: InstrumentId = InstrumentId(0);

struct MarketReader {
    protocol: Box<dyn MarketProtocol>,
    words: Words,
    wire: Wire,
    odd: Odd,
}

impl MarketReader {
    async fn run(mut self, mut inbox: Inbox, requester: ResyncRequester, tell: watch::Sender<MarketSeen>) {
        let mut before = WireStatistics::default();
        while let Some(message) = inbox.next().await {
            self.read(&message, &mut before);
            requester.pass_on(&mut *self.protocol);
            let seen = MarketSeen {
                is_synchronized: self.protocol.is_synchronized(TOURED),
                best: self.protocol.best(TOURED),
                wire: before.clone(),
                book: self.protocol.book_statistics(TOURED).unwrap_or_default(),
            };
            tell.send_replace(seen);
        }
    }

    fn read(&mut self, message: &StreamMessage, before: &mut WireStatistics) {
        if let StreamMessageKind::Frame(bytes) = &message.kind {
            self.wire.message(MARKET, bytes);
        }
        let stood = self.protocol.is_synchronized(TOURED);
        let unknown = self.words.unknown();
        let mut given_up = Vec::new();
        let read = self.protocol.on_message(message, &mut |event| {
            if let MarketEvent::BookInvalid(invalid) = event {
                given_up.push(invalid.reason);
            }
        });
        let after = self.protocol.wire_statistics();
        let mut odd = Vec::new();
        if let Err(error) = read {
            odd.push(error.to_string());
        }
        odd.extend(strange(before, &after).map(str::to_owned));
        if self.words.unknown() > unknown {
            odd.push("a word that this build does not know".to_owned());
        }
        if stood {
            odd.extend(
                given_up
                    .iter()
                    .map(|reason| format!("the book was given up: {reason:?}")),
            );
        }
        for what in odd {
            let text = self.words.redaction().text(&text_of(message));
            self.odd.add(Difference::new(MARKET, what, &text));
        }
        *before = after;
    }
}

/// What the counters say of the one message between them.
fn strange(before: &WireStatistics, after: &WireStatistics) -> Option<&'static str> {
    let count = |wire: &WireStatistics, kind| {
        let found = wire.kinds.iter().find(|(name, _)| *name == kind);
        found.map_or(0, |(_, count)| *count)
    };
    let has_grown = |kind| count(after, kind) > count(before, kind);
    if has_grown(UNKNOWN_KIND) {
        return Some("a kind that this build does not know");
    }
    if after.unknown_symbols > before.unknown_symbols {
        return Some("of a symbol that was not asked for");
    }
    let is_rare = RARE_KINDS.into_iter().any(has_grown);
    (after.fallbacks > before.fallbacks && after.malformed == before.malformed && !is_rare)
        .then_some("only the slow reader could read it")
}

/// What the account's stream has told.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccountSeen {
    pub(crate) is_up: bool,
    pub(crate) events: Vec<AccountEvent>,
}

impl AccountSeen {
    /// What it told of one of our orders.
    pub(crate) fn of(&self, id: ClientOrderId) -> impl Iterator<Item = OrderReportKind> {
        self.events.iter().filter_map(move |event| match event {
            AccountEvent::Order(report) if report.client_order_id == id => Some(report.kind),
            _ => None,
        })
    }
}

/// The account's stream, running.
#[derive(Debug)]
pub(crate) struct AccountWatch {
    feed: AccountFeed,
    task: JoinHandle<()>,
    seen: watch::Receiver<AccountSeen>,
    pub(crate) odd: Odd,
}

impl AccountWatch {
    pub(crate) fn spawn(
        feed: AccountFeed,
        inbox: Inbox,
        protocol: Box<dyn AccountProtocol>,
        (words, wire): (Words, Wire),
    ) -> Self {
        let (tell, seen) = watch::channel(AccountSeen::default());
        let odd = Odd::default();
        let task = tokio::spawn(read_account(inbox, protocol, (words, wire), odd.clone(), tell));
        Self {
            feed,
            task,
            seen,
            odd,
        }
    }

    /// Waits until what was told is enough.
    pub(crate) async fn until(&self, enough: impl FnMut(&AccountSeen) -> bool) -> Option<AccountSeen> {
        let mut seen = self.seen.clone();
        let found = seen.wait_for(enough).await.ok()?;
        Some(found.clone())
    }

    pub(crate) fn seen(&self) -> AccountSeen {
        self.seen.borrow().clone()
    }

    pub(crate) async fn stop(self) {
        self.task.abort();
        self.feed.stop().await;
    }
}

async fn read_account(
    mut inbox: Inbox,
    mut protocol: Box<dyn AccountProtocol>,
    (words, wire): (Words, Wire),
    odd: Odd,
    tell: watch::Sender<AccountSeen>,
) {
    while let Some(message) = inbox.next().await {
        if let StreamMessageKind::Frame(bytes) = &message.kind {
            wire.message(ACCOUNT, bytes);
        }
        let unknown = words.unknown();
        let mut events = Vec::new();
        let read = protocol.on_message(&message, &mut |event| events.push(event));
        let mut what = Vec::new();
        if let Err(error) = read {
            what.push(error.to_string());
        }
        if words.unknown() > unknown {
            what.push("a word that this build does not know".to_owned());
        }
        if events.contains(&AccountEvent::Down) {
            what.push("the stream went down".to_owned());
        }
        for what in what {
            let text = words.redaction().text(&text_of(&message));
            odd.add(Difference::new(ACCOUNT, what, &text));
        }
        tell.send_modify(|seen| {
            for event in events {
                match event {
                    AccountEvent::Up => seen.is_up = true,
                    AccountEvent::Down => seen.is_up = false,
                    _ => {}
                }
                if seen.events.len() < EVENTS_MAX {
                    seen.events.push(event);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use venues::StreamMessageKind::{Connected, Frame};
    use venues::backlog::WAITING_BYTES_MAX;

    use super::*;

    #[tokio::test]
    async fn a_queue_is_bounded_in_bytes_and_has_room_again_once_they_are_read() {
        let wire = Wire::default();
        let (mut sink, mut inbox) = queue(MARKET, &wire);
        let ts_received = Timestamp::EPOCH;
        let mut deliver = |kind| sink.try_deliver(StreamMessage { ts_received, kind });
        deliver(Frame(vec![b' '; WAITING_BYTES_MAX].into())).unwrap();
        assert!(deliver(Frame(vec![b' '].into())).is_err());
        deliver(Connected).unwrap();
        assert_eq!(inbox.next().await.unwrap().bytes(), WAITING_BYTES_MAX);
        deliver(Frame(vec![b' '].into())).unwrap();
    }
}
