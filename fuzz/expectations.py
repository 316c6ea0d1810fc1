"""What the specification allows in return for an operation: named sets of reactions, as tables.

The sets are those of ``reports.judgement``, the rows those of the catalogue, so that level, draft and limit
of a row soften a finding in the same way as the verdict of a case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from conformance.peer.codepoints import H3, WT, CapsuleType, FrameType, StreamType

Scope: TypeAlias = Literal["nothing", "stream", "session", "connection"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What has to follow an operation.

    ``requirement`` is the row of the catalogue ("" where nothing is judged), ``set_name`` the set of allowed
    reactions. ``scope``: how far the consequences may reach; what lies within is not judged any further.
    ``on_request``: the stream of the set is that of the request just sent instead of the CONNECT stream.
    """

    requirement: str = ""
    set_name: str = "any"
    code: int | None = None
    scope: Scope = "nothing"
    on_request: bool = False

    @property
    def judged(self) -> bool:
        """Tell whether a reaction is due (open readings have none)."""
        return bool(self.requirement)


NOTHING: Final = Expectation()
ANY_STREAM: Final = Expectation(scope="stream")
ANY_SESSION: Final = Expectation(scope="session")
ANY_CONNECTION: Final = Expectation(scope="connection")


def connection_error(requirement: str, code: int) -> Expectation:
    """A connection error (RFC 9114 §8)."""
    return Expectation(requirement, "connection-error", int(code), "connection")


def session_error(requirement: str, code: int) -> Expectation:
    """A session error, whatever carries it (AMB-01)."""
    return Expectation(requirement, "session-error", int(code), "session")


def message_error(requirement: str) -> Expectation:
    """The CONNECT stream is reset as malformed; it may be raised to a connection error (RFC 9297 §3.3)."""
    return Expectation(requirement, "stream-error", int(H3.MESSAGE_ERROR), "session")


def session_closed(requirement: str) -> Expectation:
    """The target ends its side of the session (draft-16 §6)."""
    return Expectation(requirement, "session-closed", None, "session")


_UNEXPECTED = H3.FRAME_UNEXPECTED

# Frames on the CONNECT stream once the session stands (RFC 9114 §4.4, §7.2; draft-16 §4.3).
CONNECT_FRAMES: Final[Mapping[int, Expectation]] = {
    FrameType.HEADERS: connection_error("H3-4.4-01", _UNEXPECTED),
    FrameType.CANCEL_PUSH: connection_error("H3-7.2-02", _UNEXPECTED),
    FrameType.SETTINGS: connection_error("H3-7.2-02", _UNEXPECTED),
    FrameType.GOAWAY: connection_error("H3-7.2-02", _UNEXPECTED),
    FrameType.MAX_PUSH_ID: connection_error("H3-7.2-02", _UNEXPECTED),
    FrameType.PUSH_PROMISE: connection_error("H3-7.2-03", _UNEXPECTED),
    FrameType.WT_STREAM: connection_error("WT-4.3-07", H3.FRAME_ERROR),
    # RFC 9218 support is negotiated by nothing, so an endpoint may know neither frame.
    FrameType.PRIORITY_UPDATE_REQUEST: ANY_CONNECTION,
    FrameType.PRIORITY_UPDATE_PUSH: ANY_CONNECTION,
    **{kind: connection_error("H3-7.2-09", _UNEXPECTED) for kind in (0x02, 0x06, 0x08, 0x09)},
}

# Frames on the control stream behind SETTINGS (RFC 9114 §6.2.1, §7.2; draft-16 §4.3).
CONTROL_FRAMES: Final[Mapping[int, Expectation]] = {
    FrameType.DATA: connection_error("H3-7.2-01", _UNEXPECTED),
    FrameType.HEADERS: connection_error("H3-7.2-01", _UNEXPECTED),
    FrameType.SETTINGS: connection_error("H3-7.2.4-01", _UNEXPECTED),
    FrameType.PUSH_PROMISE: connection_error("H3-7.2-03", _UNEXPECTED),
    FrameType.WT_STREAM: connection_error("WT-4.3-09", H3.FRAME_ERROR),
    FrameType.PRIORITY_UPDATE_REQUEST: ANY_CONNECTION,
    FrameType.PRIORITY_UPDATE_PUSH: ANY_CONNECTION,
    **{kind: connection_error("H3-7.2-09", _UNEXPECTED) for kind in (0x02, 0x06, 0x08, 0x09)},
}

# Frames of the control stream whose payload is one identifier (RFC 9114 §7.2.3, §7.2.6, §7.2.7).
IDENTIFIER_FRAMES: Final = frozenset({FrameType.CANCEL_PUSH, FrameType.GOAWAY, FrameType.MAX_PUSH_ID})
MALFORMED_FRAME: Final = connection_error("H3-7.1-01", H3.FRAME_ERROR)
CUT_FRAME: Final = connection_error("H3-7.1-02", H3.FRAME_ERROR)
CANCEL_PUSH: Final = connection_error("H3-7.2-07", H3.ID_ERROR)
GOAWAY_GROWS: Final = connection_error("H3-5.2-04", H3.ID_ERROR)
MAX_PUSH_ID_SHRINKS: Final = connection_error("H3-7.2-06", H3.ID_ERROR)

# Further unidirectional streams of a client (RFC 9114 §6.2, RFC 9204 §4.2).
UNI_STREAMS: Final[Mapping[int, Expectation]] = {
    StreamType.CONTROL: connection_error("H3-6.2.1-02", H3.STREAM_CREATION_ERROR),
    StreamType.PUSH: connection_error("H3-6.2.2-01", H3.STREAM_CREATION_ERROR),
    StreamType.QPACK_ENCODER: connection_error("QPK-4.2-01", H3.STREAM_CREATION_ERROR),
    StreamType.QPACK_DECODER: connection_error("QPK-4.2-01", H3.STREAM_CREATION_ERROR),
    # Only its header, cut by FIN: AMB-13.
    StreamType.WEBTRANSPORT: ANY_CONNECTION,
}

CRITICAL: Final[Mapping[str, Expectation]] = {
    "control": connection_error("H3-6.2.1-03", H3.CLOSED_CRITICAL_STREAM),
    "encoder": connection_error("QPK-4.2-02", H3.CLOSED_CRITICAL_STREAM),
    "decoder": connection_error("QPK-4.2-02", H3.CLOSED_CRITICAL_STREAM),
}

# Session IDs that are none of a client's bidirectional stream (draft-16 §4).
BAD_SESSION_ID: Final = {
    False: connection_error("WT-4-06", H3.ID_ERROR),
    True: connection_error("WT-4-07", H3.ID_ERROR),
}
SHORT_DATAGRAM: Final = connection_error("HD-2.1-02", H3.DATAGRAM_ERROR)
BAD_QUARTER_ID: Final = connection_error("HD-2.1-01", H3.DATAGRAM_ERROR)

# Capsules (draft-16 §4.7, §5.6, §6; RFC 9297 §3.3).
CUT_CAPSULE: Final = message_error("HD-3.3-03")
SHORT_CLOSE: Final = message_error("WT-6-15")
LONG_CLOSE: Final = message_error("WT-6-12")
CLOSE_NOT_UTF8: Final = message_error("WT-6-13")
DRAIN_WITH_VALUE: Final = message_error("WT-4.7-07")
CLOSED_BY_CAPSULE: Final = session_closed("WT-6-18")
CLOSED_WITHOUT_FIN: Final = session_closed("WT-6-08")
CLOSED_BY_FIN: Final = session_closed("WT-6-05")
CLOSED_BY_RESET: Final = session_closed("WT-6-06")
EXCEEDED: Final = {
    "uni": session_error("WT-5.6.2-07", WT.FLOW_CONTROL_ERROR),
    "bidi": session_error("WT-5.6.2-08", WT.FLOW_CONTROL_ERROR),
    "data": session_error("WT-5.6.4-02", WT.FLOW_CONTROL_ERROR),
}
SHRINKS: Final = {True: "WT-5.6.2-09", False: "WT-5.6.4-03"}
EQUAL: Final = {True: "WT-5.6.2-10", False: "WT-5.6.4-04"}
EXCESSIVE: Final = {False: "WT-5.6.2-02", True: "WT-5.6.3-02"}
MALFORMED_LIMIT: Final = {True: "WT-5.6.2-13", False: "WT-5.6.4-08"}
PROHIBITED: Final[Mapping[int, str]] = {
    CapsuleType.WT_MAX_STREAM_DATA: "WT-5.4-03",
    CapsuleType.WT_STREAM_DATA_BLOCKED: "WT-5.4-04",
}
