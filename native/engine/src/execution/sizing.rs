//! From what a strategy wants to an order that the venue's steps allow.

use domain::{ClientOrderId, InstrumentRules, OrderRequest, OrderType, Price, Side};

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
