//! From what a strategy wants to an order that the venue's steps allow.

use domain::{ClientOrderId, InstrumentRules, OrderRequest, OrderType, Price, Quantity, Side};

use crate::risk::RiskLimits;
use crate::strategy::OrderIntent;

/// The order of a wish: quantity rounded down to the lot, the limit rounded away from the market to the
/// tick, so that rounding never makes an order larger or more aggressive.
pub(crate) fn request_of(
    intent: &OrderIntent,
    rules: &InstrumentRules,
    client_order_id: ClientOrderId,
) -> OrderRequest {
    let price = match intent.order_type {
        OrderType::Market => None,
        OrderType::Limit => intent
            .price
            .map(|price| passive_tick(price, intent.side, rules.tick_size)),
    };
    OrderRequest {
        client_order_id,
        instrument: intent.instrument,
        side: intent.side,
        order_type: intent.order_type,
        price,
        quantity: intent.quantity.round_down(rules.lot_size),
        time_in_force: intent.time_in_force,
        post_only: intent.post_only,
        reduce_only: intent.reduce_only,
    }
}

/// The most, in whole lots, that one order valued at `price` may ask for by every one of the limits and by
/// the venue.
pub(crate) fn largest_order(limits: &[&RiskLimits], rules: &InstrumentRules, price: Price) -> Quantity {
    // Valued at the tick above: rounding the price must not lift the order above its limit.
    let price = i128::from(price.round_up(rules.tick_size).units().max(1));
    let by_limit = limits
        .iter()
        .map(|limits| limits.max_order_size_usd.units() / price)
        .min()
        .and_then(|units| i64::try_from(units).ok())
        .map_or(Quantity::MAX, Quantity::from_units);
    let by_venue = match rules.max_quantity {
        unlimited if unlimited.is_zero() => Quantity::MAX,
        limit => limit,
    };
    by_limit.min(by_venue).round_down(rules.lot_size)
}

/// The nearest tick that is not more aggressive than `price`.
fn passive_tick(price: Price, side: Side, tick: Price) -> Price {
    match side {
        Side::Buy => price.round_down(tick),
        Side::Sell => price.round_up(tick),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_away_from_the_market() {
        let (price, tick) = (Price::from_units(107), Price::from_units(10));
        assert_eq!(passive_tick(price, Side::Buy, tick), Price::from_units(100));
        assert_eq!(passive_tick(price, Side::Sell, tick), Price::from_units(110));
        let on_tick = Price::from_units(110);
        assert_eq!(passive_tick(on_tick, Side::Buy, tick), on_tick);
        assert_eq!(passive_tick(on_tick, Side::Sell, tick), on_tick);
    }
}
