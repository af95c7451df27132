//! Where in the record one stands: what the next record continues.

use crate::frame::{Chain, FrameError, Kind, encode};

/// What the next record continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The chain so far.
    pub(crate) chain: Chain,
    /// The next record's number; records count from 0.
    pub(crate) seq: u64,
    /// The next event's number; events count from 1.
    pub(crate) event: u64,
}

impl Position {
    /// Before record 0.
    pub(crate) const START: Self = Self {
        chain: [0; 16],
        seq: 0,
        event: 1,
    };

    /// Appends the next record to `out` and moves behind it.
    pub(crate) fn put(
        &mut self,
        out: &mut Vec<u8>,
        (kind, ts): (Kind, i64),
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), FrameError> {
        let chain = encode(out, &self.chain, (kind, self.seq, ts), payload)?;
        self.pass(kind, chain);
        Ok(())
    }

    /// Moves behind a record of this kind that ends with this chain.
    pub(crate) fn pass(&mut self, kind: Kind, chain: Chain) {
        self.chain = chain;
        self.seq += 1;
        if kind == Kind::Event {
            self.event += 1;
        }
    }
}
