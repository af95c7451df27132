# Generated from proto/py_rt/wire/v1 by `make proto`. Do not edit.
from py_rt.bridge.wire.v1 import common_pb2 as _common_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OrderRequest(_message.Message):
    __slots__ = ("client_order_id", "instrument", "side", "order_type", "price", "quantity", "time_in_force", "post_only", "reduce_only", "good_till")
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    ORDER_TYPE_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    TIME_IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    POST_ONLY_FIELD_NUMBER: _ClassVar[int]
    REDUCE_ONLY_FIELD_NUMBER: _ClassVar[int]
    GOOD_TILL_FIELD_NUMBER: _ClassVar[int]
    client_order_id: str
    instrument: _common_pb2.Instrument
    side: _common_pb2.Side
    order_type: _common_pb2.OrderType
    price: int
    quantity: int
    time_in_force: _common_pb2.TimeInForce
    post_only: bool
    reduce_only: bool
    good_till: int
    def __init__(self, client_order_id: _Optional[str] = ..., instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., order_type: _Optional[_Union[_common_pb2.OrderType, str]] = ..., price: _Optional[int] = ..., quantity: _Optional[int] = ..., time_in_force: _Optional[_Union[_common_pb2.TimeInForce, str]] = ..., post_only: _Optional[bool] = ..., reduce_only: _Optional[bool] = ..., good_till: _Optional[int] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("request", "status", "filled_quantity", "average_price", "venue_order_id", "ts_created", "ts_updated", "bundle_digest", "reason")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FILLED_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_PRICE_FIELD_NUMBER: _ClassVar[int]
    VENUE_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    TS_CREATED_FIELD_NUMBER: _ClassVar[int]
    TS_UPDATED_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    request: OrderRequest
    status: _common_pb2.OrderStatus
    filled_quantity: int
    average_price: int
    venue_order_id: str
    ts_created: int
    ts_updated: int
    bundle_digest: bytes
    reason: str
    def __init__(self, request: _Optional[_Union[OrderRequest, _Mapping]] = ..., status: _Optional[_Union[_common_pb2.OrderStatus, str]] = ..., filled_quantity: _Optional[int] = ..., average_price: _Optional[int] = ..., venue_order_id: _Optional[str] = ..., ts_created: _Optional[int] = ..., ts_updated: _Optional[int] = ..., bundle_digest: _Optional[bytes] = ..., reason: _Optional[str] = ...) -> None: ...

class Fill(_message.Message):
    __slots__ = ("client_order_id", "instrument", "ts_event", "trade_id", "price", "quantity", "side", "fee", "liquidity", "slot", "realized_pnl")
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    TS_EVENT_FIELD_NUMBER: _ClassVar[int]
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    FEE_FIELD_NUMBER: _ClassVar[int]
    LIQUIDITY_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    REALIZED_PNL_FIELD_NUMBER: _ClassVar[int]
    client_order_id: str
    instrument: _common_pb2.Instrument
    ts_event: int
    trade_id: int
    price: int
    quantity: int
    side: _common_pb2.Side
    fee: _common_pb2.Money
    liquidity: _common_pb2.Liquidity
    slot: int
    realized_pnl: _common_pb2.Money
    def __init__(self, client_order_id: _Optional[str] = ..., instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., ts_event: _Optional[int] = ..., trade_id: _Optional[int] = ..., price: _Optional[int] = ..., quantity: _Optional[int] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., fee: _Optional[_Union[_common_pb2.Money, _Mapping]] = ..., liquidity: _Optional[_Union[_common_pb2.Liquidity, str]] = ..., slot: _Optional[int] = ..., realized_pnl: _Optional[_Union[_common_pb2.Money, _Mapping]] = ...) -> None: ...
