"""HTTP as ingestion needs it: paced per host, tried again within bounds, and never taken for what it is not.

Tried again are connections that fail, answers cut off, timeouts, and the statuses 408, 425, 429 and 5xx; a
`Retry-After` is waited for as long as it stays within the bound. Refused are bodies above the bound, HTML where
something else was asked for (a login page with status 200), other statuses, and redirects to another place than the
one asked, because a secret would go along. A refusal shows the beginning of such a body, and of an address all but its
query; what the other side repeats of a secret is blotted out first.
"""

from __future__ import annotations

import email.utils
import html
import json
import logging
import os
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote_plus, urlencode, urljoin, urlsplit, urlunsplit

from py_rt.data.ingestion.retries import Deadline, tries
from py_rt.errors import SourceError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    import httpx

QUIET = "httpx"
"""The logger of the library; it tells whole addresses."""

REDIRECTS_MAX = 5
"""Most redirects of one request, all within the same scheme, host and port."""

_RETRIED = frozenset({408, 425, 429, *range(500, 600)})
_HTML_BEGINNINGS = (b"<!doctype html", b"<html", b"<head", b"<body")
_SHOWN_CHARACTERS = 120
_QUERY = "?..."


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of what is asked of the other side, and of what it may answer.

    Attributes:
        requests_per_second: to one host, over everything in this process.
        timeout_s: of connecting, and of each read.
        answer_timeout_s: of one whole answer, however often something of it comes.
        attempts: of one request.
        wait_max_s: longest wait between attempts, also one that is asked for by `Retry-After`.
        response_bytes_max: largest body, bytes, unpacked.
    """

    requests_per_second: float = 2.0
    timeout_s: float = 30.0
    answer_timeout_s: float = 600.0
    attempts: int = 4
    wait_max_s: float = 60.0
    response_bytes_max: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """A body with what was said about it.

    Attributes:
        url: that gave it, after redirects, without user, password and query, where keys may stand.
        content: the body, unpacked.
        media_type: as the other side calls it, without parameters.
        headers: by lower-case name.
    """

    url: str
    content: bytes = field(repr=False)
    media_type: str
    headers: Mapping[str, str] = field(repr=False)


class HostPace:
    """When a host may be asked next. One for the process: sources that share a host share its pace."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def wait(self, host: str, requests_per_second: float) -> None:
        """Wait for this host's next turn, and take it.

        >>> slept = []
        >>> pace = HostPace(clock=lambda: 100.0, sleep=slept.append)
        >>> pace.wait("a", 4.0), pace.wait("a", 4.0), pace.wait("b", 4.0), pace.wait("a", 4.0)
        (None, None, None, None)
        >>> slept
        [0.25, 0.5]
        """
        with self._lock:
            now = self._clock()
            turn = max(now, self._next.get(host, now))
            self._next[host] = turn + 1.0 / requests_per_second
        if turn > now:
            self._sleep(turn - now)


PACE = HostPace()


class StatusError(SourceError):
    """An answer with a status that says no."""

    status = 0


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that stands in the environment, and where a request has it. It is read when it is sent.

    Attributes:
        env: variable of the environment.
        header: that holds it; empty is none.
        param: of the query that holds it; empty is none.
        prefix: before it.
    """

    env: str
    header: str = ""
    param: str = ""
    prefix: str = ""

    def value(self, source: str, place: str) -> str:
        """It.

        Raises:
            SourceError: the variable is not set, or holds what cannot be sent. The value is not told.
        """
        value = os.environ.get(self.env, "")
        if not value:
            raise SourceError(source, place, None, f"the variable {self.env} is not set; export the secret there")
        if not re.fullmatch(r"[!-~]+(?: +[!-~]+)*", value):
            problem = f"the variable {self.env} holds what no secret has: a line end, a space around it, or no ASCII"
            raise SourceError(source, place, None, f"{problem}; export it anew")
        return value


class _AgainError(Exception):
    """An answer that may be another one next time."""

    def __init__(self, problem: str, wait_s: float | None = None) -> None:
        super().__init__(problem)
        self.wait_s = wait_s


class HttpClient:
    """Asks on behalf of one source.

    Args:
        source: its name, for messages.
        limits: bounds.
        headers: sent with each request; nothing secret.
        secret: sent with each request, and never shown.
        pace: of the hosts.
    """

    def __init__(
        self,
        source: str,
        limits: HttpLimits | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        secret: Secret | None = None,
        pace: HostPace | None = None,
    ) -> None:
        self._source = source
        self._limits = limits or HttpLimits()
        self._headers = {"User-Agent": "py_rt", **(headers or {})}
        self._secret = secret
        self._said = ""
        self._deadline = Deadline()
        self._pace = pace or PACE
        self._open: httpx.Client | None = None

    def __repr__(self) -> str:
        return f"HttpClient({self._source!r}, {self._limits!r})"

    def get(self, url: str, place: str, *, is_html: bool = False) -> Answer:
        """Ask for a body.

        Args:
            url: to ask.
            place: what is wanted, for messages: the partition and the payload.
            is_html: whether HTML is wanted.

        Raises:
            StatusError: the other side says no.
            SourceError: it cannot be had, or is not what was asked for.
        """
        import httpx

        limits = self._limits
        self._said = self._secret.value(self._source, place) if self._secret is not None else ""
        try:
            for attempt in tries(self._backoff, limits.attempts, limits.wait_max_s):
                with attempt:
                    answer = self._follow(self._client(), url, place)
        except _AgainError as error:
            raise self._refusal(place, url, f"{error}; tried {limits.attempts} times") from error
        except httpx.TimeoutException as error:
            within = limits.answer_timeout_s if self._deadline.is_over else limits.timeout_s
            problem = f"no{' whole' * self._deadline.is_over} answer within {within} s; tried {limits.attempts} times"
            raise self._refusal(place, url, problem) from error
        except httpx.TransportError as error:
            problem = f"the connection failed ({error or type(error).__name__}); tried {limits.attempts} times"
            raise self._refusal(place, url, problem) from error
        except httpx.InvalidURL as error:
            raise self._refusal(place, url, f"is no address: {error}") from error
        if not is_html:
            self._check_no_html(answer, place)
        return answer

    def _client(self) -> httpx.Client:
        """One for all requests."""
        import httpx

        if self._open is None:
            from py_rt.data.ingestion.deadline import bounded_transport

            logging.getLogger(QUIET).setLevel(logging.WARNING)
            transport = bounded_transport(_certificates(), self._deadline)
            self._open = httpx.Client(timeout=self._limits.timeout_s, trust_env=False, transport=transport)
        return self._open

    def _backoff(self, error: Exception) -> bool | float:
        import httpx

        if isinstance(error, _AgainError):
            return True if error.wait_s is None else error.wait_s
        return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)

    def _follow(self, client: httpx.Client, url: str, place: str) -> Answer:
        asked = _origin(url)
        for _ in range(REDIRECTS_MAX + 1):
            self._pace.wait(urlsplit(url).netloc, self._limits.requests_per_second)
            self._deadline.begin(self._limits.answer_timeout_s)
            address, headers = self._request(url)
            with client.stream("GET", address, headers=headers) as response:
                if not response.is_redirect:
                    return self._answer(response, url, place)
                target = urljoin(url, response.headers.get("location", ""))
            if _origin(target) != asked:
                problem = f"redirects to {_shown(target)}, which is another place: if it is right, ask there"
                raise self._refusal(place, url, problem)
            url = target
        raise self._refusal(place, url, f"redirects more than {REDIRECTS_MAX} times")

    def _request(self, url: str) -> tuple[str, dict[str, str]]:
        """The address and the headers, with the secret in its place."""
        secret, headers = self._secret, dict(self._headers)
        if secret is None:
            return url, headers
        if secret.header:
            headers[secret.header] = secret.prefix + self._said
        return (with_param(url, secret.param, secret.prefix + self._said) if secret.param else url), headers

    def _answer(self, response: httpx.Response, url: str, place: str) -> Answer:
        status = response.status_code
        if status in _RETRIED:
            problem, wait_s = f"answers with status {status}", _retry_after(response.headers.get("retry-after", ""))
            if wait_s is not None and wait_s > self._limits.wait_max_s:
                problem += (
                    f" and asks to wait {wait_s:.0f} s, allowed are {self._limits.wait_max_s:.0f} s: run it later"
                )
                raise self._refusal(place, url, problem)
            raise _AgainError(problem, wait_s)
        content = bytearray()
        for part in response.iter_bytes():
            content += part
            if len(content) > self._limits.response_bytes_max:
                problem = f"sends more than {self._limits.response_bytes_max} bytes, which is the most allowed"
                raise self._refusal(place, url, problem)
        if status != 200:
            begin = self._begin(bytes(content))
            refusal = StatusError(self._source, place, None, f"{_shown(url)} answers with status {status}: {begin!r}")
            refusal.status = status
            raise refusal
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Answer(_shown(url).removesuffix(_QUERY), bytes(content), media_type, dict(response.headers))

    def _check_no_html(self, answer: Answer, place: str) -> None:
        begin = answer.content.lstrip(b"\xef\xbb\xbf \t\r\n")[:_SHOWN_CHARACTERS]
        if answer.media_type == "text/html" or begin.lower().startswith(_HTML_BEGINNINGS):
            shown = self._begin(answer.content)
            problem = f"answers with an HTML page and status 200, not with data: {shown!r}"
            raise self._refusal(place, answer.url, problem)

    def _refusal(self, place: str, url: str, problem: str) -> SourceError:
        return SourceError(self._source, place, None, self.blotted(f"{_shown(url)} {problem}"))

    def _begin(self, content: bytes) -> str:
        """The first of a body, for people; blotted before it is cut, so that no half of a secret is left."""
        return self.blotted(content.decode("utf-8", "replace")).lstrip()[:_SHOWN_CHARACTERS]

    def blotted(self, text: str) -> str:
        """A text without the secret, however it is spelled in it."""
        secrets = {self._said, os.environ.get(self._secret.env, "") if self._secret is not None else ""} - {""}
        spelled = sorted({one for secret in secrets for one in _spellings(secret)}, key=lambda one: (-len(one), one))
        return re.sub("|".join(map(re.escape, spelled)), "***", text, flags=re.IGNORECASE) if spelled else text


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes half a second."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


def with_param(url: str, name: str, value: str) -> str:
    """An address with one parameter of its query set; the others stay as they are written.

    >>> with_param("http://h/p?a=1%20,&b=2", "b", "3 4")
    'http://h/p?a=1%20,&b=3+4'
    """
    parts = urlsplit(url)
    others = [pair for pair in parts.query.split("&") if pair and unquote_plus(pair.partition("=")[0]) != name]
    return urlunsplit(parts._replace(query="&".join([*others, urlencode({name: value})])))


def _spellings(secret: str) -> set[str]:
    """A secret as another side may repeat it: as it is, in a URL, in JSON, in HTML; and as Python shows it."""
    spelled = {secret, quote(secret, safe=""), quote_plus(secret), quote(secret), json.dumps(secret)[1:-1]}
    spelled |= {json.dumps(secret)[1:-1].replace("/", r"\/"), html.escape(secret), html.escape(secret, quote=False)}
    shown = {text for one in spelled for text in (repr(one)[1:-1], repr(f"{one}\"'")[1:-4])}  # it may escape a quote
    return spelled | shown


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _shown(url: str) -> str:
    """An address for people: without user, password and query, where keys may stand."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" + (_QUERY if parts.query else "")


def _retry_after(text: str) -> float | None:
    """Seconds from a `Retry-After` header (RFC 9110, section 10.2.3): a number, or a date.

    >>> _retry_after("7"), _retry_after("soon"), _retry_after("Thu, 01 Jan 1970 00:00:00 GMT")
    (7.0, None, 0.0)
    """
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def next_link(text: str) -> str | None:
    """The next page of a `Link` header (RFC 8288).

    >>> next_link('</p?page=1>; rel="prev", </p?page=3>; rel="next"')
    '/p?page=3'
    """
    for part in text.split(","):
        found = re.match(r'\s*<([^>]*)>.*;\s*rel="?next"?', part)
        if found:
            return found[1]
    return None
