//! `[[watch]]`: venues whose public market is read beside the one that is traded at.

use domain::{Decimal, SCALE, Venue};
use engine::limits::{CONSOLIDATED_MEMBERS_MAX, INSTRUMENTS_MAX};

use crate::document::Document;
use crate::fault::FaultKind;
use crate::schema::{Key, Kind};
use crate::service::check_symbol;
use crate::strategy::TRADED_VENUES;

/// Venues that one service watches: with the one that it trades at they make one consolidated market.
pub const WATCHED_VENUES_MAX: usize = CONSOLIDATED_MEMBERS_MAX - 1;

/// What a venue takes of an order that takes, as it stands in files: more than nothing of it is never all of it.
pub(crate) const TAKER_BPS: Kind = Kind::Decimal {
    min: -1_000 * SCALE,
    above_min: false,
    max: 1_000 * SCALE,
};

/// One `[[watch]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchConfig {
    /// Which venue.
    pub venue: Venue,
    /// The venue's symbols.
    pub symbols: Vec<String>,
    /// REST address.
    pub rest_url: String,
    /// Address of market data streams.
    pub ws_url: String,
    /// What the venue takes of an order that takes, basis points; `None` where the file does not say.
    pub taker_bps: Option<Decimal>,
}

pub(crate) const KEYS: [Key; 6] = [
    Key::optional(
        "watch",
        Kind::Tables {
            min: 0,
            max: WATCHED_VENUES_MAX,
        },
        "",
        "Venues whose public market is read beside that of [venue]: no key, no orders. Their instruments have the ids after \
         those of [[instrument]].",
    ),
    Key::required(
        "watch[].venue",
        Kind::Choice(TRADED_VENUES),
        "",
        "The venue; each once, and another than [venue] has.",
    ),
    Key::required(
        "watch[].instruments",
        Kind::Texts { max: INSTRUMENTS_MAX },
        "",
        "The venue's symbols; what they are, it tells itself.",
    ),
    Key::required("watch[].rest_url", Kind::Url(&["https", "http"]), "", "REST."),
    Key::required(
        "watch[].ws_url",
        Kind::Url(&["wss", "ws"]),
        "",
        "Market data streams.",
    ),
    Key::optional(
        "watch[].taker_bps",
        TAKER_BPS,
        "basis points",
        "What the venue takes of an order that takes: for prices after fees (py_rt book --consolidated --fees). Nothing is \
         decided by it.",
    ),
];

/// Each venue once, symbols that a venue may have, and no more instruments than fit.
pub(crate) fn check(document: &mut Document) {
    let mut known = vec![(document.text("venue.name"), "venue.name".to_owned())];
    let mut instruments = document.length("instrument");
    for at in 0..document.length("watch") {
        let path = format!("watch[{at}].venue");
        if let Some(venue) = document.text(&path) {
            let earlier = known
                .iter()
                .find(|(name, _)| name.as_ref() == Some(&venue))
                .map(|(_, place)| place.clone());
            if let Some(place) = earlier {
                let allowed = format!("each venue once: {place} has it");
                document.fault(&path, FaultKind::Duplicate, format!("text {venue:?}"), allowed);
            }
            known.push((Some(venue), path));
        }
        let path = format!("watch[{at}].instruments");
        let symbols = document.texts(&path).unwrap_or_default();
        for symbol in &symbols {
            check_symbol(document, &path, symbol);
        }
        instruments += symbols.len();
        if instruments > INSTRUMENTS_MAX {
            let allowed = format!("at most {INSTRUMENTS_MAX}, those of [[instrument]] with them");
            let found = format!("instrument number {instruments}");
            document.fault(&path, FaultKind::OutOfRange, found, allowed);
        }
    }
}

/// The address keys of every `[[watch]]`.
pub(crate) fn addresses(document: &Document) -> impl Iterator<Item = String> + use<> {
    let keys = |at| ["rest_url", "ws_url"].map(|key| format!("watch[{at}].{key}"));
    (0..document.length("watch")).flat_map(keys)
}

/// Which `[[watch]]` names a symbol, by the name of its venue.
pub(crate) fn watching(document: &Document, symbol: &str) -> Option<String> {
    let names = |at: &usize| {
        let symbols = document.texts(&format!("watch[{at}].instruments"));
        symbols.is_some_and(|symbols| symbols.iter().any(|known| known == symbol))
    };
    let at = (0..document.length("watch")).find(names)?;
    document.text(&format!("watch[{at}].venue"))
}

/// Of a document without faults.
pub(crate) fn taken(document: &Document) -> Vec<WatchConfig> {
    let one = |at| {
        let text = |key: &str| {
            document
                .text(&format!("watch[{at}].{key}"))
                .expect("a checked text")
        };
        let symbols = document.texts(&format!("watch[{at}].instruments"));
        WatchConfig {
            venue: Venue::from_name(&text("venue")).expect("a checked venue"),
            symbols: symbols.expect("checked texts"),
            rest_url: text("rest_url"),
            ws_url: text("ws_url"),
            taker_bps: document.decimal(&format!("watch[{at}].taker_bps")),
        }
    };
    (0..document.length("watch")).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_service;

    const WATCH: &str = "
[[watch]]
venue = \"coinbase\"
instruments = [\"BTC-USD\"]
rest_url = \"https://api.coinbase.com\"
ws_url = \"wss://advanced-trade-ws.coinbase.com\"
taker_bps = 60.5
";

    fn kraken(more: &str) -> String {
        let kraken = include_str!("../../../tests/contract/config/good/service.kraken.toml");
        format!("{kraken}{more}")
    }

    fn refused(more: &str) -> String {
        parse_service("service.toml", &kraken(more))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_service_that_watches_nothing_and_one_that_does() {
        let nothing = parse_service("service.toml", &kraken("")).unwrap();
        assert_eq!(nothing.watches, []);
        let watching = parse_service("service.toml", &kraken(WATCH)).unwrap();
        let wanted = WatchConfig {
            venue: Venue::Coinbase,
            symbols: vec!["BTC-USD".to_owned()],
            rest_url: "https://api.coinbase.com".to_owned(),
            ws_url: "wss://advanced-trade-ws.coinbase.com".to_owned(),
            taker_bps: Decimal::parse(b"60.5").ok(),
        };
        assert_eq!(watching.watches, [wanted]);
    }

    #[test]
    fn instruments_beyond_the_bound_are_refused() {
        let own = parse_service("service.toml", &kraken(""))
            .unwrap()
            .instruments
            .len();
        let names = |count: usize| {
            let names: Vec<_> = (0..count).map(|at| format!("\"A{at}-USD\"")).collect();
            WATCH.replace("\"BTC-USD\"", &names.join(", "))
        };
        let fits = kraken(&names(INSTRUMENTS_MAX - own));
        assert!(parse_service("service.toml", &fits).is_ok());
        let told = refused(&names(INSTRUMENTS_MAX - own + 1));
        assert!(told.contains("watch[0].instruments"), "{told}");
        assert!(told.contains("those of [[instrument]] with them"), "{told}");
    }

    #[test]
    fn venues_beyond_the_bound_are_refused() {
        let told = refused(&WATCH.repeat(WATCHED_VENUES_MAX + 1));
        assert!(
            told.contains(&format!("0 to {WATCHED_VENUES_MAX} tables")),
            "{told}"
        );
    }
}
