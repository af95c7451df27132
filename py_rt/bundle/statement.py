"""What builder and approver sign: DSSE envelopes with one ECDSA P-256 signature over SHA-256.

https://github.com/secure-systems-lab/dsse
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from decimal import Decimal
from operator import index
from typing import TYPE_CHECKING

import py_rt_core

from py_rt.bundle.manifest import canonical_json, checked_digest
from py_rt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from py_rt.bundle.keys import SigningKey, TrustedKey

BUILDER_TYPE = "application/vnd.py_rt.builder+json"
APPROVAL_TYPE = "application/vnd.py_rt.approval+json"
STAGES = tuple(py_rt_core.bundle_words()[0])
"""Stages of an approval, ascending."""

PAPER = STAGES[0]


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: neither type nor payload can pass for the other.

    >>> signed_bytes("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def envelope(payload_type: str, payload: bytes, key: SigningKey) -> bytes:
    """Sign a payload."""
    signature = key.sign(signed_bytes(payload_type, payload))
    return canonical_json(
        {
            "payloadType": payload_type,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": key.key_id, "sig": base64.b64encode(signature).decode()}],
        }
    )


def builder_envelope(digest: str, key: SigningKey) -> bytes:
    """The builder's word that it built this bundle."""
    return envelope(BUILDER_TYPE, canonical_json({"digest": checked_digest(digest), "role": "builder"}), key)


@dataclass(frozen=True)
class Approval:
    """What the approver agrees to.

    Attributes:
        digest: of the bundle.
        slot: in which slot it may run.
        stage: one of :data:`STAGES`.
        size_scale: share of the full size.
        not_before_ns: from when, ns UTC.
        expires_ns: until when, ns UTC.
        serial: counts up with every approval of a slot.
        gates_sha256: of the gate results that the approver saw.
    """

    digest: str
    slot: int
    stage: str
    size_scale: Decimal
    not_before_ns: int
    expires_ns: int
    serial: int
    gates_sha256: str

    def to_envelope(self, key: SigningKey) -> bytes:
        """Sign it."""
        payload = canonical_json({**vars(self), "size_scale": decimal_text(self.size_scale)})
        return envelope(APPROVAL_TYPE, payload, key)

    @classmethod
    def from_envelope(cls, content: bytes) -> tuple[Approval, str]:
        """Read an approval without judging it; also gives the id of the key that claims to have signed it.

        Raises:
            BundleError: it is no such envelope.
        """
        try:
            outer = json.loads(content)
            inner = json.loads(base64.b64decode(outer["payload"], validate=True))
            numbers = {name: index(inner[name]) for name in ("slot", "serial", "not_before_ns", "expires_ns")}
            approval = cls(**{**inner, **numbers, "size_scale": Decimal(inner["size_scale"])})
            return approval, str(outer["signatures"][0]["keyid"])
        except (ValueError, KeyError, TypeError, IndexError, ArithmeticError, binascii.Error) as error:
            raise BundleError(f"not an approval: {error!r}") from error

    @classmethod
    def trusted(cls, content: bytes, keys: Iterable[TrustedKey]) -> Approval | None:
        """Read an approval if its signature is that of a key which may approve at its stage; else there is none.

        Raises:
            BundleError: it is no such envelope.
        """
        approval, key_id = cls.from_envelope(content)
        key = next((key for key in keys if key.key_id == key_id), None)
        if key is None or approval.stage not in STAGES or not key.may_approve(approval.stage):
            return None
        outer = json.loads(content)
        try:
            payload, signature = (
                base64.b64decode(text, validate=True) for text in (outer["payload"], outer["signatures"][0]["sig"])
            )
        except (KeyError, TypeError, ValueError):
            return None
        return approval if key.signed(signed_bytes(APPROVAL_TYPE, payload), signature) else None


def decimal_text(value: Decimal) -> str:
    """A decimal without exponent and needless zeros.

    >>> decimal_text(Decimal("1.00")), decimal_text(Decimal("1E-1")), decimal_text(Decimal("10"))
    ('1', '0.1', '10')
    """
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
