"""Presence: whether the target is still there, known to all workers of a run.

A case in flight when the target stops serving is played again, alone, once it serves again. Where it
does not come back within a grace period, the run ends quickly: what was in flight is inconclusive and
suspect, what was still to come is inconclusive without another attempt. Drafts are told apart, since a
target may go on serving one of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.peer.drafts import Draft

# Time in seconds for a target to be started again by whatever watches over it.
GRACE = 5.0
# Between two attempts to reach a target that refuses connections at once.
PAUSE = 0.1


class Presence:
    """Shared between processes through the files of ``folder``."""

    def __init__(
        self,
        folder: Path,
        *,
        grace: float = GRACE,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        # One file for each process, which plays one case after the other.
        self._flight = folder / f"{os.getpid()}.flight"
        self._grace = grace
        self._clock = clock
        self._pause = pause

    @contextmanager
    def flight(self, name: str) -> Iterator[None]:
        """Note a case as under way, and so as a suspect, while the block runs."""
        self._flight.write_text(name, encoding="utf-8")
        try:
            yield
        finally:
            self.clear()

    def clear(self) -> None:
        """Note that the case of this process cannot have harmed the target."""
        self._flight.write_text("", encoding="utf-8")

    def gone(self, draft: Draft) -> str | None:
        """Return what happened to a target that does not serve this draft any more, None while it serves."""
        try:
            return (self._folder / f"{draft.value}.gone").read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def wait(self, draft: Draft, exchange: Callable[[Draft], str | None]) -> str | None:
        """Wait until the target serves (again); return None then, else what is wrong with it.

        ``exchange`` is a sanity exchange: it returns the problem, None for success. The caller has the
        target for itself.
        """
        known = self.gone(draft)
        if known is not None:
            return known
        deadline = self._clock() + self._grace
        while (problem := exchange(draft)) is not None:
            if self._clock() >= deadline:
                return self._declare_gone(draft, problem)
            self._pause(PAUSE)
        return None

    def _declare_gone(self, draft: Draft, problem: str) -> str:
        flights = (path.read_text(encoding="utf-8") for path in self._folder.glob("*.flight"))
        names = sorted(name for name in flights if name)
        suspects = f"; in flight when it stopped: {', '.join(names)}" if names else ""
        text = f"the target stopped serving draft {draft} and did not come back: {problem}{suspects}"
        (self._folder / f"{draft.value}.gone").write_text(text, encoding="utf-8")
        return text

    def notes(self) -> list[str]:
        """Return what happened to the target, for the summary of the run."""
        return [path.read_text(encoding="utf-8") for path in sorted(self._folder.glob("*.gone"))]
