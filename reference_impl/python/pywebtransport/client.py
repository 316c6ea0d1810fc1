"""The client: connections to servers, and a session on each."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from pywebtransport import _core
from pywebtransport._dial import Origin, parse_url, race, resolve
from pywebtransport._endpoint import EndpointDriver, emitter_limits, header_lines
from pywebtransport._pool import Pool
from pywebtransport.config import ClientConfig
from pywebtransport.connection import WebTransportConnection
from pywebtransport.constants import ErrorCodes
from pywebtransport.events import EventEmitter
from pywebtransport.exceptions import (
    ClientError,
    ConnectionError,
    SessionError,
    TimeoutError,
    WebTransportError,
)
from pywebtransport.session import WebTransportSession
from pywebtransport.types import Address, ConnectionState, EventType, Headers
from pywebtransport.version import __version__


@dataclass(kw_only=True, slots=True)
class ClientStats:
    """Figures of a client's connections. Times are seconds."""

    connections_attempted: int = 0
    connections_failed: int = 0
    connections_successful: int = 0
    created_at: float = field(default_factory=time.perf_counter)
    max_connect_time: float = 0.0
    min_connect_time: float = math.inf
    total_connect_time: float = 0.0

    @property
    def avg_connect_time(self) -> float:
        """Mean time to a session; 0 before the first."""
        return self.total_connect_time / self.connections_successful if self.connections_successful else 0.0

    @property
    def success_rate(self) -> float:
        """Share of attempts that led to a session; 1 before the first."""
        return self.connections_successful / self.connections_attempted if self.connections_attempted else 1.0

    def to_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return {
            "connections_attempted": self.connections_attempted,
            "connections_failed": self.connections_failed,
            "connections_successful": self.connections_successful,
            "created_at": self.created_at,
            "max_connect_time": self.max_connect_time,
            "min_connect_time": 0.0 if math.isinf(self.min_connect_time) else self.min_connect_time,
            "total_connect_time": self.total_connect_time,
            "avg_connect_time": self.avg_connect_time,
            "success_rate": self.success_rate,
            "uptime": time.perf_counter() - self.created_at,
        }

    def record(self, seconds: float) -> None:
        """A session was established after `seconds`."""
        self.connections_successful += 1
        self.total_connect_time += seconds
        self.max_connect_time = max(self.max_connect_time, seconds)
        self.min_connect_time = min(self.min_connect_time, seconds)


@dataclass(kw_only=True, frozen=True, slots=True)
class ClientDiagnostics:
    """The state of a client."""

    connection_states: dict[ConnectionState, int]
    stats: ClientStats

    @property
    def issues(self) -> list[str]:
        """What looks wrong, in words."""
        stats = self.stats
        issues = []
        if stats.connections_attempted >= 10 and stats.success_rate < 0.9:
            issues.append(f"only {stats.success_rate:.0%} of the connections succeeded")
        if stats.avg_connect_time > 5.0:
            issues.append(f"connecting takes {stats.avg_connect_time:.1f} s on average")
        return issues


class WebTransportClient(EventEmitter):
    """A client; an asynchronous context manager that closes every connection when it is left.

    Emits CONNECTION_ESTABLISHED and CONNECTION_CLOSED of all its connections.
    """

    def __init__(self, *, config: ClientConfig | None = None) -> None:
        self._config = ClientConfig() if config is None else config
        self._config.validate()
        super().__init__(**emitter_limits(self._config))
        self._default_headers: Headers = {}
        self._driver: EndpointDriver | None = None
        self._connections: dict[int, WebTransportConnection] = {}
        self._pool = Pool()
        self._stats = ClientStats()
        self._is_closed = False

    @property
    def config(self) -> ClientConfig:
        """The configuration."""
        return self._config

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._is_closed

    def set_default_headers(self, *, headers: Headers) -> None:
        """Field lines of every request from now on, beside those of the configuration; they win over them."""
        self._default_headers = headers

    async def connect(
        self,
        *,
        url: str,
        headers: Headers | None = None,
        wt_available_protocols: list[str] | None = None,
        timeout: float | None = None,
    ) -> WebTransportSession:
        """Connect to the server of a URL, and ask it for a session.

        Args:
            url: `https://HOST[:PORT][/PATH][?QUERY]`.
            headers: more field lines; they win over the default ones.
            wt_available_protocols: application protocols to offer, best first; default: of the configuration.
            timeout: seconds for all of it; default: `connect_timeout` of the configuration.

        Raises:
            ValueError: the URL cannot be used.
            ClientError: the client is closed, or there is no session; `details` has `status` and `headers` if
                the server refused it.
            TimeoutError: it took too long.
        """
        return await self._establish(url, headers, wt_available_protocols, timeout, early=False)

    async def connect_optimistic(
        self,
        *,
        url: str,
        headers: Headers | None = None,
        wt_available_protocols: list[str] | None = None,
        timeout: float | None = None,
    ) -> WebTransportSession:
        """As `connect`, without waiting for the answer to the request; see
        `WebTransportConnection.create_session_optimistic`.

        Raises:
            ValueError, ClientError, TimeoutError: as `connect`.
        """
        return await self._establish(url, headers, wt_available_protocols, timeout, early=True)

    async def _establish(
        self,
        url: str,
        headers: Headers | None,
        wt_available_protocols: list[str] | None,
        timeout: float | None,
        *,
        early: bool,
    ) -> WebTransportSession:
        if self._is_closed:
            raise ClientError("the client is closed", url=url)
        origin = parse_url(url)
        offered = (
            self._config.wt_available_protocols if wt_available_protocols is None else wt_available_protocols
        )
        limit = self._config.connect_timeout if timeout is None else timeout
        begin = time.perf_counter()
        self._stats.connections_attempted += 1
        try:
            async with asyncio.timeout(limit):
                session = await self._connect(origin, self._headers(headers), offered, early)
        except builtins.TimeoutError:
            self._stats.connections_failed += 1
            raise TimeoutError(
                f"no session with {origin.authority} within {limit} s", operation="connect"
            ) from None
        except (WebTransportError, OSError) as error:
            self._stats.connections_failed += 1
            message = f"no session with {origin.authority}: {getattr(error, 'message', error)}"
            raise ClientError.from_cause(message, cause=error, url=url) from error
        self._stats.record(time.perf_counter() - begin)
        return session

    async def diagnostics(self) -> ClientDiagnostics:
        """The state of the client."""
        states = Counter(connection.state for connection in self._connections.values())
        return ClientDiagnostics(connection_states=dict(states), stats=self._stats)

    async def close(self) -> None:
        """Close all sessions and connections, and end the I/O thread. No effect the second time."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            for connection in list(self._connections.values()):
                for session in connection.get_all_sessions():
                    await session.close()
        finally:
            try:
                if self._driver is not None:
                    await self._driver.close(timeout=self._config.close_timeout)
            finally:
                # Cancelled meanwhile, nobody hears what the core says of their ends
                for connection in list(self._connections.values()):
                    connection._end("local", ErrorCodes.H3_NO_ERROR, "client closed")
                await super().close()

    async def __aenter__(self) -> Self:
        if self._is_closed:
            raise ClientError("the client is closed")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    def __str__(self) -> str:
        status = "closed" if self._is_closed else "open"
        return f"WebTransportClient(status={status}, connections={len(self._connections)})"

    # Inside

    def _headers(self, headers: Headers | None) -> Headers:
        lines = header_lines(headers)
        for defaults in (self._default_headers, self._config.headers):
            given = {name for name, _ in lines}
            lines = [line for line in header_lines(defaults) if line[0] not in given] + lines
        if not any(name == "user-agent" for name, _ in lines):
            lines.insert(
                0, ("user-agent", self._config.user_agent or f"webtransport-reference/{__version__}")
            )
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines]

    async def _connect(
        self, origin: Origin, headers: Headers, offered: list[str] | None, early: bool
    ) -> WebTransportSession:
        place, tried = (origin.host, origin.port), set[int]()
        while True:
            is_shared = False
            async with self._pool.lock(place) if self._config.pool_sessions else contextlib.nullcontext():
                connection = self._pool.find(place, tried)
                if connection is not None:
                    is_shared = True
                else:
                    connection = await self._open(origin, early or self._config.pool_sessions)
                    if self._config.pool_sessions:
                        self._pool.add(place, connection)
            tried.add(connection.handle)
            create = connection.create_session_optimistic if early else connection.create_session
            try:
                return await create(
                    authority=origin.authority,
                    path=origin.path,
                    headers=headers,
                    wt_available_protocols=offered,
                )
            except (SessionError, ConnectionError) as error:
                # Where no answer came, another connection may take what this one did not
                if not is_shared or error.details.get("status"):
                    self._abandon_unused(connection)
                    raise
            except BaseException:
                self._abandon_unused(connection)
                raise

    async def _open(self, origin: Origin, is_awaited: bool) -> WebTransportConnection:
        """A connection; to one address perhaps before its handshake: the core keeps a request."""
        if len(self._connections) >= self._config.max_connections:
            raise ClientError(
                f"{self._config.max_connections} connections are open",
                error_code=ErrorCodes.APP_RESOURCE_EXHAUSTED,
            )
        addresses = await resolve(origin.host, origin.port)
        if len(addresses) == 1 and not is_awaited:
            return self._dial(addresses[0], origin.host)
        attempts = [partial(self._attempt, address, origin.host) for address in addresses]
        return await race(attempts, self._config.connection_attempt_delay, self._abandon)

    def _dial(self, address: Address, host: str) -> WebTransportConnection:
        if self._driver is None:
            self._driver = EndpointDriver("client", self._config, self)
        try:
            handle = self._driver.core.connect(address, host)
        except (ValueError, _core.ClosedError) as error:
            raise ConnectionError(str(error), remote_address=address) from error
        connection = WebTransportConnection(
            config=self._config, driver=self._driver, handle=handle, is_client=True
        )
        self._connections[handle] = connection
        connection.events.on_any(handler=self._relay)
        return connection

    async def _attempt(self, address: Address, host: str) -> WebTransportConnection:
        connection = self._dial(address, host)
        try:
            await connection.wait_ready()
        except BaseException:
            self._abandon(connection)
            raise
        return connection

    def _abandon_unused(self, connection: WebTransportConnection) -> None:
        if not connection.get_all_sessions():
            self._abandon(connection)

    def _abandon(self, connection: WebTransportConnection) -> None:
        self._pool.discard(connection.handle)
        if self._driver is not None and not connection.is_closed:
            with contextlib.suppress(_core.HandleError):
                self._driver.core.close_connection(connection.handle)
        self._connections.pop(connection.handle, None)

    def _relay(self, event: Any) -> None:
        if event.type == EventType.CONNECTION_CLOSED:
            self._connections.pop(event.data["connection_handle"], None)
            self._pool.discard(event.data["connection_handle"])
        self.emit_nowait(event_type=event.type, data=event.data, source=event.data["connection"])

    def _on_connection(self, handle: int, info: dict[str, Any]) -> None:
        raise AssertionError("a client makes all its connections itself")


__all__ = ["ClientDiagnostics", "ClientStats", "WebTransportClient"]
