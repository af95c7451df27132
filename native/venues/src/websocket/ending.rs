//! The ways in which a stream ends.

/// Why a stream went down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// The venue closed it.
    Closed,
    /// The transport failed.
    Failed,
    /// Nothing was heard for too long, not even an answer to a ping; or no message where some come at all times.
    Idle,
    /// The socket lives, and what it is there for has stopped.
    Stalled,
    /// The consumer took nothing for [`super::DELIVERY_WAIT_MAX`].
    Overrun,
    /// The venue announced its end: shutdown, or the end of a subscription.
    Ended,
    /// We were told to stop.
    Stopped,
}

impl DisconnectReason {
    /// All there are.
    const ALL: [Self; 7] = [
        Self::Closed,
        Self::Failed,
        Self::Idle,
        Self::Stalled,
        Self::Overrun,
        Self::Ended,
        Self::Stopped,
    ];

    /// The word for it in a recording.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Failed => "failed",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Overrun => "overrun",
            Self::Ended => "ended",
            Self::Stopped => "stopped",
        }
    }

    /// What a word of a recording says; `None` for one that is none of ours.
    ///
    /// ```
    /// use venues::DisconnectReason;
    /// assert_eq!(DisconnectReason::of_word("idle"), Some(DisconnectReason::Idle));
    /// assert_eq!(DisconnectReason::of_word("capturer stopped"), None);
    /// ```
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_back_from_its_word() {
        for reason in DisconnectReason::ALL {
            assert_eq!(DisconnectReason::of_word(reason.as_str()), Some(reason));
        }
    }
}
