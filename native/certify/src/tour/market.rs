//! What the venue tells everybody, and that the account's stream is up.

use domain::{Balance, Instrument, InstrumentStatus};
use venues::VenueError;

use super::{Found, Tour, differs, patiently};
use crate::streams::MarketSeen;

/// Proofs of the book that are waited for.
const PROOFS_WANTED: u64 = 20;

/// Bars that are asked for.
const BARS_WANTED: usize = 10;

/// The rules as read, for a person to compare with the venue's own page.
pub(super) fn rules(instrument: &Instrument) -> Found {
    if instrument.status != InstrumentStatus::Trading {
        return differs(format!(
            "{} is {:?}, not trading",
            instrument.symbol, instrument.status
        ));
    }
    let rules = &instrument.rules;
    Ok(vec![format!(
        "{}: {} for {}, tick {}, lot {}, quantity {} to {}, notional from {}",
        instrument.symbol,
        instrument.base,
        instrument.quote,
        rules.tick_size,
        rules.lot_size,
        rules.min_quantity,
        rules.max_quantity,
        rules.min_notional
    )])
}

impl Tour {
    /// What the account had at the beginning.
    pub(super) async fn funds(&self) -> Result<&[Balance], VenueError> {
        let asked = self
            .funds
            .get_or_try_init(|| patiently(async || self.gateway.balances().await));
        Ok(asked.await?)
    }

    pub(super) async fn balances(&self) -> Found {
        // No amounts: a certificate may be shown to others.
        let balances = self.funds().await?;
        let has = |currency| balances.iter().any(|balance| balance.currency == currency);
        let told = [self.instrument.base, self.instrument.quote]
            .map(|currency| format!("{currency} {}", if has(currency) { "told" } else { "not told" }));
        Ok(vec![format!("{} assets", balances.len()), told.join(", ")])
    }

    /// Bars that are complete and follow each other.
    pub(super) async fn bars(&self) -> Found {
        let span = self.plan.bar_span;
        let now = self.now();
        let bars = self
            .line
            .reference
            .bars(&self.instrument, span, BARS_WANTED, now)
            .await?;
        let Some(last) = bars.last() else {
            return differs("no bar was told");
        };
        if last.ts_close() > now {
            return differs("the last bar is not over");
        }
        if bars.iter().any(|bar| bar.span != span)
            || bars.windows(2).any(|two| two[0].ts_open >= two[1].ts_open)
        {
            return differs("bars of another length, or not oldest first");
        }
        Ok(vec![format!(
            "{} bars, the last closed at {}",
            bars.len(),
            last.close
        )])
    }

    /// A book that stands and was proven a number of times.
    pub(super) async fn market_streams(&self) -> Found {
        let is_enough = |seen: &MarketSeen| seen.is_synchronized && seen.proofs() >= PROOFS_WANTED;
        match self.market.until(is_enough).await {
            Some(seen) => Ok(told(&seen)),
            None => differs("the streams ended"),
        }
    }

    /// The same at the end of the tour: it stands still, and nothing was lost meanwhile.
    pub(super) fn market_at_the_end(&self) -> Found {
        let seen = self.market.seen();
        let book = &seen.book;
        let wrong = [
            ("gaps", book.gaps + seen.wire.connection_gaps),
            ("numbers twice or late", seen.wire.connection_repeats),
            ("crossed", book.crossed),
            ("wrong checksums", book.checksums_wrong),
            ("malformed", seen.wire.malformed),
            ("gaps in the trades", seen.wire.trade_gaps),
        ];
        let wrong: Vec<String> = wrong
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{what}: {count}"))
            .collect();
        if !wrong.is_empty() {
            return differs(wrong.join(", "));
        }
        if !seen.is_synchronized {
            return differs("the book does not stand");
        }
        Ok(told(&seen))
    }

    pub(super) async fn account_stream(&self) -> Found {
        match self.account.until(|seen| seen.is_up).await {
            Some(_) => Ok(vec!["up".to_owned()]),
            None => differs("the stream ended"),
        }
    }
}

fn told(seen: &MarketSeen) -> Vec<String> {
    let kinds = seen
        .wire
        .kinds
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"));
    let kinds: Vec<String> = kinds.collect();
    let book = &seen.book;
    vec![
        format!("messages: {}", kinds.join(", ")),
        format!(
            "book: {} changes, {} checksums right, {} best levels compared; {} by the scanner, {} by the slow reader",
            book.diffs_applied,
            book.checksums_right,
            book.best_compared,
            seen.wire.scanned,
            seen.wire.fallbacks
        ),
    ]
}
