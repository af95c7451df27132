//! Where sockets may stand: `ipc://` in a directory that is ours alone.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::MessagingError;
use crate::limits::SOCKET_PATH_BYTES_MAX;

/// The permission bits of a socket directory.
const PRIVATE: u32 = 0o700;

/// ZeroMQ's state of this process. Clones share it.
#[derive(Clone, Default)]
pub struct Context(zmq::Context);

impl Context {
    /// A new one; a process needs one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn socket(&self, kind: zmq::SocketType) -> Result<zmq::Socket, MessagingError> {
        self.0
            .socket(kind)
            .map_err(MessagingError::socket("open a socket"))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Context")
    }
}

/// A directory that only our own user may enter: what authenticates a peer on the same host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketDirectory {
    path: PathBuf,
}

impl SocketDirectory {
    /// The directory, made with mode 0700 where it is absent.
    ///
    /// # Errors
    /// As [`SocketDirectory::open`].
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, MessagingError> {
        let path = path.into();
        match DirBuilder::new().mode(PRIVATE).create(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(MessagingError::Directory { path, source })
            }
            _ => Self::open(path),
        }
    }

    /// The directory that stands there.
    ///
    /// # Errors
    /// [`MessagingError::Directory`] when it cannot be read; [`MessagingError::NotPrivate`] when it is a link, not
    /// a directory, another user's, or when group or others have any permission on it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, MessagingError> {
        let directory = Self { path: path.into() };
        directory.check()?;
        Ok(directory)
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The endpoint of a socket in it.
    ///
    /// # Errors
    /// [`MessagingError::SocketName`] for a name that is not a plain file name; [`MessagingError::Scheme`] when the
    /// directory's path is not absolute; [`MessagingError::PathTooLong`] past the kernel's limit;
    /// [`MessagingError::NotText`] when it is not UTF-8.
    pub fn endpoint(&self, name: &str) -> Result<Endpoint, MessagingError> {
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if name.is_empty() || name.starts_with('.') || !plain {
            return Err(MessagingError::SocketName(name.to_owned()));
        }
        let path = self.path.join(name);
        let Some(text) = path.to_str() else {
            return Err(MessagingError::NotText(path));
        };
        if !path.is_absolute() {
            return Err(MessagingError::Scheme(text.to_owned()));
        }
        if text.len() > SOCKET_PATH_BYTES_MAX {
            let length = text.len();
            return Err(MessagingError::PathTooLong { path, length });
        }
        Ok(Endpoint {
            address: format!("ipc://{text}"),
            directory: self.clone(),
        })
    }

    pub(crate) fn check(&self) -> Result<(), MessagingError> {
        let metadata = fs::symlink_metadata(&self.path).map_err(|source| MessagingError::Directory {
            path: self.path.clone(),
            source,
        })?;
        let ours = rustix::process::geteuid().as_raw();
        let mode = metadata.mode() & 0o7777;
        let fault = if metadata.is_symlink() {
            "it is a symbolic link".to_owned()
        } else if !metadata.is_dir() {
            "it is not a directory".to_owned()
        } else if metadata.uid() != ours {
            format!("it belongs to user {}, we are {ours}", metadata.uid())
        } else if mode & 0o777 != PRIVATE {
            format!("its mode is {mode:04o}")
        } else {
            return Ok(());
        };
        Err(MessagingError::NotPrivate {
            path: self.path.clone(),
            fault,
        })
    }
}

/// A place for a socket, in a directory that was found private.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    address: String,
    directory: SocketDirectory,
}

impl Endpoint {
    /// From text such as `ipc:///run/user/1000/py_rt/command.sock`. The directory is checked.
    ///
    /// # Errors
    /// [`MessagingError::TcpRefused`] for `tcp://`: without CURVE anybody who reaches the port could read, and this
    /// build's libzmq has no CURVE. [`MessagingError::Scheme`] for every other transport and for relative, abstract
    /// or wildcard paths; else as [`SocketDirectory::open`] and [`SocketDirectory::endpoint`].
    pub fn parse(text: &str) -> Result<Self, MessagingError> {
        if text.starts_with("tcp://") {
            let curve = if zmq::has("curve") == Some(true) {
                "does not configure it"
            } else {
                "has no CURVE"
            };
            let endpoint = text.to_owned();
            return Err(MessagingError::TcpRefused { endpoint, curve });
        }
        let unusable = || MessagingError::Scheme(text.to_owned());
        let path = Path::new(text.strip_prefix("ipc://").ok_or_else(unusable)?);
        if !path.is_absolute() {
            return Err(unusable());
        }
        let (parent, name) = path.parent().zip(path.file_name()).ok_or_else(unusable)?;
        SocketDirectory::open(parent)?.endpoint(name.to_str().ok_or_else(unusable)?)
    }

    /// The text form, as clients take it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// Binds after looking at the directory once more: time may have passed since it was checked.
    pub(crate) fn bind(&self, socket: &zmq::Socket) -> Result<(), MessagingError> {
        self.directory.check()?;
        socket
            .bind(&self.address)
            .map_err(MessagingError::socket("bind the socket"))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.address)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn private() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        set_mode(folder.path(), PRIVATE);
        folder
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    }

    #[test]
    fn any_permission_of_group_or_others_is_refused() {
        let folder = private();
        assert!(SocketDirectory::open(folder.path()).is_ok());
        for mode in [0o710, 0o701, 0o770, 0o777, 0o740, 0o500, 0o600] {
            set_mode(folder.path(), mode);
            let refused = SocketDirectory::open(folder.path());
            assert!(
                matches!(refused, Err(MessagingError::NotPrivate { .. })),
                "{mode:o}"
            );
        }
        set_mode(folder.path(), PRIVATE);
    }

    #[test]
    fn links_files_and_nothing_are_refused() {
        let folder = private();
        let link = folder.path().join("link");
        symlink(folder.path(), &link).expect("a link");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("a file");
        for path in [link, file] {
            let refused = SocketDirectory::open(&path);
            assert!(
                matches!(refused, Err(MessagingError::NotPrivate { .. })),
                "{path:?}"
            );
        }
        let absent = SocketDirectory::open(folder.path().join("absent"));
        assert!(matches!(absent, Err(MessagingError::Directory { .. })));
    }

    #[test]
    fn a_made_directory_is_private_and_a_standing_one_is_checked() {
        let folder = private();
        let path = folder.path().join("sockets");
        let made = SocketDirectory::create(&path).expect("made");
        assert_eq!(fs::metadata(made.path()).expect("stands").mode() & 0o777, PRIVATE);
        set_mode(&path, 0o755);
        assert!(matches!(
            SocketDirectory::create(&path),
            Err(MessagingError::NotPrivate { .. })
        ));
    }

    #[test]
    fn only_plain_names_and_paths_that_fit_become_endpoints() {
        let folder = private();
        let directory = SocketDirectory::open(folder.path()).expect("private");
        let endpoint = directory.endpoint("command.sock").expect("plain");
        assert_eq!(Endpoint::parse(endpoint.as_str()).expect("the same"), endpoint);
        for name in ["", "..", ".hidden", "a/b", "a b", "*", "@x"] {
            assert!(
                matches!(directory.endpoint(name), Err(MessagingError::SocketName(_))),
                "{name}"
            );
        }
        let long = "x".repeat(SOCKET_PATH_BYTES_MAX);
        assert!(matches!(
            directory.endpoint(&long),
            Err(MessagingError::PathTooLong { .. })
        ));
    }

    #[test]
    fn tcp_and_other_transports_are_refused() {
        let tcp = Endpoint::parse("tcp://127.0.0.1:5555");
        assert!(matches!(tcp, Err(MessagingError::TcpRefused { .. })));
        for text in [
            "inproc://x",
            "ipc://",
            "ipc://*",
            "ipc://@abstract",
            "ipc://relative/x",
            "/tmp/x",
            "udp://x",
            "ipc:///",
        ] {
            assert!(
                matches!(Endpoint::parse(text), Err(MessagingError::Scheme(_))),
                "{text}"
            );
        }
    }
}
