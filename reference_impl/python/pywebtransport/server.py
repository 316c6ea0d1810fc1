"""The server: an endpoint that listens, its connections, and the requests for sessions."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from pywebtransport._dial import resolve
from pywebtransport._endpoint import EndpointDriver, emitter_limits
from pywebtransport.config import ServerConfig
from pywebtransport.connection import WebTransportConnection
from pywebtransport.constants import ErrorCodes
from pywebtransport.events import Event, EventEmitter
from pywebtransport.exceptions import ServerError, WebTransportError
from pywebtransport.manager import ConnectionManager, SessionManager
from pywebtransport.types import Address, ConnectionState, EventType, SessionState

logger = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class ServerStats:
    """Figures of a server. `start_time` is in seconds of `time.perf_counter`."""

    connection_errors: int = 0
    connections_accepted: int = 0
    connections_rejected: int = 0
    protocol_errors: int = 0
    start_time: float | None = None

    @property
    def total_connections_attempted(self) -> int:
        """Connections that were accepted or refused."""
        return self.connections_accepted + self.connections_rejected

    @property
    def success_rate(self) -> float:
        """Share of the attempts that was accepted; 1 before the first."""
        attempts = self.total_connections_attempted
        return self.connections_accepted / attempts if attempts else 1.0

    def to_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return {
            "connection_errors": self.connection_errors,
            "connections_accepted": self.connections_accepted,
            "connections_rejected": self.connections_rejected,
            "protocol_errors": self.protocol_errors,
            "start_time": self.start_time,
            "success_rate": self.success_rate,
            "total_connections_attempted": self.total_connections_attempted,
            "uptime": 0.0 if self.start_time is None else time.perf_counter() - self.start_time,
        }


@dataclass(kw_only=True, frozen=True, slots=True)
class ServerDiagnostics:
    """The state of a server."""

    connection_states: dict[ConnectionState, int]
    is_serving: bool
    max_connections: int
    session_states: dict[SessionState, int]
    stats: ServerStats

    @property
    def issues(self) -> list[str]:
        """What looks wrong, in words."""
        issues = []
        if not self.is_serving:
            issues.append("the server does not listen")
        if self.stats.total_connections_attempted >= 10 and self.stats.success_rate < 0.9:
            issues.append(f"only {self.stats.success_rate:.0%} of the connections were accepted")
        if sum(self.connection_states.values()) > 0.9 * self.max_connections:
            issues.append("nearly as many connections as allowed are open")
        return issues


class WebTransportServer(EventEmitter):
    """A server; an asynchronous context manager that closes everything when it is left.

    Emits CONNECTION_ESTABLISHED, CONNECTION_CLOSED and SESSION_REQUEST (`event.data["session"]` wants
    `accept()` or `reject()`).
    """

    def __init__(self, *, config: ServerConfig) -> None:
        config.validate()
        super().__init__(**emitter_limits(config))
        self.retain(event_type=EventType.SESSION_REQUEST, limit=config.max_total_pending_events)
        self._config = config
        self._driver: EndpointDriver | None = None
        self._connection_manager = ConnectionManager(max_connections=config.max_connections)
        self._session_manager = SessionManager(max_sessions=config.max_connections * config.max_sessions)
        self._stats = ServerStats()
        self._is_draining = False
        self._is_closing = False

    @property
    def config(self) -> ServerConfig:
        """The configuration."""
        return self._config

    @property
    def is_serving(self) -> bool:
        """Whether the server listens."""
        return self._driver is not None and not self._is_closing and not self._driver.is_closed

    @property
    def local_addresses(self) -> list[Address]:
        """Where the server listens."""
        return [] if self._driver is None else self._driver.core.local_addresses

    @property
    def connection_manager(self) -> ConnectionManager:
        """The connections that are open."""
        return self._connection_manager

    @property
    def session_manager(self) -> SessionManager:
        """The sessions that are open."""
        return self._session_manager

    async def listen(self, *, host: str | None = None, port: int | None = None) -> None:
        """Bind and begin to accept connections.

        Args:
            host: address; `::` takes IPv4 as well; default: of the configuration.
            port: UDP port, 0 for a free one; default: of the configuration.

        Raises:
            ServerError: the server listens already, or cannot.
        """
        if self._driver is not None:
            raise ServerError("the server listens already, or has ended")
        bind = (
            self._config.bind_host if host is None else host,
            self._config.bind_port if port is None else port,
        )
        try:
            addresses = await resolve(*bind)
            self._driver = EndpointDriver("server", self._config, self, addresses)
        except (WebTransportError, OSError) as error:
            message = f"cannot listen at {bind[0]} port {bind[1]}: {getattr(error, 'message', error)}"
            raise ServerError.from_cause(message, cause=error, bind_address=bind) from error
        self._stats.start_time = time.perf_counter()
        logger.info("listening at %s", self.local_addresses)

    async def serve_forever(self) -> None:
        """Wait until the server is closed.

        Raises:
            ServerError: the server does not listen, or its core failed.
        """
        if self._driver is None:
            raise ServerError("the server does not listen")
        if (error := await self._driver.wait_closed()) is not None:
            raise ServerError(f"the core failed: {error}", error_code=ErrorCodes.LIB_INTERNAL_ERROR)

    async def drain(self, *, timeout: float) -> None:
        """Refuse new connections, ask all peers to finish (GOAWAY, WT_DRAIN_SESSION), and wait.

        Args:
            timeout: seconds until it returns though sessions are left.
        """
        self._is_draining = True
        if self._driver is not None:
            self._driver.core.stop_accepting()
        for connection in self._connection_manager.items():
            await connection.drain()
        sessions = self._session_manager.items()
        if sessions:
            waiting = [asyncio.ensure_future(session.wait_closed()) for session in sessions]
            try:
                await asyncio.wait(waiting, timeout=timeout)
            finally:
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)

    async def close(self, *, timeout: float | None = None) -> None:
        """End all sessions and connections, and the I/O thread. No effect the second time.

        Args:
            timeout: seconds that peers get to answer, 0 to end at once; default: `close_timeout` of the
                configuration.
        """
        if self._is_closing:
            return
        self._is_closing = True
        try:
            async with asyncio.TaskGroup() as group:
                for session in self._session_manager.items() if timeout != 0 else ():
                    group.create_task(session.close())
        finally:
            try:
                if self._driver is not None:
                    limit = self._config.close_timeout if timeout is None else timeout
                    await self._driver.close(timeout=limit)
            finally:
                # Cancelled meanwhile, nobody hears what the core says of their ends
                for connection in self._connection_manager.items():
                    connection._end("local", ErrorCodes.H3_NO_ERROR, "server closed")
                await super().close()

    def stats(self) -> Mapping[str, Any]:
        """Counters of the I/O thread, by name: connections, sessions, streams, what was refused."""
        return {} if self._driver is None else self._driver.core.stats()

    async def diagnostics(self) -> ServerDiagnostics:
        """The state of the server."""
        return ServerDiagnostics(
            connection_states=self._connection_manager.states(),
            is_serving=self.is_serving,
            max_connections=self._config.max_connections,
            session_states=self._session_manager.states(),
            stats=self._stats,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    def __str__(self) -> str:
        addresses = ", ".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.local_addresses
        )
        return (
            f"WebTransportServer(status={'serving' if self.is_serving else 'stopped'}, "
            f"addresses={f'[{addresses}]' if addresses else 'unknown'}, "
            f"connections={len(self._connection_manager)}, sessions={len(self._session_manager)})"
        )

    # Events

    def _on_connection(self, handle: int, info: dict[str, Any]) -> None:
        assert self._driver is not None
        connection = WebTransportConnection(
            config=self._config, driver=self._driver, handle=handle, is_client=False
        )
        try:
            self._connection_manager.insert(handle, connection)
        except ServerError:
            self._stats.connections_rejected += 1
            connection._establish(info)
            self._driver.core.close_connection(handle, ErrorCodes.H3_EXCESSIVE_LOAD, "too many connections")
            return
        self._stats.connections_accepted += 1
        connection.events.on_any(handler=self._relay)
        connection._establish(info)
        if self._is_draining:
            # Its handshake was under way
            self._driver.core.goaway(handle)

    def _relay(self, event: Event) -> None:
        data: dict[str, Any] = event.data or {}
        connection: WebTransportConnection = data["connection"]
        if event.type == EventType.CONNECTION_CLOSED:
            self._connection_manager.discard(connection.handle)
            if data["source"] in ("tls", "timeout", "reset"):
                self._stats.connection_errors += 1
            elif data["source"] == "error":
                self._stats.protocol_errors += 1
        elif event.type == EventType.SESSION_REQUEST:
            self._admit(data["session"])
        self.emit_nowait(event_type=event.type, data=data, source=connection)

    def _admit(self, session: Any) -> None:
        number = session._handle
        self._session_manager.insert(number, session)
        session._ended.then(lambda: self._session_manager.discard(number))


__all__ = ["ServerDiagnostics", "ServerStats", "WebTransportServer"]
