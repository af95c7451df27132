//! The golden verdicts of `tests/contract/bundle`: what Python is told through `py_rt_core`, Rust says itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::{
    Admission, ApprovalStage, BundleError, Expectation, ModelFacts, TrustedKeys, VerifiedBundle, verify,
    verify_recorded,
};
use domain::{BundleDigest, SlotId, Timestamp};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/contract/bundle")
}

fn json(file: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(file)).unwrap()).unwrap()
}

fn keys() -> TrustedKeys {
    let text = fs::read_to_string(folder().join("trusted_keys.toml")).unwrap();
    TrustedKeys::parse("trusted_keys.toml", &text).unwrap()
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap();
    } else if path.exists() {
        fs::remove_file(path).unwrap();
    }
}

/// The same as `tests/contract/bundle/damage.py`.
fn damage(store: &Path, step: &Value) {
    let text = |key: &str| step[key].as_str().unwrap();
    let path = store.join(text("path"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match text("do") {
        "write" => {
            remove(&path);
            fs::write(&path, STANDARD.decode(text("base64")).unwrap()).unwrap();
        }
        "flip" => flip(&path, usize::try_from(step["at"].as_u64().unwrap()).unwrap()),
        "remove" => remove(&path),
        "copy" => copy(&store.join(text("from")), &path),
        "symlink" => symlink(text("to"), &path).unwrap(),
        "hardlink" => fs::hard_link(store.join(text("to")), &path).unwrap(),
        other => panic!("no damage is called {other:?}"),
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    remove(path);
    fs::write(path, bytes).unwrap();
}

struct Case<'c>(&'c Value);

impl Case<'_> {
    fn digest(&self) -> BundleDigest {
        BundleDigest::from_hex(self.0["digest"].as_str().unwrap()).unwrap()
    }

    fn judge(&self, store: &Path, keys: &TrustedKeys) -> Result<VerifiedBundle, BundleError> {
        let before: Option<Vec<_>> = self.0["previously_active"].as_array().map(|digests| {
            let digest = |text: &Value| BundleDigest::from_hex(text.as_str().unwrap()).unwrap();
            digests.iter().map(digest).collect()
        });
        let expectation = Expectation {
            slot: SlotId(u16::try_from(self.0["slot"].as_u64().unwrap()).unwrap()),
            stage: ApprovalStage::from_name(self.0["stage"].as_str().unwrap()).unwrap(),
            now: Timestamp::from_nanos(self.0["now_ns"].as_i64().unwrap()),
            admission: match &before {
                Some(previously_active) => Admission::Rollback { previously_active },
                None => Admission::Deploy {
                    serial_floor: self.0["serial_floor"].as_u64().unwrap(),
                },
            },
        };
        let verified = verify(store, self.digest(), keys, &expectation)?;
        let facts = &self.0["model"];
        let names = facts["feature_names"].as_array().unwrap();
        let names: Vec<_> = names
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        verified.content().check_model(&ModelFacts {
            name: facts["name"].as_str().unwrap(),
            feature_names: &names,
            feature_spec_sha256: facts["feature_spec_sha256"].as_str().unwrap(),
        })?;
        let policy = fs::read_to_string(folder().join("policy.toml")).unwrap();
        let policy = config::parse_risk_limits("the risk policy", &policy).unwrap();
        verified.content().check_limits(&policy)?;
        Ok(verified)
    }
}

/// A copy of the golden store.
fn store() -> tempfile::TempDir {
    let copied = tempfile::tempdir().unwrap();
    copy(&folder().join("store"), copied.path());
    copied
}

#[test]
fn every_verdict_is_the_golden_one() {
    let (cases, verdicts, keys) = (json("cases.json"), json("verdicts.json"), keys());
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= 70);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let store = store();
        for step in case["damage"].as_array().unwrap() {
            damage(store.path(), step);
        }
        let found = match Case(case).judge(store.path(), &keys) {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("{}: {error}", error.code()),
        };
        // What only the model itself can show, this crate does not see.
        let wanted = if case["only_with_model"].as_bool().unwrap() {
            "ok"
        } else {
            verdicts[name].as_str().unwrap()
        };
        assert_eq!(found, wanted, "{name}");
    }
}

#[test]
fn no_changed_byte_anywhere_is_accepted() {
    let (cases, keys) = (json("cases.json"), keys());
    let good = Case(&cases[0]);
    let store = store();
    let files = files_below(store.path());
    assert!(files.len() >= 13, "{files:?}");
    good.judge(store.path(), &keys).unwrap();
    for path in &files {
        // Kept for replays only: the newest approval is the one that counts.
        if path.parent().unwrap().ends_with("approvals") {
            continue;
        }
        let original = fs::read(path).unwrap();
        let step = (original.len() / 400).max(1);
        for at in (0..original.len()).step_by(step) {
            let bit = 1 << (at % 8);
            let mut changed = original.clone();
            changed[at] ^= bit;
            fs::write(path, &changed).unwrap();
            let verdict = good.judge(store.path(), &keys);
            assert!(verdict.is_err(), "{}: byte {at}, bit {bit}", path.display());
        }
        fs::write(path, &original).unwrap();
    }
    good.judge(store.path(), &keys).unwrap();
}

/// Every file, made writable: a bundle's files are not.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            let content = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            fs::write(&path, content).unwrap();
            found.push(path);
        }
    }
    found
}

#[test]
fn no_cut_file_is_accepted() {
    let (cases, keys) = (json("cases.json"), keys());
    let good = Case(&cases[0]);
    let store = store();
    for path in files_below(store.path()) {
        if path.parent().unwrap().ends_with("approvals") {
            continue;
        }
        let original = fs::read(&path).unwrap();
        for length in [0, 1, original.len() / 2, original.len() - 1] {
            fs::write(&path, &original[..length]).unwrap();
            assert!(good.judge(store.path(), &keys).is_err(), "{}", path.display());
        }
        fs::write(&path, &original).unwrap();
    }
}

#[test]
fn what_a_record_shows_is_read_again_whatever_the_time() {
    let (cases, keys) = (json("cases.json"), keys());
    let good = Case(&cases[0]);
    let store = store();
    let again = |slot, serial| verify_recorded(store.path(), good.digest(), &keys, SlotId(slot), serial);
    let approved = *good.judge(store.path(), &keys).unwrap().approval();
    assert_eq!(*again(1, 5).unwrap().approval(), approved);
    for (slot, serial) in [(1, 4), (2, 5)] {
        assert_eq!(again(slot, serial).unwrap_err().code(), "unsigned");
    }
    let kept = store
        .path()
        .join(format!("signatures/{}/approvals", good.digest()));
    fs::rename(kept.join("1-5.dsse.json"), kept.join("1-6.dsse.json")).unwrap();
    assert_eq!(
        again(1, 6).unwrap_err().code(),
        "unsigned",
        "another serial under this name"
    );
}
