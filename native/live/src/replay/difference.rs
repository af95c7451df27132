//! A replay held against a run: everything that left for the venue, one by one in its order, and what came of it.
//!
//! Each action is looked at once, however many there are. Times are not compared, which are those of two receivers; the
//! place in the market is, by the bar that closed last.

use domain::{OrderStatus, Timestamp};
use engine::BookedFill;

use super::decisions::{Asked, Decided, Decisions, KEPT_MAX, Sent};

/// What a replay is beside a run.
#[derive(Debug)]
pub(super) struct Against {
    /// All of the run.
    pub(super) orders: usize,
    pub(super) fills: usize,
    /// Orders of the run in the time of the market that both heard.
    pub(super) compared: usize,
    pub(super) difference: Option<String>,
}

impl Against {
    /// Over the time of the market that both heard.
    pub(super) fn new(run: &Decisions, replay: &Decisions) -> Self {
        let until = run.market_time.min(replay.market_time);
        let orders = run.until(until).iter();
        let orders = orders.filter(|sent| matches!(sent.what, Asked::Order(_)));
        Self {
            orders: run.orders.len(),
            fills: run.fills.len(),
            compared: orders.count(),
            difference: Pair { run, replay }.first_difference(until),
        }
    }
}

struct Pair<'a> {
    run: &'a Decisions,
    replay: &'a Decisions,
}

impl Pair<'_> {
    fn first_difference(&self, until: Option<Timestamp>) -> Option<String> {
        let (run, replay) = (self.run.until(until), self.replay.until(until));
        if run.is_empty() && replay.is_empty() && !self.run.orders.is_empty() {
            let what = "the recording ends before the run's first order: there is nothing to compare";
            return Some(what.to_owned());
        }
        for at in 0..run.len().max(replay.len()) {
            let what = match (run.get(at), replay.get(at)) {
                (Some(run), Some(replay)) => self.sent_difference(run, replay),
                (run, replay) => Some(self.words(run, replay)),
            };
            if let Some(what) = what {
                return Some(format!("action {}: {what}", at + 1));
            }
        }
        self.beyond()
    }

    /// What cannot be compared is not the same.
    fn beyond(&self) -> Option<String> {
        if self.run.unreadable > 0 {
            let count = self.run.unreadable;
            return Some(format!("{count} actions of the run cannot be read by this build"));
        }
        let dropped = self.run.dropped.max(self.replay.dropped);
        (dropped > 0)
            .then(|| format!("{dropped} actions or fills beyond the first {KEPT_MAX} were not compared"))
    }

    fn sent_difference(&self, run: &Sent, replay: &Sent) -> Option<String> {
        let (Asked::Order(run_at), Asked::Order(replay_at)) = (run.what, replay.what) else {
            return (run.what != replay.what).then(|| self.words(Some(run), Some(replay)));
        };
        let orders = (&self.run.orders[run_at], &self.replay.orders[replay_at]);
        if orders.0.request != orders.1.request {
            return Some(self.words(Some(run), Some(replay)));
        }
        let of = |what: String| format!("order {}: {what}", orders.0.request.client_order_id);
        if run.last_bar != replay.last_bar {
            let place = |bar: Option<Timestamp>| {
                bar.map_or_else(
                    || "before any bar".to_owned(),
                    |ts| format!("after the bar that closed at {ts}"),
                )
            };
            let (run, replay) = (place(run.last_bar), place(replay.last_bar));
            return Some(of(format!("in the run {run}, in the replay {replay}")));
        }
        end_difference(orders.0, orders.1)
            .or_else(|| self.fill_difference(orders.0, orders.1))
            .map(of)
    }

    /// In what the fills of an order differ; of one that has not ended in both, as far as both have them.
    fn fill_difference(&self, run: &Decided, replay: &Decided) -> Option<String> {
        let have_ended = run.status.is_terminal() && replay.status.is_terminal();
        let (mut runs, mut replays) = (self.run.fills_of(run), self.replay.fills_of(replay));
        for number in 1_usize.. {
            let (run, replay) = (runs.next(), replays.next());
            match (run, replay) {
                (None, None) => break,
                (None, _) | (_, None) if !have_ended => break,
                (Some(run), Some(replay)) if facts(run) == facts(replay) => {}
                (run, replay) => {
                    let words =
                        |fill: Option<&BookedFill>| fill.map_or_else(|| "none".to_owned(), fill_words);
                    let (run, replay) = (words(run), words(replay));
                    return Some(format!(
                        "its fill {number}: in the run {run}, in the replay {replay}"
                    ));
                }
            }
        }
        None
    }

    fn words(&self, run: Option<&Sent>, replay: Option<&Sent>) -> String {
        let words = |decisions: &Decisions, sent: Option<&Sent>| {
            sent.map_or_else(|| "none".to_owned(), |sent| sent_words(decisions, sent))
        };
        let (run, replay) = (words(self.run, run), words(self.replay, replay));
        format!("in the run {run}, in the replay {replay}")
    }
}

fn end_difference(run: &Decided, replay: &Decided) -> Option<String> {
    // What was open when one of the two ended has no end to compare.
    let have_ended = run.status.is_terminal() && replay.status.is_terminal();
    let ends = |order: &Decided| (order.status, order.filled);
    (have_ended && ends(run) != ends(replay)).then(|| {
        let words = |order: &Decided| {
            let status: OrderStatus = order.status;
            format!("{status:?} with {} filled", order.filled)
        };
        let (run, replay) = (words(run), words(replay));
        format!("it ended as {run} in the run, as {replay} in the replay")
    })
}

fn facts(one: &BookedFill) -> impl PartialEq + use<> {
    let fill = &one.fill;
    (fill.side, fill.price, fill.quantity, fill.fee, fill.liquidity)
}

fn sent_words(decisions: &Decisions, sent: &Sent) -> String {
    match sent.what {
        Asked::Order(at) => decisions.orders[at].words(),
        Asked::Amend(amend) => format!(
            "a change of {} to {} at {}",
            amend.client_order_id, amend.terms.quantity, amend.terms.price
        ),
        Asked::Cancel(cancel) => format!("a cancel of {}", cancel.client_order_id),
    }
}

fn fill_words(one: &BookedFill) -> String {
    let fill = &one.fill;
    format!(
        "{} at {}, fee {}, {:?}",
        fill.quantity, fill.price, fill.fee, fill.liquidity
    )
}

#[cfg(test)]
mod tests;
