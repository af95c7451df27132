//! Every command's bytes, held to the file that the other language is held to as well.

use std::fmt::Write;
use std::path::Path;

use domain::Timestamp;

use crate::samples::{INSTANCE, SOON, commands, id, pair, role_for};

/// One line a command: its name, then the unsigned body and the signed message in hexadecimal digits. The signature
/// is the deterministic one of RFC 6979, so the bytes are the same on every machine.
fn lines() -> String {
    let mut text = String::from("# command body message\n");
    for (number, (name, command)) in (1..).zip(commands()) {
        let id = id(&format!("golden-{number}"));
        let body = messaging::protocol::encode_command(&id, &command);
        let expires = Timestamp::from_nanos(SOON.nanos());
        let message = pair(role_for(&command))
            .signer()
            .sign(INSTANCE, number, expires, &id, &command);
        writeln!(text, "{name} {} {}", hex::encode(body), hex::encode(message)).expect("text");
    }
    text
}

#[test]
fn commands_have_the_bytes_of_the_golden_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/contract/commands/golden.txt");
    if std::env::var_os("PY_RT_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, lines()).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file stands");
    for (ours, theirs) in lines().lines().zip(golden.lines()) {
        assert_eq!(
            ours, theirs,
            "if this change is meant, write the file anew with PY_RT_WRITE_GOLDEN=1"
        );
    }
    assert_eq!(lines().len(), golden.len(), "a command is missing on one side");
}
