//! The client's side: one process at a time writes requests.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use domain::{SlotId, Timestamp};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;

use super::{
    ANSWER_WORDS, MAX_VERSION, ParameterAnswer, ParameterChange, ParameterFault, ParameterRequest,
    REQUEST_WORDS, geometry,
};
use crate::error::IpcError;
use crate::layout::SegmentKind;
use crate::seqlock::{SeqlockReader, SeqlockWriter};
use crate::shared_memory::{AttachedSegment, Attachment, ReadMapping, WriteMapping, attach, attach_writable};

/// The writing end of a parameter slot.
#[derive(Debug)]
pub struct ParameterWriter {
    name: String,
    writer: SeqlockWriter<WriteMapping>,
    answers: SeqlockReader<ReadMapping>,
    answer_segment: AttachedSegment<ReadMapping>,
    /// Holds the lock; the kernel releases it when this process ends, however it ends.
    _lock: OwnedFd,
    last_version: u64,
}

impl ParameterWriter {
    /// Fetches both segments of the slot `name` from the service at `socket` and becomes its one writer.
    ///
    /// # Errors
    /// [`IpcError::WriterBusy`] when another process is; any [`IpcError`] of the exchange.
    pub fn attach(socket: &Path, name: &str) -> Result<Self, IpcError> {
        let wanted = |name, kind| Attachment { socket, name, kind };
        let request_name = format!("{name}.request");
        let request = wanted(&request_name, SegmentKind::ParameterRequest);
        let (request, lock) = attach_writable(request, |fd| claim(&fd, name))?;
        let answer_name = format!("{name}.answer");
        let answer_segment = attach(wanted(&answer_name, SegmentKind::ParameterAnswer))?;
        let fail = |fault| IpcError::Seqlock {
            name: name.to_owned(),
            fault,
        };
        let request_geometry = geometry(SegmentKind::ParameterRequest);
        let requests = SeqlockReader::new(request.words.clone(), request_geometry).map_err(fail)?;
        let writer = SeqlockWriter::new(request.words, request_geometry).map_err(fail)?;
        let answer_geometry = geometry(SegmentKind::ParameterAnswer);
        let answers = SeqlockReader::new(answer_segment.words.clone(), answer_geometry).map_err(fail)?;
        let mut this = Self {
            name: name.to_owned(),
            writer,
            answers,
            answer_segment,
            _lock: lock,
            last_version: 0,
        };
        // Versions go on where the last writer stopped, even if it died while writing.
        let mut words = [0; REQUEST_WORDS];
        let requested = requests
            .attempt(0, &mut words)
            .map_err(fail)?
            .map_or(0, |_| words[0]);
        let answered = this.answer()?.map_or(0, |answer| answer.answered_version);
        this.last_version = answered.max(if requested <= MAX_VERSION { requested } else { 0 });
        Ok(this)
    }

    /// Writes a request and returns its version. It replaces one that the service has not taken yet, so wait for the
    /// answer of one before the next.
    ///
    /// # Errors
    /// [`IpcError::Parameters`] when the request is not well-formed: nothing was written.
    pub fn request(
        &mut self,
        slot: SlotId,
        changes: &[ParameterChange],
        ts_requested: Timestamp,
    ) -> Result<u64, IpcError> {
        let fail = |fault| IpcError::Parameters {
            name: self.name.clone(),
            fault,
        };
        let version = self.last_version + 1;
        if version > MAX_VERSION {
            return Err(fail(ParameterFault::Version {
                found: version,
                last: self.last_version,
            }));
        }
        let request = ParameterRequest::new(version, ts_requested, slot, changes).map_err(fail)?;
        self.writer
            .write(0, &request.encode())
            .map_err(|fault| fail(fault.into()))?;
        self.last_version = version;
        Ok(version)
    }

    /// The service's latest answer; `None` before its first. Compare its `answered_version` with the request's.
    ///
    /// # Errors
    /// [`IpcError::Parameters`].
    pub fn answer(&self) -> Result<Option<ParameterAnswer>, IpcError> {
        let fail = |fault| IpcError::Parameters {
            name: self.name.clone(),
            fault,
        };
        let mut words = [0; ANSWER_WORDS];
        if self
            .answers
            .read(0, &mut words)
            .map_err(|fault| fail(fault.into()))?
            == 0
        {
            return Ok(None);
        }
        ParameterAnswer::decode(&words).map(Some).map_err(fail)
    }

    /// Whether the service is at work. When it is not, attach again: it will offer new segments.
    pub fn service_alive(&self) -> bool {
        self.answer_segment
            .liveness
            .writer_alive(&self.answer_segment.words)
    }

    /// The service's life.
    pub const fn epoch(&self) -> u64 {
        self.answer_segment.header.epoch
    }
}

/// Takes the one lock on a received segment.
///
/// The descriptor is opened anew through /proc: a passed descriptor shares its lock with everybody who received it.
fn claim(fd: &OwnedFd, name: &str) -> Result<OwnedFd, IpcError> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let own = open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|source| IpcError::os("open anew", path, source))?;
    match flock(&own, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(own),
        Err(Errno::WOULDBLOCK) => Err(IpcError::WriterBusy {
            name: name.to_owned(),
        }),
        Err(source) => Err(IpcError::os("lock parameters", name, source)),
    }
}
