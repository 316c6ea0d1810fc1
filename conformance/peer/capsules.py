"""Capsules (RFC 9297 §3.2, draft-16 §4.7, §5.6, §6): encoding, and the values of the known types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conformance.peer.codepoints import CapsuleType
from conformance.peer.tlv import TlvParser
from conformance.peer.varint import read_whole_varint, varint

# The longest known capsule is WT_CLOSE_SESSION (4 + 1024 bytes); enough room to judge a longer one.
MAX_CAPSULE_VALUE: Final = 64 * 1024

FLOW_CONTROL_CAPSULES: Final = frozenset(
    {
        CapsuleType.WT_MAX_DATA,
        CapsuleType.WT_MAX_STREAMS_BIDI,
        CapsuleType.WT_MAX_STREAMS_UNI,
        CapsuleType.WT_DATA_BLOCKED,
        CapsuleType.WT_STREAMS_BLOCKED_BIDI,
        CapsuleType.WT_STREAMS_BLOCKED_UNI,
    }
)
PROHIBITED_CAPSULES: Final = frozenset({CapsuleType.WT_MAX_STREAM_DATA, CapsuleType.WT_STREAM_DATA_BLOCKED})


@dataclass(frozen=True, slots=True)
class CloseMessage:
    """The value of WT_CLOSE_SESSION: a 32-bit code and the bytes of the message (draft-16 §6)."""

    code: int
    message: bytes

    @property
    def text(self) -> str | None:
        """The message as text, None if it is not valid UTF-8."""
        try:
            return self.message.decode("utf-8")
        except UnicodeDecodeError:
            return None


def capsule(
    capsule_type: int,
    value: bytes = b"",
    *,
    declared_length: int | None = None,
    type_length: int | None = None,
    length_length: int | None = None,
) -> bytes:
    """Encode a capsule; the keywords lie or choose longer integers as in ``h3frames.frame``."""
    length = len(value) if declared_length is None else declared_length
    return varint(capsule_type, type_length) + varint(length, length_length) + value


def close_value(code: int, message: bytes = b"") -> bytes:
    """Encode the value of WT_CLOSE_SESSION; OverflowError if ``code`` has more than 32 bits."""
    return code.to_bytes(4, "big") + message


def close_capsule(code: int, message: bytes = b"") -> bytes:
    """Encode WT_CLOSE_SESSION (draft-16 §6)."""
    return capsule(CapsuleType.WT_CLOSE_SESSION, close_value(code, message))


def drain_capsule() -> bytes:
    """Encode WT_DRAIN_SESSION (draft-16 §4.7)."""
    return capsule(CapsuleType.WT_DRAIN_SESSION)


def limit_capsule(capsule_type: int, value: int) -> bytes:
    """Encode a capsule whose value is one variable-length integer (draft-16 §5.6)."""
    return capsule(capsule_type, varint(value))


def parse_close(value: bytes) -> CloseMessage | None:
    """Parse the value of WT_CLOSE_SESSION; None if it is shorter than 4 bytes."""
    return CloseMessage(int.from_bytes(value[:4], "big"), value[4:]) if len(value) >= 4 else None


def parse_limit(value: bytes) -> int | None:
    """Parse the value of a flow control capsule; None if bytes are missing or left over."""
    return read_whole_varint(value)


def capsule_parser(*, max_value: int = MAX_CAPSULE_VALUE) -> TlvParser:
    """Return a parser of the capsules in the DATA frames of a CONNECT stream."""
    return TlvParser(max_value=max_value)
