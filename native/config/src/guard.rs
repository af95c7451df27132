//! Who cancels the orders of a service that is gone: the venue's own timer, a watchdog beside the service, or nobody.

use domain::{Nanos, Venue};

use crate::document::Document;
use crate::fault::FaultKind;
use crate::schema::{Key, Kind};

/// Venues whose timer cancels the orders of an account unless it is put off.
const VENUES_WITH_TIMER: [Venue; 1] = [Venue::Kraken];

/// What the timer is set to where real money is traded and the file says nothing: as Kraken recommends.
const USUAL_SECONDS: i64 = 60;

/// Shortest time of the timer: it is put off at each third of it, and each time takes of the account's budget of calls, which
/// at Kraken's lowest tier refills by one in three seconds.
const SHORTEST_SECONDS: i64 = 15;

const DAY_SECONDS: i64 = 86_400;

const SWITCH: &str = "venue.dead_mans_switch_s";
const WATCHDOG: &str = "venue.watchdog_silence_s";

/// Who cancels the orders of a service that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// They rest until the service's next life.
    Nobody,
    /// The venue, this long after the service's last word.
    Venue(Nanos),
    /// `py_rt_live --watchdog`, when the service has been silent for so long.
    Watchdog(Nanos),
}

pub(crate) const KEYS: [Key; 2] = [
    Key::optional(
        SWITCH,
        Kind::Integer {
            min: 0,
            max: DAY_SECONDS,
        },
        "seconds",
        "The venue cancels every order of the account when the service has not put this timer off for so long (kraken); \
         0: never. Absent: 60 in stage prod at such a venue where no watchdog is set, else 0.",
    ),
    Key::optional(
        WATCHDOG,
        Kind::Integer { min: 1, max: 3_600 },
        "seconds",
        "py_rt_live --watchdog cancels the service's orders when the service has been silent for so long; absent: no \
         watchdog.",
    ),
];

/// One owner, and only of what can be owned.
pub(crate) fn check(document: &mut Document) {
    let is_simulated = document
        .text("venue.gateway")
        .is_some_and(|gateway| gateway == "simulated");
    let seconds = document.integer(SWITCH).filter(|seconds| *seconds > 0);
    let silence = document.integer(WATCHDOG);
    if is_simulated {
        let given = [(SWITCH, seconds), (WATCHDOG, silence)];
        for (path, value) in given {
            if let Some(value) = value {
                let allowed =
                    "nothing where [venue] gateway = \"simulated\": its orders end with the process";
                let found = format!("integer {value}");
                document.fault(path, FaultKind::Conflict, found, allowed.to_owned());
            }
        }
        return;
    }
    let Some(seconds) = seconds else { return };
    let found = || format!("integer {seconds}");
    let venue = document
        .text("venue.name")
        .and_then(|name| Venue::from_name(&name));
    if let Some(venue) = venue.filter(|venue| !VENUES_WITH_TIMER.contains(venue)) {
        let allowed = format!("0, or {WATCHDOG}: {venue} has no timer that cancels the orders of an account");
        document.fault(SWITCH, FaultKind::Conflict, found(), allowed);
    } else if silence.is_some() {
        let allowed = format!("0 beside {WATCHDOG}: one of the two cancels, not both");
        document.fault(SWITCH, FaultKind::Conflict, found(), allowed);
    } else if seconds < SHORTEST_SECONDS {
        let allowed = format!("0, or at least {SHORTEST_SECONDS}: the timer is put off at each third of it");
        document.fault(SWITCH, FaultKind::OutOfRange, found(), allowed);
    }
}

/// Of a document without faults.
pub(crate) fn taken(document: &Document, venue: Venue) -> Guard {
    if document.text("venue.gateway").as_deref() == Some("simulated") {
        return Guard::Nobody;
    }
    if let Some(silence) = document.integer(WATCHDOG) {
        return Guard::Watchdog(Nanos::from_secs(silence));
    }
    let is_prod = document.text("service.stage").as_deref() == Some("prod");
    let usual = if is_prod && VENUES_WITH_TIMER.contains(&venue) {
        USUAL_SECONDS
    } else {
        0
    };
    match document.integer(SWITCH).unwrap_or(usual) {
        0 => Guard::Nobody,
        seconds => Guard::Venue(Nanos::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_service;

    fn guard(stage: &str, venue: &str, lines: &str) -> Guard {
        let kraken = include_str!("../../../tests/contract/config/good/service.kraken.toml");
        let text = kraken
            .replace("stage = \"paper\"", &format!("stage = \"{stage}\""))
            .replace("order_entry = \"websocket\"", lines)
            .replace("name = \"kraken\"", &format!("name = \"{venue}\""));
        parse_service("service.toml", &text).unwrap().venue.guard
    }

    #[test]
    fn real_money_at_a_venue_with_a_timer_is_guarded_unless_the_file_says_otherwise() {
        let minute = Guard::Venue(Nanos::from_secs(60));
        assert_eq!(guard("prod", "kraken", ""), minute);
        assert_eq!(guard("prod", "kraken", "dead_mans_switch_s = 0"), Guard::Nobody);
        assert_eq!(guard("prod", "coinbase", ""), Guard::Nobody);
        assert_eq!(guard("paper", "kraken", ""), Guard::Nobody);
        assert_eq!(guard("paper", "kraken", "dead_mans_switch_s = 60"), minute);
        let watchdog = Guard::Watchdog(Nanos::from_secs(9));
        for stage in ["paper", "prod"] {
            assert_eq!(guard(stage, "kraken", "watchdog_silence_s = 9"), watchdog);
        }
        assert_eq!(guard("paper", "kraken", "gateway = \"simulated\""), Guard::Nobody);
    }
}
