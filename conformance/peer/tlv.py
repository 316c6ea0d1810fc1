"""Incremental parser of type-length-value sequences: HTTP/3 frames and capsules are both of this form.

HTTP/3 frames (RFC 9114 §7.1) and capsules (RFC 9297 §3.2) begin with two variable-length integers,
type and length, followed by the value. The parser accepts bytes in any portions, announces an item as
soon as its header is complete, hands values over in portions, and stores no more of a value than it was
allowed to. One type can be named that has no length and makes the rest of the stream opaque: the
WT_STREAM signal (draft-16 §4.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from conformance.peer.varint import read_varint

_MAX_HEADER = 16


@dataclass(frozen=True, slots=True)
class Start:
    """Type and length of an item are known; ``header_length`` is how many bytes the two took."""

    type: int
    length: int
    header_length: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next bytes of the value of the current item (never empty)."""

    type: int
    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """An item is complete; ``value`` is cut to the parser's bound, ``length`` is the declared one."""

    type: int
    length: int
    value: bytes

    @property
    def cut(self) -> bool:
        """Tell whether ``value`` is shorter than the item was."""
        return len(self.value) < self.length


@dataclass(frozen=True, slots=True)
class Opaque:
    """The signal type stood where a type was expected; everything behind it is in ``Rest``.

    ``first`` tells whether it was the first item, ``encoded_length`` how many bytes it took.
    """

    type: int
    first: bool
    encoded_length: int


@dataclass(frozen=True, slots=True)
class Rest:
    """Bytes behind an ``Opaque`` signal."""

    data: bytes


Item: TypeAlias = Start | Chunk | End | Opaque | Rest


class TlvParser:
    """Parse one direction of a stream; ``max_value`` bounds what is stored of each value."""

    def __init__(self, *, max_value: int, opaque_type: int | None = None) -> None:
        self._max_value = max_value
        self._opaque_type = opaque_type
        self._header = bytearray()
        self._value = bytearray()
        self._type = 0
        self._length = 0
        self._remaining = 0
        self._in_value = False
        self._opaque = False
        self._count = 0

    @property
    def between_items(self) -> bool:
        """Tell whether the stream could end here without cutting an item."""
        return not self._in_value and not self._header

    @property
    def opaque(self) -> bool:
        """Tell whether the signal was seen."""
        return self._opaque

    def feed(self, data: bytes) -> list[Item]:
        """Parse more bytes; return what they complete, in order."""
        items: list[Item] = []
        view = memoryview(data)
        while view:
            if self._opaque:
                items.append(Rest(bytes(view)))
                break
            view = self._feed_value(view, items) if self._in_value else self._feed_header(view, items)
        return items

    def _feed_header(self, view: memoryview, items: list[Item]) -> memoryview:
        before = len(self._header)
        self._header += view[: _MAX_HEADER - before]
        kind = read_varint(self._header)
        if kind is None:
            return view[len(self._header) - before :]
        if kind[0] == self._opaque_type:
            items.append(Opaque(kind[0], first=self._count == 0, encoded_length=kind[1]))
            self._opaque = True
            self._header.clear()
            return view[kind[1] - before :]
        length = read_varint(self._header, kind[1])
        if length is None:
            return view[len(self._header) - before :]
        consumed = length[1] - before
        self._header.clear()
        self._count += 1
        self._type, self._length, self._remaining = kind[0], length[0], length[0]
        self._in_value = True
        items.append(Start(self._type, self._length, length[1]))
        if not self._remaining:
            self._end(items)
        return view[consumed:]

    def _feed_value(self, view: memoryview, items: list[Item]) -> memoryview:
        portion = view[: self._remaining]
        self._remaining -= len(portion)
        self._value += portion[: max(0, self._max_value - len(self._value))]
        items.append(Chunk(self._type, bytes(portion)))
        if not self._remaining:
            self._end(items)
        return view[len(portion) :]

    def _end(self, items: list[Item]) -> None:
        items.append(End(self._type, self._length, bytes(self._value)))
        self._value.clear()
        self._in_value = False
