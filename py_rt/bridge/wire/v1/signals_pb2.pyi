# Generated from proto/py_rt/wire/v1 by `make proto`. Do not edit.
from py_rt.bridge.wire.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_UNSPECIFIED: _ClassVar[Decision]
    DECISION_NO_SIGNAL: _ClassVar[Decision]
    DECISION_HOLD: _ClassVar[Decision]
    DECISION_ENTER: _ClassVar[Decision]
    DECISION_EXIT: _ClassVar[Decision]
DECISION_UNSPECIFIED: Decision
DECISION_NO_SIGNAL: Decision
DECISION_HOLD: Decision
DECISION_ENTER: Decision
DECISION_EXIT: Decision

class Signal(_message.Message):
    __slots__ = ("slot", "instrument", "ts_close", "bundle_digest", "decision", "raw_score", "probability", "features")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_FIELD_NUMBER: _ClassVar[int]
    TS_CLOSE_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    RAW_SCORE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    slot: int
    instrument: _common_pb2.Instrument
    ts_close: int
    bundle_digest: bytes
    decision: Decision
    raw_score: float
    probability: float
    features: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, slot: _Optional[int] = ..., instrument: _Optional[_Union[_common_pb2.Instrument, _Mapping]] = ..., ts_close: _Optional[int] = ..., bundle_digest: _Optional[bytes] = ..., decision: _Optional[_Union[Decision, str]] = ..., raw_score: _Optional[float] = ..., probability: _Optional[float] = ..., features: _Optional[_Iterable[float]] = ...) -> None: ...
