# Generated from proto/py_rt/wire/v1 by `make proto`. Do not edit.
from py_rt.bridge.wire.v1 import bundle_status_pb2 as _bundle_status_pb2
from py_rt.bridge.wire.v1 import common_pb2 as _common_pb2
from py_rt.bridge.wire.v1 import market_data_pb2 as _market_data_pb2
from py_rt.bridge.wire.v1 import orders_pb2 as _orders_pb2
from py_rt.bridge.wire.v1 import positions_pb2 as _positions_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_ACCEPTED: _ClassVar[Outcome]
    OUTCOME_REFUSED: _ClassVar[Outcome]
    OUTCOME_APPLIED: _ClassVar[Outcome]
    OUTCOME_FAILED: _ClassVar[Outcome]

class RefusalReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REFUSAL_REASON_UNSPECIFIED: _ClassVar[RefusalReason]
    REFUSAL_REASON_TOO_LARGE: _ClassVar[RefusalReason]
    REFUSAL_REASON_MALFORMED: _ClassVar[RefusalReason]
    REFUSAL_REASON_UNKNOWN_KEY: _ClassVar[RefusalReason]
    REFUSAL_REASON_BAD_SIGNATURE: _ClassVar[RefusalReason]
    REFUSAL_REASON_MALFORMED_BODY: _ClassVar[RefusalReason]
    REFUSAL_REASON_INVALID_VALUE: _ClassVar[RefusalReason]
    REFUSAL_REASON_ROLE_NOT_ALLOWED: _ClassVar[RefusalReason]
    REFUSAL_REASON_WRONG_INSTANCE: _ClassVar[RefusalReason]
    REFUSAL_REASON_EXPIRED: _ClassVar[RefusalReason]
    REFUSAL_REASON_EXPIRY_TOO_FAR: _ClassVar[RefusalReason]
    REFUSAL_REASON_COUNTER_REPLAYED: _ClassVar[RefusalReason]
    REFUSAL_REASON_UNKNOWN_SLOT: _ClassVar[RefusalReason]
    REFUSAL_REASON_UNKNOWN_INSTRUMENT: _ClassVar[RefusalReason]
    REFUSAL_REASON_UNKNOWN_VENUE: _ClassVar[RefusalReason]
    REFUSAL_REASON_UNKNOWN_ORDER: _ClassVar[RefusalReason]
    REFUSAL_REASON_UNKNOWN_BUNDLE: _ClassVar[RefusalReason]
    REFUSAL_REASON_BUNDLE_REFUSED: _ClassVar[RefusalReason]
    REFUSAL_REASON_NOTHING_TO_ROLL_BACK: _ClassVar[RefusalReason]
    REFUSAL_REASON_UNKNOWN_PARAMETER: _ClassVar[RefusalReason]
    REFUSAL_REASON_PARAMETER_OUT_OF_RANGE: _ClassVar[RefusalReason]
    REFUSAL_REASON_RISK_DENIED: _ClassVar[RefusalReason]
    REFUSAL_REASON_STOPPED: _ClassVar[RefusalReason]
    REFUSAL_REASON_WRONG_STATE: _ClassVar[RefusalReason]
    REFUSAL_REASON_BUSY: _ClassVar[RefusalReason]
    REFUSAL_REASON_SHUTTING_DOWN: _ClassVar[RefusalReason]
    REFUSAL_REASON_UNSUPPORTED: _ClassVar[RefusalReason]

class ServiceState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SERVICE_STATE_UNSPECIFIED: _ClassVar[ServiceState]
    SERVICE_STATE_STARTING: _ClassVar[ServiceState]
    SERVICE_STATE_RECONCILING: _ClassVar[ServiceState]
    SERVICE_STATE_WAITING: _ClassVar[ServiceState]
    SERVICE_STATE_TRADING: _ClassVar[ServiceState]
    SERVICE_STATE_DRAINING: _ClassVar[ServiceState]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_ACCEPTED: Outcome
OUTCOME_REFUSED: Outcome
OUTCOME_APPLIED: Outcome
OUTCOME_FAILED: Outcome
REFUSAL_REASON_UNSPECIFIED: RefusalReason
REFUSAL_REASON_TOO_LARGE: RefusalReason
REFUSAL_REASON_MALFORMED: RefusalReason
REFUSAL_REASON_UNKNOWN_KEY: RefusalReason
REFUSAL_REASON_BAD_SIGNATURE: RefusalReason
REFUSAL_REASON_MALFORMED_BODY: RefusalReason
REFUSAL_REASON_INVALID_VALUE: RefusalReason
REFUSAL_REASON_ROLE_NOT_ALLOWED: RefusalReason
REFUSAL_REASON_WRONG_INSTANCE: RefusalReason
REFUSAL_REASON_EXPIRED: RefusalReason
REFUSAL_REASON_EXPIRY_TOO_FAR: RefusalReason
REFUSAL_REASON_COUNTER_REPLAYED: RefusalReason
REFUSAL_REASON_UNKNOWN_SLOT: RefusalReason
REFUSAL_REASON_UNKNOWN_INSTRUMENT: RefusalReason
REFUSAL_REASON_UNKNOWN_VENUE: RefusalReason
REFUSAL_REASON_UNKNOWN_ORDER: RefusalReason
REFUSAL_REASON_UNKNOWN_BUNDLE: RefusalReason
REFUSAL_REASON_BUNDLE_REFUSED: RefusalReason
REFUSAL_REASON_NOTHING_TO_ROLL_BACK: RefusalReason
REFUSAL_REASON_UNKNOWN_PARAMETER: RefusalReason
REFUSAL_REASON_PARAMETER_OUT_OF_RANGE: RefusalReason
REFUSAL_REASON_RISK_DENIED: RefusalReason
REFUSAL_REASON_STOPPED: RefusalReason
REFUSAL_REASON_WRONG_STATE: RefusalReason
REFUSAL_REASON_BUSY: RefusalReason
REFUSAL_REASON_SHUTTING_DOWN: RefusalReason
REFUSAL_REASON_UNSUPPORTED: RefusalReason
SERVICE_STATE_UNSPECIFIED: ServiceState
SERVICE_STATE_STARTING: ServiceState
SERVICE_STATE_RECONCILING: ServiceState
SERVICE_STATE_WAITING: ServiceState
SERVICE_STATE_TRADING: ServiceState
SERVICE_STATE_DRAINING: ServiceState

class SignedCommand(_message.Message):
    __slots__ = ("body", "key_id", "counter", "expires", "instance", "signature")
    BODY_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    body: bytes
    key_id: bytes
    counter: int
    expires: int
    instance: str
    signature: bytes
    def __init__(self, body: _Optional[bytes] = ..., key_id: _Optional[bytes] = ..., counter: _Optional[int] = ..., expires: _Optional[int] = ..., instance: _Optional[str] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Scope(_message.Message):
    __slots__ = ("all", "venue", "instrument", "slot", "order")
    ALL_FIELD_NUMBER: _ClassVar[int]
    VENUE_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    all: Everything
    venue: str
    instrument: _common_pb2.Instrument
    slot: int
    order: str
    def __init__(self, all: _Optional[_Union[Everything, _Mapping]] = ..., venue: _Optional[str] = ..., instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., slot: _Optional[int] = ..., order: _Optional[str] = ...) -> None: ...

class Everything(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Deploy(_message.Message):
    __slots__ = ("slot", "digest")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    slot: int
    digest: bytes
    def __init__(self, slot: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class Rollback(_message.Message):
    __slots__ = ("slot",)
    SLOT_FIELD_NUMBER: _ClassVar[int]
    slot: int
    def __init__(self, slot: _Optional[int] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ("scope",)
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ("scope",)
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("scope",)
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ...) -> None: ...

class ReduceOnly(_message.Message):
    __slots__ = ("scope",)
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ...) -> None: ...

class Flatten(_message.Message):
    __slots__ = ("scope", "max_slippage_bps")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    MAX_SLIPPAGE_BPS_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    max_slippage_bps: int
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ..., max_slippage_bps: _Optional[int] = ...) -> None: ...

class Kill(_message.Message):
    __slots__ = ("scope",)
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ...) -> None: ...

class Rearm(_message.Message):
    __slots__ = ("scope", "reason")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    reason: str
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class SetParameter(_message.Message):
    __slots__ = ("slot", "name", "value")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    slot: int
    name: str
    value: str
    def __init__(self, slot: _Optional[int] = ..., name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class ManualOrder(_message.Message):
    __slots__ = ("slot", "instrument", "side", "order_type", "price", "quantity")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    ORDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    slot: int
    instrument: _common_pb2.Instrument
    side: _common_pb2.Side
    order_type: _common_pb2.OrderType
    price: int
    quantity: int
    def __init__(self, slot: _Optional[int] = ..., instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., order_type: _Optional[_Union[_common_pb2.OrderType, str]] = ..., price: _Optional[int] = ..., quantity: _Optional[int] = ...) -> None: ...

class ManualCancel(_message.Message):
    __slots__ = ("client_order_id",)
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    client_order_id: str
    def __init__(self, client_order_id: _Optional[str] = ...) -> None: ...

class TellSlow(_message.Message):
    __slots__ = ("instrument", "name", "value", "valid_from", "max_age_seconds")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    instrument: _common_pb2.Instrument
    name: str
    value: float
    valid_from: int
    max_age_seconds: int
    def __init__(self, instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., name: _Optional[str] = ..., value: _Optional[float] = ..., valid_from: _Optional[int] = ..., max_age_seconds: _Optional[int] = ...) -> None: ...

class QueryStatus(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QueryOrders(_message.Message):
    __slots__ = ("slot", "open_only", "limit")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    OPEN_ONLY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    slot: int
    open_only: bool
    limit: int
    def __init__(self, slot: _Optional[int] = ..., open_only: _Optional[bool] = ..., limit: _Optional[int] = ...) -> None: ...

class QueryPositions(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class QueryFills(_message.Message):
    __slots__ = ("slot", "limit")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    slot: int
    limit: int
    def __init__(self, slot: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class QueryPnl(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SnapshotRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Command(_message.Message):
    __slots__ = ("command_id", "deploy", "rollback", "start", "pause", "cancel", "reduce_only", "flatten", "kill", "rearm", "set_parameter", "manual_order", "manual_cancel", "query_status", "query_orders", "query_positions", "query_fills", "query_pnl", "snapshot", "tell_slow")
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    DEPLOY_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    REDUCE_ONLY_FIELD_NUMBER: _ClassVar[int]
    FLATTEN_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    REARM_FIELD_NUMBER: _ClassVar[int]
    SET_PARAMETER_FIELD_NUMBER: _ClassVar[int]
    MANUAL_ORDER_FIELD_NUMBER: _ClassVar[int]
    MANUAL_CANCEL_FIELD_NUMBER: _ClassVar[int]
    QUERY_STATUS_FIELD_NUMBER: _ClassVar[int]
    QUERY_ORDERS_FIELD_NUMBER: _ClassVar[int]
    QUERY_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    QUERY_FILLS_FIELD_NUMBER: _ClassVar[int]
    QUERY_PNL_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    TELL_SLOW_FIELD_NUMBER: _ClassVar[int]
    command_id: str
    deploy: Deploy
    rollback: Rollback
    start: Start
    pause: Pause
    cancel: Cancel
    reduce_only: ReduceOnly
    flatten: Flatten
    kill: Kill
    rearm: Rearm
    set_parameter: SetParameter
    manual_order: ManualOrder
    manual_cancel: ManualCancel
    query_status: QueryStatus
    query_orders: QueryOrders
    query_positions: QueryPositions
    query_fills: QueryFills
    query_pnl: QueryPnl
    snapshot: SnapshotRequest
    tell_slow: TellSlow
    def __init__(self, command_id: _Optional[str] = ..., deploy: _Optional[_Union[Deploy, _Mapping]] = ..., rollback: _Optional[_Union[Rollback, _Mapping]] = ..., start: _Optional[_Union[Start, _Mapping]] = ..., pause: _Optional[_Union[Pause, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ..., reduce_only: _Optional[_Union[ReduceOnly, _Mapping]] = ..., flatten: _Optional[_Union[Flatten, _Mapping]] = ..., kill: _Optional[_Union[Kill, _Mapping]] = ..., rearm: _Optional[_Union[Rearm, _Mapping]] = ..., set_parameter: _Optional[_Union[SetParameter, _Mapping]] = ..., manual_order: _Optional[_Union[ManualOrder, _Mapping]] = ..., manual_cancel: _Optional[_Union[ManualCancel, _Mapping]] = ..., query_status: _Optional[_Union[QueryStatus, _Mapping]] = ..., query_orders: _Optional[_Union[QueryOrders, _Mapping]] = ..., query_positions: _Optional[_Union[QueryPositions, _Mapping]] = ..., query_fills: _Optional[_Union[QueryFills, _Mapping]] = ..., query_pnl: _Optional[_Union[QueryPnl, _Mapping]] = ..., snapshot: _Optional[_Union[SnapshotRequest, _Mapping]] = ..., tell_slow: _Optional[_Union[TellSlow, _Mapping]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("key_id", "counter", "command_id", "ts", "outcome", "refusal", "text", "status", "orders", "positions", "fills", "pnl", "snapshot")
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    COMMAND_ID_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    FILLS_FIELD_NUMBER: _ClassVar[int]
    PNL_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    key_id: bytes
    counter: int
    command_id: str
    ts: int
    outcome: Outcome
    refusal: RefusalReason
    text: str
    status: ServiceStatus
    orders: OrderList
    positions: PositionList
    fills: FillList
    pnl: PnlList
    snapshot: Snapshot
    def __init__(self, key_id: _Optional[bytes] = ..., counter: _Optional[int] = ..., command_id: _Optional[str] = ..., ts: _Optional[int] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., refusal: _Optional[_Union[RefusalReason, str]] = ..., text: _Optional[str] = ..., status: _Optional[_Union[ServiceStatus, _Mapping]] = ..., orders: _Optional[_Union[OrderList, _Mapping]] = ..., positions: _Optional[_Union[PositionList, _Mapping]] = ..., fills: _Optional[_Union[FillList, _Mapping]] = ..., pnl: _Optional[_Union[PnlList, _Mapping]] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ...) -> None: ...

class OrderList(_message.Message):
    __slots__ = ("orders", "more")
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    orders: _containers.RepeatedCompositeFieldContainer[_orders_pb2.Order]
    more: bool
    def __init__(self, orders: _Optional[_Iterable[_Union[_orders_pb2.Order, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class PositionList(_message.Message):
    __slots__ = ("positions",)
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    positions: _containers.RepeatedCompositeFieldContainer[_positions_pb2.Position]
    def __init__(self, positions: _Optional[_Iterable[_Union[_positions_pb2.Position, _Mapping]]] = ...) -> None: ...

class FillList(_message.Message):
    __slots__ = ("fills", "more")
    FILLS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    fills: _containers.RepeatedCompositeFieldContainer[_orders_pb2.Fill]
    more: bool
    def __init__(self, fills: _Optional[_Iterable[_Union[_orders_pb2.Fill, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class PnlList(_message.Message):
    __slots__ = ("pnl",)
    PNL_FIELD_NUMBER: _ClassVar[int]
    pnl: _containers.RepeatedCompositeFieldContainer[_positions_pb2.Pnl]
    def __init__(self, pnl: _Optional[_Iterable[_Union[_positions_pb2.Pnl, _Mapping]]] = ...) -> None: ...

class Control(_message.Message):
    __slots__ = ("scope", "level", "since", "reason")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    scope: Scope
    level: _common_pb2.ControlLevel
    since: int
    reason: str
    def __init__(self, scope: _Optional[_Union[Scope, _Mapping]] = ..., level: _Optional[_Union[_common_pb2.ControlLevel, str]] = ..., since: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class SlowStatus(_message.Message):
    __slots__ = ("name", "value", "valid_from", "max_age_seconds", "known")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    valid_from: int
    max_age_seconds: int
    known: bool
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., valid_from: _Optional[int] = ..., max_age_seconds: _Optional[int] = ..., known: _Optional[bool] = ...) -> None: ...

class SlotStatus(_message.Message):
    __slots__ = ("slot", "level", "active", "previous", "warm", "open_orders", "orders_sent", "fills", "slow", "late_quotes")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    WARM_FIELD_NUMBER: _ClassVar[int]
    OPEN_ORDERS_FIELD_NUMBER: _ClassVar[int]
    ORDERS_SENT_FIELD_NUMBER: _ClassVar[int]
    FILLS_FIELD_NUMBER: _ClassVar[int]
    SLOW_FIELD_NUMBER: _ClassVar[int]
    LATE_QUOTES_FIELD_NUMBER: _ClassVar[int]
    slot: int
    level: _common_pb2.ControlLevel
    active: _bundle_status_pb2.BundleStatus
    previous: _bundle_status_pb2.BundleStatus
    warm: bool
    open_orders: int
    orders_sent: int
    fills: int
    slow: _containers.RepeatedCompositeFieldContainer[SlowStatus]
    late_quotes: int
    def __init__(self, slot: _Optional[int] = ..., level: _Optional[_Union[_common_pb2.ControlLevel, str]] = ..., active: _Optional[_Union[_bundle_status_pb2.BundleStatus, _Mapping]] = ..., previous: _Optional[_Union[_bundle_status_pb2.BundleStatus, _Mapping]] = ..., warm: _Optional[bool] = ..., open_orders: _Optional[int] = ..., orders_sent: _Optional[int] = ..., fills: _Optional[int] = ..., slow: _Optional[_Iterable[_Union[SlowStatus, _Mapping]]] = ..., late_quotes: _Optional[int] = ...) -> None: ...

class StageLatency(_message.Message):
    __slots__ = ("stage", "count", "p50_ns", "p99_ns", "max_ns")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    P50_NS_FIELD_NUMBER: _ClassVar[int]
    P99_NS_FIELD_NUMBER: _ClassVar[int]
    MAX_NS_FIELD_NUMBER: _ClassVar[int]
    stage: str
    count: int
    p50_ns: int
    p99_ns: int
    max_ns: int
    def __init__(self, stage: _Optional[str] = ..., count: _Optional[int] = ..., p50_ns: _Optional[int] = ..., p99_ns: _Optional[int] = ..., max_ns: _Optional[int] = ...) -> None: ...

class JournalStatus(_message.Message):
    __slots__ = ("records", "bytes", "unsynced_records")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    UNSYNCED_RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: int
    bytes: int
    unsynced_records: int
    def __init__(self, records: _Optional[int] = ..., bytes: _Optional[int] = ..., unsynced_records: _Optional[int] = ...) -> None: ...

class ServiceStatus(_message.Message):
    __slots__ = ("instance", "run_id", "version", "epoch", "ts", "ts_started", "state", "slots", "venues", "controls", "journal", "latencies")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    TS_STARTED_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    VENUES_FIELD_NUMBER: _ClassVar[int]
    CONTROLS_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    LATENCIES_FIELD_NUMBER: _ClassVar[int]
    instance: str
    run_id: str
    version: str
    epoch: int
    ts: int
    ts_started: int
    state: ServiceState
    slots: _containers.RepeatedCompositeFieldContainer[SlotStatus]
    venues: _containers.RepeatedCompositeFieldContainer[_market_data_pb2.VenueStatus]
    controls: _containers.RepeatedCompositeFieldContainer[Control]
    journal: JournalStatus
    latencies: _containers.RepeatedCompositeFieldContainer[StageLatency]
    def __init__(self, instance: _Optional[str] = ..., run_id: _Optional[str] = ..., version: _Optional[str] = ..., epoch: _Optional[int] = ..., ts: _Optional[int] = ..., ts_started: _Optional[int] = ..., state: _Optional[_Union[ServiceState, str]] = ..., slots: _Optional[_Iterable[_Union[SlotStatus, _Mapping]]] = ..., venues: _Optional[_Iterable[_Union[_market_data_pb2.VenueStatus, _Mapping]]] = ..., controls: _Optional[_Iterable[_Union[Control, _Mapping]]] = ..., journal: _Optional[_Union[JournalStatus, _Mapping]] = ..., latencies: _Optional[_Iterable[_Union[StageLatency, _Mapping]]] = ...) -> None: ...

class TopicSequence(_message.Message):
    __slots__ = ("topic", "sequence")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    topic: str
    sequence: int
    def __init__(self, topic: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("epoch", "ts", "status", "orders", "recent_fills", "positions", "pnl", "balances", "as_of")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    RECENT_FILLS_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    PNL_FIELD_NUMBER: _ClassVar[int]
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    ts: int
    status: ServiceStatus
    orders: _containers.RepeatedCompositeFieldContainer[_orders_pb2.Order]
    recent_fills: _containers.RepeatedCompositeFieldContainer[_orders_pb2.Fill]
    positions: _containers.RepeatedCompositeFieldContainer[_positions_pb2.Position]
    pnl: _containers.RepeatedCompositeFieldContainer[_positions_pb2.Pnl]
    balances: _containers.RepeatedCompositeFieldContainer[_positions_pb2.Balances]
    as_of: _containers.RepeatedCompositeFieldContainer[TopicSequence]
    def __init__(self, epoch: _Optional[int] = ..., ts: _Optional[int] = ..., status: _Optional[_Union[ServiceStatus, _Mapping]] = ..., orders: _Optional[_Iterable[_Union[_orders_pb2.Order, _Mapping]]] = ..., recent_fills: _Optional[_Iterable[_Union[_orders_pb2.Fill, _Mapping]]] = ..., positions: _Optional[_Iterable[_Union[_positions_pb2.Position, _Mapping]]] = ..., pnl: _Optional[_Iterable[_Union[_positions_pb2.Pnl, _Mapping]]] = ..., balances: _Optional[_Iterable[_Union[_positions_pb2.Balances, _Mapping]]] = ..., as_of: _Optional[_Iterable[_Union[TopicSequence, _Mapping]]] = ...) -> None: ...
