//! Keys, times, names and one of every command.

use domain::{
    BundleDigest, ClientOrderId, Decimal, Epoch, InstrumentId, Nanos, Number, OrderType, Price, Quantity,
    Side, SlotId, Text, Timestamp, Venue,
};
use messaging::{
    Command, CommandId, CommandKind, CommandSigner, InstrumentName, Instruments, Keyring, ManualOrder, Query,
    Role, Scope, SlowFact, TrustedKey, Verifier,
};
use p256::ecdsa::SigningKey;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};

pub(crate) const INSTANCE: &str = "paper-1";

/// When the tests happen.
pub(crate) const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

/// A minute later.
pub(crate) const SOON: Timestamp = NOW.plus(Nanos::from_secs(60));

/// A key pair that is always the same for a seed from 1 to 255.
pub(crate) struct Pair {
    pub(crate) private_pem: String,
    pub(crate) public_pem: String,
}

impl Pair {
    pub(crate) fn new(seed: u8) -> Self {
        let key = SigningKey::from_slice(&[seed; 32]).expect("a scalar of the curve");
        let private_pem = key.to_pkcs8_pem(LineEnding::LF).expect("a key").to_string();
        let public_pem = key
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .expect("a key");
        Self {
            private_pem,
            public_pem,
        }
    }

    pub(crate) fn signer(&self) -> CommandSigner {
        CommandSigner::from_pem(&self.private_pem).expect("a private key")
    }

    pub(crate) fn trusted(&self, role: Role) -> TrustedKey {
        TrustedKey::from_pem(role, &self.public_pem).expect("a public key")
    }
}

/// The key of each role.
pub(crate) fn pair(role: Role) -> Pair {
    Pair::new(match role {
        Role::Viewer => 1,
        Role::Operator => 2,
        Role::Deployer => 3,
        Role::Killer => 4,
    })
}

/// A role that may send the command.
pub(crate) fn role_for(command: &Command) -> Role {
    Role::ALL
        .into_iter()
        .find(|role| role.may(command.kind()))
        .expect("every command has a role that may send it")
}

pub(crate) fn keyring() -> Keyring {
    let keys = Role::ALL.map(|role| pair(role).trusted(role));
    Keyring::new(keys.to_vec()).expect("four keys")
}

pub(crate) fn verifier() -> Verifier {
    Verifier::new(INSTANCE, keyring(), []).expect("a name")
}

/// A message with the command, signed by a key whose role may send it.
pub(crate) fn signed(counter: u64, command: &Command) -> Vec<u8> {
    let signer = pair(role_for(command)).signer();
    signer.sign(INSTANCE, counter, SOON, &id("c-1"), command)
}

pub(crate) fn id(text: &str) -> CommandId {
    CommandId::new(text).expect("a command id")
}

pub(crate) fn btcusdt() -> InstrumentName {
    InstrumentName {
        venue: Venue::Binance,
        symbol: Text::new("BTCUSDT").expect("a symbol"),
    }
}

pub(crate) fn instruments() -> Instruments {
    let ethusdt = InstrumentName {
        venue: Venue::Binance,
        symbol: Text::new("ETHUSDT").expect("a symbol"),
    };
    Instruments::new([(InstrumentId(0), btcusdt()), (InstrumentId(7), ethusdt)]).expect("two instruments")
}

pub(crate) fn order_id() -> ClientOrderId {
    ClientOrderId {
        epoch: Epoch(3),
        slot: SlotId(1),
        counter: 42,
    }
}

/// A command with its name in the golden file.
type Sample = (&'static str, Command);

/// One of every command, and of every form that a command has.
pub(crate) fn commands() -> Vec<Sample> {
    let all: Vec<Sample> = [bundles_and_values(), stops(), manual(), queries(), told()].concat();
    for kind in CommandKind::ALL {
        assert!(
            all.iter().any(|(_, command)| command.kind() == kind),
            "no sample of {kind}"
        );
    }
    all
}

fn bundles_and_values() -> Vec<Sample> {
    let slot = SlotId(1);
    let digest = BundleDigest([0xAB; 32]);
    let set = |slot, name: &str, units| Command::SetParameter {
        slot,
        name: name.to_owned(),
        value: Decimal::from_units(units),
    };
    vec![
        ("deploy", Command::Deploy { slot, digest }),
        ("rollback", Command::Rollback { slot }),
        ("set_parameter", set(slot, "entry_threshold", 62_000_000)),
        (
            "set_parameter_negative",
            set(SlotId(65_535), "limit_offset_bps", -1),
        ),
    ]
}

fn stops() -> Vec<Sample> {
    let (all, venue) = (Scope::All, Scope::Venue(Venue::Binance));
    let (instrument, slot) = (Scope::Instrument(btcusdt()), Scope::Slot(SlotId(0)));
    let order = Scope::Order(order_id());
    let flatten = |scope, max_slippage_bps| Command::Flatten {
        scope,
        max_slippage_bps,
    };
    let reason = "venue is back, books agree".to_owned();
    vec![
        ("start_all", Command::Start { scope: all }),
        ("pause_venue", Command::Pause { scope: venue }),
        ("cancel_instrument", Command::Cancel { scope: instrument }),
        ("cancel_order", Command::Cancel { scope: order }),
        ("reduce_only_slot_zero", Command::ReduceOnly { scope: slot }),
        ("flatten", flatten(all, 50)),
        ("flatten_without_slippage", flatten(instrument, 0)),
        ("kill", Command::Kill { scope: all }),
        ("rearm", Command::Rearm { scope: slot, reason }),
    ]
}

fn manual() -> Vec<Sample> {
    let limit = ManualOrder {
        slot: SlotId(1),
        instrument: btcusdt(),
        side: Side::Sell,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(6_183_763_000_000)),
        quantity: Quantity::from_units(25_000_000),
    };
    let market = ManualOrder {
        slot: SlotId(0),
        side: Side::Buy,
        order_type: OrderType::Market,
        price: None,
        ..limit
    };
    let client_order_id = order_id();
    vec![
        ("manual_order_limit", Command::ManualOrder(limit)),
        ("manual_order_market", Command::ManualOrder(market)),
        ("manual_cancel", Command::ManualCancel { client_order_id }),
    ]
}

fn queries() -> Vec<Sample> {
    let orders = |slot, open_only, limit| Query::Orders {
        slot,
        open_only,
        limit,
    };
    let slot = Some(SlotId(1));
    let queries = [
        ("query_status", Query::Status),
        ("query_orders", orders(None, true, 1000)),
        ("query_orders_of_slot_zero", orders(Some(SlotId(0)), false, 1)),
        ("query_positions", Query::Positions),
        ("query_fills", Query::Fills { slot, limit: 20 }),
        ("query_pnl", Query::Pnl),
        ("snapshot", Query::Snapshot),
    ];
    queries
        .map(|(name, query)| (name, Command::Query(query)))
        .to_vec()
}

fn told() -> Vec<Sample> {
    let tell = |name: &str, value| {
        Command::TellSlow(SlowFact {
            instrument: btcusdt(),
            name: Text::new(name).expect("a short name"),
            value,
            valid_from: Timestamp::from_nanos(1_700_000_000_000_000_000),
            max_age_seconds: 32_400,
        })
    };
    vec![
        (
            "tell_slow",
            tell("funding_rate", Number::from_bits(0.0001_f64.to_bits())),
        ),
        ("tell_slow_unknown", tell("sentiment", None)),
    ]
}
