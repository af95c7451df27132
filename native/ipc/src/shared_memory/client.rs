//! The asking side of the socket.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

use super::liveness::Liveness;
use super::mapping::{ReadMapping, WriteMapping};
use super::peer::{Peer, same_user};
use super::segment::{ClientAccess, Judged, judge};
use super::server::check_path;
use super::wire::{ANSWER_BYTES, Deadline, EXCHANGE_TIMEOUT_MS, Status, question, read_answer};
use crate::error::IpcError;
use crate::layout::{Header, SegmentKind};

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attachment<'a> {
    pub(crate) socket: &'a Path,
    pub(crate) name: &'a str,
    pub(crate) kind: SegmentKind,
}

/// A segment of another process, judged and mapped.
#[derive(Debug)]
pub(crate) struct AttachedSegment<M> {
    pub(crate) name: String,
    pub(crate) socket: PathBuf,
    pub(crate) header: Header,
    pub(crate) words: M,
    pub(crate) liveness: Liveness,
    /// Device and inode: two segments are one only if these agree.
    pub(crate) identity: (u64, u64),
}

/// What asking the service again found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reattached {
    /// It still offers the segment this reader has; nothing changed.
    Same,
    /// The reader now has the segment of a newer life.
    Newer {
        /// Its epoch.
        epoch: u64,
    },
}

impl AttachedSegment<ReadMapping> {
    /// The segment that the service offers now in the place of this one; `None` when it is this one.
    pub(crate) fn successor(&self) -> Result<Option<Self>, IpcError> {
        let offered = attach(Attachment {
            socket: &self.socket,
            name: &self.name,
            kind: self.header.kind,
        })?;
        if offered.identity == self.identity {
            return Ok(None);
        }
        let (attached, epoch) = (self.header.epoch, offered.header.epoch);
        if epoch <= attached {
            return Err(IpcError::EpochNotNewer {
                name: self.name.clone(),
                attached,
                offered: epoch,
            });
        }
        Ok(Some(offered))
    }
}

/// Fetches a segment's descriptor and maps it for reading.
pub(crate) fn attach(wanted: Attachment<'_>) -> Result<AttachedSegment<ReadMapping>, IpcError> {
    let Received { fd, liveness } = fetch(wanted)?;
    let Judged {
        header,
        words,
        identity,
    } = judge(wanted.name, fd.as_fd(), wanted.kind, ClientAccess::Read)?;
    let words = ReadMapping::map(fd.as_fd(), words, wanted.name)?;
    let (name, socket) = (wanted.name.to_owned(), wanted.socket.to_owned());
    Ok(AttachedSegment {
        name,
        socket,
        header,
        words,
        liveness,
        identity,
    })
}

/// Fetches a segment that clients write; `claim` turns the descriptor into one that this client holds alone.
pub(crate) fn attach_writable(
    wanted: Attachment<'_>,
    claim: impl FnOnce(OwnedFd) -> Result<OwnedFd, IpcError>,
) -> Result<(AttachedSegment<WriteMapping>, OwnedFd), IpcError> {
    let Received { fd, liveness } = fetch(wanted)?;
    let Judged {
        header,
        words,
        identity,
    } = judge(wanted.name, fd.as_fd(), wanted.kind, ClientAccess::Write)?;
    let fd = claim(fd)?;
    let words = WriteMapping::map(fd.as_fd(), words, wanted.name)?;
    let (name, socket) = (wanted.name.to_owned(), wanted.socket.to_owned());
    Ok((
        AttachedSegment {
            name,
            socket,
            header,
            words,
            liveness,
            identity,
        },
        fd,
    ))
}

struct Received {
    fd: OwnedFd,
    liveness: Liveness,
}

fn fetch(wanted: Attachment<'_>) -> Result<Received, IpcError> {
    let path = wanted.socket;
    let question = question(wanted.name)?;
    check_path(path)?;
    let stream =
        UnixStream::connect(path).map_err(|source| IpcError::os("connect to", path.display(), source))?;
    let Peer { pid } = same_user(&stream)?;
    // Opened while the peer serves us, so that the number cannot have passed to another process yet.
    let liveness = Liveness::of(pid);
    let deadline = Deadline::start();
    let lost = |source: io::Error| match source.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => IpcError::Timeout {
            path: path.to_owned(),
            timeout_ms: EXCHANGE_TIMEOUT_MS,
        },
        _ => IpcError::os("exchange with", path.display(), source),
    };
    let broken = |fault| IpcError::Protocol {
        path: path.to_owned(),
        fault,
    };
    deadline.write_all(&stream, &question).map_err(lost)?;
    let mut bytes = [0; ANSWER_BYTES];
    let fd = receive(deadline, &stream, &mut bytes).map_err(lost)?;
    match read_answer(&bytes).ok_or_else(|| broken("bytes that are no answer"))? {
        (Status::Granted, _) => Ok(Received {
            fd: fd.ok_or_else(|| broken("no descriptor, or more than one"))?,
            liveness,
        }),
        (Status::Unknown, offered) => Err(IpcError::UnknownSegment {
            name: wanted.name.to_owned(),
            path: path.to_owned(),
            offered: if offered.is_empty() {
                "none".to_owned()
            } else {
                offered.to_owned()
            },
        }),
        (Status::Malformed, _) => Err(broken("a refusal of our question")),
    }
}

/// Fills `bytes` and takes the one descriptor that comes with their beginning. Surplus descriptors are closed by the
/// kernel (no room) or on drop.
fn receive(deadline: Deadline, stream: &UnixStream, bytes: &mut [u8]) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    stream.set_read_timeout(Some(deadline.left()?))?;
    let message = recvmsg(
        stream,
        &mut [IoSliceMut::new(bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if message.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            descriptors.extend(received);
        }
    }
    deadline.read_exact(stream, &mut bytes[message.bytes..])?;
    let surplus = message.flags.contains(ReturnFlags::CTRUNC) || descriptors.len() != 1;
    Ok(if surplus { None } else { descriptors.pop() })
}
