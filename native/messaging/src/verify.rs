//! Whether a command is genuine, allowed, meant for us, in time and new. Nothing here does I/O.

use std::collections::BTreeMap;

use domain::Timestamp;
use sha2::{Digest, Sha256};

use crate::ack::{Origin, Refusal, RefusalReason};
use crate::command::{Command, CommandRef};
use crate::error::MessagingError;
use crate::keys::{KeyId, Keyring};
use crate::limits::{COMMAND_BYTES_MAX, COMMAND_VALIDITY_MAX, INSTANCE_BYTES_MAX};
use crate::protocol::{ProtocolError, decode_command, decode_signed};
use crate::role::Role;
use crate::signing::{is_signed_by, signed_bytes};

/// A command that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCommand {
    /// Which command, from whom.
    pub reference: CommandRef,
    /// The sender's role.
    pub role: Role,
    /// When it would have been refused as too old.
    pub expires: Timestamp,
    /// What to do.
    pub command: Command,
    /// The message as it came, signature included: evidence that anybody with the public key can check.
    pub signed: Vec<u8>,
}

/// A command whose signature, content and role held. Not yet known: for us, in time, new.
#[derive(Debug)]
pub(crate) struct Genuine {
    pub(crate) command: VerifiedCommand,
    /// SHA-256 of what was signed: the same for a repeat, whatever its signature's random part.
    pub(crate) content: [u8; 32],
    instance: String,
}

/// Judges messages, and remembers each key's highest counter.
#[derive(Debug)]
pub struct Verifier {
    instance: String,
    keyring: Keyring,
    floors: BTreeMap<KeyId, u64>,
}

impl Verifier {
    /// For the service `instance`, obeying `keyring`. `floors` are the counters that the durable record has seen, in
    /// any order; the highest of a key counts.
    ///
    /// # Errors
    /// [`MessagingError::Instance`] for a name that is not 1 to 64 printable ASCII characters without spaces.
    pub fn new(
        instance: impl Into<String>,
        keyring: Keyring,
        floors: impl IntoIterator<Item = (KeyId, u64)>,
    ) -> Result<Self, MessagingError> {
        let mut verifier = Self {
            instance: checked_instance(instance.into())?,
            keyring,
            floors: BTreeMap::new(),
        };
        for (key, counter) in floors {
            verifier.raise(key, counter);
        }
        Ok(verifier)
    }

    /// New keys to obey; the counters of those that come back are still known.
    pub fn set_keyring(&mut self, keyring: Keyring) {
        self.keyring = keyring;
    }

    /// The service it judges for.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Judges a message at the wall-clock time `now`. One that passes raises its key's counter.
    ///
    /// # Errors
    /// The first thing that is wrong with it, in the order of [`RefusalReason`].
    pub fn verify(&mut self, message: &[u8], now: Timestamp) -> Result<VerifiedCommand, Refusal> {
        let genuine = self.authenticate(message)?;
        self.admit(genuine, now)
    }

    /// Size, encoding, key, signature, content, role.
    pub(crate) fn authenticate(&self, message: &[u8]) -> Result<Genuine, Refusal> {
        if message.len() > COMMAND_BYTES_MAX {
            let text = format!("{} bytes; at most {COMMAND_BYTES_MAX} are read", message.len());
            return Err(refuse(Origin::default(), RefusalReason::TooLarge, text));
        }
        let parts = decode_signed(message)
            .map_err(|error| refuse(Origin::default(), RefusalReason::Malformed, error.to_string()))?;
        let mut origin = Origin {
            key: Some((parts.key_id, parts.counter)),
            command_id: None,
        };
        let Some(key) = self.keyring.get(parts.key_id) else {
            let text = format!("{:?} is not trusted by this service", parts.key_id);
            return Err(refuse(origin, RefusalReason::UnknownKey, text));
        };
        let content = signed_bytes(&parts);
        if !is_signed_by(key, &content, &parts.signature) {
            let text = "the signature does not fit key and content".to_owned();
            return Err(refuse(origin, RefusalReason::BadSignature, text));
        }
        let (command_id, command) =
            decode_command(&parts.body).map_err(|error| unreadable(origin, &error))?;
        origin.command_id = Some(command_id);
        let (role, kind) = (key.role(), command.kind());
        if !role.may(kind) {
            let text = format!("the key's role is {role}, which may not send {kind}");
            return Err(refuse(origin, RefusalReason::RoleNotAllowed, text));
        }
        Ok(Genuine {
            command: VerifiedCommand {
                reference: CommandRef {
                    key_id: parts.key_id,
                    counter: parts.counter,
                    command_id,
                },
                role,
                expires: Timestamp::from_nanos(parts.expires),
                command,
                signed: message.to_vec(),
            },
            content: Sha256::digest(&content).into(),
            instance: parts.instance,
        })
    }

    /// Instance, expiry, counter.
    pub(crate) fn admit(&mut self, genuine: Genuine, now: Timestamp) -> Result<VerifiedCommand, Refusal> {
        self.check_fit(&genuine, now)?;
        let CommandRef { key_id, counter, .. } = genuine.command.reference;
        let floor = self.floors.get(&key_id).copied().unwrap_or(0);
        if counter <= floor {
            let text = format!(
                "counter {counter} is not above {floor}, the highest this service has seen of the key"
            );
            let origin = genuine.command.reference.into();
            return Err(refuse(origin, RefusalReason::CounterReplayed, text));
        }
        self.raise(key_id, counter);
        Ok(genuine.command)
    }

    /// Instance and expiry: what must still hold when a query is run again.
    pub(crate) fn check_fit(&self, genuine: &Genuine, now: Timestamp) -> Result<(), Refusal> {
        let origin = genuine.command.reference.into();
        if genuine.instance != self.instance {
            let text = format!(
                "meant for instance {:?}; this is {:?}",
                genuine.instance, self.instance
            );
            return Err(refuse(origin, RefusalReason::WrongInstance, text));
        }
        let expires = genuine.command.expires;
        if expires <= now {
            let text = format!("expired at {expires}; it is {now} here (seconds, UTC)");
            return Err(refuse(origin, RefusalReason::Expired, text));
        }
        if expires.since(now) > COMMAND_VALIDITY_MAX {
            let bound = COMMAND_VALIDITY_MAX.0 / 1_000_000_000;
            let text = format!("expires at {expires}, more than {bound} s after {now} (seconds, UTC)");
            return Err(refuse(origin, RefusalReason::ExpiryTooFar, text));
        }
        Ok(())
    }

    fn raise(&mut self, key: KeyId, counter: u64) {
        let floor = self.floors.entry(key).or_insert(0);
        *floor = counter.max(*floor);
    }
}

pub(crate) fn checked_instance(name: String) -> Result<String, MessagingError> {
    let printable = name.bytes().all(|b| b.is_ascii_graphic());
    if printable && (1..=INSTANCE_BYTES_MAX).contains(&name.len()) {
        Ok(name)
    } else {
        Err(MessagingError::Instance(name))
    }
}

fn refuse(origin: Origin, reason: RefusalReason, text: String) -> Refusal {
    Refusal { origin, reason, text }
}

fn unreadable(origin: Origin, error: &ProtocolError) -> Refusal {
    let reason = if error.is_malformed() {
        RefusalReason::MalformedBody
    } else {
        RefusalReason::InvalidValue
    };
    refuse(origin, reason, error.to_string())
}
