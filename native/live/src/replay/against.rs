//! A run of the service, from its record: how it began, and what its first life decided.

use std::path::Path;

use domain::{Bar, BundleDigest, Timestamp};
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
    /// Reads the first life of a run in which this bundle ran.
    pub(super) fn read(folder: &Path, bundle: BundleDigest) -> Result<Self, LiveError> {
        let dir = folder.join(FOLDER);
        read(&dir, bundle)
            .map_err(|error| damaged(&error))?
            .ok_or_else(|| {
                let problem = format!("in the first life of {} this bundle never ran", folder.display());
                LiveError::Replay(problem)
            })
    }
}

fn damaged(error: &JournalError) -> LiveError {
    LiveError::Record(RecordFault {
        text: error.to_string(),
        is_final: true,
    })
}

fn read(dir: &Path, bundle: BundleDigest) -> Result<Option<Run>, JournalError> {
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
