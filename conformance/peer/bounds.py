"""Bounds of the load that a target gets: new connections per second, and open ones at a time."""

from __future__ import annotations

import time
from collections.abc import Callable


class TooManyConnections(Exception):
    """What is played needs one more connection than the bound allows."""


class LoadBounds:
    """Bounds for the connections of one process; several workers share a target's bounds by division.

    ``rate``: connections that may be started per second, ``connections``: that may be open at a time; None
    bounds nothing.
    """

    def __init__(
        self,
        rate: float | None = None,
        connections: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self.connections = connections
        self._clock, self._sleep = clock, sleep
        self._open = 0
        self._next = clock()

    def opening(self) -> None:
        """Count a connection, after its time has come; raises TooManyConnections."""
        if self.connections is not None and self._open >= self.connections:
            raise TooManyConnections(f"{self._open} connections are open, more are not allowed")
        if self.rate is not None:
            wait = self._next - self._clock()
            if wait > 0:
                self._sleep(wait)
            self._next = max(self._next, self._clock()) + 1 / self.rate
        self._open += 1

    def closed(self) -> None:
        """Count a connection no longer."""
        self._open -= 1
