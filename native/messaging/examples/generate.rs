//! Writes `src/wire/py_rt.wire.v1.rs` from `proto/py_rt/wire/v1/*.proto`.
//!
//! `cargo run -p messaging --example generate`. As a test it only compares, so that the committed code equals
//! its source without a step to forget.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

const PACKAGE: &str = "py_rt.wire.v1";
const BANNER: &str = "// Generated from proto/py_rt/wire/v1 by `make proto`. Do not edit.\n";

fn project_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn committed_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/wire/{PACKAGE}.rs"))
}

/// The Rust source that the schema gives.
fn generate() -> Result<String, Box<dyn Error>> {
    let include = project_root().join("proto");
    let mut sources: Vec<PathBuf> = fs::read_dir(include.join("py_rt/wire/v1"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    sources.sort();
    let descriptors = protox::compile(&sources, [&include])?;
    let out = tempfile::tempdir()?;
    prost_build::Config::new()
        .out_dir(out.path())
        .compile_fds(descriptors)?;
    let code = fs::read_to_string(out.path().join(format!("{PACKAGE}.rs")))?;
    Ok(format!("{BANNER}{code}"))
}

fn main() -> Result<(), Box<dyn Error>> {
    fs::write(committed_path(), generate()?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_code_equals_its_source() {
        let fresh = generate().expect("the schema compiles");
        let committed = fs::read_to_string(committed_path()).expect("the generated code is committed");
        assert!(
            fresh == committed,
            "src/wire differs from proto/: run `make proto`"
        );
    }
}
