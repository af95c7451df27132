//! The thread that reads one watched venue's messages: what takes long to parse there holds up nobody's decisions.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use domain::{MarketEvent, Nanos, Timestamp, Venue, VenueState, VenueStatus};
use rtrb::{Producer, PushError};
use tracing::{info, warn};
use venues::clock::{Clock, ServerClock};
use venues::{Instruments, MarketProtocol, ResyncRequester, StreamMessage, StreamMessageKind};

use super::Ids;
use super::event::WatchedEvent;
use crate::inputs::Frames;
use crate::link::{AHEAD_MAX, Tape};
use crate::monitoring::Counters;
use crate::monitoring::venues::VenueCounters;
use crate::wake::Wake;

/// Longest sleep.
const REST_MAX: Duration = Duration::from_millis(100);

/// Pause before room is looked for again where the deciding thread has taken nothing yet.
const FULL_PAUSE: Duration = Duration::from_millis(1);

/// Where events go: a bounded queue of the deciding thread.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) events: Producer<WatchedEvent>,
    /// Wakes the deciding thread.
    pub(super) wake: Wake,
}

/// The deciding thread is gone.
#[derive(Debug)]
struct Gone;

impl Outlet {
    /// Waits for room: nothing that a venue's reader says may be left out.
    fn put(&mut self, mut event: WatchedEvent) -> Result<(), Gone> {
        loop {
            match self.events.push(event) {
                Ok(()) => {
                    self.wake.wake();
                    return Ok(());
                }
                Err(PushError::Full(_)) if self.events.is_abandoned() => return Err(Gone),
                Err(PushError::Full(back)) => event = back,
            }
            thread::sleep(FULL_PAUSE);
        }
    }
}

/// Reads and sequences the market of one venue that is not traded at.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) venue: Venue,
    pub(super) ids: Ids,
    /// By their own ids.
    pub(super) instruments: Arc<Instruments>,
    pub(super) protocol: Box<dyn MarketProtocol>,
    pub(super) requester: ResyncRequester,
    pub(super) tape: Tape,
    pub(super) clock: Arc<ServerClock>,
    pub(super) counters: Arc<Counters>,
    pub(super) outlet: Outlet,
    /// The message before could not be read: the log has said so.
    pub(super) was_unreadable: bool,
}

impl Reader {
    /// Says what the instruments are, for an engine that does not know.
    pub(super) fn tell_instruments(&mut self) {
        let received = self.clock.now();
        for own in self.instruments.iter() {
            let event = MarketEvent::InstrumentUpdated(*own);
            // Whoever decided is gone: the first message ends this as well.
            let _ = self.outlet.put(WatchedEvent::of(received, event, self.ids));
        }
    }

    /// Reads until the stream is closed, or nobody decides any more.
    pub(super) fn run(mut self, mut messages: Frames, wake: &Wake) {
        loop {
            let Some(message) = messages.take() else {
                if messages.is_abandoned() {
                    return;
                }
                wake.rest(REST_MAX, || !messages.is_empty() || messages.is_abandoned());
                continue;
            };
            if self.on_message(&message).is_err() {
                return;
            }
            let stand = self.instruments.iter();
            let stand = stand.filter(|own| self.protocol.is_synchronized(own.id)).count();
            let counted = self.counted();
            counted.books.set(stand as u64);
            counted.waiting.set(messages.waiting().messages as u64);
        }
    }

    fn on_message(&mut self, message: &StreamMessage) -> Result<(), Gone> {
        self.counted().messages.add_one();
        let received = message.ts_received;
        self.read(message)?;
        match &message.kind {
            StreamMessageKind::Connected => {
                self.tape.begin();
                self.tell_complete(received)?;
                self.tell_status(VenueState::Online, received)?;
            }
            StreamMessageKind::Disconnected(reason) => {
                warn!(venue = %self.venue, ?reason, "the stream of a watched market is down");
                self.tell_status(VenueState::Offline, received)?;
            }
            StreamMessageKind::Frame(_) | StreamMessageKind::Snapshot { .. } => {}
        }
        self.requester.pass_on(&mut *self.protocol);
        Ok(())
    }

    fn read(&mut self, message: &StreamMessage) -> Result<(), Gone> {
        let Self {
            protocol,
            tape,
            outlet,
            ids,
            counters,
            venue,
            ..
        } = self;
        let (received, ids) = (message.ts_received, *ids);
        let counted = counters.venues.of(*venue);
        let mut put = Ok(());
        let read = protocol.on_message(message, &mut |own| {
            if let MarketEvent::BookInvalid(_) = own {
                counted.books_given_up.add_one();
            }
            let hole = match &own {
                MarketEvent::Trade(trade) if tape.follows_a_hole(trade) => {
                    // Bars that the hole reaches into are short of what traded there.
                    let since = trade.ts_event.plus(Nanos(1));
                    Some(WatchedEvent::complete(
                        received,
                        ids.here(trade.instrument),
                        since,
                    ))
                }
                _ => None,
            };
            let events = hole.into_iter().chain([WatchedEvent::of(received, own, ids)]);
            for event in events {
                if put.is_ok() {
                    put = outlet.put(event);
                }
            }
        });
        put?;
        let Err(error) = read else {
            self.was_unreadable = false;
            return Ok(());
        };
        self.counted().unreadable.add_one();
        if !self.was_unreadable {
            warn!(venue = %self.venue, %error, "message of a watched market: the next ones like it are only counted");
        }
        self.was_unreadable = true;
        // It may have been a trade.
        self.tell_complete(received)
    }

    /// Every trade from now on is seen, as far as the service's clock can say of another venue's.
    fn tell_complete(&mut self, received: Timestamp) -> Result<(), Gone> {
        let since = received.plus(self.clock.service_span(AHEAD_MAX));
        for own in self.instruments.iter() {
            let instrument = self.ids.here(own.id);
            self.outlet
                .put(WatchedEvent::complete(received, instrument, since))?;
        }
        Ok(())
    }

    fn tell_status(&mut self, state: VenueState, received: Timestamp) -> Result<(), Gone> {
        let venue = self.venue;
        let online = state == VenueState::Online;
        info!(%venue, online, "watched venue");
        self.counted().online.set(u64::from(online));
        self.outlet
            .put(WatchedEvent::status(received, VenueStatus { venue, state }))
    }

    fn counted(&self) -> &VenueCounters {
        self.counters.venues.of(self.venue)
    }
}

#[cfg(test)]
mod tests {
    use domain::InstrumentId;
    use rtrb::RingBuffer;

    use super::*;

    fn event(ns: i64) -> WatchedEvent {
        let at = Timestamp::from_nanos(ns);
        WatchedEvent::complete(at, InstrumentId(1), at)
    }

    #[test]
    fn a_full_queue_is_waited_for_and_nothing_is_left_out() {
        let (events, mut taken) = RingBuffer::new(2);
        let mut outlet = Outlet {
            events,
            wake: Wake::default(),
        };
        let putting = thread::spawn(move || {
            for ns in 0..50 {
                outlet.put(event(ns)).unwrap();
            }
        });
        let mut seen = Vec::new();
        while seen.len() < 50 {
            match taken.pop() {
                Ok(event) => seen.push(event.received.nanos()),
                Err(_) => thread::yield_now(),
            }
        }
        putting.join().unwrap();
        assert_eq!(seen, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn nobody_who_decides_ends_the_wait() {
        let (events, taken) = RingBuffer::new(1);
        let mut outlet = Outlet {
            events,
            wake: Wake::default(),
        };
        outlet.put(event(0)).unwrap();
        let putting = thread::spawn(move || outlet.put(event(1)).is_err());
        drop(taken);
        assert!(putting.join().unwrap());
    }
}
