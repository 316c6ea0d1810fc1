"""Which handler serves which path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pywebtransport.session import WebTransportSession

SessionHandler: TypeAlias = Callable[..., Awaitable[None]]
"""A coroutine function of a session, and of the named groups of its pattern."""


class RequestRouter:
    """Routes by exact path, then by pattern in the order of registration, then the default handler.

    A path is looked up with its query first, then without.
    """

    def __init__(self) -> None:
        self._exact: dict[str, SessionHandler] = {}
        self._patterns: list[tuple[re.Pattern[str], SessionHandler]] = []
        self._default: SessionHandler | None = None

    def add_route(self, *, path: str, handler: SessionHandler, override: bool = False) -> None:
        """Serve a path.

        Raises:
            ValueError: the path is served already, and `override` is not set.
        """
        if path in self._exact and not override:
            raise ValueError(f"{path!r} has a handler already")
        self._exact[path] = handler

    def add_pattern_route(self, *, pattern: str, handler: SessionHandler) -> None:
        """Serve the paths that a regular expression matches in full; named groups become keyword arguments.

        Raises:
            ValueError: the pattern is no regular expression.
        """
        try:
            self._patterns.append((re.compile(pattern), handler))
        except re.error as error:
            raise ValueError(f"{pattern!r} is no pattern: {error}") from error

    def set_default_handler(self, *, handler: SessionHandler) -> None:
        """Serve every path that nothing else serves."""
        self._default = handler

    def remove_route(self, *, path: str) -> None:
        """Serve a path no more. No effect if it is not served."""
        self._exact.pop(path, None)

    def remove_pattern_route(self, *, pattern: str) -> None:
        """Serve a pattern no more. No effect if it is not served."""
        self._patterns = [entry for entry in self._patterns if entry[0].pattern != pattern]

    def get_route_handler(self, *, path: str) -> SessionHandler | None:
        """The handler of an exact path."""
        return self._exact.get(path)

    def get_all_routes(self) -> dict[str, SessionHandler]:
        """The handlers of all exact paths."""
        return dict(self._exact)

    def get_route_stats(self) -> dict[str, Any]:
        """Numbers of routes."""
        return {
            "exact_routes": len(self._exact),
            "pattern_routes": len(self._patterns),
            "has_default_handler": self._default is not None,
        }

    def route_request(self, *, session: WebTransportSession) -> tuple[SessionHandler, dict[str, Any]] | None:
        """The handler for the path of a session and its keyword arguments; `None` if nothing serves it."""
        full = session.path
        for path in dict.fromkeys((full, full.partition("?")[0])):
            if (handler := self._exact.get(path)) is not None:
                return handler, {}
            for pattern, handler in self._patterns:
                if (match := pattern.fullmatch(path)) is not None:
                    return handler, match.groupdict()
        return None if self._default is None else (self._default, {})


__all__ = ["RequestRouter", "SessionHandler"]
