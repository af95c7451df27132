//! What the ring costs: the writer per record and the reader per record, beside a time-stamp read. What stands in the
//! project's table, anchors interleaved, is `one_way.rs`.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on may panic")]

mod fixtures;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fixtures::{CAPACITY, quote, shared_ring, stamp};
use ipc::record::ROW_BYTES;

fn writer_cost(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("writer");
    group.throughput(Throughput::Elements(1));
    group.bench_function("anchor: one time-stamp read", |bench| bench.iter(stamp));
    let (mut writer, mut reader) = shared_ring("market");
    let record = quote();
    group.bench_function("encode and publish", |bench| {
        bench.iter(|| writer.publish(black_box(&record)));
    });
    let words = record.encode();
    group.bench_function("publish words", |bench| {
        bench.iter(|| writer.publish_words(black_box(&words)));
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut rows = vec![0; 256 * ROW_BYTES];
            while !done.load(Ordering::Relaxed) {
                black_box(reader.poll_into(&mut rows).unwrap());
            }
        });
        group.bench_function("publish words, a reader draining", |bench| {
            bench.iter(|| writer.publish_words(black_box(&words)));
        });
        done.store(true, Ordering::Relaxed);
    });
    group.finish();
}

fn reader_cost(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reader");
    let (mut writer, mut reader) = shared_ring("market");
    let words = quote().encode();
    let mut rows = vec![0; usize::try_from(CAPACITY).unwrap() * ROW_BYTES];
    group.throughput(Throughput::Elements(CAPACITY / 2));
    group.bench_function("poll_into, 2048 records at once", |bench| {
        bench.iter_custom(|iterations| {
            let mut spent = std::time::Duration::ZERO;
            for _ in 0..iterations {
                for _ in 0..CAPACITY / 2 {
                    writer.publish_words(&words);
                }
                let started = Instant::now();
                let result = reader.poll_into(&mut rows).unwrap();
                spent += started.elapsed();
                assert_eq!((result.records as u64, result.missed), (CAPACITY / 2, 0));
            }
            spent
        });
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("poll_into, nothing there", |bench| {
        bench.iter(|| reader.poll_into(&mut rows).unwrap());
    });
    group.finish();
}

criterion_group!(benches, writer_cost, reader_cost);
criterion_main!(benches);
