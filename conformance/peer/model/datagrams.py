"""HTTP datagrams at the model server (RFC 9297 §2.1, draft-16 §4.5, §4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.peer.codepoints import MAX_QUARTER_STREAM_ID, Setting
from conformance.peer.datagrams import parse_datagram
from conformance.peer.model.requests import RequestStream
from conformance.peer.varint import varint

if TYPE_CHECKING:
    from conformance.peer.model.engine import Connection


class Datagrams:
    """Delivers datagrams to sessions and keeps a few for sessions to come."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._early: list[tuple[int, bytes]] = []

    def received(self, data: bytes) -> None:
        """Take the payload of a DATAGRAM frame."""
        connection = self._connection
        parsed = parse_datagram(data)
        if parsed is None:
            connection.violate("datagram-truncated")
            return
        quarter, payload = parsed
        if quarter > MAX_QUARTER_STREAM_ID and connection.violate("datagram-quarter-id"):
            return
        long = len(data) - len(payload) > len(varint(quarter))
        if long and connection.objects("datagram-id-long", 4 * quarter):
            return
        if not payload and connection.objects("datagram-empty"):
            return
        stream_id = 4 * quarter
        session = connection.sessions.active.get(stream_id)
        if session is not None:
            session.app.datagram(connection.behaviour.datagram_payload(payload))
        elif connection.sessions.is_over(stream_id):
            connection.violate("datagram-of-ended-session", stream_id)
        elif self._is_plain(stream_id):
            connection.violate("datagram-of-plain-request", stream_id)
        elif not (self._is_beyond_limit(quarter) and connection.violate("datagram-beyond-limit")):
            self._keep(stream_id, payload)

    def _is_plain(self, stream_id: int) -> bool:
        stream = self._connection.receivers.get(stream_id)
        request = stream.request if isinstance(stream, RequestStream) else None
        return request is not None and request.protocol is None

    def _is_beyond_limit(self, quarter: int) -> bool:
        """Tell whether QUIC's limit rules the stream out; it is known from the frames that were sent."""
        connection = self._connection
        return connection.quic.options.frame_events and quarter >= connection.max_requests

    def _keep(self, stream_id: int, payload: bytes) -> None:
        if self._connection.objects("datagram-early"):
            return
        full = len(self._early) >= self._connection.behaviour.max_buffered_datagrams
        if not (full and self._connection.violate("datagram-buffer-full")):
            self._early.append((stream_id, payload))

    def deliver_early(self, stream_id: int) -> list[bytes]:
        """Return the datagrams that were kept for a session, in order, and forget them."""
        early = [payload for kept_id, payload in self._early if kept_id == stream_id]
        self._early = [item for item in self._early if item[0] != stream_id]
        return early

    def send(self, session_id: int, payload: bytes) -> bool:
        """Send a datagram; False if it is longer than the path or the client takes (RFC 9221 §3)."""
        connection = self._connection
        settings = connection.client_settings or {}
        frame = connection.behaviour.datagram(session_id, payload)
        announced = 1 in (settings.get(Setting.H3_DATAGRAM), settings.get(Setting.H3_DATAGRAM_DRAFT04))
        if len(frame) > connection.max_datagram_payload or not announced:
            return False
        connection.quic.send_datagram(frame)
        return True
