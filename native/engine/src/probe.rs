//! Where time goes: the engine names its stages, the caller measures them.

/// A stage of handling one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Applying the event to the book.
    Book,
    /// Bars and features.
    Features,
    /// The model.
    Model,
    /// The strategy.
    Strategy,
    /// Risk and order table.
    Risk,
}

impl Stage {
    /// Every stage, in the order an event passes them.
    pub const ALL: [Self; 5] = [
        Self::Book,
        Self::Features,
        Self::Model,
        Self::Strategy,
        Self::Risk,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Features => "features",
            Self::Model => "model",
            Self::Strategy => "strategy",
            Self::Risk => "risk",
        }
    }
}

/// Told when a stage ends. The engine has no clock: a probe that measures brings its own.
pub trait Probe {
    /// A stage of the current event ended.
    fn stage_ended(&mut self, stage: Stage);
}

/// Measures nothing, costs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    fn stage_ended(&mut self, _stage: Stage) {}
}
