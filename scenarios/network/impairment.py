"""The fate of each datagram: a pure state machine without sockets and without a clock of its own.

Every datagram takes the same number of draws from a generator that is seeded by seed, flow and direction.
So datagram number n meets the same chances in every run with the same seed, whatever the timing; only the
rate limit and the outages look at the clock, and the outages stand in a timetable that the seed fixes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from scenarios.network.profiles import Profile

Outcome: TypeAlias = Literal["delivered", "lost", "outage", "overflow", "oversize"]


class Direction(StrEnum):
    """Which way a datagram travels: ``up`` is from the client to the server."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What was decided about one datagram.

    ``releases`` are the times at which copies leave the relay, in seconds of the caller's clock: none where
    it is dropped, two where it is duplicated. ``rebind`` tells that the client's address changes before it.
    """

    direction: Direction
    index: int
    size: int
    outcome: Outcome
    releases: tuple[float, ...] = ()
    reordered: bool = False
    rebind: bool = False

    @property
    def marks(self) -> tuple[str, ...]:
        """The unusual things about a datagram, as words for a log."""
        found = {
            "reordered": self.reordered,
            "duplicated": len(self.releases) > 1,
            "rebinding": self.rebind,
        }
        return tuple(word for word, holds in found.items() if holds)


@dataclass(frozen=True, slots=True)
class _Chances:
    """The draws of one datagram, each from 0 to 1; always all of them, so that none shifts the next."""

    loss: float
    jitter: float
    reorder: float
    duplicate: float


class Impairment:
    """Decides about the datagrams of one flow in one direction.

    Args:
        profile: the conditions.
        seed: any integer; the same one gives the same decisions.
        flow: number of the flow, for example of the client's address, from 0.
        direction: the two directions of a flow meet independent chances, but the same outages.
    """

    def __init__(self, profile: Profile, seed: int, flow: int, direction: Direction) -> None:
        self._profile = profile
        self._direction = direction
        self._random = random.Random(f"{seed}/{flow}/{direction}")
        self._outages = OutageTimetable(profile, seed)
        self._index = 0
        self._in_burst = False
        self._link_free = 0.0
        self._last_release = 0.0

    def decide(self, size: int, now: float) -> Fate:
        """Return the fate of the next datagram: ``size`` bytes that arrive at ``now`` (never decreasing)."""
        chances = _Chances(*(self._random.random() for _ in range(4)))
        index, self._index = self._index, self._index + 1
        outcome, departure = self._outcome(chances, size, now)
        reordered = outcome == "delivered" and chances.reorder < self._profile.reorder
        return Fate(
            direction=self._direction,
            index=index,
            size=size,
            outcome=outcome,
            releases=self._releases(chances, departure, reordered) if outcome == "delivered" else (),
            reordered=reordered,
            rebind=self._rebinds(index),
        )

    def _outcome(self, chances: _Chances, size: int, now: float) -> tuple[Outcome, float]:
        lost = self._lost(chances.loss)
        if self._outages.covers(now):
            return "outage", now
        if lost:
            return "lost", now
        if 0 < self._profile.max_payload < size:
            return "oversize", now
        if self._profile.rate == 0:
            return "delivered", now
        start = max(now, self._link_free)
        if start - now > self._profile.queue:
            return "overflow", now
        self._link_free = start + size * 8 / self._profile.rate
        return "delivered", self._link_free

    def _lost(self, chance: float) -> bool:
        """Two-state chain (Gilbert): bursts of mean length ``loss_burst``, altogether the share ``loss``."""
        profile = self._profile
        if profile.loss == 0:
            return False
        leave = 1 / profile.loss_burst
        enter = leave * profile.loss / (1 - profile.loss)
        self._in_burst = chance >= leave if self._in_burst else chance < enter
        return self._in_burst

    def _releases(self, chances: _Chances, departure: float, reordered: bool) -> tuple[float, ...]:
        profile = self._profile
        release = departure + profile.delay + profile.jitter * (2 * chances.jitter - 1)
        if reordered:
            release += profile.reorder_delay
        else:
            # Jitter alone does not reorder: as in a queue, nothing overtakes what came before.
            release = self._last_release = max(release, self._last_release)
        return (release, release) if chances.duplicate < profile.duplicate else (release,)

    def _rebinds(self, index: int) -> bool:
        every = self._profile.rebind_every
        return self._direction is Direction.UP and every > 0 and index > 0 and index % every == 0


class OutageTimetable:
    """When nothing gets through: fixed by profile and seed alone, the same for all flows and directions."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self._every = profile.outage_every
        self._length = profile.outage_length
        self._seed = seed

    def covers(self, now: float) -> bool:
        """Tell whether ``now`` (seconds since the relay started) lies in an outage."""
        if self._every == 0:
            return False
        start = self.start(int(now // self._every))
        return start <= now < start + self._length

    def start(self, number: int) -> float:
        """Return when an outage begins: in the second half of its period, early enough to end there too."""
        room = self._every / 2 - self._length
        return (number + 0.5) * self._every + room * random.Random(f"{self._seed}/outage/{number}").random()
