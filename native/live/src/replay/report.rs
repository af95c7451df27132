//! What a replay came to, for people and for programs.

use std::fmt::Write as _;
use std::path::PathBuf;

use domain::{BundleDigest, Liquidity, OrderType, Side, SlotId, TimeInForce, Timestamp};
use engine::{BookedFill, PositionUpdate};
use serde_json::{Value, json};

use super::Ran;
use super::against::Run;
use super::decisions::Decided;
use super::difference::Against;
use super::player::Played;

/// What the JSON document is.
const SCHEMA: &str = "py_rt.replay/1";

/// What was played, what was decided, and how it differs from a run.
#[derive(Debug)]
pub struct ReplayReport {
    wire: &'static str,
    span: (Timestamp, Timestamp),
    ran: Ran,
    played: Played,
    /// Files that end in the middle of a record.
    torn: Vec<PathBuf>,
    run: Option<Against>,
}

impl ReplayReport {
    pub(super) fn new(
        wire: &'static str,
        span: (Timestamp, Timestamp),
        ran: (SlotId, BundleDigest),
        played: Played,
        torn: Vec<PathBuf>,
        run: Option<&Run>,
    ) -> Self {
        let run = run.map(|run| Against::new(&run.decisions, &played.decisions));
        Self {
            wire,
            span,
            ran,
            played,
            torn,
            run,
        }
    }

    /// Whether it is the run that it was held against; `true` when it was held against none.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.run.as_ref().is_none_or(|run| run.difference.is_none())
    }

    /// As one JSON document: prices, quantities and money are decimal text, times UTC nanoseconds.
    #[must_use]
    pub fn json(&self) -> Value {
        let decisions = &self.played.decisions;
        json!({
            "schema": SCHEMA,
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
            "torn": self.torn.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
            "run": self.run.as_ref().map(|run| json!({
                "orders": run.orders,
                "fills": run.fills,
                "compared": run.compared,
                "identical": run.difference.is_none(),
                "difference": run.difference,
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
            let _ = writeln!(
                text,
                "  {} {}: {:?}, {} filled",
                one.ts,
                one.words(),
                one.status,
                one.filled
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
        for file in &self.torn {
            let _ = writeln!(
                text,
                "{} ends in the middle of a record: what came after is not in it",
                file.display()
            );
        }
        let Some(run) = &self.run else { return text };
        let _ = match &run.difference {
            None => writeln!(
                text,
                "the run's decisions: {} of its {} orders were sent in the recorded time, all the same",
                run.compared, run.orders
            ),
            Some(difference) => writeln!(text, "not the run's decisions: {difference}"),
        };
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
