"""The secrets of connections in the NSS key log format, which Wireshark reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

MAX_LINES: Final = 100_000
# label, client random, secret
LINE: Final = re.compile(r"[A-Z0-9_]+ [0-9a-f]{64} (?:[0-9a-f]{2})+")


class KeyLog:
    """Collects key log lines; an instance is what ``QuicOptions.keylog`` takes.

    With a path each line is appended to the file at once, so that a capture that is under way can be
    read. The file is made readable by its owner only. Lines beyond ``limit`` are counted, not kept.
    """

    def __init__(self, path: Path | None = None, *, limit: int = MAX_LINES) -> None:
        self.lines: list[str] = []
        self.dropped = 0
        self._path = path
        self._limit = limit
        if path is not None:
            path.touch(mode=0o600)

    def __call__(self, line: str) -> None:
        """Add a line. Raises ValueError where it is not one of the format."""
        if LINE.fullmatch(line) is None:
            raise ValueError("not a line of the NSS key log format")
        if len(self.lines) < self._limit:
            self.lines.append(line)
        else:
            self.dropped += 1
        if self._path is not None:
            with self._path.open("a", encoding="ascii") as file:
                file.write(line + "\n")

    def text(self) -> str:
        """Return all lines."""
        return "".join(line + "\n" for line in self.lines)

    def secret(self, label: str, client_random: str | None = None) -> bytes | None:
        """Return the newest secret with this label, of one connection where its random is given."""
        for line in reversed(self.lines):
            found_label, found_random, secret = line.split(" ")
            if found_label == label and client_random in (None, found_random):
                return bytes.fromhex(secret)
        return None
