"""The Baton message (§4.3): padding length, padding, one byte of value.

The reader counts padding instead of keeping it, so that no declared length costs memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conformance.peer.varint import read_varint, varint

VALUES: Final = 256
MAX_VARINT_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Message:
    """A complete message; ``value`` is 0 to 255."""

    value: int
    padding_length: int


def encode_message(value: int, padding: bytes = b"", *, length_bytes: int | None = None) -> bytes:
    """Return the bytes of a message.

    ``length_bytes`` (1, 2, 4, 8) asks for a longer encoding of the padding length than needed. ValueError for
    a value that is not one byte or a length that does not fit.
    """
    return varint(len(padding), length_bytes) + padding + value.to_bytes(1, "big")


class MessageReader:
    """Reads one message from a stream or datagram, in whatever pieces it arrives.

    ``message`` is set once it is complete, ``trailing`` counts the bytes behind it.
    """

    def __init__(self) -> None:
        self.message: Message | None = None
        self.received = 0
        self.trailing = 0
        self._head = b""
        self._padding_length = 0
        self._padding_missing: int | None = None

    def feed(self, data: bytes) -> Message | None:
        """Take more bytes; return the message when these bytes complete it, else None."""
        self.received += len(data)
        if self.message is not None:
            self.trailing += len(data)
            return None
        if self._padding_missing is None:
            data = self._read_length(data)
        if self._padding_missing is None:
            return None
        skipped = min(self._padding_missing, len(data))
        self._padding_missing -= skipped
        rest = data[skipped:]
        if not rest:
            return None
        self.message = Message(rest[0], self._padding_length)
        self.trailing = len(rest) - 1
        return self.message

    def _read_length(self, data: bytes) -> bytes:
        """Read the padding length if it is complete and return what follows it."""
        head = self._head + data[:MAX_VARINT_BYTES]
        found = read_varint(head)
        if found is None:
            self._head = head
            return b""
        self._padding_length, end = found
        self._padding_missing = self._padding_length
        return data[end - len(self._head) :]


def read_message(data: bytes) -> MessageReader:
    """Read the payload of a datagram."""
    reader = MessageReader()
    reader.feed(data)
    return reader
