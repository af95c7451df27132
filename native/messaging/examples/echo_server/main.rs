//! Both sockets with a service behind them that trades nothing: for the other language's tests, and to try a client.
//!
//! ```text
//! echo_server DIRECTORY INSTANCE EPOCH [ROLE=PUBLIC_KEY_PEM_FILE | floor:KEY_ID=COUNTER]...
//! ```
//! It says on standard output, one JSON object a line, where its sockets are and what came in, and takes lines on
//! standard input: `trades N` publishes so many, `hold` leaves commands unanswered, `release` answers them, `quit`
//! (or the end of the input) ends it. Each line is answered when it is done.

mod arguments;
mod service;

use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::Timestamp;

use crate::arguments::Arguments;
use crate::service::Service;

const TURN: Duration = Duration::from_millis(5);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let mut service = Service::open(arguments)?;
    say(&service.ready())?;
    let requests = lines();
    loop {
        match requests.try_recv() {
            Ok(line) if line == "quit" => return Ok(()),
            Ok(line) => {
                service.obey(&line, now())?;
                say(&serde_json::json!({"done": line}))?;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        if let Some(report) = service.turn(TURN, &now)? {
            say(&report)?;
        }
    }
}

/// The host's wall clock.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

fn say(report: &serde_json::Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{report}")?;
    out.flush()
}

fn lines() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
