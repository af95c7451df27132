//! The path that every call of the API takes through the lock.

use std::time::Duration;

use crate::binance::api_error::ApiError;
use crate::binance::calls::{Answer, Call};
use crate::binance::request::{Params, check_signature, check_timestamp};
use crate::faults::{Forced, Met};
use crate::shared::Shared;
use crate::venue::Venue;

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
    /// An HTTP status and nothing more: nothing is known of the outcome.
    Status(u16),
}

/// Counts, authorises and performs a call, with the fault that waits for it.
pub(crate) fn handle(shared: &Shared, call: Call, params: &Params, sender: Sender<'_>) -> Handled {
    let mut venue = shared.venue();
    let mut account = None;
    let mut delay = Duration::ZERO;
    let result = admit(&mut venue, call, params, sender, &mut account).and_then(|owner| {
        let met = venue.faults.meet(call.kind());
        delay = met.delay();
        let limit = venue.limits.weight_limit();
        let mut perform = || call.perform(&mut venue, owner, params).map_err(Failure::Api);
        match met {
            Met::Nothing | Met::Late(_) => perform(),
            Met::Refused(forced) => Err(worded(forced, limit)),
            Met::Unknown { executed, answer } => {
                if executed {
                    // Whatever it came to, the caller does not learn it.
                    drop(perform());
                }
                Err(worded(answer, limit))
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
    shared.wake.notify_one();
    handled
}

/// The wire's words for an answer that a fault forces.
fn worded(forced: Forced, weight_limit: u64) -> Failure {
    match forced {
        Forced::Error { code, message } => Failure::Api(ApiError::new(400, code, message)),
        Forced::RateLimited { retry_after_s } => {
            Failure::Api(ApiError::too_many_requests(weight_limit, retry_after_s))
        }
        Forced::Banned { retry_after_s } => Failure::Api(ApiError::banned(retry_after_s)),
        Forced::Timeout => Failure::Api(ApiError::timeout()),
        Forced::Status(status) => Failure::Status(status),
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
    venue
        .limits
        .request(call.weight(params))
        .map_err(|refused| Failure::Api(refused.into()))?;
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
    let (account, secret) = venue
        .account_of(key)
        .map(|(account, key)| (account, key.secret.clone()))
        .ok_or_else(ApiError::key_unknown)?;
    let signature = params.required("signature")?;
    let now = venue.catch_up();
    let now = venue.shown(now);
    let clock = &venue.clock;
    let to_venue = |wall: domain::Nanos| clock.to_venue(Duration::from_nanos(wall.0.unsigned_abs()));
    check_timestamp(params, now, to_venue)?;
    check_signature(&secret, sender.payload, signature)?;
    Ok(account)
}
