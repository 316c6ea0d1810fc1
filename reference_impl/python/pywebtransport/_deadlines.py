"""Waits for something that happens once, and waits that must not take for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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


class Gate:
    """Something that happens once and that any number of tasks wait for, each cancelled by itself.

    Whoever waits goes on in the next turn of the event loop: with a future, each would need a shield, whose
    callbacks take two turns more.
    """

    __slots__ = ("_callbacks", "_waits", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._waits: list[asyncio.Future[None]] | None = None
        self._callbacks: list[Callable[[], object]] | None = None

    def open(self) -> None:
        """It has happened. No effect the second time."""
        self.is_open = True
        waits, self._waits = self._waits, None
        for future in waits or ():
            if not future.done():
                future.set_result(None)
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback()

    def then(self, callback: Callable[[], object]) -> None:
        """Call a function when it happens, at once if it has."""
        if self.is_open:
            callback()
        else:
            self._callbacks = [*(self._callbacks or ()), callback]

    async def wait(self, deadlines: Deadlines | None = None) -> None:
        """Return once it has happened.

        Raises:
            TimeoutError: it has not in the time that `deadlines` stands for.
        """
        if self.is_open:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits = [*(self._waits or ()), future]
        if deadlines is not None:
            deadlines.add(future)
        try:
            await future
        finally:
            if deadlines is not None:
                deadlines.remove(future)
            if self._waits is not None:
                self._waits = [other for other in self._waits if other is not future]
