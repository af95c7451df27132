//! What a feature set is: an ordered list of named definitions over bars of one length, or of one rule.

use domain::Nanos;

use super::event_bars::{EventBar, EventRule};
use super::flow::FLOW_INPUTS;
use super::program::{ExpressionError, Input, Program, Unit};
use super::slow::SlowColumn;
use crate::limits::{FEATURES_MAX, SLOW_COLUMNS_MAX};

/// The primitive a feature is made of, with its parameters (lengths in bars).
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Whatever the text says: see [`super::program`].
    Expression(String),
}

impl FeatureKind {
    /// Longest period of a recursive primitive; `None` for one that only looks at a window.
    #[must_use]
    pub const fn recursive_period(&self) -> Option<u16> {
        match self {
            Self::Rsi { period } | Self::EmaGap { period } | Self::AtrPercent { period } => Some(*period),
            Self::Macd { slow, .. } => Some(*slow),
            _ => None,
        }
    }

    /// Whether all lengths are positive, deviations have two values, and slow is longer than fast.
    #[must_use]
    pub const fn lengths_are_valid(&self) -> bool {
        match self {
            Self::Rsi { period }
            | Self::VolumeRatio { period }
            | Self::EmaGap { period }
            | Self::AtrPercent { period } => *period >= 1,
            Self::Macd { fast, slow } | Self::SmaTrend { fast, slow } => *fast >= 1 && *slow > *fast,
            Self::BollingerPercent {
                period,
                width_hundredths,
            } => *period >= 2 && *width_hundredths >= 1,
            Self::Volatility { period } => *period >= 2,
            Self::Return { lag } => *lag >= 1,
            Self::HourSin | Self::HourCos | Self::Expression(_) => true,
        }
    }
}

/// Reads the expression of a feature by itself: it names columns, those of slow parameters too, and no other feature.
///
/// # Errors
/// Why it is refused.
pub fn read_expression(text: &str, slow: &[SlowColumn]) -> Result<Program, ExpressionError> {
    Program::with_columns(&[text], &|_| None, &slow_columns(slow)).map_err(|refused| refused.error)
}

/// Slow parameters as a program names its columns.
pub(super) fn slow_columns(slow: &[SlowColumn]) -> Vec<(String, Unit)> {
    let columns = slow.iter();
    columns
        .map(|column| (column.name.as_str().to_owned(), column.unit))
        .collect()
}

/// Whether the service feeds a column of what happens in a bar: all but the depths, of which only a recording says how deep
/// it looked.
pub(super) fn is_fed_of_flow(column: &str) -> bool {
    let is_depth = |input: &Input| matches!(input, Input::BidDepth | Input::AskDepth);
    let mut fed = FLOW_INPUTS.iter().filter(|input| !is_depth(input));
    fed.any(|input| input.name() == column)
}

/// Whether the service feeds a column: a bar itself has it, it happens in the bar, or the feature set declares it. Of a bar that
/// closes by events its trades are known, and nothing else.
#[must_use]
pub fn is_fed(column: &str, slow: &[SlowColumn], by_events: bool) -> bool {
    let is_beside = || is_fed_of_flow(column) || slow.iter().any(|one| one.name.as_str() == column);
    let is_of_trades = || EventBar::INPUTS.iter().any(|input| input.name() == column);
    Input::is_of_bars(column) || if by_events { is_of_trades() } else { is_beside() }
}

impl FeatureSpec {
    /// Whether the service feeds a column to features of this set.
    #[must_use]
    pub fn feeds(&self, column: &str) -> bool {
        is_fed(column, &self.slow, self.events.is_some())
    }
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

impl FeatureDef {
    /// Bars after which the feature has a value, wherever the stream begins; `slow` are those of its set.
    #[must_use]
    pub fn warmup_bars(&self, slow: &[SlowColumn]) -> usize {
        if self.restart_window > 0 {
            return 2 * usize::from(self.restart_window);
        }
        match &self.kind {
            FeatureKind::Return { lag } => usize::from(*lag) + 1,
            FeatureKind::Volatility { period } => usize::from(*period) + 1,
            FeatureKind::VolumeRatio { period } | FeatureKind::BollingerPercent { period, .. } => {
                usize::from(*period)
            }
            FeatureKind::SmaTrend { slow, .. } => usize::from(*slow),
            // What is refused has no warm-up, and never runs.
            FeatureKind::Expression(text) => {
                read_expression(text, slow).map_or(1, |program| program.warmup(0) as usize)
            }
            _ => 1,
        }
    }
}

/// An ordered feature set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureSpec {
    /// Length of a bar of the clock: of the service in which it runs.
    pub bar_span: Nanos,
    /// Its bars close by this rule, and not by the clock.
    pub events: Option<EventRule>,
    /// The slow parameters that expressions read; at most [`SLOW_COLUMNS_MAX`].
    pub slow: Vec<SlowColumn>,
    /// The features, in the model's order; at most [`FEATURES_MAX`].
    pub features: Vec<FeatureDef>,
}

impl FeatureSpec {
    /// Whether the numbers of features and slow parameters are within their bounds and names are unique.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let count = self.features.len();
        let unique = self
            .features
            .iter()
            .enumerate()
            .all(|(at, def)| self.features[..at].iter().all(|other| other.name != def.name));
        let slow = &self.slow;
        let mut slow_names = slow.iter().enumerate();
        let slow_unique =
            slow_names.all(|(at, column)| slow[..at].iter().all(|other| other.name != column.name));
        let fits = (1..=FEATURES_MAX).contains(&count) && slow.len() <= SLOW_COLUMNS_MAX;
        fits && unique && slow_unique
    }
}
