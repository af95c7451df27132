# Generated from proto/py_rt/wire/v1 by `make proto`. Do not edit.
from py_rt.bridge.wire.v1 import bundle_status_pb2 as _bundle_status_pb2
from py_rt.bridge.wire.v1 import commands_pb2 as _commands_pb2
from py_rt.bridge.wire.v1 import common_pb2 as _common_pb2
from py_rt.bridge.wire.v1 import market_data_pb2 as _market_data_pb2
from py_rt.bridge.wire.v1 import orders_pb2 as _orders_pb2
from py_rt.bridge.wire.v1 import positions_pb2 as _positions_pb2
from py_rt.bridge.wire.v1 import signals_pb2 as _signals_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Heartbeat(_message.Message):
    __slots__ = ("sequences",)
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    sequences: _containers.RepeatedCompositeFieldContainer[_commands_pb2.TopicSequence]
    def __init__(self, sequences: _Optional[_Iterable[_Union[_commands_pb2.TopicSequence, _Mapping]]] = ...) -> None: ...

class CommandEvent(_message.Message):
    __slots__ = ("command", "ack")
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    command: str
    ack: _commands_pb2.Ack
    def __init__(self, command: _Optional[str] = ..., ack: _Optional[_Union[_commands_pb2.Ack, _Mapping]] = ...) -> None: ...

class Alert(_message.Message):
    __slots__ = ("kind", "slot", "instrument", "client_order_id", "text")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    slot: int
    instrument: _common_pb2.Instrument
    client_order_id: str
    text: str
    def __init__(self, kind: _Optional[str] = ..., slot: _Optional[int] = ..., instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., client_order_id: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Envelope(_message.Message):
    __slots__ = ("epoch", "sequence", "ts", "instance", "trade", "quote", "book", "book_invalid", "bar", "venue_status", "order", "fill", "position", "pnl", "balances", "signal", "bundle_status", "service_status", "command", "control", "alert", "heartbeat")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    TRADE_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    BOOK_INVALID_FIELD_NUMBER: _ClassVar[int]
    BAR_FIELD_NUMBER: _ClassVar[int]
    VENUE_STATUS_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PNL_FIELD_NUMBER: _ClassVar[int]
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_STATUS_FIELD_NUMBER: _ClassVar[int]
    SERVICE_STATUS_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    ALERT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    sequence: int
    ts: int
    instance: str
    trade: _market_data_pb2.Trade
    quote: _market_data_pb2.Quote
    book: _market_data_pb2.Book
    book_invalid: _market_data_pb2.BookInvalid
    bar: _market_data_pb2.Bar
    venue_status: _market_data_pb2.VenueStatus
    order: _orders_pb2.Order
    fill: _orders_pb2.Fill
    position: _positions_pb2.Position
    pnl: _positions_pb2.Pnl
    balances: _positions_pb2.Balances
    signal: _signals_pb2.Signal
    bundle_status: _bundle_status_pb2.BundleStatus
    service_status: _commands_pb2.ServiceStatus
    command: CommandEvent
    control: _commands_pb2.Control
    alert: Alert
    heartbeat: Heartbeat
    def __init__(self, epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., ts: _Optional[int] = ..., instance: _Optional[str] = ..., trade: _Optional[_Union[_market_data_pb2.Trade, _Mapping]] = ..., quote: _Optional[_Union[_market_data_pb2.Quote, _Mapping]] = ..., book: _Optional[_Union[_market_data_pb2.Book, _Mapping]] = ..., book_invalid: _Optional[_Union[_market_data_pb2.BookInvalid, _Mapping]] = ..., bar: _Optional[_Union[_market_data_pb2.Bar, _Mapping]] = ..., venue_status: _Optional[_Union[_market_data_pb2.VenueStatus, _Mapping]] = ..., order: _Optional[_Union[_orders_pb2.Order, _Mapping]] = ..., fill: _Optional[_Union[_orders_pb2.Fill, _Mapping]] = ..., position: _Optional[_Union[_positions_pb2.Position, _Mapping]] = ..., pnl: _Optional[_Union[_positions_pb2.Pnl, _Mapping]] = ..., balances: _Optional[_Union[_positions_pb2.Balances, _Mapping]] = ..., signal: _Optional[_Union[_signals_pb2.Signal, _Mapping]] = ..., bundle_status: _Optional[_Union[_bundle_status_pb2.BundleStatus, _Mapping]] = ..., service_status: _Optional[_Union[_commands_pb2.ServiceStatus, _Mapping]] = ..., command: _Optional[_Union[CommandEvent, _Mapping]] = ..., control: _Optional[_Union[_commands_pb2.Control, _Mapping]] = ..., alert: _Optional[_Union[Alert, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...
