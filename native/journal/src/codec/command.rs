//! Commands.

use engine::{Command, CommandId, CommandKind, CommandRefusal, ManualOrder, ParameterId, Scope};

use engine::signals::SlowFact;

use super::CodecError;
use super::bytes::{Codec, Input, fields, variants, wraps};

wraps!(CommandId);

variants!(Scope, "scope" {
    1 => All,
    2 => Venue(venue),
    3 => Instrument(instrument),
    4 => Slot(slot),
    5 => Order(order),
});
variants!(ParameterId, "parameter" {
    1 => EntryThreshold,
    2 => ExitThreshold,
    3 => PositionSizePct,
    4 => LimitOffsetBps,
    5 => TimeoutSeconds,
});
variants!(CommandRefusal, "reason why a command was refused" {
    1 => UnknownTarget,
    2 => OutOfRange,
    3 => Latched,
    4 => Denied,
    5 => NoProgram,
    6 => NotAParameter,
    7 => ThresholdsCross,
    8 => NothingLatched,
    9 => OtherInstrument,
    10 => Full,
    11 => NotDeclared,
});
fields!(ManualOrder {
    slot,
    instrument,
    side,
    order_type,
    price,
    quantity,
});
fields!(SlowFact {
    instrument,
    name,
    value,
    valid_from,
    max_age,
});
variants!(CommandKind, "command" {
    1 => Start(scope),
    2 => Pause(scope),
    3 => CancelOrders(scope),
    4 => ReduceOnly(scope),
    5 => Flatten { scope, max_slippage_bps },
    6 => Kill(scope),
    7 => Rearm { scope, reason },
    8 => SetParameter { slot, parameter, value },
    9 => ManualOrder(order),
    10 => TellSlow(fact),
});
fields!(Command { id, kind });
