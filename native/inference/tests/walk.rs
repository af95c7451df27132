//! The packed, interleaved walk against the naive one; nothing is allocated per score.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod encoder;

use std::alloc::System;

use encoder::{File, Lists, Random, Tree, naive_raw_score};
use engine::signals::{Decimal, Model};
use inference::TreeModel;
use proptest::prelude::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Trees of different sizes, constant ones among them.
fn forest(random: &mut Random, count: usize, leaves: usize, width: usize) -> Vec<Tree> {
    (0..count)
        .map(|_| {
            let leaves = 1 + random.below(leaves);
            random.tree(leaves, width)
        })
        .collect()
}

/// A row with each kind of value: on splits, between, beyond, missing.
fn odd_row(random: &mut Random, width: usize) -> Vec<f32> {
    (0..width)
        .map(|_| match random.below(12) {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => f32::NEG_INFINITY,
            3 => -0.0,
            4 => random.weight(),
            _ => random.coarse(),
        })
        .collect()
}

proptest! {
    #[test]
    fn the_walk_equals_the_naive_one(seed: u64, count in 1_usize..40, leaves in 1_usize..40, width in 1_usize..20) {
        let mut random = Random(seed);
        let trees = forest(&mut random, count, leaves, width);
        let packed = Lists::of(&trees).attributes(seed.is_multiple_of(2));
        let mut model = TreeModel::load(&File::new(width, &packed).bytes()).unwrap();
        prop_assert_eq!(model.tree_count(), count);
        for turn in 0..40 {
            let row = if turn % 2 == 0 { random.row(width) } else { odd_row(&mut random, width) };
            let score = model.score(&row);
            let wanted = naive_raw_score(&trees, &row);
            prop_assert_eq!(score.raw.to_bits(), wanted.to_bits(), "row {:?}", row);
            prop_assert_eq!(model.score(&row), score);
        }
    }

    #[test]
    fn a_raw_threshold_decides_as_the_probability_would(seed: u64, units in 1_i64..100_000_000) {
        let mut random = Random(seed);
        let trees = forest(&mut random, 12, 8, 3);
        let mut model = TreeModel::load(&File::of(3, &trees).bytes()).unwrap();
        let near = 50_000_000 + (units - 50_000_000) / 10;
        for units in [units, near] {
            let threshold = model.raw_threshold(Decimal::from_units(units));
            for _ in 0..20 {
                let score = model.score(&random.row(3));
                let by_probability = f64::from(score.probability) >= units as f64 / 1e8;
                prop_assert_eq!(score.raw >= threshold, by_probability, "{:?} at {}", score, units);
            }
        }
    }
}

#[test]
#[should_panic(expected = "a row has one value per feature")]
fn a_row_of_another_width_is_a_bug_of_the_caller() {
    let mut model = TreeModel::load(&File::of(3, &[Random(1).tree(4, 3)]).bytes()).unwrap();
    let _ = model.score(&[0.0; 4]);
}

#[test]
fn a_score_allocates_nothing() {
    let mut random = Random(5);
    let trees = forest(&mut random, 100, 31, 12);
    let mut model = TreeModel::load(&File::of(12, &trees).bytes()).unwrap();
    let rows: Vec<_> = (0..64).map(|_| odd_row(&mut random, 12)).collect();
    // Other tests of this file allocate on their own threads: the quietest of many tries is this one's.
    let least = (0..1_000)
        .map(|_| {
            let region = Region::new(ALLOCATOR);
            for row in &rows {
                std::hint::black_box(model.score(row));
            }
            region.change().allocations
        })
        .min();
    assert_eq!(least, Some(0));
}
