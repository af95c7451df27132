//! Good bundles are read; each way of being bad is refused for its own reason.
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made fails its test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::{
    Admission, ApprovalStage, Expectation, TrustedKeys, VerifiedBundle, read_content, verify, verify_built,
};
use domain::{BundleDigest, SlotId, Timestamp};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePublicKey, LineEnding};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const BUILDER: u8 = 1;
const APPROVER: u8 = 2;
const STRANGER: u8 = 3;
const NOW_NS: i64 = 1_000;
const BUILDER_TYPE: &str = "application/vnd.py_rt.builder+json";
const APPROVAL_TYPE: &str = "application/vnd.py_rt.approval+json";
const PATHS: [&str; 10] = [
    "features.json",
    "golden.bin",
    "model.onnx",
    "provenance.json",
    "reports/backtest.json",
    "reports/gates.json",
    "reports/model_card.md",
    "reports/parity.json",
    "risk_limits.toml",
    "strategy.toml",
];

fn sha256_hex(bytes: &[u8]) -> String {
    BundleDigest(Sha256::digest(bytes).into()).to_string()
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

fn key_id(number: u8) -> String {
    sha256_hex(
        key(number)
            .verifying_key()
            .to_public_key_der()
            .unwrap()
            .as_bytes(),
    )
}

fn listed(number: u8, role: &str, highest_stage: &str) -> String {
    let pem = key(number)
        .verifying_key()
        .to_public_key_pem(LineEnding::LF)
        .unwrap();
    let id = key_id(number);
    format!(
        "[[key]]\nid = \"{id}\"\nrole = \"{role}\"\nhighest_stage = \"{highest_stage}\"\npublic_key_pem = '''\n{pem}'''\n"
    )
}

fn keys_of(listed: &[String]) -> TrustedKeys {
    TrustedKeys::parse("trusted_keys.toml", &listed.concat()).unwrap()
}

fn trusted() -> TrustedKeys {
    keys_of(&[
        listed(BUILDER, "builder", "live_10"),
        listed(APPROVER, "approver", "paper"),
    ])
}

/// `serde_json` keeps the keys of a map sorted, so its text is canonical.
fn envelope(payload_type: &str, payload: &str, signers: &[u8]) -> Value {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    let signature = |number: &u8| {
        let signature: Signature = key(*number).sign(format!("{head}{payload}").as_bytes());
        json!({"keyid": key_id(*number), "sig": STANDARD.encode(signature.to_der().as_bytes())})
    };
    let signatures: Vec<Value> = signers.iter().map(signature).collect();
    json!({"payload": STANDARD.encode(payload), "payloadType": payload_type, "signatures": signatures})
}

fn content(path: &str) -> Vec<u8> {
    let features = || {
        let text = include_str!("../../../config/features/btc_15m.toml");
        config::feature_spec_canonical_json(&config::parse_feature_spec("btc_15m.toml", text).unwrap())
    };
    let text = match path {
        "features.json" => features(),
        "risk_limits.toml" => include_str!("../../../config/risk_limits.toml").to_owned(),
        "strategy.toml" => include_str!("../../../config/strategies/btc_momentum.toml")
            .replace("[ml_model]\n", "[ml_model]\ndaily_volatility = 0.03\n"),
        "provenance.json" => json!({
            "dataset_id": "a".repeat(64), "feature_spec_sha256": sha256_hex(features().as_bytes()),
            "git_commit": null, "lock_sha256": null, "raw_files": ["b".repeat(64)], "schema_version": 1,
            "seeds": {"study": 7}, "tables": [{"name": "clean_bars", "version": 3}],
        })
        .to_string(),
        other => format!("content of {other}\n"),
    };
    text.into_bytes()
}

struct Store {
    home: TempDir,
    digest: BundleDigest,
}

impl Store {
    /// A bundle that both have signed.
    fn good() -> Self {
        Self::of(|_| {})
    }

    /// The same with another manifest, signed as it is.
    fn of(change: impl FnOnce(&mut Value)) -> Self {
        let files: Vec<Value> = PATHS
            .iter()
            .map(|path| {
                let bytes = content(path);
                json!({"path": path, "sha256": sha256_hex(&bytes), "size": bytes.len()})
            })
            .collect();
        let mut manifest = json!({
            "files": files, "instrument": "BTCUSDT", "min_engine_version": "0.1.0", "name": "sample",
            "schema_version": 1, "version": "1.2.0",
        });
        change(&mut manifest);
        Self::with_manifest(&manifest.to_string())
    }

    fn with_manifest(manifest: &str) -> Self {
        let home = TempDir::new().unwrap();
        let digest = BundleDigest::from_hex(&sha256_hex(manifest.as_bytes())).unwrap();
        let store = Self { home, digest };
        fs::create_dir_all(store.path("reports")).unwrap();
        fs::create_dir_all(store.signatures()).unwrap();
        fs::write(store.path("manifest.json"), manifest).unwrap();
        for path in PATHS {
            fs::write(store.path(path), content(path)).unwrap();
        }
        store.sign_builder(
            &json!({"digest": digest.to_string(), "role": "builder"}),
            &[BUILDER],
        );
        store.approve(|_| {});
        store
    }

    fn path(&self, file: &str) -> PathBuf {
        self.home
            .path()
            .join(format!("sha256-{}", self.digest))
            .join(file)
    }

    fn signatures(&self) -> PathBuf {
        self.home.path().join("signatures").join(self.digest.to_string())
    }

    fn sign_builder(&self, payload: &Value, signers: &[u8]) {
        let envelope = envelope(BUILDER_TYPE, &payload.to_string(), signers);
        fs::write(self.signatures().join("builder.dsse.json"), envelope.to_string()).unwrap();
    }

    fn approval(&self) -> Value {
        json!({
            "digest": self.digest.to_string(), "slot": 1, "stage": "paper", "size_scale": "0.5",
            "not_before_ns": NOW_NS, "expires_ns": NOW_NS + 100, "serial": 7,
            "gates_sha256": sha256_hex(&content("reports/gates.json")),
        })
    }

    fn approve(&self, change: impl FnOnce(&mut Value)) {
        let mut payload = self.approval();
        change(&mut payload);
        self.approve_as(&payload.to_string(), &[APPROVER]);
    }

    fn approve_as(&self, payload: &str, signers: &[u8]) {
        self.write_approval(&envelope(APPROVAL_TYPE, payload, signers).to_string());
    }

    fn write_approval(&self, text: &str) {
        fs::write(self.signatures().join("approver.dsse.json"), text).unwrap();
    }

    fn verify_as(
        &self,
        trusted: &TrustedKeys,
        expected: &Expectation<'_>,
    ) -> Result<VerifiedBundle, &'static str> {
        verify(self.home.path(), self.digest, trusted, expected).map_err(|error| {
            assert!(!error.to_string().is_empty());
            error.code()
        })
    }

    /// Why it is refused; a panic when it is not.
    fn code(&self) -> &'static str {
        self.verify_as(&trusted(), &expected())
            .expect_err("must be refused")
    }
}

fn expected() -> Expectation<'static> {
    Expectation {
        slot: SlotId(1),
        stage: ApprovalStage::Paper,
        now: Timestamp::from_nanos(NOW_NS),
        admission: Admission::Deploy { serial_floor: 6 },
    }
}

#[test]
fn a_good_bundle_is_read_whole() {
    let store = Store::good();
    let bundle = store.verify_as(&trusted(), &expected()).unwrap();
    assert_eq!(bundle.content().model_bytes(), content("model.onnx"));
    assert_eq!(bundle.content().golden_bytes(), content("golden.bin"));
    assert_eq!(bundle.content().features().features.len(), 12);
    assert_eq!(
        (bundle.approval().serial, bundle.approval().expires.nanos()),
        (7, NOW_NS + 100)
    );
    assert_eq!(bundle.approval().size_scale.to_string(), "0.5");
    assert_eq!(bundle.builder().to_string(), key_id(BUILDER));
    assert_eq!(bundle.approver().to_string(), key_id(APPROVER));
}

#[test]
fn every_file_is_held_to_the_manifest() {
    for path in PATHS {
        let store = Store::good();
        let good = content(path);
        let mut changed = good.clone();
        changed[0] ^= 1;
        fs::write(store.path(path), changed).unwrap();
        assert_eq!(store.code(), "changed_file", "{path}");
        fs::write(store.path(path), [good.as_slice(), b"x"].concat()).unwrap();
        assert_eq!(store.code(), "wrong_size", "{path}");
        fs::write(store.path(path), &good[1..]).unwrap();
        assert_eq!(store.code(), "wrong_size", "{path}");
        fs::remove_file(store.path(path)).unwrap();
        assert_eq!(store.code(), "missing_file", "{path}");
    }
}

#[test]
fn the_folder_is_closed() {
    for extra in ["extra.bin", "reports/extra.json", ".hidden"] {
        let store = Store::good();
        fs::write(store.path(extra), "x").unwrap();
        assert_eq!(store.code(), "extra_file", "{extra}");
    }
    for extra in ["empty", "reports/empty", "reports/reports"] {
        let store = Store::good();
        fs::create_dir(store.path(extra)).unwrap();
        assert_eq!(store.code(), "extra_file", "{extra}");
    }
    let store = Store::good();
    (0..100).for_each(|number| fs::write(store.path(&format!("f{number}")), "").unwrap());
    assert_eq!(store.code(), "extra_file");
}

#[test]
fn links_are_refused() {
    for path in ["model.onnx", "manifest.json", "reports/gates.json", "reports", ""] {
        let store = Store::good();
        let outside = store.home.path().join("outside");
        let inside: PathBuf = store.path(path).components().collect();
        fs::rename(&inside, &outside).unwrap();
        symlink(outside, inside).unwrap();
        assert_eq!(store.code(), "symlink", "{path}");
    }
    for path in ["model.onnx", "manifest.json", "reports/gates.json"] {
        let store = Store::good();
        fs::hard_link(store.path(path), store.home.path().join("second")).unwrap();
        assert_eq!(store.code(), "hardlink", "{path}");
    }
    let store = Store::good();
    fs::remove_file(store.path("model.onnx")).unwrap();
    fs::create_dir(store.path("model.onnx")).unwrap();
    assert_eq!(store.code(), "not_a_file");
    for name in ["builder.dsse.json", "approver.dsse.json"] {
        let store = Store::good();
        let (signed, second) = (store.signatures().join(name), store.home.path().join("second"));
        fs::hard_link(&signed, &second).unwrap();
        assert_eq!(store.code(), "hardlink", "{name}");
        fs::remove_file(&signed).unwrap();
        symlink(&second, &signed).unwrap();
        assert_eq!(store.code(), "symlink", "{name}");
    }
    let store = Store::good();
    fs::rename(store.signatures(), store.home.path().join("outside")).unwrap();
    symlink(store.home.path().join("outside"), store.signatures()).unwrap();
    assert_eq!(store.code(), "symlink");
}

#[test]
fn the_name_is_the_digest() {
    let store = Store::good();
    let manifest = fs::read_to_string(store.path("manifest.json")).unwrap();
    fs::write(store.path("manifest.json"), manifest.replace("sample", "simple")).unwrap();
    assert_eq!(store.code(), "manifest_changed");
    fs::write(store.path("manifest.json"), vec![b' '; 70_000]).unwrap();
    assert_eq!(store.code(), "too_large");
    fs::remove_dir_all(store.path("")).unwrap();
    assert_eq!(store.code(), "missing");
}

#[test]
fn a_manifest_is_closed_bounded_and_stays_inside() {
    let set = |key: &'static str, value: Value| Store::of(|manifest| manifest[key] = value).code();
    assert_eq!(set("schema_version", json!(2)), "not_allowed");
    assert_eq!(set("schema_version", json!(1.0)), "malformed");
    assert_eq!(set("zone", json!(1)), "malformed");
    assert_eq!(set("name", json!("")), "not_allowed");
    assert_eq!(set("name", json!("n".repeat(65))), "not_allowed");
    assert_eq!(set("instrument", json!("BTC USDT")), "not_allowed");
    for symbol in ["BTCUSDT", "BTC-USD", "BTC/USD"] {
        let store = Store::of(|manifest| manifest["instrument"] = json!(symbol));
        assert!(store.verify_as(&trusted(), &expected()).is_ok(), "{symbol}");
    }
    assert_eq!(set("version", json!("1.2")), "not_allowed");
    assert_eq!(set("version", json!("1.2.1")), "not_allowed");
    assert_eq!(set("min_engine_version", json!("99.0.0")), "engine_too_old");
    let first =
        |key: &'static str, value: Value| Store::of(|manifest| manifest["files"][0][key] = value).code();
    for path in [
        "/etc/passwd",
        "../model.onnx",
        "reports/../x",
        "reports//x",
        "",
        ".",
        "a\\b",
        "a\0b",
    ] {
        assert_eq!(first("path", json!(path)), "path_traversal", "{path:?}");
    }
    assert_eq!(first("path", json!("a.bin")), "file_list");
    assert_eq!(first("path", json!("golden.bin")), "file_list");
    assert_eq!(first("sha256", json!("A".repeat(64))), "not_allowed");
    assert_eq!(first("size", json!((32 << 20) + 1)), "too_large");
    assert_eq!(first("size", json!(u64::MAX)), "too_large");
    assert_eq!(first("zone", json!(1)), "malformed");
    let list = |change: fn(&mut Vec<Value>)| {
        Store::of(|manifest| change(manifest["files"].as_array_mut().unwrap())).code()
    };
    assert_eq!(list(|files| files.swap(0, 1)), "file_list");
    assert_eq!(list(|files| drop(files.pop())), "file_list");
    assert_eq!(list(|files| files.push(files[9].clone())), "file_list");
    assert_eq!(
        list(|files| files.iter_mut().for_each(|file| file["size"] = json!(20 << 20))),
        "too_large"
    );
}

#[test]
fn a_manifest_has_one_spelling() {
    let good = Store::good();
    let text = fs::read_to_string(good.path("manifest.json")).unwrap();
    let once = |from: &str, to: &str| Store::with_manifest(&text.replacen(from, to, 1)).code();
    assert_eq!(once("{\"files\"", "{ \"files\""), "not_canonical");
    assert_eq!(once("sample", "s\\u0061mple"), "not_canonical");
    assert_eq!(once("\"name\"", "\"name\":\"sample\",\"name\""), "malformed");
    assert_eq!(once("\"size\"", "\"size\":1,\"size\""), "malformed");
    assert_eq!(
        Store::with_manifest(&(text.clone() + "\n")).code(),
        "not_canonical"
    );
}

#[test]
fn both_must_sign() {
    for name in ["builder.dsse.json", "approver.dsse.json"] {
        let store = Store::good();
        fs::remove_file(store.signatures().join(name)).unwrap();
        assert_eq!(store.code(), "unsigned", "{name}");
        assert!(
            read_content(store.home.path(), store.digest).is_ok(),
            "the folder itself is good"
        );
        let built = verify_built(store.home.path(), store.digest, &trusted());
        assert_eq!(built.is_ok(), name == "approver.dsse.json");
    }
    let store = Store::good();
    fs::remove_dir_all(store.home.path().join("signatures")).unwrap();
    assert_eq!(store.code(), "unsigned");
}

#[test]
fn roles_are_apart() {
    let store = Store::good();
    let payload = store.approval().to_string();
    for (signers, code) in [
        (&[BUILDER][..], "one_key"),
        (&[STRANGER], "unknown_key"),
        (&[], "envelope"),
        (&[APPROVER, APPROVER], "envelope"),
        (&[APPROVER, BUILDER], "envelope"),
    ] {
        store.approve_as(&payload, signers);
        assert_eq!(store.code(), code);
    }
    store.approve_as(&payload, &[STRANGER]);
    for role in ["builder", "operator", "viewer", "deployer", "killer"] {
        let keys = keys_of(&[
            listed(BUILDER, "builder", "paper"),
            listed(STRANGER, role, "live_100"),
        ]);
        assert_eq!(
            store.verify_as(&keys, &expected()).unwrap_err(),
            "wrong_role",
            "{role}"
        );
    }
    store.approve(|_| {});
    let swapped = keys_of(&[
        listed(BUILDER, "approver", "paper"),
        listed(APPROVER, "builder", "paper"),
    ]);
    assert_eq!(store.verify_as(&swapped, &expected()).unwrap_err(), "wrong_role");
    let statement = |digest: &str, role: &str| json!({"digest": digest, "role": role});
    let own = store.digest.to_string();
    store.sign_builder(&statement(&own, "builder"), &[APPROVER]);
    assert_eq!(store.code(), "one_key");
    store.sign_builder(&statement(&own, "approver"), &[BUILDER]);
    assert_eq!(store.code(), "not_allowed");
    store.sign_builder(&statement(&"0".repeat(64), "builder"), &[BUILDER]);
    assert_eq!(store.code(), "other_digest");
}

#[test]
fn a_signature_covers_type_and_payload() {
    let store = Store::good();
    let payload = store.approval().to_string();
    let good = envelope(APPROVAL_TYPE, &payload, &[APPROVER]);
    let refused = |envelope: &Value| {
        store.write_approval(&envelope.to_string());
        store.code()
    };
    let mut other = good.clone();
    other["payload"] = json!(STANDARD.encode(payload.replace("\"serial\":7", "\"serial\":9")));
    assert_eq!(refused(&other), "bad_signature");
    let mut other = envelope(BUILDER_TYPE, &payload, &[APPROVER]);
    assert_eq!(refused(&other), "envelope");
    other["payloadType"] = json!(APPROVAL_TYPE);
    assert_eq!(refused(&other), "bad_signature");
    let mut other = good.clone();
    other["signatures"][0]["sig"] = json!(STANDARD.encode(b"no signature"));
    assert_eq!(refused(&other), "envelope");
    let mut other = good.clone();
    other["signatures"][0]["keyid"] = json!(key_id(APPROVER).to_uppercase());
    assert_eq!(refused(&other), "envelope");
    let mut other = good.clone();
    other["zone"] = json!(1);
    assert_eq!(refused(&other), "malformed");
    store.write_approval(&(good.to_string() + "\n"));
    assert_eq!(store.code(), "not_canonical");
    store.write_approval(&" ".repeat(20_000));
    assert_eq!(store.code(), "too_large");
}

#[test]
fn an_approval_is_closed_and_for_here_and_now() {
    let store = Store::good();
    let changes = [
        ("digest", json!("0".repeat(64)), "other_digest"),
        ("digest", json!("0"), "not_allowed"),
        ("slot", json!(2), "other_slot"),
        ("slot", json!(70_000), "malformed"),
        ("stage", json!("live"), "not_allowed"),
        ("not_before_ns", json!(NOW_NS + 1), "not_yet_valid"),
        ("not_before_ns", json!(NOW_NS + 100), "not_allowed"),
        ("serial", json!(6), "serial"),
        ("serial", json!(0), "not_allowed"),
        ("serial", json!(7.5), "malformed"),
        ("gates_sha256", json!("0".repeat(64)), "other_gates"),
        ("size_scale", json!("0"), "not_allowed"),
        ("size_scale", json!("-0.5"), "not_allowed"),
        ("size_scale", json!("0.50"), "not_allowed"),
        ("size_scale", json!("1.5"), "not_allowed"),
        ("size_scale", json!(0.5), "malformed"),
        ("comment", json!("x"), "malformed"),
    ];
    for (name, value, code) in changes {
        store.approve(|payload| payload[name] = value.clone());
        assert_eq!(store.code(), code, "{name} = {value}");
    }
    store.approve(|payload| drop(payload.as_object_mut().unwrap().remove("serial")));
    assert_eq!(store.code(), "malformed");
    let text = store.approval().to_string();
    store.approve_as(
        &text.replace("\"serial\":7", "\"serial\":7,\"serial\":7"),
        &[APPROVER],
    );
    assert_eq!(store.code(), "malformed");
    store.approve_as(&text.replace("\"serial\":7", "\"serial\": 7"), &[APPROVER]);
    assert_eq!(store.code(), "not_canonical");
}

#[test]
fn validity_holds_at_both_ends() {
    let store = Store::good();
    for (after, verdict) in [
        (-1, Some("not_yet_valid")),
        (0, None),
        (99, None),
        (100, Some("expired")),
    ] {
        let expected = Expectation {
            now: Timestamp::from_nanos(NOW_NS + after),
            ..expected()
        };
        assert_eq!(store.verify_as(&trusted(), &expected).err(), verdict, "{after}");
    }
}

#[test]
fn a_stage_bounds_size_and_keys() {
    let store = Store::good();
    let expected = Expectation {
        stage: ApprovalStage::Live10,
        ..expected()
    };
    assert_eq!(store.verify_as(&trusted(), &expected).unwrap_err(), "other_stage");
    let verdict = |scale: &str, builder: &str, approver: &str| {
        store.approve(|payload| {
            payload["stage"] = json!("live_10");
            payload["size_scale"] = json!(scale);
        });
        let keys = keys_of(&[
            listed(BUILDER, "builder", builder),
            listed(APPROVER, "approver", approver),
        ]);
        store.verify_as(&keys, &expected).err()
    };
    assert_eq!(verdict("0.1", "live_10", "live_10"), None);
    assert_eq!(verdict("0.10000001", "live_10", "live_10"), Some("not_allowed"));
    assert_eq!(verdict("0.1", "paper", "live_10"), Some("stage_above_key"));
    assert_eq!(verdict("0.1", "live_10", "paper"), Some("stage_above_key"));
}

#[test]
fn a_rollback_goes_only_to_what_ran_and_has_not_expired() {
    let store = Store::good();
    let back = |active: &[BundleDigest], after| {
        let admission = Admission::Rollback {
            previously_active: active,
        };
        let now = Timestamp::from_nanos(NOW_NS + after);
        store
            .verify_as(
                &trusted(),
                &Expectation {
                    admission,
                    now,
                    ..expected()
                },
            )
            .err()
    };
    assert_eq!(back(&[store.digest], 0), None);
    assert_eq!(back(&[BundleDigest([9; 32])], 0), Some("never_active"));
    assert_eq!(back(&[store.digest], 100), Some("expired"));
}

#[test]
fn trusted_keys_are_a_closed_file() {
    let refused = |text: &str| {
        let error = TrustedKeys::parse("trusted_keys.toml", text).expect_err("must be refused");
        assert_eq!(error.code(), "trusted_keys");
    };
    let good = listed(BUILDER, "builder", "paper");
    refused("");
    refused(&(good.clone() + &listed(BUILDER, "approver", "paper")));
    refused(&(good.clone() + &good));
    refused(&good.replace(&key_id(BUILDER), &key_id(APPROVER)));
    for (from, to) in [
        ("role = \"builder\"", "role = \"owner\""),
        ("role = \"builder\"\n", ""),
        ("role = \"builder\"", "role = \"builder\"\nrole = \"builder\""),
        ("role = \"builder\"", "role = \"builder\"\ncomment = \"x\""),
        ("\"paper\"", "\"moon\""),
        ("BEGIN PUBLIC", "BEGIN PRIVATE"),
        ("[[key]]", "zone = 1\n[[key]]"),
    ] {
        assert!(good.contains(from));
        refused(&good.replacen(from, to, 1));
    }
}
