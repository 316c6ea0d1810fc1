"""The record of a connection: all wire events in order, bounded by number and by bytes.

A log that is full keeps its beginning (handshake, settings) and its newest part; what falls out in
between is counted by a ``LogCut`` event at that place, so that no reader takes a gap for silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TextIO, TypeVar, overload

from conformance.peer.events import QuicFrame, WireEvent

MAX_EVENTS: Final = 500_000
MAX_BYTES: Final = 256 * 1024 * 1024
# A share of the bounds is for the beginning of the log.
HEAD_SHARE: Final = 4
# What an event costs beside the bytes it carries.
EVENT_OVERHEAD: Final = 256

E = TypeVar("E", bound=WireEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCut(WireEvent):
    """Events are missing here: so many, with so many bytes in all."""

    events: int
    size: int


def event_size(event: WireEvent) -> int:
    """Return about how many bytes of memory an event holds."""
    carried = 0
    if isinstance(event, QuicFrame):
        carried = sum(len(value) for value in event.details.values() if isinstance(value, bytes | str))
    else:
        for name in ("data", "payload", "value"):
            content = getattr(event, name, b"")
            carried += len(content) if isinstance(content, bytes) else 0
    return EVENT_OVERHEAD + carried


def json_lines(events: Iterable[WireEvent]) -> Iterator[str]:
    """Yield each event as a line of JSON, without the line's end."""
    for event in events:
        yield json.dumps(event.as_json(), ensure_ascii=False, separators=(",", ":"))


class EventLog:
    """All events of one connection in order. Marks count every event that was ever appended."""

    def __init__(self, *, limit: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self.dropped = 0
        self.dropped_bytes = 0
        self._limit = limit
        self._max_bytes = max_bytes
        self._head: list[WireEvent] = []
        self._head_bytes = 0
        self._head_full = False
        # The newest part is _tail[_start:]; what lies before is dropped and removed in large steps.
        self._tail: list[WireEvent] = []
        self._start = 0
        self._tail_bytes = 0
        self._cut_time = 0.0

    def append(self, event: WireEvent) -> None:
        """Add an event; where the log is full, the oldest one behind its beginning is dropped."""
        size = event_size(event)
        if not self._head_full:
            if (
                len(self._head) < max(1, self._limit // HEAD_SHARE)
                and self._head_bytes + size <= self._max_bytes // HEAD_SHARE
            ):
                self._head.append(event)
                self._head_bytes += size
                return
            self._head_full = True
        self._tail.append(event)
        self._tail_bytes += size
        while self._start < len(self._tail) - 1 and (
            len(self) > self._limit or self._head_bytes + self._tail_bytes > self._max_bytes
        ):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        event = self._tail[self._start]
        size = event_size(event)
        self._tail_bytes -= size
        self.dropped += 1
        self.dropped_bytes += size
        self._cut_time = event.time
        self._start += 1
        if self._start * 2 > len(self._tail):
            del self._tail[: self._start]
            self._start = 0

    @property
    def cut(self) -> LogCut | None:
        """The marker of what was dropped; None while nothing was."""
        if not self.dropped:
            return None
        return LogCut(time=self._cut_time, sent=False, events=self.dropped, size=self.dropped_bytes)

    def mark(self) -> int:
        """Return a mark for ``since``."""
        return len(self._head) + self.dropped + len(self._tail) - self._start

    def since(self, mark: int) -> list[WireEvent]:
        """Return the events behind a mark, with the marker of a cut where one lies behind it."""
        behind = mark - len(self._head) - self.dropped
        if behind >= 0:
            return self._tail[self._start + behind :]
        cut = self.cut
        return [*self._head[mark:], *([cut] if cut is not None else ()), *self._tail[self._start :]]

    def of(self, kind: type[E], *, since: int = 0, sent: bool | None = None) -> list[E]:
        """Return the events of one kind, of one direction unless ``sent`` is None."""
        return [
            event
            for event in self.since(since)
            if isinstance(event, kind) and (sent is None or event.sent == sent)
        ]

    def write(self, file: TextIO) -> None:
        """Write all events as JSON lines."""
        for line in json_lines(self):
            file.write(line + "\n")

    def __len__(self) -> int:
        """Return the number of events kept, without the marker."""
        return len(self._head) + len(self._tail) - self._start

    def __iter__(self) -> Iterator[WireEvent]:
        return iter(self.since(0))

    @overload
    def __getitem__(self, index: int) -> WireEvent: ...
    @overload
    def __getitem__(self, index: slice) -> list[WireEvent]: ...
    def __getitem__(self, index: int | slice) -> WireEvent | list[WireEvent]:
        return self.since(0)[index]
