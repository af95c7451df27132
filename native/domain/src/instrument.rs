//! Instruments and the venue's rules for their orders.

use thiserror::Error;

use crate::ids::InstrumentId;
use crate::money::{Currency, Money};
use crate::order::{OrderRequest, OrderType};
use crate::price::{Price, Quantity};
use crate::text::Text;
use crate::venue::Venue;

/// Whether the venue lets an instrument trade now. A status this build does not know is `Unknown`: not tradable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstrumentStatus {
    /// Orders are accepted.
    Trading,
    /// Only cancels are accepted.
    CancelOnly,
    /// No orders are accepted.
    Halted,
    /// The venue sent a status this build does not know.
    Unknown,
}

/// What the venue demands of an order. All bounds are inclusive; zero means "no such rule".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstrumentRules {
    /// Smallest price step.
    pub tick_size: Price,
    /// Smallest quantity step.
    pub lot_size: Quantity,
    /// Lowest price.
    pub min_price: Price,
    /// Highest price.
    pub max_price: Price,
    /// Smallest order.
    pub min_quantity: Quantity,
    /// Largest order.
    pub max_quantity: Quantity,
    /// Smallest price times quantity, quote currency.
    pub min_notional: Money,
}

/// One tradable instrument at one venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instrument {
    /// Dense index in this process.
    pub id: InstrumentId,
    /// Where it trades.
    pub venue: Venue,
    /// The venue's own string, such as `BTCUSDT`.
    pub symbol: Text<24>,
    /// What is bought.
    pub base: Currency,
    /// What is paid.
    pub quote: Currency,
    /// The venue's order rules.
    pub rules: InstrumentRules,
    /// Whether it trades now.
    pub status: InstrumentStatus,
}

/// Which venue rule an order breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RuleViolation {
    /// The instrument does not take new orders now.
    #[error("instrument does not accept orders now ({0:?})")]
    NotTrading(InstrumentStatus),
    /// The price is not a multiple of the tick size.
    #[error("price {0} is not a multiple of the tick size {1}")]
    TickSize(Price, Price),
    /// The price is outside the venue's range.
    #[error("price {0} is outside {1} to {2}")]
    PriceRange(Price, Price, Price),
    /// The quantity is not a multiple of the lot size.
    #[error("quantity {0} is not a multiple of the lot size {1}")]
    LotSize(Quantity, Quantity),
    /// The quantity is outside the venue's range.
    #[error("quantity {0} is outside {1} to {2}")]
    QuantityRange(Quantity, Quantity, Quantity),
    /// The order is worth too little.
    #[error("notional {0} is below the minimum {1}")]
    MinNotional(Money, Money),
    /// A limit order without a price, or a market order with one.
    #[error("a limit order needs a price and a market order has none")]
    PriceMissing,
}

impl Instrument {
    /// One of which its venue has told nothing yet: it cannot be traded, and what it buys and pays is not known.
    ///
    /// ```
    /// use domain::{Instrument, InstrumentId, InstrumentStatus, Text, Venue};
    /// let untold = Instrument::untold(InstrumentId(1), Venue::Kraken, Text::new("BTC/USD").unwrap());
    /// assert!(untold.is_untold() && untold.status == InstrumentStatus::Unknown);
    /// ```
    #[must_use]
    pub fn untold(id: InstrumentId, venue: Venue, symbol: Text<24>) -> Self {
        Self {
            id,
            venue,
            symbol,
            base: Currency::UNTOLD,
            quote: Currency::UNTOLD,
            rules: InstrumentRules {
                tick_size: Price::ZERO,
                lot_size: Quantity::ZERO,
                min_price: Price::ZERO,
                max_price: Price::ZERO,
                min_quantity: Quantity::ZERO,
                max_quantity: Quantity::ZERO,
                min_notional: Money::zero(Currency::UNTOLD),
            },
            status: InstrumentStatus::Unknown,
        }
    }

    /// Whether its venue has told nothing of it yet. No venue sells an asset for itself.
    #[must_use]
    pub fn is_untold(&self) -> bool {
        (self.base, self.quote) == (Currency::UNTOLD, Currency::UNTOLD)
    }

    /// Checks an order against the venue's rules before it is sent.
    ///
    /// `reference` prices a market order for the minimum notional.
    ///
    /// # Errors
    /// The first [`RuleViolation`] found, in the order the venue itself checks.
    pub fn check(&self, order: &OrderRequest, reference: Price) -> Result<(), RuleViolation> {
        let rules = &self.rules;
        if self.status != InstrumentStatus::Trading {
            return Err(RuleViolation::NotTrading(self.status));
        }
        let price = match (order.order_type, order.price) {
            (OrderType::Limit, Some(price)) => {
                self.check_price(price)?;
                price
            }
            (OrderType::Market, None) => reference,
            _ => return Err(RuleViolation::PriceMissing),
        };
        let quantity = order.quantity;
        if !quantity.is_multiple_of(rules.lot_size) {
            return Err(RuleViolation::LotSize(quantity, rules.lot_size));
        }
        let too_large = !rules.max_quantity.is_zero() && quantity > rules.max_quantity;
        if quantity < rules.min_quantity || quantity <= Quantity::ZERO || too_large {
            return Err(RuleViolation::QuantityRange(
                quantity,
                rules.min_quantity,
                rules.max_quantity,
            ));
        }
        let notional = price.notional(quantity, self.quote);
        if notional.units() < rules.min_notional.units() {
            return Err(RuleViolation::MinNotional(notional, rules.min_notional));
        }
        Ok(())
    }

    fn check_price(&self, price: Price) -> Result<(), RuleViolation> {
        let rules = &self.rules;
        if !price.is_multiple_of(rules.tick_size) {
            return Err(RuleViolation::TickSize(price, rules.tick_size));
        }
        let too_high = !rules.max_price.is_zero() && price > rules.max_price;
        if price < rules.min_price || price <= Price::ZERO || too_high {
            return Err(RuleViolation::PriceRange(price, rules.min_price, rules.max_price));
        }
        Ok(())
    }
}
