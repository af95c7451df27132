//! From the frames of the order streams to proven events, without I/O: owned by the hot thread.
//!
//! The venue's rules, in our words (its public description of the channels `orderbook` and `ticker`, 2023-07, and of REST
//! `GetAllOrders`), cited below as I1 to I5:
//! - I1: each channel, which is each traded currency, has a number (`Nonce`) of its own that rises by exactly one.
//! - I2: a greater number shows that events were dropped; a lower one that the channel was started anew.
//! - I3: `NewOrder` tells the price in every currency of the venue: one order stands in the book of each.
//! - I4: `OrderChanged` tells what is left of an order; zero when it is filled.
//! - I5: `GetAllOrders` tells all orders of a pair and when it was made, but no number: events kept since before that
//!   time are applied over it, and orders that it holds already, or does not hold any more, are normal then.
//!
//! Prices in other currencies than an order's own are converted by the venue, and no event tells when its rates change:
//! levels of one book may then differ by the rate at which each was told. No check can see that. A price that is zero when
//! converted (recorded: 0.0 for a bid of 2,000,000 MATIC in US dollars) stands in no book.

use domain::{
    BookInvalidReason, InstrumentId, Level, MarketEvent, Nanos, OrderBookEvent, Price, PublicOrder, Side,
    Timestamp, Trade, TradeId,
};

use super::parser::{Code, Message, OrderAction, OrderMessage, Parser, TradeMessage};
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::market::{MarketProtocol, WireStatistics};
use crate::order_book::OrderBook;
use crate::sequencer::{Emit, NumberedEvent, OrderSequencer, SequencerStatistics, SnapshotPlace};
use crate::websocket::{StreamMessage, StreamMessageKind};

/// Kinds of messages, in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Refused,
    Snapshot,
    Heartbeat,
    New,
    Canceled,
    Changed,
    Other,
    Subscriptions,
    Trade,
}

/// The venue's word for each kind.
const KIND_NAMES: [&str; 9] = [
    "Error",
    "GetAllOrders",
    "Heartbeat",
    "NewOrder",
    "OrderCanceled",
    "OrderChanged",
    "Other",
    "Subscriptions",
    "Trade",
];

/// One instrument's state.
#[derive(Debug, Clone)]
struct Market {
    instrument: InstrumentId,
    primary: Code,
    secondary: Code,
    orders: OrderSequencer,
    last_trade: Option<TradeId>,
}

/// Parses and proves all books of one connection. Symbols are the two currencies as the venue's channels write them, such
/// as `eth-aud`.
#[derive(Debug, Clone)]
pub struct MarketData {
    ahead_max: Nanos,
    parser: Parser,
    /// By id.
    markets: Vec<Market>,
    /// Places in `markets`, by the traded currency.
    by_primary: Vec<(Code, usize)>,
    requests: Vec<InstrumentId>,
    kinds: [u64; KIND_NAMES.len()],
    wire: WireStatistics,
}

impl MarketData {
    /// For these instruments, nothing synchronized. `ahead_max`: how far a message's time may be ahead of our own when
    /// it came, both on the venue's axis.
    ///
    /// # Errors
    /// [`VenueError::Setting`] for a symbol that is not two currencies with a hyphen between.
    pub fn new(instruments: &Instruments, ahead_max: Nanos) -> Result<Self, VenueError> {
        let mut markets = Vec::with_capacity(instruments.len());
        for instrument in instruments {
            let codes = instrument.symbol.as_str().split_once('-');
            let codes =
                codes.and_then(|(primary, secondary)| Some((Code::new(primary)?, Code::new(secondary)?)));
            let Some((primary, secondary)) = codes else {
                return Err(VenueError::Setting {
                    setting: "instruments",
                    problem: format!("{} is no pair such as eth-aud", instrument.symbol),
                });
            };
            markets.push(Market {
                instrument: instrument.id,
                primary,
                secondary,
                orders: OrderSequencer::timed(instrument.id),
                last_trade: None,
            });
        }
        let mut by_primary: Vec<_> = markets
            .iter()
            .enumerate()
            .map(|(at, market)| (market.primary, at))
            .collect();
        by_primary.sort_unstable();
        Ok(Self {
            ahead_max,
            parser: Parser::new(),
            requests: Vec::with_capacity(markets.len()),
            markets,
            by_primary,
            kinds: [0; KIND_NAMES.len()],
            wire: WireStatistics::default(),
        })
    }

    /// The orders of an instrument, each in its queue; empty while the book is not synchronized.
    #[must_use]
    pub fn orders(&self, instrument: InstrumentId) -> Option<&OrderBook> {
        self.market(instrument).map(|market| market.orders.book())
    }

    fn market(&self, instrument: InstrumentId) -> Option<&Market> {
        self.markets.get(usize::from(instrument.0))
    }

    fn on_connected(&mut self) {
        for market in &mut self.markets {
            market.orders.on_connected();
            market.last_trade = None;
        }
        self.collect_requests();
    }

    fn on_disconnected(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        for market in &mut self.markets {
            market.orders.on_disconnected(reason, emit);
        }
        self.requests.clear();
    }

    fn on_frame(&mut self, latest: Timestamp, frame: &[u8], emit: &mut Emit<'_>) -> Result<(), VenueError> {
        // The prices that a message borrows lie in the parser.
        let mut parser = std::mem::take(&mut self.parser);
        let read = parser
            .message(frame)
            .and_then(|message| not_after(latest, message));
        let result = match read {
            Ok(message) => {
                self.on_read(&message, emit);
                Ok(())
            }
            Err(source) => {
                self.refuse(emit);
                let what = "market message";
                Err(VenueError::Malformed { what, source })
            }
        };
        self.parser = parser;
        result
    }

    fn on_read(&mut self, message: &Message<'_>, emit: &mut Emit<'_>) {
        self.kinds[kind(message) as usize] += 1;
        match message {
            Message::Order(order) => self.on_order(order, emit),
            Message::Trade(trade) => self.on_trade(trade, emit),
            Message::Subscriptions | Message::Heartbeat | Message::Refused | Message::Other => {}
        }
    }

    /// I3: an event concerns every book of its currency.
    fn on_order(&mut self, order: &OrderMessage<'_>, emit: &mut Emit<'_>) {
        let Self {
            markets,
            by_primary,
            requests,
            wire,
            ..
        } = self;
        let places = of_primary(by_primary, order.primary);
        wire.unknown_symbols += u64::from(places.is_empty());
        for &(_, at) in places {
            let Some(market) = markets.get_mut(at) else {
                continue;
            };
            market.on_order(order, emit);
            if market.orders.take_snapshot_request() {
                requests.push(market.instrument);
            }
        }
    }

    fn on_trade(&mut self, trade: &TradeMessage<'_>, emit: &mut Emit<'_>) {
        let places = of_primary(&self.by_primary, trade.primary);
        self.wire.unknown_symbols += u64::from(places.is_empty());
        for &(_, at) in places {
            if let Some(market) = self.markets.get_mut(at) {
                market.on_trade(trade, &mut self.wire, emit);
            }
        }
    }

    /// I5.
    fn on_snapshot(
        &mut self,
        latest: Timestamp,
        instrument: InstrumentId,
        body: &[u8],
        emit: &mut Emit<'_>,
    ) -> Result<(), VenueError> {
        self.kinds[Kind::Snapshot as usize] += 1;
        let Some(market) = self.markets.get_mut(usize::from(instrument.0)) else {
            return Err(VenueError::UnknownInstrument(instrument));
        };
        let read = self.parser.snapshot(body).and_then(|snapshot| {
            let pair = (snapshot.primary, snapshot.secondary);
            if pair != (market.primary, market.secondary) {
                return Err(ParseError::Value {
                    field: "PrimaryCurrencyCode",
                    problem: "it is of another instrument than was asked for",
                });
            }
            if snapshot.ts_event <= latest {
                Ok(snapshot)
            } else {
                Err(AHEAD)
            }
        });
        let result = match read {
            Ok(snapshot) => {
                let place = SnapshotPlace::Time(snapshot.ts_event);
                market
                    .orders
                    .on_snapshot(place, snapshot.ts_event, snapshot.orders, emit);
                Ok(())
            }
            Err(source) => {
                self.wire.malformed += 1;
                market.orders.on_unreadable_snapshot();
                let what = "snapshot of orders";
                Err(VenueError::Malformed { what, source })
            }
        };
        if market.orders.take_snapshot_request() {
            self.requests.push(instrument);
        }
        result
    }

    /// An unreadable message may have been an event of any book: none can be trusted.
    fn refuse(&mut self, emit: &mut Emit<'_>) {
        self.wire.malformed += 1;
        for market in &mut self.markets {
            market.orders.invalidate(BookInvalidReason::Malformed, emit);
        }
        self.collect_requests();
    }

    fn collect_requests(&mut self) {
        self.requests.clear();
        for market in &mut self.markets {
            if market.orders.take_snapshot_request() {
                self.requests.push(market.instrument);
            }
        }
    }
}

impl MarketProtocol for MarketData {
    fn on_message(&mut self, message: &StreamMessage, emit: &mut Emit<'_>) -> Result<(), VenueError> {
        let latest = message.ts_received.plus(self.ahead_max);
        match &message.kind {
            StreamMessageKind::Connected => self.on_connected(),
            StreamMessageKind::Frame(frame) => return self.on_frame(latest, frame, emit),
            StreamMessageKind::Snapshot { instrument, body } => {
                return self.on_snapshot(latest, *instrument, body, emit);
            }
            StreamMessageKind::Disconnected(reason) => self.on_disconnected(reason.of_books(), emit),
        }
        Ok(())
    }

    fn take_resync_request(&mut self) -> Option<InstrumentId> {
        self.requests.pop()
    }

    fn begin_again(&mut self, emit: &mut Emit<'_>) {
        self.on_disconnected(BookInvalidReason::Disconnected, emit);
        self.on_connected();
    }

    fn is_synchronized(&self, instrument: InstrumentId) -> bool {
        self.market(instrument)
            .is_some_and(|market| market.orders.is_synchronized())
    }

    fn best(&self, instrument: InstrumentId) -> (Option<Level>, Option<Level>) {
        self.orders(instrument).map_or((None, None), OrderBook::best)
    }

    fn depth(&self, instrument: InstrumentId) -> (usize, usize) {
        self.orders(instrument).map_or((0, 0), OrderBook::depth)
    }

    fn top(&self, instrument: InstrumentId, side: Side, count: usize, out: &mut Vec<Level>) {
        if let Some(orders) = self.orders(instrument) {
            out.extend(orders.levels(side).rev().take(count));
        }
    }

    fn duplicate(&self) -> Box<dyn MarketProtocol> {
        Box::new(self.clone())
    }

    fn wire_statistics(&self) -> WireStatistics {
        let (scanned, fallbacks) = self.parser.counts();
        let kinds = KIND_NAMES.into_iter().zip(self.kinds);
        WireStatistics {
            kinds: kinds.filter(|&(_, count)| count > 0).collect(),
            scanned,
            fallbacks,
            ..self.wire.clone()
        }
    }

    fn book_statistics(&self, instrument: InstrumentId) -> Option<SequencerStatistics> {
        self.market(instrument).map(|market| *market.orders.statistics())
    }
}

impl Market {
    fn on_order(&mut self, order: &OrderMessage<'_>, emit: &mut Emit<'_>) {
        let id = order.id;
        let event = match order.action {
            OrderAction::New(quantity) => {
                let Some(price) = self.price(order.prices) else {
                    // An order that we cannot place: the book lacks it.
                    return self.orders.invalidate(BookInvalidReason::Malformed, emit);
                };
                (price > Price::ZERO).then_some(OrderBookEvent::Add(PublicOrder {
                    id,
                    side: order.side,
                    price,
                    quantity,
                }))
            }
            // I4.
            OrderAction::Changed(quantity) => Some(OrderBookEvent::Change { id, quantity }),
            OrderAction::Canceled => Some(OrderBookEvent::Cancel { id }),
        };
        let numbered = NumberedEvent {
            number: order.nonce,
            ts_event: order.ts_event,
            event,
        };
        self.orders.on_event(&numbered, emit);
    }

    fn on_trade(&mut self, trade: &TradeMessage<'_>, wire: &mut WireStatistics, emit: &mut Emit<'_>) {
        let Some(price) = self.price(trade.prices).filter(|price| *price > Price::ZERO) else {
            return;
        };
        let trade_id = TradeId(trade.nonce);
        let last = self.last_trade.replace(trade_id);
        if last == Some(trade_id) {
            wire.trade_duplicates += 1;
            return;
        }
        wire.trade_gaps += u64::from(last.is_some_and(|last| last.0.checked_add(1) != Some(trade_id.0)));
        wire.trades += 1;
        emit(MarketEvent::Trade(Trade {
            instrument: self.instrument,
            ts_event: trade.ts_event,
            trade_id,
            price,
            quantity: trade.quantity,
            aggressor: trade.aggressor,
        }));
    }

    fn price(&self, prices: &[(Code, Price)]) -> Option<Price> {
        let found = prices.iter().find(|(code, _)| *code == self.secondary)?;
        Some(found.1)
    }
}

/// The entries of a currency.
fn of_primary(by_primary: &[(Code, usize)], primary: Code) -> &[(Code, usize)] {
    let from = by_primary.partition_point(|entry| entry.0 < primary);
    let to = by_primary.partition_point(|entry| entry.0 <= primary);
    &by_primary[from..to]
}

const fn kind(message: &Message<'_>) -> Kind {
    match message {
        Message::Order(OrderMessage { action, .. }) => match action {
            OrderAction::New(_) => Kind::New,
            OrderAction::Changed(_) => Kind::Changed,
            OrderAction::Canceled => Kind::Canceled,
        },
        Message::Trade(_) => Kind::Trade,
        Message::Subscriptions => Kind::Subscriptions,
        Message::Heartbeat => Kind::Heartbeat,
        Message::Refused => Kind::Refused,
        Message::Other => Kind::Other,
    }
}

const AHEAD: ParseError = ParseError::Value {
    field: "time of the event",
    problem: "it is ahead of the venue's own clock, as it was last asked",
};

/// Refuses a message whose time is later than `latest`: bars close by the venue's time, and one that is far ahead would
/// close all of them up to it.
fn not_after(latest: Timestamp, message: Message<'_>) -> Result<Message<'_>, ParseError> {
    let ts_event = match &message {
        Message::Order(order) => order.ts_event,
        Message::Trade(trade) => trade.ts_event,
        Message::Subscriptions | Message::Heartbeat | Message::Refused | Message::Other => {
            return Ok(message);
        }
    };
    if ts_event <= latest {
        Ok(message)
    } else {
        Err(AHEAD)
    }
}

#[cfg(test)]
mod tests;
