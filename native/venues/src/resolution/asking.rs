//! The unknown-order protocol with a gateway to ask.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{Nanos, OrderReport, OrderReportKind, Timestamp, VenueOrderId};
use tokio::time::sleep;
use tracing::{error, warn};

use super::{Answer, FIRST_PAUSE, LONGEST_PAUSE, Margins, Resolution, Source, Step};
use crate::clock::Clock;
use crate::error::VenueError;
use crate::retry::{Backoff, Jitter};
use crate::trading::{Gateway, OrderView, UnknownOrder};

/// Most orders looked up by the venue's number in one question to the trades.
const LOOKUPS_MAX: usize = 64;

/// Most attempts to read the fills of an order that was found, and the first and longest pause between them.
const FOUND_ATTEMPTS_MAX: u32 = 32;
const FOUND_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// How far our clock may be off the venue's, beside its own uncertainty.
const SKEW: Nanos = Nanos::from_millis(250);

impl Margins {
    /// In the time of `clock`, from what the session's settings say in wall time: how long after it was signed the venue
    /// may take an order, and how far its answers may lag.
    #[must_use]
    pub fn of_session(clock: &dyn Clock, recv_window: Nanos, staleness: Nanos) -> Self {
        Self {
            recv_window: clock.service_span(recv_window),
            staleness: clock.service_span(staleness),
            skew: clock.service_span(SKEW),
            first_pause: clock.service_span(FIRST_PAUSE),
            longest_pause: clock.service_span(LONGEST_PAUSE),
        }
    }
}

/// Finds out what became of an order whose answer never came, waiting as long as that takes: what
/// [`Gateway::resolve`] promises, for any venue whose gateway can be asked.
pub async fn find_out(
    gateway: &dyn Gateway,
    clock: &dyn Clock,
    margins: Margins,
    unknown: UnknownOrder,
    jitter: Jitter,
) -> Vec<OrderReport> {
    let mut inquiry = Inquiry {
        gateway,
        earliest: unknown.sent.plus(Nanos(-margins.skew.0)),
        unknown,
        view: None,
        orders: BTreeMap::new(),
    };
    let mut resolution = Resolution::new(unknown.sent, margins);
    let mut backoff = Backoff::new(FOUND_PAUSE.0, FOUND_PAUSE.1, jitter);
    let mut attempts = 0;
    loop {
        match resolution.next(clock.now()) {
            Step::Ask(source) => {
                let asked = clock.now();
                let answer = inquiry.ask(source).await;
                resolution.answer(source, asked, clock.now(), answer);
            }
            Step::WaitUntil(at) => sleep(clock.wall_until(at)).await,
            Step::Found => match inquiry.found().await {
                Some(reports) => return reports,
                // It exists, but its fills could not be read: they may still come by the account's stream.
                None if attempts == FOUND_ATTEMPTS_MAX => return inquiry.as_seen(),
                None => {
                    attempts += 1;
                    sleep(backoff.next_pause()).await;
                }
            },
            Step::NotFound => return vec![inquiry.report(clock.now(), OrderReportKind::NotFound)],
            Step::GaveUp => {
                error!(order = %unknown.client_order_id, "outcome still unknown: look at the venue");
                return Vec::new();
            }
        }
    }
}

/// One question and what has been learned so far.
struct Inquiry<'a> {
    gateway: &'a dyn Gateway,
    unknown: UnknownOrder,
    /// The earliest venue time at which the order can have traded.
    earliest: Timestamp,
    /// The order itself.
    view: Option<OrderView>,
    /// Orders that traded since, by the venue's number.
    orders: BTreeMap<VenueOrderId, OrderView>,
}

impl Inquiry<'_> {
    async fn ask(&mut self, source: Source) -> Answer {
        let id = self.unknown.client_order_id;
        let result = match source {
            Source::Order => {
                let order = self.unknown.named();
                let view = self.gateway.query_order(&order).await;
                view.map(|view| view.into_iter().collect())
            }
            Source::OpenOrders => self.gateway.open_orders(self.unknown.instrument).await,
            Source::Trades => self.traded_orders().await,
        };
        match result {
            Ok(views) => {
                let ours = views.iter().find(|view| view.client_order_id == Some(id));
                self.view = ours.copied().or(self.view);
                if ours.is_some() {
                    Answer::Present
                } else {
                    Answer::Absent
                }
            }
            Err(error) => {
                warn!(order = %id, ?source, %error, "could not ask");
                Answer::Failed
            }
        }
    }

    /// The orders behind the account's trades since the unknown order was sent. Where the list of trades does not carry
    /// our ids, each order is looked up once; where it does, only ours is.
    async fn traded_orders(&mut self) -> Result<Vec<OrderView>, VenueError> {
        let Self {
            gateway,
            unknown,
            orders,
            ..
        } = self;
        let trades = gateway.trades(unknown.instrument, self.earliest).await?;
        let may_be_ours = trades.iter().filter(|trade| {
            trade
                .client_order_id
                .is_none_or(|id| id == unknown.client_order_id)
        });
        let mut lookups = 0;
        for trade in may_be_ours {
            if orders.contains_key(&trade.venue_order_id) {
                continue;
            }
            if lookups == LOOKUPS_MAX {
                return Err(VenueError::TooLarge {
                    request: "orders behind trades",
                    max: LOOKUPS_MAX,
                });
            }
            lookups += 1;
            let view = gateway
                .query_by_venue_id(unknown.instrument, trade.venue_order_id)
                .await?;
            // An order that traded exists: a venue that does not know it cannot be relied on yet.
            let view = view.ok_or_else(|| VenueError::NoAnswer {
                request: "order behind a trade",
                detail: "an order that traded is not known".to_owned(),
            })?;
            orders.insert(trade.venue_order_id, view);
        }
        Ok(orders.values().copied().collect())
    }

    /// The fills and the state of an order that was found.
    async fn found(&self) -> Option<Vec<OrderReport>> {
        // The state first and the trades after it, so that no fill that the state counts is missing.
        let seen = self.view?;
        let Self { gateway, unknown, .. } = self;
        let view = gateway
            .query_by_venue_id(unknown.instrument, seen.venue_order_id)
            .await;
        let view = view.ok().flatten().unwrap_or(seen);
        let trades = gateway.trades(unknown.instrument, self.earliest).await.ok()?;
        let fills = trades
            .iter()
            .filter(|trade| trade.venue_order_id == seen.venue_order_id);
        let mut reports: Vec<_> = fills
            .map(|trade| self.report(trade.ts_event, OrderReportKind::Filled(trade.fill)))
            .collect();
        reports.push(self.report(view.ts_event, OrderReportKind::Found(view.snapshot())));
        Some(reports)
    }

    /// The order as it was last seen, without fills.
    fn as_seen(&self) -> Vec<OrderReport> {
        let view = self.view.into_iter();
        view.map(|view| self.report(view.ts_event, OrderReportKind::Found(view.snapshot())))
            .collect()
    }

    const fn report(&self, ts_event: Timestamp, kind: OrderReportKind) -> OrderReport {
        OrderReport {
            client_order_id: self.unknown.client_order_id,
            instrument: self.unknown.instrument,
            ts_event,
            kind,
        }
    }
}
