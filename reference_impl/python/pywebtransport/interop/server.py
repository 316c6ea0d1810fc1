"""The interop server itself: admits sessions to their endpoints, serves them, and ends gracefully."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self, cast

from pywebtransport.config import ServerConfig
from pywebtransport.events import Event
from pywebtransport.framework import MiddlewareRejected, ServerApp
from pywebtransport.interop import endpoints
from pywebtransport.interop.baton_endpoint import BatonEndpoint
from pywebtransport.interop.hub import Hub
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How to run the server. `drain_timeout` is in seconds."""

    host: str
    port: int
    certfile: str
    keyfile: str
    drafts: list[int]
    drain_timeout: float = 2.0
    max_connections: int = 1000
    keylog_file: str | None = None


class InteropServer:
    """The server; an asynchronous context manager that listens while it is entered.

    Raises:
        ServerError: on entering, if the address cannot be bound.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        config = ServerConfig(
            certfile=options.certfile,
            keyfile=options.keyfile,
            drafts=options.drafts,
            max_connections=options.max_connections,
            keylog_file=options.keylog_file,
            # A peer may take its time: the idle time-out of the connection is the limit.
            read_timeout=None,
            write_timeout=None,
        )
        self.hub = Hub(drafts=options.drafts, endpoints={s.name: path for path, s in PATHS.items()})
        self._app = ServerApp(config=config)
        self._app.add_middleware(middleware=self._admit)
        self._services: dict[WebTransportSession, Service] = {}
        self._stopped = asyncio.Event()
        for path in PATHS:
            self._app.route(path=path)(self._serve)

    @property
    def port(self) -> int:
        """The UDP port that it listens at."""
        return self._app.server.local_addresses[0][1]

    def stop(self) -> None:
        """Ask it to end: `wait` returns once the sessions have finished, or the drain time is over."""
        self._stopped.set()

    async def wait(self) -> None:
        """Serve until `stop`, then let the sessions finish."""
        await self._stopped.wait()
        await self._app.server.drain(timeout=self._options.drain_timeout)

    async def __aenter__(self) -> Self:
        await self._app.startup()
        try:
            await self._app.server.listen(host=self._options.host, port=self._options.port)
        except BaseException:
            await self._app.shutdown()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self._app.shutdown()

    async def _admit(self, *, session: SessionProtocol) -> None:
        """Read the parameters, wait as long as they say, and let the endpoint decide."""
        visitor = cast(WebTransportSession, session)
        kind = PATHS.get(visitor.path.partition("?")[0])
        if kind is None:
            return
        try:
            service = kind(visitor, Query(visitor.path), self.hub)
        except BadParameter as error:
            raise MiddlewareRejected(status_code=HTTPStatus.BAD_REQUEST) from error
        await asyncio.sleep(service.accept_after)
        await service.admit()
        # A client may be gone before it is served
        visitor.events.once(event_type=EventType.SESSION_CLOSED, handler=self._forget)
        if not visitor.is_closed:
            self._services[visitor] = service

    def _forget(self, event: Event) -> None:
        self._services.pop((event.data or {})["session"], None)

    async def _serve(self, session: WebTransportSession) -> None:
        service = self._services.pop(session, None)
        if service is None:
            return
        self.hub.sessions_active += 1
        self.hub.sessions_total += 1
        try:
            await service.run()
        finally:
            self.hub.sessions_active -= 1
