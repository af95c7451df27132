//! Strangers at every door: a hostile server, a hostile client, a hostile writer.

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering as StdOrdering};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::{Errno, pwrite};
use tempfile::TempDir;

use super::mapping::WriteMapping;
use super::segment::{ClientAccess, OwnedSegment, SegmentSpec};
use super::server::send_descriptor;
use super::wire::{Deadline, QUESTION_BYTES, Status, answer, question};
use super::{Attachment, MAX_SEGMENTS, SegmentRegistry, SegmentServer, Served, attach, private_directory};
use crate::atomics::{Access, Ordering, Words};
use crate::error::IpcError;
use crate::layout::{HEADER_BYTES, Header, LayoutFault, SegmentKind};
use crate::record::ROW_BYTES;
use crate::ring_buffer::{RingReader, RingWriter};

const RING: SegmentSpec = SegmentSpec {
    kind: SegmentKind::Ring,
    capacity: 8,
    epoch: 1,
    access: ClientAccess::Read,
};

/// Longest any of these tests waits for another thread.
const PATIENCE: Duration = Duration::from_mins(1);

fn home() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    private_directory(&home.path().join("run")).unwrap();
    let socket = home.path().join("run/x.sock");
    (home, socket)
}

fn wanted(socket: &Path) -> Attachment<'_> {
    Attachment {
        socket,
        name: "market",
        kind: SegmentKind::Ring,
    }
}

/// Attaches to a server that answers one connection with `reply`.
fn attach_to(reply: impl FnOnce(UnixStream) + Send) -> IpcError {
    let (_home, socket) = home();
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; QUESTION_BYTES]).unwrap();
            reply(stream);
        });
        attach(wanted(&socket)).map(drop).unwrap_err()
    })
}

/// Attaches to a server that grants `fd`.
fn attach_to_descriptor(fd: OwnedFd) -> IpcError {
    attach_to(move |stream| {
        send_descriptor(
            Deadline::start(),
            &stream,
            &answer(Status::Granted, ""),
            fd.as_fd(),
        )
        .unwrap();
    })
}

/// A memory file with this header, size and these seals.
fn forged(header: &[u8], size: u64, seals: SealFlags) -> OwnedFd {
    let fd = memfd_create("forged", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&fd, size).unwrap();
    pwrite(&fd, header, 0).unwrap();
    fcntl_add_seals(&fd, seals).unwrap();
    fd
}

fn good_seals() -> SealFlags {
    SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL | SealFlags::FUTURE_WRITE
}

fn good_header() -> [u8; HEADER_BYTES] {
    Header {
        kind: SegmentKind::Ring,
        capacity: 8,
        writer_pid: 1,
        epoch: 1,
    }
    .encode()
}

#[test]
fn a_server_that_sends_nonsense_is_refused() {
    let garbage = attach_to(|mut stream| stream.write_all(&[7; 1024]).unwrap());
    assert!(matches!(garbage, IpcError::Protocol { .. }), "{garbage}");
    let no_descriptor = attach_to(|mut stream| stream.write_all(&answer(Status::Granted, "")).unwrap());
    assert!(
        matches!(no_descriptor, IpcError::Protocol { .. }),
        "{no_descriptor}"
    );
    let refusal = attach_to(|mut stream| stream.write_all(&answer(Status::Malformed, "")).unwrap());
    assert!(matches!(refusal, IpcError::Protocol { .. }), "{refusal}");
    let gone = attach_to(drop);
    assert!(matches!(gone, IpcError::Os { .. }), "{gone}");
    let short = attach_to(|mut stream| stream.write_all(&[0; 10]).unwrap());
    assert!(matches!(short, IpcError::Os { .. }), "{short}");
}

#[test]
fn a_server_that_never_answers_costs_a_bounded_time() {
    // Holds the connection open until the client gives up and closes it.
    let silent = attach_to(|mut stream| assert!(matches!(stream.read(&mut [0]), Ok(0))));
    assert!(matches!(silent, IpcError::Timeout { .. }), "{silent}");
}

#[test]
fn memory_that_could_be_pulled_away_or_written_is_refused() {
    let size = SegmentKind::Ring.segment_bytes(8);
    let file = File::from(memfd_create("plain", MemfdFlags::CLOEXEC).unwrap());
    let unsealable = attach_to_descriptor(file.into());
    assert!(matches!(unsealable, IpcError::Seals { .. }), "{unsealable}");
    let on_disk = attach_to_descriptor(tempfile::tempfile().unwrap().into());
    assert!(matches!(on_disk, IpcError::Seals { .. }), "{on_disk}");
    for missing in [
        SealFlags::SHRINK,
        SealFlags::GROW,
        SealFlags::FUTURE_WRITE,
        SealFlags::SEAL,
    ] {
        let refused = attach_to_descriptor(forged(&good_header(), size, good_seals() - missing));
        assert!(
            matches!(refused, IpcError::Seals { .. }),
            "without {missing:?}: {refused}"
        );
    }
    let sealed_shut = attach_to_descriptor(forged(&good_header(), size, good_seals() | SealFlags::WRITE));
    assert!(matches!(sealed_shut, IpcError::Seals { .. }), "{sealed_shut}");
}

#[test]
fn memory_with_another_layout_or_size_is_refused_before_it_is_mapped() {
    let size = SegmentKind::Ring.segment_bytes(8);
    let fault = |header: &[u8], size| match attach_to_descriptor(forged(header, size, good_seals())) {
        IpcError::Layout { fault, .. } => fault,
        other => panic!("{other}"),
    };
    assert!(matches!(
        fault(&[0; HEADER_BYTES], size),
        LayoutFault::Magic { .. }
    ));
    assert!(matches!(
        fault(&good_header()[..16], 16),
        LayoutFault::Size { .. }
    ));
    assert!(matches!(
        fault(&good_header(), size - 8),
        LayoutFault::SizeMismatch { .. }
    ));
    assert!(matches!(
        fault(&good_header(), size * 2),
        LayoutFault::SizeMismatch { .. }
    ));
    let mut other_build = good_header();
    other_build[8] ^= 1;
    assert!(matches!(fault(&other_build, size), LayoutFault::Layout { .. }));
    let mut huge = good_header();
    huge[40..48].copy_from_slice(&(1u64 << 60).to_le_bytes());
    assert!(matches!(fault(&huge, size), LayoutFault::Slots { .. }));
    let table = Header {
        kind: SegmentKind::Table,
        capacity: 8,
        writer_pid: 1,
        epoch: 1,
    }
    .encode();
    assert!(matches!(fault(&table, size), LayoutFault::Kind { .. }));
}

#[test]
fn the_kernel_refuses_a_client_that_truncates_grows_or_writes() {
    let segment = OwnedSegment::writable("market", RING).unwrap();
    // What a client holds is this very descriptor, duplicated.
    let fd = segment.descriptor().try_clone_to_owned().unwrap();
    let size = SegmentKind::Ring.segment_bytes(8);
    for len in [0, size - 1, size + 1] {
        assert_eq!(ftruncate(&fd, len), Err(Errno::PERM), "{len}");
    }
    assert_eq!(pwrite(&fd, &[0], 0), Err(Errno::PERM));
    assert!(WriteMapping::map(fd.as_fd(), 1, "market").is_err());
    assert_eq!(fcntl_add_seals(&fd, SealFlags::WRITE), Err(Errno::PERM));
    // The writer's own mapping still works.
    segment.heartbeat();
}

#[test]
fn a_client_of_a_request_segment_can_write_but_not_truncate() {
    let spec = SegmentSpec {
        kind: SegmentKind::ParameterRequest,
        capacity: 1,
        epoch: 1,
        access: ClientAccess::Write,
    };
    let segment = OwnedSegment::readable("params.request", spec).unwrap();
    let fd = segment.descriptor().try_clone_to_owned().unwrap();
    assert!(WriteMapping::map(fd.as_fd(), 1, "params.request").is_ok());
    assert_eq!(ftruncate(&fd, 0), Err(Errno::PERM));
    assert_eq!(
        fcntl_add_seals(&fd, SealFlags::FUTURE_WRITE),
        Err(Errno::PERM),
        "nobody can lock clients out"
    );
}

/// One exchange with a real server; `client` is what the client does.
fn serve<T: Send>(server: &SegmentServer, client: impl FnOnce(&Path) -> T + Send) -> (Served, T) {
    std::thread::scope(|scope| {
        let client = scope.spawn(|| client(server.path()));
        let served = server.serve_once(Some(PATIENCE)).unwrap();
        (served, client.join().unwrap())
    })
}

#[test]
fn a_client_that_misbehaves_is_turned_away_and_the_server_goes_on() {
    let (_home, socket) = home();
    let server = SegmentServer::bind(&socket).unwrap();
    let segment = OwnedSegment::writable("market", RING).unwrap();
    server.registry().offer("market", segment.descriptor()).unwrap();
    assert_eq!(server.serve_once(Some(Duration::ZERO)).unwrap(), Served::Idle);

    let refused = |served: Served, words: &str| match served {
        Served::Refused { reason } => assert!(reason.contains(words), "{reason}"),
        other => panic!("{other:?}"),
    };
    let garbage =
        |path: &Path| UnixStream::connect(path).and_then(|mut peer| peer.write_all(&[9; QUESTION_BYTES]));
    refused(serve(&server, garbage).0, "not a question");
    let half = |path: &Path| UnixStream::connect(path).and_then(|mut peer| peer.write_all(&[9; 3]));
    refused(serve(&server, half).0, "cannot exchange");
    // Stays connected and says nothing until the server closes.
    let silent = |path: &Path| assert!(matches!(UnixStream::connect(path).unwrap().read(&mut [0]), Ok(0)));
    refused(serve(&server, silent).0, "cannot exchange");

    let (served, error) = serve(&server, |socket| {
        attach(Attachment {
            socket,
            name: "fills",
            kind: SegmentKind::Ring,
        })
        .map(drop)
        .unwrap_err()
    });
    refused(served, "unknown fills");
    assert!(error.to_string().ends_with("offered are market"), "{error}");

    let (served, attached) = serve(&server, |socket| attach(wanted(socket)).unwrap());
    assert!(matches!(served, Served::Granted { .. }), "{served:?}");
    assert_eq!(attached.header.epoch, 1);
}

#[test]
fn only_a_private_directory_will_do() {
    let home = tempfile::tempdir().unwrap();
    let open = home.path().join("open");
    private_directory(&open).unwrap();
    std::fs::set_permissions(&open, Permissions::from_mode(0o750)).unwrap();
    for error in [
        private_directory(&open).unwrap_err(),
        SegmentServer::bind(&open.join("x.sock")).map(drop).unwrap_err(),
    ] {
        assert!(error.to_string().contains("has mode 0750"), "{error}");
    }
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&open, &link).unwrap();
    assert!(matches!(
        private_directory(&link),
        Err(IpcError::Directory { .. })
    ));
    let deep = home.path().join("d".repeat(120));
    assert!(matches!(
        SegmentServer::bind(&deep),
        Err(IpcError::PathTooLong { .. })
    ));
}

#[test]
fn a_live_socket_is_not_taken_over_and_an_abandoned_one_is() {
    let (_home, socket) = home();
    // A listener that is gone leaves its socket file behind.
    drop(UnixListener::bind(&socket).unwrap());
    let first = SegmentServer::bind(&socket).unwrap();
    assert!(matches!(
        SegmentServer::bind(&socket),
        Err(IpcError::InUse { .. })
    ));
    drop(first);
    assert!(!socket.exists(), "a server removes its own socket");
    std::fs::write(&socket, "not a socket").unwrap();
    assert!(SegmentServer::bind(&socket).is_err());
    assert!(socket.exists(), "what is no socket is not removed");
}

#[test]
fn the_registry_is_bounded_and_replaces_by_name() {
    let registry = SegmentRegistry::new();
    let segment = OwnedSegment::writable("market", RING).unwrap();
    for i in 0..MAX_SEGMENTS {
        registry.offer(&format!("s{i}"), segment.descriptor()).unwrap();
    }
    registry.offer("s0", segment.descriptor()).unwrap();
    let full = registry.offer("one-more", segment.descriptor());
    assert!(matches!(full, Err(IpcError::TooManySegments { .. })));
    assert!(registry.withdraw("s0") && !registry.withdraw("s0"));
    registry.offer("one-more", segment.descriptor()).unwrap();
    assert_eq!(registry.names().len(), MAX_SEGMENTS);
}

#[test]
fn capacities_and_names_are_checked() {
    for capacity in [0, 4, 12, 1 << 21] {
        let error = RingWriter::create("market", capacity, 1).map(drop).unwrap_err();
        assert!(matches!(error, IpcError::Capacity { .. }), "{capacity}");
    }
    assert!(matches!(
        RingWriter::create("Market", 8, 1),
        Err(IpcError::Name(_))
    ));
    assert!(question("a/b").is_err());
}

/// Ends the other thread however this one ends.
struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, StdOrdering::Relaxed);
    }
}

/// A thread that rewrites every word of the segment without pause, header included, against a reader that polls.
#[test]
fn a_hostile_writer_cannot_crash_or_stall_a_reader() {
    let (_home, socket) = home();
    let server = SegmentServer::bind(&socket).unwrap();
    let segment = OwnedSegment::writable("market", RING).unwrap();
    server.registry().offer("market", segment.descriptor()).unwrap();
    let (_, mut reader) = serve(&server, |socket| RingReader::attach(socket, "market").unwrap());
    let done = AtomicBool::new(false);
    let (mut polls, mut faults) = (0u32, 0u32);
    std::thread::scope(|scope| {
        let words = segment.words();
        let done = &done;
        scope.spawn(move || {
            let mut state = 88_172_645_463_325_252u64;
            while !done.load(StdOrdering::Relaxed) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                // Mostly values near the valid ones: they get deepest.
                let value = if state.is_multiple_of(4) {
                    state
                } else {
                    state % 64
                };
                let count = words.count();
                // The epoch word now and then only: a changed epoch ends the poll before it begins.
                let choice = usize::try_from(state >> 32).unwrap();
                let at = if state.is_multiple_of(64) {
                    choice % count
                } else {
                    16 + choice % (count - 16)
                };
                let value = if at == 7 { 1 + value % 2 } else { value };
                words.span(at, 1, Access::granted())[0].store(value, Ordering::Relaxed);
            }
        });
        let _finish = Finish(done);
        let mut rows = [0; 16 * ROW_BYTES];
        let started = Instant::now();
        // Until it was noticed as well: on a busy machine its thread may start late.
        while polls < 200_000 || faults == 0 {
            assert!(
                started.elapsed() < PATIENCE,
                "the hostile writer was never noticed"
            );
            polls += 1;
            match reader.poll_into(&mut rows) {
                Ok(result) => assert!(result.records <= 16),
                Err(IpcError::Ring { .. } | IpcError::EpochChanged { .. }) => faults += 1,
                Err(other) => panic!("{other}"),
            }
        }
    });
}
