//! Single values: enums, numbers with a range, text, names.

use domain::{
    BookInvalidReason, BundleDigest, ClientOrderId, Currency, Epoch, InstrumentId, Liquidity, Money,
    OrderStatus, OrderType, Price, Quantity, Side, SlotId, Text, Venue, VenueState,
};

use super::error::ProtocolError;
use super::instruments::Instruments;
use crate::ack::RefusalReason;
use crate::command::{CommandId, InstrumentName};
use crate::keys::KeyId;
use crate::limits::TEXT_BYTES_MAX;
use crate::telemetry::{BundleState, ControlLevel, Decision, ServiceState, Stage};
use crate::wire;

type Result<T> = std::result::Result<T, ProtocolError>;

/// An enum with a number on the wire.
pub(super) trait WireEnum: Sized {
    /// Its number.
    fn number(self) -> i32;
    /// The value of a number; `field` names it in the error.
    fn from_number(field: &'static str, number: i32) -> Result<Self>;
}

macro_rules! wire_enum {
    ($ours:ty, $theirs:ident: $($variant:ident)+) => {
        impl WireEnum for $ours {
            fn number(self) -> i32 {
                // Exhaustive: a new variant of ours without a wire number does not compile.
                match self {
                    $(Self::$variant => wire::$theirs::$variant as i32,)+
                }
            }

            fn from_number(field: &'static str, number: i32) -> Result<Self> {
                match wire::$theirs::try_from(number) {
                    $(Ok(wire::$theirs::$variant) => Ok(Self::$variant),)+
                    // Exhaustive too: a new number without a variant of ours does not compile.
                    Ok(wire::$theirs::Unspecified) | Err(_) => Err(ProtocolError::UnknownEnum { field, number }),
                }
            }
        }

        #[cfg(test)]
        impl NumberRange for $ours {
            const NUMBERS: &'static [i32] = &[$(wire::$theirs::$variant as i32,)+];
        }
    };
}

#[cfg(test)]
pub(super) trait NumberRange {
    const NUMBERS: &'static [i32];
}

wire_enum!(Side, Side: Buy Sell);
wire_enum!(OrderType, OrderType: Market Limit);
wire_enum!(Liquidity, Liquidity: Maker Taker);
wire_enum!(
    OrderStatus,
    OrderStatus: Initialized Submitted Accepted PartiallyFilled Filled PendingCancel Canceled Rejected Denied Expired
        Unknown
);
wire_enum!(VenueState, VenueState: Online Offline);
wire_enum!(
    BookInvalidReason,
    BookInvalidReason: Gap Disconnected Crossed BestLevelMismatch Stale Malformed Checksum
);
wire_enum!(Decision, Decision: NoSignal Hold Enter Exit);
wire_enum!(Stage, Stage: Paper Live10 Live25 Live50 Live100);
wire_enum!(BundleState, BundleState: Verifying Warming Active Previous Refused Expired);
wire_enum!(ControlLevel, ControlLevel: Running Paused ReduceOnly Killed);
wire_enum!(ServiceState, ServiceState: Starting Reconciling Waiting Trading Draining);
wire_enum!(
    RefusalReason,
    RefusalReason: TooLarge Malformed UnknownKey BadSignature MalformedBody InvalidValue RoleNotAllowed WrongInstance
        Expired ExpiryTooFar CounterReplayed UnknownSlot UnknownInstrument UnknownVenue UnknownOrder UnknownBundle
        BundleRefused NothingToRollBack UnknownParameter ParameterOutOfRange RiskDenied Stopped WrongState Busy
        ShuttingDown Unsupported
);

/// What must be there.
pub(super) fn required<T>(field: &'static str, value: Option<T>) -> Result<T> {
    value.ok_or(ProtocolError::Missing { field })
}

pub(super) fn slot_from_wire(field: &'static str, number: u32) -> Result<SlotId> {
    u16::try_from(number)
        .map(SlotId)
        .map_err(|_| ProtocolError::invalid(field, number, "slots are 0 to 65535"))
}

pub(super) fn optional_slot(field: &'static str, number: Option<u32>) -> Result<Option<SlotId>> {
    number.map(|number| slot_from_wire(field, number)).transpose()
}

pub(super) fn slot_to_wire(slot: SlotId) -> u32 {
    u32::from(slot.0)
}

pub(super) fn epoch_from_wire(number: u32) -> Epoch {
    Epoch(number)
}

/// A price that somebody asks or trades at.
pub(super) fn positive_price(field: &'static str, units: i64) -> Result<Price> {
    if units > 0 {
        Ok(Price::from_units(units))
    } else {
        Err(ProtocolError::invalid(
            field,
            Price::from_units(units),
            "prices are positive",
        ))
    }
}

/// A quantity that is ordered or traded.
pub(super) fn positive_quantity(field: &'static str, units: i64) -> Result<Quantity> {
    if units > 0 {
        Ok(Quantity::from_units(units))
    } else {
        Err(ProtocolError::invalid(
            field,
            Quantity::from_units(units),
            "ordered and traded quantities are positive",
        ))
    }
}

/// A quantity that may be nothing.
pub(super) fn quantity_or_zero(field: &'static str, units: i64) -> Result<Quantity> {
    if units >= 0 {
        Ok(Quantity::from_units(units))
    } else {
        Err(ProtocolError::invalid(
            field,
            Quantity::from_units(units),
            "zero or more",
        ))
    }
}

/// A price that stands exactly with a limit order.
pub(super) fn limit_price(field: &'static str, kind: OrderType, units: Option<i64>) -> Result<Option<Price>> {
    match (kind, units) {
        (OrderType::Limit, Some(units)) => positive_price(field, units).map(Some),
        (OrderType::Market, None) => Ok(None),
        (OrderType::Limit, None) => Err(ProtocolError::Missing { field }),
        (OrderType::Market, Some(units)) => Err(ProtocolError::invalid(
            field,
            Price::from_units(units),
            "a market order has no price",
        )),
    }
}

pub(super) fn money_to_wire(field: &'static str, money: Money) -> Result<wire::Money> {
    let units = money
        .decimal_units()
        .ok_or_else(|| ProtocolError::MoneyOutOfRange {
            field,
            amount: money.to_string(),
        })?;
    Ok(wire::Money {
        units,
        currency: money.currency().as_str().to_owned(),
    })
}

pub(super) fn money_from_wire(field: &'static str, money: Option<wire::Money>) -> Result<Money> {
    let money = required(field, money)?;
    Ok(Money::from_decimal_units(
        money.units,
        currency(field, &money.currency)?,
    ))
}

pub(super) fn currency(field: &'static str, code: &str) -> Result<Currency> {
    Currency::new(code)
        .ok_or_else(|| ProtocolError::invalid(field, code, "a currency is 1 to 12 ASCII letters and digits"))
}

pub(super) fn venue(field: &'static str, name: &str) -> Result<Venue> {
    Venue::from_name(name)
        .ok_or_else(|| ProtocolError::invalid(field, name, "not a venue this build can reach (binance)"))
}

pub(super) fn name_to_wire(name: InstrumentName) -> wire::Instrument {
    wire::Instrument {
        venue: name.venue.as_str().to_owned(),
        symbol: name.symbol.as_str().to_owned(),
    }
}

pub(super) fn name_from_wire(field: &'static str, name: Option<wire::Instrument>) -> Result<InstrumentName> {
    let name = required(field, name)?;
    let symbol = Text::new(&name.symbol)
        .filter(|symbol| !symbol.as_str().is_empty())
        .ok_or_else(|| {
            ProtocolError::invalid(
                field,
                &name.symbol,
                "a symbol is 1 to 24 printable ASCII characters",
            )
        })?;
    Ok(InstrumentName {
        venue: venue(field, &name.venue)?,
        symbol,
    })
}

/// Instruments by id on our side, by name on the wire.
pub(super) fn instrument_to_wire(
    instruments: &Instruments,
    id: InstrumentId,
) -> Result<Option<wire::Instrument>> {
    Ok(Some(name_to_wire(instruments.require_name(id)?)))
}

pub(super) fn instrument_from_wire(
    instruments: &Instruments,
    field: &'static str,
    name: Option<wire::Instrument>,
) -> Result<InstrumentId> {
    instruments.require_id(name_from_wire(field, name)?)
}

pub(super) fn client_order_id(field: &'static str, text: &str) -> Result<ClientOrderId> {
    ClientOrderId::parse(text)
        .ok_or_else(|| ProtocolError::invalid(field, text, "an order id reads e<epoch>-s<slot>-<counter>"))
}

pub(super) fn command_id(field: &'static str, text: &str) -> Result<CommandId> {
    CommandId::new(text)
        .ok_or_else(|| ProtocolError::invalid(field, text, "1 to 36 letters, digits and hyphens"))
}

pub(super) fn digest(field: &'static str, bytes: &[u8]) -> Result<BundleDigest> {
    thirty_two(field, bytes).map(BundleDigest)
}

pub(super) fn key_id(field: &'static str, bytes: &[u8]) -> Result<KeyId> {
    thirty_two(field, bytes).map(KeyId)
}

fn thirty_two(field: &'static str, bytes: &[u8]) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| {
        ProtocolError::invalid(field, format!("{} bytes", bytes.len()), "a SHA-256 has 32 bytes")
    })
}

/// Text for people, cut at [`TEXT_BYTES_MAX`] on a character's edge.
pub(super) fn people_text(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: WireEnum + NumberRange>() {
        for &number in T::NUMBERS {
            assert_eq!(T::from_number("f", number).map(WireEnum::number), Ok(number));
        }
        for number in (-3..200).filter(|number| !T::NUMBERS.contains(number)) {
            let refused = ProtocolError::UnknownEnum { field: "f", number };
            assert_eq!(T::from_number("f", number).map(WireEnum::number), Err(refused));
        }
    }

    #[test]
    fn every_enum_refuses_zero_and_what_it_does_not_know() {
        check::<Side>();
        check::<OrderType>();
        check::<Liquidity>();
        check::<OrderStatus>();
        check::<VenueState>();
        check::<BookInvalidReason>();
        check::<Decision>();
        check::<Stage>();
        check::<BundleState>();
        check::<ControlLevel>();
        check::<ServiceState>();
        check::<RefusalReason>();
    }

    #[test]
    fn a_refusal_has_the_name_that_the_wire_gives_it() {
        for reason in RefusalReason::ALL {
            let wire = wire::RefusalReason::try_from(reason.number()).expect("a number of the wire");
            let name = wire
                .as_str_name()
                .trim_start_matches("REFUSAL_REASON_")
                .to_lowercase();
            assert_eq!(reason.as_str(), name);
        }
        assert_eq!(RefusalReason::ALL.len(), RefusalReason::NUMBERS.len());
    }

    #[test]
    fn money_is_rounded_toward_zero_and_never_wraps() {
        let usdt = Currency::new("USDT").expect("a code");
        for (units, expected) in [(199_999_999, 1), (-199_999_999, -1), (0, 0)] {
            let wire = money_to_wire("m", Money::from_units(units, usdt)).expect("fits");
            assert_eq!(wire.units, expected);
        }
        let huge = Money::from_units(i128::from(i64::MAX) * 100_000_000 + 100_000_000, usdt);
        assert!(matches!(
            money_to_wire("m", huge),
            Err(ProtocolError::MoneyOutOfRange { .. })
        ));
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = "é".repeat(TEXT_BYTES_MAX);
        let cut = people_text(&text);
        assert_eq!(cut.len(), TEXT_BYTES_MAX);
        let odd = format!("x{text}");
        assert_eq!(people_text(&odd).len(), TEXT_BYTES_MAX - 1);
    }
}
