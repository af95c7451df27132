//! The recorded session that this crate's tests read in place.

use std::io::Read;
use std::path::{Path, PathBuf};

use domain::Timestamp;

/// Lines of `<receive time, ns> <message as received>`.
pub(crate) struct Session(Vec<u8>);

impl Session {
    /// Receive time and message of each line, in the order they arrived.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (Timestamp, &[u8])> {
        self.0
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                let space = line
                    .iter()
                    .position(|&byte| byte == b' ')
                    .expect("a receive time and a message");
                let nanos = std::str::from_utf8(&line[..space])
                    .expect("digits")
                    .parse()
                    .expect("nanoseconds");
                (Timestamp::from_nanos(nanos), &line[space + 1..])
            })
    }
}

fn folder(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("PY_RT_SHARED_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let folder = shared.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!(
        "SKIPPED: no recorded data at {}: set PY_RT_SHARED_DATA",
        folder.display()
    );
    None
}

fn unpacked(path: &Path) -> Vec<u8> {
    let file = std::fs::File::open(path).expect("a recorded file");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file)
        .read_to_end(&mut bytes)
        .expect("gzip");
    bytes
}

/// Ten minutes of BTCUSDT on the combined stream; `None`, with a line that says so, where it is absent.
pub(crate) fn session() -> Option<Session> {
    let folder = folder("ws_binance_spot_btcusdt_20240808")?;
    let mut bytes = unpacked(&folder.join("btcusdt_20240808.gz"));
    bytes.extend(unpacked(&folder.join("btcusdt_20240809.gz")));
    Some(Session(bytes))
}

/// Six minutes of USD-M futures BTCUSDT on the combined stream; `None`, with a line that says so, where it is absent.
pub(crate) fn futures_session() -> Option<Session> {
    let folder = folder("ws_binance_usdm_btcusdt_20240808")?;
    Some(Session(unpacked(&folder.join("btcusdt_20240808.gz"))))
}

/// A recorded answer of `exchangeInfo` with all symbols of its day.
pub(crate) fn exchange_info() -> Option<Vec<u8>> {
    let folder = folder("rest_exchange_info")?;
    Some(unpacked(&folder.join("binance_exchangeInfo_20211012.json.gz")))
}

/// One file of a recorded session, unpacked; `None`, with a line that says so, where it is absent.
pub(crate) fn file(of: &str, name: &str) -> Option<Vec<u8>> {
    let path = folder(of)?.join(name);
    if path.extension().is_some_and(|extension| extension == "gz") {
        return Some(unpacked(&path));
    }
    Some(std::fs::read(&path).expect("a recorded file"))
}
