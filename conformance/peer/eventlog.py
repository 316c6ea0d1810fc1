"""The record of a connection: all wire events in order, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeVar, overload

from conformance.peer.events import WireEvent

MAX_EVENTS: Final = 500_000

E = TypeVar("E", bound=WireEvent)


class EventLog:
    """A list of events that only grows. Beyond ``limit`` events are counted, not kept."""

    def __init__(self, *, limit: int = MAX_EVENTS) -> None:
        self._events: list[WireEvent] = []
        self._limit = limit
        self.dropped = 0

    def append(self, event: WireEvent) -> None:
        """Add an event."""
        if len(self._events) < self._limit:
            self._events.append(event)
        else:
            self.dropped += 1

    def mark(self) -> int:
        """Return a mark for ``since``: the number of events so far."""
        return len(self._events)

    def since(self, mark: int) -> list[WireEvent]:
        """Return the events behind a mark."""
        return self._events[mark:]

    def of(self, kind: type[E], *, since: int = 0, sent: bool | None = None) -> list[E]:
        """Return the events of one kind, of one direction unless ``sent`` is None."""
        return [
            event
            for event in self._events[since:]
            if isinstance(event, kind) and (sent is None or event.sent == sent)
        ]

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[WireEvent]:
        return iter(self._events)

    @overload
    def __getitem__(self, index: int) -> WireEvent: ...
    @overload
    def __getitem__(self, index: slice) -> list[WireEvent]: ...
    def __getitem__(self, index: int | slice) -> WireEvent | list[WireEvent]:
        return self._events[index]
