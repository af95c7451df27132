//! A run of the service, from its record: how it began, and what its first life decided.

use std::path::Path;

use domain::{Bar, BundleDigest, Timestamp};
use engine::{BundleActivated, EngineConfig, EventBody};
use journal::codec::{RecordedAction, decode_action};
use journal::{JournalError, Reader, RecordBody, Scale};

use super::decisions::{Decided, Decisions};
use crate::error::LiveError;
use crate::journal_record::FOLDER;
use crate::record::RecordFault;

/// The first life of a run.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) config: EngineConfig,
    pub(super) scale: Scale,
    /// Bars that were there before the market spoke.
    pub(super) history: Vec<Bar>,
    pub(super) activation: BundleActivated,
    /// The latest venue time that the market had told when the bundle was activated; `None`: it had told nothing.
    pub(super) activated_after: Option<Timestamp>,
    pub(super) decisions: Decisions,
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

    /// Where a replay first decides or fills otherwise than the run, over the time of the market that both heard. Times
    /// are not compared: they are those of two receivers.
    pub(super) fn first_difference(&self, replayed: &Decisions) -> Option<String> {
        let until = self.decisions.market_time.min(replayed.market_time);
        let (ours, theirs) = (replayed.until(until), self.decisions.until(until));
        for (number, (ours, theirs)) in (1..).zip(ours.iter().zip(&theirs)) {
            let differs =
                order_difference(ours, theirs).or_else(|| self.fill_difference(replayed, ours, theirs));
            if let Some(what) = differs {
                return Some(format!("order {number}: {what}"));
            }
        }
        let (ours, theirs) = (ours.len(), theirs.len());
        (ours != theirs).then(|| format!("the run sent {theirs} orders in that time, the replay {ours}"))
    }

    /// In what the fills of an order that ended in both differ.
    fn fill_difference(&self, replayed: &Decisions, ours: &Decided, theirs: &Decided) -> Option<String> {
        if !ours.status.is_terminal() || !theirs.status.is_terminal() {
            return None;
        }
        let fills = |decisions: &Decisions| {
            let its = decisions.fills.iter();
            let its = its.filter(|fill| fill.client_order_id == Some(ours.request.client_order_id));
            its.map(|fill| {
                (
                    fill.fill.price,
                    fill.fill.quantity,
                    fill.fill.fee,
                    fill.fill.liquidity,
                )
            })
            .collect::<Vec<_>>()
        };
        let (ours, theirs) = (fills(replayed), fills(&self.decisions));
        (ours != theirs).then(|| format!("run filled {theirs:?}, replay {ours:?}"))
    }
}

/// In what two orders differ, times aside: they are those of two clocks.
fn order_difference(ours: &Decided, theirs: &Decided) -> Option<String> {
    if ours.request != theirs.request {
        return Some(format!("run {:?}, replay {:?}", theirs.request, ours.request));
    }
    // What was open when one of the two ended has no end to compare.
    let both_ended = ours.status.is_terminal() && theirs.status.is_terminal();
    let ends = |order: &Decided| (order.status, order.filled);
    (both_ended && ends(ours) != ends(theirs)).then(|| {
        format!(
            "it ended as {:?} in the run, as {:?} in the replay",
            ends(theirs),
            ends(ours)
        )
    })
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
    let (mut history, mut activated, mut decisions) = (Vec::new(), None, Decisions::default());
    let mut ts = Timestamp::EPOCH;
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
                match event.body {
                    // What follows is the end's, not the market's.
                    EventBody::Ending => break,
                    EventBody::HistoricalBar(bar) if decisions.market_time.is_none() => history.push(bar),
                    EventBody::BundleActivated(activation) if activation.digest == bundle => {
                        activated.get_or_insert((activation, decisions.market_time));
                    }
                    _ => {}
                }
                ts = event.ts;
                decisions.event(&event);
            }
            RecordBody::Action => {
                // An action of another build's codec tells nothing here.
                match decode_action(format, record.payload) {
                    Ok(RecordedAction::Submitted(order)) => decisions.submitted(ts, &order),
                    Ok(RecordedAction::Other(action)) => decisions.action(&action),
                    Ok(RecordedAction::Amended(_)) | Err(_) => {}
                }
            }
        }
    }
    let (Some((config, scale)), Some((activation, activated_after))) = (run, activated) else {
        return Ok(None);
    };
    Ok(Some(Run {
        config,
        scale,
        history,
        activation,
        activated_after,
        decisions,
    }))
}
