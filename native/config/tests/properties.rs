//! What holds for every text.

use config::{
    FileKind, Kind, check, feature_spec_canonical_json, parse_feature_spec, parse_feature_spec_json,
    parse_risk_limits, schema,
};
use proptest::prelude::*;

const LIMITS: &str = include_str!("../../../config/risk_limits.toml");
const FEATURES: &str = include_str!("../../../config/features/btc_15m.toml");

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        for kind in FileKind::ALL {
            let _ = check(kind, "any.toml", &text);
        }
        let _ = parse_feature_spec_json("any.json", &text);
    }

    #[test]
    fn no_cut_and_no_changed_byte_panics(at in 0..LIMITS.len(), byte in 0_u8..128) {
        let _ = parse_risk_limits("cut.toml", &LIMITS[..at]);
        let mut bytes = LIMITS.as_bytes().to_vec();
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).expect("ASCII");
        if let Err(errors) = parse_risk_limits("changed.toml", &changed) {
            prop_assert_eq!(errors.to_string().lines().count(), errors.faults().len());
            prop_assert!(!errors.faults().is_empty());
        }
    }

    #[test]
    fn a_decimal_is_read_exactly(units in 1_i64..=1_000_000_000_000_000_000) {
        let written = format!("{}.{:08}", units / 100_000_000, units % 100_000_000);
        let text = LIMITS.replace("max_position_usd = 100000.0", &format!("max_position_usd = {written}"));
        let limits = parse_risk_limits("exact.toml", &text);
        prop_assert_eq!(limits.map(|limits| limits.max_position_usd.decimal_units()), Ok(Some(units)));
    }

    #[test]
    fn every_unknown_key_is_named_at_its_place(name in "[a-z]{3,12}x") {
        let text = format!("{LIMITS}\n{name} = 1\n");
        let errors = parse_risk_limits("unknown.toml", &text).expect_err("an unknown key");
        let fault = &errors.faults()[0];
        prop_assert_eq!(&fault.key, &format!("margin.{name}"));
        prop_assert_eq!((fault.line, fault.column), (LIMITS.lines().count() + 2, 1));
    }

    #[test]
    fn every_missing_key_is_named(at in any::<prop::sample::Index>()) {
        let required: Vec<_> = schema(FileKind::RiskLimits)
            .iter()
            .filter(|key| key.presence == config::Presence::Required)
            .collect();
        let key = at.get(&required);
        let name = key.path.rsplit('.').next().expect("a last part");
        let text: String = LIMITS.lines().filter(|line| !line.starts_with(name)).fold(String::new(), |all, line| all + line + "\n");
        let errors = parse_risk_limits("missing.toml", &text).expect_err("a missing key");
        prop_assert_eq!(errors.faults().len(), 1);
        prop_assert_eq!(errors.faults()[0].key.as_str(), key.path);
    }

    #[test]
    fn integers_hold_at_their_bounds(at in any::<prop::sample::Index>()) {
        let counts: Vec<_> = schema(FileKind::RiskLimits)
            .iter()
            .filter_map(|key| match key.kind {
                Kind::Integer { min, max } => Some((key.path, min, max)),
                _ => None,
            })
            .collect();
        let (path, min, max) = *at.get(&counts);
        let name = path.rsplit('.').next().expect("a last part");
        for (value, holds) in [(min, true), (max, true), (min - 1, false), (max + 1, false)] {
            let text: String = LIMITS
                .lines()
                .map(|line| if line.starts_with(name) { format!("{name} = {value}\n") } else { format!("{line}\n") })
                .collect();
            prop_assert_eq!(parse_risk_limits("bounds.toml", &text).is_ok(), holds, "{} = {}", name, value);
        }
    }

    #[test]
    fn canonical_features_round_trip(period in 2_u16..=100, window in 101_u16..=1_024, order in any::<bool>()) {
        let mut text = FEATURES
            .replace("period = 14", &format!("period = {period}"))
            .replace("restart_window = 128", &format!("restart_window = {window}"));
        if order {
            text.push_str("\n[[feature]]\nname = \"last\"\nkind = \"return\"\nparams = { lag = 9 }\nunit = \"fraction\"\n");
        }
        let spec = parse_feature_spec("features.toml", &text).expect("a valid file");
        let canonical = feature_spec_canonical_json(&spec);
        prop_assert_eq!(parse_feature_spec_json("features.json", &canonical), Ok(spec));
    }
}
