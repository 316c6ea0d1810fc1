"""The gate: cases share the target, disruptive cases and second runs have it for themselves.

Workers of one run (pytest-xdist) coordinate through an advisory lock on a file: a normal case holds
it shared, a case that has to be alone holds it exclusively. The kernel drops the lock of a worker
that dies.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Gate:
    """Reader-writer lock between processes; ``path`` None means that there is one worker only."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    @contextmanager
    def hold(self, *, alone: bool) -> Iterator[None]:
        """Hold the gate, exclusively where ``alone``; blocks until it is free."""
        if self.path is None:
            yield
            return
        with self.path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)
