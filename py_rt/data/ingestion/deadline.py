"""An end for a whole answer: a server that sends a byte now and then keeps every timeout of a single read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable


class Deadline:
    """When the answer that is waited for must be there.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = float("inf")

    def begin(self, seconds: float) -> None:
        """Count from now."""
        self._end = self._clock() + seconds

    @property
    def is_over(self) -> bool:
        """Whether it has passed."""
        return self._clock() >= self._end

    def left(self, timeout: float | None) -> float:
        """How long a read may take.

        Raises:
            httpcore.ReadTimeout: it has passed.
        """
        left = self._end - self._clock()
        if left <= 0:
            raise httpcore.ReadTimeout("the answer is not whole in time")
        return left if timeout is None else min(left, timeout)


class _Stream(httpcore.NetworkStream):
    """A connection whose reads end with the deadline."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner, self._until = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._until.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout), self._until)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # the library's
        return self._inner.get_extra_info(info)


class _Network(httpcore.NetworkBackend):
    """Opens such connections."""

    def __init__(self, deadline: Deadline) -> None:
        self._inner, self._deadline = httpcore.SyncBackend(), deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream, self._deadline)


def bounded_transport(certificates: ssl.SSLContext, deadline: Deadline) -> httpx.HTTPTransport:
    """The transport of a client whose answers end with a deadline."""
    transport = httpx.HTTPTransport(verify=certificates, trust_env=False)
    # The library has no argument for it; what it makes itself differs in nothing else.
    transport._pool = httpcore.ConnectionPool(  # noqa: SLF001
        ssl_context=certificates, keepalive_expiry=5.0, network_backend=_Network(deadline)
    )
    return transport
