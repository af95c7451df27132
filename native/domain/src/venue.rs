//! Venues: where instruments trade.

use std::fmt;

/// A trading venue that this build can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Venue {
    /// Binance spot.
    Binance,
    /// Binance futures margined in dollars.
    BinanceUsdm,
    /// Coinbase: Advanced Trade and Exchange are two wires of one market.
    Coinbase,
    /// Kraken spot.
    Kraken,
    /// Independent Reserve: market data only.
    IndependentReserve,
}

impl Venue {
    /// Every venue, in a fixed order.
    pub const ALL: [Self; 5] = [
        Self::Binance,
        Self::BinanceUsdm,
        Self::Coinbase,
        Self::Kraken,
        Self::IndependentReserve,
    ];

    /// The name used in configuration and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::BinanceUsdm => "binance_usdm",
            Self::Coinbase => "coinbase",
            Self::Kraken => "kraken",
            Self::IndependentReserve => "independent_reserve",
        }
    }

    /// Whether what it trades is the asset itself, not a contract on it.
    #[must_use]
    pub const fn is_spot(self) -> bool {
        match self {
            Self::Binance | Self::Coinbase | Self::Kraken | Self::IndependentReserve => true,
            Self::BinanceUsdm => false,
        }
    }

    /// The venue of a name as in [`Venue::as_str`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|venue| venue.as_str() == name)
    }
}

impl fmt::Display for Venue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
