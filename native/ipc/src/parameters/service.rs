//! The service's side: takes requests, gives answers.

use domain::Text;

use super::{
    MAX_VERSION, ParameterAnswer, ParameterFault, ParameterRequest, ParameterStatus, REASON_BYTES,
    REQUEST_WORDS, Reason, empty_text, geometry,
};
use crate::error::IpcError;
use crate::layout::SegmentKind;
use crate::seqlock::{SeqlockReader, SeqlockWriter};
use crate::shared_memory::{
    ClientAccess, OwnedSegment, ReadMapping, SegmentRegistry, SegmentSpec, WriteMapping,
};

/// Shortest time between two requests taken: a client that writes without pause costs one load per poll, not more.
pub const MIN_INTERVAL_NS: u64 = 1_000_000;

/// What a poll found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "taken on the hot thread, which does not allocate"
)]
pub enum ParameterPoll {
    /// Nothing new.
    Unchanged,
    /// A well-formed request: judge it, journal it, then [`acknowledge`](ParameterInbox::acknowledge) it.
    Request(ParameterRequest),
    /// Something new that is not a request; the client has been told so.
    Malformed(ParameterFault),
}

/// The service's end of a parameter slot.
#[derive(Debug)]
pub struct ParameterInbox {
    request: OwnedSegment<ReadMapping>,
    answer: OwnedSegment<WriteMapping>,
    reader: SeqlockReader<ReadMapping>,
    writer: SeqlockWriter<WriteMapping>,
    last_sequence: u64,
    last_taken_ns: Option<u64>,
    answered_version: u64,
    applied_version: u64,
}

impl ParameterInbox {
    /// Makes the segments `<name>.request` and `<name>.answer`. `epoch` is the service's life.
    ///
    /// # Errors
    /// [`IpcError::Name`], [`IpcError::Os`].
    pub fn create(name: &str, epoch: u64) -> Result<Self, IpcError> {
        let spec = |kind, access| SegmentSpec {
            kind,
            capacity: 1,
            epoch,
            access,
        };
        let request = spec(SegmentKind::ParameterRequest, ClientAccess::Write);
        let request = OwnedSegment::readable(&format!("{name}.request"), request)?;
        let answer = spec(SegmentKind::ParameterAnswer, ClientAccess::Read);
        let answer = OwnedSegment::writable(&format!("{name}.answer"), answer)?;
        let fail = |fault| IpcError::Seqlock {
            name: name.to_owned(),
            fault,
        };
        let reader =
            SeqlockReader::new(request.words(), geometry(SegmentKind::ParameterRequest)).map_err(fail)?;
        let writer =
            SeqlockWriter::new(answer.words(), geometry(SegmentKind::ParameterAnswer)).map_err(fail)?;
        Ok(Self {
            request,
            answer,
            reader,
            writer,
            last_sequence: 0,
            last_taken_ns: None,
            answered_version: 0,
            applied_version: 0,
        })
    }

    /// Lets clients have both segments.
    ///
    /// # Errors
    /// [`IpcError::TooManySegments`], [`IpcError::Os`].
    pub fn offer(&self, registry: &SegmentRegistry) -> Result<(), IpcError> {
        registry.offer(self.request.name(), self.request.descriptor())?;
        registry.offer(self.answer.name(), self.answer.descriptor())
    }

    /// Looks for a new request. Bounded work, one load when there is nothing new; `now_ns` is a monotonic time in
    /// nanoseconds. A request that was overwritten before it was seen is not seen; its client reads that from the
    /// answer's version.
    pub fn poll(&mut self, now_ns: u64) -> ParameterPoll {
        if self.reader.sequence(0) == Ok(self.last_sequence) {
            return ParameterPoll::Unchanged;
        }
        if self
            .last_taken_ns
            .is_some_and(|taken| now_ns.saturating_sub(taken) < MIN_INTERVAL_NS)
        {
            return ParameterPoll::Unchanged;
        }
        let mut words = [0; REQUEST_WORDS];
        // One attempt: while the client writes there is nothing to read yet, and the next poll is near.
        let Ok(Some(sequence)) = self.reader.attempt(0, &mut words) else {
            return ParameterPoll::Unchanged;
        };
        self.last_sequence = sequence;
        self.last_taken_ns = Some(now_ns);
        match ParameterRequest::decode(&words, self.answered_version) {
            Ok(request) => ParameterPoll::Request(request),
            Err(fault) => {
                let version = words[0];
                let follows = version > self.answered_version && version <= MAX_VERSION;
                let answered = if follows { version } else { self.answered_version };
                self.answer(
                    answered,
                    ParameterStatus::Malformed,
                    cut(&fault.to_string()),
                    now_ns,
                );
                ParameterPoll::Malformed(fault)
            }
        }
    }

    /// Tells the client what became of its request: `Ok` when it took effect, else the reason.
    pub fn acknowledge(&mut self, request: &ParameterRequest, outcome: Result<(), &str>, now_ns: u64) {
        let (status, reason) = match outcome {
            Ok(()) => (ParameterStatus::Applied, ""),
            Err(reason) => (ParameterStatus::Refused, reason),
        };
        if outcome.is_ok() {
            self.applied_version = request.version;
        }
        self.answer(request.version, status, cut(reason), now_ns);
    }

    /// The last request that took effect.
    pub const fn applied_version(&self) -> u64 {
        self.applied_version
    }

    /// Tells clients that the service is at work.
    pub fn heartbeat(&self) {
        self.answer.heartbeat();
    }

    #[cfg(test)]
    pub(super) fn request_descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        self.request.descriptor()
    }

    fn answer(&mut self, answered_version: u64, status: ParameterStatus, reason: Reason, answered_ns: u64) {
        self.answered_version = answered_version;
        let applied_version = self.applied_version;
        let answer = ParameterAnswer {
            answered_version,
            applied_version,
            status,
            answered_ns,
            reason,
        };
        // One entry, and the words fit it (asserted beside their definition): there is nothing that could fail.
        let _ = self.writer.write(0, &answer.encode());
    }
}

impl Drop for ParameterInbox {
    fn drop(&mut self) {
        self.answer.close();
    }
}

/// As much of a reason as fits; what is not printable ASCII becomes `?`.
fn cut(reason: &str) -> Reason {
    let mut bytes = [0; REASON_BYTES];
    let mut len = 0;
    for (cell, letter) in bytes.iter_mut().zip(reason.chars()) {
        *cell = match u8::try_from(letter) {
            Ok(byte) if byte.is_ascii_graphic() || byte == b' ' => byte,
            _ => b'?',
        };
        len += 1;
    }
    std::str::from_utf8(&bytes[..len])
        .ok()
        .and_then(Text::new)
        .unwrap_or_else(empty_text)
}
