//! Money is neither made nor lost, whatever the accounts do.

use domain::{Bar, InstrumentId, OrderType, Price, Quantity, Side, TimeInForce};
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use proptest::prelude::*;
use simulation::SelfTradePrevention;

use super::*;
use crate::orders::Ticket;

const TICK: i64 = 1_000_000;
const SPAN_MS: i64 = 60_000;

fn bars() -> Vec<Bar> {
    (1..6)
        .map(|number| {
            let price = |ticks: i64| Price::from_units((10_000 + 13 * number + ticks) * TICK);
            Bar {
                instrument: InstrumentId(0),
                ts_open: Timestamp::from_millis(number * SPAN_MS),
                span: Nanos::from_millis(SPAN_MS),
                open: price(0),
                high: price(60),
                low: price(-40),
                close: price(20),
                volume: Quantity::from_units(25_000_000_000),
            }
        })
        .collect()
}

fn venue(kind: VenueKind) -> Venue {
    // Only Coinbase's wire reads a secret before it is used.
    let pem = p256::SecretKey::from_slice(&[7; 32])
        .expect("a key")
        .to_pkcs8_pem(LineEnding::LF);
    let pem = pem.expect("its text");
    let keys = vec![ApiKey::new("key_of_a", &pem), ApiKey::new("key_of_b", &pem)];
    let mut config = ServerConfig::new(bars(), kind.default_symbol());
    config.venue = kind;
    Venue::new(&config, keys).expect("a venue")
}

/// What an account does, and how long after the one before.
#[derive(Debug, Clone)]
struct Act {
    wait_ms: i64,
    account: usize,
    buy: bool,
    offset: i64,
    hundredths: i64,
    kind: u8,
    cancel: Option<u64>,
    amend: Option<u64>,
}

fn any_act() -> impl Strategy<Value = Act> {
    let cancel = prop::option::of(1u64..40);
    (
        0i64..12_000,
        0usize..2,
        any::<bool>(),
        -80i64..80,
        1i64..900,
        0u8..5,
        cancel.clone(),
        cancel,
    )
        .prop_map(
            |(wait_ms, account, buy, offset, hundredths, kind, cancel, amend)| Act {
                wait_ms,
                account,
                buy,
                offset,
                hundredths,
                kind,
                cancel,
                amend,
            },
        )
}

fn any_kind() -> impl Strategy<Value = VenueKind> {
    prop::sample::select(vec![VenueKind::Binance, VenueKind::Kraken, VenueKind::Coinbase])
}

fn ticket(venue: &mut Venue, act: &Act) -> Ticket {
    let last = venue.history.last_price().units();
    let is_market = act.kind == 0;
    Ticket {
        client_order_id: venue.next_client_id(),
        reference: None,
        side: if act.buy { Side::Buy } else { Side::Sell },
        order_type: if is_market {
            OrderType::Market
        } else {
            OrderType::Limit
        },
        price: (!is_market).then(|| Price::from_units(last + act.offset * TICK)),
        quantity: Quantity::from_units(act.hundredths * 1_000_000),
        time_in_force: if act.kind == 1 {
            TimeInForce::Ioc
        } else {
            TimeInForce::Gtc
        },
        post_only: act.kind == 2,
        keeps_refused: act.account == 1,
        self_trade: SelfTradePrevention::ExpireMaker,
        expires: (act.kind == 3).then(|| venue.clock.now().plus(Nanos::from_millis(9_000))),
    }
}

/// Holdings are the opening plus all executions and fees; what is locked is what open orders reserve.
fn check(venue: &Venue, opening: &[(Currency, i128)]) {
    for (index, account) in venue.accounts.iter().enumerate() {
        for &(currency, opened) in opening {
            let mut total = opened;
            for fill in &account.fills {
                let base = i128::from(fill.quantity.units()) * MONEY_PER_UNIT;
                let sign = i128::from(fill.side.sign());
                total += if currency == venue.listing.instrument.base {
                    sign * base
                } else {
                    -sign * fill.value()
                };
                total -= if fill.fee.currency() == currency {
                    fill.fee.units()
                } else {
                    0
                };
            }
            let open = venue
                .orders
                .open_of(index)
                .filter(|order| venue.given(order.ticket.side) == currency);
            let reserved: i128 = open.map(|order| order.reserved).sum();
            let holding = account.holding(currency);
            assert_eq!(holding.locked, reserved, "{currency} locked");
            assert_eq!(holding.free + holding.locked, total, "{currency} in all");
            assert!(holding.free >= 0 && reserved >= 0, "{currency} below zero");
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_made_or_lost(kind in any_kind(), acts in prop::collection::vec(any_act(), 1..60)) {
        let mut venue = venue(kind);
        let instrument = venue.listing.instrument;
        let opening = [instrument.base, instrument.quote].map(|currency| {
            (currency, venue.accounts[0].holding(currency).free)
        });
        for act in &acts {
            venue.clock.advance(Nanos::from_millis(act.wait_ms));
            let ticket = ticket(&mut venue, act);
            // A refusal is an outcome like any other.
            let _ = venue.place(act.account, ticket);
            if let Some(id) = act.cancel {
                let _ = venue.cancel(OrderId(id), "cancel");
            }
            if let Some(id) = act.amend {
                let price = Price::from_units(venue.history.last_price().units() + act.offset * TICK);
                let amendment = Amendment {
                    price: Some(price),
                    quantity: Some(Quantity::from_units(act.hundredths * 2_000_000)),
                    post_only: act.buy,
                };
                let _ = venue.amend(OrderId(id), amendment);
            }
            if act.kind == 4 {
                venue.arm_switch(act.account, Some(Duration::from_secs(2)));
            }
            check(&venue, &opening);
        }
        venue.clock.advance(Nanos::from_millis(6 * SPAN_MS));
        venue.catch_up();
        check(&venue, &opening);
    }
}
