"""Request streams (RFC 9114 §4): frames in their order, field sections, and the way to an answer."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from conformance.peer.codepoints import H3, HTTP2_FRAME_TYPES, WT, FrameType
from conformance.peer.h3frames import frame_parser
from conformance.peer.model.fields import Request, request_violations, trailer_violations
from conformance.peer.model.streams import IncomingHeader
from conformance.peer.qpack import Blocked, Field, QpackError
from conformance.peer.tlv import Chunk, End, Item, Opaque, Rest, Start

if TYPE_CHECKING:
    from conformance.peer.model.engine import Connection
    from conformance.peer.model.sessions import Session

_CONTROL_ONLY: Final = frozenset(
    {FrameType.CANCEL_PUSH, FrameType.SETTINGS, FrameType.GOAWAY, FrameType.MAX_PUSH_ID}
)
_KNOWN_FRAMES: Final = frozenset(FrameType) | HTTP2_FRAME_TYPES
_KNOWN_CODES: Final = frozenset(map(int, (*H3, *WT)))
_PRIORITY_UPDATES: Final = frozenset({FrameType.PRIORITY_UPDATE_REQUEST, FrameType.PRIORITY_UPDATE_PUSH})


class RequestStream:
    """A client-initiated bidirectional stream that did not begin with WT_STREAM."""

    def __init__(self, connection: Connection, stream_id: int) -> None:
        self.connection = connection
        self.id = stream_id
        self.request: Request | None = None
        self.session: Session | None = None
        self.ended = False
        self.early = bytearray()
        self.content_length = 0
        # Compressed, a field section that is not too large takes less than its decoded size.
        self._parser = frame_parser(max_payload=connection.behaviour.max_field_section)
        self._items: deque[Item] = deque()
        self._blocked = False
        self._trailers = False
        self._oversized = False

    # --- the receiver ---

    def data(self, data: bytes) -> None:
        """Take bytes: frames, or a WebTransport stream if the signal comes first."""
        self._items += self._parser.feed(data)
        self._work()

    def end(self) -> None:
        """Take the FIN: of a request, or of a session."""
        self.ended = True
        connection = self.connection
        if self._blocked:
            return
        if not self._parser.between_items and connection.violate("frame-truncated", self.id):
            return
        if self.session is not None:
            if not self.connection.objects("connect-finished", self.id):
                self.session.client_finished()
        elif self.request is None and not connection.sessions.is_over(self.id):
            connection.violate("request-incomplete", self.id)
        elif self.request is not None:
            connection.sessions.request_complete(self)

    def reset(self, code: int, final_size: int) -> None:
        """Take a reset: the end of a session, or of a request that is not wanted any more."""
        self.ended = True
        if self._blocked:
            self.connection.send_decoder_instructions(self.connection.decoder.cancel(self.id))
        if code not in _KNOWN_CODES and self.connection.objects("request-code-unknown", self.id):
            return
        if self.session is not None:
            if not self.connection.objects("connect-reset", self.id):
                self.session.client_aborted()
        elif self.request is None or self.request.method != b"CONNECT":
            self.connection.violate("request-incomplete", self.id)
        else:
            self.connection.sessions.abandoned(self)

    def stop(self, code: int) -> None:
        """Take STOP_SENDING: the response is not wanted."""
        if code not in _KNOWN_CODES and self.connection.objects("request-code-unknown", self.id):
            return
        if self.session is not None:
            self.session.client_aborted()
        else:
            self.connection.sessions.abandoned(self)

    def unblock(self) -> None:
        """Go on after the encoder stream delivered what the field section refers to."""
        self._blocked = False
        try:
            fields, instructions = self.connection.decoder.resume(self.id)
        except QpackError:
            self.connection.violate("qpack-field-section", self.id)
            return
        self.connection.send_decoder_instructions(instructions)
        self._section(fields)
        self._work()
        if self.ended:
            self.end()

    def _work(self) -> None:
        while self._items and not self._blocked and not self.connection.closing:
            if self.connection.receivers.get(self.id) is not self:
                return
            item = self._items.popleft()
            match item:
                case Start():
                    self._start(item)
                case Chunk(type=FrameType.DATA):
                    self._content(item.data)
                case End(type=FrameType.HEADERS):
                    self._headers(item)
                case Opaque():
                    self._signal(item)

    # --- frames ---

    def _signal(self, item: Opaque) -> None:
        """WT_STREAM makes this a data stream if it comes first (draft-16 §4.3)."""
        connection = self.connection
        if self.request is not None:
            connection.violate("connect-wt-stream", self.id)
            return
        if not item.first and connection.violate("request-wt-stream", self.id):
            return
        receiver = IncomingHeader(connection, self.id, item.encoded_length)
        connection.receivers[self.id] = receiver
        connection.next_request = max(connection.next_request, self.id + 4)
        rest = b"".join(part.data for part in self._items if isinstance(part, Rest))
        if rest:
            receiver.data(rest)

    def _start(self, item: Start) -> None:
        """Judge a frame by its type and place (RFC 9114 §4.1, §4.4, §7.2)."""
        violate, kind = self.connection.violate, item.type
        if kind in _CONTROL_ONLY:
            violate("request-control-frame", self.id)
        elif kind == FrameType.PUSH_PROMISE:
            violate("request-push-promise", self.id)
        elif kind in HTTP2_FRAME_TYPES:
            violate("request-http2-frame", self.id)
        elif kind in _PRIORITY_UPDATES:
            violate("request-priority-update", self.id)
        elif kind == FrameType.DATA and self.request is None and not self._oversized:
            violate("data-before-headers", self.id)
        elif kind in (FrameType.DATA, FrameType.HEADERS) and self._trailers:
            violate("request-frames-after-trailers", self.id)
        elif kind == FrameType.HEADERS and self.request is not None and self.request.method == b"CONNECT":
            violate("connect-headers-again", self.id)
        elif kind == FrameType.DATA and self.session is not None:
            self.session.capsules.data_frame_begins()
        elif kind not in _KNOWN_FRAMES:
            self.connection.objects("request-frame-unknown", self.id)

    def _content(self, data: bytes) -> None:
        """Take the payload of a DATA frame: capsules of a session, or content of a request."""
        if self.session is not None:
            self.session.capsules.feed(data)
        elif self.connection.sessions.is_over(self.id):
            # Refused: what follows is dropped (draft-16 §3.2).
            self.connection.objects("data-on-refused-request", self.id)
        elif self.request is not None and self.request.method == b"CONNECT":
            self.early += data
            if len(self.early) > self.connection.behaviour.max_early_bytes:
                self.early.clear()
                self.connection.violate("early-data-oversized", self.id)
        else:
            self.content_length += len(data)

    # --- field sections ---

    def _headers(self, item: End) -> None:
        if item.cut:
            self._oversized = True
            self.connection.violate("request-oversized", self.id)
            return
        try:
            section = self.connection.behaviour.field_section(item.value)
            fields, instructions = self.connection.decoder.decode(self.id, section)
        except Blocked:
            self._blocked = True
            return
        except QpackError:
            self.connection.violate("qpack-field-section", self.id)
            return
        self.connection.send_decoder_instructions(instructions)
        self._section(fields)

    def _section(self, fields: list[Field]) -> None:
        connection = self.connection
        trailers = self.request is not None
        violations = trailer_violations(fields) if trailers else request_violations(fields)
        for name in violations:
            if connection.violate(name, self.id):
                return
        if trailers:
            self._trailers = True
            return
        # The size of a field section counts 32 bytes more for each line (RFC 9114 §4.2.2).
        size = sum(len(name) + len(value) + 32 for name, value in fields)
        self.request = Request(tuple(fields))
        if size > connection.behaviour.max_field_section and connection.violate("request-oversized", self.id):
            self._oversized = True
            return
        late = connection.goaway_identifier is not None and self.id >= connection.goaway_identifier
        if late and connection.violate("request-after-goaway", self.id):
            return
        connection.next_request = max(connection.next_request, self.id + 4)
        connection.sessions.request(self)
