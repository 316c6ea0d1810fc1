"""The HTTP/3 observer: turns the bytes of all streams, both ways, into decoded events. It never reacts.

One observer watches one connection. Whatever was sent or received is fed to it as ``StreamData``,
``StreamReset`` and ``DatagramFrame``; it emits ``UniStreamType``, ``H3Frame``, ``Settings``,
``FieldSection``, ``Goaway``, ``Capsule``, ``WtStream``, ``WtStreamData``, ``WtDatagram`` and, for bytes
that cannot be parsed, ``Malformed``. Malformed input only ends the interpretation of its stream.

Bounds: a frame or capsule longer than its limit is counted and cut; a stream keeps a parser, not data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from conformance.peer.capsules import MAX_CAPSULE_VALUE, capsule_parser
from conformance.peer.codepoints import FrameType, Setting, StreamType
from conformance.peer.datagrams import parse_datagram
from conformance.peer.events import (
    Capsule,
    DatagramFrame,
    EventHandler,
    FieldSection,
    Goaway,
    H3Frame,
    Malformed,
    Settings,
    StreamData,
    StreamReset,
    UniStreamType,
    WireEvent,
    WtDatagram,
    WtStream,
    WtStreamData,
)
from conformance.peer.h3frames import frame_parser
from conformance.peer.qpack import Blocked, Field, QpackError, SectionDecoder
from conformance.peer.settings import parse_settings
from conformance.peer.tlv import Chunk, End, Item, Opaque, Rest, TlvParser
from conformance.peer.varint import read_varint, read_whole_varint
from conformance.peer.wtheaders import is_server_initiated, is_unidirectional

# DATA frames appear in the log with so many bytes of their payload; their content is in other events.
MAX_DATA_IN_LOG: Final = 1024
_MAX_HEADER: Final = 16

Kind: TypeAlias = Literal["type", "frames", "session-id", "body", "qpack-encoder", "opaque"]


@dataclass(slots=True)
class _Direction:
    """What is known of one direction of one stream."""

    stream_id: int
    sent: bool
    kind: Kind
    header: bytearray = field(default_factory=bytearray)
    header_length: int = 0
    frames: TlvParser | None = None
    capsules: TlvParser | None = None
    session_id: int | None = None
    control: bool = False
    sections: int = 0


class H3Observer:
    """Decode one connection. ``handler`` gets the events; ``is_client`` tells which side "sent" is."""

    def __init__(self, handler: EventHandler, *, is_client: bool) -> None:
        self._emit = handler
        self._is_client = is_client
        self._directions: dict[tuple[int, bool], _Direction] = {}
        # Decoder of what this peer sends (True) and receives (False); replaced by announced capacities.
        self._decoders = {True: SectionDecoder(), False: SectionDecoder()}
        self._blocked: dict[tuple[int, bool], _Direction] = {}
        self._connects: set[int] = set()
        self._refused: set[int] = set()

    def observe(self, event: WireEvent) -> None:
        """Take one event of the QUIC layer; others are ignored."""
        match event:
            case StreamData():
                self._stream_data(event)
            case StreamReset():
                # What is known of the direction stays: the other one may be told by it.
                self._blocked.pop((event.stream_id, event.sent), None)
            case DatagramFrame():
                self._datagram(event)

    # --- streams ---

    def _stream_data(self, event: StreamData) -> None:
        key = (event.stream_id, event.sent)
        direction = self._directions.get(key)
        if direction is None:
            direction = self._directions[key] = self._new_direction(*key)
        data = event.data
        while data:
            data = self._feed(direction, data, event)
        if direction.session_id is not None and direction.kind == "body" and event.end_stream:
            self._body(direction, b"", event, end_stream=True)
        if event.end_stream:
            self._end(direction, event)

    def _new_direction(self, stream_id: int, sent: bool) -> _Direction:
        """Tell from the stream's type and initiator what its first bytes are."""
        if is_unidirectional(stream_id):
            return _Direction(stream_id, sent, "type")
        from_initiator = is_server_initiated(stream_id) != (sent == self._is_client)
        opposite = self._directions.get((stream_id, not sent))
        if not from_initiator and opposite is not None and opposite.session_id is not None:
            return _Direction(stream_id, sent, "body", session_id=opposite.session_id)
        if from_initiator or not is_server_initiated(stream_id):
            return _Direction(stream_id, sent, "frames", frames=frame_parser())
        return _Direction(stream_id, sent, "opaque")

    def _feed(self, direction: _Direction, data: bytes, event: StreamData) -> bytes:
        """Interpret ``data``; return what is left of it once the kind of the stream has changed."""
        match direction.kind:
            case "type" | "session-id":
                return self._feed_header(direction, data, event)
            case "frames":
                return self._feed_frames(direction, data, event)
            case "body":
                self._body(direction, data, event, end_stream=False)
            case "qpack-encoder":
                self._encoder_stream(direction, data, event)
            case "opaque":
                pass
        return b""

    def _feed_header(self, direction: _Direction, data: bytes, event: StreamData) -> bytes:
        before = len(direction.header)
        direction.header += data[: _MAX_HEADER - before]
        value = read_varint(direction.header)
        if value is None:
            return b""
        rest = data[value[1] - before :]
        direction.header.clear()
        direction.header_length += value[1]
        if direction.kind == "session-id":
            self._wt_stream(direction, value[0], event)
        else:
            self._stream_type(direction, value[0], event)
        return rest

    def _stream_type(self, direction: _Direction, stream_type: int, event: StreamData) -> None:
        self._emit(
            UniStreamType(
                time=event.time, sent=event.sent, stream_id=direction.stream_id, stream_type=stream_type
            )
        )
        match stream_type:
            case StreamType.CONTROL:
                direction.kind, direction.frames, direction.control = "frames", frame_parser(), True
            case StreamType.WEBTRANSPORT:
                direction.kind = "session-id"
            case StreamType.QPACK_ENCODER:
                direction.kind = "qpack-encoder"
            case _:
                direction.kind = "opaque"

    def _wt_stream(self, direction: _Direction, session_id: int, event: StreamData) -> None:
        direction.kind, direction.session_id = "body", session_id
        opposite = self._directions.get((direction.stream_id, not direction.sent))
        if opposite is not None and opposite.session_id is None:
            opposite.kind, opposite.session_id = "body", session_id
        self._emit(
            WtStream(
                time=event.time,
                sent=event.sent,
                stream_id=direction.stream_id,
                session_id=session_id,
                bidirectional=not is_unidirectional(direction.stream_id),
                header_length=direction.header_length,
            )
        )

    def _body(self, direction: _Direction, data: bytes, event: StreamData, *, end_stream: bool) -> None:
        assert direction.session_id is not None
        self._emit(
            WtStreamData(
                time=event.time,
                sent=event.sent,
                stream_id=direction.stream_id,
                session_id=direction.session_id,
                data=data,
                end_stream=end_stream,
            )
        )

    def _end(self, direction: _Direction, event: StreamData) -> None:
        cut = bool(direction.header)
        cut = cut or (direction.frames is not None and not direction.frames.between_items)
        cut = cut or (direction.capsules is not None and not direction.capsules.between_items)
        if cut:
            self._malformed(direction, "the stream ends inside of a header, frame or capsule", b"", event)
        elif direction.kind == "session-id":
            self._malformed(direction, "the stream ends before the session ID", b"", event)

    def _malformed(self, direction: _Direction, problem: str, data: bytes, event: StreamData) -> None:
        self._emit(
            Malformed(
                time=event.time, sent=event.sent, stream_id=direction.stream_id, problem=problem, data=data
            )
        )

    # --- frames ---

    def _feed_frames(self, direction: _Direction, data: bytes, event: StreamData) -> bytes:
        assert direction.frames is not None
        rest = b""
        for item in direction.frames.feed(data):
            match item:
                case Chunk(type=FrameType.DATA):
                    self._connect_data(direction, item.data, event)
                case End():
                    self._frame(direction, item, event)
                case Opaque():
                    self._signal(direction, item, event)
                case Rest():
                    rest = item.data
        return rest

    def _signal(self, direction: _Direction, item: Opaque, event: StreamData) -> None:
        """WT_STREAM: the header of a stream where it is allowed, else the end of interpretation."""
        if direction.control or (direction.stream_id in self._connects and direction.sections):
            direction.kind = "opaque"
            self._malformed(direction, "WT_STREAM inside of a frame sequence", b"", event)
            return
        direction.kind, direction.frames = "session-id", None
        direction.header_length = item.encoded_length

    def _frame(self, direction: _Direction, item: End, event: StreamData) -> None:
        payload = item.value[:MAX_DATA_IN_LOG] if item.type == FrameType.DATA else item.value
        self._emit(
            H3Frame(
                time=event.time,
                sent=event.sent,
                stream_id=direction.stream_id,
                frame_type=item.type,
                length=item.length,
                payload=payload,
            )
        )
        match item.type:
            case FrameType.HEADERS:
                self._headers(direction, item, event)
            case FrameType.SETTINGS if direction.control:
                self._settings(direction, item, event)
            case FrameType.GOAWAY if direction.control:
                identifier = read_whole_varint(item.value)
                if identifier is None:
                    self._malformed(direction, "GOAWAY without exactly one identifier", item.value, event)
                else:
                    self._emit(
                        Goaway(
                            time=event.time,
                            sent=event.sent,
                            stream_id=direction.stream_id,
                            identifier=identifier,
                        )
                    )

    def _settings(self, direction: _Direction, item: End, event: StreamData) -> None:
        entries = parse_settings(item.value)
        if entries is None:
            self._malformed(direction, "SETTINGS ends inside of an entry", item.value, event)
            return
        # The settings of one side bound the dynamic table of what the other side encodes.
        announced = dict(entries)
        self._decoders[not event.sent] = SectionDecoder(
            max_table_capacity=min(announced.get(Setting.QPACK_MAX_TABLE_CAPACITY, 0), 1 << 20),
            blocked_streams=min(announced.get(Setting.QPACK_BLOCKED_STREAMS, 0), 1024),
        )
        self._emit(Settings(time=event.time, sent=event.sent, stream_id=direction.stream_id, entries=entries))

    # --- field sections ---

    def _headers(self, direction: _Direction, item: End, event: StreamData) -> None:
        direction.sections += 1
        if item.cut:
            self._malformed(direction, "field section longer than the observer's bound", item.value, event)
            return
        try:
            fields, _ = self._decoders[event.sent].decode(direction.stream_id, item.value)
        except Blocked:
            self._blocked[(direction.stream_id, direction.sent)] = direction
        except QpackError as error:
            self._malformed(direction, f"field section: {error}", item.value, event)
        else:
            self._section(direction, fields, event)

    def _section(self, direction: _Direction, fields: list[Field], event: StreamData) -> None:
        lines = dict(fields)
        status = lines.get(b":status", b"")
        if lines.get(b":method") == b"CONNECT" and b":protocol" in lines:
            self._connects.add(direction.stream_id)
        elif direction.stream_id in self._connects and status[:1] not in (b"", b"1", b"2"):
            self._refused.add(direction.stream_id)
        self._emit(
            FieldSection(
                time=event.time, sent=event.sent, stream_id=direction.stream_id, fields=tuple(fields)
            )
        )

    def _encoder_stream(self, direction: _Direction, data: bytes, event: StreamData) -> None:
        decoder = self._decoders[event.sent]
        try:
            unblocked = decoder.feed(data)
            sections = [(stream_id, decoder.resume(stream_id)[0]) for stream_id in unblocked]
        except QpackError as error:
            direction.kind = "opaque"
            self._malformed(direction, f"encoder stream: {error}", data, event)
            return
        for stream_id, fields in sections:
            blocked = self._blocked.pop((stream_id, event.sent), None)
            if blocked is not None:
                self._section(blocked, fields, event)

    # --- capsules and datagrams ---

    def _connect_data(self, direction: _Direction, data: bytes, event: StreamData) -> None:
        if direction.stream_id not in self._connects:
            return
        from_server = event.sent != self._is_client
        if from_server and direction.stream_id in self._refused:
            return
        if direction.capsules is None:
            direction.capsules = capsule_parser(max_value=MAX_CAPSULE_VALUE)
        for item in direction.capsules.feed(data):
            self._capsule(direction, item, event)

    def _capsule(self, direction: _Direction, item: Item, event: StreamData) -> None:
        if isinstance(item, End):
            self._emit(
                Capsule(
                    time=event.time,
                    sent=event.sent,
                    stream_id=direction.stream_id,
                    capsule_type=item.type,
                    value=item.value,
                )
            )

    def _datagram(self, event: DatagramFrame) -> None:
        parsed = parse_datagram(event.data)
        if parsed is None:
            self._emit(
                Malformed(
                    time=event.time,
                    sent=event.sent,
                    stream_id=None,
                    problem="datagram without a Quarter Stream ID",
                    data=event.data,
                )
            )
            return
        self._emit(
            WtDatagram(time=event.time, sent=event.sent, quarter_stream_id=parsed[0], payload=parsed[1])
        )
