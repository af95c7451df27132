//! The durable record: the crate `journal`, its sync thread, and recovery.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use config::JournalConfig;
use domain::{Epoch, Timestamp};
use engine::{Action, EngineConfig, Event, JournalHealth};
use journal::{JournalError, Reader, RecordBody, Recovered, Room, RunHeader, Syncer, Writer, WriterOptions};
use tracing::{error, info, warn};

use crate::programs::Programs;
use crate::record::{Begun, Life, Record, RecordFault, Recorder, Written};
use crate::recovery::{self, Left};

/// Folder of the journal inside the run folder.
pub const FOLDER: &str = "journal";

/// Records lives in a journal.
#[derive(Debug)]
pub struct JournalRecorder {
    /// The journal's own folder; its parent is there.
    pub dir: PathBuf,
    /// Bounds of the record.
    pub settings: JournalConfig,
    /// Names the run in the header.
    pub run_id: String,
    /// Where the programs of earlier lives are found.
    pub programs: Arc<dyn Programs>,
}

impl Recorder for JournalRecorder {
    fn begin(self: Box<Self>, life: Life) -> Result<Begun, RecordFault> {
        let options = WriterOptions {
            segment_bytes_max: self.settings.segment_bytes_max,
            ..WriterOptions::default()
        };
        let (left, last, config, (writer, syncer)) = match journal::recover(&self.dir, options) {
            Ok(recovered) => {
                is_later(life.config.epoch, &recovered)?;
                let last = recovered.last_ts();
                if let Some(torn) = recovered.torn() {
                    warn!(?torn, "the end of the record was torn and has been cut");
                }
                let left = recovery::replay(&self.dir, &*self.programs).map_err(final_fault)?;
                let config = with_carried(life.config.clone(), &left);
                let header = self.header(&life, &config);
                let opened = recovered
                    .begin_life(&header, life.now.max(last))
                    .map_err(|error| fault(&error))?;
                (left, last, config, opened)
            }
            Err(JournalError::Absent { .. }) => {
                let header = self.header(&life, &life.config);
                let opened =
                    Writer::create(&self.dir, options, &header, life.now).map_err(|error| fault(&error))?;
                (Left::default(), Timestamp::EPOCH, life.config, opened)
            }
            Err(error) => return Err(fault(&error)),
        };
        info!(
            events = writer.next_event() - 1,
            orders = left.carried.orders.len(),
            latches = left.carried.latches.len(),
            "record open"
        );
        if !writer.is_reserve_held() {
            warn!("the file system holds no room back: a full disk may refuse even the record of a kill");
        }
        Ok(Begun {
            config,
            record: Box::new(JournalRecord::new(writer, syncer, self.settings)?),
            last,
            active: left.active,
            serials: left.serials,
            ways_back: left.ways_back,
        })
    }
}

impl JournalRecorder {
    fn header(&self, life: &Life, config: &EngineConfig) -> RunHeader {
        RunHeader {
            binary_version: concat!("py_rt_live ", env!("CARGO_PKG_VERSION")).to_owned(),
            run_id: self.run_id.clone(),
            config: config.clone(),
            texts: life.texts.clone(),
        }
    }
}

/// No two lives share a number, or their order ids would come twice.
fn is_later(life: Epoch, recovered: &Recovered) -> Result<(), RecordFault> {
    let (Epoch(life), Epoch(last)) = (life, recovered.header().config.epoch);
    if life > last {
        return Ok(());
    }
    Err(final_fault(format!(
        "it has life {last}, so this one cannot be life {life}: the run folder's file epoch is older than the record; \
         write {last} into it, or more"
    )))
}

/// The number of the last life that is recorded in a run folder; `None` where nothing is.
///
/// # Errors
/// [`JournalError`] but [`JournalError::Absent`].
pub(crate) fn last_life(folder: &Path) -> Result<Option<Epoch>, JournalError> {
    let mut reader = match Reader::open_last_life(&folder.join(FOLDER)) {
        Err(JournalError::Absent { .. }) => return Ok(None),
        opened => opened?,
    };
    let first = reader.next_record()?;
    Ok(first.and_then(|record| match record.body {
        RecordBody::Header(header) => Some(header.config.epoch),
        RecordBody::Event(_) | RecordBody::Action => None,
    }))
}

fn with_carried(config: EngineConfig, left: &Left) -> EngineConfig {
    EngineConfig {
        carried: left.carried.clone(),
        ..config
    }
}

/// A journal being written.
#[derive(Debug)]
struct JournalRecord {
    writer: Writer,
    lag_max_ns: u64,
    sync: SyncThread,
}

impl JournalRecord {
    fn new(writer: Writer, syncer: Syncer, settings: JournalConfig) -> Result<Self, RecordFault> {
        let nanos = |span: domain::Nanos| u64::try_from(span.0).unwrap_or(0);
        let interval = Duration::from_nanos(nanos(settings.sync_interval));
        Ok(Self {
            writer,
            lag_max_ns: nanos(settings.sync_lag_max),
            sync: SyncThread::spawn(syncer, interval).map_err(final_fault)?,
        })
    }
}

impl Record for JournalRecord {
    fn next_event(&self) -> u64 {
        self.writer.next_event()
    }

    fn event(&mut self, event: &Event<'_>, room: Room) -> Result<(), RecordFault> {
        self.writer
            .append_event(event, room)
            .map_err(|error| fault(&error))
    }

    fn actions(&mut self, ts: Timestamp, actions: &[Action], room: Room) -> Result<(), RecordFault> {
        self.writer
            .append_actions(ts, actions, room)
            .map_err(|error| fault(&error))
    }

    fn health(&self) -> JournalHealth {
        if self.writer.is_full() || self.writer.lag().nanos > self.lag_max_ns {
            JournalHealth::Lagging
        } else {
            JournalHealth::Healthy
        }
    }

    fn written(&self) -> Written {
        Written {
            records: self.writer.records(),
            bytes: self.writer.bytes(),
            unsynced: self.writer.lag().records,
        }
    }

    fn finish(self: Box<Self>) -> Result<(), RecordFault> {
        self.sync.stop()?.sync().map(drop).map_err(|error| fault(&error))
    }
}

/// Forces the record to disk again and again.
#[derive(Debug)]
struct SyncThread {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Syncer>,
}

impl SyncThread {
    fn spawn(mut syncer: Syncer, interval: Duration) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = thread::Builder::new().name("sync".to_owned()).spawn(move || {
            while !asked.load(Ordering::Acquire) {
                if let Err(error) = syncer.sync() {
                    // Final: the writer finds it at its next record and stops the service.
                    error!(%error, "record");
                    break;
                }
                thread::park_timeout(interval);
            }
            syncer
        })?;
        Ok(Self { stop, thread })
    }

    fn stop(self) -> Result<Syncer, RecordFault> {
        self.stop.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let ended = self.thread.join();
        ended.map_err(|_| final_fault("the sync thread ended on its own"))
    }
}

fn fault(error: &JournalError) -> RecordFault {
    RecordFault {
        is_final: !matches!(error, JournalError::DiskFull { .. }),
        text: error.to_string(),
    }
}

fn final_fault(error: impl std::fmt::Display) -> RecordFault {
    RecordFault {
        text: error.to_string(),
        is_final: true,
    }
}
