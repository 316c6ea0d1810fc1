"""Prometheus metrics over HTTP. The page is written by prometheus-client, which is an extra."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

DEFAULT_HOST: Final = "127.0.0.1"
PREFIX: Final = "webtransport_"
_DEADLINE: Final = 5.0
"""Seconds that the event loop gets to say its figures, and a client to ask for them."""

FIGURES: Final[Mapping[str, tuple[str, str]]] = {
    "connections": ("gauge", "Connections that are open, those of which the handshake is under way included"),
    "connections_total": ("counter", "Connections that were admitted"),
    "handshakes_refused_total": ("counter", "Connections that were refused with CONNECTION_REFUSED"),
    "retries_sent_total": ("counter", "Retry packets that were sent"),
    "sessions": ("gauge", "Sessions that are open"),
    "sessions_total": ("counter", "Sessions that were served"),
    "sessions_refused_total": ("counter", "Requests for a session that were refused"),
    "streams": ("gauge", "QUIC streams that are open, those of HTTP/3 included"),
    "bytes_received_total": ("counter", "Bytes of stream bodies received by sessions"),
    "bytes_sent_total": ("counter", "Bytes of stream bodies sent by sessions"),
    "datagrams_received_total": ("counter", "Datagrams received by sessions"),
    "datagrams_sent_total": ("counter", "Datagrams sent by sessions"),
    "datagrams_dropped_total": ("counter", "Datagrams dropped since a queue was full or the peer takes none"),
    "send_errors_total": ("counter", "UDP datagrams that the system refused to send"),
    "events_queued": ("gauge", "Messages of the I/O thread that the event loop has not taken"),
    "uptime_seconds": ("gauge", "Since the server was started"),
}
"""Kind and meaning of each figure, by its name without the prefix; `/status` has the same in JSON."""

Figures = Callable[[], Mapping[str, float]]


class MissingPackage(RuntimeError):
    """prometheus-client is not installed."""


class _Collector:
    """Asks the event loop for the figures whenever the page is asked for."""

    def __init__(self, figures: Figures, facts: Mapping[str, str]) -> None:
        self._figures = figures
        self._facts = facts
        self._loop = asyncio.get_running_loop()

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        async def ask() -> Mapping[str, float]:
            return self._figures()

        values = asyncio.run_coroutine_threadsafe(ask(), self._loop).result(_DEADLINE)
        for name, (kind, meaning) in FIGURES.items():
            family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
            yield family(PREFIX + name, meaning, value=values[name])
        yield InfoMetricFamily(f"{PREFIX}build", "The server", value=dict(self._facts))


@asynccontextmanager
async def served(host: str, port: int, figures: Figures, facts: Mapping[str, str]) -> AsyncIterator[int]:
    """Serve `/metrics` on a thread; `figures` is called in the event loop that this is entered in.

    Args:
        host: address to listen at.
        port: TCP port, 0 for a free one; the block gets the one that was taken.
        facts: labels of `webtransport_build_info`.

    Raises:
        MissingPackage: prometheus-client is not installed.
        OSError: the address cannot be bound.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise MissingPackage(
            "metrics need prometheus-client: pip install 'webtransport-reference[metrics]'"
        ) from error
    registry = CollectorRegistry()
    collector: Any = _Collector(figures, facts)
    # Not described beforehand: the loop would have to answer itself
    collector.describe = list
    registry.register(collector)
    server, thread = start_http_server(port, addr=host, registry=registry)
    # Of the copy that is this server's only: whoever connects and says nothing is not waited for
    handler: Any = server.RequestHandlerClass
    server.RequestHandlerClass = type("Handler", (handler,), {"timeout": _DEADLINE})
    try:
        yield server.server_port
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()
