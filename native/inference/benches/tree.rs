//! One score at a time, rows rotating: the same row again would flatter the branch predictor.

#[path = "../tests/encoder/mod.rs"]
mod encoder;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use encoder::{File, Random, Tree, naive_raw_score};
use engine::signals::Model;
use inference::TreeModel;

const WIDTH: usize = 50;
const ROWS: usize = 4_096;

fn score(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tree_score");
    for (count, leaves) in [(50, 15), (100, 31), (200, 31), (500, 31)] {
        let mut random = Random(1);
        let trees: Vec<Tree> = (0..count).map(|_| random.tree(leaves, WIDTH)).collect();
        let rows: Vec<_> = (0..ROWS).map(|_| random.row(WIDTH)).collect();
        let mut model = TreeModel::load(&File::of(WIDTH, &trees).bytes()).expect("a model");
        let size = format!("{count}x{leaves}");
        let mut at = 0;
        group.bench_function(BenchmarkId::new("interleaved", &size), |bencher| {
            bencher.iter(|| {
                at = (at + 1) % ROWS;
                black_box(model.score(&rows[at]))
            });
        });
        group.bench_function(BenchmarkId::new("naive", &size), |bencher| {
            bencher.iter(|| {
                at = (at + 1) % ROWS;
                black_box(naive_raw_score(&trees, &rows[at]))
            });
        });
    }
    group.finish();
}

fn load(criterion: &mut Criterion) {
    let mut random = Random(1);
    let trees: Vec<Tree> = (0..200).map(|_| random.tree(31, WIDTH)).collect();
    let bytes = File::of(WIDTH, &trees).bytes();
    criterion.bench_function("tree_load/200x31", |bencher| {
        bencher.iter(|| TreeModel::load(black_box(&bytes)).expect("a model"));
    });
}

criterion_group!(benches, score, load);
criterion_main!(benches);
