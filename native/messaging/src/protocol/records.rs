//! Records of markets, orders, positions and bundles.

use domain::{
    Balance, Bar, BookInvalid, Level, Money, Nanos, OrderRequest, Price, Quantity, Quote, Text, TimeInForce,
    Timestamp, Trade, TradeId, VenueOrderId, VenueStatus,
};

use super::error::ProtocolError;
use super::instruments::Instruments;
use super::values::{
    WireEnum, client_order_id, currency, digest, instrument_from_wire, instrument_to_wire, limit_price,
    money_from_wire, money_to_wire, optional_slot, people_text, positive_price, positive_quantity,
    quantity_or_zero, required, slot_from_wire, slot_to_wire, venue,
};
use crate::limits::{BOOK_LEVELS_MAX, FEATURES_MAX};
use crate::telemetry::{
    Balances, Book, BundleContent, BundleStatus, Fill, Order, Pnl, Position, Score, Signal,
};
use crate::wire;

type Result<T> = std::result::Result<T, ProtocolError>;

pub(super) fn trade_to_wire(names: &Instruments, trade: &Trade) -> Result<wire::Trade> {
    Ok(wire::Trade {
        instrument: instrument_to_wire(names, trade.instrument)?,
        ts_event: trade.ts_event.nanos(),
        trade_id: trade.trade_id.0,
        price: trade.price.units(),
        quantity: trade.quantity.units(),
        aggressor: trade.aggressor.number(),
    })
}

pub(super) fn trade_from_wire(names: &Instruments, m: wire::Trade) -> Result<Trade> {
    Ok(Trade {
        instrument: instrument_from_wire(names, "trade.instrument", m.instrument)?,
        ts_event: Timestamp::from_nanos(m.ts_event),
        trade_id: TradeId(m.trade_id),
        price: positive_price("trade.price", m.price)?,
        quantity: positive_quantity("trade.quantity", m.quantity)?,
        aggressor: WireEnum::from_number("trade.aggressor", m.aggressor)?,
    })
}

pub(super) fn quote_to_wire(names: &Instruments, quote: &Quote) -> Result<wire::Quote> {
    Ok(wire::Quote {
        instrument: instrument_to_wire(names, quote.instrument)?,
        ts_event: quote.ts_event.nanos(),
        update_id: quote.update_id,
        bid: quote.bid.units(),
        bid_quantity: quote.bid_quantity.units(),
        ask: quote.ask.units(),
        ask_quantity: quote.ask_quantity.units(),
    })
}

pub(super) fn quote_from_wire(names: &Instruments, m: wire::Quote) -> Result<Quote> {
    Ok(Quote {
        instrument: instrument_from_wire(names, "quote.instrument", m.instrument)?,
        ts_event: Timestamp::from_nanos(m.ts_event),
        update_id: m.update_id,
        bid: positive_price("quote.bid", m.bid)?,
        bid_quantity: quantity_or_zero("quote.bid_quantity", m.bid_quantity)?,
        ask: positive_price("quote.ask", m.ask)?,
        ask_quantity: quantity_or_zero("quote.ask_quantity", m.ask_quantity)?,
    })
}

pub(super) fn book_to_wire(names: &Instruments, book: &Book) -> Result<wire::Book> {
    Ok(wire::Book {
        instrument: instrument_to_wire(names, book.instrument)?,
        ts_event: book.ts_event.nanos(),
        update_id: book.update_id,
        bids: levels_to_wire("book.bids", &book.bids)?,
        asks: levels_to_wire("book.asks", &book.asks)?,
    })
}

fn levels_to_wire(field: &'static str, levels: &[Level]) -> Result<Vec<wire::Level>> {
    at_most(field, levels.len(), BOOK_LEVELS_MAX, "at most 50 levels a side")?;
    Ok(levels
        .iter()
        .map(|level| wire::Level {
            price: level.price.units(),
            quantity: level.quantity.units(),
        })
        .collect())
}

pub(super) fn book_from_wire(names: &Instruments, m: wire::Book) -> Result<Book> {
    Ok(Book {
        instrument: instrument_from_wire(names, "book.instrument", m.instrument)?,
        ts_event: Timestamp::from_nanos(m.ts_event),
        update_id: m.update_id,
        bids: levels_from_wire("book.bids", &m.bids)?,
        asks: levels_from_wire("book.asks", &m.asks)?,
    })
}

fn levels_from_wire(field: &'static str, levels: &[wire::Level]) -> Result<Vec<Level>> {
    at_most(field, levels.len(), BOOK_LEVELS_MAX, "at most 50 levels a side")?;
    levels
        .iter()
        .map(|level| {
            Ok(Level {
                price: positive_price(field, level.price)?,
                quantity: positive_quantity(field, level.quantity)?,
            })
        })
        .collect()
}

fn at_most(field: &'static str, length: usize, bound: usize, allowed: &'static str) -> Result<()> {
    if length > bound {
        Err(ProtocolError::invalid(field, length, allowed))
    } else {
        Ok(())
    }
}

pub(super) fn book_invalid_to_wire(names: &Instruments, m: BookInvalid) -> Result<wire::BookInvalid> {
    Ok(wire::BookInvalid {
        instrument: instrument_to_wire(names, m.instrument)?,
        reason: m.reason.number(),
    })
}

pub(super) fn book_invalid_from_wire(names: &Instruments, m: wire::BookInvalid) -> Result<BookInvalid> {
    Ok(BookInvalid {
        instrument: instrument_from_wire(names, "book_invalid.instrument", m.instrument)?,
        reason: WireEnum::from_number("book_invalid.reason", m.reason)?,
    })
}

pub(super) fn bar_to_wire(names: &Instruments, bar: &Bar) -> Result<wire::Bar> {
    Ok(wire::Bar {
        instrument: instrument_to_wire(names, bar.instrument)?,
        ts_open: bar.ts_open.nanos(),
        span_ns: bar.span.0,
        open: bar.open.units(),
        high: bar.high.units(),
        low: bar.low.units(),
        close: bar.close.units(),
        volume: bar.volume.units(),
    })
}

pub(super) fn bar_from_wire(names: &Instruments, m: wire::Bar) -> Result<Bar> {
    let bar = Bar {
        instrument: instrument_from_wire(names, "bar.instrument", m.instrument)?,
        ts_open: Timestamp::from_nanos(m.ts_open),
        span: Nanos(m.span_ns),
        open: Price::from_units(m.open),
        high: Price::from_units(m.high),
        low: Price::from_units(m.low),
        close: Price::from_units(m.close),
        volume: Quantity::from_units(m.volume),
    };
    if m.span_ns <= 0 {
        return Err(ProtocolError::invalid(
            "bar.span_ns",
            m.span_ns,
            "a bar lasts longer than nothing",
        ));
    }
    if bar.is_consistent() {
        Ok(bar)
    } else {
        let got = format!(
            "{} {} {} {} volume {}",
            bar.open, bar.high, bar.low, bar.close, bar.volume
        );
        let allowed = "0 < low <= open, close <= high and a volume of zero or more";
        Err(ProtocolError::invalid("bar", got, allowed))
    }
}

pub(super) fn venue_status_to_wire(status: VenueStatus) -> wire::VenueStatus {
    wire::VenueStatus {
        venue: status.venue.as_str().to_owned(),
        state: status.state.number(),
    }
}

pub(super) fn venue_status_from_wire(m: &wire::VenueStatus) -> Result<VenueStatus> {
    Ok(VenueStatus {
        venue: venue("venue_status.venue", &m.venue)?,
        state: WireEnum::from_number("venue_status.state", m.state)?,
    })
}

fn request_to_wire(names: &Instruments, request: &OrderRequest) -> Result<wire::OrderRequest> {
    Ok(wire::OrderRequest {
        client_order_id: request.client_order_id.to_string(),
        instrument: instrument_to_wire(names, request.instrument)?,
        side: request.side.number(),
        order_type: request.order_type.number(),
        price: request.price.map(Price::units),
        quantity: request.quantity.units(),
        time_in_force: match request.time_in_force {
            TimeInForce::Gtc => wire::TimeInForce::Gtc,
            TimeInForce::Ioc => wire::TimeInForce::Ioc,
            TimeInForce::Fok => wire::TimeInForce::Fok,
            TimeInForce::Gtd(_) => wire::TimeInForce::Gtd,
        } as i32,
        good_till: match request.time_in_force {
            TimeInForce::Gtd(until) => Some(until.nanos()),
            TimeInForce::Gtc | TimeInForce::Ioc | TimeInForce::Fok => None,
        },
        post_only: request.post_only,
        reduce_only: request.reduce_only,
    })
}

fn time_in_force(number: i32, good_till: Option<i64>) -> Result<TimeInForce> {
    let field = "order.time_in_force";
    match (wire::TimeInForce::try_from(number), good_till) {
        (Ok(wire::TimeInForce::Gtc), None) => Ok(TimeInForce::Gtc),
        (Ok(wire::TimeInForce::Ioc), None) => Ok(TimeInForce::Ioc),
        (Ok(wire::TimeInForce::Fok), None) => Ok(TimeInForce::Fok),
        (Ok(wire::TimeInForce::Gtd), until) => {
            let until = required("order.good_till", until)?;
            Ok(TimeInForce::Gtd(Timestamp::from_nanos(until)))
        }
        (Ok(wire::TimeInForce::Unspecified) | Err(_), _) => Err(ProtocolError::UnknownEnum { field, number }),
        (Ok(_), Some(until)) => Err(ProtocolError::invalid(
            "order.good_till",
            until,
            "only a good-till-date order has one",
        )),
    }
}

fn request_from_wire(names: &Instruments, m: wire::OrderRequest) -> Result<OrderRequest> {
    let order_type = WireEnum::from_number("order.order_type", m.order_type)?;
    Ok(OrderRequest {
        client_order_id: client_order_id("order.client_order_id", &m.client_order_id)?,
        instrument: instrument_from_wire(names, "order.instrument", m.instrument)?,
        side: WireEnum::from_number("order.side", m.side)?,
        order_type,
        price: limit_price("order.price", order_type, m.price)?,
        quantity: positive_quantity("order.quantity", m.quantity)?,
        time_in_force: time_in_force(m.time_in_force, m.good_till)?,
        post_only: m.post_only,
        reduce_only: m.reduce_only,
    })
}

pub(super) fn order_to_wire(names: &Instruments, order: &Order) -> Result<wire::Order> {
    Ok(wire::Order {
        request: Some(request_to_wire(names, &order.request)?),
        status: order.status.number(),
        filled_quantity: order.filled.units(),
        average_price: order.average_price.map(Price::units),
        venue_order_id: order.venue_order_id.map(|id| id.0.as_str().to_owned()),
        ts_created: order.ts_created.nanos(),
        ts_updated: order.ts_updated.nanos(),
        bundle_digest: order.bundle.map(|digest| digest.0.to_vec()),
        reason: order.reason.as_deref().map(people_text),
    })
}

pub(super) fn order_from_wire(names: &Instruments, m: wire::Order) -> Result<Order> {
    let price = |units| positive_price("order.average_price", units);
    let bundle = |bytes: &Vec<u8>| digest("order.bundle_digest", bytes);
    Ok(Order {
        request: request_from_wire(names, required("order.request", m.request)?)?,
        status: WireEnum::from_number("order.status", m.status)?,
        filled: quantity_or_zero("order.filled_quantity", m.filled_quantity)?,
        average_price: m.average_price.map(price).transpose()?,
        venue_order_id: m.venue_order_id.as_deref().map(venue_order_id).transpose()?,
        ts_created: Timestamp::from_nanos(m.ts_created),
        ts_updated: Timestamp::from_nanos(m.ts_updated),
        bundle: m.bundle_digest.as_ref().map(bundle).transpose()?,
        reason: m.reason,
    })
}

fn venue_order_id(text: &str) -> Result<VenueOrderId> {
    let allowed = "1 to 40 printable ASCII characters";
    Text::new(text)
        .filter(|id| !id.as_str().is_empty())
        .map(VenueOrderId)
        .ok_or_else(|| ProtocolError::invalid("order.venue_order_id", text, allowed))
}

pub(super) fn fill_to_wire(names: &Instruments, fill: &Fill) -> Result<wire::Fill> {
    Ok(wire::Fill {
        client_order_id: fill.client_order_id.map(|id| id.to_string()),
        instrument: instrument_to_wire(names, fill.instrument)?,
        ts_event: fill.ts_event.nanos(),
        trade_id: fill.fill.trade_id.0,
        price: fill.fill.price.units(),
        quantity: fill.fill.quantity.units(),
        side: fill.fill.side.number(),
        fee: Some(money_to_wire("fill.fee", fill.fill.fee)?),
        liquidity: fill.fill.liquidity.number(),
        slot: slot_to_wire(fill.slot),
        realized_pnl: Some(money_to_wire("fill.realized_pnl", fill.realized)?),
    })
}

pub(super) fn fill_from_wire(names: &Instruments, m: wire::Fill) -> Result<Fill> {
    let order = |text: &str| client_order_id("fill.client_order_id", text);
    Ok(Fill {
        client_order_id: m.client_order_id.as_deref().map(order).transpose()?,
        slot: slot_from_wire("fill.slot", m.slot)?,
        instrument: instrument_from_wire(names, "fill.instrument", m.instrument)?,
        ts_event: Timestamp::from_nanos(m.ts_event),
        fill: domain::Fill {
            trade_id: TradeId(m.trade_id),
            price: positive_price("fill.price", m.price)?,
            quantity: positive_quantity("fill.quantity", m.quantity)?,
            side: WireEnum::from_number("fill.side", m.side)?,
            fee: money_from_wire("fill.fee", m.fee)?,
            liquidity: WireEnum::from_number("fill.liquidity", m.liquidity)?,
        },
        realized: money_from_wire("fill.realized_pnl", m.realized_pnl)?,
    })
}

pub(super) fn position_to_wire(names: &Instruments, position: &Position) -> Result<wire::Position> {
    let field = "position.unrealized_pnl";
    let unrealized = position.mark.map(|(_, money)| money_to_wire(field, money));
    Ok(wire::Position {
        slot: position.slot.map(slot_to_wire),
        instrument: instrument_to_wire(names, position.instrument)?,
        ts: position.ts.nanos(),
        quantity: position.quantity.units(),
        cost: Some(money_to_wire("position.cost", position.cost)?),
        realized_pnl: Some(money_to_wire("position.realized_pnl", position.realized)?),
        fees: Some(money_to_wire("position.fees", position.fees)?),
        mark_price: position.mark.map(|(price, _)| price.units()),
        unrealized_pnl: unrealized.transpose()?,
    })
}

pub(super) fn position_from_wire(names: &Instruments, m: wire::Position) -> Result<Position> {
    let mark = match (m.mark_price, m.unrealized_pnl) {
        (None, None) => None,
        (Some(units), money) => Some((
            positive_price("position.mark_price", units)?,
            money_from_wire("position.unrealized_pnl", money)?,
        )),
        (None, Some(_)) => {
            return Err(ProtocolError::Missing {
                field: "position.mark_price",
            });
        }
    };
    Ok(Position {
        slot: optional_slot("position.slot", m.slot)?,
        instrument: instrument_from_wire(names, "position.instrument", m.instrument)?,
        ts: Timestamp::from_nanos(m.ts),
        quantity: Quantity::from_units(m.quantity),
        cost: money_from_wire("position.cost", m.cost)?,
        realized: money_from_wire("position.realized_pnl", m.realized_pnl)?,
        fees: money_from_wire("position.fees", m.fees)?,
        mark,
    })
}

pub(super) fn pnl_to_wire(pnl: &Pnl) -> Result<wire::Pnl> {
    let unrealized = pnl.unrealized.map(|money| money_to_wire("pnl.unrealized", money));
    let fees: Result<_> = pnl
        .fees
        .iter()
        .map(|&fee| money_to_wire("pnl.fees", fee))
        .collect();
    Ok(wire::Pnl {
        slot: pnl.slot.map(slot_to_wire),
        ts: pnl.ts.nanos(),
        realized: Some(money_to_wire("pnl.realized", pnl.realized)?),
        unrealized: unrealized.transpose()?,
        fees: fees?,
        equity: Some(money_to_wire("pnl.equity", pnl.equity)?),
        peak_equity: Some(money_to_wire("pnl.peak_equity", pnl.peak_equity)?),
    })
}

pub(super) fn pnl_from_wire(m: wire::Pnl) -> Result<Pnl> {
    let money = |field, money: wire::Money| money_from_wire(field, Some(money));
    let fees: Result<Vec<Money>> = m.fees.into_iter().map(|fee| money("pnl.fees", fee)).collect();
    Ok(Pnl {
        slot: optional_slot("pnl.slot", m.slot)?,
        ts: Timestamp::from_nanos(m.ts),
        realized: money_from_wire("pnl.realized", m.realized)?,
        unrealized: m
            .unrealized
            .map(|amount| money("pnl.unrealized", amount))
            .transpose()?,
        fees: fees?,
        equity: money_from_wire("pnl.equity", m.equity)?,
        peak_equity: money_from_wire("pnl.peak_equity", m.peak_equity)?,
    })
}

pub(super) fn balances_to_wire(balances: &Balances) -> wire::Balances {
    wire::Balances {
        venue: balances.venue.as_str().to_owned(),
        ts: balances.ts.nanos(),
        balances: balances
            .balances
            .iter()
            .map(|balance| wire::Balance {
                currency: balance.currency.as_str().to_owned(),
                free: balance.free.units(),
                locked: balance.locked.units(),
            })
            .collect(),
    }
}

pub(super) fn balances_from_wire(m: &wire::Balances) -> Result<Balances> {
    let balance = |m: &wire::Balance| {
        Ok(Balance {
            currency: currency("balance.currency", &m.currency)?,
            free: quantity_or_zero("balance.free", m.free)?,
            locked: quantity_or_zero("balance.locked", m.locked)?,
        })
    };
    Ok(Balances {
        venue: venue("balances.venue", &m.venue)?,
        ts: Timestamp::from_nanos(m.ts),
        balances: m.balances.iter().map(balance).collect::<Result<_>>()?,
    })
}

pub(super) fn signal_to_wire(names: &Instruments, signal: &Signal) -> Result<wire::Signal> {
    let features = &signal.features;
    at_most(
        "signal.features",
        features.len(),
        FEATURES_MAX,
        "at most 64 features",
    )?;
    Ok(wire::Signal {
        slot: slot_to_wire(signal.slot),
        instrument: instrument_to_wire(names, signal.instrument)?,
        ts_close: signal.ts_close.nanos(),
        bundle_digest: signal.bundle.0.to_vec(),
        decision: signal.decision.number(),
        raw_score: signal.score.map(|score| score.raw),
        probability: signal.score.map(|score| score.probability),
        features: features.clone(),
    })
}

pub(super) fn signal_from_wire(names: &Instruments, m: wire::Signal) -> Result<Signal> {
    let score = match (m.raw_score, m.probability) {
        (None, None) => None,
        (Some(raw), Some(probability)) => Some(Score { raw, probability }),
        (None, Some(_)) => {
            return Err(ProtocolError::Missing {
                field: "signal.raw_score",
            });
        }
        (Some(_), None) => {
            return Err(ProtocolError::Missing {
                field: "signal.probability",
            });
        }
    };
    at_most(
        "signal.features",
        m.features.len(),
        FEATURES_MAX,
        "at most 64 features",
    )?;
    Ok(Signal {
        slot: slot_from_wire("signal.slot", m.slot)?,
        instrument: instrument_from_wire(names, "signal.instrument", m.instrument)?,
        ts_close: Timestamp::from_nanos(m.ts_close),
        bundle: digest("signal.bundle_digest", &m.bundle_digest)?,
        decision: WireEnum::from_number("signal.decision", m.decision)?,
        score,
        features: m.features,
    })
}

pub(super) fn bundle_to_wire(bundle: &BundleStatus) -> wire::BundleStatus {
    let content = bundle.content.as_ref();
    wire::BundleStatus {
        slot: slot_to_wire(bundle.slot),
        digest: bundle.digest.0.to_vec(),
        state: bundle.state.number(),
        ts: bundle.ts.nanos(),
        name: content.map(|content| people_text(&content.name)),
        version: content.map(|content| people_text(&content.version)),
        stage: content.map(|content| content.stage.number()),
        serial: content.map(|content| content.serial),
        expires: content.map(|content| content.expires.nanos()),
        reason: bundle.reason.as_deref().map(people_text),
    }
}

pub(super) fn bundle_from_wire(m: wire::BundleStatus) -> Result<BundleStatus> {
    let absent = m.name.is_none()
        && m.version.is_none()
        && m.stage.is_none()
        && m.serial.is_none()
        && m.expires.is_none();
    let content = if absent {
        None
    } else {
        Some(BundleContent {
            name: required("bundle.name", m.name)?,
            version: required("bundle.version", m.version)?,
            stage: WireEnum::from_number("bundle.stage", required("bundle.stage", m.stage)?)?,
            serial: required("bundle.serial", m.serial)?,
            expires: Timestamp::from_nanos(required("bundle.expires", m.expires)?),
        })
    };
    Ok(BundleStatus {
        slot: slot_from_wire("bundle.slot", m.slot)?,
        digest: digest("bundle.digest", &m.digest)?,
        state: WireEnum::from_number("bundle.state", m.state)?,
        ts: Timestamp::from_nanos(m.ts),
        content,
        reason: m.reason,
    })
}
