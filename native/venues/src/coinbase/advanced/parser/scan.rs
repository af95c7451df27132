//! The fast reader: verifies the literal skeleton, reads the fields in between, returns `None` at the first deviation. It
//! accepts nothing that the slow reader would read otherwise.

use domain::{Level, Price, Quantity, Timestamp, TradeId};

use super::{BookEvent, Buffers, Envelope, EventKind, Head, TickerMessage, TradeMessage, rule};
use crate::binance::parser::scan::Cursor;
use crate::iso8601;

/// Reads one message; its lists lie in `buffers`.
pub(super) fn message(frame: &[u8], buffers: &mut Buffers) -> Option<Envelope> {
    buffers.clear();
    let mut cursor = Cursor::new(frame);
    cursor.literal(br#"{"channel":""#)?;
    let channel = cursor.text()?;
    if cursor.literal(br#","client_id":""#).is_some() {
        cursor.text()?;
    }
    cursor.literal(br#","timestamp":""#)?;
    let ts_sent = iso8601::parse(cursor.text()?)?;
    cursor.literal(br#","sequence_num":"#)?;
    let sequence = cursor.unsigned()?;
    cursor.literal(br#","events":["#)?;
    let head = match channel {
        b"l2_data" => books(&mut cursor, ts_sent, buffers)?,
        b"market_trades" => trades(&mut cursor, buffers)?,
        b"ticker" => tickers(&mut cursor, buffers)?,
        b"heartbeats" => heartbeat(&mut cursor)?,
        b"candles" => candles(&mut cursor)?,
        b"subscriptions" => subscriptions(&mut cursor)?,
        _ => return None,
    };
    cursor.byte(b'}')?;
    cursor.is_at_end().then_some(Envelope::Numbered {
        sequence,
        ts_sent,
        head,
    })
}

/// The elements of a list whose bracket is open, up to and with the closing one.
fn list<'a>(cursor: &mut Cursor<'a>, mut element: impl FnMut(&mut Cursor<'a>) -> Option<()>) -> Option<()> {
    if cursor.byte(b']').is_some() {
        return Some(());
    }
    loop {
        element(cursor)?;
        if cursor.byte(b',').is_none() {
            return cursor.byte(b']');
        }
    }
}

/// `{"type":"...",`, the start of most events.
fn kind(cursor: &mut Cursor<'_>) -> Option<EventKind> {
    cursor.literal(br#"{"type":""#)?;
    let kind = EventKind::from_name(cursor.text()?)?;
    cursor.byte(b',')?;
    Some(kind)
}

fn books(cursor: &mut Cursor<'_>, ts_sent: Timestamp, buffers: &mut Buffers) -> Option<Head> {
    list(cursor, |cursor| {
        let kind = kind(cursor)?;
        cursor.literal(br#""product_id":""#)?;
        let symbol = cursor.symbol()?;
        cursor.literal(br#","updates":["#)?;
        let (first_bid, first_ask) = (buffers.bids.len(), buffers.asks.len());
        let ts_event = levels(cursor, buffers)?;
        cursor.byte(b'}')?;
        let event = BookEvent {
            kind,
            symbol,
            ts_event,
            bids: first_bid..buffers.bids.len(),
            asks: first_ask..buffers.asks.len(),
        };
        rule::event(event, ts_sent, buffers).ok()
    })?;
    Some(Head::Books)
}

/// The levels of an event; the newest of their times.
fn levels(cursor: &mut Cursor<'_>, buffers: &mut Buffers) -> Option<Timestamp> {
    let mut newest = Timestamp::EPOCH;
    // Levels of one message mostly share one time: it is read once. No text is a quotation mark.
    let mut time_text: &[u8] = b"\"";
    list(cursor, |cursor| {
        cursor.literal(br#"{"side":""#)?;
        let is_bid = cursor.literal(br#"bid","#).is_some();
        if !is_bid {
            cursor.literal(br#"offer","#)?;
        }
        cursor.literal(br#""event_time":""#)?;
        let text = cursor.text()?;
        if text != time_text {
            newest = newest.max(iso8601::parse(text)?);
            time_text = text;
        }
        cursor.literal(br#","price_level":""#)?;
        let price = Price::from_units(cursor.fixed()?);
        cursor.literal(br#","new_quantity":""#)?;
        let quantity = Quantity::from_units(cursor.fixed()?);
        cursor.byte(b'}')?;
        rule::level(Level { price, quantity }, is_bid, buffers).ok()
    })?;
    Some(newest)
}

fn trades(cursor: &mut Cursor<'_>, buffers: &mut Buffers) -> Option<Head> {
    list(cursor, |cursor| {
        let kind = kind(cursor)?;
        cursor.literal(br#""trades":["#)?;
        list(cursor, |cursor| rule::trade(trade(cursor, kind)?, buffers).ok())?;
        cursor.byte(b'}')
    })?;
    Some(Head::Trades)
}

fn trade(cursor: &mut Cursor<'_>, kind: EventKind) -> Option<TradeMessage> {
    cursor.literal(br#"{"product_id":""#)?;
    let symbol = cursor.symbol()?;
    cursor.literal(br#","trade_id":""#)?;
    let trade_id = TradeId(cursor.unsigned()?);
    cursor.literal(br#"","price":""#)?;
    let price = Price::from_units(cursor.fixed()?);
    cursor.literal(br#","size":""#)?;
    let quantity = Quantity::from_units(cursor.fixed()?);
    cursor.literal(br#","time":""#)?;
    let ts_event = iso8601::parse(cursor.text()?)?;
    cursor.literal(br#","side":""#)?;
    let aggressor = rule::aggressor(cursor.text()?)?;
    cursor.byte(b'}')?;
    Some(TradeMessage {
        kind,
        symbol,
        ts_event,
        trade_id,
        price,
        quantity,
        aggressor,
    })
}

fn tickers(cursor: &mut Cursor<'_>, buffers: &mut Buffers) -> Option<Head> {
    list(cursor, |cursor| {
        kind(cursor)?;
        cursor.literal(br#""tickers":["#)?;
        list(cursor, |cursor| rule::ticker(ticker(cursor)?, buffers).ok())?;
        cursor.byte(b'}')
    })?;
    Some(Head::Tickers)
}

fn ticker(cursor: &mut Cursor<'_>) -> Option<TickerMessage> {
    cursor.literal(br#"{"type":"ticker","product_id":""#)?;
    let symbol = cursor.symbol()?;
    for unused in [
        br#","price":""#.as_slice(),
        br#","volume_24_h":""#,
        br#","low_24_h":""#,
        br#","high_24_h":""#,
        br#","low_52_w":""#,
        br#","high_52_w":""#,
        br#","price_percent_chg_24_h":""#,
    ] {
        cursor.prefix(unused)?;
        cursor.text()?;
    }
    let mut fixed = |name: &[u8]| {
        cursor.prefix(name)?;
        cursor.fixed()
    };
    let bid_price = fixed(br#","best_bid":""#)?;
    let ask_price = fixed(br#","best_ask":""#)?;
    let bid_quantity = fixed(br#","best_bid_quantity":""#)?;
    let ask_quantity = fixed(br#","best_ask_quantity":""#)?;
    cursor.byte(b'}')?;
    let level = |price, quantity| Level {
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
    };
    Some(TickerMessage {
        symbol,
        bid: level(bid_price, bid_quantity),
        ask: level(ask_price, ask_quantity),
    })
}

fn heartbeat(cursor: &mut Cursor<'_>) -> Option<Head> {
    cursor.literal(br#"{"current_time":""#)?;
    cursor.text()?;
    cursor.literal(br#","heartbeat_counter":"#)?;
    let counter = cursor.unsigned()?;
    cursor.literal(b"}]")?;
    Some(Head::Heartbeat { counter })
}

fn candles(cursor: &mut Cursor<'_>) -> Option<Head> {
    const FIELDS: [&[u8]; 7] = [
        br#"{"start":""#,
        br#","high":""#,
        br#","low":""#,
        br#","open":""#,
        br#","close":""#,
        br#","volume":""#,
        br#","product_id":""#,
    ];
    list(cursor, |cursor| {
        kind(cursor)?;
        cursor.literal(br#""candles":["#)?;
        list(cursor, |cursor| {
            for field in FIELDS {
                cursor.prefix(field)?;
                cursor.text()?;
            }
            cursor.byte(b'}')
        })?;
        cursor.byte(b'}')
    })?;
    Some(Head::Candles)
}

/// `{"subscriptions":{"ticker":["BTC-USD"],...}}`.
fn subscriptions(cursor: &mut Cursor<'_>) -> Option<Head> {
    list(cursor, |cursor| {
        cursor.literal(br#"{"subscriptions":{"#)?;
        loop {
            cursor.byte(b'"')?;
            cursor.text()?;
            cursor.literal(b":[")?;
            list(cursor, |cursor| {
                cursor.byte(b'"')?;
                cursor.text().map(|_| ())
            })?;
            if cursor.byte(b',').is_none() {
                return cursor.literal(b"}}");
            }
        }
    })?;
    Some(Head::Subscriptions)
}
