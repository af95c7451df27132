//! Names of timers: what they wake and whom, in one number.

use domain::SlotId;

use crate::event::TimerId;

/// What a timer wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// The venue has been silent about an order (its serial).
    OrderWatch(u32),
    /// An order has lived its time (its serial).
    OrderTimeout(u32),
    /// An approval ends.
    Expiry(SlotId),
    /// A flatten tries again.
    Flatten(SlotId),
}

/// The kind stands in the highest byte.
const KIND_SHIFT: u32 = 56;

impl Timer {
    pub(super) const fn id(self) -> TimerId {
        let (kind, payload) = match self {
            Self::OrderWatch(serial) => (1, serial as u64),
            Self::OrderTimeout(serial) => (2, serial as u64),
            Self::Expiry(slot) => (3, slot.0 as u64),
            Self::Flatten(slot) => (4, slot.0 as u64),
        };
        TimerId(kind << KIND_SHIFT | payload)
    }

    /// `None` for a number that names no timer of ours.
    pub(super) fn of(id: TimerId) -> Option<Self> {
        let payload = id.0 & ((1 << KIND_SHIFT) - 1);
        let serial = u32::try_from(payload).ok();
        let slot = u16::try_from(payload).ok().map(SlotId);
        match id.0 >> KIND_SHIFT {
            1 => serial.map(Self::OrderWatch),
            2 => serial.map(Self::OrderTimeout),
            3 => slot.map(Self::Expiry),
            4 => slot.map(Self::Flatten),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        let timers = [
            Timer::OrderWatch(u32::MAX),
            Timer::OrderTimeout(0),
            Timer::Expiry(SlotId(u16::MAX)),
            Timer::Flatten(SlotId(7)),
        ];
        for timer in timers {
            assert_eq!(Timer::of(timer.id()), Some(timer));
        }
        assert_eq!(Timer::of(TimerId(0)), None);
        assert_eq!(Timer::of(TimerId(u64::MAX)), None);
    }
}
