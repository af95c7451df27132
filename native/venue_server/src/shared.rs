//! The one lock, and the path that every call of the API takes through it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::api_error::ApiError;
use crate::calls::{Answer, Call};
use crate::faults::{Effect, UnknownAnswer};
use crate::listener::Outage;
use crate::request::{Params, check_signature, check_timestamp};
use crate::venue::Venue;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    venue: Mutex<Venue>,
    /// Woken when something may be due earlier than the pacer thought.
    pub(crate) wake: Notify,
    pub(crate) outage: Arc<Outage>,
    /// True once the server stops.
    pub(crate) stop: watch::Sender<bool>,
}

/// Who sends a call, and what its signature covers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) api_key: Option<&'a str>,
    pub(crate) payload: &'a str,
}

/// What a call came to: the answer, how late it is to be given, and what it used.
#[derive(Debug)]
pub(crate) struct Handled {
    pub(crate) result: Result<Answer, Failure>,
    pub(crate) delay: Duration,
    pub(crate) used_weight: u64,
    pub(crate) weight_limit: u64,
    /// Orders of the account in ten seconds, for calls that place one.
    pub(crate) used_orders: Option<u64>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A definite error.
    Api(ApiError),
    /// HTTP 503: nothing is known of the outcome.
    Unavailable,
}

impl Shared {
    pub(crate) fn new(venue: Venue) -> Self {
        Self {
            venue: Mutex::new(venue),
            wake: Notify::new(),
            outage: Arc::default(),
            stop: watch::Sender::new(false),
        }
    }

    /// The venue. A panic while it was held leaves it unusable: the server's state would be a lie.
    pub(crate) fn venue(&self) -> MutexGuard<'_, Venue> {
        self.venue
            .lock()
            .expect("no call panics while it holds the venue")
    }

    /// Counts, authorises and performs a call, with the fault that waits for it.
    pub(crate) fn handle(&self, call: Call, params: &Params, sender: Sender<'_>) -> Handled {
        let mut venue = self.venue();
        let mut account = None;
        let mut delay = Duration::ZERO;
        let result = admit(&mut venue, call, params, sender, &mut account).and_then(|owner| {
            let effect = venue.faults.take(call.kind());
            let mut perform = || call.perform(&mut venue, owner, params).map_err(Failure::Api);
            match effect {
                None => perform(),
                Some(Effect::Delay { ms }) => {
                    delay = Duration::from_millis(ms);
                    perform()
                }
                Some(Effect::Refuse(error)) => Err(Failure::Api(error)),
                Some(Effect::Unknown { executed, answer }) => {
                    if executed {
                        // Whatever it came to, the caller does not learn it.
                        drop(perform());
                    }
                    Err(match answer {
                        UnknownAnswer::Http503 => Failure::Unavailable,
                        UnknownAnswer::Timeout1007 => Failure::Api(ApiError::timeout()),
                    })
                }
            }
        });
        let handled = Handled {
            result,
            delay,
            used_weight: venue.limits.used_weight(),
            weight_limit: venue.limits.weight_limit(),
            used_orders: account
                .filter(|_| call == Call::NewOrder)
                .map(|owner| venue.limits.used_orders(owner)),
        };
        drop(venue);
        self.wake.notify_one();
        handled
    }
}

/// Counts a call and finds its account; zero for calls that need none.
fn admit(
    venue: &mut Venue,
    call: Call,
    params: &Params,
    sender: Sender<'_>,
    account: &mut Option<usize>,
) -> Result<usize, Failure> {
    venue.limits.request(call.weight(params)).map_err(Failure::Api)?;
    if !call.is_signed() {
        return Ok(0);
    }
    let owner = authorize(venue, params, sender).map_err(Failure::Api)?;
    *account = Some(owner);
    Ok(owner)
}

/// The account that a signed request speaks for.
pub(crate) fn authorize(venue: &mut Venue, params: &Params, sender: Sender<'_>) -> Result<usize, ApiError> {
    let key = sender
        .api_key
        .filter(|key| !key.is_empty())
        .ok_or_else(ApiError::key_format)?;
    let account = venue.account_of(key).ok_or_else(ApiError::key_unknown)?;
    let signature = params.required("signature")?;
    let now = venue.catch_up();
    let clock = &venue.clock;
    let to_venue = |wall: domain::Nanos| clock.to_venue(Duration::from_nanos(wall.0.unsigned_abs()));
    check_timestamp(params, now, to_venue)?;
    check_signature(&venue.accounts[account].key.secret, sender.payload, signature)?;
    Ok(account)
}
