//! The serving side of the socket.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, Permissions};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::geteuid;

use super::peer::same_user;
use super::wire::{Deadline, QUESTION_BYTES, Status, answer, check_name, read_question};
use crate::error::IpcError;

/// Most segments a registry holds.
pub const MAX_SEGMENTS: usize = 64;
/// The kernel's room for a socket path, without its final zero.
pub(super) const MAX_SOCKET_PATH_BYTES: usize = 107;

/// The descriptors a server hands out, by name. Clones share one set.
#[derive(Debug, Clone, Default)]
pub struct SegmentRegistry(Arc<Mutex<BTreeMap<String, OwnedFd>>>);

impl SegmentRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Offers a descriptor under a name, in place of an earlier one of that name.
    pub(crate) fn offer(&self, name: &str, fd: BorrowedFd<'_>) -> Result<(), IpcError> {
        check_name(name)?;
        let fd = fd
            .try_clone_to_owned()
            .map_err(|source| IpcError::os("duplicate segment", name, source))?;
        let mut segments = self.segments();
        if segments.len() >= MAX_SEGMENTS && !segments.contains_key(name) {
            return Err(IpcError::TooManySegments {
                name: name.to_owned(),
                max: MAX_SEGMENTS,
            });
        }
        segments.insert(name.to_owned(), fd);
        Ok(())
    }

    /// Stops offering a name; whether it was offered. Clients that have the segment keep it.
    pub fn withdraw(&self, name: &str) -> bool {
        self.segments().remove(name).is_some()
    }

    /// The names offered, in order.
    pub fn names(&self) -> Vec<String> {
        self.segments().keys().cloned().collect()
    }

    /// Answers one connected client: identity, question, descriptor. Never blocks longer than
    /// [`EXCHANGE_TIMEOUT_MS`](super::EXCHANGE_TIMEOUT_MS). For a service that accepts on a socket of its own.
    pub fn serve(&self, stream: &UnixStream) -> Served {
        match self.exchange(stream) {
            Ok(served) => served,
            Err(reason) => Served::Refused {
                reason: reason.to_string(),
            },
        }
    }

    fn exchange(&self, stream: &UnixStream) -> Result<Served, IpcError> {
        let peer = same_user(stream)?;
        let deadline = Deadline::start();
        let mut bytes = [0; QUESTION_BYTES];
        let lost = |source| IpcError::os("exchange with", format!("process {}", peer.pid), source);
        deadline.read_exact(stream, &mut bytes).map_err(lost)?;
        let Some(name) = read_question(&bytes) else {
            // Best effort: whoever sent this may be gone, and why it was refused matters more.
            let _ = deadline.write_all(stream, &answer(Status::Malformed, ""));
            let reason = format!("process {} sent something that is not a question", peer.pid);
            return Ok(Served::Refused { reason });
        };
        // Duplicated under the lock, sent outside it: a slow client must not hold up whoever offers a segment.
        let granted = self.segments().get(name).map(OwnedFd::try_clone);
        let Some(fd) = granted
            .transpose()
            .map_err(|source| IpcError::os("duplicate segment", name, source))?
        else {
            let offered = self.names().join(", ");
            let _ = deadline.write_all(stream, &answer(Status::Unknown, &offered));
            return Ok(Served::Refused {
                reason: format!("process {} asked for unknown {name}", peer.pid),
            });
        };
        send_descriptor(deadline, stream, &answer(Status::Granted, ""), fd.as_fd()).map_err(lost)?;
        Ok(Served::Granted {
            name: name.to_owned(),
            pid: peer.pid,
        })
    }

    fn segments(&self) -> MutexGuard<'_, BTreeMap<String, OwnedFd>> {
        // No operation leaves the map half changed, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends `bytes` with a descriptor attached to the first of them.
pub(super) fn send_descriptor(
    deadline: Deadline,
    stream: &UnixStream,
    bytes: &[u8],
    fd: BorrowedFd<'_>,
) -> io::Result<()> {
    let descriptors = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    stream.set_write_timeout(Some(deadline.left()?))?;
    let sent = sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    deadline.write_all(stream, &bytes[sent..])
}

/// What became of one call of [`SegmentServer::serve_once`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// Nobody came within the time given.
    Idle,
    /// A client received a segment.
    Granted {
        /// Which.
        name: String,
        /// The client's process.
        pid: i32,
    },
    /// A client was turned away, or failed; the server goes on.
    Refused {
        /// Why, for the log.
        reason: String,
    },
}

/// A listening socket that hands out segments. It has no thread: the caller runs [`serve_once`](Self::serve_once).
#[derive(Debug)]
pub struct SegmentServer {
    listener: UnixListener,
    registry: SegmentRegistry,
    path: PathBuf,
    identity: (u64, u64),
}

impl SegmentServer {
    /// Listens at `path`, whose directory must be private (see [`private_directory`]). A socket that a dead process
    /// left there is replaced.
    ///
    /// # Errors
    /// [`IpcError::Directory`], [`IpcError::PathTooLong`], [`IpcError::InUse`], [`IpcError::Os`].
    pub fn bind(path: &Path) -> Result<Self, IpcError> {
        check_path(path)?;
        check_private(path.parent().unwrap_or(Path::new(".")))?;
        let fail = |operation| move |source: io::Error| IpcError::os(operation, path.display(), source);
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_abandoned(path)?;
                UnixListener::bind(path)
            }
            bound => bound,
        };
        let listener = listener.map_err(fail("listen on"))?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fail("restrict"))?;
        // Accepting must not block: a client may be gone between `poll` and `accept`.
        listener.set_nonblocking(true).map_err(fail("configure"))?;
        let metadata = std::fs::symlink_metadata(path).map_err(fail("examine"))?;
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self {
            listener,
            registry: SegmentRegistry::new(),
            path: path.to_owned(),
            identity,
        })
    }

    /// Where segments are offered.
    pub const fn registry(&self) -> &SegmentRegistry {
        &self.registry
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits at most `timeout` (`None`: without end) for one client and answers it. What a client does wrong is
    /// reported in [`Served::Refused`], never as an error.
    ///
    /// # Errors
    /// [`IpcError::Os`] when the listening socket itself fails.
    pub fn serve_once(&self, timeout: Option<Duration>) -> Result<Served, IpcError> {
        let fail = |operation| move |source: io::Error| IpcError::os(operation, self.path.display(), source);
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        let mut watched = [PollFd::new(&self.listener, PollFlags::IN)];
        match poll(&mut watched, timeout.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Served::Idle),
            Ok(_) => {}
            Err(source) => return Err(fail("wait on")(source.into())),
        }
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream
                    .set_nonblocking(false)
                    .map_err(fail("configure a client of"))?;
                Ok(self.registry.serve(&stream))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted
                ) =>
            {
                Ok(Served::Idle)
            }
            Err(source) => Err(fail("accept on")(source)),
        }
    }
}

impl AsFd for SegmentServer {
    /// For a caller with a poll loop of its own: readable when [`serve_once`](SegmentServer::serve_once) has work.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for SegmentServer {
    fn drop(&mut self) {
        // Only our own socket: a successor may have bound the path already.
        if let Ok(metadata) = std::fs::symlink_metadata(&self.path)
            && (metadata.dev(), metadata.ino()) == self.identity
        {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Refuses paths the kernel would not take, with a better message than its own.
pub(super) fn check_path(path: &Path) -> Result<(), IpcError> {
    let len = path.as_os_str().len();
    if len > MAX_SOCKET_PATH_BYTES {
        return Err(IpcError::PathTooLong {
            path: path.to_owned(),
            len,
            max: MAX_SOCKET_PATH_BYTES,
        });
    }
    Ok(())
}

/// Removes a socket nobody listens on; refuses when somebody does, or when it is no socket.
fn remove_abandoned(path: &Path) -> Result<(), IpcError> {
    let fail = |operation| move |source: io::Error| IpcError::os(operation, path.display(), source);
    let metadata = std::fs::symlink_metadata(path).map_err(fail("examine"))?;
    // Connecting to a plain file is refused too, so this must come first.
    if !metadata.file_type().is_socket() {
        return Err(fail("replace (it is no socket, remove it by hand)")(
            io::ErrorKind::AlreadyExists.into(),
        ));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)
            .map_err(|source| IpcError::os("remove the abandoned", path.display(), source)),
        Ok(_) => Err(IpcError::InUse {
            path: path.to_owned(),
        }),
        Err(source) => Err(IpcError::os("replace", path.display(), source)),
    }
}

/// Makes sure that `path` is a directory which this user owns and nobody else may enter, creating it (mode 0700) when
/// it is absent.
///
/// # Errors
/// [`IpcError::Directory`] when it exists and is not private, [`IpcError::Os`].
pub fn private_directory(path: &Path) -> Result<(), IpcError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(IpcError::os("create directory", path.display(), error))
        }
        _ => check_private(path),
    }
}

fn check_private(path: &Path) -> Result<(), IpcError> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let metadata = std::fs::symlink_metadata(path)
        .map_err(|source| IpcError::os("examine directory", path.display(), source))?;
    let refuse = |fault: String| {
        Err(IpcError::Directory {
            path: path.to_owned(),
            fault,
        })
    };
    if !metadata.is_dir() {
        return refuse("is a link or no directory".to_owned());
    }
    if metadata.uid() != geteuid().as_raw() {
        return refuse(format!("belongs to user {}", metadata.uid()));
    }
    if metadata.mode() & 0o077 != 0 {
        return refuse(format!("has mode {:04o}", metadata.mode() & 0o7777));
    }
    Ok(())
}
