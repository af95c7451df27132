//! The service's doors for others on this machine, and `live.json`, which says where they are.

use std::io;
use std::path::Path;
use std::sync::Arc;

use config::ServiceConfig;
use domain::Timestamp;
use ipc::shared_memory::SegmentServer;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::clock::wall_now;
use crate::control::{self, Control, ControlDoor};
use crate::error::LiveError;
use crate::messenger::{self, MessageDoor};
use crate::monitoring::{Counters, metrics};
use crate::run_folder::{RunFolder, write_durably};
use crate::segments::{self, SegmentDoor};
use crate::setup::Setup;

/// The file in the run folder. It is there while the service runs, and stays when it was killed: its `pid` tells.
pub const LIVE_FILE: &str = "live.json";

/// Open doors; they close when this is dropped.
#[derive(Debug)]
pub(crate) struct Doors {
    _messages: MessageDoor,
    _segments: SegmentDoor,
    _control: ControlDoor,
}

/// What the doors lead to.
pub(crate) struct Parts {
    pub(crate) segments: SegmentServer,
    pub(crate) control: Control,
    pub(crate) messages: messenger::Parts,
}

/// Opens the doors and writes `live.json`.
pub(crate) async fn open(
    folder: &RunFolder,
    setup: &Setup,
    parts: Parts,
    tasks: &mut JoinSet<()>,
) -> Result<Doors, LiveError> {
    let config = &setup.service.config;
    let Parts {
        segments,
        control,
        messages,
    } = parts;
    let counters: Arc<Counters> = Arc::clone(&control.counters);
    let latencies = Arc::clone(&messages.service.latencies);
    let failed = |action: &'static str, path: String| {
        move |source: io::Error| LiveError::File {
            action,
            path: path.into(),
            source,
        }
    };
    let port = format!("127.0.0.1:{}", config.metrics_port);
    let bound = metrics::bind(config.metrics_port).await;
    let (listener, address) = bound.map_err(failed("listen for /metrics on", port))?;
    tasks.spawn(metrics::serve(listener, counters, latencies));
    let absolute =
        std::fs::canonicalize(folder.path()).map_err(failed("find", folder.path().display().to_string()))?;
    let doors = Doors {
        _messages: MessageDoor::open(&absolute, setup, messages)?,
        _segments: SegmentDoor::open(segments).map_err(failed("serve", segments::SOCKET.to_owned()))?,
        _control: ControlDoor::open(folder.path(), control)?,
    };
    let text = describe(
        folder,
        config,
        &absolute,
        &format!("http://{address}/metrics"),
        wall_now(),
    );
    write_durably(folder.path(), LIVE_FILE, format!("{text:#}\n").as_bytes())?;
    Ok(doors)
}

fn describe(
    folder: &RunFolder,
    config: &ServiceConfig,
    absolute: &Path,
    metrics: &str,
    started: Timestamp,
) -> Value {
    let socket = |name: &str| absolute.join(name).display().to_string();
    json!({
        "pid": std::process::id(),
        "instance": config.name,
        "stage": config.stage.as_str(),
        "run_id": folder.run_id(),
        "epoch": folder.epoch().0,
        "version": env!("CARGO_PKG_VERSION"),
        "started_ns": started.nanos(),
        "endpoints": {
            "command": format!("ipc://{}", socket(messenger::COMMAND_SOCKET)),
            "telemetry": format!("ipc://{}", socket(messenger::TELEMETRY_SOCKET)),
            "metrics": metrics,
            "control": socket(control::SOCKET),
            "segments": socket(segments::SOCKET),
        },
        "venues": venues(config),
    })
}

/// The venues whose market is read here, the one that is traded at first; what a taker pays there, where the file says.
fn venues(config: &ServiceConfig) -> Vec<Value> {
    let own = (config.venue.venue, config.venue.taker_bps, true);
    let watched = config
        .watches
        .iter()
        .map(|watch| (watch.venue, watch.taker_bps, false));
    let told = std::iter::once(own).chain(watched);
    told.map(|(venue, taker_bps, is_traded)| {
        json!({
            "venue": venue.as_str(),
            "traded": is_traded,
            "taker_bps": taker_bps.map(|bps| bps.to_string()),
        })
    })
    .collect()
}

/// The service has ended in order: its doors are closed.
pub(crate) fn forget(folder: &RunFolder) {
    // A file that stays names a process that is gone.
    let _ = std::fs::remove_file(folder.file(LIVE_FILE));
}
