"""Whether a place can hold the lake: two writers must not both be told that they came first.

Every commit of a Delta table is one file that must not be there yet. A store that takes a second one of the same name
loses acknowledged commits without a word. So the check puts one object twice on the condition that it is absent, and
demands that the second is refused (HTTP 412, RFC 9110 section 13.1.2 `If-None-Match: *`; on a folder, `O_EXCL`).

S3 is asked directly, signed by AWS Signature Version 4 with the keys of the environment, as the tables' own library
reads them: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`,
`AWS_ALLOW_HTTP`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from py_rt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

PROBE = "_py_rt_probe"
"""Folder of the objects that the check puts and removes."""

TIMEOUT_S = 15.0
PRECONDITION_FAILED = 412
CONFLICT = 409
_TRUE = frozenset({"1", "true", "yes", "on", "y", "t"})
_ENDPOINTS = {"aws_endpoint_url", "aws_endpoint_url_s3", "aws_endpoint", "endpoint_url", "endpoint"}
"""Names, in any case, by which the tables' library takes the store's address."""


class LakeError(DataError):
    """A place that cannot be asked whether it can hold the lake."""


@dataclass(frozen=True, slots=True)
class LakeVerdict:
    """What the check found.

    Attributes:
        root: of the lake.
        safe: whether tables may be written there.
        facts: what was looked at, in words.
        problems: what forbids it, in words, with what to do.
    """

    root: str
    safe: bool
    facts: tuple[str, ...]
    problems: tuple[str, ...] = ()


def check_lake(root: str, environ: Mapping[str, str] | None = None) -> LakeVerdict:
    """Put one object twice, on the condition that it is absent, and remove it.

    Args:
        root: of the lake: a folder or `s3://bucket/prefix`.
        environ: `None` is the process's own.

    Raises:
        LakeError: the place cannot be reached, refuses the first object, or is of a kind that is not known.
    """
    environ = os.environ if environ is None else environ
    if root.startswith("s3://"):
        return _check_s3(root, environ)
    if "://" in root:
        raise LakeError(f"{root}: a lake is a folder or s3://bucket/prefix")
    return _check_folder(root)


def _check_folder(root: str) -> LakeVerdict:
    folder = Path(root) / PROBE
    probe = folder / uuid.uuid4().hex
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
    except OSError as error:
        raise LakeError(f"{root}: cannot be written: {error.strerror}") from error
    try:
        probe.touch(exist_ok=False)
    except FileExistsError:
        return LakeVerdict(root, safe=True, facts=("a folder; a second file of one name is refused",))
    finally:
        probe.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
    problem = "a second file of one name was taken: this file system loses commits; put the lake elsewhere"
    return LakeVerdict(root, safe=False, facts=("a folder",), problems=(problem,))


def _check_s3(root: str, environ: Mapping[str, str]) -> LakeVerdict:
    place = _S3.of(root, environ)
    facts = [f"S3 at {place.shown}, bucket {place.bucket}"]
    problems = []
    lower = {name.lower(): value for name, value in environ.items()}
    if lower.get("aws_s3_allow_unsafe_rename", "").lower() in _TRUE:
        problem = "AWS_S3_ALLOW_UNSAFE_RENAME is set: commits would be renamed over each other; unset it"
        problems.append(problem)
    conditional = lower.get("aws_conditional_put", "")
    if conditional and conditional != "etag":
        problems.append(f"AWS_CONDITIONAL_PUT is {conditional!r}; commits need 'etag'")
    key = f"{place.prefix}{PROBE}/{uuid.uuid4().hex}"
    first = place.put_if_absent(key, b"first")
    try:
        if not 200 <= first < 300:
            raise LakeError(f"{root}: the first conditional PUT was answered with status {first}: {_hint(first)}")
        second = place.put_if_absent(key, b"second")
        kept = place.get(key)
    finally:
        place.delete(key)
    facts.append(f"two conditional PUTs of one key: status {first}, then {second}")
    if second not in {PRECONDITION_FAILED, CONFLICT} or kept != b"first":
        problem = (
            "the second conditional PUT was taken: this store ignores If-None-Match, so that two writers lose "
            "acknowledged commits; use a store with conditional writes"
        )
        problems.append(problem)
    return LakeVerdict(root, safe=not problems, facts=tuple(facts), problems=tuple(problems))


def _hint(status: int) -> str:
    hints = {
        403: "the keys are wrong or may not write there",
        404: "there is no such bucket",
        501: "the store does not know conditional writes; use one that does",
    }
    return hints.get(status, "look at the store's log")


def s3_endpoint(environ: Mapping[str, str]) -> str | None:
    """The address of a store that is not Amazon's, which `AWS_ENDPOINT_URL` says.

    Raises:
        LakeError: another variable says another address, which the tables' library would ask in its place.

    >>> s3_endpoint({"AWS_ENDPOINT_URL": "http://store:9000"})
    'http://store:9000'
    >>> s3_endpoint({"AWS_ENDPOINT": "http://other:9000"})
    Traceback (most recent call last):
    py_rt.data.lake_check.LakeError: AWS_ENDPOINT names another store than AWS_ENDPOINT_URL: set AWS_ENDPOINT_URL alone
    """
    url = environ.get("AWS_ENDPOINT_URL") or None
    for name, value in environ.items():
        if name.lower() in _ENDPOINTS and value and value != url:
            raise LakeError(f"{name} names another store than AWS_ENDPOINT_URL: set AWS_ENDPOINT_URL alone")
    return url


@dataclass(frozen=True)
class _S3:
    """An S3 place that is asked by hand."""

    endpoint: str
    bucket: str
    prefix: str
    region: str
    key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)

    @classmethod
    def of(cls, root: str, environ: Mapping[str, str]) -> _S3:
        bucket, _, prefix = root.removeprefix("s3://").strip("/").partition("/")
        key_id, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
        if not bucket or not key_id or not secret:
            missing = "the bucket" if not bucket else "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            raise LakeError(f"{root}: {missing} is not given, so that the store cannot be asked")
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        endpoint = s3_endpoint(environ) or f"https://s3.{region}.amazonaws.com"
        if endpoint.startswith("http://") and environ.get("AWS_ALLOW_HTTP", "").lower() not in _TRUE:
            raise LakeError(f"{root}: {endpoint} is plain http; set AWS_ALLOW_HTTP=true if that is meant")
        token = environ.get("AWS_SESSION_TOKEN", "")
        return cls(endpoint.rstrip("/"), bucket, f"{prefix}/" if prefix else "", region, key_id, secret, token)

    @property
    def shown(self) -> str:
        return urlsplit(self.endpoint).netloc.rpartition("@")[2]

    def put_if_absent(self, key: str, body: bytes) -> int:
        return self._ask("PUT", key, body, {"if-none-match": "*"}).status_code

    def get(self, key: str) -> bytes:
        return self._ask("GET", key).content

    def delete(self, key: str) -> None:
        self._ask("DELETE", key)

    def _ask(self, method: str, key: str, body: bytes = b"", extra: Mapping[str, str] | None = None) -> httpx.Response:
        import httpx

        path = "/" + quote(f"{self.bucket}/{key}", safe="/-_.~")
        headers = {"host": urlsplit(self.endpoint).netloc, **(extra or {})}
        signed = self._signed(method, path, headers, body, datetime.now(UTC))
        try:
            with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
                return client.request(method, self.endpoint + path, headers=signed, content=body)
        except httpx.HTTPError as error:
            raise LakeError(f"s3://{self.bucket}: {self.shown} cannot be reached: {error}") from error

    def _signed(self, method: str, path: str, headers: dict[str, str], body: bytes, now: datetime) -> dict[str, str]:
        """Headers with AWS Signature Version 4 (AWS General Reference, "Create a signed AWS API request")."""
        moment, day = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}"
        digest = hashlib.sha256(body).hexdigest()
        headers = {**headers, "x-amz-date": moment, "x-amz-content-sha256": digest}
        if self.token:
            headers["x-amz-security-token"] = self.token
        names = ";".join(sorted(headers))
        lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
        request = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
        scope = f"{day}/{self.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self.secret}".encode()
        for part in (day, self.region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        credential = f"Credential={self.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        return {**headers, "authorization": f"AWS4-HMAC-SHA256 {credential}"}
