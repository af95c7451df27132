use proptest::prelude::*;

use super::*;

fn program(texts: &[&str]) -> Program {
    Program::new(texts, &|_| None).unwrap_or_else(|error| panic!("{error}"))
}

/// Closes (units of 1e-8) with highs, lows, opens and volumes around them.
fn columns(closes: &[i64]) -> Vec<Vec<f64>> {
    let of = |make: &dyn Fn(usize, i64) -> i64| -> Vec<f64> {
        let made = closes
            .iter()
            .enumerate()
            .map(|(at, close)| make(at, *close) as f64);
        made.collect()
    };
    let wave = |at: usize| i64::try_from(at * at % 17).unwrap() * 1_000_000;
    vec![
        of(&|at, close| close - wave(at) / 2),
        of(&|at, close| close + wave(at + 3)),
        of(&|at, close| close - wave(at + 5)),
        of(&|_, close| close),
        of(&|at, _| 100_000_000 + 13 * wave(at)),
        of(&|at, _| i64::try_from(at % 7).unwrap()),
        of(&|at, _| i64::try_from(at % 5).unwrap()),
    ]
}

/// Runs it in runs of these lengths, over and over; each output's values.
fn run(program: &Program, first: i64, columns: &[Vec<f64>], lengths: &[usize]) -> Vec<Vec<f64>> {
    let mut runner = Runner::new(program, 64);
    let mut made = vec![Vec::new(); program.len()];
    let (mut at, total) = (0, columns[0].len());
    for length in lengths.iter().cycle() {
        let end = (at + (*length).clamp(1, 64)).min(total);
        let run: Vec<&[f64]> = columns.iter().map(|column| &column[at..end]).collect();
        let inputs: [&[f64]; Input::ALL.len()] =
            std::array::from_fn(|input| run.get(input).copied().unwrap_or_default());
        runner.run(first + i64::try_from(at).unwrap(), end - at, &inputs);
        for (output, made) in made.iter_mut().enumerate() {
            made.extend(runner.output(output));
        }
        at = end;
        if at == total {
            return made;
        }
    }
    made
}

fn one(text: &str, closes: &[i64]) -> Vec<f64> {
    run(&program(&[text]), 0, &columns(closes), &[64]).remove(0)
}

fn quiet(count: usize) -> Vec<i64> {
    let step = |at: usize| i64::try_from((at * 7_919 + at * at * 31) % 11).unwrap() - 5;
    (0..count)
        .map(|at| 6_000_000_000_000 + step(at) * 1_000_000)
        .collect()
}

/// Every kind of operation.
const EVERYTHING: [&str; 46] = [
    "close / lag(close, 3) - 1",
    "sum(close, 5) / close",
    "mean(close, 20)",
    "wma(close, 10)",
    "std(close, 20)",
    "var(close, 5, 0)",
    "skew(close, 20)",
    "kurt(close, 20)",
    "slope(close, 14)",
    "rsquare(close, 14)",
    "residual(close, 14)",
    "cov(close, volume, 10)",
    "corr(close, volume, 10)",
    "beta(close, volume, 10)",
    "highest(high, 20)",
    "lowest(low, 7)",
    "since_highest(high, 20)",
    "since_lowest(low, 20)",
    "since_first_highest(volume, 20)",
    "since_first_lowest(volume, 20)",
    "quantile(close, 20, 0.8)",
    "median(volume, 9)",
    "rank(close, 20)",
    "count(close > lag(close, 1), 10)",
    "ema(close, 12) - ema(close, 26)",
    "wilder(max(high, lag(close, 1)) - min(low, lag(close, 1)), 14) / close",
    "smooth(close, 0.1)",
    "adaptive(close, 0.1 + 0.05 * sin(day_fraction), 32)",
    "sar(high, low, 0.02, 0.2, 64)",
    "frac_diff(log(close), 0.4, 20)",
    "if(close > open and not (volume < 2), high - low, low - open)",
    "known(1 / (close - open), 0.5)",
    "log(volume + 1) * exp(-day_fraction) + tanh(week_fraction)",
    "sqrt(close * close) - abs(open - close) * sign(close - open)",
    "cos(day_fraction) ** 3 + floor(week_fraction / 2)",
    "(close - lowest(low, 9)) / (highest(high, 9) - lowest(low, 9))",
    "delta(close, 4) / 2",
    "if(close == open or high != low, 1, 0)",
    "-close ** 2 / (close * volume)",
    "ema(ema(ema(close, 5), 5), 5)",
    "mad(close, 9) + lag(low, 2) - low",
    "wilder_sum(high - low, 5)",
    "atan(number(high) - number(lag(high, 1)))",
    "cusum(delta(close, 1), 3 * std(close, 20), 32)",
    "cusum_sum(close / lag(close, 1) - 1, 0.0001, 48) * 100",
    "regime((close / lag(close, 1) - 1) * 1e5, 0, 0.5, -0.1, 2, 0.97, 0.9)",
];

#[test]
fn a_mean_is_the_mean() {
    let closes: Vec<i64> = (1..=6).map(|close| close * 100_000_000).collect();
    let found = one("mean(close, 3)", &closes);
    assert!(found[..2].iter().all(|value| value.is_nan()));
    assert_eq!(found[2..], [2.0, 3.0, 4.0, 5.0]);
    for (found, exact) in one("wma(close, 3)", &closes)[2..]
        .iter()
        .zip([14.0, 20.0, 26.0, 32.0])
    {
        assert!((found - exact / 6.0).abs() < 1e-15 * exact);
    }
    assert_eq!(one("slope(close, 4)", &closes)[3..], [1.0, 1.0, 1.0]);
    assert_eq!(one("residual(close, 4)", &closes)[3..], [0.0, 0.0, 0.0]);
    assert_eq!(one("std(close, 3)", &closes)[2..], [1.0; 4]);
    assert_eq!(one("rank(close, 3)", &closes)[2..], [1.0; 4]);
    assert_eq!(
        one("quantile(close, 3, 0.25)", &closes)[2..],
        [1.5, 2.5, 3.5, 4.5]
    );
    assert_eq!(one("since_lowest(close, 3)", &closes)[2..], [2.0; 4]);
    assert_eq!(one("frac_diff(close, 1, 3)", &closes)[2..], [1.0; 4]);
    assert_eq!(
        one("count(close > 3, 2)", &closes)[1..],
        [0.0, 0.0, 1.0, 2.0, 2.0]
    );
}

#[test]
fn units_are_inferred_and_wrong_ones_refused() {
    let unit = |text: &str| program(&[text]).unit(0).to_string();
    assert_eq!(unit("close * volume"), "price * quantity");
    assert_eq!(unit("close / open"), "number");
    assert_eq!(unit("var(close, 5)"), "price^2");
    assert_eq!(unit("sqrt(close)"), "price^(1/2)");
    assert_eq!(unit("volume / close"), "price^-1 * quantity");
    let refused = |text: &str| match Program::new(&[text], &|_| None) {
        Ok(_) => panic!("{text} is taken"),
        Err(error) => error.error.to_string(),
    };
    assert!(
        refused("close + volume").contains("at 7: \"+\" between price and quantity"),
        "{}",
        refused("close + volume")
    );
    assert!(refused("exp(close)").contains("exp of price"));
    assert!(refused("close and open").contains("found a number"));
    assert!(refused("(close > open) + 1").contains("true or false"));
    assert!(refused("mean(close, 2.5)").contains("whole number from 1 to 4096"));
    assert!(refused("mean(close, volume)").contains("as written"));
    assert!(refused("mean(close)").contains("mean(x, n)"));
    assert!(refused("nothing(close)").contains("there is no function \"nothing\""));
    assert!(refused("closed").contains("inputs are open, high"));
    assert!(refused("close +").contains("found the end"));
    assert!(refused("close $ 2").contains("at 7: '$' has no meaning"));
    assert!(refused("close 2").contains("an operator or the end"));
    assert!(refused("1 / 0").contains("division by zero"));
    assert!(refused(&format!("{}close{}", "(".repeat(80), ")".repeat(80))).contains("nested deeper"));
    assert!(refused(&"-".repeat(200)).contains("nested deeper"));
    assert!(
        refused("ema(close, 20, 20)").contains("from 21 to 16384"),
        "{}",
        refused("ema(close, 20, 20)")
    );
    assert!(refused("wilder(close, 4096)").contains("or a restart window as written"));
    assert!(refused("smooth(close, 0)").contains("or a restart window as written"));
    let chain = vec!["close"; 580].join("+");
    assert!(refused(&chain).contains("deeper than 512"), "{}", refused(&chain));
}

#[test]
fn names_stand_for_expressions_and_not_for_themselves() {
    let definitions = |name: &str| match name {
        "momentum" => Some("close / lag(close, 5) - 1".to_owned()),
        "one" => Some("two + 1".to_owned()),
        "two" => Some("one * 2".to_owned()),
        _ => None,
    };
    let program = Program::new(&["momentum - lag(momentum, 1)", "momentum"], &definitions).unwrap();
    assert_eq!((program.warmup(0), program.warmup(1)), (7, 6));
    assert_eq!(program.inputs(0), ["close"]);
    let refused = Program::new(&["close", "one"], &definitions).unwrap_err();
    assert_eq!(refused.number, 1);
    assert!(
        refused
            .to_string()
            .contains("is made of itself: one -> two -> one"),
        "{refused}"
    );
}

#[test]
fn other_columns_have_the_units_that_are_told() {
    let more = [("eps".to_owned(), Unit::PRICE), ("score".to_owned(), Unit::NONE)];
    let program = Program::with_columns(&["eps / close + delta(score, 1)"], &|_| None, &more).unwrap();
    assert_eq!(program.inputs(0), ["close", "eps", "score"]);
    assert!(Program::with_columns(&["eps + score"], &|_| None, &more).is_err());
    let mut columns = vec![&[][..]; program.columns().len()];
    let places: Vec<_> = program.columns().map(str::to_owned).collect();
    let place = |name: &str| places.iter().position(|one| one == name).unwrap();
    columns[place("close")] = &[4e8, 4e8];
    columns[place("eps")] = &[1e8, 2e8];
    columns[place("score")] = &[0.25, 0.75];
    let mut runner = Runner::new(&program, 2);
    runner.run(0, 2, &columns);
    assert_eq!(runner.output(0)[1], 1.0);
}

#[test]
fn what_a_program_remembers_is_bounded() {
    let texts: Vec<_> = (0..400)
        .map(|at| format!("corr(close, lag(volume, {}), 4096)", at + 1))
        .collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let refused = Program::new(&texts, &|_| None).unwrap_err();
    assert!(refused.error.what.contains("remember more than"), "{refused}");
}

#[test]
fn what_another_program_saved_is_refused() {
    let saved = Runner::new(&program(&["mean(close, 5)"]), 1).save();
    let mut other = Runner::new(&program(&["mean(close, 6)"]), 1);
    assert_eq!(other.restore(&saved), Err(SavedError::OtherProgram));
    assert_eq!(other.restore(&saved[..7]), Err(SavedError::Damaged(7)));
}

#[test]
fn a_saved_state_with_one_bit_changed_is_refused() {
    let program = program(&["ema(close, 5) - mean(close, 4)"]);
    let mut runner = Runner::new(&program, 64);
    let columns = columns(&quiet(40));
    let run: [&[f64]; Input::ALL.len()] =
        std::array::from_fn(|at| columns.get(at).map_or(&[][..], |one| one));
    runner.run(0, 40, &run);
    let saved = runner.save();
    for bit in 0..saved.len() * 8 {
        let mut changed = saved.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(runner.restore(&changed).is_err(), "bit {bit}");
    }
    assert_eq!(runner.restore(&saved), Ok(()));
}

#[test]
fn a_state_of_other_columns_is_refused() {
    let of = |name: &str, unit| {
        let more = [(name.to_owned(), unit)];
        let program = Program::with_columns(&[&format!("mean({name}, 3)")], &|_| None, &more).unwrap();
        Runner::new(&program, 1)
    };
    let saved = of("score", Unit::NONE).save();
    assert_eq!(of("score", Unit::NONE).restore(&saved), Ok(()));
    assert_eq!(
        of("tone", Unit::NONE).restore(&saved),
        Err(SavedError::OtherProgram)
    );
    assert_eq!(
        of("score", Unit::PRICE).restore(&saved),
        Err(SavedError::OtherProgram)
    );
}

#[test]
fn what_a_program_looks_at_anew_is_bounded() {
    let texts: Vec<_> = (0..17)
        .map(|at| format!("mad(close * {}, 4096)", at + 2))
        .collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    assert!(Program::new(&texts[..16], &|_| None).is_ok());
    let refused = Program::new(&texts, &|_| None).unwrap_err();
    assert!(refused.error.what.contains("at every bar"), "{refused}");
}

#[test]
fn what_is_beyond_all_numbers_is_unknown() {
    let found = one("number(close) * 1e308 * 1e308", &quiet(3));
    assert!(found.iter().all(|value| value.is_nan()), "{found:?}");
    let found = one("adaptive(close, number(close), 16)", &quiet(40));
    assert_eq!(
        found[1..],
        one("close", &quiet(40))[1..],
        "a weight above one is one"
    );
}

/// Averages leave the numbers and come back: bar by bar and in long runs in the same way.
#[test]
fn values_beyond_all_numbers_end_averages_in_the_same_way_in_runs_of_any_length() {
    let closes: Vec<i64> = (0..900_i64)
        .map(|at| 100_000_000 * (50 + (at * at * 31) % 97))
        .collect();
    let columns = columns(&closes);
    let mut texts = Vec::new();
    for average in [
        "ema({}, 3, 40)",
        "wilder({}, 1, 24)",
        "wilder_sum({}, 2, 33)",
        "smooth({}, 0.5, 29)",
    ] {
        for scale in ["8.6", "9.15", "9.3"] {
            let huge = format!("exp(number(close) * {scale} - 100) * sign(close - mean(close, 5))");
            texts.push(average.replace("{}", &huge));
        }
        texts.push(average.replace("{}", "1 / (close - lag(close, 1)) * close * 1e300 * 1e8"));
    }
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let program = program(&texts);
    let whole = run(&program, 0, &columns, &[64]);
    let single = run(&program, 0, &columns, &[1]);
    let mixed = run(&program, 0, &columns, &[3, 64, 1, 17]);
    for (output, text) in texts.iter().enumerate() {
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert!(
            bits(&whole[output]) == bits(&single[output]),
            "one by one: {text}"
        );
        assert!(
            bits(&whole[output]) == bits(&mixed[output]),
            "in mixed runs: {text}"
        );
    }
    assert!(
        whole.iter().flatten().any(|value| value.is_nan())
            && whole.iter().flatten().any(|value| *value > 1e300)
    );
}

#[test]
fn sums_of_changes_say_when_they_have_passed_the_threshold() {
    let prices = [10_i64, 11, 12, 14, 13, 12, 11, 9, 10, 14];
    let closes: Vec<i64> = prices.iter().map(|price| price * 100_000_000).collect();
    // Rises of 1, 1, 2 are more than 3; then falls of 1, 1, 1, 2; then rises of 1 and 4.
    let events = one("cusum(delta(close, 1), 3, 64)", &closes);
    assert_eq!(events[1..], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0]);
    let sums = one("cusum_sum(delta(close, 1), 3, 64)", &closes);
    assert_eq!(sums[1..4], [1.0, 2.0, 0.0]);
}

/// The filter as its books write it: predicted, weighed by the densities, divided by their sum.
#[test]
fn a_chain_of_two_states_is_filtered() {
    let closes: Vec<i64> = (0..300_i64)
        .map(|at| 100_000_000 * (100 + (at * at * 7) % (3 + at % 11)))
        .collect();
    let found = one(
        "regime(number(delta(close, 1)), 0, 1, 0.5, 3, 0.95, 0.8)",
        &closes,
    );
    let density = |x: f64, mean: f64, std: f64| libm::exp(-libm::pow((x - mean) / std, 2.0) / 2.0) / std;
    let mut second = 0.05 / 0.25;
    for at in 1..closes.len() {
        let x = (closes[at] - closes[at - 1]) as f64 / 1e8;
        let predicted = second * 0.8 + (1.0 - second) * 0.05;
        let (b, a) = (
            predicted * density(x, 0.5, 3.0),
            (1.0 - predicted) * density(x, 0.0, 1.0),
        );
        second = b / (a + b);
        assert!((found[at] - second).abs() < 1e-11, "{at}: {} {second}", found[at]);
    }
    assert!(found[1..].iter().any(|p| *p > 0.9) && found[1..].iter().any(|p| *p < 0.1));
}

#[test]
fn slips_are_answered_with_what_is_meant() {
    let why = |text: &str| Program::new(&[text], &|_| None).unwrap_err().error.what;
    assert!(why("if(1 < close < 2, 1, 0)").contains("a < b and b < c"));
    assert!(why("shift(close, -1)").contains("the future is not to be had"));
    assert!(why("regime(close / open, 0, 1, 0, 2, 1, 0.9)").contains("allowed is"));
    assert_eq!(one("+close - +1", &[300_000_000]), [2.0]);
}

#[test]
fn equal_operations_are_computed_once() {
    let program = program(&[
        "ema(close, 12) - ema(close, 26)",
        "ema(close, 12) / close",
        "close",
    ]);
    assert_eq!(program.operations(), 5);
}

/// Prices around 60,000 that hardly move: what a running sum of squares gets wrong.
#[test]
fn deviations_of_a_quiet_market_are_exact() {
    let closes = quiet(3_000);
    for length in [2_usize, 5, 20, 60] {
        let found = one(&format!("std(close, {length})"), &closes);
        for (at, window) in closes.windows(length).enumerate() {
            let n = length as i128;
            let sum: i128 = window.iter().map(|close| i128::from(*close)).sum();
            let squares: i128 = window
                .iter()
                .map(|close| i128::from(*close) * i128::from(*close))
                .sum();
            // n * squares - sum^2 is exact; one rounding each for the rest.
            let exact = ((n * squares - sum * sum) as f64 / (n * (n - 1)) as f64).sqrt() / 1e8;
            let found = found[at + length - 1];
            assert!((found - exact).abs() <= 1e-12 * exact, "{found} {exact}");
        }
    }
}

proptest! {
    /// A run of bars at a time or one by one, from the same beginning: the same bits, known or not.
    #[test]
    fn runs_of_any_lengths_give_the_same_bits(
        steps in prop::collection::vec(-3_000_000_i64..3_000_000, 1..300),
        lengths in prop::collection::vec(1_usize..64, 1..8), first in -1_000_i64..1_000,
    ) {
        let closes: Vec<i64> = steps.iter().scan(6_000_000_000, |close, step| { *close += step; Some(*close) }).collect();
        let (program, columns) = (program(&EVERYTHING), columns(&closes));
        let (whole, single) = (run(&program, first, &columns, &[64]), run(&program, first, &columns, &[1]));
        let pieces = run(&program, first, &columns, &lengths);
        for output in 0..program.len() {
            for at in 0..closes.len() {
                let bits = |made: &[Vec<f64>]| made[output][at].to_bits();
                prop_assert_eq!(bits(&whole), bits(&single), "{} at {}", EVERYTHING[output], at);
                prop_assert_eq!(bits(&whole), bits(&pieces), "{} at {}", EVERYTHING[output], at);
            }
        }
    }

    /// Once warm, nothing depends on where the stream began; and there is a value from the lookback on.
    #[test]
    fn a_stream_that_begins_later_gives_the_same_bits_once_warm(
        steps in prop::collection::vec(-3_000_000_i64..3_000_000, 500..900),
        skip in 1_usize..400, first in -1_000_i64..1_000,
    ) {
        let closes: Vec<i64> = steps.iter().scan(6_000_000_000, |close, step| { *close += step; Some(*close) }).collect();
        let (program, columns) = (program(&EVERYTHING), columns(&closes));
        let whole = run(&program, first, &columns, &[64]);
        let later: Vec<Vec<f64>> = columns.iter().map(|column| column[skip..].to_vec()).collect();
        let later = run(&program, first + i64::try_from(skip).unwrap(), &later, &[64]);
        for output in 0..program.len() {
            let warm = program.warmup(output) as usize - 1;
            for at in warm..later[output].len() {
                let (ours, theirs) = (later[output][at], whole[output][at + skip]);
                prop_assert_eq!(ours.to_bits(), theirs.to_bits(), "{} at {}: {} {}", EVERYTHING[output], at, ours, theirs);
            }
            let lookback = program.lookback(output) as usize - 1;
            prop_assert!(whole[output][..lookback.min(closes.len())].iter().all(|value| value.is_nan()), "{}", EVERYTHING[output]);
        }
    }

    /// A stream that goes on from what was saved is the one that never stopped; damaged bytes change nothing.
    #[test]
    fn a_restored_stream_goes_on_with_the_same_bits(
        steps in prop::collection::vec(-3_000_000_i64..3_000_000, 40..400), stop in 1_usize..39, cut in 0_usize..4_000,
    ) {
        let closes: Vec<i64> = steps.iter().scan(6_000_000_000, |close, step| { *close += step; Some(*close) }).collect();
        let (program, columns) = (program(&EVERYTHING), columns(&closes));
        let stop = closes.len() * stop / 40;
        let part = |runner: &mut Runner, from: usize, to: usize| {
            let inputs: [&[f64]; Input::ALL.len()] = std::array::from_fn(|input| columns.get(input).map_or(&[][..], |column| &column[from..to]));
            runner.run(i64::try_from(from).unwrap(), to - from, &inputs);
        };
        let mut stopped = Runner::new(&program, 400);
        part(&mut stopped, 0, stop);
        let saved = stopped.save();
        let mut restored = Runner::new(&program, 400);
        let damaged = &saved[..cut.min(saved.len() - 1)];
        prop_assert!(restored.restore(damaged).is_err());
        prop_assert_eq!(restored.seen(), 0);
        prop_assert_eq!(restored.restore(&saved), Ok(()));
        part(&mut stopped, stop, closes.len());
        part(&mut restored, stop, closes.len());
        for (output, text) in EVERYTHING.iter().enumerate() {
            let bits = |runner: &Runner| runner.output(output).iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&stopped), bits(&restored), "{}", text);
        }
        prop_assert_eq!(stopped.save(), restored.save());
    }

    /// Whatever is written, nothing panics.
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z0-9_ ()+*/<>=,.!-]{0,60}") {
        let _ = Program::new(&[&text], &|_| None);
    }
}

/// Prices of 0.5 and 2 in units of 1e-8: a plain number, a price, one over a price, each as people write it.
#[test]
fn values_of_every_unit_are_the_same_outside_of_a_run_and_of_its_last_bar() {
    let program = program(&["close / close", "close + close", "1 / close"]);
    let mut runner = Runner::new(&program, 64);
    let closes = [50_000_000.0, 200_000_000.0];
    runner.run(0, 2, &[&closes[..]; Input::ALL.len()]);
    let outputs: Vec<_> = (0..program.len()).map(|output| runner.output(output)).collect();
    assert_eq!(outputs, [[1.0, 1.0], [1.0, 4.0], [2.0, 0.5]]);
    assert_eq!(runner.last_of_all().collect::<Vec<_>>(), [1.0, 4.0, 0.5]);
}
