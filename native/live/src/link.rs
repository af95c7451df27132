//! The streams of one venue, as the deciding thread hears them.

use std::sync::Arc;

use domain::{
    Balance, MarketEvent, Nanos, Quantity, SCALE, Timestamp, Trade, TradeId, Venue, VenueState, VenueStatus,
};
use engine::EventBody;
use tracing::{debug, info, warn};
use venues::clock::{Clock, ServerClock};
use venues::{
    AccountEvent, AccountProtocol, Connector, Instruments, MarketProtocol, ResyncRequester, StalenessBounds,
    StreamMessage, StreamMessageKind, VenueHealth,
};

use crate::comparison::Comparison;
use crate::driver::Driver;
use crate::monitoring::refusals::RefusalBoard;
use crate::monitoring::venues::VenueBoard;
use crate::simulated::SimulatedAccount;

/// Reads and sequences both streams, and keeps what follows from their going up and down.
#[derive(Debug)]
pub(crate) struct Link {
    venue: Venue,
    instruments: Arc<Instruments>,
    clock: Arc<ServerClock>,
    market: Box<dyn MarketProtocol>,
    tape: Tape,
    account: Box<dyn AccountProtocol>,
    requester: ResyncRequester,
    health: VenueHealth,
    is_market_up: bool,
    /// The venue's own last word about itself.
    takes_orders: bool,
    /// The engine gave the books up while the market's stream stayed: they must be synchronized anew.
    books_are_stale: bool,
    simulated: Option<SimulatedAccount>,
}

/// Steps of the simulated venue and rounds of timers between two messages: beyond it an order follows on an order without
/// end, at one instant.
const STEPS_MAX: usize = 65_536;

/// How far the time of a market message may be ahead of the venue's clock as we know it, wall time.
pub(crate) const AHEAD_MAX: Nanos = Nanos::from_secs(5);

/// What reads a venue's two streams.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) market: Box<dyn MarketProtocol>,
    pub(crate) account: Box<dyn AccountProtocol>,
    pub(crate) requester: ResyncRequester,
    /// The account's, where it is in this process.
    pub(crate) simulated: Option<SimulatedAccount>,
}

impl Streams {
    /// Those of a connector.
    pub(crate) fn of(
        connector: &dyn Connector,
        instruments: &Arc<Instruments>,
        clock: &ServerClock,
        requester: ResyncRequester,
        simulated: Option<SimulatedAccount>,
    ) -> Self {
        let mut market = connector.market_protocol(instruments, clock.service_span(AHEAD_MAX));
        market.set_staleness(StalenessBounds::on(clock));
        Self {
            market,
            account: connector.account_protocol(instruments),
            requester,
            simulated,
        }
    }
}

impl Link {
    pub(crate) fn new(
        venue: Venue,
        instruments: Arc<Instruments>,
        clock: Arc<ServerClock>,
        streams: Streams,
    ) -> Self {
        let Streams {
            market,
            account,
            requester,
            simulated,
        } = streams;
        Self {
            venue,
            market,
            tape: Tape::new(instruments.len()),
            account,
            instruments,
            clock,
            requester,
            health: VenueHealth::new(venue),
            is_market_up: false,
            takes_orders: true,
            books_are_stale: false,
            simulated,
        }
    }

    /// What happens by itself up to `until`, in order of time: timers, and what a simulated venue tells. Whether anything
    /// did.
    pub(crate) fn pass_time(
        &mut self,
        until: Timestamp,
        driver: &mut Driver,
        comparison: &mut Comparison,
    ) -> bool {
        let Some(simulated) = self.simulated.clone() else {
            return driver.fire_timers(until);
        };
        for step in 0..STEPS_MAX {
            let timer = driver.out().timers.next_at();
            let told = simulated.next_message(until.min(timer));
            driver.leave_behind(simulated.reached());
            match told {
                Some(message) => self.on_account(&message, driver, comparison),
                None if timer <= until => {
                    driver.fire_timers(timer);
                }
                None => return step > 0,
            }
            driver.take_back();
        }
        true
    }

    /// Passes on what the readers of both streams have counted themselves.
    pub(crate) fn pass_counts_on(&self, refusals: &RefusalBoard) {
        let books = self.instruments.iter();
        let books = books.filter_map(|instrument| self.market.book_statistics(instrument.id));
        refusals.market(&self.market.wire_statistics(), books);
        refusals.account_unknown_symbols(self.account.statistics().unknown_symbols);
    }

    /// Passes on how many books stand, and how many market messages wait.
    pub(crate) fn pass_books_on(&self, waiting: usize, venues: &VenueBoard) {
        let stand = self.instruments.iter();
        let stand = stand.filter(|instrument| self.market.is_synchronized(instrument.id));
        let counted = venues.of(self.venue);
        counted.books.set(stand.count() as u64);
        counted.waiting.set(waiting as u64);
    }

    /// When a simulated venue has something to tell, if the market tells nothing before.
    pub(crate) fn next_due(&self) -> Timestamp {
        let simulated = self.simulated.as_ref();
        simulated.map_or(Timestamp::from_nanos(i64::MAX), SimulatedAccount::next_due)
    }

    /// A message of the market's stream.
    pub(crate) fn on_market(
        &mut self,
        message: &StreamMessage,
        driver: &mut Driver,
        comparison: &mut Comparison,
    ) {
        driver.take_in_hand();
        let received = message.ts_received;
        let Self {
            market, tape, venue, ..
        } = self;
        let venue = *venue;
        driver.out().counters.venues.of(venue).messages.add_one();
        let read = market.on_message(message, &mut |event| {
            driver.parsed();
            if let MarketEvent::Trade(trade) = event
                && tape.follows_a_hole(&trade)
            {
                tell_hole(&trade, received, driver);
            }
            if matches!(event, MarketEvent::BookInvalid(_)) {
                driver.out().counters.venues.of(venue).books_given_up.add_one();
            }
            driver.give(received, EventBody::Market(event));
        });
        if let Err(error) = read {
            driver.out().counters.market_malformed.add_one();
            driver.out().counters.venues.of(venue).unreadable.add_one();
            driver.out().counters.refusals.market_unreadable(&error);
            warn!(%error, "market message");
            // It may have been a trade.
            self.tell_complete(received, driver);
        }
        match &message.kind {
            StreamMessageKind::Connected => {
                self.is_market_up = true;
                driver.out().counters.venues.of(venue).online.set(1);
                self.tape.begin();
                self.tell_complete(received, driver);
                let change = self.health.market(true);
                self.tell_status(change, received, driver, comparison);
            }
            StreamMessageKind::Disconnected(reason) => {
                warn!(?reason, "the market's stream is down");
                self.is_market_up = false;
                driver.out().counters.venues.of(venue).online.set(0);
                self.books_are_stale = false;
                let change = self.health.market(false);
                self.tell_status(change, received, driver, comparison);
            }
            StreamMessageKind::Frame(_) | StreamMessageKind::Snapshot { .. } => {}
        }
        self.hear_of_venue(received, driver, comparison);
        self.request_resyncs();
    }

    /// What the venue says of itself as a whole, and of what it takes of an instrument, if it has changed its word.
    fn hear_of_venue(&mut self, received: Timestamp, driver: &mut Driver, comparison: &mut Comparison) {
        if self.market.take_rules_request() {
            debug!(venue = %self.venue, "the venue speaks of an instrument's state: its rules are asked for");
            driver.out().rules.wish();
        }
        let takes_orders = self.market.takes_orders();
        if std::mem::replace(&mut self.takes_orders, takes_orders) == takes_orders {
            return;
        }
        warn!(venue = %self.venue, takes_orders, "the venue says whether it takes new orders");
        let change = self.health.takes_orders(takes_orders);
        self.tell_status(change, received, driver, comparison);
    }

    /// A message of the account's stream.
    pub(crate) fn on_account(
        &mut self,
        message: &StreamMessage,
        driver: &mut Driver,
        comparison: &mut Comparison,
    ) {
        driver.take_in_hand();
        let received = message.ts_received;
        // At most an up or a down is in one message, and it comes alone.
        let mut change = None;
        let Self {
            account,
            health,
            clock,
            venue,
            ..
        } = self;
        let venue = *venue;
        let read = account.on_message(message, &mut |event| match event {
            AccountEvent::Up => change = health.account(true),
            AccountEvent::Down => change = health.account(false),
            AccountEvent::Order(report) => {
                driver.parsed();
                driver.give(received, EventBody::OrderReport(report));
            }
            AccountEvent::Balance { balance, .. } => {
                driver.parsed();
                if is_odd(driver, venue, &balance) {
                    comparison.on_odd_balance(clock.monotonic());
                }
                driver.give(received, EventBody::Balance { venue, balance });
            }
            AccountEvent::ForeignOrder {
                venue_order_id, fill, ..
            } => {
                warn!(venue_order = %venue_order_id.0, ?fill, "somebody else trades on our account");
                comparison.ask_soon(clock.monotonic());
            }
        });
        if let Err(error) = read {
            driver.out().counters.account_malformed.add_one();
            driver.out().counters.refusals.account_unreadable(&error);
            warn!(%error, "account message: asking the venue what it was");
            comparison.ask_soon(self.clock.monotonic());
        }
        self.tell_status(change, received, driver, comparison);
        self.request_resyncs();
    }

    /// Every trade from now on is seen, as far as our clock can say.
    fn tell_complete(&self, received: Timestamp, driver: &mut Driver) {
        let since = received.plus(self.clock.uncertainty());
        for instrument in self.instruments.iter() {
            let instrument = instrument.id;
            driver.give(received, EventBody::TradesComplete { instrument, since });
        }
    }

    fn tell_status(
        &mut self,
        change: Option<VenueStatus>,
        received: Timestamp,
        driver: &mut Driver,
        comparison: &mut Comparison,
    ) {
        let Some(status) = change else { return };
        let online = status.state == VenueState::Online;
        info!(venue = %status.venue, online, "venue");
        driver.out().counters.venue_online.set(u64::from(online));
        driver.give(received, EventBody::Market(MarketEvent::VenueStatus(status)));
        comparison.set_online(online, self.clock.monotonic());
        if !online {
            self.books_are_stale = self.is_market_up;
        } else if std::mem::take(&mut self.books_are_stale) {
            self.begin_books_again(received, driver);
        }
    }

    /// Synchronizes the books as if the stream had just come up.
    fn begin_books_again(&mut self, received: Timestamp, driver: &mut Driver) {
        self.market
            .begin_again(&mut |event| driver.give(received, EventBody::Market(event)));
        self.tape.begin();
        self.tell_complete(received, driver);
    }

    fn request_resyncs(&mut self) {
        self.requester.pass_on(&mut *self.market);
    }
}

/// How far a balance may be from what our fills make of it before somebody is asked: what rounding leaves over, units of
/// 1e-16.
const ODD_FROM: i128 = 1_000_000_000_000;

/// Whether a balance is not what our fills have made of it: something came or went.
fn is_odd(driver: &Driver, venue: Venue, balance: &Balance) -> bool {
    let units = |quantity: Quantity| i128::from(quantity.units()) * i128::from(SCALE);
    let known = driver.engine().known_balance(venue, balance.currency);
    known.is_some_and(|known| (units(balance.free) + units(balance.locked) - known).abs() > ODD_FROM)
}

/// The numbers of public trades, which have no holes while every trade is seen.
#[derive(Debug)]
pub(crate) struct Tape(Vec<Option<TradeId>>);

impl Tape {
    pub(crate) fn new(instruments: usize) -> Self {
        Self(vec![None; instruments])
    }

    /// A stream begins: what traded before it is nobody's hole.
    pub(crate) fn begin(&mut self) {
        self.0.fill(None);
    }

    /// Whether trades are missing between the last one of its instrument and this one.
    pub(crate) fn follows_a_hole(&mut self, trade: &Trade) -> bool {
        let Some(last) = self.0.get_mut(usize::from(trade.instrument.0)) else {
            return false;
        };
        let before = last.replace(trade.trade_id);
        before.is_some_and(|before| trade.trade_id.0 > before.0.saturating_add(1))
    }
}

/// Bars that a hole before this trade reaches into are short of what traded there: they are fetched, not built.
fn tell_hole(trade: &Trade, received: Timestamp, driver: &mut Driver) {
    driver.out().counters.trade_holes.add_one();
    warn!(
        trade = trade.trade_id.0,
        "public trades are missing before this one"
    );
    let (instrument, since) = (trade.instrument, trade.ts_event.plus(Nanos(1)));
    driver.give(received, EventBody::TradesComplete { instrument, since });
}

#[cfg(test)]
mod tests {
    use domain::{InstrumentId, Price, Quantity, Side};

    use super::*;

    fn trade(instrument: u16, number: u64) -> Trade {
        Trade {
            instrument: InstrumentId(instrument),
            ts_event: Timestamp::EPOCH,
            trade_id: TradeId(number),
            price: Price::from_units(1),
            quantity: Quantity::from_units(1),
            aggressor: Side::Buy,
        }
    }

    #[test]
    fn a_hole_is_seen_once_in_its_own_instrument_and_not_across_streams() {
        let mut tape = Tape::new(2);
        let mut seen = |instrument, number| tape.follows_a_hole(&trade(instrument, number));
        assert!(!seen(0, 7), "the first one has nothing before it");
        assert!(!seen(0, 8));
        assert!(!seen(1, 100));
        assert!(seen(0, 10));
        assert!(!seen(0, 11));
        assert!(!seen(2, 5), "an instrument that nobody listed");
        tape.begin();
        assert!(!tape.follows_a_hole(&trade(0, 500)));
    }
}
