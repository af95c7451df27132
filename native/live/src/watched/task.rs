//! Keeps the streams of a watched venue up, in the tokio runtime.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use domain::Instrument;
use rtrb::Producer;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{error, info, warn};
use venues::clock::{Clock, ServerClock};
use venues::retry::{Backoff, Jitter};
use venues::{Instruments, MarketFeed, StalenessBounds, VenueError};

use super::event::WatchedEvent;
use super::reader::{Outlet, Reader};
use super::{Watched, is_of_the_file};
use crate::dead_man::Alarm;
use crate::fact::{Fact, FactSender};
use crate::inputs::watched_queue;
use crate::link::{AHEAD_MAX, Tape};
use crate::monitoring::Counters;
use crate::rules::{INTERVAL, changed};
use crate::wake::Wake;

/// First and longest pause before a venue that was not there is asked for its instruments again, wall time.
const ASK_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// One watched venue and who is told of it.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) watched: Watched,
    pub(crate) clock: Arc<ServerClock>,
    pub(crate) facts: FactSender,
    pub(crate) counters: Arc<Counters>,
    pub(crate) jitter: Jitter,
}

/// A venue being watched. When this is dropped, its streams end.
#[derive(Debug)]
pub(crate) struct Watching {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Watching {
    /// Begins in the current tokio runtime; `events` lead to the deciding thread, which `wake` wakes.
    pub(crate) fn begin(watch: Watch, events: Producer<WatchedEvent>, wake: Wake) -> Self {
        let (stop, stopped) = oneshot::channel();
        let outlet = Outlet { events, wake };
        let task = tokio::spawn(watch.run(outlet, stopped));
        Self { stop, task }
    }

    /// Closes its streams and waits for that.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        // One that failed has ended as well.
        let _ = self.task.await;
    }
}

impl Watch {
    async fn run(mut self, outlet: Outlet, stopped: oneshot::Receiver<()>) {
        let mut feed = None;
        tokio::select! {
            () = self.watch(outlet, &mut feed) => {}
            _ = stopped => {}
        }
        if let Some(feed) = feed {
            feed.stop().await;
        }
    }

    /// Until the service ends, or only a person can help.
    async fn watch(&mut self, outlet: Outlet, feed: &mut Option<MarketFeed>) {
        match self.begin(outlet, feed).await {
            Ok(instruments) => self.keep_rules_up(&instruments).await,
            Err(error) => {
                error!(venue = %self.watched.venue, %error, "a venue is not watched: put [[watch]] right and start again");
                let alarm = Alarm::NotWatched(self.watched.venue);
                // When nobody decides any more, nobody needs to know.
                let _ = self.facts.send(Fact::Alarm(alarm)).await;
            }
        }
    }

    /// Starts its streams, and a thread that reads them.
    async fn begin(
        &mut self,
        outlet: Outlet,
        feed: &mut Option<MarketFeed>,
    ) -> Result<Arc<Instruments>, VenueError> {
        let instruments = self.instruments().await?;
        let (venue, connector) = (self.watched.venue, &self.watched.connector);
        // Wakes the thread that reads.
        let wake = Wake::default();
        let (sink, messages) = watched_queue(&wake);
        let streams = connector.market_feed(&instruments, self.jitter.split(), Box::new(sink))?;
        let mut protocol = connector.market_protocol(&instruments, self.clock.service_span(AHEAD_MAX));
        protocol.set_staleness(StalenessBounds::on(&*self.clock));
        self.counters.streams.watch(streams.connections());
        let mut reader = Reader {
            venue,
            ids: self.watched.ids,
            protocol,
            requester: streams.requester(),
            tape: Tape::new(instruments.len()),
            instruments: Arc::clone(&instruments),
            clock: Arc::clone(&self.clock),
            counters: Arc::clone(&self.counters),
            outlet,
            was_unreadable: false,
        };
        *feed = Some(streams);
        let is_news = self.watched.told.is_none();
        let read = move || {
            if is_news {
                reader.tell_instruments();
            }
            reader.run(messages, &wake);
        };
        let thread = thread::Builder::new().name(format!("watch {venue}"));
        thread.spawn(read).map_err(|error| VenueError::Setting {
            setting: "watch",
            problem: format!("no thread to read {venue} on: {error}"),
        })?;
        Ok(instruments)
    }

    /// What the venue told at the start, or tells when it is there.
    async fn instruments(&mut self) -> Result<Arc<Instruments>, VenueError> {
        if let Some(told) = &self.watched.told {
            return Ok(Arc::clone(told));
        }
        let venue = self.watched.venue;
        let reference = self.watched.connector.reference();
        let mut backoff = Backoff::new(ASK_PAUSE.0, ASK_PAUSE.1, self.jitter.split());
        loop {
            self.counters.venues.of(venue).starts_failed.add_one();
            sleep(backoff.next_pause()).await;
            match self.watched.ask(&*reference).await {
                Ok(listed) => {
                    info!(%venue, "a watched venue is there");
                    return Instruments::new(listed).map(Arc::new);
                }
                Err(error) if is_of_the_file(&error) => return Err(error),
                Err(error) => warn!(%venue, %error, "a watched venue is not there"),
            }
        }
    }

    /// Tells the deciding thread of rules that changed, for ever.
    async fn keep_rules_up(&self, instruments: &Instruments) {
        let venue = self.watched.venue;
        let reference = self.watched.connector.reference();
        let mut known: Vec<Instrument> = instruments.iter().copied().collect();
        loop {
            sleep(INTERVAL).await;
            match self.watched.ask(&*reference).await {
                Ok(fresh) => {
                    for own in changed(&known, &fresh) {
                        let instrument = self.watched.ids.instrument(&own);
                        // When nobody decides any more, nobody needs to know.
                        let _ = self.facts.send(Fact::Rules(Box::new(instrument))).await;
                    }
                    known = fresh;
                }
                Err(error) => warn!(%venue, %error, "the rules of a watched venue could not be asked for"),
            }
        }
    }
}
