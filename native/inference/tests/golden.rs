//! The evaluator against rows that ONNX Runtime scored (`tests/contract/inference`, written by its `generate.py`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use engine::signals::Model;
use inference::{GoldenMismatch, GoldenRows, InferenceError, TreeModel, verify_golden};

const MODEL: &[u8] = include_bytes!("../../../tests/contract/inference/model.onnx");
const GOLDEN: &[u8] = include_bytes!("../../../tests/contract/inference/golden.bin");
const HEADER: usize = 24;
const ROW: usize = 14 * 4;

fn model() -> TreeModel {
    TreeModel::load(MODEL).unwrap()
}

/// The golden file with one float replaced.
fn with_value(row: usize, column: usize, change: impl Fn(f32) -> f32) -> Vec<u8> {
    let mut bytes = GOLDEN.to_vec();
    let at = HEADER + row * ROW + column * 4;
    let old = f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    bytes[at..at + 4].copy_from_slice(&change(old).to_le_bytes());
    bytes
}

#[test]
fn every_raw_score_has_the_bits_of_onnx_runtime() {
    let golden = GoldenRows::read(GOLDEN).unwrap();
    let report = verify_golden(&mut model(), &golden).unwrap();
    assert_eq!((report.rows, golden.len()), (1_000, 1_000));
    assert!(report.max_probability_ulps <= 1, "{report:?}");
    let distinct: std::collections::BTreeSet<_> =
        golden.iter().map(|(_, score)| score.raw.to_bits()).collect();
    assert!(
        distinct.len() > 900,
        "rows that all score alike prove nothing: {}",
        distinct.len()
    );
}

#[test]
fn the_model_says_what_it_is() {
    let model = model();
    assert_eq!((model.feature_count(), model.tree_count()), (12, 61));
    let metadata = model.metadata();
    assert_eq!(metadata.name(), "golden");
    assert_eq!(metadata.feature_spec_sha256().len(), 64);
    assert_eq!(metadata.feature_names()[..2], ["rsi_14", "macd"]);
    assert_eq!(metadata.feature_names()[11], "hour_cos");
}

#[test]
fn one_bit_in_one_raw_score_is_a_mismatch_that_names_the_row() {
    let bytes = with_value(417, 12, |raw| f32::from_bits(raw.to_bits() ^ 1));
    let golden = GoldenRows::read(&bytes).unwrap();
    let mismatch = verify_golden(&mut model(), &golden).unwrap_err();
    assert!(
        matches!(mismatch, GoldenMismatch::RawScore { row: 417, .. }),
        "{mismatch}"
    );
}

#[test]
fn a_probability_four_ulp_off_is_a_mismatch() {
    let bytes = with_value(999, 13, |p| f32::from_bits(p.to_bits() + 4));
    let golden = GoldenRows::read(&bytes).unwrap();
    let mismatch = verify_golden(&mut model(), &golden).unwrap_err();
    assert!(
        matches!(
            mismatch,
            GoldenMismatch::Probability {
                row: 999,
                ulps: 3..=5,
                ..
            }
        ),
        "{mismatch}"
    );
}

#[test]
fn a_golden_file_says_what_is_wrong_with_it() {
    let refused = |bytes: &[u8], start: &str| {
        let error = GoldenRows::read(bytes).unwrap_err();
        assert!(matches!(error, InferenceError::Golden { .. }));
        assert!(error.to_string().starts_with(start), "{error}");
    };
    let with_byte = |at: usize, value: u8| {
        let mut bytes = GOLDEN.to_vec();
        bytes[at] = value;
        bytes
    };
    refused(&[], "golden file: the header is 0 bytes");
    refused(&GOLDEN[..23], "golden file: the header is 23 bytes");
    refused(&with_byte(0, b'X'), "golden file: the magic is \"XYRTGOLD\"");
    refused(&with_byte(8, 2), "golden file: the version is 2; allowed: 1");
    refused(&with_byte(12, 0), "golden file: the number of features is 0");
    refused(&with_byte(12, 13), "golden file: the length is ");
    refused(&with_byte(16, 0xe7), "golden file: the number of rows is 999");
    refused(&with_byte(23, 0xff), "golden file: the number of rows is ");
    refused(&GOLDEN[..GOLDEN.len() - 1], "golden file: the length is ");
    refused(
        &with_value(3, 2, |_| f32::NAN),
        "golden file: value 2 of row 3 is NaN",
    );
}
