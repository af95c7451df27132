//! What can be wrong with a model file or with its golden rows.

use thiserror::Error;

/// A model or golden file that this crate refuses. Fatal for that file, never for the service.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InferenceError {
    /// More of something than its named bound (see [`crate::limits`]).
    #[error("{place}: {count} or more; at most {limit} are allowed: export a smaller model")]
    TooMany {
        /// What was counted.
        place: &'static str,
        /// How many were seen before reading stopped.
        count: usize,
        /// The bound.
        limit: usize,
    },
    /// Bytes that are not Protocol Buffers, or are cut off.
    #[error("{place}, byte {offset}: {fault}; the file is damaged or no ONNX file: export it again")]
    Malformed {
        /// The message that was being read.
        place: &'static str,
        /// Offset in the file.
        offset: usize,
        /// What is wrong there.
        fault: &'static str,
    },
    /// A well-formed model outside the one allowed shape.
    #[error("{place} is {found}; allowed: {allowed}")]
    NotAllowed {
        /// Which part of the model.
        place: String,
        /// What stands there.
        found: String,
        /// What may stand there.
        allowed: String,
    },
    /// A tree that cannot be walked as the contract says.
    #[error("tree {tree}, node {node}: {fault}; allowed: {allowed}")]
    Tree {
        /// Tree id.
        tree: usize,
        /// Node id inside the tree.
        node: usize,
        /// What is wrong there.
        fault: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// A golden file that cannot be read.
    #[error("golden file: {place} is {found}; allowed: {allowed}")]
    Golden {
        /// Which part of the file.
        place: String,
        /// What stands there.
        found: String,
        /// What may stand there.
        allowed: String,
    },
}

impl InferenceError {
    pub(crate) fn not_allowed(
        place: impl Into<String>,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        Self::NotAllowed {
            place: place.into(),
            found: found.into(),
            allowed: allowed.into(),
        }
    }
}

/// The first golden row on which a model does not say what ONNX Runtime said.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum GoldenMismatch {
    /// The golden rows belong to another model.
    #[error(
        "the model has {model} features, the golden rows have {golden}: take the golden file of this model"
    )]
    FeatureCount {
        /// Features of the model.
        model: usize,
        /// Features of a golden row.
        golden: usize,
    },
    /// The raw score is not the same float32, bit for bit.
    #[error("row {row}: raw score is {found:e}, ONNX Runtime gave {expected:e}; they must be bit-equal")]
    RawScore {
        /// Number of the row, from 0.
        row: usize,
        /// ONNX Runtime's.
        expected: f32,
        /// Ours.
        found: f32,
    },
    /// The probability is too far off.
    #[error(
        "row {row}: probability is {found:e}, ONNX Runtime gave {expected:e}; {ulps} units in the last place apart, \
         at most {} are allowed",
        crate::limits::MAX_PROBABILITY_ULPS
    )]
    Probability {
        /// Number of the row, from 0.
        row: usize,
        /// ONNX Runtime's.
        expected: f32,
        /// Ours.
        found: f32,
        /// Distance in units in the last place.
        ulps: u32,
    },
}
