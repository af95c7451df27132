//! What Kraken calls things: pairs, assets, orders, trades, numbers.

use domain::{Currency, Price, Quantity};
use simulation::OrderId;

use crate::decimal::fixed;
use crate::listing::Listing;

/// Decimals of every quantity.
pub(crate) const LOT_DECIMALS: usize = 8;
/// Decimals of amounts of money, as balances and costs are listed.
pub(crate) const COST_DECIMALS: usize = 8;
/// Prices of the older socket have this many decimals at least.
const V1_PRICE_DECIMALS_MIN: usize = 5;
/// Units of money (1e-16) in one unit of 1e-8.
const MONEY_PER_UNIT: i128 = domain::SCALE as i128;
const BASE_36: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Digits of base 36 in a number of an order or trade.
const ID_DIGITS: usize = 16;

/// Names of the one pair.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// `BTC/USD`: the newer socket's.
    pub(crate) symbol: String,
    /// `XBT/USD`: the older socket's.
    pub(crate) ws: String,
    /// `XBTUSD`.
    pub(crate) alt: String,
    /// `XXBTZUSD`: the key of REST answers.
    pub(crate) pair: String,
    /// `XXBT`.
    pub(crate) base: String,
    /// `ZUSD`.
    pub(crate) quote: String,
    pub(crate) price_decimals: usize,
}

impl Names {
    pub(crate) fn of(listing: &Listing) -> Self {
        let (base, quote) = (listing.instrument.base, listing.instrument.quote);
        let (alt_base, alt_quote) = (alt(base.as_str()), alt(quote.as_str()));
        let (base, quote) = (asset(base), asset(quote));
        let alt = format!("{alt_base}{alt_quote}");
        // Only pairs of two assets with the older four-letter names are keyed by them.
        let old = base != alt_base && quote != alt_quote;
        Self {
            symbol: listing.symbol.clone(),
            ws: format!("{alt_base}/{alt_quote}"),
            pair: if old {
                format!("{base}{quote}")
            } else {
                alt.clone()
            },
            alt,
            base,
            quote,
            price_decimals: decimals(listing.instrument.rules.tick_size),
        }
    }

    /// Whether REST knows the pair by this name.
    pub(crate) fn is_pair(&self, name: &str) -> bool {
        [&self.pair, &self.alt, &self.ws, &self.symbol]
            .iter()
            .any(|known| *known == name)
    }

    pub(crate) fn price(&self, price: Price) -> String {
        fixed(price.units(), self.price_decimals)
    }

    /// A price as the older socket writes it.
    pub(crate) fn v1_price(&self, price: Price) -> String {
        fixed(price.units(), self.price_decimals.max(V1_PRICE_DECIMALS_MIN))
    }
}

/// Decimals that a price step needs.
fn decimals(tick: Price) -> usize {
    let mut units = tick.units().max(1);
    let mut decimals = 8;
    while decimals > 0 && units % 10 == 0 {
        units /= 10;
        decimals -= 1;
    }
    decimals
}

/// The name without the older prefix.
fn alt(code: &str) -> &str {
    match code {
        "BTC" => "XBT",
        "DOGE" => "XDG",
        other => other,
    }
}

/// The name of an asset in REST answers.
pub(crate) fn asset(currency: Currency) -> String {
    match currency.as_str() {
        "BTC" => "XXBT".to_owned(),
        "DOGE" => "XXDG".to_owned(),
        code @ ("ETH" | "LTC" | "XRP" | "XMR" | "ETC" | "ZEC" | "XLM" | "REP" | "MLN") => format!("X{code}"),
        code @ ("USD" | "EUR" | "GBP" | "CAD" | "JPY" | "AUD") => format!("Z{code}"),
        code => code.to_owned(),
    }
}

/// The other name of an asset in REST answers.
pub(crate) fn asset_alt(currency: Currency) -> String {
    alt(currency.as_str()).to_owned()
}

pub(crate) fn quantity(quantity: Quantity) -> String {
    fixed(quantity.units(), LOT_DECIMALS)
}

/// An amount in units of 1e-16.
pub(crate) fn amount(units: i128) -> String {
    fixed(
        i64::try_from(units / MONEY_PER_UNIT).unwrap_or(i64::MAX),
        COST_DECIMALS,
    )
}

/// `OXXXXX-XXXXX-XXXXXX`: the text of an order's number.
pub(crate) fn order_id(id: OrderId) -> String {
    id_text('O', id.0)
}

/// `TXXXXX-XXXXX-XXXXXX`: the text of an execution's number.
pub(crate) fn trade_id(id: u64) -> String {
    id_text('T', id)
}

/// The number of an order's text.
pub(crate) fn parse_order_id(text: &str) -> Option<OrderId> {
    parse_id('O', text).map(OrderId)
}

/// The number of an execution's text.
pub(crate) fn parse_trade_id(text: &str) -> Option<u64> {
    parse_id('T', text)
}

fn id_text(kind: char, mut number: u64) -> String {
    let mut digits = [b'0'; ID_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE_36[usize::try_from(number % 36).unwrap_or(0)];
        number /= 36;
    }
    let digits = String::from_utf8_lossy(&digits);
    format!("{kind}{}-{}-{}", &digits[..5], &digits[5..10], &digits[10..])
}

fn parse_id(kind: char, text: &str) -> Option<u64> {
    let digits: String = text.strip_prefix(kind)?.split('-').collect();
    let number = (digits.len() == ID_DIGITS)
        .then(|| u64::from_str_radix(&digits, 36).ok())
        .flatten()?;
    (id_text(kind, number) == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use domain::Decimal;

    use super::*;
    use crate::wire::VenueKind;

    fn names(symbol: &str, tick: i64) -> Names {
        let free = (Decimal::ZERO, Decimal::ZERO);
        Names::of(&Listing::new(VenueKind::Kraken, symbol, Price::from_units(tick), free, 1).unwrap())
    }

    #[test]
    fn pairs_have_the_venues_names() {
        let bitcoin = names("BTC/USD", 10_000_000);
        assert_eq!(
            (bitcoin.pair.as_str(), bitcoin.alt.as_str(), bitcoin.ws.as_str()),
            ("XXBTZUSD", "XBTUSD", "XBT/USD")
        );
        assert_eq!(
            (
                bitcoin.price_decimals,
                bitcoin.price(Price::from_units(6_280_250_000_000))
            ),
            (1, "62802.5".to_owned())
        );
        assert_eq!(
            bitcoin.v1_price(Price::from_units(6_280_250_000_000)),
            "62802.50000"
        );
        let other = names("SOL/USDT", 390_625);
        assert_eq!((other.pair.as_str(), other.price_decimals), ("SOLUSDT", 8));
    }

    #[test]
    fn numbers_of_orders_are_read_back() {
        assert_eq!(order_id(OrderId(1)), "O00000-00000-000001");
        for number in [0, 1, 35, 36, 1 << 48, u64::MAX] {
            assert_eq!(parse_order_id(&order_id(OrderId(number))), Some(OrderId(number)));
            assert_eq!(parse_trade_id(&trade_id(number)), Some(number));
        }
        for wrong in [
            "",
            "O",
            "T00000-00000-000001",
            "O00000-00000-00000",
            "O000000-0000-000001",
            "Oééééé-00000-000001",
        ] {
            assert_eq!(parse_order_id(wrong), None, "{wrong}");
        }
    }
}
