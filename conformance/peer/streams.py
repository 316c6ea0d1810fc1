"""Streams as a case sees them: raw bytes out, raw bytes in, resets and stops as they came.

Nothing here judges or reacts. Received bytes are kept up to ``MAX_STORED`` per stream; what is beyond
is counted in ``received_length`` only.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from conformance.peer.errorcodes import to_http
from conformance.peer.events import FieldSection, H3Frame, StopSending, StreamData, StreamReset, WtStream
from conformance.peer.qpack import Field

if TYPE_CHECKING:
    from conformance.peer.client import Peer

MAX_STORED: Final = 4 * 1024 * 1024


class Stream:
    """One stream of the connection, opened by either side."""

    def __init__(self, peer: Peer, stream_id: int) -> None:
        self.peer = peer
        self.id = stream_id
        self.sent_length = 0
        self.received_length = 0
        self.ended = False
        self.finished = False
        self.reset_event: StreamReset | None = None
        self.stop_event: StopSending | None = None
        # Header that the other side sent (its own streams), or that this side wrote (header_length).
        self.wt_header: WtStream | None = None
        self.header_length = 0
        self._received = bytearray()
        # Over everything received, stored or not.
        self.digest = hashlib.sha256()

    @property
    def received(self) -> bytes:
        """All bytes received from byte 0 on, a WebTransport header included."""
        return bytes(self._received)

    @property
    def body(self) -> bytes:
        """Received bytes without the header that the other side put in front of its own stream."""
        return bytes(self._received[self.wt_header.header_length :]) if self.wt_header else self.received

    @property
    def done(self) -> bool:
        """Tell whether nothing more will be received: FIN or a reset arrived."""
        return self.ended or self.reset_event is not None

    def send(self, data: bytes, end_stream: bool = False) -> None:
        """Queue bytes as they are; StreamNotWritable (a ValueError) after the end of the stream."""
        self.peer.send_stream(self.id, data, end_stream=end_stream)
        self.sent_length += len(data)
        self.finished = self.finished or end_stream

    def finish(self) -> None:
        """Send FIN."""
        self.send(b"", end_stream=True)

    def reset(self, code: int) -> None:
        """Send RESET_STREAM with a raw HTTP/3 code (``errorcodes.to_http`` maps application codes)."""
        self.peer.quic.reset_stream(self.id, code)

    def reset_at(self, code: int, reliable_size: int | None = None) -> None:
        """Send RESET_STREAM_AT with a raw code; the default reliable size is that of the own header."""
        size = self.header_length if reliable_size is None else reliable_size
        self.peer.quic.reset_stream_at(self.id, code, size)

    def reset_with(self, application_code: int) -> None:
        """Reset as a WebTransport endpoint does: mapped code, header delivered (draft-16 §4.4)."""
        if self.header_length and self.peer.facts.reset_stream_at:
            self.reset_at(to_http(application_code))
        else:
            self.reset(to_http(application_code))

    def stop(self, code: int) -> None:
        """Send STOP_SENDING with a raw code."""
        self.peer.quic.stop_sending(self.id, code)

    def take(self, event: StreamData) -> None:
        """Store received bytes (called by the peer)."""
        self.received_length += len(event.data)
        self.digest.update(event.data)
        self._received += event.data[: MAX_STORED - len(self._received)]
        self.ended = self.ended or event.end_stream


class RequestStream(Stream):
    """A request stream: the decoded response beside the raw bytes."""

    def __init__(self, peer: Peer, stream_id: int) -> None:
        super().__init__(peer, stream_id)
        self.frames: list[H3Frame] = []
        self.sections: list[FieldSection] = []

    @property
    def response(self) -> FieldSection | None:
        """The final response: the first received field section whose status is not 1xx."""
        for section in self.sections:
            status = dict(section.fields).get(b":status", b"")
            if not status.startswith(b"1"):
                return section
        return None

    @property
    def fields(self) -> tuple[Field, ...] | None:
        """The fields of the final response."""
        return self.response.fields if self.response else None

    @property
    def status(self) -> int | None:
        """The final status code, None before it arrived or where it is no number."""
        value = self.field(b":status")
        return int(value) if value is not None and value.isdigit() else None

    def field(self, name: bytes) -> bytes | None:
        """Return the first value of a response field, None if there is none."""
        return next((value for key, value in self.fields or () if key == name), None)

    @property
    def answered(self) -> bool:
        """Tell whether the request got a final response, an end or a reset."""
        return self.response is not None or self.done
