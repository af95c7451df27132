//! What a feature set is: an ordered list of named definitions over bars of one size.

use domain::Nanos;

use crate::limits::FEATURES_MAX;

/// The primitive a feature is made of, with its parameters (lengths in bars).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureKind {
    /// Relative strength index (Wilder), 0 to 100.
    Rsi {
        /// Smoothing length.
        period: u16,
    },
    /// MACD line over close: (EMA fast - EMA slow) / close, so that it has no unit.
    Macd {
        /// Fast EMA length.
        fast: u16,
        /// Slow EMA length.
        slow: u16,
    },
    /// Volume over its mean of the last `period` bars.
    VolumeRatio {
        /// Length of the mean.
        period: u16,
    },
    /// Position in the Bollinger bands: (close - lower) / (upper - lower).
    BollingerPercent {
        /// Length of mean and deviation.
        period: u16,
        /// Band width in standard deviations, hundredths.
        width_hundredths: u16,
    },
    /// close / close of `lag` bars before - 1.
    Return {
        /// Distance.
        lag: u16,
    },
    /// SMA fast / SMA slow - 1.
    SmaTrend {
        /// Fast length.
        fast: u16,
        /// Slow length.
        slow: u16,
    },
    /// close / EMA - 1.
    EmaGap {
        /// EMA length.
        period: u16,
    },
    /// Standard deviation (n - 1) of log returns over `period` bars.
    Volatility {
        /// Length.
        period: u16,
    },
    /// Average true range (Wilder) / close.
    AtrPercent {
        /// Smoothing length.
        period: u16,
    },
    /// sin(2 pi hour of day / 24), hour of the bar's close, UTC, with its fraction.
    HourSin,
    /// cos(2 pi hour of day / 24), hour of the bar's close, UTC, with its fraction.
    HourCos,
}

/// One feature: its name and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureDef {
    /// Column name offline, position online.
    pub name: String,
    /// The primitive and its parameters.
    pub kind: FeatureKind,
    /// Restart window W in bars of a recursive feature, 0 for others. Its value at bar number i is the
    /// recursion started at bar number (i / W - 1) * W: a fixed grid, so that offline and online agree.
    pub restart_window: u16,
}

/// An ordered feature set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureSpec {
    /// Length of a bar.
    pub bar_span: Nanos,
    /// The features, in the model's order; at most [`FEATURES_MAX`].
    pub features: Vec<FeatureDef>,
}

impl FeatureSpec {
    /// Whether the number of features is within its bound and names are unique.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let count = self.features.len();
        let unique = self
            .features
            .iter()
            .enumerate()
            .all(|(at, def)| self.features[..at].iter().all(|other| other.name != def.name));
        (1..=FEATURES_MAX).contains(&count) && unique
    }
}
