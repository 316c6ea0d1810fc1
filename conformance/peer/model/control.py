"""Unidirectional streams: control stream, QPACK streams, and the start of WebTransport ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from conformance.peer.codepoints import HTTP2_FRAME_TYPES, HTTP2_SETTINGS, FrameType, Setting, StreamType
from conformance.peer.drafts import Draft
from conformance.peer.h3frames import frame_parser
from conformance.peer.model.receivers import DISCARD, Receiver
from conformance.peer.model.requests import RequestStream
from conformance.peer.model.streams import IncomingHeader
from conformance.peer.qpack import QpackError, read_prefix_integer
from conformance.peer.settings import parse_settings
from conformance.peer.tlv import End, Opaque, Start
from conformance.peer.varint import read_varint, read_whole_varint, varint
from conformance.peer.wtheaders import is_client_bidi

if TYPE_CHECKING:
    from conformance.peer.model.engine import Connection

MAX_CONTROL_FRAME: Final = 16 * 1024
_ONLY_ON_REQUESTS: Final = frozenset({FrameType.DATA, FrameType.HEADERS})
_SINGLE_ID: Final = frozenset({FrameType.GOAWAY, FrameType.MAX_PUSH_ID, FrameType.CANCEL_PUSH})
_MAX_INSTRUCTION: Final = 16
# No setting with a meaning here is larger.
MAX_SETTING: Final = (1 << 32) - 1
_KNOWN_FRAMES: Final = frozenset(FrameType) | HTTP2_FRAME_TYPES


class IncomingUni:
    """A unidirectional stream whose type is not known yet (RFC 9114 §6.2)."""

    def __init__(self, connection: Connection, stream_id: int) -> None:
        self._connection = connection
        self._id = stream_id
        self._header = bytearray()

    def data(self, data: bytes) -> None:
        """Collect the type, then hand over to the receiver of that type."""
        if self._header and self._connection.objects("uni-header-split", self._id):
            return
        self._header += data
        stream_type = read_varint(self._header)
        if stream_type is None:
            return
        long = stream_type[1] > len(varint(stream_type[0]))
        if long and self._connection.objects("uni-type-long", self._id):
            return
        receiver = self._receiver(stream_type[0], stream_type[1]) or DISCARD
        self._connection.receivers[self._id] = receiver
        rest = bytes(self._header[stream_type[1] :])
        if rest:
            receiver.data(rest)

    def _receiver(self, stream_type: int, header_length: int) -> Receiver | None:
        control = self._connection.control
        match stream_type:
            case StreamType.CONTROL:
                if control.control_seen and self._connection.violate("control-stream-duplicate", self._id):
                    return None
                control.control_seen = True
                return ControlStream(self._connection, self._id)
            case StreamType.QPACK_ENCODER | StreamType.QPACK_DECODER:
                if stream_type in control.qpack_seen and self._connection.violate(
                    "qpack-stream-duplicate", self._id
                ):
                    return None
                control.qpack_seen.add(stream_type)
                encoder = stream_type == StreamType.QPACK_ENCODER
                return EncoderStream(self._connection) if encoder else DecoderStream(self._connection)
            case StreamType.WEBTRANSPORT:
                return IncomingHeader(self._connection, self._id, header_length)
            case StreamType.PUSH:
                self._connection.violate("push-stream", self._id)
            case _:
                self._connection.violate("unknown-uni-stream", self._id)
        return None

    def end(self) -> None:
        """Tolerate a stream that ends before its type (RFC 9114 §6.2)."""
        self._connection.objects("uni-type-missing", self._id)

    def reset(self, code: int, final_size: int) -> None:
        """Tolerate a stream that is reset before its type (RFC 9114 §6.2)."""
        self._connection.objects("uni-type-missing", self._id)

    def stop(self, code: int) -> None:
        """Cannot happen on a stream that only the client sends on."""


class ControlState:
    """What is known of the client's critical streams and of the identifiers on its control stream."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.control_seen = False
        self.qpack_seen: set[int] = set()
        self._goaway: int | None = None
        self._max_push_id: int | None = None

    def settings(self, payload: bytes) -> None:
        """Take the first SETTINGS frame (RFC 9114 §7.2.4)."""
        connection = self._connection
        entries = parse_settings(payload)
        if entries is None:
            connection.violate("settings-malformed")
            return
        settings = dict(entries)
        d02 = settings.get(Setting.ENABLE_WEBTRANSPORT_D02, 0)
        broken = {
            "settings-duplicate": len(settings) != len(entries),
            "settings-http2": bool(HTTP2_SETTINGS & settings.keys()),
            "settings-h3-datagram": settings.get(Setting.H3_DATAGRAM, 0) > 1,
            "settings-connect-protocol": settings.get(Setting.ENABLE_CONNECT_PROTOCOL, 0) > 1,
            "settings-webtransport": d02 > 1 and Draft.D02 in connection.behaviour.drafts,
        }
        for name, holds in broken.items():
            if holds and connection.violate(name):
                return
        if any(value > MAX_SETTING for value in settings.values()) and connection.objects("setting-large"):
            return
        announced = Setting.ENABLE_CONNECT_PROTOCOL in settings
        if announced and connection.objects("client-connect-protocol"):
            return
        connection.settings_received(settings)

    def identifier(self, frame_type: int, payload: bytes) -> None:
        """Take a frame that consists of one identifier."""
        connection = self._connection
        value = read_whole_varint(payload)
        if value is None:
            connection.violate("control-frame-malformed")
            return
        match frame_type:
            case FrameType.GOAWAY:
                grows = self._goaway is not None and value > self._goaway
                if not (grows and connection.violate("goaway-grows")):
                    self._goaway = value
                    if not connection.objects("goaway"):
                        connection.sessions.draining()
            case FrameType.MAX_PUSH_ID:
                shrinks = self._max_push_id is not None and value < self._max_push_id
                if not (shrinks and connection.violate("max-push-id-shrinks")):
                    self._max_push_id = value
            case FrameType.CANCEL_PUSH:
                # This server promises no pushes, so every push ID is unknown (RFC 9114 §7.2.3).
                connection.violate("cancel-push-unknown")

    def priority_update(self, payload: bytes) -> None:
        """Take PRIORITY_UPDATE for a request (RFC 9218 §7.1); its value may be anything."""
        element = read_varint(payload)
        if element is None:
            self._connection.violate("control-frame-malformed")
        elif not is_client_bidi(element[0]):
            self._connection.violate("priority-update-id")


class OwnCriticalStream:
    """A stream of this side that must not end: asking for it is an error (RFC 9114 §6.2.1)."""

    def __init__(self, connection: Connection, *, qpack: bool) -> None:
        self._connection = connection
        self._rule = "qpack-stream-closed" if qpack else "control-stream-closed"

    def data(self, data: bytes) -> None:
        """Cannot happen: QUIC rejects it."""

    def end(self) -> None:
        """Cannot happen: QUIC rejects it."""

    def reset(self, code: int, final_size: int) -> None:
        """Cannot happen: QUIC rejects it."""

    def stop(self, code: int) -> None:
        """Treat STOP_SENDING as the closure of a critical stream."""
        self._connection.violate(self._rule)


class _CriticalStream:
    """A stream of the client that must not end."""

    rule = "qpack-stream-closed"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def end(self) -> None:
        """Take the FIN as a violation."""
        self._connection.violate(self.rule)

    def reset(self, code: int, final_size: int) -> None:
        """Take the reset as a violation."""
        self._connection.violate(self.rule)

    def stop(self, code: int) -> None:
        """Cannot happen on a stream that only the client sends on."""


class ControlStream(_CriticalStream):
    """The client's control stream (RFC 9114 §6.2.1)."""

    rule = "control-stream-closed"

    def __init__(self, connection: Connection, stream_id: int) -> None:
        super().__init__(connection)
        self._id = stream_id
        self._parser = frame_parser(max_payload=MAX_CONTROL_FRAME)
        self._settings_seen = False

    def data(self, data: bytes) -> None:
        """Parse frames."""
        for item in self._parser.feed(data):
            match item:
                case Start():
                    self._start(item.type, item.length)
                case End():
                    self._end(item)
                case Opaque():
                    self._connection.violate("control-wt-stream")
            if self._connection.closing:
                return

    def _start(self, frame_type: int, length: int) -> None:
        """Judge a frame by its type alone."""
        violate = self._connection.violate
        if not self._settings_seen:
            if frame_type != FrameType.SETTINGS:
                violate("control-first-frame")
        elif frame_type == FrameType.SETTINGS:
            violate("settings-repeated")
        elif frame_type in _ONLY_ON_REQUESTS:
            violate("control-frame-unexpected")
        elif frame_type == FrameType.PUSH_PROMISE:
            violate("control-push-promise")
        elif frame_type in HTTP2_FRAME_TYPES:
            violate("control-http2-frame")
        elif frame_type == FrameType.PRIORITY_UPDATE_REQUEST:
            self._connection.objects("priority-update")
        elif frame_type not in _KNOWN_FRAMES:
            self._connection.objects("control-frame-unknown")
        known = frame_type in _SINGLE_ID or frame_type == FrameType.SETTINGS
        if known and length > MAX_CONTROL_FRAME:
            violate("control-frame-oversized")

    def _end(self, item: End) -> None:
        control = self._connection.control
        if item.type == FrameType.SETTINGS and not self._settings_seen:
            self._settings_seen = True
            control.settings(item.value)
        elif item.type in _SINGLE_ID:
            control.identifier(item.type, item.value)
        elif item.type == FrameType.PRIORITY_UPDATE_REQUEST:
            control.priority_update(item.value)


class EncoderStream(_CriticalStream):
    """The client's QPACK encoder stream (RFC 9204 §4.3)."""

    def data(self, data: bytes) -> None:
        """Feed the dynamic table; requests that waited for it go on."""
        connection = self._connection
        try:
            unblocked = connection.decoder.feed(connection.behaviour.encoder_instructions(data))
        except QpackError:
            connection.violate("qpack-encoder-stream")
            return
        for stream_id in unblocked:
            request = connection.receivers.get(stream_id)
            if isinstance(request, RequestStream) and not connection.closing:
                request.unblock()


class DecoderStream(_CriticalStream):
    """The client's QPACK decoder stream (RFC 9204 §4.4).

    Where this server's encoder has no table, every acknowledgment and every increment is wrong.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._buffer = bytearray()

    def data(self, data: bytes) -> None:
        """Tell the encoder, or parse the only instruction that is possible without one (§4.4.2)."""
        if self._connection.encoder is not None:
            try:
                self._connection.encoder.feed(data)
            except QpackError:
                self._connection.violate("qpack-decoder-stream")
            return
        self._buffer += data
        while self._buffer:
            cancellation = self._buffer[0] & 0xC0 == 0x40
            value = read_prefix_integer(self._buffer, 6)
            if not cancellation or (value is None and len(self._buffer) >= _MAX_INSTRUCTION):
                self._connection.violate("qpack-decoder-stream")
                self._buffer.clear()
                return
            if value is None:
                return
            del self._buffer[: value[1]]
