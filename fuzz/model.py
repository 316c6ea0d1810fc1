"""The model: a session as the specification sees it, and what it allows after each operation.

Pure: no wire, no clock. ``apply`` takes an operation that ``applies`` and returns the expectation; the state
afterwards says which echoes are due. Where the texts can be read in two ways (AMB-nn of the catalogue),
anything is allowed within the scope, and nothing there is judged any further.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from conformance.peer.capsules import FLOW_CONTROL_CAPSULES, PROHIBITED_CAPSULES, parse_close, parse_limit
from conformance.peer.codepoints import (
    MAX_CLOSE_MESSAGE,
    MAX_QUARTER_STREAM_ID,
    MAX_STREAM_LIMIT,
    WT,
    CapsuleType,
    FrameType,
    StreamType,
)
from conformance.peer.datagrams import parse_datagram
from conformance.peer.drafts import FACTS, Draft
from conformance.peer.varint import read_whole_varint, varint
from fuzz import expectations as allowed
from fuzz import operations as op
from fuzz.expectations import ANY_CONNECTION, ANY_SESSION, ANY_STREAM, NOTHING, Expectation
from fuzz.requests import REQUESTS

LIMIT_CAPSULES: Final[Mapping[tuple[str, bool], int]] = {
    ("uni", False): CapsuleType.WT_MAX_STREAMS_UNI,
    ("bidi", False): CapsuleType.WT_MAX_STREAMS_BIDI,
    ("data", False): CapsuleType.WT_MAX_DATA,
    ("uni", True): CapsuleType.WT_STREAMS_BLOCKED_UNI,
    ("bidi", True): CapsuleType.WT_STREAMS_BLOCKED_BIDI,
    ("data", True): CapsuleType.WT_DATA_BLOCKED,
}
# Limits above this are not overrun: it would be a flood.
MAX_OVERRUN: Final[Mapping[str, int]] = {"uni": 64, "bidi": 64, "data": 256 * 1024}
_BY_CAPSULE: Final = {number: key for key, number in LIMIT_CAPSULES.items()}


@dataclass(slots=True)
class StreamState:
    """One stream that this side opened; ``judged`` False: nothing more is expected of it."""

    bidi: bool
    sent: bytearray = field(default_factory=bytearray)
    finished: bool = False
    ended: bool = False
    judged: bool = True

    @property
    def echo_due(self) -> bool:
        """Tell whether everything was sent, so that all of it has to come back."""
        return self.finished and self.judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was negotiated before the first operation of the session."""

    draft: Draft
    flow_control: bool = False
    # Initial limits of the target and of this side, by kind; they count where flow control is on.
    target_limits: Mapping[str, int] = field(default_factory=dict)
    own_limits: Mapping[str, int] = field(default_factory=dict)
    reset_stream_at: bool = True
    # Streams and bytes that QUIC itself permits: an overrun of a session limit has to fit.
    room: Mapping[str, int] = field(default_factory=dict)


class SessionModel:
    """The state of one session and of what its connection has seen."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.rules = FACTS[facts.draft]
        self.open = True
        self.over = False
        # False: somebody may end the connection, so nothing can be concluded from it.
        self.connection_judged = True
        self.streams: dict[int, StreamState] = {}
        self.datagrams: list[bytes] = []
        self.target_limits = dict(facts.target_limits)
        self.own_limits = dict(facts.own_limits)
        self.opened = {"uni": 0, "bidi": 0}
        self.body_bytes = 0
        # How much the last Overrun uses: what is left of the limit, and its excess.
        self.overrun = 0
        self._announced: dict[str, int] = {}
        self._goaway: int | None = None
        self._max_push_id: int | None = None
        self._handlers: dict[type[op.Operation], Callable[[Any], Expectation]] = {
            op.OpenStream: self._open_stream,
            op.Send: self._send,
            op.Reset: self._reset,
            op.ResetAt: self._reset,
            op.Stop: self._stop,
            op.Datagram: self._datagram,
            op.RawDatagram: self._raw_datagram,
            op.Capsule: self._capsule,
            op.Limit: self._limit,
            op.Overrun: self._overrun,
            op.Close: self._close,
            op.Drain: lambda _: self._plain_capsule(CapsuleType.WT_DRAIN_SESSION, b""),
            op.EndConnect: self._end_connect,
            op.Frame: self._frame,
            op.OtherUni: lambda item: allowed.UNI_STREAMS.get(item.type, NOTHING),
            op.EndCritical: lambda item: allowed.CRITICAL[item.which],
            op.Request: lambda item: REQUESTS[item.variant].expectation,
            op.RawStream: lambda _: ANY_CONNECTION,
        }

    # --- the interface ---

    def applies(self, operation: op.Operation) -> bool:
        """Tell whether the operation makes sense now; others are passed over."""
        match operation:
            case op.Connect() | op.Establish() | op.Delay() | op.Fence() | op.RawStream():
                return True
            case op.Baton():
                return (operation.value is None or 1 <= operation.value <= 255) and operation.count > 0
            case op.BatonMessage():
                return (
                    0 <= operation.value <= 255
                    and min(operation.padding, operation.extra, operation.cut) >= 0
                )
            case op.Packet():
                return operation.form in op.PACKET_FORMS and self.connection_judged
            case op.OpenStream():
                return operation.stream not in self.streams and (self.open or operation.session_offset == 0)
            case op.Send() | op.Reset():
                stream = self.streams.get(operation.stream)
                return self.open and stream is not None and not stream.ended
            case op.ResetAt():
                stream = self.streams.get(operation.stream)
                return self.open and stream is not None and not stream.ended and self.facts.reset_stream_at
            case op.Stop():
                stream = self.streams.get(operation.stream)
                return self.open and stream is not None and stream.bidi
            case op.Request():
                return operation.variant in REQUESTS and self.connection_judged
            case op.Overrun():
                return self.open and self.facts.flow_control and self._fits(operation)
            case op.Datagram() | op.OtherUni() | op.EndCritical() | op.RawDatagram():
                return self.connection_judged
            case op.Frame(place="control"):
                return self.connection_judged
            case _:
                return self.open

    def apply(self, operation: op.Operation) -> Expectation:
        """Take an operation that applies; return what has to follow."""
        handler = self._handlers.get(type(operation))
        expectation = NOTHING if handler is None else handler(operation)
        if expectation.scope == "connection":
            self.connection_judged = self.open = False
        elif expectation.scope == "session":
            self.open = False
            self.over = expectation.judged
        return expectation

    def due_echoes(self) -> list[int]:
        """Return the names of the streams whose bytes have to come back."""
        return [name for name, stream in self.streams.items() if stream.echo_due]

    def echoes_fit(self) -> bool:
        """Tell whether this side's limits leave the target room for every echo (half of it, for prefixes)."""
        if not self.facts.flow_control:
            return True
        data = 2 * self.body_bytes <= self.own_limits.get("data", 0)
        return data and 2 * self.opened["uni"] <= self.own_limits.get("uni", 0)

    def exceeds(self, kind: str) -> bool:
        """Tell whether this side used more than the target's greatest known limit."""
        used = self.body_bytes if kind == "data" else self.opened[kind]
        return self.facts.flow_control and used > self.target_limits.get(kind, 0)

    def limit_raised(self, kind: str, value: int) -> None:
        """Take a limit capsule of the target."""
        self.target_limits[kind] = max(value, self.target_limits.get(kind, 0))

    def left(self, kind: str) -> int:
        """Return how much of a limit of the target is left."""
        used = self.body_bytes if kind == "data" else self.opened[kind]
        return max(0, self.target_limits.get(kind, 0) - used)

    # --- streams ---

    def _open_stream(self, item: op.OpenStream) -> Expectation:
        kind = "bidi" if item.bidi else "uni"
        if item.session_offset % 4:
            return allowed.BAD_SESSION_ID[item.bidi]
        if item.session_offset:
            return ANY_CONNECTION  # AMB-11
        stream = StreamState(item.bidi, bytearray(item.data), item.fin, item.fin)
        self.streams[item.stream] = stream
        if not self.open:
            # draft-16 §6 wants WT_SESSION_GONE, but no harm is done by another end, or by none where all of
            # it was received already: only the connection has to live (§4).
            stream.judged = False
            return ANY_STREAM
        self.opened[kind] += 1
        self.body_bytes += len(item.data)
        return self._within_limits(kind)

    def _within_limits(self, kind: str) -> Expectation:
        """More than the known limit, but not on purpose: it may have been raised, or not."""
        if self.exceeds(kind) or self.exceeds("data"):
            return ANY_SESSION
        return NOTHING

    def _send(self, item: op.Send) -> Expectation:
        stream = self.streams[item.stream]
        stream.sent += item.data
        stream.finished = stream.ended = item.fin
        self.body_bytes += len(item.data)
        return self._within_limits("data")

    def _reset(self, item: op.Reset | op.ResetAt) -> Expectation:
        stream = self.streams[item.stream]
        stream.ended, stream.finished, stream.judged = True, False, False
        return ANY_STREAM

    def _stop(self, item: op.Stop) -> Expectation:
        self.streams[item.stream].judged = False
        return ANY_STREAM

    def _fits(self, item: op.Overrun) -> bool:
        """Tell whether an overrun is no flood, and is not stopped by QUIC's own limits."""
        wanted = self.left(item.kind) + item.excess
        used = self.body_bytes if item.kind == "data" else self.opened[item.kind]
        room = self.facts.room.get(item.kind, 0) - used
        return item.excess > 0 and wanted <= min(room, MAX_OVERRUN[item.kind])

    def _overrun(self, item: op.Overrun) -> Expectation:
        self.overrun = self.left(item.kind) + item.excess
        if item.kind == "data":
            self.body_bytes += self.overrun
        else:
            self.opened[item.kind] += self.overrun
        return allowed.EXCEEDED[item.kind]

    # --- datagrams ---

    def _datagram(self, item: op.Datagram) -> Expectation:
        self.datagrams.append(item.data)
        return NOTHING

    def _raw_datagram(self, item: op.RawDatagram) -> Expectation:
        parsed = parse_datagram(item.data)
        if parsed is None:
            return allowed.SHORT_DATAGRAM
        # Other streams: never opened, over, or none of a session (AMB-11).
        return allowed.BAD_QUARTER_ID if parsed[0] > MAX_QUARTER_STREAM_ID else ANY_CONNECTION

    # --- capsules ---

    def _plain_capsule(self, kind: int, value: bytes) -> Expectation:
        return self._capsule(op.Capsule(kind, value))

    def _close(self, item: op.Close) -> Expectation:
        value = item.code.to_bytes(4, "big") + item.reason
        return self._capsule(op.Capsule(CapsuleType.WT_CLOSE_SESSION, value, fin=item.fin))

    def _limit(self, item: op.Limit) -> Expectation:
        return self._plain_capsule(LIMIT_CAPSULES[item.kind, item.blocked], varint(item.value))

    def _capsule(self, item: op.Capsule) -> Expectation:
        """Interpret a capsule (draft-16 §4.7, §5.6, §6)."""
        if item.missing:
            return allowed.CUT_CAPSULE
        expectation = self._value(item)
        if item.fin and expectation is NOTHING:
            return allowed.CLOSED_BY_FIN
        return expectation

    def _value(self, item: op.Capsule) -> Expectation:
        if item.type == CapsuleType.DATAGRAM:
            self.datagrams.append(item.value)  # AMB-16: it may be delivered
            return NOTHING
        if item.type not in self.rules.capsules:
            return NOTHING
        match item.type:
            case CapsuleType.WT_CLOSE_SESSION:
                return self._close_value(item)
            case CapsuleType.WT_DRAIN_SESSION:
                return allowed.DRAIN_WITH_VALUE if item.value else NOTHING
            case _ if item.type in PROHIBITED_CAPSULES:
                # AMB-02: no code, and nothing said for the case that flow control is off.
                if not self.facts.flow_control:
                    return ANY_SESSION
                return allowed.session_closed(allowed.PROHIBITED[item.type])
            case _ if item.type in FLOW_CONTROL_CAPSULES:
                return self._flow_control(item)
        return NOTHING

    def _close_value(self, item: op.Capsule) -> Expectation:
        message = parse_close(item.value)
        if message is None:
            return allowed.SHORT_CLOSE
        judges = self.rules.judges_close_message
        if len(message.message) > MAX_CLOSE_MESSAGE:
            return allowed.LONG_CLOSE if judges else ANY_SESSION
        if message.text is None:
            return allowed.CLOSE_NOT_UTF8 if judges else ANY_SESSION
        if item.fin:
            return allowed.CLOSED_BY_CAPSULE
        return ANY_SESSION if self.facts.draft is Draft.D02 else allowed.CLOSED_WITHOUT_FIN

    def _flow_control(self, item: op.Capsule) -> Expectation:
        """A flow control capsule (draft-16 §5.6); ignored while flow control is off (§5.1)."""
        kind, blocked = _BY_CAPSULE[item.type]
        streams = kind != "data"
        value = parse_limit(item.value)
        if value is None:
            if not self.facts.flow_control:
                return ANY_SESSION
            return ANY_SESSION if blocked else allowed.message_error(allowed.MALFORMED_LIMIT[streams])
        if not self.facts.flow_control:
            # §5.1 wants it ignored, §5.6.2 wants the session closed by whoever receives such a value.
            return ANY_SESSION if streams and value > MAX_STREAM_LIMIT else NOTHING
        if streams and value > MAX_STREAM_LIMIT:
            code = self.rules.excessive_limit_code
            return allowed.session_error(allowed.EXCESSIVE[blocked], code)
        return NOTHING if blocked else self._new_limit(kind, value, streams)

    def _new_limit(self, kind: str, value: int, streams: bool) -> Expectation:
        previous = self._announced.get(kind)
        if previous is None and value <= self.facts.own_limits.get(kind, 0):
            return ANY_SESSION  # AMB-09: whether the initial limit counts as the one before
        if previous is not None and value < previous:
            return allowed.session_error(allowed.SHRINKS[streams], WT.FLOW_CONTROL_ERROR)
        if previous is not None and value == previous:
            if not self.rules.equal_limit_is_error:
                return NOTHING
            return allowed.session_error(allowed.EQUAL[streams], WT.FLOW_CONTROL_ERROR)
        self._announced[kind] = value
        self.own_limits[kind] = max(value, self.own_limits.get(kind, 0))
        return NOTHING

    # --- HTTP/3 ---

    def _end_connect(self, item: op.EndConnect) -> Expectation:
        # AMB-24: STOP_SENDING may or may not end the session by itself.
        return {"fin": allowed.CLOSED_BY_FIN, "reset": allowed.CLOSED_BY_RESET}.get(item.how, ANY_SESSION)

    def _frame(self, item: op.Frame) -> Expectation:
        if item.place == "connect":
            return self._connect_frame(item)
        expectation = allowed.CONTROL_FRAMES.get(item.type)
        if expectation is not None:
            return expectation
        if item.missing:
            return ANY_CONNECTION  # the control stream ends inside of a frame: two rules at once
        if item.type not in allowed.IDENTIFIER_FRAMES:
            return NOTHING
        value = read_whole_varint(item.payload)
        return allowed.MALFORMED_FRAME if value is None else self._identifier(item.type, value)

    def _connect_frame(self, item: op.Frame) -> Expectation:
        if item.type == FrameType.DATA:
            return ANY_SESSION if item.payload or item.missing else NOTHING
        expectation = allowed.CONNECT_FRAMES.get(item.type, NOTHING)
        if item.missing and expectation is NOTHING:
            return allowed.CUT_FRAME
        return expectation

    def _identifier(self, kind: int, value: int) -> Expectation:
        match kind:
            case FrameType.CANCEL_PUSH:
                return allowed.CANCEL_PUSH
            case FrameType.MAX_PUSH_ID:
                shrinks = self._max_push_id is not None and value < self._max_push_id
                self._max_push_id = value
                return allowed.MAX_PUSH_ID_SHRINKS if shrinks else NOTHING
            case _:
                grows = self._goaway is not None and value > self._goaway
                self._goaway = value
                return allowed.GOAWAY_GROWS if grows else NOTHING


__all__ = ["LIMIT_CAPSULES", "Facts", "SessionModel", "StreamState", "StreamType"]
