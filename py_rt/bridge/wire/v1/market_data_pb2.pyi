# Generated from proto/py_rt/wire/v1 by `make proto`. Do not edit.
from py_rt.bridge.wire.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BookInvalidReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BOOK_INVALID_REASON_UNSPECIFIED: _ClassVar[BookInvalidReason]
    BOOK_INVALID_REASON_GAP: _ClassVar[BookInvalidReason]
    BOOK_INVALID_REASON_DISCONNECTED: _ClassVar[BookInvalidReason]
    BOOK_INVALID_REASON_CROSSED: _ClassVar[BookInvalidReason]
    BOOK_INVALID_REASON_BEST_LEVEL_MISMATCH: _ClassVar[BookInvalidReason]
    BOOK_INVALID_REASON_STALE: _ClassVar[BookInvalidReason]
    BOOK_INVALID_REASON_MALFORMED: _ClassVar[BookInvalidReason]
    BOOK_INVALID_REASON_CHECKSUM: _ClassVar[BookInvalidReason]

class VenueState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VENUE_STATE_UNSPECIFIED: _ClassVar[VenueState]
    VENUE_STATE_ONLINE: _ClassVar[VenueState]
    VENUE_STATE_OFFLINE: _ClassVar[VenueState]
BOOK_INVALID_REASON_UNSPECIFIED: BookInvalidReason
BOOK_INVALID_REASON_GAP: BookInvalidReason
BOOK_INVALID_REASON_DISCONNECTED: BookInvalidReason
BOOK_INVALID_REASON_CROSSED: BookInvalidReason
BOOK_INVALID_REASON_BEST_LEVEL_MISMATCH: BookInvalidReason
BOOK_INVALID_REASON_STALE: BookInvalidReason
BOOK_INVALID_REASON_MALFORMED: BookInvalidReason
BOOK_INVALID_REASON_CHECKSUM: BookInvalidReason
VENUE_STATE_UNSPECIFIED: VenueState
VENUE_STATE_ONLINE: VenueState
VENUE_STATE_OFFLINE: VenueState

class Trade(_message.Message):
    __slots__ = ("instrument", "ts_event", "trade_id", "price", "quantity", "aggressor")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    TS_EVENT_FIELD_NUMBER: _ClassVar[int]
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AGGRESSOR_FIELD_NUMBER: _ClassVar[int]
    instrument: _common_pb2.Instrument
    ts_event: int
    trade_id: int
    price: int
    quantity: int
    aggressor: _common_pb2.Side
    def __init__(self, instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., ts_event: _Optional[int] = ..., trade_id: _Optional[int] = ..., price: _Optional[int] = ..., quantity: _Optional[int] = ..., aggressor: _Optional[_Union[_common_pb2.Side, str]] = ...) -> None: ...

class Quote(_message.Message):
    __slots__ = ("instrument", "ts_event", "update_id", "bid", "bid_quantity", "ask", "ask_quantity")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    TS_EVENT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_ID_FIELD_NUMBER: _ClassVar[int]
    BID_FIELD_NUMBER: _ClassVar[int]
    BID_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    ASK_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    instrument: _common_pb2.Instrument
    ts_event: int
    update_id: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int
    def __init__(self, instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., ts_event: _Optional[int] = ..., update_id: _Optional[int] = ..., bid: _Optional[int] = ..., bid_quantity: _Optional[int] = ..., ask: _Optional[int] = ..., ask_quantity: _Optional[int] = ...) -> None: ...

class Level(_message.Message):
    __slots__ = ("price", "quantity")
    PRICE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    price: int
    quantity: int
    def __init__(self, price: _Optional[int] = ..., quantity: _Optional[int] = ...) -> None: ...

class Book(_message.Message):
    __slots__ = ("instrument", "ts_event", "update_id", "bids", "asks")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    TS_EVENT_FIELD_NUMBER: _ClassVar[int]
    UPDATE_ID_FIELD_NUMBER: _ClassVar[int]
    BIDS_FIELD_NUMBER: _ClassVar[int]
    ASKS_FIELD_NUMBER: _ClassVar[int]
    instrument: _common_pb2.Instrument
    ts_event: int
    update_id: int
    bids: _containers.RepeatedCompositeFieldContainer[Level]
    asks: _containers.RepeatedCompositeFieldContainer[Level]
    def __init__(self, instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., ts_event: _Optional[int] = ..., update_id: _Optional[int] = ..., bids: _Optional[_Iterable[_Union[Level, _Mapping]]] = ..., asks: _Optional[_Iterable[_Union[Level, _Mapping]]] = ...) -> None: ...

class BookInvalid(_message.Message):
    __slots__ = ("instrument", "reason")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    instrument: _common_pb2.Instrument
    reason: BookInvalidReason
    def __init__(self, instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., reason: _Optional[_Union[BookInvalidReason, str]] = ...) -> None: ...

class Bar(_message.Message):
    __slots__ = ("instrument", "ts_open", "span_ns", "open", "high", "low", "close", "volume")
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    TS_OPEN_FIELD_NUMBER: _ClassVar[int]
    SPAN_NS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    instrument: _common_pb2.Instrument
    ts_open: int
    span_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    def __init__(self, instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., ts_open: _Optional[int] = ..., span_ns: _Optional[int] = ..., open: _Optional[int] = ..., high: _Optional[int] = ..., low: _Optional[int] = ..., close: _Optional[int] = ..., volume: _Optional[int] = ...) -> None: ...

class VenueStatus(_message.Message):
    __slots__ = ("venue", "state")
    VENUE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    venue: str
    state: VenueState
    def __init__(self, venue: _Optional[str] = ..., state: _Optional[_Union[VenueState, str]] = ...) -> None: ...
