# Generated from proto/py_rt/wire/v1 by `make proto`. Do not edit.
from py_rt.bridge.wire.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Position(_message.Message):
    __slots__ = ("slot", "instrument", "ts", "quantity", "cost", "realized_pnl", "fees", "mark_price", "unrealized_pnl")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    REALIZED_PNL_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    MARK_PRICE_FIELD_NUMBER: _ClassVar[int]
    UNREALIZED_PNL_FIELD_NUMBER: _ClassVar[int]
    slot: int
    instrument: _common_pb2.Instrument
    ts: int
    quantity: int
    cost: _common_pb2.Money
    realized_pnl: _common_pb2.Money
    fees: _common_pb2.Money
    mark_price: int
    unrealized_pnl: _common_pb2.Money
    def __init__(self, slot: _Optional[int] = ..., instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., ts: _Optional[int] = ..., quantity: _Optional[int] = ..., cost: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., realized_pnl: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., fees: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., mark_price: _Optional[int] = ..., unrealized_pnl: _Optional[_Union[_common_pb2.Money, _Mapping]] = ...) -> None: ...

class Pnl(_message.Message):
    __slots__ = ("slot", "ts", "realized", "unrealized", "fees", "equity", "peak_equity")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    REALIZED_FIELD_NUMBER: _ClassVar[int]
    UNREALIZED_FIELD_NUMBER: _ClassVar[int]
    FEES_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    PEAK_EQUITY_FIELD_NUMBER: _ClassVar[int]
    slot: int
    ts: int
    realized: _common_pb2.Money
    unrealized: _common_pb2.Money
    fees: _containers.RepeatedCompositeFieldContainer[_common_pb2.Money]
    equity: _common_pb2.Money
    peak_equity: _common_pb2.Money
    def __init__(self, slot: _Optional[int] = ..., ts: _Optional[int] = ..., realized: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., unrealized: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., fees: _Optional[_Iterable[_Union[_common_pb2.Money, _Mapping]]] = ..., equity: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., peak_equity: _Optional[_Union[_common_pb2.Money, _Mapping]] = ...) -> None: ...

class Balance(_message.Message):
    __slots__ = ("currency", "free", "locked")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    currency: str
    free: int
    locked: int
    def __init__(self, currency: _Optional[str] = ..., free: _Optional[int] = ..., locked: _Optional[int] = ...) -> None: ...

class Balances(_message.Message):
    __slots__ = ("venue", "ts", "balances")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    venue: str
    ts: int
    balances: _containers.RepeatedCompositeFieldContainer[Balance]
    def __init__(self, venue: _Optional[str] = ..., ts: _Optional[int] = ..., balances: _Optional[_Iterable[_Union[Balance, _Mapping]]] = ...) -> None: ...
