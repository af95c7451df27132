//! Rows that ONNX Runtime scored, and the proof that a model says the same.
//!
//! Little endian: magic `PYRTGOLD`, u32 version 1, u32 features F, u64 rows N; then per row F x f32 inputs, f32 raw
//! score (the sum before the sigmoid), f32 probability.

use engine::signals::{Model, Score};

use crate::error::{GoldenMismatch, InferenceError};
use crate::limits::{MAX_FEATURES, MAX_GOLDEN_ROWS, MAX_PROBABILITY_ULPS, MIN_GOLDEN_ROWS};
use crate::model::{TreeModel, rank};

const MAGIC: [u8; 8] = *b"PYRTGOLD";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;
/// Raw score and probability.
const SCORES: usize = 2;

/// The content of a golden file.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldenRows {
    feature_count: usize,
    /// Row after row: inputs, raw score, probability.
    values: Vec<f32>,
}

/// What a comparison of all rows found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoldenReport {
    /// Rows compared; the raw score of each was bit-equal.
    pub rows: usize,
    /// The largest distance of a probability, in units in the last place.
    pub max_probability_ulps: u32,
}

impl GoldenRows {
    /// Reads a golden file.
    ///
    /// # Errors
    /// [`InferenceError::Golden`]: another magic, version or length, a number of rows or features outside
    /// [`crate::limits`], or a value that is not finite.
    pub fn read(bytes: &[u8]) -> Result<Self, InferenceError> {
        let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            let found = format!("{} bytes", bytes.len());
            return Err(refused(
                "the header",
                found,
                format!("{HEADER_BYTES} bytes or more"),
            ));
        };
        let (features, rows) = read_header(header)?;
        let width = features + SCORES;
        if body.len() != rows * width * 4 {
            let found = format!("{} bytes", bytes.len());
            let allowed = format!(
                "{} for {rows} rows of {features} features",
                HEADER_BYTES + rows * width * 4
            );
            return Err(refused("the length", found, allowed));
        }
        let (floats, _) = body.as_chunks::<4>();
        let values: Vec<_> = floats.iter().map(|&value| f32::from_le_bytes(value)).collect();
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let place = format!("value {} of row {}", at % width, at / width);
            return Err(refused(place, values[at].to_string(), "a finite number"));
        }
        Ok(Self {
            feature_count: features,
            values,
        })
    }

    /// How many features a row has.
    pub fn feature_count(&self) -> usize {
        self.feature_count
    }

    /// How many rows there are; never 0.
    #[allow(
        clippy::len_without_is_empty,
        reason = "a golden file without rows cannot be read"
    )]
    pub fn len(&self) -> usize {
        self.values.len() / (self.feature_count + SCORES)
    }

    /// The rows in order: inputs, and what ONNX Runtime said.
    #[allow(clippy::iter_without_into_iter, reason = "rows are read in one place")]
    pub fn iter(&self) -> impl Iterator<Item = (&[f32], Score)> {
        self.values.chunks_exact(self.feature_count + SCORES).map(|row| {
            let (inputs, scores) = row.split_at(self.feature_count);
            let score = Score {
                raw: scores[0],
                probability: scores[1],
            };
            (inputs, score)
        })
    }
}

/// Features and rows, both within their bounds.
fn read_header(header: &[u8; HEADER_BYTES]) -> Result<(usize, usize), InferenceError> {
    if header[..8] != MAGIC {
        let found = format!("{:?}", String::from_utf8_lossy(&header[..8]));
        return Err(refused("the magic", found, "\"PYRTGOLD\""));
    }
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if word(8) != VERSION {
        return Err(refused("the version", word(8).to_string(), VERSION.to_string()));
    }
    let features = word(12) as usize;
    if !(1..=MAX_FEATURES).contains(&features) {
        let allowed = format!("1 to {MAX_FEATURES}");
        return Err(refused("the number of features", features.to_string(), allowed));
    }
    let rows = u64::from(word(16)) | u64::from(word(20)) << 32;
    match usize::try_from(rows) {
        Ok(rows) if (MIN_GOLDEN_ROWS..=MAX_GOLDEN_ROWS).contains(&rows) => Ok((features, rows)),
        _ => {
            let allowed = format!("{MIN_GOLDEN_ROWS} to {MAX_GOLDEN_ROWS}");
            Err(refused("the number of rows", rows.to_string(), allowed))
        }
    }
}

fn refused(place: impl Into<String>, found: impl Into<String>, allowed: impl Into<String>) -> InferenceError {
    InferenceError::Golden {
        place: place.into(),
        found: found.into(),
        allowed: allowed.into(),
    }
}

/// Scores every golden row: raw scores must be bit-equal, probabilities within [`MAX_PROBABILITY_ULPS`].
///
/// # Errors
/// [`GoldenMismatch`]: the first row that differs.
pub fn verify_golden(model: &mut TreeModel, golden: &GoldenRows) -> Result<GoldenReport, GoldenMismatch> {
    if model.feature_count() != golden.feature_count() {
        return Err(GoldenMismatch::FeatureCount {
            model: model.feature_count(),
            golden: golden.feature_count(),
        });
    }
    let mut report = GoldenReport {
        rows: 0,
        max_probability_ulps: 0,
    };
    for (row, (inputs, expected)) in golden.iter().enumerate() {
        let found = model.score(inputs);
        if found.raw.to_bits() != expected.raw.to_bits() {
            return Err(GoldenMismatch::RawScore {
                row,
                expected: expected.raw,
                found: found.raw,
            });
        }
        let ulps = rank(found.probability).abs_diff(rank(expected.probability));
        if ulps > MAX_PROBABILITY_ULPS {
            return Err(GoldenMismatch::Probability {
                row,
                expected: expected.probability,
                found: found.probability,
                ulps,
            });
        }
        report.rows += 1;
        report.max_probability_ulps = report.max_probability_ulps.max(ulps);
    }
    Ok(report)
}
