//! Payloads that prove themselves: any mixture of two of them fails the check.

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
