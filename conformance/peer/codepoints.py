"""Code points: frame, stream, setting, capsule and error numbers by their names in the texts."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class FrameType(IntEnum):
    """HTTP/3 frame types (RFC 9114 §7.2, RFC 9218 §7.2, draft-16 §4.3)."""

    DATA = 0x00
    HEADERS = 0x01
    CANCEL_PUSH = 0x03
    SETTINGS = 0x04
    PUSH_PROMISE = 0x05
    GOAWAY = 0x07
    MAX_PUSH_ID = 0x0D
    WT_STREAM = 0x41
    PRIORITY_UPDATE_REQUEST = 0xF0700
    PRIORITY_UPDATE_PUSH = 0xF0701


# Frame types of HTTP/2 without a counterpart (RFC 9114 §7.2.8).
HTTP2_FRAME_TYPES: Final = frozenset({0x02, 0x06, 0x08, 0x09})


class StreamType(IntEnum):
    """Unidirectional stream types (RFC 9114 §6.2, RFC 9204 §4.2, draft-16 §4.2)."""

    CONTROL = 0x00
    PUSH = 0x01
    QPACK_ENCODER = 0x02
    QPACK_DECODER = 0x03
    WEBTRANSPORT = 0x54


class Setting(IntEnum):
    """Settings (RFC 9114 §7.2.4.1, RFC 9204 §5, RFC 9220, RFC 9297 §2.1.1, WebTransport drafts)."""

    QPACK_MAX_TABLE_CAPACITY = 0x01
    MAX_FIELD_SECTION_SIZE = 0x06
    QPACK_BLOCKED_STREAMS = 0x07
    ENABLE_CONNECT_PROTOCOL = 0x08
    H3_DATAGRAM = 0x33
    H3_DATAGRAM_DRAFT04 = 0xFFD277
    WT_INITIAL_MAX_DATA = 0x2B61
    WT_INITIAL_MAX_STREAMS_UNI = 0x2B64
    WT_INITIAL_MAX_STREAMS_BIDI = 0x2B65
    ENABLE_WEBTRANSPORT_D02 = 0x2B603742
    WT_MAX_SESSIONS_D07 = 0xC671706A
    WT_MAX_SESSIONS_D14 = 0x14E9CD29
    WT_ENABLED_D16 = 0x2C7CF000


# Setting identifiers of HTTP/2 without a counterpart (RFC 9114 §7.2.4.1, §11.2.2).
HTTP2_SETTINGS: Final = frozenset({0x02, 0x03, 0x04, 0x05})


class CapsuleType(IntEnum):
    """Capsules (RFC 9297 §3.5, draft-16 §9.6; the last two belong to draft-ietf-webtrans-http2)."""

    DATAGRAM = 0x00
    WT_CLOSE_SESSION = 0x2843
    WT_DRAIN_SESSION = 0x78AE
    WT_MAX_DATA = 0x190B4D3D
    WT_MAX_STREAMS_BIDI = 0x190B4D3F
    WT_MAX_STREAMS_UNI = 0x190B4D40
    WT_DATA_BLOCKED = 0x190B4D41
    WT_STREAMS_BLOCKED_BIDI = 0x190B4D43
    WT_STREAMS_BLOCKED_UNI = 0x190B4D44
    WT_MAX_STREAM_DATA = 0x190B4D3E
    WT_STREAM_DATA_BLOCKED = 0x190B4D42


class H3(IntEnum):
    """HTTP/3, QPACK and HTTP datagram error codes (RFC 9114 §8.1, RFC 9204 §6, RFC 9297 §5.2)."""

    DATAGRAM_ERROR = 0x33
    NO_ERROR = 0x0100
    GENERAL_PROTOCOL_ERROR = 0x0101
    INTERNAL_ERROR = 0x0102
    STREAM_CREATION_ERROR = 0x0103
    CLOSED_CRITICAL_STREAM = 0x0104
    FRAME_UNEXPECTED = 0x0105
    FRAME_ERROR = 0x0106
    EXCESSIVE_LOAD = 0x0107
    ID_ERROR = 0x0108
    SETTINGS_ERROR = 0x0109
    MISSING_SETTINGS = 0x010A
    REQUEST_REJECTED = 0x010B
    REQUEST_CANCELLED = 0x010C
    REQUEST_INCOMPLETE = 0x010D
    MESSAGE_ERROR = 0x010E
    CONNECT_ERROR = 0x010F
    VERSION_FALLBACK = 0x0110
    QPACK_DECOMPRESSION_FAILED = 0x0200
    QPACK_ENCODER_STREAM_ERROR = 0x0201
    QPACK_DECODER_STREAM_ERROR = 0x0202


class WT(IntEnum):
    """WebTransport error codes (draft-16 §9.5); not mapped into the application range."""

    FLOW_CONTROL_ERROR = 0x045D4487
    ALPN_ERROR = 0x0817B3DD
    SESSION_GONE = 0x170D7B68
    REQUIREMENTS_NOT_MET = 0x212C0D48
    BUFFERED_STREAM_REJECTED = 0x3994BD84


class Quic(IntEnum):
    """Transport error codes (RFC 9000 §20.1)."""

    NO_ERROR = 0x00
    INTERNAL_ERROR = 0x01
    CONNECTION_REFUSED = 0x02
    FLOW_CONTROL_ERROR = 0x03
    STREAM_LIMIT_ERROR = 0x04
    STREAM_STATE_ERROR = 0x05
    FINAL_SIZE_ERROR = 0x06
    FRAME_ENCODING_ERROR = 0x07
    TRANSPORT_PARAMETER_ERROR = 0x08
    CONNECTION_ID_LIMIT_ERROR = 0x09
    PROTOCOL_VIOLATION = 0x0A
    INVALID_TOKEN = 0x0B
    APPLICATION_ERROR = 0x0C
    CRYPTO_BUFFER_EXCEEDED = 0x0D
    NO_APPLICATION_PROTOCOL = 0x0178


class TransportParameter(IntEnum):
    """Transport parameters that WebTransport asks for (RFC 9221 §3, reliable-stream-reset §3)."""

    MAX_DATAGRAM_FRAME_SIZE = 0x20
    RESET_STREAM_AT = 0x1D
    RESET_STREAM_AT_DRAFT07 = 0x17F7586D2CB571


MAX_STREAM_LIMIT: Final = 1 << 60
MAX_QUARTER_STREAM_ID: Final = (1 << 60) - 1
MAX_CLOSE_MESSAGE: Final = 1024


def is_reserved(value: int) -> bool:
    """Tell whether ``value`` has the form 0x1f * N + 0x21 (RFC 9114 §6.2.3, §7.2.8, §7.2.4.1, §8.1)."""
    return value >= 0x21 and (value - 0x21) % 0x1F == 0


def reserved(n: int) -> int:
    """Return the ``n``-th value that RFC 9114 reserves to exercise extension points."""
    return 0x1F * n + 0x21


def error_name(code: int, *, application: bool = True) -> str:
    """Name an error code for people: ``H3_ID_ERROR``, ``WT_SESSION_GONE``, else hexadecimal."""
    if not application:
        return Quic(code).name if code in Quic.__members__.values() else f"{code:#x}"
    if code in H3.__members__.values():
        name = H3(code).name
        return name if name.startswith("QPACK") else f"H3_{name}"
    return f"WT_{WT(code).name}" if code in WT.__members__.values() else f"{code:#x}"
