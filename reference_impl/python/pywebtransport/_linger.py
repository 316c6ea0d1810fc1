"""An event loop that stays awake for the answer that it is about to get.

Where packets come and go one by one, most of a round trip is the waking of processors that have just gone to
sleep. While the core lends the event loop its sockets, which it does for such traffic alone, the loop goes
round without sleeping for a moment after each packet. What it waits in vain is a small part of the time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

SHARE: Final = 0.05
"""Part of the time that may be waited in vain."""
_SAVED: Final = 20
"""Moments that may be waited in vain in a row."""


class Linger:
    """Keeps a running event loop from sleeping.

    Args:
        loop: the event loop; whatever else is ready gets its turn as always.
        moment: seconds to stay awake for the next packet; 0: never.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        moment: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop = loop
        self._moment = moment
        self._clock = clock
        self._awake = False
        self._until = 0.0
        # Seconds that may be waited in vain, and until when that was counted
        self._credit = _SAVED * moment
        self._counted = clock()

    def packet(self) -> None:
        """Something came: stay awake for the next, unless too much was waited in vain."""
        if not self._moment:
            return
        now = self._clock()
        if not self._awake:
            earned = SHARE * (now - self._counted)
            self._counted = now
            self._credit = min(self._credit + earned, _SAVED * self._moment)
            if self._credit < self._moment:
                return
            self._awake = True
            self._loop.call_soon(self._turn)
        self._until = now + self._moment

    def _turn(self) -> None:
        if self._clock() < self._until:
            self._loop.call_soon(self._turn)
            return
        self._awake = False
        self._credit -= self._moment
