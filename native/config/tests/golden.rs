//! The golden files of `tests/contract/config`: both languages are held to the same verdicts.

use std::fs;
use std::path::{Path, PathBuf};

use config::{FaultKind, FileKind, check};

fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/contract/config")
        .join(folder);
    let mut found: Vec<PathBuf> = fs::read_dir(&root)
        .expect("the folder of golden files")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    found.sort();
    assert!(found.len() >= 4, "{} has {} files", root.display(), found.len());
    found
}

fn read(path: &Path) -> (FileKind, String, String) {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a UTF-8 name");
    let word = name.split('.').next().expect("a first part");
    let kind = FileKind::from_name(word).expect("a file kind before the first dot");
    (
        kind,
        name.to_owned(),
        fs::read_to_string(path).expect("a readable file"),
    )
}

#[test]
fn good_files_are_accepted() {
    for path in files("good") {
        let (kind, name, text) = read(&path);
        if let Err(errors) = check(kind, &name, &text) {
            panic!("{name} is refused:\n{errors}");
        }
    }
}

#[test]
fn bad_files_are_refused_with_the_expected_faults() {
    let bless = std::env::var_os("PY_RT_BLESS").is_some();
    for path in files("bad") {
        let (kind, name, text) = read(&path);
        let errors = check(kind, &name, &text).expect_err(&name);
        let expected = path.with_extension("expected");
        let shown = format!("{errors}\n");
        assert_eq!(
            shown.lines().count(),
            errors.faults().len(),
            "{name}: one line per fault"
        );
        if bless {
            fs::write(&expected, shown).expect("a writable folder");
        } else {
            let golden = fs::read_to_string(&expected).expect("an .expected file; see README.md");
            assert_eq!(shown, golden, "{name}");
        }
    }
}

#[test]
fn every_class_of_fault_has_a_bad_file() {
    let mut seen = Vec::new();
    for path in files("bad") {
        let (kind, name, text) = read(&path);
        let errors = check(kind, &name, &text).expect_err(&name);
        seen.extend(errors.faults().iter().map(|fault| fault.kind));
    }
    for kind in [
        FaultKind::Syntax,
        FaultKind::Duplicate,
        FaultKind::UnknownKey,
        FaultKind::MissingKey,
        FaultKind::WrongType,
        FaultKind::NonFinite,
        FaultKind::OutOfRange,
        FaultKind::Conflict,
    ] {
        assert!(seen.contains(&kind), "no bad file shows {kind:?}");
    }
}
