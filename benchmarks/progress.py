"""What is being measured, how it went, and how much longer all of it takes; for people, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product

from implementations import Peer
from measurement import Workload
from report import number

Run = tuple[Workload, Peer]


class Progress:
    """The runs of all rounds, in order. A run is expected to take as long as the ones like it have taken."""

    def __init__(self, workloads: Sequence[Workload], peers: Sequence[Peer], rounds: int) -> None:
        runs = [(row, peer) for row, peer in product(workloads, peers) if row.name not in peer.cannot]
        self._runs: list[Run] = runs * rounds
        self._rounds = rounds
        self._done = 0
        self._took: dict[tuple[str, str], list[float]] = {}

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def begin(self) -> None:
        """Say how much there is to do."""
        per_round = len(self._runs) // max(1, self._rounds)
        say(f"{self._rounds} rounds of {per_round} runs: {duration(self.seconds_left())}")

    @contextmanager
    def run(self, workload: Workload, peer: Peer) -> Iterator[None]:
        """Measure the time of a run."""
        begin = time.monotonic()
        yield
        self._took.setdefault((workload.name, peer.name), []).append(time.monotonic() - begin)
        self._done += 1

    def show(self, workload: Workload, peer: Peer, value: float | None, reason: str = "") -> None:
        """Say what a run gave, or why it gave nothing."""
        text = reason if value is None else f"{number(value / workload.unit)}"
        place = f"[{self._done:{len(str(len(self._runs)))}}/{len(self._runs)}]"
        say(f"{place} {workload.title}, {peer.name}: {text}  ({duration(self.seconds_left())} left)")

    def seconds_left(self) -> float:
        """What the runs that are left take, about."""
        return sum(self._expected(*run) for run in self._runs[self._done :])

    def _expected(self, workload: Workload, peer: Peer) -> float:
        took = self._took.get((workload.name, peer.name))
        return sum(took) / len(took) if took else workload.seconds


def duration(seconds: float) -> str:
    """So that it can be read at a glance."""
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"


def say(text: str) -> None:
    """A line on standard error, at once."""
    print(text, file=sys.stderr, flush=True)
