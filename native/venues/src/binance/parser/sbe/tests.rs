//! Messages written by hand from the schema, and the recorded session said in binary.

use proptest::prelude::*;

use super::super::{Parser, StreamMessageBody};
use super::*;
use crate::binance::recorded;

/// Writes a message as the schema has it.
struct Message(Vec<u8>);

impl Message {
    fn new(block: u16, template: u16) -> Self {
        let head = [block, template, SCHEMA, 0];
        Self(head.iter().flat_map(|short| short.to_le_bytes()).collect())
    }

    fn longs(mut self, numbers: &[i64]) -> Self {
        self.0
            .extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn exponents(self) -> Self {
        self.bytes(&[(-8_i8).cast_unsigned(); 2])
    }

    fn levels(mut self, levels: &[Level]) -> Self {
        let count = u16::try_from(levels.len()).unwrap();
        self.0
            .extend([16_u16, count].iter().flat_map(|short| short.to_le_bytes()));
        levels.iter().fold(self, |message, level| {
            message.longs(&[level.price.units(), level.quantity.units()])
        })
    }

    fn symbol(self, symbol: &str) -> Vec<u8> {
        let length = u8::try_from(symbol.len()).unwrap();
        self.bytes(&[length]).bytes(symbol.as_bytes()).0
    }
}

/// A message that was read from JSON, in binary.
fn binary(body: &StreamMessageBody<'_>) -> Option<Vec<u8>> {
    let micros = |ts: Timestamp| ts.millis() * 1_000;
    let number = |number: u64| i64::try_from(number).unwrap();
    Some(match body {
        StreamMessageBody::Depth(depth) => Message::new(26, DEPTH)
            .longs(&[
                micros(depth.ts_event),
                number(depth.first_update_id),
                number(depth.last_update_id),
            ])
            .exponents()
            .levels(depth.bids)
            .levels(depth.asks)
            .symbol(depth.symbol.as_str()),
        StreamMessageBody::Trade(trade) => Message::new(18, TRADES)
            .longs(&[micros(trade.ts_event); 2])
            .exponents()
            .bytes(&25_u16.to_le_bytes())
            .bytes(&1_u32.to_le_bytes())
            .longs(&[
                number(trade.trade_id.0),
                trade.price.units(),
                trade.quantity.units(),
            ])
            .bytes(&[u8::from(trade.aggressor == Side::Sell)])
            .symbol(trade.symbol.as_str()),
        StreamMessageBody::Ticker(ticker) => Message::new(50, BEST)
            .longs(&[0, number(ticker.update_id)])
            .exponents()
            .longs(
                &[ticker.bid, ticker.ask]
                    .map(|level| [level.price.units(), level.quantity.units()])
                    .concat(),
            )
            .symbol(ticker.symbol.as_str()),
        _ => return None,
    })
}

fn small() -> Vec<u8> {
    let level = |price, quantity| Level {
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
    };
    Message::new(26, DEPTH)
        .longs(&[1_723_161_255_208_000, 7, 9])
        .exponents()
        .levels(&[level(6_173_763_000_000, 0), level(6_173_017_000_000, 100_000_000)])
        .levels(&[level(6_183_764_000_000, 154_698_000)])
        .symbol("BTCUSDT")
}

#[test]
fn the_recorded_session_says_the_same_in_binary() {
    let Some(session) = recorded::session() else {
        return;
    };
    let (mut json, mut other, mut compared) = (Parser::new(), Parser::new(), 0);
    for (_, frame) in session.lines() {
        let Ok(body) = json.stream_message(frame) else {
            continue;
        };
        let Some(bytes) = binary(&body) else { continue };
        match (body, other.stream_message(&bytes).unwrap()) {
            (StreamMessageBody::Trade(one), StreamMessageBody::Trades { symbol, trades }) => {
                assert_eq!((trades, symbol), (&[one][..], one.symbol));
            }
            (one, other) => assert_eq!(one, other),
        }
        compared += 1;
    }
    assert!(compared > 0);
    assert_eq!(other.counts(), (compared, 0));
}

#[test]
fn what_ends_too_early_is_refused_wherever_it_ends() {
    let message = small();
    let mut parser = Parser::new();
    assert!(parser.stream_message(&message).is_ok());
    for end in 1..message.len() {
        assert!(parser.stream_message(&message[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_longer_block_is_read_as_far_as_it_is_known() {
    let mut message = Message::new(30, DEPTH)
        .longs(&[1, 7, 9])
        .exponents()
        .bytes(&[1, 2, 3, 4]);
    message = message.levels(&[]).levels(&[]);
    let message = message.symbol("ETHUSDT");
    let mut parser = Parser::new();
    let Ok(StreamMessageBody::Depth(depth)) = parser.stream_message(&message) else {
        panic!("a change of the book")
    };
    assert_eq!((depth.symbol.as_str(), depth.last_update_id), ("ETHUSDT", 9));
}

#[test]
fn other_templates_are_passed_over_and_other_schemas_refused() {
    let mut parser = Parser::new();
    let snapshot = Message::new(18, 10_002).longs(&[1, 2]).exponents().0;
    assert_eq!(
        parser.stream_message(&snapshot).unwrap(),
        StreamMessageBody::Other
    );
    let mut wrong = small();
    wrong[4] = 3;
    assert!(parser.stream_message(&wrong).is_err());
}

#[test]
fn numbers_are_exact_or_refused() {
    let cases = [
        (6_183_763, -2, Ok(6_183_763_000_000)),
        (154_698_000, -8, Ok(154_698_000)),
        (1_546_980_000, -9, Ok(154_698_000)),
        (1, -9, Err(FixedPointError::TooPrecise)),
        (1, -128, Err(FixedPointError::TooPrecise)),
        (0, 127, Ok(0)),
        (1, 127, Err(FixedPointError::OutOfRange)),
        (i64::MAX, -7, Err(FixedPointError::OutOfRange)),
    ];
    for (mantissa, exponent, expected) in cases {
        let found = match units(mantissa, exponent, "price") {
            Err(ParseError::Number { source, .. }) => Err(source),
            found => Ok(found.unwrap()),
        };
        assert_eq!(found, expected, "{mantissa}e{exponent}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Parser::new().stream_message(&bytes);
    }

    #[test]
    fn damage_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut message = small();
        let at = at.index(message.len());
        message[at] = byte;
        let _ = Parser::new().stream_message(&message);
    }
}
