//! Any text as an expression: refused, or run with the same bits in one piece and bar by bar.

#![no_main]
#![allow(missing_docs, reason = "a target has no readers")]

use arbitrary::Arbitrary;
use engine::signals::program::{Input, Program, Runner};
use libfuzzer_sys::fuzz_target;

/// Most bars of one input.
const BARS_MAX: usize = 48;
/// Most that the operations of one input remember: what takes longer is long, not slow.
const OPERATIONS_MAX: usize = 64;

#[derive(Debug, Arbitrary)]
struct Case {
    text: String,
    first: i16,
    prices: Vec<(u16, u8)>,
}

fuzz_target!(|case: Case| py_rt_fuzz::bounded(|| run(&case)));

fn run(case: &Case) {
    let Ok(program) = Program::new(&[&case.text], &|_| None) else {
        return;
    };
    if program.operations() > OPERATIONS_MAX || program.warmup(0) > 4_096 {
        return;
    }
    let prices = &case.prices[..case.prices.len().min(BARS_MAX)];
    let columns: Vec<Vec<f64>> = (0..Input::ALL.len())
        .map(|column| {
            let value = |&(price, volume): &(u16, u8)| match column % 3 {
                0 => f64::from(price) * 1e6,
                1 => f64::from(volume),
                _ => f64::from(price) / 65_536.0,
            };
            prices.iter().map(value).collect()
        })
        .collect();
    let mut whole = Runner::new(&program, BARS_MAX);
    let mut single = Runner::new(&program, 1);
    let all: Vec<_> = columns.iter().map(Vec::as_slice).collect();
    whole.run(case.first.into(), prices.len(), &all);
    for (at, expected) in whole.output(0).iter().enumerate() {
        let one: Vec<_> = columns.iter().map(|column| &column[at..=at]).collect();
        single.run(i64::from(case.first) + at as i64, 1, &one);
        assert_eq!(single.last(0).to_bits(), expected.to_bits(), "bar {at}");
    }
    let mut restored = Runner::new(&program, BARS_MAX);
    assert_eq!(restored.restore(&whole.save()), Ok(()));
}
