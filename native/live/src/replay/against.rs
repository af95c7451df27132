//! A run of the service, from its record: how it began, and what its first life decided.

use std::path::Path;

use domain::{Bar, BundleDigest, InstrumentId, MarketEvent, Timestamp, Venue};
use engine::{BundleActivated, EngineConfig, EventBody};
use journal::codec::{RecordedAction, decode_action};
use journal::{JournalError, Reader, RecordBody, Scale};

use super::decisions::{Decisions, venue_time};
use crate::error::LiveError;
use crate::journal_record::FOLDER;
use crate::record::RecordFault;

/// The first life of a run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) config: EngineConfig,
    pub(super) scale: Scale,
    pub(super) activation: BundleActivated,
    /// What came from beside the market, in its order.
    pub(super) given: Vec<Given>,
    /// The first venue time that the market told the bundle.
    pub(super) first_heard: Option<Timestamp>,
    pub(super) decisions: Decisions,
}

/// What a recording of the market does not hold, and where it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    /// The latest venue time that the market had told; `None`: it had told nothing.
    pub(super) after: Option<Timestamp>,
    pub(super) what: Beside,
}

/// What comes from beside the market.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beside {
    /// A bar that the venue was asked for: of before, or of a hole in what was heard.
    Bar(Bar),
    /// The bundle begins.
    Activation,
}

impl Run {
    /// Reads the first life of a run in which this bundle ran, trading at this venue. What it watched beside is left out: a
    /// recording of the venue does not hold it, and nothing was decided by it.
    pub(super) fn read(folder: &Path, bundle: BundleDigest, venue: Venue) -> Result<Self, LiveError> {
        let dir = folder.join(FOLDER);
        read(&dir, bundle, venue)
            .map_err(|error| damaged(&error))?
            .ok_or_else(|| {
                let problem = format!("in the first life of {} this bundle never ran", folder.display());
                LiveError::Replay(problem)
            })
    }
}

/// Whether an event is no other venue's market.
fn is_of(venue: Venue, config: &EngineConfig, body: &EventBody<'_>) -> bool {
    let at = |id: InstrumentId| {
        let listed = config.instruments.get(usize::from(id.0));
        listed.is_none_or(|listed| listed.venue == venue)
    };
    match body {
        EventBody::Market(market) => match market {
            MarketEvent::Book(update) => at(update.instrument),
            MarketEvent::BookInvalid(invalid) => at(invalid.instrument),
            MarketEvent::Trade(trade) => at(trade.instrument),
            MarketEvent::Quote(quote) => at(quote.instrument),
            MarketEvent::InstrumentUpdated(instrument) => instrument.venue == venue,
            MarketEvent::VenueStatus(status) => status.venue == venue,
        },
        EventBody::TradesComplete { instrument, .. } => at(*instrument),
        _ => true,
    }
}

fn damaged(error: &JournalError) -> LiveError {
    LiveError::Record(RecordFault {
        text: error.to_string(),
        is_final: true,
    })
}

fn read(dir: &Path, bundle: BundleDigest, venue: Venue) -> Result<Option<Run>, JournalError> {
    let mut reader = Reader::open(dir)?;
    let mut run: Option<(EngineConfig, Scale)> = None;
    let (mut given, mut activated, mut decisions) = (Vec::new(), None, Decisions::default());
    let (mut ts, mut first_heard) = (Timestamp::EPOCH, None);
    loop {
        let format = reader.format();
        let Some(record) = reader.next_record()? else {
            break;
        };
        match record.body {
            RecordBody::Header(_) if run.is_some() => break,
            RecordBody::Header(header) => {
                run = Some((header.config.clone(), Scale::from_texts(&header.texts)));
            }
            RecordBody::Event(event) => {
                let own = run
                    .as_ref()
                    .is_some_and(|(config, _)| is_of(venue, config, &event.body));
                if !own {
                    continue;
                }
                let what = match event.body {
                    // What follows is the end's, not the market's.
                    EventBody::Ending => break,
                    EventBody::HistoricalBar(bar) => Some(Beside::Bar(bar)),
                    EventBody::BundleActivated(activation)
                        if activation.digest == bundle && activated.is_none() =>
                    {
                        activated = Some(activation);
                        Some(Beside::Activation)
                    }
                    _ => None,
                };
                if let (Some(_), EventBody::Market(market)) = (activated, &event.body) {
                    first_heard = first_heard.or(venue_time(market));
                }
                let after = decisions.market_time;
                given.extend(what.map(|what| Given { after, what }));
                ts = event.ts;
                decisions.event(&event);
            }
            RecordBody::Action => {
                match decode_action(format, record.payload) {
                    Ok(RecordedAction::Submitted(order)) => decisions.submitted(ts, &order),
                    Ok(RecordedAction::Amended(amend)) => decisions.amended(&amend),
                    Ok(RecordedAction::Other(action)) => decisions.action(&action),
                    // Of another build's codec: it may have been for the venue.
                    Err(_) => decisions.unreadable += 1,
                }
            }
        }
    }
    let (Some((config, scale)), Some(activation)) = (run, activated) else {
        return Ok(None);
    };
    Ok(Some(Run {
        config,
        scale,
        activation,
        given,
        first_heard,
        decisions,
    }))
}
