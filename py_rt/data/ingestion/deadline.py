"""An end for a whole answer: a server that sends a byte now and then keeps every timeout of a single read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from py_rt.data.ingestion.retries import Deadline


class _Stream(httpcore.NetworkStream):
    """A connection whose reads end with the deadline."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner, self._until = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._until.left(timeout)
        if left <= 0:
            raise httpcore.ReadTimeout("the answer is not whole in time")
        return self._inner.read(max_bytes, left)

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
