"""An application: handlers for paths, middleware in front of them, and what happens at start and end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pywebtransport.config import ServerConfig
from pywebtransport.constants import ErrorCodes
from pywebtransport.events import Event, start
from pywebtransport.exceptions import ConnectionError, SessionError
from pywebtransport.framework.middleware import MiddlewareManager, MiddlewareProtocol, MiddlewareRejected
from pywebtransport.framework.router import RequestRouter, SessionHandler
from pywebtransport.server import WebTransportServer
from pywebtransport.session import WebTransportSession
from pywebtransport.types import EventType, Headers

logger = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[[], Awaitable[None] | None])

_METHOD_NOT_ALLOWED_SINCE: Final = 16


class ServerApp:
    """An application with one server.

    A handler runs as a task for each session; when it returns, the session is closed; when the application
    ends, the handlers that are left are cancelled.
    """

    def __init__(self, *, config: ServerConfig) -> None:
        self._server = WebTransportServer(config=config)
        self._router = RequestRouter()
        self._middleware = MiddlewareManager()
        self._startup: list[Callable[[], Awaitable[None] | None]] = []
        self._shutdown: list[Callable[[], Awaitable[None] | None]] = []
        self._handlers: set[asyncio.Task[None]] = set()
        self._stack: AsyncExitStack | None = None

    @property
    def server(self) -> WebTransportServer:
        """The server."""
        return self._server

    # Building

    def route(self, *, path: str) -> Callable[[SessionHandler], SessionHandler]:
        """Decorator: serve a path.

        Raises:
            ValueError: the path has a handler already.
        """

        def register(handler: SessionHandler) -> SessionHandler:
            self._router.add_route(path=path, handler=handler)
            return handler

        return register

    def pattern_route(self, *, pattern: str) -> Callable[[SessionHandler], SessionHandler]:
        """Decorator: serve the paths that a regular expression matches in full.

        Raises:
            ValueError: it is no regular expression.
        """

        def register(handler: SessionHandler) -> SessionHandler:
            self._router.add_pattern_route(pattern=pattern, handler=handler)
            return handler

        return register

    def middleware(self, middleware_func: MiddlewareProtocol) -> MiddlewareProtocol:
        """Decorator: add middleware."""
        self.add_middleware(middleware=middleware_func)
        return middleware_func

    def add_middleware(self, *, middleware: MiddlewareProtocol) -> None:
        """Ask this middleware about each request, after those added before."""
        self._middleware.add_middleware(middleware=middleware)

    def on_startup(self, handler: F) -> F:
        """Decorator: call a function or coroutine function before the first request."""
        self._startup.append(handler)
        return handler

    def on_shutdown(self, handler: F) -> F:
        """Decorator: call a function or coroutine function after the last request."""
        self._shutdown.append(handler)
        return handler

    # Running

    async def startup(self) -> None:
        """Enter the middleware and call the start functions. No effect the second time."""
        if self._stack is not None:
            return
        async with AsyncExitStack() as stack:
            for middleware in self._middleware.stateful():
                await stack.enter_async_context(middleware)
            for handler in self._startup:
                await _call(handler)
            self._stack = stack.pop_all()
        self._server.on(event_type=EventType.SESSION_REQUEST, handler=self._on_request)

    async def shutdown(self) -> None:
        """Cancel the handlers, close the server, call the end functions, leave the middleware.

        Each of these happens also when one before it fails, or when this is cancelled meanwhile.
        """
        stack, self._stack = self._stack, None
        if stack is None:
            return
        async with stack:
            # What is pushed last is done first
            for handler in reversed(self._shutdown):
                stack.push_async_callback(_call, handler)
            stack.push_async_callback(self._server.close)
            self._server.off(event_type=EventType.SESSION_REQUEST, handler=self._on_request)
            for task in self._handlers:
                task.cancel()
            await asyncio.gather(*self._handlers, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.startup()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.shutdown()

    async def serve(self, *, host: str | None = None, port: int | None = None, **kwargs: Any) -> None:
        """Listen and serve until cancelled; starts and ends the application unless it was started before.

        Args:
            host, port: as `WebTransportServer.listen`.
            kwargs: `drain_timeout`, seconds that sessions get to finish when the task is cancelled (0).

        Raises:
            ServerError: the server cannot listen.
            TypeError: an argument is unknown.
        """
        drain_timeout = float(kwargs.pop("drain_timeout", 0.0))
        if kwargs:
            raise TypeError(f"unknown arguments: {', '.join(sorted(kwargs))}")
        started_here = self._stack is None
        await self.startup()
        try:
            await self._server.listen(host=host, port=port)
            try:
                await self._server.serve_forever()
            except asyncio.CancelledError:
                if drain_timeout > 0:
                    await self._server.drain(timeout=drain_timeout)
                raise
        finally:
            if started_here:
                await self.shutdown()

    def run(self, *, host: str | None = None, port: int | None = None, **kwargs: Any) -> None:
        """Serve in an event loop of its own until SIGINT or SIGTERM; arguments as `serve`."""

        async def main() -> None:
            task = asyncio.ensure_future(self.serve(host=host, port=port, **kwargs))
            with _cancelled_by_signals(task):
                try:
                    await task
                except asyncio.CancelledError:
                    logger.info("stopped")

        asyncio.run(main())

    # Requests

    def _on_request(self, event: Event) -> None:
        data: dict[str, Any] = event.data or {}
        session: WebTransportSession = data["session"]
        task = start(self._serve_session(session))
        if not task.done():
            self._handlers.add(task)
            task.add_done_callback(self._handlers.discard)

    async def _serve_session(self, session: WebTransportSession) -> None:
        try:
            await self._middleware.process_request(session=session)
            match = self._router.route_request(session=session)
            if match is None:
                raise no_such_resource(session.draft)
            await session.accept()
        except MiddlewareRejected as rejection:
            await self._refuse(session, rejection.status_code, rejection.headers)
            return
        except (SessionError, ConnectionError) as error:
            if session.is_closed:
                logger.debug("a request has gone: %s", error)
            else:
                logger.error("a request cannot be accepted: %s", error)
                await self._refuse(session, HTTPStatus.INTERNAL_SERVER_ERROR, {})
            return
        handler, arguments = match
        code: int = ErrorCodes.APP_NO_ERROR
        try:
            await handler(session, **arguments)
        except (SessionError, ConnectionError) as error:
            if not session.is_closed:
                logger.warning("the handler of %s failed: %s", session.path, error)
        except Exception:
            logger.exception("the handler of %s failed", session.path)
            code = ErrorCodes.APP_GENERIC_ERROR
        finally:
            await session.close(error_code=code)
            await session.events.close()

    async def _refuse(self, session: WebTransportSession, status: int, headers: Headers) -> None:
        try:
            await session.reject(status_code=status, headers=headers)
        except SessionError as error:
            logger.debug("a request has gone: %s", error)


def no_such_resource(draft: int) -> MiddlewareRejected:
    """Draft-16 §3.2 asks for 405, which needs `allow` (RFC 9110 §15.5.6); older drafts for 404."""
    if draft >= _METHOD_NOT_ALLOWED_SINCE:
        return MiddlewareRejected(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"allow": ""})
    return MiddlewareRejected(status_code=HTTPStatus.NOT_FOUND)


async def _call(handler: Callable[[], Awaitable[None] | None]) -> None:
    result = handler()
    if result is not None:
        await result


@contextmanager
def _cancelled_by_signals(task: asyncio.Future[None]) -> Iterator[None]:
    """SIGINT and SIGTERM cancel the task; the second one does so again, which cuts the drain short."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    installed = []
    for number in signals:
        try:
            loop.add_signal_handler(number, task.cancel)
            installed.append(number)
        except (NotImplementedError, RuntimeError, ValueError):
            # Not the main thread, or a platform without: the caller's way of stopping remains.
            break
    try:
        yield
    finally:
        for number in installed:
            loop.remove_signal_handler(number)


__all__ = ["ServerApp"]
