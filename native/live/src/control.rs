//! The second path into the service: a local socket of its own thread, which needs neither ZeroMQ nor tokio nor a disk.
//!
//! One line in, one line of JSON out, then the connection is closed:
//!
//! ```text
//! kill      every order stops at once; then the engine is told, cancels and latches
//! status    what is in force
//! watch     the same, asked by a watchdog
//! ```
//!
//! The socket stands in the run folder, which only its owner may enter, and the kernel says who is at the other end:
//! only the same user is heard.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle, Scope};
use std::time::{Duration, Instant};

use domain::Epoch;
use ipc::shared_memory::check_user;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;
use serde_json::json;
use tracing::{error, warn};

use crate::error::LiveError;
use crate::fact::{Answer, CommandOutcome, Fact, FactSender, Full};
use crate::monitoring::Counters;
use crate::stop_latch::StopLatch;

/// The socket in the run folder.
pub const SOCKET: &str = "control.sock";

/// How often the thread looks whether it is to end.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Longest line, bytes.
const LINE_BYTES_MAX: usize = 64;

/// Clients that are heard side by side; one more is heard by the listener itself.
const CLIENTS_MAX: usize = 128;

/// Longest wait for a client's line, and for it to take the answer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(1);

/// Longest wait for the engine to hear of a kill.
const ENGINE_PATIENCE: Duration = Duration::from_secs(1);

/// Pause between two tries to tell an engine whose queue is full.
const QUEUE_RETRY: Duration = Duration::from_millis(1);

/// What the thread works with.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) latch: StopLatch,
    pub(crate) facts: FactSender,
    pub(crate) counters: Arc<Counters>,
    pub(crate) epoch: Epoch,
}

/// The listening thread; ends when this is dropped.
#[derive(Debug)]
pub(crate) struct ControlDoor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl ControlDoor {
    /// Listens in the run folder, whose lock this process holds: a socket that is there is a dead one's.
    pub(crate) fn open(folder: &Path, control: Control) -> Result<Self, LiveError> {
        let path = folder.join(SOCKET);
        let fail = |action| {
            let path = path.clone();
            move |source: io::Error| LiveError::File { action, path, source }
        };
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail("replace")(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(fail("listen on"))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(fail("restrict"))?;
        listener.set_nonblocking(true).map_err(fail("configure"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || control.listen(&listener, &asked))
            .map_err(fail("serve"))?;
        Ok(Self {
            stop,
            thread: Some(thread),
            path,
        })
    }
}

impl Drop for ControlDoor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing to add.
            let _ = thread.join();
        }
        // A file that is left is replaced by the next life.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Control {
    fn listen(&self, listener: &UnixListener, asked_to_stop: &AtomicBool) {
        let busy = AtomicUsize::new(0);
        // Every client is let go within its patience, so the end waits no longer than that.
        thread::scope(|scope| self.let_in(scope, &busy, listener, asked_to_stop));
    }

    fn let_in<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        busy: &'scope AtomicUsize,
        listener: &UnixListener,
        asked_to_stop: &AtomicBool,
    ) {
        let mut spare = spare_descriptor();
        while !asked_to_stop.load(Ordering::Acquire) {
            let mut watched = [PollFd::new(listener, PollFlags::IN)];
            match poll(&mut watched, Some(&LOOK_EVERY)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => {
                    error!(%error, "the local control socket is gone");
                    return;
                }
            }
            match listener.accept() {
                Ok((stream, _)) => self.hand_on(scope, busy, stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    // Descriptors have run out; a stop must be heard all the same.
                    error!(%error, "a client of the local control socket was not let in at once");
                    drop(spare.take());
                    if let Ok((stream, _)) = listener.accept() {
                        self.answer(&stream);
                    }
                    spare = spare_descriptor();
                }
            }
        }
    }

    /// Hears a client on a thread of its own: one who says nothing keeps nobody waiting.
    fn hand_on<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        busy: &'scope AtomicUsize,
        stream: UnixStream,
    ) {
        if busy.fetch_add(1, Ordering::SeqCst) >= CLIENTS_MAX {
            self.answer(&stream);
            busy.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        scope.spawn(move || {
            self.answer(&stream);
            busy.fetch_sub(1, Ordering::SeqCst);
        });
    }

    fn answer(&self, stream: &UnixStream) {
        if let Err(error) = self.serve(stream) {
            warn!(%error, "a client of the local control socket");
        }
    }

    fn serve(&self, stream: &UnixStream) -> io::Result<()> {
        let peer = socket_peercred(stream)?;
        let own = rustix::process::geteuid().as_raw();
        check_user(peer.uid.as_raw(), own).map_err(io::Error::other)?;
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(CLIENT_PATIENCE))?;
        let line = read_line(stream, Instant::now() + CLIENT_PATIENCE)?;
        let answer = match line.trim() {
            "kill" => {
                warn!(
                    pid = peer.pid.as_raw_nonzero().get(),
                    "kill by the local control socket"
                );
                self.kill()
            }
            "status" => self.status(),
            "watch" => {
                self.counters.watchdog_looks.add_one();
                self.status()
            }
            _ => json!({"ok": false, "error": "unknown command: allowed are kill, status and watch"}),
        };
        let mut stream = stream;
        writeln!(stream, "{answer}")
    }

    fn kill(&self) -> serde_json::Value {
        self.latch.kill_before_the_engine_hears();
        self.counters.commands.add_one();
        match self.tell_engine() {
            Some(Ok(())) => json!({"ok": true, "stopped": true, "latched": true}),
            Some(Err(refusal)) => {
                json!({"ok": true, "stopped": true, "latched": false, "error": format!("{refusal:?}")})
            }
            None => json!({
                "ok": true, "stopped": true, "latched": false,
                "error": "no order leaves, but the engine has not answered: working orders may rest at the venue",
            }),
        }
    }

    /// `None` when the engine did not answer in time.
    fn tell_engine(&self) -> CommandOutcome {
        let (answer, heard) = sync_channel(1);
        let mut fact = Fact::Kill(Answer::new(move |result| {
            // Whoever waited may have given up.
            let _ = answer.try_send(result);
        }));
        let deadline = Instant::now() + ENGINE_PATIENCE;
        loop {
            match self.facts.try_send(fact) {
                Ok(()) => break,
                Err(Full(back)) if Instant::now() < deadline => {
                    fact = back;
                    thread::park_timeout(QUEUE_RETRY);
                }
                Err(Full(_)) => return None,
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // No answer in time and an engine that is gone are the same to whoever asked.
        heard.recv_timeout(left).unwrap_or_default()
    }

    fn status(&self) -> serde_json::Value {
        json!({
            "ok": true,
            "pid": std::process::id(),
            "epoch": self.epoch.0,
            "rounds": self.counters.rounds.get(),
            "stopped": !self.latch.lets_anything_out(),
            "venue_online": self.counters.venue_online.get() == 1,
            "reconciled": self.counters.reconciled.get() == 1,
            "orders_open": self.counters.orders_open.get(),
        })
    }
}

/// A descriptor to let go of when none is left.
fn spare_descriptor() -> Option<File> {
    File::open("/dev/null").ok()
}

/// A client's line, whole by the deadline however slowly it comes.
fn read_line(mut stream: &UnixStream, deadline: Instant) -> io::Result<String> {
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    let mut byte = [0];
    while line.len() < LINE_BYTES_MAX && byte[0] != b'\n' {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        if stream.read(&mut byte)? == 0 {
            break;
        }
        line.push(byte[0]);
    }
    String::from_utf8(line).map_err(io::Error::other)
}
