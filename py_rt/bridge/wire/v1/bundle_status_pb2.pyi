# Generated from proto/py_rt/wire/v1 by `make proto`. Do not edit.
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_PAPER: _ClassVar[Stage]
    STAGE_LIVE_10: _ClassVar[Stage]
    STAGE_LIVE_25: _ClassVar[Stage]
    STAGE_LIVE_50: _ClassVar[Stage]
    STAGE_LIVE_100: _ClassVar[Stage]

class BundleState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUNDLE_STATE_UNSPECIFIED: _ClassVar[BundleState]
    BUNDLE_STATE_VERIFYING: _ClassVar[BundleState]
    BUNDLE_STATE_WARMING: _ClassVar[BundleState]
    BUNDLE_STATE_ACTIVE: _ClassVar[BundleState]
    BUNDLE_STATE_PREVIOUS: _ClassVar[BundleState]
    BUNDLE_STATE_REFUSED: _ClassVar[BundleState]
    BUNDLE_STATE_EXPIRED: _ClassVar[BundleState]
STAGE_UNSPECIFIED: Stage
STAGE_PAPER: Stage
STAGE_LIVE_10: Stage
STAGE_LIVE_25: Stage
STAGE_LIVE_50: Stage
STAGE_LIVE_100: Stage
BUNDLE_STATE_UNSPECIFIED: BundleState
BUNDLE_STATE_VERIFYING: BundleState
BUNDLE_STATE_WARMING: BundleState
BUNDLE_STATE_ACTIVE: BundleState
BUNDLE_STATE_PREVIOUS: BundleState
BUNDLE_STATE_REFUSED: BundleState
BUNDLE_STATE_EXPIRED: BundleState

class BundleStatus(_message.Message):
    __slots__ = ("slot", "digest", "state", "ts", "name", "version", "stage", "serial", "expires", "reason")
    SLOT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    slot: int
    digest: bytes
    state: BundleState
    ts: int
    name: str
    version: str
    stage: Stage
    serial: int
    expires: int
    reason: str
    def __init__(self, slot: _Optional[int] = ..., digest: _Optional[bytes] = ..., state: _Optional[_Union[BundleState, str]] = ..., ts: _Optional[int] = ..., name: _Optional[str] = ..., version: _Optional[str] = ..., stage: _Optional[_Union[Stage, str]] = ..., serial: _Optional[int] = ..., expires: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
