//! The engine's model port, implemented by trees.

use engine::signals::{Decimal, Model, Score};

use crate::error::InferenceError;
use crate::forest::Forest;
use crate::graph;
use crate::limits::MAX_FILE_BYTES;
use crate::metadata::Metadata;
use crate::onnx;

/// A tree ensemble with a sigmoid, compiled from an ONNX file.
///
/// ```
/// use inference::TreeModel;
///
/// let error = TreeModel::load(b"no model").unwrap_err();
/// assert!(error.to_string().starts_with("ModelProto, byte "));
/// ```
#[derive(Debug, Clone)]
pub struct TreeModel {
    forest: Forest,
    metadata: Metadata,
}

impl TreeModel {
    /// Reads and compiles an ONNX file.
    ///
    /// # Errors
    /// [`InferenceError`]: a file beyond a bound of [`crate::limits`], a damaged one, or one outside the allowed
    /// graph; the message names the place, what stands there and what may.
    pub fn load(bytes: &[u8]) -> Result<Self, InferenceError> {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(InferenceError::TooMany {
                place: "bytes of the file",
                count: bytes.len(),
                limit: MAX_FILE_BYTES,
            });
        }
        let (trees, entries) = graph::check(onnx::read_model(bytes)?)?;
        Ok(Self {
            metadata: Metadata::read(&entries, trees.feature_count)?,
            forest: Forest::compile(&trees)?,
        })
    }

    /// What the file says about itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// How many trees the model has.
    pub fn tree_count(&self) -> usize {
        self.forest.tree_count()
    }
}

impl Model for TreeModel {
    fn feature_count(&self) -> usize {
        self.metadata.feature_names().len()
    }

    /// As the graph: NaN goes where `nodes_missing_value_tracks_true` sends it. Raw scores are always finite.
    fn score(&mut self, row: &[f32]) -> Score {
        assert_eq!(row.len(), self.feature_count(), "a row has one value per feature");
        let raw = self.forest.raw_score(row);
        Score {
            raw,
            probability: probability(raw),
        }
    }

    /// -infinity when every raw score reaches the probability (0 or less), +infinity when none does (above 1).
    fn raw_threshold(&self, probability: Decimal) -> f32 {
        smallest_raw(probability)
    }
}

/// `Cast(float) . Sigmoid . Cast(double)`, in float64 as the graph takes it.
fn probability(raw: f32) -> f32 {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the graph's last node rounds to float32"
    )]
    let rounded = (1.0 / (1.0 + libm::exp(-f64::from(raw)))) as f32;
    rounded
}

/// Bisection over all float32 from -infinity to +infinity in their order.
fn smallest_raw(wanted: Decimal) -> f32 {
    // The rounding to float64 decides nothing: a float32 (24 bits) and a number of 8 decimals that differ at all
    // differ by more than half a unit of float64 (53 bits), since 2^24 * 10^8 < 2^53.
    let wanted = wanted.units() as f64 / Decimal::ONE.units() as f64;
    let reaches = |rank| f64::from(probability(from_rank(rank))) >= wanted;
    let (mut low, mut high) = (rank(f32::NEG_INFINITY), rank(f32::INFINITY));
    while low < high {
        let middle = low + (high - low) / 2;
        if reaches(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    from_rank(low)
}

const SIGN: u32 = 1 << 31;

/// The place of a number that is not NaN among all float32, in ascending order; -0.0 stands just below +0.0.
pub(crate) fn rank(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn from_rank(rank: u32) -> f32 {
    f32::from_bits(if rank & SIGN == 0 { !rank } else { rank & !SIGN })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn ranks_follow_the_order_of_floats() {
        let ascending = [
            f32::NEG_INFINITY,
            -1.5,
            -1e-40,
            -0.0,
            0.0,
            1e-40,
            1.5,
            f32::INFINITY,
        ];
        for pair in ascending.windows(2) {
            assert!(rank(pair[0]) < rank(pair[1]), "{pair:?}");
        }
        for value in ascending {
            assert_eq!(from_rank(rank(value)).to_bits(), value.to_bits());
        }
    }

    #[test]
    fn a_threshold_is_the_smallest_raw_score_that_reaches_the_probability() {
        for text in [
            "0.00000001",
            "0.1",
            "0.45",
            "0.49999999",
            "0.5",
            "0.50000001",
            "0.55",
            "0.62",
            "0.9",
            "0.99999999",
            "1",
        ] {
            let wanted = decimal(text);
            let raw = smallest_raw(wanted);
            let units = wanted.units() as f64 / 1e8;
            assert!(f64::from(probability(raw)) >= units, "{text}");
            assert!(f64::from(probability(from_rank(rank(raw) - 1))) < units, "{text}");
        }
    }

    #[test]
    fn a_probability_outside_its_range_is_reached_always_or_never() {
        assert_eq!(smallest_raw(decimal("0")), f32::NEG_INFINITY);
        assert_eq!(smallest_raw(decimal("-3")), f32::NEG_INFINITY);
        assert_eq!(smallest_raw(decimal("1.00000001")), f32::INFINITY);
        assert!(smallest_raw(Decimal::ONE) < 20.0);
    }

    #[test]
    fn the_probability_never_falls_while_the_raw_score_rises() {
        // Every 4,093rd of the four thousand million floats, with its neighbour.
        let last = rank(f32::INFINITY);
        let mut at = rank(f32::NEG_INFINITY);
        while at < last {
            let (here, next) = (probability(from_rank(at)), probability(from_rank(at + 1)));
            assert!(here <= next, "{} -> {here}, next {next}", from_rank(at));
            at = at.saturating_add(4_093);
        }
    }
}
