"""The interop server itself: admits sessions to their endpoints, serves them, and ends gracefully."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self, cast

from pywebtransport.config import ServerConfig
from pywebtransport.events import Event
from pywebtransport.framework import MiddlewareRejected, ServerApp
from pywebtransport.framework.app import no_such_resource
from pywebtransport.interop import endpoints, logs
from pywebtransport.interop.baton_endpoint import BatonEndpoint
from pywebtransport.interop.hub import Hub
from pywebtransport.interop.journal import Journal
from pywebtransport.interop.observe import Observe
from pywebtransport.interop.query import BadParameter, Query
from pywebtransport.interop.service import Service
from pywebtransport.session import WebTransportSession
from pywebtransport.types import EventType, SessionProtocol

SERVICES: Final[tuple[type[Service], ...]] = (
    Service,
    Observe,
    endpoints.Stats,
    endpoints.Status,
    endpoints.Close,
    endpoints.Drain,
    endpoints.Reject,
    endpoints.Origin,
    endpoints.Push,
    endpoints.Reset,
    endpoints.Protocols,
    endpoints.Exporter,
    BatonEndpoint,
)
PATHS: Final = {service.path or f"/{service.name}": service for service in SERVICES}


class InteropServer:
    """The server; an asynchronous context manager that listens while it is entered.

    Args:
        config: `bind_host` and `bind_port` say where it listens.
        drain_timeout: seconds that sessions get to finish once it has been told to stop.

    Raises:
        ServerError: on entering, if the address cannot be bound.
    """

    def __init__(self, config: ServerConfig, *, drain_timeout: float = 2.0) -> None:
        self._config = config
        self._drain_timeout = drain_timeout
        self.hub = Hub(drafts=config.drafts, endpoints={s.name: path for path, s in PATHS.items()})
        self._app = ServerApp(config=config)
        self._app.add_middleware(middleware=self._admit)
        self._services: dict[WebTransportSession, Service] = {}
        self._stopped = asyncio.Event()
        self._cut_short = asyncio.Event()
        for path in PATHS:
            self._app.route(path=path)(self._serve)

    @property
    def port(self) -> int:
        """The UDP port that it listens at."""
        return self._app.server.local_addresses[0][1]

    def stop(self) -> None:
        """Ask it to end: `wait` returns once the sessions have finished, or the drain time is over.

        The second time `wait` returns at once, with all connections closed.
        """
        if self._stopped.is_set():
            self._cut_short.set()
        self._stopped.set()

    async def wait(self) -> None:
        """Serve until `stop`, then let the sessions finish.

        Raises:
            ServerError: the core has failed.
        """
        server = self._app.server
        await _first(server.serve_forever(), self._stopped.wait())
        logs.tell("draining", "asking all peers to finish", sessions=len(server.session_manager))
        await _first(server.drain(timeout=self._drain_timeout), self._cut_short.wait())
        if self._cut_short.is_set():
            logs.tell("cut_short", "told to end at once", sessions=len(server.session_manager))
            await server.close(timeout=0)

    async def __aenter__(self) -> Self:
        server = self._app.server
        if logs.tells():
            Journal(server)
        await self._app.startup()
        try:
            await server.listen()
        except BaseException:
            await self._app.shutdown()
            raise
        self.hub.endpoint_stats = server.stats
        logs.tell(
            "listening",
            "ready",
            addresses=" ".join(f"{host}:{port}" for host, port in server.local_addresses),
            drafts=",".join(self.hub.drafts),
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self._app.shutdown()
        logs.tell("stopped", "closed", sessions_served=self.hub.sessions_total)

    async def _admit(self, *, session: SessionProtocol) -> None:
        """Read the parameters, wait as long as they say, and let the endpoint decide."""
        visitor = cast(WebTransportSession, session)
        try:
            await self._prepare(visitor)
        except MiddlewareRejected as rejection:
            self.hub.sessions_refused += 1
            logs.tell("session_refused", "no session", path=visitor.path, status=int(rejection.status_code))
            raise

    async def _prepare(self, visitor: WebTransportSession) -> None:
        kind = PATHS.get(visitor.path.partition("?")[0])
        if kind is None:
            raise no_such_resource(visitor.draft)
        try:
            service = kind(visitor, Query(visitor.path), self.hub)
        except BadParameter as error:
            raise MiddlewareRejected(status_code=HTTPStatus.BAD_REQUEST) from error
        # Not for a client that is gone, else it could leave any number of these behind
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(service.accept_after):
                await visitor.wait_closed()
        await service.admit()
        # A client may be gone before it is accepted
        visitor.events.once(event_type=EventType.SESSION_CLOSED, handler=self._forget)
        visitor.events.once(event_type=EventType.SESSION_READY, handler=self._keep)
        if not visitor.is_closed:
            self._services[visitor] = service

    def _forget(self, event: Event) -> None:
        self._services.pop((event.data or {})["session"], None)

    def _keep(self, event: Event) -> None:
        """A session that was accepted is served, though its end may be heard in the same turn."""
        (event.data or {})["session"].events.off(event_type=EventType.SESSION_CLOSED, handler=self._forget)

    async def _serve(self, session: WebTransportSession) -> None:
        service = self._services.pop(session, None)
        if service is None:
            return
        self.hub.begin(session)
        try:
            await service.run()
        finally:
            self.hub.end(session)


async def _first(*operations: Coroutine[Any, Any, Any]) -> None:
    """Wait for the first of some operations to end, and cancel the others. Raises what it raises."""
    tasks = [asyncio.ensure_future(operation) for operation in operations]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
