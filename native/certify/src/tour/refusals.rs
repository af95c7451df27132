//! What the venue must refuse, and with which of its own words.

use std::sync::Arc;
use std::time::Duration;

use domain::{Nanos, OrderReportKind, RejectReason, Timestamp, Venue};
use venues::clock::Clock;
use venues::{OrderEntry, VenueError};

use super::orders::{Shape, kind_text, only};
use super::{Found, Line, Odd, TOURED, Tour, differs};

/// How old a stale request is, wall time.
const STALE: Nanos = Nanos::from_secs(3_600);

/// Kraken's words for an order that comes after its deadline.
const DEADLINE_ELAPSED: &str = "EService:Deadline elapsed";

/// A clock that is behind.
#[derive(Debug)]
struct Behind(Arc<dyn Clock>);

impl Clock for Behind {
    fn now(&self) -> Timestamp {
        self.0.now().plus(Nanos(-self.0.service_span(STALE).0))
    }

    fn monotonic(&self) -> Nanos {
        self.0.monotonic()
    }

    fn wall_until(&self, at: Timestamp) -> Duration {
        self.0.wall_until(at)
    }

    fn service_span(&self, wall: Nanos) -> Nanos {
        self.0.service_span(wall)
    }
}

impl Tour {
    /// A span of service time, from seconds of wall time.
    pub(super) fn clock_span(&self, seconds: i64) -> Nanos {
        self.clock.service_span(Nanos::from_secs(seconds))
    }

    pub(super) async fn unknown_symbol(&self) -> Found {
        let symbol = match self.plan.venue.venue {
            Venue::Kraken => "PYRT/NONE",
            Venue::Coinbase => "PYRT-NONE",
            _ => "PYRTNONE",
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let line = Line::open(&self.plan, self.plan.credentials.clone(), OrderEntry::Rest, clock)?;
        match line.reference.instruments(&[symbol]).await {
            Ok(_) => differs(format!("{symbol} is listed")),
            // The venue's own number for it, or its list without it.
            Err(error @ (VenueError::UnknownSymbol { .. } | VenueError::Refused { code: -1121, .. })) => {
                Ok(vec![error.to_string()])
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn filter_violation(&self) -> Found {
        let sizes = self.sizes().await?;
        let Some(quantity) = sizes.too_small(&self.instrument) else {
            return Err(Odd::NotTried("no quantity in steps is too small here".to_owned()));
        };
        let shape = Shape {
            quantity,
            ..Shape::resting(&sizes)
        };
        let (_, reports) = self.send(shape).await?;
        match only(&reports) {
            Some(OrderReportKind::Rejected(RejectReason::Filter)) => {
                self.in_their_words(&format!("{quantity} refused"))
            }
            other => differs(format!("expected a filter's refusal, found {}", kind_text(other))),
        }
    }

    /// A request that was signed an hour ago. Kraken's requests bear no time, only its orders do.
    pub(super) async fn stale_timestamp(&self) -> Found {
        if self.plan.venue.venue == Venue::Kraken {
            return self.stale_order().await;
        }
        let clock = Arc::new(Behind(Arc::clone(&self.clock) as Arc<dyn Clock>));
        let line = Line::open(&self.plan, self.plan.credentials.clone(), OrderEntry::Rest, clock)?;
        let gateway = line.connector.gateway(&self.instruments)?;
        let is_it = |error: &VenueError| match self.plan.venue.venue {
            Venue::Binance => matches!(error, VenueError::Refused { code: -1021, .. }),
            _ => matches!(error, VenueError::Refused { status: 401, .. }),
        };
        refused(gateway.balances().await, is_it)
    }

    async fn stale_order(&self) -> Found {
        let sizes = self.sizes().await?;
        let (gateway, age) = (&*self.gateway, self.clock.service_span(STALE));
        let (_, reports) = self.submit(gateway, Shape::resting(&sizes), age).await?;
        let words = self.words.said();
        // The venue's words leave open whether it was placed, so the client says that it does not know.
        let is_open = only(&reports) == Some(OrderReportKind::OutcomeUnknown);
        if is_open && words.iter().any(|line| line.contains(DEADLINE_ELAPSED)) {
            return Ok(vec![DEADLINE_ELAPSED.to_owned()]);
        }
        differs(format!(
            "expected {DEADLINE_ELAPSED}, found {}",
            kind_text(only(&reports))
        ))
    }

    pub(super) async fn bad_signature(&self) -> Found {
        let credentials = self.plan.credentials.with_another_secret()?;
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let line = Line::open(&self.plan, credentials, OrderEntry::Rest, clock)?;
        line.reference.instruments(&[&self.plan.symbol]).await?;
        let gateway = line.connector.gateway(&self.instruments)?;
        let is_it = |error: &VenueError| match (self.plan.venue.venue, error) {
            (Venue::Binance, VenueError::Refused { code, .. }) => *code == -1022,
            (Venue::Kraken, VenueError::Refused { message, .. }) => {
                message.starts_with("EAPI:Invalid signature")
            }
            (_, VenueError::Refused { status, .. }) => *status == 401,
            _ => false,
        };
        refused(gateway.open_orders(TOURED).await, is_it)
    }

    /// What is kept of a refusal: the client's log holds the venue's words, and stands in the step beside this.
    fn in_their_words(&self, what: &str) -> Found {
        if self.words.said().is_empty() {
            return differs(format!("{what}, without a word"));
        }
        Ok(vec![what.to_owned()])
    }
}

fn refused<T>(answer: Result<T, VenueError>, is_it: impl Fn(&VenueError) -> bool) -> Found {
    match answer {
        Ok(_) => differs("it was taken"),
        Err(error) if is_it(&error) => Ok(vec![error.to_string()]),
        Err(error) => differs(format!("refused in other words: {error}")),
    }
}
