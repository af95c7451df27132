//! Orders in the venue's words: the JSON body of `POST /api/v3/brokerage/orders`, without an allocation.

use std::io::Write;

use domain::{Instrument, OrderRequest, Price, Quantity, Side, Text, TimeInForce, Timestamp};

use super::rest::is_symbol;
use super::settings::Settings;
use crate::encode::{check, push_client_order_id, push_units};
use crate::error::EncodeError;
use crate::iso8601::Millis;
use crate::trading::EncodeOrders;

/// Puts orders into the venue's words. Nothing in them is signed: the token in the request's head does not cover them.
#[derive(Debug, Clone)]
pub struct OrderEncoder {
    self_trade_prevention_id: Option<Text<36>>,
}

impl OrderEncoder {
    /// For one session.
    #[must_use]
    pub const fn new(settings: &Settings) -> Self {
        Self {
            self_trade_prevention_id: settings.self_trade_prevention_id,
        }
    }

    /// Encodes a new order. Clears `out` first.
    ///
    /// Does not allocate when `out` has room for [`crate::NEW_ORDER_BYTES_MAX`]. The client order id goes out in its
    /// text form, one to one. `reduce_only` is no word of the venue's spot market: keeping it is the engine's part. A
    /// market order is filled at once as far as it goes, whatever its time in force: the venue has no other.
    ///
    /// # Errors
    /// [`EncodeError`] when the order cannot be said in the venue's words.
    pub fn encode_new_order(
        &self,
        order: &OrderRequest,
        instrument: &Instrument,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        check(order, instrument)?;
        let symbol = instrument.symbol;
        if !is_symbol(symbol.as_str()) {
            return Err(EncodeError::Instrument);
        }
        out.clear();
        out.extend_from_slice(br#"{"client_order_id":""#);
        push_client_order_id(order.client_order_id, out);
        out.extend_from_slice(br#"","product_id":""#);
        out.extend_from_slice(symbol.as_str().as_bytes());
        out.extend_from_slice(match order.side {
            Side::Buy => br#"","side":"BUY","order_configuration":{""#.as_slice(),
            Side::Sell => br#"","side":"SELL","order_configuration":{""#,
        });
        match order.price {
            None => push_configuration(b"market_market_ioc", order.quantity, None, out),
            Some(price) => push_limit(order, price, out),
        }
        out.extend_from_slice(b"}");
        if let Some(id) = &self.self_trade_prevention_id {
            out.extend_from_slice(br#","self_trade_prevention_id":""#);
            out.extend_from_slice(id.as_str().as_bytes());
            out.push(b'"');
        }
        out.push(b'}');
        Ok(())
    }
}

impl EncodeOrders for OrderEncoder {
    fn encode_new_order(
        &mut self,
        order: &OrderRequest,
        instrument: &Instrument,
        _: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        Self::encode_new_order(self, order, instrument, out)
    }
}

fn push_limit(order: &OrderRequest, price: Price, out: &mut Vec<u8>) {
    let kind = match order.time_in_force {
        TimeInForce::Gtc => b"limit_limit_gtc".as_slice(),
        // The venue's only word for it: its router looks for the best of its books.
        TimeInForce::Ioc => b"sor_limit_ioc",
        TimeInForce::Fok => b"limit_limit_fok",
        TimeInForce::Gtd(_) => b"limit_limit_gtd",
    };
    push_configuration(kind, order.quantity, Some(price), out);
    if order.time_in_force.rests() {
        // Within the configuration: its last brace comes off, and on again.
        out.pop();
        if let TimeInForce::Gtd(until) = order.time_in_force {
            // Writing to a buffer cannot fail.
            let _ = write!(out, r#","end_time":"{}""#, Millis(until));
        }
        out.extend_from_slice(if order.post_only {
            br#","post_only":true}"#.as_slice()
        } else {
            br#","post_only":false}"#
        });
    }
}

fn push_configuration(kind: &[u8], quantity: Quantity, price: Option<Price>, out: &mut Vec<u8>) {
    out.extend_from_slice(kind);
    out.extend_from_slice(br#"":{"base_size":""#);
    push_units(quantity.units(), out);
    if let Some(price) = price {
        out.extend_from_slice(br#"","limit_price":""#);
        push_units(price.units(), out);
    }
    out.extend_from_slice(br#""}"#);
}

#[cfg(test)]
mod tests {
    use domain::{ClientOrderId, Epoch, InstrumentId, OrderType, SlotId, Venue};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::settings::{Endpoints, Settings};
    use super::*;
    use crate::NEW_ORDER_BYTES_MAX;
    use crate::sample::product;

    fn order() -> OrderRequest {
        OrderRequest {
            client_order_id: ClientOrderId {
                epoch: Epoch(3),
                slot: SlotId(1),
                counter: 42,
            },
            instrument: InstrumentId(0),
            side: Side::Buy,
            order_type: OrderType::Limit,
            price: Some(Price::parse(b"61837.63").unwrap()),
            quantity: Quantity::parse(b"0.001").unwrap(),
            time_in_force: TimeInForce::Gtc,
            post_only: false,
            reduce_only: false,
        }
    }

    fn encoded(order: &OrderRequest) -> Result<Value, EncodeError> {
        let encoder = OrderEncoder::new(&Settings::new(Endpoints::production()));
        let mut out = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
        let start = out.as_ptr();
        encoder.encode_new_order(order, &product(Venue::Coinbase, 0, "BTC-USD"), &mut out)?;
        assert_eq!(out.as_ptr(), start, "the buffer grew");
        Ok(serde_json::from_slice(&out).unwrap())
    }

    fn configuration(order: &OrderRequest) -> Value {
        encoded(order).unwrap()["order_configuration"].clone()
    }

    #[test]
    fn says_each_kind_of_order_in_the_venues_words() {
        let limit = encoded(&order()).unwrap();
        assert_eq!(
            limit,
            json!({
                "client_order_id": "e3-s1-42", "product_id": "BTC-USD", "side": "BUY",
                "order_configuration": {"limit_limit_gtc":
                    {"base_size": "0.001", "limit_price": "61837.63", "post_only": false}},
                "self_trade_prevention_id": "70795f72-7400-4000-8000-000000000001",
            })
        );
        let maker = OrderRequest {
            post_only: true,
            side: Side::Sell,
            ..order()
        };
        assert_eq!(encoded(&maker).unwrap()["side"], "SELL");
        assert_eq!(configuration(&maker)["limit_limit_gtc"]["post_only"], true);
        let at_once = |time_in_force| OrderRequest {
            time_in_force,
            ..order()
        };
        let price = json!({"base_size": "0.001", "limit_price": "61837.63"});
        assert_eq!(
            configuration(&at_once(TimeInForce::Ioc)),
            json!({"sor_limit_ioc": price})
        );
        assert_eq!(
            configuration(&at_once(TimeInForce::Fok)),
            json!({"limit_limit_fok": price})
        );
        let market = OrderRequest {
            order_type: OrderType::Market,
            price: None,
            ..order()
        };
        assert_eq!(
            configuration(&market),
            json!({"market_market_ioc": {"base_size": "0.001"}})
        );
    }

    #[test]
    fn every_order_bears_self_trade_prevention_and_says_until_when_it_stays() {
        let until = TimeInForce::Gtd(Timestamp::from_millis(1_723_161_300_001));
        let limits = [TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Fok, until];
        let limits = limits.map(|time_in_force| OrderRequest {
            time_in_force,
            ..order()
        });
        let market = OrderRequest {
            order_type: OrderType::Market,
            price: None,
            ..order()
        };
        for order in limits.into_iter().chain([market]) {
            let said = encoded(&order).unwrap();
            assert_eq!(
                said["self_trade_prevention_id"], "70795f72-7400-4000-8000-000000000001",
                "{said}"
            );
        }
        let maker = OrderRequest {
            post_only: true,
            time_in_force: until,
            ..order()
        };
        assert_eq!(
            configuration(&maker),
            json!({"limit_limit_gtd": {
                "base_size": "0.001", "limit_price": "61837.63", "end_time": "2024-08-08T23:55:00.001Z",
                "post_only": true,
            }})
        );
    }

    #[test]
    fn refuses_what_the_venue_has_no_words_for() {
        let cases = [
            (
                OrderRequest {
                    price: None,
                    ..order()
                },
                EncodeError::Price,
            ),
            (
                OrderRequest {
                    order_type: OrderType::Market,
                    ..order()
                },
                EncodeError::Price,
            ),
            (
                OrderRequest {
                    quantity: Quantity::ZERO,
                    ..order()
                },
                EncodeError::NotPositive,
            ),
            (
                OrderRequest {
                    instrument: InstrumentId(1),
                    ..order()
                },
                EncodeError::Instrument,
            ),
            (
                OrderRequest {
                    post_only: true,
                    time_in_force: TimeInForce::Ioc,
                    ..order()
                },
                EncodeError::PostOnly,
            ),
        ];
        for (order, error) in cases {
            assert_eq!(encoded(&order), Err(error));
        }
        let mut odd = product(Venue::Coinbase, 0, "BTC-USD");
        odd.symbol = Text::new("BTC\",\"x").unwrap();
        let encoder = OrderEncoder::new(&Settings::new(Endpoints::production()));
        let refused = encoder.encode_new_order(&order(), &odd, &mut Vec::new());
        assert_eq!(refused, Err(EncodeError::Instrument));
    }

    proptest! {
        #[test]
        fn no_order_outgrows_its_buffer_and_numbers_stay_exact(units in 1i64.., epoch: u32, slot: u16, counter: u32) {
            let id = ClientOrderId { epoch: Epoch(epoch), slot: SlotId(slot), counter };
            let order = OrderRequest {
                client_order_id: id,
                price: Some(Price::from_units(units)),
                quantity: Quantity::from_units(units),
                ..order()
            };
            let value = encoded(&order).unwrap();
            let words = &value["order_configuration"]["limit_limit_gtc"];
            prop_assert_eq!(words["base_size"].as_str().unwrap(), order.quantity.to_string());
            prop_assert_eq!(words["limit_price"].as_str().unwrap(), Price::from_units(units).to_string());
            prop_assert_eq!(ClientOrderId::parse(value["client_order_id"].as_str().unwrap()), Some(id));
        }
    }
}
