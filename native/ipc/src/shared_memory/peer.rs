//! Who is at the other end of a socket.

use std::os::unix::net::UnixStream;

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use crate::error::IpcError;

/// The process at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) pid: i32,
}

/// Only the same user may share memory with us: not another user, and not root either when we are not root.
///
/// # Errors
/// [`IpcError::PeerUser`].
pub fn check_user(peer: u32, own: u32) -> Result<(), IpcError> {
    if peer == own {
        Ok(())
    } else {
        Err(IpcError::PeerUser { peer, own })
    }
}

/// The kernel's word on who is at the other end, refused unless it is the same user.
pub(super) fn same_user(stream: &UnixStream) -> Result<Peer, IpcError> {
    let peer =
        socket_peercred(stream).map_err(|source| IpcError::os("identify the peer of", "a socket", source))?;
    check_user(peer.uid.as_raw(), geteuid().as_raw())?;
    Ok(Peer {
        pid: peer.pid.as_raw_pid(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::{check_user, same_user};
    use crate::error::IpcError;

    #[test]
    fn only_the_same_user_passes() {
        assert!(check_user(1000, 1000).is_ok());
        for (peer, own) in [(0, 1000), (1000, 0), (1001, 1000), (u32::MAX, 0)] {
            assert!(
                matches!(check_user(peer, own), Err(IpcError::PeerUser { .. })),
                "{peer} {own}"
            );
        }
    }

    #[test]
    fn the_kernel_names_our_own_process_at_the_other_end_of_a_pair() {
        let (near, _far) = UnixStream::pair().unwrap();
        assert_eq!(
            same_user(&near).unwrap().pid,
            i32::try_from(std::process::id()).unwrap()
        );
    }
}
