"""The relay's log: the fate of each datagram as JSON lines, bounded."""

from __future__ import annotations

import json
from collections import Counter
from typing import IO, Final

from scenarios.network.impairment import Fate
from scenarios.network.profiles import Profile

FORMAT: Final = "wtconform-network-log/1"
MAX_LINES: Final = 200_000


class FateLog:
    """Writes one line for each datagram until ``max_lines``; from then on it only counts.

    The first line names profile and seed, the last one (``summary``) holds the counts of everything,
    also of what was no longer written. Times are in seconds since the relay started.
    """

    def __init__(
        self, target: IO[str] | None, profile: Profile, seed: int, max_lines: int = MAX_LINES
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._target = target
        self._lines_left = max_lines
        self._write({"format": FORMAT, "profile": profile.name, "seed": seed})

    def fate(self, flow: int, now: float, fate: Fate) -> None:
        """Record what was decided about a datagram that arrived at ``now``."""
        self.counts[f"{fate.direction}.{fate.outcome}"] += 1
        for mark in fate.marks:
            self.counts[f"{fate.direction}.{mark}"] += 1
        line: dict[str, object] = {
            "time": round(now, 6),
            "flow": flow,
            "direction": fate.direction.value,
            "index": fate.index,
            "size": fate.size,
            "fate": fate.outcome,
        }
        if fate.releases:
            line["releases"] = [round(time, 6) for time in fate.releases]
        if fate.marks:
            line["marks"] = list(fate.marks)
        self._bounded(line)

    def event(self, name: str, flow: int, now: float, **members: object) -> None:
        """Record something that is not a decision: a new flow, a new address, a full queue."""
        self.counts[name] += 1
        self._bounded({"time": round(now, 6), "flow": flow, "event": name, **members})

    def close(self) -> None:
        """Write the summary."""
        self._write({"summary": dict(sorted(self.counts.items()))})
        if self._target is not None:
            self._target.flush()

    def _bounded(self, line: dict[str, object]) -> None:
        if self._lines_left > 0:
            self._lines_left -= 1
            self._write(line)

    def _write(self, line: dict[str, object]) -> None:
        if self._target is not None:
            self._target.write(json.dumps(line, separators=(",", ":")) + "\n")
