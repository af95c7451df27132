//! A recording through the engine that trades: link, driver, egress and the simulated venue as the service has them, in
//! the recording's own time.

mod against;
mod decisions;
mod difference;
mod player;
mod report;
mod rules;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::{BundleDigest, Epoch, Instrument, InstrumentId, SlotId, Timestamp};
use engine::{BundleActivated, EngineConfig, SlotProgram};
use feed::Progress;
use feed::playback::Recorded;
use journal::Scale;
use venues::Instruments;

use crate::error::LiveError;
use crate::programs::Programs;
use crate::setup::Setup;
use crate::wiring::engine_config;

use against::Run;
use player::Player;

pub use report::ReplayReport;

/// A recorded time counts from no approval: what is approved today runs through all of it.
const NEVER: Timestamp = Timestamp::from_nanos(i64::MAX);

/// What is to be played.
#[derive(Debug)]
pub struct ReplayRequest<'a> {
    /// The service's configuration: limits, capital, bundles, the simulated gateway.
    pub setup: &'a Setup,
    /// Recordings of one wire.
    pub files: &'a [PathBuf],
    /// What trades.
    pub bundle: BundleDigest,
    /// The folder of a run to begin as (rules, history, the place of the activation) and to compare with.
    pub run: Option<&'a Path>,
}

/// What is known before anything is played.
struct Beginning {
    config: EngineConfig,
    scale: Scale,
    activation: BundleActivated,
    program: SlotProgram,
}

/// Plays a recording through the engine, fills from the simulated gateway; tells how far it is.
///
/// # Errors
/// [`LiveError::Replay`] for what cannot be played, [`LiveError::Record`] for a run whose record is damaged.
pub async fn replay(
    request: &ReplayRequest<'_>,
    programs: &dyn Programs,
    tell: &mut dyn FnMut(Progress),
) -> Result<ReplayReport, LiveError> {
    let recorded = Recorded::open(request.files, tell).map_err(refused)?;
    let venue = request.setup.service.config.venue.venue;
    if recorded.wire().venue() != venue {
        let problem = format!(
            "the recording is of {}, and [venue] name is {venue}",
            recorded.wire()
        );
        return Err(LiveError::Replay(problem));
    }
    let run = request
        .run
        .map(|folder| Run::read(folder, request.bundle, venue))
        .transpose()?;
    let beginning = begin(request, &recorded, run.as_ref(), programs, tell)?;
    let (wire, span, torn) = (recorded.wire(), recorded.span(), recorded.torn());
    // What a run watched beside is in no recording of this venue, and decided nothing.
    let own = beginning
        .config
        .instruments
        .iter()
        .filter(|one| one.venue == venue);
    let instruments = Arc::new(Instruments::new(own.copied().collect())?);
    let playback = recorded.play(&instruments).map_err(refused)?;
    let slot = beginning.activation.slot;
    let player = Player::new(request.setup, &beginning, &instruments, playback, span.0)?;
    let played = player.play(beginning, run.as_ref(), tell).await?;
    Ok(ReplayReport::new(
        wire.as_str(),
        span,
        (slot, request.bundle),
        played,
        torn,
        run.as_ref(),
    ))
}

fn refused(error: impl std::fmt::Display) -> LiveError {
    LiveError::Replay(error.to_string())
}

/// As the run began, or as the configuration says, with rules that the recording shows.
fn begin(
    request: &ReplayRequest<'_>,
    recorded: &Recorded,
    run: Option<&Run>,
    programs: &dyn Programs,
    tell: &mut dyn FnMut(Progress),
) -> Result<Beginning, LiveError> {
    let Some(run) = run else {
        return begin_anew(request, recorded, programs, tell);
    };
    let venue = recorded.wire().venue();
    for instrument in run.config.instruments.iter().filter(|one| one.venue == venue) {
        listed(recorded, instrument.symbol.as_str())?;
    }
    let program = programs.recorded(&run.activation, &run.config).map_err(refused)?;
    Ok(Beginning {
        config: run.config.clone(),
        scale: run.scale,
        activation: run.activation,
        program: SlotProgram {
            limits: run.scale.limits(program.limits),
            ..program
        },
    })
}

fn begin_anew(
    request: &ReplayRequest<'_>,
    recorded: &Recorded,
    programs: &dyn Programs,
    tell: &mut dyn FnMut(Progress),
) -> Result<Beginning, LiveError> {
    let config = &request.setup.service.config;
    let choices = config.instruments.iter().zip(0..);
    let instruments = choices.map(|(choice, id)| {
        let found = listed(recorded, &choice.symbol)?;
        Ok(Instrument {
            id: InstrumentId(id),
            ..*found
        })
    });
    let instruments = instruments.collect::<Result<Vec<_>, LiveError>>()?;
    let instruments = rules::shown(request.files, instruments, tell).map_err(refused)?;
    let instruments = Instruments::new(instruments)?;
    let mut refusals = Vec::new();
    for slot in &config.slots {
        let Some(instrument) = instruments.iter().nth(slot.instrument) else {
            continue;
        };
        match programs.approved(slot.slot, instrument, request.bundle) {
            Ok(approved) => {
                let activation = BundleActivated {
                    slot: slot.slot,
                    digest: request.bundle,
                    serial: approved.about.serial,
                    expires: NEVER,
                };
                return Ok(Beginning {
                    config: engine_config(request.setup, Epoch(1), instruments.iter().copied().collect()),
                    scale: Scale::new(venues::clock::REAL_TIME_PPB),
                    activation,
                    program: approved.program,
                });
            }
            Err(refusal) => refusals.push(refusal.to_string()),
        }
    }
    Err(LiveError::Replay(refusals.join("; ")))
}

fn listed<'a>(recorded: &'a Recorded, symbol: &str) -> Result<&'a Instrument, LiveError> {
    let known = recorded.instruments();
    known
        .iter()
        .find(|instrument| instrument.symbol.as_str() == symbol)
        .ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|one| one.symbol.as_str()).collect();
            LiveError::Replay(format!(
                "the recording does not speak of {symbol}, only of {}",
                names.join(", ")
            ))
        })
}

/// For messages: which slot a bundle ran in.
type Ran = (SlotId, BundleDigest);
