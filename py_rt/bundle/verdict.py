"""The Rust reader's verdict on a bundle, as an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import py_rt_core

from py_rt.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class RefusedBundleError(BundleError):
    """A bundle that the reader refuses.

    Attributes:
        refusal: a stable word for the reason.
    """

    def __init__(self, digest: str, refusal: str, reason: str) -> None:
        """Name the bundle and the reason.

        Args:
            digest: of the bundle.
            refusal: the reader's word.
            reason: the reader's sentence.
        """
        self.digest = digest
        self.refusal = refusal
        self.reason = reason
        super().__init__(f"bundle {digest[:12]} is refused ({refusal}): {reason}")


@dataclass(frozen=True)
class Verdict:
    """What the reader found.

    Attributes:
        digest: of the bundle.
        facts: `ok`, and either what the bundle is or `refusal` and `reason`.
    """

    digest: str
    facts: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether it stands."""
        return bool(self.facts["ok"])

    def required(self) -> Mapping[str, Any]:
        """What the bundle is.

        Raises:
            RefusedBundleError: it does not stand.
        """
        if not self.ok:
            raise RefusedBundleError(self.digest, str(self.facts["refusal"]), str(self.facts["reason"]))
        return self.facts


def inspect(store: Path, digest: str, *, risk_policy: str | None = None) -> Verdict:
    """Judge files, texts, model and golden rows; no signature.

    Args:
        store: root of the store.
        digest: of the bundle.
        risk_policy: text of the `risk_limits.toml` that no limit may be looser than.

    Raises:
        BundleError: the digest is none, or the policy cannot be read.
    """
    return Verdict(digest, _asked(py_rt_core.inspect_bundle, store, digest, risk_policy=risk_policy))


def verify_built(store: Path, digest: str, trusted_keys: str, *, risk_policy: str | None = None) -> Verdict:
    """Judge all that and the builder's signature.

    Args:
        store: root of the store.
        digest: of the bundle.
        trusted_keys: text of a `trusted_keys.toml`.
        risk_policy: as for :func:`inspect`.

    Raises:
        BundleError: as :func:`inspect`, or the keys cannot be read.
    """
    return Verdict(digest, _asked(py_rt_core.verify_built_bundle, store, digest, trusted_keys, risk_policy=risk_policy))


@dataclass(frozen=True)
class Expectation:
    """What a service asks of an approval.

    Attributes:
        slot: to be taken over.
        stage: at which it runs.
        now_ns: now, ns UTC.
        serial_floor: the highest serial that the slot has run.
        previously_active: digests that it has run; given, the bundle goes back instead of forward.
    """

    slot: int
    stage: str
    now_ns: int
    serial_floor: int = 0
    previously_active: Sequence[str] | None = None


def verify(
    store: Path, digest: str, trusted_keys: str, expectation: Expectation, *, risk_policy: str | None = None
) -> Verdict:
    """Judge everything, as the service does before it takes a slot over.

    Args:
        store: root of the store.
        digest: of the bundle.
        trusted_keys: text of a `trusted_keys.toml`.
        expectation: of the service.
        risk_policy: as for :func:`inspect`.

    Raises:
        BundleError: the question is wrong: digest, stage, policy or keys.
    """
    facts = _asked(
        py_rt_core.verify_bundle,
        store,
        digest,
        trusted_keys,
        expectation.slot,
        expectation.stage,
        expectation.now_ns,
        expectation.serial_floor,
        risk_policy=risk_policy,
        previously_active=expectation.previously_active,
    )
    return Verdict(digest, facts)


def _asked(question: Any, *arguments: object, **named: object) -> dict[str, Any]:  # noqa: ANN401  # a compiled function
    try:
        answer: dict[str, Any] = question(*arguments, **named)
    except (py_rt_core.CoreError, OverflowError) as error:
        raise BundleError(str(error)) from error
    return answer
