"""What looks at a request before it is accepted: authentication, origin, rate."""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict, deque
from fnmatch import fnmatchcase
from http import HTTPStatus
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from pywebtransport.types import Headers, SessionProtocol

logger = logging.getLogger(__name__)


class MiddlewareRejected(Exception):
    """Raised by middleware: the request is refused with this status and these field lines."""

    def __init__(self, *, status_code: int = HTTPStatus.FORBIDDEN, headers: Headers | None = None) -> None:
        super().__init__(f"refused with status {int(status_code)}")
        self.status_code = status_code
        self.headers: Headers = {} if headers is None else headers


class MiddlewareProtocol(Protocol):
    """Middleware: returns, or raises `MiddlewareRejected`."""

    async def __call__(self, *, session: SessionProtocol) -> None: ...


@runtime_checkable
class StatefulMiddlewareProtocol(MiddlewareProtocol, Protocol):
    """Middleware with a life of its own: entered when the application starts, left when it ends."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None: ...


class AuthHandlerProtocol(Protocol):
    """Decides by the field lines of a request whether it is allowed."""

    async def __call__(self, *, headers: Headers) -> bool: ...


class MiddlewareManager:
    """Middleware in the order in which it was added."""

    def __init__(self) -> None:
        self._middleware: list[MiddlewareProtocol] = []

    def add_middleware(self, *, middleware: MiddlewareProtocol) -> None:
        """Append."""
        self._middleware.append(middleware)

    def remove_middleware(self, *, middleware: MiddlewareProtocol) -> None:
        """Take out. No effect if it is not there."""
        if middleware in self._middleware:
            self._middleware.remove(middleware)

    def get_middleware_count(self) -> int:
        """How many there are."""
        return len(self._middleware)

    def stateful(self) -> list[StatefulMiddlewareProtocol]:
        """Those that want to be entered and left."""
        return [item for item in self._middleware if isinstance(item, StatefulMiddlewareProtocol)]

    async def process_request(self, *, session: SessionProtocol) -> None:
        """Ask one after the other.

        Raises:
            MiddlewareRejected: by the first that refuses; with status 500 if one fails.
        """
        for middleware in self._middleware:
            try:
                await middleware(session=session)
            except MiddlewareRejected:
                raise
            except Exception as error:
                logger.exception("middleware failed")
                raise MiddlewareRejected(status_code=HTTPStatus.INTERNAL_SERVER_ERROR) from error


class RateLimiter:
    """At most `max_requests` of one address in `window_seconds`; refuses with 429 and `retry-after`.

    Args:
        max_requests: per address and window.
        window_seconds: length of the sliding window.
        cleanup_interval: seconds after which addresses without a request in the window are forgotten.
        max_tracked_ips: addresses to remember; the one unseen for longest is forgotten first.
    """

    def __init__(
        self,
        *,
        max_requests: int = 100,
        window_seconds: int = 60,
        cleanup_interval: int = 300,
        max_tracked_ips: int = 10000,
    ) -> None:
        self._max_requests = max_requests
        self._window = window_seconds
        self._cleanup_interval = cleanup_interval
        self._max_tracked = max_tracked_ips
        self._requests: OrderedDict[str, deque[float]] = OrderedDict()
        self._cleaned_at = time.monotonic()

    async def __call__(self, *, session: SessionProtocol) -> None:
        """Count a request.

        Raises:
            MiddlewareRejected: there were too many of its address.
        """
        if session.remote_address is None:
            return
        now = time.monotonic()
        self._clean(now)
        address = session.remote_address[0]
        times = self._requests.setdefault(address, deque())
        self._requests.move_to_end(address)
        while len(self._requests) > self._max_tracked:
            self._requests.popitem(last=False)
        while times and now - times[0] >= self._window:
            times.popleft()
        if len(times) >= self._max_requests:
            wait = math.ceil(self._window - (now - times[0])) if times else self._window
            raise MiddlewareRejected(
                status_code=HTTPStatus.TOO_MANY_REQUESTS, headers={"retry-after": str(max(1, wait))}
            )
        times.append(now)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._requests.clear()

    def _clean(self, now: float) -> None:
        if now - self._cleaned_at < self._cleanup_interval:
            return
        self._cleaned_at = now
        for address, times in list(self._requests.items()):
            if not times or now - times[-1] >= self._window:
                del self._requests[address]


def create_auth_middleware(*, auth_handler: AuthHandlerProtocol) -> MiddlewareProtocol:
    """Refuse with 401 what the handler does not allow, and with 500 if it fails."""

    async def authenticate(*, session: SessionProtocol) -> None:
        try:
            allowed = await auth_handler(headers=session.headers)
        except Exception as error:
            logger.exception("the authentication handler failed")
            raise MiddlewareRejected(status_code=HTTPStatus.INTERNAL_SERVER_ERROR) from error
        if not allowed:
            raise MiddlewareRejected(status_code=HTTPStatus.UNAUTHORIZED)

    return authenticate


def create_cors_middleware(*, allowed_origins: list[str]) -> MiddlewareProtocol:
    """Refuse with 403 a request whose `origin` is missing or matches none of the patterns (`*` is a wild
    card).
    """

    async def check_origin(*, session: SessionProtocol) -> None:
        origin = field_value(session.headers, "origin")
        if origin is None or not any(fnmatchcase(origin, pattern) for pattern in allowed_origins):
            raise MiddlewareRejected(status_code=HTTPStatus.FORBIDDEN)

    return check_origin


def create_rate_limit_middleware(
    *,
    max_requests: int = 100,
    window_seconds: int = 60,
    cleanup_interval: int = 300,
    max_tracked_ips: int = 10000,
) -> RateLimiter:
    """A `RateLimiter`."""
    return RateLimiter(
        max_requests=max_requests,
        window_seconds=window_seconds,
        cleanup_interval=cleanup_interval,
        max_tracked_ips=max_tracked_ips,
    )


def field_value(headers: Headers, name: str) -> str | None:
    """The first value of a field, by its name in lower case."""
    for key, value in headers.items() if isinstance(headers, dict) else headers:
        key = key.decode("latin-1") if isinstance(key, bytes) else key
        if key.lower() == name:
            return value.decode("latin-1") if isinstance(value, bytes) else value
    return None


__all__ = [
    "AuthHandlerProtocol",
    "MiddlewareManager",
    "MiddlewareProtocol",
    "MiddlewareRejected",
    "RateLimiter",
    "StatefulMiddlewareProtocol",
    "create_auth_middleware",
    "create_cors_middleware",
    "create_rate_limit_middleware",
]
