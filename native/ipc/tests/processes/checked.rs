//! Payloads that prove themselves: any mixture of two of them fails the check.

use domain::{Level, Price, Quantity};
use ipc::market_cache::{CachedMarket, Depth};
use ipc::record::{PAYLOAD_WORDS, Payload};

/// The payload of record `index`: fourteen words made from the index, and a checksum over them.
pub(crate) fn payload(index: u64) -> Payload {
    let mut words = [0; PAYLOAD_WORDS];
    let mut word = index;
    for cell in &mut words[..PAYLOAD_WORDS - 1] {
        *cell = word;
        word = word.rotate_left(23).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index;
    }
    words[PAYLOAD_WORDS - 1] = checksum(&words);
    words
}

fn checksum(words: &Payload) -> u64 {
    let fold = |sum: u64, word: &u64| (sum ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
    words[..PAYLOAD_WORDS - 1]
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, fold)
}

/// Whether a row's payload belongs to the row's index and is whole.
#[allow(dead_code, reason = "the peer writes, the tests read")]
pub(crate) fn is_whole(row: &[u8; ipc::record::ROW_BYTES]) -> bool {
    let (cells, _) = row.as_chunks::<8>();
    let index = u64::from_le_bytes(cells[0]);
    cells[1..]
        .iter()
        .zip(payload(index))
        .all(|(cell, word)| u64::from_le_bytes(*cell) == word)
}

/// The levels of book `number`: bids, asks.
#[allow(dead_code, reason = "each side of these tests uses its own part")]
pub(crate) fn levels(number: u64) -> [Vec<Level>; 2] {
    let turned = i64::try_from(number % 1_000).unwrap_or_default();
    let side = |sign: i64| {
        (1..=11).map(move |far| Level {
            price: Price::from_units(1_000_000 + turned + sign * far),
            quantity: Quantity::from_units(1 + turned * far),
        })
    };
    [side(-1).collect(), side(1).collect()]
}

/// Whether a market is one that the peer leaves between two of its writes: book `number` whole, and its trade or the one
/// before.
#[allow(dead_code, reason = "the peer writes, the tests read")]
pub(crate) fn is_whole_market(market: &CachedMarket) -> bool {
    let number = market.book.head.update_id;
    let [bids, asks] = levels(number);
    let is_book = market.book.bids == Depth::best(&bids) && market.book.asks == Depth::best(&asks);
    let times = (
        market.book.head.ts_event.nanos(),
        market.book.head.ts_received.nanos(),
    );
    let is_trade = market.trade.is_none_or(|trade| {
        let of = trade.trade_id.0;
        trade.quantity.units().cast_unsigned() == of && number - of <= 1
    });
    is_book && is_trade && times.0 == times.1 && times.0.cast_unsigned() == number
}
