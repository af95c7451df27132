//! Every way in which a command can be wrong, each with its own reason.

use domain::{Nanos, Timestamp};
use messaging::{
    COMMAND_BYTES_MAX, COMMAND_VALIDITY_MAX, Command, CommandKind, KeyError, Keyring, MessagingError,
    RefusalReason, Role, Scope, TrustedKey, VerifiedCommand, Verifier,
};
use proptest::prelude::*;

use crate::samples::{INSTANCE, NOW, Pair, SOON, commands, id, keyring, pair, role_for, signed, verifier};

fn verify(message: &[u8]) -> Result<VerifiedCommand, RefusalReason> {
    verifier().verify(message, NOW).map_err(|refusal| refusal.reason)
}

const KILL: Command = Command::Kill { scope: Scope::All };

#[test]
fn every_command_of_a_role_that_may_send_it_passes_with_its_values() {
    for (name, command) in commands() {
        let verified = verify(&signed(9, &command)).expect(name);
        assert_eq!(verified.command, command, "{name}");
        assert_eq!(verified.role, role_for(&command));
        assert_eq!(verified.reference.counter, 9);
        assert_eq!(verified.reference.key_id, pair(verified.role).signer().id());
        assert_eq!(verified.reference.command_id, id("c-1"));
        assert_eq!(verified.expires, SOON);
        assert_eq!(
            verified.signed,
            signed(9, &command),
            "the evidence is the message itself"
        );
    }
}

#[test]
fn no_truncation_of_any_command_passes() {
    for (name, command) in commands() {
        let message = signed(1, &command);
        let mut verifier = verifier();
        for length in 0..message.len() {
            let refused = verifier.verify(&message[..length], NOW).expect_err(name).reason;
            let expected = [
                RefusalReason::Malformed,
                RefusalReason::BadSignature,
                RefusalReason::UnknownKey,
            ];
            assert!(expected.contains(&refused), "{name} cut to {length}: {refused:?}");
        }
    }
}

#[test]
fn no_flipped_bit_of_any_command_passes() {
    for (name, command) in commands() {
        let message = signed(1, &command);
        let mut verifier = verifier();
        for at in 0..message.len() * 8 {
            let mut flipped = message.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let refused = verifier.verify(&flipped, NOW).expect_err(name).reason;
            let expected = [
                RefusalReason::Malformed,
                RefusalReason::BadSignature,
                RefusalReason::UnknownKey,
            ];
            assert!(
                expected.contains(&refused),
                "{name} with bit {at} flipped: {refused:?}"
            );
        }
    }
}

#[test]
fn bytes_behind_a_command_are_refused() {
    for (name, command) in commands() {
        for tail in [&[0][..], &[0x08, 0x01], &[0x3A, 0x00], &[0xFF; 3]] {
            let message = [&signed(1, &command)[..], tail].concat();
            assert_eq!(verify(&message), Err(RefusalReason::Malformed), "{name} {tail:?}");
        }
    }
}

#[test]
fn a_message_at_the_size_cap_is_read_and_one_byte_more_is_not() {
    let at_cap = vec![0; COMMAND_BYTES_MAX];
    assert_eq!(verify(&at_cap), Err(RefusalReason::Malformed));
    let above = vec![0; COMMAND_BYTES_MAX + 1];
    assert_eq!(verify(&above), Err(RefusalReason::TooLarge));
}

#[test]
fn nothing_and_garbage_are_malformed() {
    for message in [
        &b""[..],
        b"kill",
        b"{\"command\": \"kill\"}",
        &[0xFF; 64],
        &[0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F],
    ] {
        assert_eq!(verify(message), Err(RefusalReason::Malformed));
    }
}

#[test]
fn a_key_that_is_not_trusted_is_refused_by_name() {
    let stranger = Pair::new(9).signer();
    let message = stranger.sign(INSTANCE, 1, SOON, &id("c-1"), &KILL);
    let refusal = verifier().verify(&message, NOW).expect_err("a stranger");
    assert_eq!(refusal.reason, RefusalReason::UnknownKey);
    assert!(
        refusal.text.contains(&stranger.id().to_string()),
        "{}",
        refusal.text
    );
    assert_eq!(refusal.origin.key, Some((stranger.id(), 1)));
    assert_eq!(
        refusal.origin.command_id, None,
        "an unsigned name is not repeated"
    );
}

#[test]
fn a_signature_does_not_carry_over_to_another_key() {
    // The killer's message, with the operator's key id in the killer's place: same length, same everything.
    let (killer, operator) = (pair(Role::Killer).signer(), pair(Role::Operator).signer());
    let message = killer.sign(INSTANCE, 1, SOON, &id("c-1"), &KILL);
    let at = message
        .windows(32)
        .position(|bytes| bytes == killer.id().0)
        .expect("its key id");
    let mut forged = message;
    forged[at..at + 32].copy_from_slice(&operator.id().0);
    assert_eq!(verify(&forged), Err(RefusalReason::BadSignature));
}

#[test]
fn each_role_passes_and_fails_as_the_table_says() {
    for (name, command) in commands() {
        for role in Role::ALL {
            let signer = pair(role).signer();
            let message = signer.sign(INSTANCE, 1, SOON, &id("c-1"), &command);
            match verify(&message) {
                Ok(verified) => assert!(role.may(command.kind()) && verified.role == role, "{role} {name}"),
                Err(reason) => {
                    assert!(!role.may(command.kind()), "{role} {name}");
                    assert_eq!(reason, RefusalReason::RoleNotAllowed);
                }
            }
        }
    }
}

#[test]
fn another_instance_is_refused_even_when_its_name_begins_alike() {
    let signer = pair(Role::Killer).signer();
    for instance in ["paper-2", "paper-", "paper-1x", "PAPER-1", "", "prod"] {
        let message = signer.sign(instance, 1, SOON, &id("c-1"), &KILL);
        assert_eq!(
            verify(&message),
            Err(RefusalReason::WrongInstance),
            "{instance:?}"
        );
    }
}

#[test]
fn expiry_is_judged_to_the_nanosecond_on_both_ends() {
    let signer = pair(Role::Killer).signer();
    let furthest = NOW.plus(COMMAND_VALIDITY_MAX);
    let cases = [
        (NOW.plus(Nanos(-1)), Err(RefusalReason::Expired)),
        (NOW, Err(RefusalReason::Expired)),
        (NOW.plus(Nanos(1)), Ok(())),
        (furthest, Ok(())),
        (furthest.plus(Nanos(1)), Err(RefusalReason::ExpiryTooFar)),
        (Timestamp::from_nanos(i64::MIN), Err(RefusalReason::Expired)),
        (Timestamp::from_nanos(i64::MAX), Err(RefusalReason::ExpiryTooFar)),
        (Timestamp::EPOCH, Err(RefusalReason::Expired)),
    ];
    for (expires, expected) in cases {
        let message = signer.sign(INSTANCE, 1, expires, &id("c-1"), &KILL);
        assert_eq!(verify(&message).map(|_| ()), expected, "{expires}");
    }
}

#[test]
fn a_counter_passes_once_and_only_upwards() {
    let mut verifier = verifier();
    let mut judge = |counter| {
        let refusal = verifier.verify(&signed(counter, &KILL), NOW).err();
        refusal.map(|refusal| refusal.reason)
    };
    assert_eq!(
        judge(0),
        Some(RefusalReason::CounterReplayed),
        "counters start at 1"
    );
    assert_eq!(judge(5), None);
    assert_eq!(judge(5), Some(RefusalReason::CounterReplayed));
    assert_eq!(judge(4), Some(RefusalReason::CounterReplayed));
    assert_eq!(judge(6), None);
    assert_eq!(judge(u64::MAX), None);
    assert_eq!(judge(u64::MAX), Some(RefusalReason::CounterReplayed));
}

#[test]
fn the_floor_survives_a_restart_and_belongs_to_its_key() {
    let (killer, operator) = (pair(Role::Killer).signer(), pair(Role::Operator).signer());
    // As a journal hands them over: in the order of writing, repeated, a key that is gone among them.
    let floors = [
        (killer.id(), 7),
        (killer.id(), 9),
        (killer.id(), 8),
        (Pair::new(9).signer().id(), 50),
    ];
    let mut verifier = Verifier::new(INSTANCE, keyring(), floors).expect("a name");
    let mut judge = |signer: &messaging::CommandSigner, counter| {
        let message = signer.sign(INSTANCE, counter, SOON, &id("c-1"), &KILL);
        verifier
            .verify(&message, NOW)
            .map(|_| ())
            .map_err(|refusal| refusal.reason)
    };
    assert_eq!(judge(&killer, 9), Err(RefusalReason::CounterReplayed));
    assert_eq!(judge(&killer, 10), Ok(()));
    assert_eq!(judge(&operator, 1), Ok(()));
}

#[test]
fn what_is_refused_uses_no_counter() {
    let mut verifier = verifier();
    let killer = pair(Role::Killer).signer();
    let start = Command::Start { scope: Scope::All };
    let refused = [
        killer.sign(INSTANCE, 100, SOON, &id("c-1"), &start),
        killer.sign("other", 100, SOON, &id("c-1"), &KILL),
        killer.sign(INSTANCE, 100, NOW, &id("c-1"), &KILL),
    ];
    for message in refused {
        assert!(verifier.verify(&message, NOW).is_err());
    }
    assert!(verifier.verify(&signed(1, &KILL), NOW).is_ok());
}

#[test]
fn refusals_after_the_signature_name_the_command() {
    let refusal = verifier()
        .verify(
            &pair(Role::Killer)
                .signer()
                .sign("other", 3, SOON, &id("c-77"), &KILL),
            NOW,
        )
        .expect_err("another instance");
    assert_eq!(refusal.origin.command_id, Some(id("c-77")));
    assert!(
        refusal.text.contains("other") && refusal.text.contains(INSTANCE),
        "{}",
        refusal.text
    );
}

#[test]
fn when_much_is_wrong_the_first_check_speaks() {
    // In the order of the checks: role, instance, expiry, counter.
    let killer = pair(Role::Killer).signer();
    let start = Command::Start { scope: Scope::All };
    let judge = |message: &[u8]| {
        let mut verifier = Verifier::new(INSTANCE, keyring(), [(killer.id(), 10)]).expect("a name");
        verifier
            .verify(message, NOW)
            .map(|_| ())
            .map_err(|refusal| refusal.reason)
    };
    let sign = |instance, expires, command| killer.sign(instance, 1, expires, &id("c-1"), command);
    assert_eq!(
        judge(&sign("other", NOW, &start)),
        Err(RefusalReason::RoleNotAllowed)
    );
    assert_eq!(
        judge(&sign("other", NOW, &KILL)),
        Err(RefusalReason::WrongInstance)
    );
    assert_eq!(judge(&sign(INSTANCE, NOW, &KILL)), Err(RefusalReason::Expired));
    assert_eq!(
        judge(&sign(INSTANCE, SOON, &KILL)),
        Err(RefusalReason::CounterReplayed)
    );
}

#[test]
fn one_key_has_one_role() {
    let twice = [Role::Operator, Role::Killer].map(|role| pair(Role::Operator).trusted(role));
    assert!(matches!(
        Keyring::new(twice.to_vec()),
        Err(KeyError::Duplicate(_))
    ));
}

#[test]
fn a_keyring_is_bounded() {
    let keys = |count: u8| {
        (1..=count)
            .map(|seed| Pair::new(seed).trusted(Role::Viewer))
            .collect()
    };
    assert!(Keyring::new(keys(64)).is_ok());
    assert!(matches!(Keyring::new(keys(65)), Err(KeyError::TooMany(65))));
}

#[test]
fn only_p256_keys_in_pem_are_keys() {
    let pair = pair(Role::Viewer);
    for text in [
        "",
        "nonsense",
        &pair.private_pem,
        &pair.public_pem.replace("MFkw", "MFgw"),
    ] {
        assert_eq!(
            TrustedKey::from_pem(Role::Viewer, text).err(),
            Some(KeyError::NotAPublicKey)
        );
    }
    for text in ["", "nonsense", &pair.public_pem] {
        let refused = messaging::CommandSigner::from_pem(text).err();
        assert_eq!(refused, Some(KeyError::NotAPrivateKey));
    }
    assert_eq!(
        format!("{:?}", pair.signer()),
        format!("CommandSigner({})", pair.signer().id())
    );
}

#[test]
fn an_instance_has_a_name_of_its_own() {
    for name in ["", "with space", "tab\t", "größe", &"x".repeat(65)] {
        let refused = Verifier::new(name, keyring(), []);
        assert!(matches!(refused, Err(MessagingError::Instance(_))), "{name:?}");
    }
    assert!(Verifier::new("x".repeat(64), keyring(), []).is_ok());
}

#[test]
fn a_viewer_stops_nothing() {
    let message = pair(Role::Viewer)
        .signer()
        .sign(INSTANCE, 1, SOON, &id("c-1"), &KILL);
    let refusal = verifier().verify(&message, NOW).expect_err("a viewer");
    assert_eq!(refusal.text, "the key's role is viewer, which may not send kill");
    assert!(
        CommandKind::ALL
            .iter()
            .filter(|&&kind| Role::Viewer.may(kind))
            .count()
            < CommandKind::ALL.len()
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_pass(message in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(verify(&message).map(|_| ()), Err(RefusalReason::Malformed));
    }

    #[test]
    fn replaced_stretches_never_pass(
        which in 0..commands().len(),
        at in 0.0..1.0f64,
        stretch in proptest::collection::vec(any::<u8>(), 1..40),
    ) {
        let message = signed(1, &commands()[which].1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place inside a short message")]
        let at = (at * message.len() as f64) as usize;
        let mut changed = message.clone();
        let end = (at + stretch.len()).min(changed.len());
        changed.splice(at..end, stretch);
        prop_assume!(changed != message);
        prop_assert!(verify(&changed).is_err());
    }
}
