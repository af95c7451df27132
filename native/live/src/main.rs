//! The only service: clock, environment, threads, sockets.

use std::io::Write;
use std::process::ExitCode;

/// Says its version; everything else is refused until the service stands.
fn main() -> ExitCode {
    let asked_version = std::env::args()
        .nth(1)
        .is_some_and(|argument| argument == "--version");
    if asked_version {
        let line = concat!("py_rt_live ", env!("CARGO_PKG_VERSION"), "\n");
        let written = std::io::stdout().write_all(line.as_bytes());
        return if written.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let refusal = b"py_rt_live: this build has no trading service yet; only --version answers\n";
    // Nothing is left to do when even the refusal cannot be written: the exit status says it.
    let _ = std::io::stderr().write_all(refusal);
    ExitCode::from(2)
}
