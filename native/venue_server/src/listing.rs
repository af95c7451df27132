//! The one instrument that is traded here, and the venue's filters on its orders.

use domain::{
    Currency, Decimal, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money, Price, Quantity,
    Text, Venue,
};

use crate::error::ServerError;
use crate::refusal::{Filter, Refusal};
use crate::wire::VenueKind;

/// Most open orders of one account.
pub(crate) const OPEN_ORDERS_MAX: usize = 200;
/// How far a limit price may be from the last trade, upward and downward.
const PRICE_TIMES_MAX: i64 = 5;
const PRICE_PARTS_MIN: i64 = 5;
/// Quote currencies that a symbol may end in, longest first.
const QUOTES: [&str; 8] = ["FDUSD", "USDT", "USDC", "BUSD", "EUR", "USD", "BTC", "ETH"];

/// The instrument with what the wire says about it.
#[derive(Debug, Clone)]
pub(crate) struct Listing {
    pub(crate) instrument: Instrument,
    pub(crate) symbol: String,
    pub(crate) maker_bps: Decimal,
    pub(crate) taker_bps: Decimal,
    pub(crate) weight_limit: u64,
}

impl Listing {
    /// A listing of `symbol`, with the tick of the record and the venue's usual bounds.
    pub(crate) fn new(
        kind: VenueKind,
        symbol: &str,
        tick_size: Price,
        bps: (Decimal, Decimal),
        weight_limit: u64,
    ) -> Result<Self, ServerError> {
        let refused = || ServerError::Option {
            option: "--symbol",
            value: symbol.to_owned(),
            allowed: kind.symbol_rule(),
        };
        let (base, quote) = split(kind, symbol).ok_or_else(refused)?;
        let base = Currency::new(base).ok_or_else(refused)?;
        let quote = Currency::new(quote).ok_or_else(refused)?;
        let rules = InstrumentRules {
            tick_size,
            lot_size: Quantity::from_units(1),
            min_price: tick_size,
            max_price: Price::from_units(1_000_000 * domain::SCALE).round_down(tick_size),
            min_quantity: Quantity::from_units(1_000),
            max_quantity: Quantity::from_units(9_000 * domain::SCALE),
            min_notional: Money::from_decimal_units(kind.smallest_notional(), quote),
        };
        Ok(Self {
            instrument: Instrument {
                id: InstrumentId(0),
                venue: match kind {
                    VenueKind::Binance => Venue::Binance,
                    VenueKind::Kraken => Venue::Kraken,
                    VenueKind::Coinbase => Venue::Coinbase,
                },
                symbol: Text::new(symbol).ok_or_else(refused)?,
                base,
                quote,
                rules,
                status: InstrumentStatus::Trading,
            },
            symbol: symbol.to_owned(),
            maker_bps: bps.0,
            taker_bps: bps.1,
            weight_limit,
        })
    }

    /// The venue's filters, in the order in which it names the first that fails.
    ///
    /// `last` is the last trade's price: it prices market orders and bounds limit prices.
    pub(crate) fn check(&self, price: Option<Price>, quantity: Quantity, last: Price) -> Result<(), Refusal> {
        let rules = &self.instrument.rules;
        if let Some(price) = price {
            let outside = price < rules.min_price || price > rules.max_price;
            if outside || !price.is_multiple_of(rules.tick_size) {
                return Err(Refusal::Filter(Filter::Price));
            }
            let (high, low) = (
                last.units().saturating_mul(PRICE_TIMES_MAX),
                last.units() / PRICE_PARTS_MIN,
            );
            if !last.is_zero() && !(low..=high).contains(&price.units()) {
                return Err(Refusal::Filter(Filter::PriceRange));
            }
        }
        let outside = quantity < rules.min_quantity || quantity > rules.max_quantity;
        if outside || !quantity.is_multiple_of(rules.lot_size) {
            return Err(Refusal::Filter(Filter::Quantity));
        }
        let notional = price.unwrap_or(last).notional(quantity, self.instrument.quote);
        if notional.units() < rules.min_notional.units() {
            return Err(Refusal::Filter(Filter::Notional));
        }
        Ok(())
    }
}

/// Base and quote of a symbol, as the venue writes it.
fn split(kind: VenueKind, symbol: &str) -> Option<(&str, &str)> {
    let (base, quote) = match kind {
        VenueKind::Binance => {
            let base = QUOTES.iter().find_map(|quote| symbol.strip_suffix(quote))?;
            symbol.split_at(base.len())
        }
        VenueKind::Kraken => symbol.split_once('/')?,
        VenueKind::Coinbase => symbol.split_once('-')?,
    };
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    (plain(base) && plain(quote)).then_some((base, quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing() -> Listing {
        let tick = Price::from_units(390_625);
        Listing::new(
            VenueKind::Binance,
            "BTCUSDT",
            tick,
            (Decimal::ZERO, Decimal::ZERO),
            6_000,
        )
        .unwrap()
    }

    #[test]
    fn each_filter_has_its_boundary() {
        let listing = listing();
        let check = |price: Option<&str>, quantity: &str| {
            let price = price.map(|text| Price::parse(text.as_bytes()).unwrap());
            let quantity = Quantity::parse(quantity.as_bytes()).unwrap();
            listing.check(price, quantity, Price::from_units(40_000 * domain::SCALE))
        };
        let filter = |filter| Err(Refusal::Filter(filter));
        assert_eq!(check(Some("40000.00390625"), "1"), Ok(()));
        assert_eq!(check(Some("40000.00390624"), "1"), filter(Filter::Price));
        assert_eq!(check(Some("1000000.00390625"), "1"), filter(Filter::Price));
        assert_eq!(check(Some("200000"), "1"), Ok(()));
        assert_eq!(check(Some("200000.00390625"), "1"), filter(Filter::PriceRange));
        assert_eq!(check(Some("8000"), "1"), Ok(()));
        assert_eq!(check(Some("7999.99609375"), "1"), filter(Filter::PriceRange));
        assert_eq!(check(None, "0.00000999"), filter(Filter::Quantity));
        assert_eq!(check(None, "9000.00000001"), filter(Filter::Quantity));
        assert_eq!(check(None, "0.000125"), Ok(()));
        assert_eq!(check(None, "0.00012499"), filter(Filter::Notional));
    }

    #[test]
    fn the_symbol_names_base_and_quote() {
        let listing = listing();
        assert_eq!(
            (
                listing.instrument.base.as_str(),
                listing.instrument.quote.as_str()
            ),
            ("BTC", "USDT")
        );
        for wrong in ["btcusdt", "USDT", "BTCXYZ", ""] {
            let tick = Price::from_units(1);
            assert!(
                Listing::new(VenueKind::Binance, wrong, tick, (Decimal::ZERO, Decimal::ZERO), 1).is_err(),
                "{wrong}"
            );
        }
    }
}
