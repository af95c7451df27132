//! Where the time of a decision goes: a clock read between its stages.

use std::time::Instant;

use engine::probe::{NoProbe, Probe, Stage as EngineStage};

/// A stage of one decision, in the order a decision passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Frame bytes to event, sequence checked.
    Parse,
    /// Event and actions into the record.
    Record,
    /// Book, bar and features.
    Features,
    /// The model.
    Model,
    /// The strategy.
    Strategy,
    /// Risk and order table.
    Risk,
    /// What the engine does after the last of its stages.
    Rest,
    /// Order to signed bytes.
    Encode,
}

impl Stage {
    pub(crate) const ALL: [Self; 8] = [
        Self::Parse,
        Self::Record,
        Self::Features,
        Self::Model,
        Self::Strategy,
        Self::Risk,
        Self::Rest,
        Self::Encode,
    ];

    /// Its row in the table.
    pub(crate) const fn row(self) -> &'static str {
        match self {
            Self::Parse => "stage_parse",
            Self::Record => "stage_record",
            Self::Features => "stage_features",
            Self::Model => "stage_model",
            Self::Strategy => "stage_strategy",
            Self::Risk => "stage_risk",
            Self::Rest => "stage_rest",
            Self::Encode => "stage_encode",
        }
    }

    /// What is in it.
    pub(crate) const fn subject(self) -> &'static str {
        match self {
            Self::Parse => "frame bytes to event, in sequence",
            Self::Record => "event and actions into the record",
            Self::Features => "book, bar closed, 12 features",
            Self::Model => "the model",
            Self::Strategy => "the strategy",
            Self::Risk => "risk and order table",
            Self::Rest => "the engine after its last stage",
            Self::Encode => "order to signed bytes",
        }
    }
}

impl From<EngineStage> for Stage {
    fn from(stage: EngineStage) -> Self {
        match stage {
            EngineStage::Book | EngineStage::Features => Self::Features,
            EngineStage::Model => Self::Model,
            EngineStage::Strategy => Self::Strategy,
            EngineStage::Risk => Self::Risk,
        }
    }
}

/// Told where a decision stands.
pub(crate) trait Stages: Probe {
    /// A frame is taken in hand.
    fn begin(&mut self);
    /// A stage ended; it may end several times in one decision.
    fn ended(&mut self, stage: Stage);
}

/// Costs nothing.
impl Stages for NoProbe {
    #[inline]
    fn begin(&mut self) {}
    #[inline]
    fn ended(&mut self, _stage: Stage) {}
}

/// Reads a clock at the end of every stage.
#[derive(Debug)]
pub(crate) struct Watch {
    last: Instant,
    nanos: [f64; Stage::ALL.len()],
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            last: Instant::now(),
            nanos: [0.0; Stage::ALL.len()],
        }
    }

    /// Of the last decision, in the order of [`Stage::ALL`].
    pub(crate) const fn nanos(&self) -> [f64; Stage::ALL.len()] {
        self.nanos
    }
}

impl Probe for Watch {
    fn stage_ended(&mut self, stage: EngineStage) {
        self.ended(stage.into());
    }
}

impl Stages for Watch {
    fn begin(&mut self) {
        self.nanos = [0.0; Stage::ALL.len()];
        self.last = Instant::now();
    }

    fn ended(&mut self, stage: Stage) {
        let now = Instant::now();
        self.nanos[stage as usize] += (now - self.last).as_nanos() as f64;
        self.last = now;
    }
}
