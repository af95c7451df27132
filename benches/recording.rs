//! The recorded stream that benches replay: ten minutes of Binance spot BTCUSDT, read in place.

#![allow(unreachable_pub, reason = "each program includes this file")]

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;

const FOLDER: &str = "ws_binance_spot_btcusdt_20240808";
const FILES: [&str; 2] = ["btcusdt_20240808.gz", "btcusdt_20240809.gz"];

/// One message: receive time in nanoseconds since the epoch, and the bytes as received.
pub type Line = (i64, Vec<u8>);

/// Where recordings lie: `PY_RT_SHARED_DATA`, or `../shared/data` beside the project.
fn folder() -> PathBuf {
    let data = std::env::var_os("PY_RT_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    data.join(FOLDER)
}

/// The messages in order of arrival, or why there are none: a checkout alone does not have the recording.
pub fn lines() -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for name in FILES {
        let path = folder().join(name);
        let file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut text = Vec::new();
        GzDecoder::new(file)
            .read_to_end(&mut text)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        lines.extend(text.split(|&byte| byte == b'\n').filter_map(line));
    }
    Ok(lines)
}

fn line(text: &[u8]) -> Option<Line> {
    let space = text.iter().position(|&byte| byte == b' ')?;
    let received = std::str::from_utf8(&text[..space]).ok()?.parse().ok()?;
    Some((received, text[space + 1..].to_vec()))
}
