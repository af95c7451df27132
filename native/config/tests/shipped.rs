//! The files that ship with the project, through the crate's public doors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use config::{
    FILE_BYTES_MAX, LoadError, Stage, feature_spec_canonical_json, load_service, not_looser_than,
    parse_feature_spec, parse_feature_spec_json, parse_risk_limits, parse_service, parse_strategy, read_file,
};
use domain::{Currency, Decimal, Money, Nanos, SCALE, Venue};
use engine::risk::RiskLimits;
use engine::signals::{FeatureEngine, FeatureSpec};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).expect("a shipped file")
}

fn limits() -> RiskLimits {
    parse_risk_limits("risk_limits.toml", &text("risk_limits.toml")).expect("shipped limits")
}

fn features() -> FeatureSpec {
    parse_feature_spec("btc_15m.toml", &text("features/btc_15m.toml")).expect("shipped features")
}

#[test]
fn limits_are_exact() {
    let limits = limits();
    let usdt = Currency::new("USDT").expect("a code");
    assert_eq!(
        limits.max_position_usd,
        Money::from_decimal_units(100_000 * SCALE, usdt)
    );
    assert_eq!(limits.max_portfolio_concentration, Decimal::from_units(SCALE / 4));
    assert_eq!(limits.margin_call_threshold, Decimal::from_units(5_000_000));
    assert_eq!(limits.max_data_age, Nanos::from_secs(5));
}

#[test]
fn what_ships_with_watched_venues_loads_over_what_it_extends() {
    let loaded = load_service(&folder().join("consolidated.toml")).unwrap_or_else(|error| panic!("{error}"));
    let config = loaded.config;
    let venues: Vec<_> = config.watches.iter().map(|watch| watch.venue).collect();
    assert_eq!(config.venue.venue, Venue::Kraken);
    assert_eq!(venues, [Venue::Binance, Venue::Coinbase]);
    let fees = config.watches.iter().map(|watch| watch.taker_bps);
    assert!(fees.chain([config.venue.taker_bps]).all(|fee| fee.is_some()));
}

#[test]
fn defaults_equal_the_shipped_values() {
    let bare = include_str!("../../../tests/contract/config/good/risk_limits.specification.toml");
    assert_eq!(parse_risk_limits("b1", bare), Ok(limits()));
}

#[test]
fn strategy_names_the_shipped_features() {
    let strategy = parse_strategy("s", &text("strategies/btc_momentum.toml")).expect("a shipped strategy");
    let spec = features();
    let names: Vec<&str> = spec.features.iter().map(|def| def.name.as_str()).collect();
    assert_eq!(strategy.features, names);
    assert_eq!(names.len(), 12);
    assert_eq!(strategy.bar_span, spec.bar_span);
    assert_eq!(strategy.parameters.check(), Ok(()));
    assert_eq!(
        strategy.parameters.entry_threshold,
        Decimal::from_units(50_000_000)
    );
}

#[test]
fn the_engine_takes_the_shipped_features() {
    assert!(FeatureEngine::new(&features()).is_ok());
}

#[test]
fn features_survive_their_canonical_text() {
    let spec = features();
    let canonical = feature_spec_canonical_json(&spec);
    assert!(canonical.starts_with(
        r#"{"bar_ns":900000000000,"features":[{"kind":"rsi","name":"rsi_14","params":{"period":14},"restart_window":128,"unit":"index_0_100","warmup_bars":256},"#
    ));
    assert!(canonical.ends_with(r#""warmup_bars":1}],"schema_version":1}"#));
    assert_eq!(parse_feature_spec_json("features.json", &canonical), Ok(spec));
}

#[test]
fn json_that_is_not_canonical_is_refused() {
    let canonical = feature_spec_canonical_json(&features());
    for (from, to) in [
        ("\"schema_version\":1", "\"schema_version\":2"),
        ("\"bar_ns\":", "\"bar_ns\": "),
        ("\"warmup_bars\":256", "\"warmup_bars\":255"),
        ("\"unit\":\"ratio\"", "\"unit\":\"cycle\""),
        (
            "\"params\":{\"period\":14}",
            "\"params\":{\"lag\":1,\"period\":14}",
        ),
        ("\"params\":{\"period\":14}", "\"params\":{}"),
        ("\"kind\":\"rsi\"", "\"kind\":\"rsj\""),
        ("\"name\":\"macd\"", "\"name\":\"rsi_14\""),
        ("\"restart_window\":128", "\"restart_window\":3"),
        ("\"bar_ns\":", "\"extra\":1,\"bar_ns\":"),
        ("\"schema_version\":1}", "\"schema_version\":1}\n"),
    ] {
        let changed = canonical.replacen(from, to, 1);
        assert_ne!(changed, canonical, "{from}");
        let errors = parse_feature_spec_json("features.json", &changed).expect_err(to);
        assert!(errors.to_string().starts_with("features.json:"), "{errors}");
    }
}

#[test]
fn service_files_stand_over_their_base() {
    for (name, stage) in [("paper.toml", Stage::Paper), ("dev.toml", Stage::Dev)] {
        let loaded = load_service(&folder().join(name)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.config.stage, stage);
        assert_eq!(
            loaded.config.instruments[loaded.config.slots[0].instrument].symbol,
            "BTCUSDT"
        );
        assert_eq!(loaded.config.engine.bar_span, Nanos::from_secs(900));
        assert_eq!(loaded.sources.len(), 2);
        assert!(loaded.sources[0].name.ends_with("base.toml"));
        assert_eq!(loaded.config.clock.compression, None);
    }
    let dev = load_service(&folder().join("dev.toml")).expect("checked above");
    assert_eq!(dev.config.metrics_port, 0);
}

#[test]
fn a_layer_alone_misses_what_its_base_has() {
    let errors = parse_service("paper.toml", &text("paper.toml")).expect_err("the base is not read");
    assert!(
        errors.to_string().contains("service.bundle_store: missing key"),
        "{errors}"
    );
}

#[test]
fn faults_of_both_layers_are_reported_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let base = text("base.toml").replace("recv_window_ms", "recv_windw_ms");
    fs::write(folder.path().join("base.toml"), base).expect("a write");
    let paper = text("paper.toml").replace("capital", "captal");
    fs::write(folder.path().join("paper.toml"), paper).expect("a write");
    let LoadError::Faults(errors) = load_service(&folder.path().join("paper.toml")).expect_err("faults")
    else {
        panic!("faults are expected");
    };
    let files: Vec<bool> = errors
        .faults()
        .iter()
        .map(|fault| fault.file.ends_with("base.toml"))
        .collect();
    assert_eq!(files, [true, false, false], "{errors}");
}

#[test]
fn files_that_extend_each_other_in_a_circle_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.toml");
    fs::write(&path, "extends = \"a.toml\"\n").expect("a write");
    assert!(matches!(
        load_service(&path),
        Err(LoadError::TooManyLayers { .. })
    ));
    assert!(matches!(
        load_service(&folder.path().join("none.toml")),
        Err(LoadError::Read { .. })
    ));
}

#[test]
fn what_is_no_plain_file_or_too_large_is_refused_unread() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe.toml");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo, of every Unix").success());
    let large = folder.path().join("large.toml");
    fs::write(&large, "#".repeat(FILE_BYTES_MAX + 1)).expect("a write");
    let allowed = "allowed: a plain file of at most 65536 bytes";
    for (file, problem) in [
        (Path::new("/dev/zero"), "is not a plain file"),
        (folder.path(), "is not a plain file"),
        (&pipe, "is not a plain file"),
        (&large, "is too large"),
    ] {
        let wanted = format!("{}: {problem}; {allowed}", file.display());
        assert_eq!(read_file(file).expect_err("no configuration").to_string(), wanted);
        let upper = folder.path().join("upper.toml");
        fs::write(&upper, format!("extends = \"{}\"\n", file.display())).expect("a write");
        assert_eq!(
            load_service(&upper).expect_err("no configuration").to_string(),
            wanted
        );
    }
    fs::write(&large, "#".repeat(FILE_BYTES_MAX)).expect("a write");
    assert_eq!(read_file(&large).expect("the largest").text.len(), FILE_BYTES_MAX);
}

/// A key, its shipped text and a looser one.
const LOOSER: [(&str, &str, &str); 14] = [
    (
        "max_position_usd = 100000.0",
        "max_position_usd = 100000.00000001",
        "position_limits.max_position_usd",
    ),
    (
        "concentration = 0.25",
        "concentration = 0.26",
        "position_limits.max_portfolio_concentration",
    ),
    (
        "max_leverage = 3.0",
        "max_leverage = 3.1",
        "position_limits.max_leverage",
    ),
    (
        "var_limit_1d_95 = 5000.0",
        "var_limit_1d_95 = 5001",
        "risk_metrics.var_limit_1d_95",
    ),
    (
        "max_drawdown_pct = 0.15",
        "max_drawdown_pct = 0.16",
        "risk_metrics.max_drawdown_pct",
    ),
    (
        "max_data_age_ms = 5000",
        "max_data_age_ms = 5001",
        "risk_metrics.max_data_age_ms",
    ),
    (
        "max_order_size_usd = 10000.0",
        "max_order_size_usd = 10001",
        "order_limits.max_order_size_usd",
    ),
    (
        "rate_per_min = 60 ",
        "rate_per_min = 61 ",
        "order_limits.max_order_rate_per_min",
    ),
    (
        "collar_bps = 200",
        "collar_bps = 201",
        "order_limits.price_collar_bps",
    ),
    (
        "duplicate_window_ms = 1000",
        "duplicate_window_ms = 999",
        "order_limits.duplicate_window_ms",
    ),
    (
        "execution_limit = 200",
        "execution_limit = 201",
        "order_limits.repeated_execution_limit",
    ),
    (
        "window_ms = 60000",
        "window_ms = 59999",
        "order_limits.repeated_execution_window_ms",
    ),
    (
        "margin_buffer = 0.20",
        "margin_buffer = 0.19",
        "margin.margin_buffer",
    ),
    (
        "call_threshold = 0.05",
        "call_threshold = 0.04",
        "margin.margin_call_threshold",
    ),
];

#[test]
fn a_looser_limit_is_named_and_a_tighter_one_is_not() {
    let policy = limits();
    assert_eq!(not_looser_than(&policy, &policy), []);
    for (from, to, key) in LOOSER {
        let changed = text("risk_limits.toml").replacen(from, to, 1);
        let bundle = parse_risk_limits("bundle", &changed).unwrap_or_else(|errors| panic!("{errors}"));
        let looser = not_looser_than(&bundle, &policy);
        assert_eq!(looser.iter().map(|limit| limit.key).collect::<Vec<_>>(), [key]);
        assert_eq!(
            not_looser_than(&policy, &bundle),
            [],
            "{key} the other way is tighter"
        );
    }
}

#[test]
fn amounts_of_another_currency_count_as_looser() {
    let other = text("risk_limits.toml").replace("\"USDT\"", "\"EUR\"");
    let bundle = parse_risk_limits("bundle", &other).expect("valid limits");
    assert_eq!(not_looser_than(&bundle, &limits()).len(), 3);
}

#[test]
fn a_list_beyond_its_bound_and_a_file_beyond_its_size_are_one_fault() {
    let one = "\n[[feature]]\nname = \"f\"\nkind = \"hour_sin\"\nunit = \"cycle\"\n";
    let many: String = (0..65)
        .map(|at| one.replace("\"f\"", &format!("\"f{at}\"")))
        .collect();
    let errors =
        parse_feature_spec("many.toml", &format!("bar_seconds = 900\n{many}")).expect_err("65 features");
    assert_eq!(errors.faults().len(), 1, "{errors}");
    let errors = parse_feature_spec("large.toml", &"#".repeat(FILE_BYTES_MAX + 1)).expect_err("too large");
    assert_eq!(errors.faults().len(), 1, "{errors}");
}
