"""Waits that must not take for ever."""

from __future__ import annotations

import asyncio
from typing import Any


class Deadlines:
    """Ends waits that take longer than a number of seconds, with one timer for all of them.

    Nearly every wait ends in time; beginning and ending one therefore costs a place in a dictionary, not a
    timer of the event loop.
    """

    __slots__ = ("_loop", "_seconds", "_timer", "_waits")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        # In the order in which they end, as all last equally long
        self._waits: dict[asyncio.Future[Any], float] = {}

    def add(self, future: asyncio.Future[Any]) -> None:
        """Set `TimeoutError` on the future unless it is done in time."""
        deadline = self._loop.time() + self._seconds
        self._waits[future] = deadline
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._expire)

    def remove(self, future: asyncio.Future[Any]) -> None:
        """The wait is over."""
        self._waits.pop(future, None)

    def close(self) -> None:
        """Leave no timer behind; the waits go on without a limit."""
        self._waits.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._waits:
            future, deadline = next(iter(self._waits.items()))
            if deadline > now:
                self._timer = self._loop.call_at(deadline, self._expire)
                return
            del self._waits[future]
            if not future.done():
                future.set_exception(TimeoutError())
