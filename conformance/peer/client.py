"""The malleable client: establishes connections and sessions by the book, sends anything, reacts to nothing.

Blocking and single-threaded: the link is pumped inside of ``wait`` only. The peer never closes the
connection, refuses a stream or answers a frame by itself; whatever arrives is recorded in ``events``,
decoded by the observer, and attached to the stream or session that it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from conformance.peer.codepoints import StreamType
from conformance.peer.drafts import FACTS, Draft
from conformance.peer.events import (
    Capsule,
    ConnectionClosed,
    DatagramFrame,
    FieldSection,
    Goaway,
    H3Frame,
    Settings,
    StopSending,
    StreamData,
    StreamReset,
    WireEvent,
    WtDatagram,
    WtStream,
)
from conformance.peer.fences import Fence, fence
from conformance.peer.h3 import H3Observer
from conformance.peer.h3frames import headers_frame
from conformance.peer.options import ConnectFailed, Opener, PeerOptions, SessionRefused
from conformance.peer.qpack import ENCODERS, Field, FieldEncoder
from conformance.peer.quic.udp import UdpLink
from conformance.peer.recorder import EventLog
from conformance.peer.session import MAX_ITEMS, Session
from conformance.peer.settings import Entries, FlowControl, client_settings, encode_settings
from conformance.peer.streams import RequestStream, Stream
from conformance.peer.varint import varint

_TLS_ALERT_BASE: Final = 0x100
_NO_APPLICATION_PROTOCOL: Final = 0x178


class Peer:
    """One client connection. Create it with ``connect``."""

    def __init__(self, opener: Opener, draft: Draft, options: PeerOptions) -> None:
        self.draft = draft
        self.facts = FACTS[draft]
        self.options = options
        self.authority = options.authority or opener.authority
        self.path = options.path or opener.path
        self.events = EventLog()
        self.streams: dict[int, Stream] = {}
        self.sessions: dict[int, Session] = {}
        self.settings_entries: Entries | None = None
        self.datagrams: list[WtDatagram] = []
        self.goaways: list[Goaway] = []
        self.control: Stream | None = None
        self.encoder_stream: Stream | None = None
        self.decoder_stream: Stream | None = None
        self._observer = H3Observer(self._decoded, is_client=True)
        self.quic, self.link = opener(self._transport_event, options.quic)

    # --- connection ---

    @classmethod
    def connect(cls, opener: Opener, *, draft: Draft = Draft.D16, options: PeerOptions | None = None) -> Peer:
        """Handshake, then control and QPACK streams and SETTINGS as the options say.

        Raises ConnectFailed. The link is closed in that case.
        """
        peer = cls(opener, draft, options or PeerOptions())
        try:
            peer._connect()
        except BaseException:
            peer.link.close()
            raise
        return peer

    def _connect(self) -> None:
        deadline = self.options.connect_deadline
        self.wait(lambda: self.quic.handshake_complete or self._refused, deadline)
        if not self.quic.handshake_complete:
            if self._refused:
                raise ConnectFailed("unreachable", "nothing listens on that port")
            raise self._connect_failure()
        if self.options.start_h3:
            self.start_h3()
            if self.options.wait_settings and not self.wait(lambda: self.peer_settings is not None, deadline):
                if self.closed is not None:
                    raise self._connect_failure()
                raise ConnectFailed("no-settings", f"no SETTINGS frame within {deadline:g} s")

    @property
    def _refused(self) -> bool:
        return isinstance(self.link, UdpLink) and self.link.refused

    def _connect_failure(self) -> ConnectFailed:
        close = self.closed
        if close is None or close.by == "idle":
            return ConnectFailed("timeout", "no answer that is QUIC", close)
        text = close.reason or f"error {close.error_code:#x}"
        if close.frame_type is not None and close.error_code == _NO_APPLICATION_PROTOCOL:
            return ConnectFailed("alpn", text, close)
        if close.frame_type is not None and _TLS_ALERT_BASE <= close.error_code < 2 * _TLS_ALERT_BASE:
            return ConnectFailed("tls", text, close)
        return ConnectFailed("closed", f"{text} (code {close.error_code:#x})", close)

    @property
    def closed(self) -> ConnectionClosed | None:
        """How the connection ended, None while it lives."""
        return self.quic.closed

    @property
    def rtt(self) -> float:
        """Smoothed round-trip time in seconds, 0.0 while unknown."""
        return self.quic.rtt

    @property
    def peer_settings(self) -> Mapping[int, int] | None:
        """The SETTINGS of the other side (last one wins), None before they arrived."""
        return None if self.settings_entries is None else dict(self.settings_entries)

    def start_h3(self) -> None:
        """Open the control stream with SETTINGS and the two QPACK streams, as the options say."""
        if self.options.open_control:
            self.control = self.open_uni(varint(self.options.control_stream_type))
            if self.options.before_settings:
                self.control.send(self.options.before_settings)
            if self.options.send_settings:
                self.send_settings()
        if self.options.open_qpack:
            self.encoder_stream = self.open_uni(varint(StreamType.QPACK_ENCODER))
            self.decoder_stream = self.open_uni(varint(StreamType.QPACK_DECODER))

    def send_settings(self) -> None:
        """Send the SETTINGS frame on the control stream (once the options held it back)."""
        if self.control is None:
            raise ValueError("there is no control stream")
        self.control.send(encode_settings(self.settings()))

    def settings(self) -> Entries:
        """Return the SETTINGS entries that the options describe."""
        options = self.options
        limits = FlowControl(*options.flow_control) if options.flow_control else None
        entries = options.settings
        if entries is None:
            entries = client_settings((self.draft, *options.also), limits)
        replaced = [
            (identifier, replacement)
            for identifier, value in entries
            if (replacement := options.replace_settings.get(identifier, value)) is not None
        ]
        known = {identifier for identifier, _ in entries}
        added = [
            (identifier, value)
            for identifier, value in options.replace_settings.items()
            if identifier not in known and value is not None
        ]
        return (*replaced, *added, *options.extra_settings)

    def close(self, code: int = 0x0100, reason: str = "") -> None:
        """Close the connection, tell the other side, and release the link."""
        if self.closed is None:
            self.quic.close(code, reason=reason)
            self.link.run_until(lambda: self.closed is not None, 0.0)
        self.link.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- waiting ---

    @property
    def deadline(self) -> float:
        """Seconds that an expected event is waited for: the option, or 20 round trips if longer."""
        return max(self.options.deadline, 20 * self.rtt)

    def wait(self, done: Callable[[], bool], timeout: float | None = None) -> bool:
        """Pump the link until ``done()`` or the connection is closed; True if ``done()`` holds."""
        limit = self.deadline if timeout is None else timeout
        self.link.run_until(lambda: done() or self.closed is not None, limit)
        return done()

    def fence(
        self, session: Session | None = None, *, stream: Stream | None = None, echo: bool = True
    ) -> Fence:
        """Wait until a reaction to what was sent before would have been seen; see ``fences.fence``."""
        return fence(self, session, stream=stream, echo=echo)

    # --- requests and streams ---

    def connect_request_fields(
        self,
        path: str | None = None,
        *,
        replace: Mapping[bytes, bytes | None] | None = None,
        extra: Sequence[Field] = (),
    ) -> list[Field]:
        """Return the correct session request of this draft, with single fields replaced or left out."""
        fields: list[Field] = [
            (b":method", b"CONNECT"),
            (b":protocol", self.facts.protocol),
            (b":scheme", b"https"),
            (b":authority", self.authority.encode()),
            (b":path", (path if path is not None else self.path).encode()),
        ]
        if self.options.origin is not None:
            fields.append((b"origin", self.options.origin.encode()))
        fields.append((b"user-agent", self.options.user_agent.encode()))
        fields += [*self.facts.request_marks, *self.options.request_fields]
        changes = replace or {}
        kept = [
            (name, replacement)
            for name, value in fields
            if (replacement := changes.get(name, value)) is not None
        ]
        known = {name for name, _ in fields}
        kept += [(name, value) for name, value in changes.items() if name not in known and value is not None]
        return [*kept, *extra]

    def send_request(
        self,
        fields: Sequence[Field],
        *,
        end_stream: bool = False,
        encoder: str | FieldEncoder | None = None,
        session: bool = False,
    ) -> RequestStream:
        """Send HEADERS on a new client bidirectional stream, without any check.

        ``encoder`` is a name in ``qpack.ENCODERS`` or a function; ``session`` makes the result a Session.
        """
        encode = encoder if callable(encoder) else ENCODERS[encoder or self.options.encoder]
        stream_id = self.quic.next_stream_id(unidirectional=False)
        stream = Session(self, stream_id) if session else RequestStream(self, stream_id)
        self.streams[stream_id] = stream
        if isinstance(stream, Session):
            self.sessions[stream_id] = stream
        stream.send(headers_frame(encode(fields)), end_stream=end_stream)
        return stream

    def request_session(
        self, fields: Sequence[Field], *, encoder: str | FieldEncoder | None = None, then: bytes = b""
    ) -> Session:
        """Send a session request and, in the same flight, ``then`` on its stream; wait for nothing."""
        stream = self.send_request(fields, encoder=encoder, session=True)
        assert isinstance(stream, Session)
        if then:
            stream.send(then)
        return stream

    def establish(
        self,
        path: str | None = None,
        *,
        fields: Sequence[Field] | None = None,
        extra: Sequence[Field] = (),
        wait: bool = True,
    ) -> Session:
        """Establish a session; with ``wait`` the 2xx response has arrived, else SessionRefused."""
        request = list(fields) if fields is not None else self.connect_request_fields(path, extra=extra)
        session = self.request_session(request)
        if wait and not self.wait(lambda: session.answered or session.stop_event is not None):
            if self.closed is not None:
                raise SessionRefused(
                    f"connection closed with {self.closed.error_code:#x} {self.closed.reason}",
                    code=self.closed.error_code,
                )
            raise SessionRefused(f"no response within {self.deadline:g} s")
        if wait and not session.established:
            event = session.reset_event or session.stop_event
            raise SessionRefused(
                f"status {session.status}, code {event.error_code:#x}"
                if event
                else f"status {session.status}",
                status=session.status,
                code=event.error_code if event else None,
            )
        return session

    def open_uni(self, data: bytes = b"", *, end_stream: bool = False) -> Stream:
        """Open a unidirectional stream with raw bytes from byte 0 on."""
        return self._open(data, end_stream, unidirectional=True)

    def open_bidi(self, data: bytes = b"", *, end_stream: bool = False) -> Stream:
        """Open a bidirectional stream with raw bytes from byte 0 on."""
        return self._open(data, end_stream, unidirectional=False)

    def _open(self, data: bytes, end_stream: bool, *, unidirectional: bool) -> Stream:
        stream_id = self.quic.next_stream_id(unidirectional=unidirectional)
        stream = self.streams[stream_id] = Stream(self, stream_id)
        if data or end_stream:
            stream.send(data, end_stream=end_stream)
        return stream

    def send_stream(self, stream_id: int, data: bytes, *, end_stream: bool = False) -> None:
        """Queue bytes on any stream."""
        self.quic.send_stream(stream_id, data, end_stream=end_stream)

    def send_datagram_raw(self, data: bytes) -> None:
        """Send a QUIC DATAGRAM frame with this payload."""
        self.quic.send_datagram(data)

    # --- events ---

    def _transport_event(self, event: WireEvent) -> None:
        self.events.append(event)
        if not event.sent:
            match event:
                case StreamData():
                    self._stream(event.stream_id).take(event)
                case StreamReset():
                    stream = self._stream(event.stream_id)
                    stream.reset_event = stream.reset_event or event
                case StopSending():
                    stream = self._stream(event.stream_id)
                    stream.stop_event = stream.stop_event or event
        if isinstance(event, StreamData | StreamReset | DatagramFrame):
            self._observer.observe(event)

    def _stream(self, stream_id: int) -> Stream:
        stream = self.streams.get(stream_id)
        if stream is None:
            stream = self.streams[stream_id] = Stream(self, stream_id)
        return stream

    def _decoded(self, event: WireEvent) -> None:
        self.events.append(event)
        if event.sent:
            return
        match event:
            case Settings():
                if self.settings_entries is None:
                    self.settings_entries = event.entries
            case Goaway():
                self.goaways.append(event)
            case FieldSection() | H3Frame() | Capsule():
                self._request_event(event)
            case WtStream():
                stream = self._stream(event.stream_id)
                stream.wt_header = event
                session = self.sessions.get(event.session_id)
                if session is not None:
                    session.incoming.append(stream)
            case WtDatagram() if len(self.datagrams) < MAX_ITEMS:
                self.datagrams.append(event)
                session = self.sessions.get(4 * event.quarter_stream_id)
                if session is not None:
                    session.datagrams.append(event.payload)

    def _request_event(self, event: FieldSection | H3Frame | Capsule) -> None:
        stream = self.streams.get(event.stream_id)
        if not isinstance(stream, RequestStream):
            return
        match event:
            case FieldSection():
                stream.sections.append(event)
            case H3Frame() if len(stream.frames) < MAX_ITEMS:
                stream.frames.append(event)
            case Capsule() if isinstance(stream, Session) and len(stream.capsules) < MAX_ITEMS:
                stream.capsules.append(event)
