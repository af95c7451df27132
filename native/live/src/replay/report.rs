//! What a replay came to, for people and for programs.

use std::fmt::Write as _;

use domain::{BundleDigest, Liquidity, OrderType, Side, SlotId, TimeInForce, Timestamp};
use engine::{BookedFill, PositionUpdate};
use serde_json::{Value, json};

use super::Ran;
use super::against::Run;
use super::decisions::Decided;
use super::player::Played;

/// What was played, what was decided, and how it differs from a run.
#[derive(Debug)]
pub struct ReplayReport {
    wire: &'static str,
    span: (Timestamp, Timestamp),
    ran: Ran,
    played: Played,
    /// Orders and fills of the run; the first difference from them.
    run: Option<(usize, usize, Option<String>)>,
}

impl ReplayReport {
    pub(super) fn new(
        wire: &'static str,
        span: (Timestamp, Timestamp),
        ran: (SlotId, BundleDigest),
        played: Played,
        run: Option<&Run>,
    ) -> Self {
        let run = run.map(|run| {
            let of = &run.decisions;
            (
                of.orders.len(),
                of.fills.len(),
                run.first_difference(&played.decisions),
            )
        });
        Self {
            wire,
            span,
            ran,
            played,
            run,
        }
    }

    /// Whether it is the run that it was held against; `true` when it was held against none.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.run
            .as_ref()
            .is_none_or(|(.., difference)| difference.is_none())
    }

    /// As one JSON document: prices, quantities and money are decimal text, times UTC nanoseconds.
    #[must_use]
    pub fn json(&self) -> Value {
        let decisions = &self.played.decisions;
        json!({
            "wire": self.wire,
            "first_ns": self.span.0.nanos(),
            "last_ns": self.span.1.nanos(),
            "messages": self.played.messages,
            "events": decisions.events,
            "slot": self.ran.0.0,
            "bundle": self.ran.1.to_string(),
            "bars": decisions.bars,
            "signals": decisions.signals,
            "denied": decisions.denied,
            "alerts": decisions.alerts,
            "dropped": decisions.dropped,
            "orders": decisions.orders.iter().map(order).collect::<Vec<_>>(),
            "fills": decisions.fills.iter().map(fill).collect::<Vec<_>>(),
            "positions": self.played.positions.iter().map(position).collect::<Vec<_>>(),
            "equity": self.played.equity.to_string(),
            "run": self.run.as_ref().map(|(orders, fills, difference)| json!({
                "orders": orders,
                "fills": fills,
                "identical": difference.is_none(),
                "difference": difference,
            })),
        })
    }

    /// In lines.
    #[must_use]
    pub fn text(&self) -> String {
        let decisions = &self.played.decisions;
        let mut text = format!(
            "{}: {} messages, {} events, {} bars, bundle {} in slot {}\n",
            self.wire, self.played.messages, decisions.events, decisions.bars, self.ran.1, self.ran.0.0
        );
        for one in &decisions.orders {
            let request = &one.request;
            let limit = request
                .price
                .map_or_else(|| "market".to_owned(), |price| price.to_string());
            let _ = writeln!(
                text,
                "  {} {} {} {} at {limit}: {:?}, {} filled",
                one.ts, request.client_order_id, request.side, request.quantity, one.status, one.filled
            );
        }
        let _ = writeln!(
            text,
            "{} orders, {} fills, {} denied, {} alerts, equity {}",
            decisions.orders.len(),
            decisions.fills.len(),
            decisions.denied,
            decisions.alerts,
            self.played.equity
        );
        for one in &self.played.positions {
            let _ = writeln!(
                text,
                "slot {}: position {}, realised {}, unrealised {}, fees {}",
                one.slot.0, one.quantity, one.realized, one.unrealized, one.fees
            );
        }
        match &self.run {
            Some((orders, fills, None)) => {
                let _ = writeln!(text, "the run's {orders} orders and {fills} fills: the same");
            }
            Some((_, _, Some(difference))) => {
                let _ = writeln!(text, "not the run: {difference}");
            }
            None => {}
        }
        text
    }
}

fn order(one: &Decided) -> Value {
    let request = &one.request;
    json!({
        "id": request.client_order_id.to_string(),
        "ts_ns": one.ts.nanos(),
        "side": side(request.side),
        "type": match request.order_type { OrderType::Limit => "limit", OrderType::Market => "market" },
        "price": request.price.map(|price| price.to_string()),
        "quantity": request.quantity.to_string(),
        "time_in_force": match request.time_in_force {
            TimeInForce::Gtc => "gtc",
            TimeInForce::Ioc => "ioc",
            TimeInForce::Fok => "fok",
            TimeInForce::Gtd(_) => "gtd",
        },
        "post_only": request.post_only,
        "reduce_only": request.reduce_only,
        "status": format!("{:?}", one.status),
        "filled": one.filled.to_string(),
    })
}

fn fill(one: &BookedFill) -> Value {
    json!({
        "order": one.client_order_id.map(|id| id.to_string()),
        "ts_ns": one.ts_event.nanos(),
        "side": side(one.fill.side),
        "price": one.fill.price.to_string(),
        "quantity": one.fill.quantity.to_string(),
        "fee": one.fill.fee.to_string(),
        "liquidity": match one.fill.liquidity { Liquidity::Maker => "maker", Liquidity::Taker => "taker" },
        "realized": one.realized.to_string(),
    })
}

fn position(one: &PositionUpdate) -> Value {
    json!({
        "slot": one.slot.0,
        "instrument": one.instrument.0,
        "quantity": one.quantity.to_string(),
        "realized": one.realized.to_string(),
        "unrealized": one.unrealized.to_string(),
        "fees": one.fees.to_string(),
        "mark": one.mark.to_string(),
    })
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}
