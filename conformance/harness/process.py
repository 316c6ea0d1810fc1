"""The process of a local target: whether it lives, and how much memory it holds (Linux, /proc)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.options import InvalidOption


def resident(pid: int) -> int | None:
    """Return the resident memory of a process in bytes, None where it does not exist (any more)."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    rows = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    size = rows.get("VmRSS", "").split()
    # A zombie has ended, but nobody has asked how; a process without memory is one, too.
    return int(size[0]) * 1024 if size and "Z" not in rows.get("State", "") else None


@dataclass(slots=True)
class ProcessWatch:
    """Notes the memory of a process from time to time; InvalidOption where there is none."""

    pid: int
    first: int = field(init=False)
    peak: int = field(init=False)
    last: int | None = field(init=False)

    def __post_init__(self) -> None:
        """Look at the process for the first time."""
        found = resident(self.pid)
        if found is None:
            raise InvalidOption(f"--target-pid {self.pid}: there is no such process")
        self.first = self.peak = self.last = found

    def sample(self) -> None:
        """Look at the process; one that is gone stays gone."""
        if self.last is not None:
            self.last = resident(self.pid)
            self.peak = max(self.peak, self.last or 0)

    def as_json(self) -> dict[str, Any]:
        """Return what was seen; memory in bytes."""
        return {
            "pid": self.pid,
            "alive": self.last is not None,
            "memory_first": self.first,
            "memory_peak": self.peak,
            "memory_last": self.last,
        }

    def notes(self) -> list[str]:
        """Return what the reader of the report has to know."""
        return [] if self.last is not None else [f"the process {self.pid} of the target is gone"]
