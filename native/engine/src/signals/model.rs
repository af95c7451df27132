//! The model port: the engine asks, another crate answers.

use domain::Decimal;

/// A model's answer for one row of features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The sum before the link function (float32, as the training library's exported graph computes it).
    pub raw: f32,
    /// The probability, for people and records; decisions compare `raw`.
    pub probability: f32,
}

/// A model with one float32 row in and one probability out. Deterministic: equal rows, equal bits.
pub trait Model: Send {
    /// How many features a row has.
    fn feature_count(&self) -> usize;

    /// Scores one row; `row.len()` equals [`Model::feature_count`], all values finite.
    fn score(&mut self, row: &[f32]) -> Score;

    /// The smallest raw score whose probability is at least `probability`, so that
    /// `raw >= raw_threshold(p)` decides exactly as `probability >= p` would without rounding twice.
    fn raw_threshold(&self, probability: Decimal) -> f32;
}
