//! The venue as its clients see it: market, accounts, orders and streams, moved by one clock.
//!
//! Everything here happens under one lock, and every call first plays what is due: venue time is the only order.

mod booking;
mod placing;

use std::time::Duration;

use domain::{Currency, Decimal, Nanos, Timestamp, Trade};
use simulation::{DepthFeed, FeeSchedule, Market, OrderId, Outbox, Output};

pub(crate) use self::placing::Amendment;
use crate::account::Account;
use crate::binance;
use crate::clock::VenueClock;
use crate::coinbase;
use crate::config::ServerConfig;
use crate::error::ServerError;
use crate::events::{Event, Happening, OrderNews};
use crate::faults::RequestFaults;
use crate::history::{Day, History};
use crate::hub::Hub;
use crate::keys::ApiKey;
use crate::kraken;
use crate::listing::Listing;
use crate::orders::{Ending, FillRecord, OrderLedger};
use crate::rate::RateLimits;
use crate::rewrites::Rewrites;
use crate::wire::{Scene, VenueKind};

/// Units of money (1e-16) in one unit (1e-8) of base.
const MONEY_PER_UNIT: i128 = domain::SCALE as i128;

/// What the venue takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Everything.
    #[default]
    Online,
    /// Cancels, and nothing else.
    CancelOnly,
    /// Cancels, and orders that rest.
    PostOnly,
    /// Nothing: not even cancels.
    Maintenance,
}

impl Mode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::CancelOnly => "cancel_only",
            Self::PostOnly => "post_only",
            Self::Maintenance => "maintenance",
        }
    }
}

/// What made the matching engine do something.
#[derive(Debug, Clone, Copy)]
struct Cause<'a> {
    /// The client's own name of a cancel.
    cancel_id: Option<&'a str>,
    /// Why an order that is canceled ends.
    ending: Ending,
}

impl Cause<'_> {
    const MARKET: Self = Self {
        cancel_id: None,
        ending: Ending::Asked,
    };
}

/// The state behind the lock.
#[derive(Debug)]
pub(crate) struct Venue {
    pub(crate) kind: VenueKind,
    pub(crate) clock: VenueClock,
    pub(crate) listing: Listing,
    pub(crate) market: Market,
    pub(crate) accounts: Vec<Account>,
    pub(crate) orders: OrderLedger,
    pub(crate) history: History,
    pub(crate) hub: Hub,
    pub(crate) limits: RateLimits,
    pub(crate) faults: RequestFaults,
    /// Nonces and tokens of Kraken's wire.
    pub(crate) kraken: kraken::Desk,
    /// Keys of Coinbase's wire.
    pub(crate) coinbase: coinbase::Desk,
    fees: FeeSchedule,
    outbox: Outbox,
    /// One for each of the wire's grids.
    feeds: Vec<DepthFeed>,
    /// When all orders of an account are canceled, unless it asks for more time first.
    switches: Vec<Option<Timestamp>>,
    mode: Mode,
    /// Whether the keys may withdraw, as the calls that tell of them say.
    pub(crate) keys_may_withdraw: bool,
    /// Answers over REST that are other ones, by their path.
    pub(crate) rewrites: Rewrites<String>,
    /// How far off the clock is that clients see.
    skew: Nanos,
    record_ended: bool,
    execution_id: u64,
    client_id: u64,
}

impl Venue {
    /// The venue of a configuration, its clock paused at the opening of the first bar.
    pub(crate) fn new(config: &ServerConfig, keys: Vec<ApiKey>) -> Result<Self, ServerError> {
        let (warmup, played) = config.split_bars()?;
        let bps = (config.maker_bps, config.taker_bps);
        let tick_size = config.tick_size();
        let listing = Listing::new(
            config.venue,
            &config.symbol,
            tick_size,
            bps,
            config.weight_per_minute,
        )?;
        let start = played.first().map_or(Timestamp::EPOCH, |bar| bar.ts_open);
        let span = played.first().map_or(Nanos(1), |bar| bar.span);
        let market = Market::new(&listing.instrument, config.flow, played.to_vec())?;
        let coinbase = match config.venue {
            VenueKind::Coinbase => {
                coinbase::Desk::new(&keys).map_err(|index| ServerError::PrivateKey { entry: index + 1 })?
            }
            VenueKind::Binance | VenueKind::Kraken => coinbase::Desk::default(),
        };
        let opening = config.opening_balances(&listing.instrument)?;
        let accounts = Account::open(keys, &opening, start.millis());
        Ok(Self {
            kind: config.venue,
            clock: VenueClock::new(start, span, config.wall_span),
            market,
            orders: OrderLedger::default(),
            history: History::new(warmup, played),
            hub: Hub::default(),
            limits: RateLimits::new(config.weight_per_minute, accounts.len()),
            faults: RequestFaults::default(),
            kraken: kraken::Desk::default(),
            coinbase,
            fees: FeeSchedule {
                maker_bps: config.maker_bps,
                taker_bps: config.taker_bps,
                asset: config.venue.fee_asset(),
            },
            switches: vec![None; accounts.len()],
            accounts,
            listing,
            outbox: Outbox::default(),
            feeds: config
                .venue
                .grids()
                .iter()
                .map(|&grid| DepthFeed::new(grid))
                .collect(),
            mode: Mode::default(),
            keys_may_withdraw: false,
            rewrites: Rewrites::default(),
            skew: Nanos(0),
            record_ended: false,
            execution_id: 0,
            client_id: 0,
        })
    }

    /// Plays all that is due; returns venue time.
    pub(crate) fn catch_up(&mut self) -> Timestamp {
        let now = self.clock.now();
        while let Some(ts) = self.next_due().filter(|ts| self.clock.has_reached(*ts, now)) {
            if let Some(grid) = self.feeds.iter().position(|feed| feed.due() == Some(ts)) {
                self.publish_book(grid);
            } else if self.next_end() == Some(ts) {
                self.end_due(ts);
            } else {
                let mut outbox = std::mem::take(&mut self.outbox);
                self.market.step(&mut outbox);
                self.read_outbox(&outbox, Cause::MARKET);
                self.outbox = outbox;
                self.record_ended = self.market.next_ts().is_none();
            }
        }
        now
    }

    /// When something happens next by itself.
    pub(crate) fn next_due(&mut self) -> Option<Timestamp> {
        let book = self.feeds.iter().filter_map(DepthFeed::due).min();
        let times = [book, self.next_end(), self.market.next_ts()];
        times.into_iter().flatten().min()
    }

    /// When an order, or all orders of an account, end by themselves next.
    fn next_end(&self) -> Option<Timestamp> {
        let order = self.orders.next_end().map(|(end, _)| end);
        self.switches.iter().copied().flatten().chain(order).min()
    }

    /// Ends what is to end at `ts`.
    fn end_due(&mut self, ts: Timestamp) {
        let account = self.switches.iter().position(|switch| *switch == Some(ts));
        if let Some(account) = account {
            self.switches[account] = None;
            let open: Vec<OrderId> = self.orders.open_of(account).map(|order| order.id).collect();
            for id in open {
                self.end(id, ts, Ending::Switch);
            }
        } else if let Some((_, id)) = self.orders.next_end() {
            self.end(id, ts, Ending::TimeUp);
        }
    }

    /// Cancels all orders of an account after `wall` time, unless it is called again first; `None` never. Returns when.
    pub(crate) fn arm_switch(&mut self, account: usize, wall: Option<Duration>) -> Option<Timestamp> {
        let now = self.catch_up();
        let at = wall.map(|wall| now.plus(self.clock.to_venue(wall)));
        self.switches[account] = at;
        at
    }

    /// Whether the account's orders are canceled unless it says something.
    pub(crate) fn has_switch(&self, account: usize) -> bool {
        self.switches.get(account).is_some_and(Option::is_some)
    }

    /// Wall time until something happens by itself; `None` while paused or when nothing ever will.
    pub(crate) fn next_wake(&mut self) -> Option<Duration> {
        let due = self.next_due()?;
        self.clock.wall_until(due)
    }

    /// Whether the record is over and everything about it was published.
    pub(crate) fn is_done(&mut self) -> bool {
        self.record_ended && self.next_due().is_none()
    }

    pub(crate) fn record_ended(&self) -> bool {
        self.record_ended
    }

    /// The account of an API key, and the key.
    pub(crate) fn account_of(&self, key: &str) -> Option<(usize, &ApiKey)> {
        Account::find(&self.accounts, key)
    }

    /// Publishes and books what happened, in order.
    fn read_outbox(&mut self, outbox: &Outbox, cause: Cause<'_>) {
        let ts = outbox.ts;
        // At most the taker's account and those of the makers it met.
        let mut touched: Vec<usize> = Vec::new();
        for output in &outbox.outputs {
            match *output {
                Output::Trade {
                    trade_id,
                    price,
                    quantity,
                    aggressor,
                } => {
                    let trade = Trade {
                        instrument: self.listing.instrument.id,
                        ts_event: ts,
                        trade_id,
                        price,
                        quantity,
                        aggressor,
                    };
                    self.history.note(trade);
                    self.tell(&Event::Trade(&trade));
                }
                Output::Level {
                    side,
                    price,
                    quantity,
                    update_id,
                } => {
                    for feed in &mut self.feeds {
                        feed.note(ts, side, price, quantity, update_id);
                    }
                }
                Output::Quote(best) => self.tell(&Event::Quote(ts, &best)),
                Output::Order { order, outcome, .. } => {
                    let id = self.orders.of_engine(order);
                    if let Some(account) = self.order_outcome(id, &outcome, ts.millis(), cause)
                        && !touched.contains(&account)
                    {
                        touched.push(account);
                    }
                }
            }
        }
        for account in touched {
            self.report_balances(account, ts.millis());
        }
    }

    /// What a wire may look at, and those who listen.
    pub(crate) fn scene(&mut self, now: Timestamp) -> (Scene<'_>, &mut Hub) {
        let scene = Scene {
            listing: &self.listing,
            market: &self.market,
            accounts: &self.accounts,
            orders: &self.orders,
            history: &self.history,
            mode: self.mode,
            now,
        };
        (scene, &mut self.hub)
    }

    /// Tells everyone who listens.
    fn tell(&mut self, event: &Event<'_>) {
        let (kind, now) = (self.kind, self.clock.now());
        let (scene, hub) = self.scene(now);
        kind.publish(hub, &scene, event);
    }

    fn publish_book(&mut self, grid: usize) {
        // Taken out while the rest of the venue is looked at.
        let interval = self.kind.grids()[grid];
        let mut feed = std::mem::replace(&mut self.feeds[grid], DepthFeed::new(interval));
        self.tell(&Event::Book {
            grid,
            diff: &feed.diff(),
        });
        feed.clear();
        self.feeds[grid] = feed;
    }

    /// Tells an order's owner what happened to it.
    fn tell_order(
        &mut self,
        id: OrderId,
        what: Happening,
        fill: Option<&FillRecord>,
        cancel_id: Option<&str>,
        time_ms: i64,
    ) {
        self.execution_id += 1;
        let Some(order) = self.orders.get(id) else {
            return;
        };
        let news = OrderNews {
            order,
            what,
            fill,
            cancel_id,
            execution_id: self.execution_id,
            time_ms,
        };
        let scene = Scene {
            listing: &self.listing,
            market: &self.market,
            accounts: &self.accounts,
            orders: &self.orders,
            history: &self.history,
            mode: self.mode,
            now: self.clock.now(),
        };
        self.kind.publish(&mut self.hub, &scene, &Event::Order(&news));
    }

    fn report_balances(&mut self, account: usize, time_ms: i64) {
        let instrument = &self.listing.instrument;
        let currencies: [Currency; 2] = [instrument.base, instrument.quote];
        self.accounts[account].updated_ms = time_ms;
        self.tell(&Event::Balances {
            account,
            currencies: &currencies,
            time_ms,
        });
    }

    /// Moves money onto an account, or with a negative amount from it; `false`, with nothing moved, when that is not free.
    pub(crate) fn transfer(&mut self, account: usize, asset: Currency, amount: Decimal) -> bool {
        let now = self.catch_up();
        let units = i128::from(amount.units()) * MONEY_PER_UNIT;
        if self.accounts[account].holding(asset).free + units < 0 {
            return false;
        }
        self.accounts[account].receive(asset, units);
        self.report_balances(account, now.millis());
        true
    }

    /// What a client sees on the venue's clock when it is `now`.
    pub(crate) fn shown(&self, now: Timestamp) -> Timestamp {
        now.plus(self.skew)
    }

    /// Sets the clock that clients see off by `by`.
    pub(crate) fn skew(&mut self, by: Nanos) {
        self.skew = by;
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Says and obeys what the venue takes from now on.
    pub(crate) fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
        self.tell(&Event::Mode(mode));
    }

    /// A second of wall time has passed.
    pub(crate) fn heartbeat(&mut self) {
        self.tell(&Event::Heartbeat);
    }

    /// Says that the venue goes away for a while.
    pub(crate) fn tell_shutdown(&mut self) {
        self.tell(&Event::Shutdown);
    }

    /// Ends the account's streams, on wires that say so; the connections stay.
    pub(crate) fn end_account_streams(&mut self) {
        let now = self.catch_up();
        if self.kind == VenueKind::Binance {
            binance::end_account_streams(&mut self.hub, self.accounts.len(), now.millis());
        }
    }

    /// The last 24 hours.
    pub(crate) fn day(&self, now: Timestamp) -> Day {
        Day::of(&self.history, now)
    }

    /// The rates as `account` shows them.
    pub(crate) fn rates(&self) -> (Decimal, Decimal) {
        (self.listing.maker_bps, self.listing.taker_bps)
    }
}

#[cfg(test)]
mod tests;
