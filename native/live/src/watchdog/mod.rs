//! `py_rt_live --watchdog`: cancels the orders of a service that has fallen silent, with a key of its own.
//!
//! For venues without a timer that does it. It watches the rounds of the service's deciding thread through the control
//! socket, so that a service that is dead, stopped or hung is one that is silent. After the configured time it looks at the
//! venue and cancels what carries an id of that life or an earlier one, looks again until nothing rests, and ends with a
//! status of its own. It never trades, and cancels nothing of a life that began after the silence.
//!
//! A service that ends in order leaves nothing to cancel: the watchdog sees that, and waits for the next life.

mod life;
mod sweep;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{GatewayChoice, Guard, ServiceConfig, VenueConfig};
use domain::Epoch;
use ipc::shared_memory::private_directory;
use tracing::{error, info, warn};
use venues::{Credentials, KeyNames};

use self::life::Life;
use self::sweep::Sweeper;
use crate::error::{EXIT_OK, EXIT_ORDERS_LEFT, EXIT_SILENT, LiveError};
use crate::run_folder;

/// What the names of the watchdog's own keys end with.
const SUFFIX: &str = "_WATCHDOG";

/// The lock in the run folder: one watchdog for a service.
const LOCK: &str = "watchdog.lock";

/// Looks at the service within the time that it may be silent.
const LOOKS_WITHIN: u32 = 10;

/// Longest pause between two looks.
const LOOK_EVERY_MAX: Duration = Duration::from_millis(500);

/// How a watchdog ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// It was told to stop.
    Stopped,
    /// It was told to stop while orders of a silent service may have rested.
    StoppedInBetween,
    /// The service was silent: so many of its orders were canceled, and none was left.
    Canceled(usize),
}

impl Watched {
    /// The exit status that says it.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Stopped => EXIT_OK,
            Self::StoppedInBetween => EXIT_ORDERS_LEFT,
            Self::Canceled(_) => EXIT_SILENT,
        }
    }
}

/// Reads the watchdog's own keys: from the variables that hold the service's, with `_WATCHDOG` behind their names.
///
/// # Errors
/// [`LiveError::Watchdog`] when one is not set, holds no key, or is the service's.
pub fn credentials(venue: &VenueConfig) -> Result<Credentials, LiveError> {
    let own = |name: &str| format!("{name}{SUFFIX}");
    let (key, secret) = (own(&venue.api_key_env), own(&venue.api_secret_env));
    let passphrase = venue.api_passphrase_env.as_deref().map(own);
    let names = KeyNames {
        key: &key,
        secret: &secret,
        passphrase: passphrase.as_deref(),
    };
    let found = Credentials::from_env(venue.venue, names);
    let found = found.map_err(|error| LiveError::Watchdog(format!("its key: {error}")))?;
    let of_service = std::env::var_os(&venue.api_key_env);
    if of_service.is_some() && of_service == std::env::var_os(&key) {
        let problem = format!(
            "{key} holds the service's key: it needs one of its own, so that neither stops the other"
        );
        return Err(LiveError::Watchdog(problem));
    }
    Ok(found)
}

/// How long the service may be silent.
fn silence(venue: &VenueConfig) -> Result<Duration, LiveError> {
    let problem = match venue.guard {
        Guard::Watchdog(silence) => return Ok(Duration::from_nanos(silence.0.unsigned_abs())),
        Guard::Venue(_) => {
            "the venue's own timer cancels the service's orders (dead_mans_switch_s), and only it may"
        }
        Guard::Nobody if venue.gateway == GatewayChoice::Simulated => {
            "orders stay in the service: there are none to cancel"
        }
        Guard::Nobody => "[venue] watchdog_silence_s is not set: how long may the service be silent?",
    };
    Err(LiveError::Watchdog(problem.to_owned()))
}

/// Watches until `stop` resolves or the orders of a silent service were canceled. Call it inside a tokio runtime.
///
/// # Errors
/// [`LiveError`]: it does not watch, and nothing was canceled.
pub async fn watch(
    config: &ServiceConfig,
    credentials: Credentials,
    stop: impl Future<Output = ()>,
) -> Result<Watched, LiveError> {
    let silence = silence(&config.venue)?;
    let folder = PathBuf::from(&config.run_folder);
    if let Some(parent) = folder.parent() {
        let at = |source| LiveError::File {
            action: "create",
            path: parent.to_owned(),
            source,
        };
        std::fs::create_dir_all(parent).map_err(at)?;
    }
    private_directory(&folder)?;
    let _lock = run_folder::hold(&folder, LOCK)?;
    let sweeper = Sweeper::open(config, credentials).await?;
    info!(silence_s = silence.as_secs(), run_folder = %folder.display(), "watching");
    let mut stop = pin!(stop);
    let mut guard = Watchdog {
        life: Life::beginning(&folder, Instant::now()),
        sweeper: Arc::new(sweeper),
        folder,
        silence,
        next_sweep: None,
    };
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(Watched::Stopped),
            epoch = guard.until_silent() => {
                error!(epoch = epoch.0, silence_s = silence.as_secs(), "the service is silent: looking for its orders");
                let sweeper = Arc::clone(&guard.sweeper);
                let canceled = tokio::select! {
                    biased;
                    () = &mut stop => return Ok(Watched::StoppedInBetween),
                    canceled = sweeper.sweep(epoch) => canceled,
                };
                if canceled > 0 {
                    error!(canceled, "the orders of a silent service were canceled, and none is left: look at the service");
                    return Ok(Watched::Canceled(canceled));
                }
                guard.found_nothing();
            }
        }
    }
}

#[derive(Debug)]
struct Watchdog {
    life: Life,
    sweeper: Arc<Sweeper>,
    folder: PathBuf,
    silence: Duration,
    /// Not before: it has been looked at during this silence. `None` after a sign of life.
    next_sweep: Option<Instant>,
}

impl Watchdog {
    /// The life that has fallen silent.
    async fn until_silent(&mut self) -> Epoch {
        let pause = LOOK_EVERY_MAX.min(self.silence / LOOKS_WITHIN);
        loop {
            let sign = life::ask(&self.folder).await;
            let now = Instant::now();
            let is_new = match sign {
                Some(_) => self.life.hear(sign, now),
                None => self.life.look_into(&self.folder, now),
            };
            if is_new {
                self.next_sweep = None;
            }
            if let Some((silent, epoch)) = self.life.silent_since(now)
                && silent >= self.silence
                && self.next_sweep.is_none_or(|at| at <= now)
            {
                return epoch;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Nothing of the silent service rests.
    fn found_nothing(&mut self) {
        if life::is_noted(&self.folder) {
            warn!(
                "nothing of the silent service rests at the venue; it is looked at again while the silence lasts"
            );
            self.next_sweep = Some(Instant::now() + self.silence);
        } else {
            info!("the service has ended in order and left no order: waiting for its next life");
            self.life = Life::unborn();
        }
    }
}
