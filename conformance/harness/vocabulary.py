"""Words that many cases share: requests, echoes, observations of the application, facts of the wire."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from conformance.harness.target import Silence, Unsupported
from conformance.peer.client import Peer
from conformance.peer.datagrams import datagram
from conformance.peer.drafts import Draft
from conformance.peer.events import H3Frame, QuicFrame, StreamData, UniStreamType, WtDatagram
from conformance.peer.options import PeerOptions
from conformance.peer.qpack import Field
from conformance.peer.session import Session
from conformance.peer.streams import RequestStream, Stream
from conformance.peer.varint import read_varint
from reports.judgement.codes import ERRORS

if TYPE_CHECKING:
    from conformance.harness.target import Target

# A datagram that is lost is sent again so often before its echo counts as missing.
DATAGRAM_ATTEMPTS = 20
DATAGRAM_PAUSE = 0.1
# Seconds after which a transfer is given up though the target still sends.
TRANSFER_PATIENCE = 120.0

# Payloads of 0x21 and 4 bytes for frames whose content must not matter. A parser that skips the type alone
# reads on in OPAQUE with a reserved frame (0x21, 32 bytes), so that nothing but the type can be the reason
# for an error; in TRAP it meets SETTINGS or DATA wherever it reads on.
OPAQUE = b"\x20" + bytes(32)
TRAP = b"\x00\x04\x00\x04"


class Vocabulary:
    """Mixed into Run; kept apart because none of it judges."""

    target: Target
    draft: Draft
    peers: list[Peer]

    @property
    def peer(self) -> Peer:
        """The connection of this run."""
        raise NotImplementedError

    def options(self, **changes: Any) -> PeerOptions:
        """Return the options of a connection with changes."""
        raise NotImplementedError

    def endpoint(self, name: str, **query: object) -> str:
        """Return the path of an endpoint."""
        raise NotImplementedError

    # --- connections ---

    @property
    def control(self) -> Stream:
        """The control stream of this side."""
        if self.peer.control is None:
            raise ValueError("the options left out the control stream")
        return self.peer.control

    def attempt(self, options: PeerOptions) -> Peer:
        """Open a connection that the target may close at once: nothing is raised for it."""
        peer = Peer(self.target.opener, self.draft, options)
        self.peers.append(peer)
        peer.wait(lambda: peer.quic.handshake_complete, options.connect_deadline)
        if peer.quic.handshake_complete and peer.closed is None and options.start_h3:
            peer.start_h3()
            peer.wait(lambda: peer.peer_settings is not None)
        return peer

    def flush(self) -> None:
        """Send what is queued in packets of its own."""
        self.peer.link.run_until(lambda: True, 0.0)

    def need_stream_credit(self) -> None:
        """Demand that QUIC let every stream out that was opened; raises Unsupported.

        What depends on a stream that had to stay here says nothing about the target. Streams of frames made
        by hand do not count: those went out.
        """
        if self.peers and any(map(self.held_back, self.peer.streams.values())):
            raise Unsupported(
                "not negotiated", "it does not permit as many QUIC streams as the case opens (RFC 9000 §4.6)"
            )

    def held_back(self, stream: Stream) -> bool:
        """Tell whether a stream that was opened waits for the target's permission (RFC 9000 §4.6)."""
        return stream.id in self.peer.quic.blocked_streams()

    def need_connection(self) -> None:
        """Demand that the target kept the connection when the session ended; raises Unsupported."""
        closed = self.peer.closed
        if closed is not None and closed.by == "peer":
            raise Unsupported(
                "cooperation",
                f"it closed the whole connection when the session ended (0x{closed.error_code:x}), "
                "so nothing can follow on it",
            )

    def excuse_close(self) -> None:
        """Raise Unsupported where the target has closed the connection without an error.

        It may do so at any time (RFC 9114 §5.3), also between the end of a session and what follows it.
        """
        closed = self.peer.closed
        if closed is not None and closed.application and closed.error_code not in ERRORS:
            self.need_connection()

    # --- requests ---

    def request(
        self,
        path: str | None = None,
        *,
        replace: Mapping[bytes, bytes | None] | None = None,
        extra: tuple[Field, ...] = (),
        then: bytes = b"",
    ) -> Session:
        """Send a session request with single fields replaced (None: left out); wait for nothing."""
        fields = self.peer.connect_request_fields(path, replace=replace or {}, extra=extra)
        return self.peer.request_session(fields, then=then)

    def reserve(self) -> Session:
        """Take the next request stream for a session whose request is sent later, by ``send``."""
        stream_id = self.peer.quic.next_stream_id(unidirectional=False)
        session = Session(self.peer, stream_id)
        self.peer.streams[stream_id] = self.peer.sessions[stream_id] = session
        return session

    def reserve_uni(self) -> int:
        """Take the ID of the next unidirectional stream, for frames made by hand.

        Raises Unsupported where the target does not permit one.
        """
        if not self.peer.wait(lambda: self.peer.quic.stream_credit(unidirectional=True) > 0):
            raise Unsupported("not negotiated", "it permits no further unidirectional stream (RFC 9000 §4.6)")
        return self.peer.quic.next_stream_id(unidirectional=True)

    def get_fields(self, path: str = "/") -> list[Field]:
        """Return the fields of an ordinary request."""
        return [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", self.target.authority.encode()),
            (b":path", path.encode()),
        ]

    def get(self, path: str = "/", *, end_stream: bool = False) -> RequestStream:
        """Send an ordinary request."""
        return self.peer.send_request(self.get_fields(path), end_stream=end_stream)

    # --- echoes ---

    def transferred(self, done: Callable[[], bool], patience: float = TRANSFER_PATIENCE) -> bool:
        """Wait for the end of a transfer, as long as the target goes on sending anything; True at its end.

        What has to be sent again over a slow path takes its time, which is no fault of the target. Gives up
        after ``patience`` seconds even then.
        """
        peer, start = self.peer, self.peer.link.now()
        while not done() and peer.closed is None and peer.link.now() - start < patience:
            seen = peer.events.mark()
            if not peer.wait(lambda seen=seen: done() or peer.events.mark() > seen):  # type: ignore[misc]
                break
        return done()

    def bidi_echo(self, session: Session, body: bytes) -> bytes:
        """Send a body on a new stream; return the last bytes of the answer, as many as were sent."""
        stream = session.open_bidi(body, end_stream=True)
        self.transferred(lambda: stream.done)
        return tail(stream.received, body)

    def uni_echo(self, session: Session, body: bytes = b"") -> bytes:
        """Return the last bytes of the first finished stream of the target, as many as ``body`` has."""
        self.transferred(lambda: any(stream.done for stream in session.incoming_uni))
        stream = next((stream for stream in session.incoming_uni if stream.done), None)
        return tail(stream.body, body) if stream is not None else b""

    def datagram_echo(self, session: Session, payload: bytes, *, quarter_length: int | None = None) -> bytes:
        """Send a datagram until one that ends with its payload comes back; return its last bytes.

        Raises Silence where no datagram at all came although connection and session live.
        """
        for _ in range(DATAGRAM_ATTEMPTS):
            self.peer.send_datagram_raw(datagram(session.id, payload, quarter_length=quarter_length))
            if self.peer.wait(
                lambda: any(item.endswith(payload) for item in session.datagrams), DATAGRAM_PAUSE
            ):
                return payload
            if self.peer.closed is not None:
                break
        if not self.datagrams_received() and self.peer.closed is None and not session.done:
            raise Silence(f"0 of {DATAGRAM_ATTEMPTS} datagrams came back")
        return session.datagrams[-1] if session.datagrams else b""

    # --- what the target's application saw (endpoint observe of docs/endpoints.md) ---

    def observe_path(self, **query: object) -> str:
        """Return the path of an observed session with a fresh name."""
        self._observed_id = secrets.token_hex(8)
        return self.endpoint("observe", id=self._observed_id, **query)

    def observed(self, event: str) -> list[dict[str, Any]]:
        """Wait until the application saw an event of this kind; return all records of the kind."""
        # The reader has a socket of its own: what this connection still has to send must be out before.
        self.peer.wait(self.peer.quic.acked)
        reader = self._reader()
        session = reader.establish(self.endpoint("observe", read=self._observed_id))
        found: list[dict[str, Any]] = []

        def query() -> bool:
            nonlocal found
            stream = session.open_bidi(b"", end_stream=True)
            reader.wait(lambda: stream.done)
            lines = stream.received.decode("utf-8", "replace").splitlines()
            found = [record for line in lines if (record := _json_object(line)).get("event") == event]
            return bool(found)

        for _ in range(DATAGRAM_ATTEMPTS):
            if query() or reader.closed is not None:
                break
            reader.wait(lambda: False, DATAGRAM_PAUSE)
        return found

    def _reader(self) -> Peer:
        reader = Peer.connect(self.target.opener, draft=self.peer.draft, options=self.options())
        self.peers.insert(0, reader)
        return reader

    # --- facts of the wire ---

    def setting(self, identifier: int) -> int | None:
        """Return the value of a setting that the target sent, None where it is absent."""
        return (self.peer.peer_settings or {}).get(identifier)

    def transport_parameter(self, identifier: int) -> int:
        """Return the integer value of a transport parameter, 0 where it is absent (RFC 9000 §18.2)."""
        value = self.peer.quic.peer_transport_parameters.get(identifier, b"")
        number = read_varint(value)
        return number[0] if number is not None else 0

    def stream_data(self) -> list[StreamData]:
        """Return the stream data received."""
        return self.peer.events.of(StreamData, sent=False)

    def uni_streams(self) -> list[UniStreamType]:
        """Return the unidirectional streams of the target with their types."""
        return self.peer.events.of(UniStreamType, sent=False)

    def datagrams_received(self) -> list[WtDatagram]:
        """Return the HTTP datagrams received."""
        return self.peer.events.of(WtDatagram, sent=False)

    def count_frames(self, *frame_types: int) -> int:
        """Count the QUIC frames of these types received."""
        return sum(event.frame_type in frame_types for event in self.peer.events.of(QuicFrame, sent=False))

    def control_frames(self) -> list[H3Frame]:
        """Return the frames received on the target's control stream."""
        control = {item.stream_id for item in self.uni_streams() if item.stream_type == 0}
        return [event for event in self.peer.events.of(H3Frame, sent=False) if event.stream_id in control]

    def first_of(self, session: Session, kind: str) -> Stream | None:
        """Return the first stream (``uni`` or ``bidi``) that the target opened in the session."""
        streams = session.incoming_uni if kind == "uni" else session.incoming_bidi
        return streams[0] if streams else None


def tail(received: bytes, body: bytes) -> bytes:
    """Return the end of what was received: a constant prefix of an echo is tolerated."""
    return received[-len(body) :] if body else received


def _json_object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
