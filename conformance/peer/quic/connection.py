"""One QUIC connection of the malleable peer, client or server side, sans-I/O.

The peer reports everything as wire events to its handler, in the order in which it happened. What the
case asks to send is reported too (``sent=True``) when it is queued; packets and frames when they are
built. Nothing that the other side sends makes ``receive`` raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from aioquic.quic.connection import QuicConnectionState
from aioquic.quic.events import ConnectionIdIssued, ConnectionIdRetired
from aioquic.quic.packet import QuicErrorCode
from cryptography.hazmat.primitives import hashes

from conformance.peer import events as wire
from conformance.peer.quic import frames
from conformance.peer.quic.configuration import configuration_of
from conformance.peer.quic.engine import Engine
from conformance.peer.quic.injection import PACKET_OVERHEAD, Injection
from conformance.peer.quic.options import (
    Address,
    ConnectionContext,
    Epoch,
    FrameFilter,
    PacketFilter,
    QuicOptions,
    SessionTicket,
    StreamNotWritable,
)
from conformance.peer.quic.streams import ReliableSender
from conformance.peer.quic.translation import wire_event

# A reason phrase has to fit into the packet of its CONNECTION_CLOSE; before the handshake is
# complete up to three packets with it share a datagram.
MAX_REASON = 900
MAX_EARLY_REASON = 100
MAX_SESSION_TICKETS = 16


class QuicPeer:
    """One QUIC connection. Methods that send only queue: the link's pump sends.

    ``handler`` gets every wire event; it may call any method of the peer. ``packet_filter`` and
    ``frame_filter`` alter what is sent, see ``options.py``.
    """

    def __init__(
        self, options: QuicOptions, handler: wire.EventHandler, *, context: ConnectionContext | None = None
    ) -> None:
        self.options = options
        self.handler = handler
        self.closed: wire.ConnectionClosed | None = None
        self.session_tickets: list[SessionTicket] = []
        self.packet_filter: PacketFilter | None = None
        # Set by a host that serves many connections: called when this one has something to do.
        self.wake: Callable[[QuicPeer], None] | None = None
        # Connection ids issued (True) and retired (False), for that host's demultiplexing.
        self.connection_id_changes: list[tuple[bytes, bool]] = []
        self._dispatching = False
        self._dirty = False
        self._started = not options.is_client
        self._close_flight: list[tuple[bytes, Address]] = []
        self._received_while_closing = 0
        if context is None:
            context = ConnectionContext(session_ticket_handler=self._keep_ticket)
        self._engine = Engine(options, configuration_of(options), context)

    # --- state ---

    @property
    def handshake_complete(self) -> bool:
        """Tell whether the TLS handshake is complete (RFC 9001 §4.1.1)."""
        return self._engine._handshake_complete

    @property
    def terminated(self) -> bool:
        """Tell whether the closing or draining period is over too: nothing will happen any more."""
        return self._engine._state is QuicConnectionState.TERMINATED

    @property
    def alpn(self) -> str | None:
        """The negotiated application protocol."""
        return self._engine.tls.alpn_negotiated if self._has_tls else None

    @property
    def early_data_accepted(self) -> bool:
        """Tell whether the server accepted 0-RTT."""
        return self._has_tls and self._engine.tls.early_data_accepted

    @property
    def rtt(self) -> float:
        """Smoothed round-trip time in seconds; 0.0 while unknown."""
        return self._engine._loss._rtt_smoothed

    @property
    def peer_transport_parameters(self) -> Mapping[int, bytes]:
        """The other side's transport parameters as received, unknown ones included."""
        return self._engine.peer_transport_parameters

    @property
    def peer_certificate_sha256(self) -> bytes | None:
        """SHA-256 of the other side's certificate (DER); None without one."""
        certificate = self._engine.tls._peer_certificate if self._has_tls else None
        return certificate.fingerprint(hashes.SHA256()) if certificate is not None else None

    @property
    def host_connection_id(self) -> bytes:
        """The first connection id that this side chose."""
        return self._engine.host_cid

    @property
    def max_datagram_payload(self) -> int:
        """The largest payload that send_datagram takes, in bytes."""
        return self.options.max_datagram_size - PACKET_OVERHEAD - 3

    @property
    def frame_filter(self) -> FrameFilter | None:
        """Hook on the plain payload of outgoing 1-RTT packets."""
        return self._engine.frame_filter

    @frame_filter.setter
    def frame_filter(self, value: FrameFilter | None) -> None:
        self._engine.frame_filter = value

    @property
    def _has_tls(self) -> bool:
        return hasattr(self._engine, "tls")

    # --- the link's side ---

    def connect(self, address: Address, now: float) -> None:
        """Start the handshake (clients only)."""
        self._engine.now = now
        self._started = True
        self._engine.connect(address, now)
        self._after()

    def receive(self, data: bytes, address: Address, now: float) -> None:
        """Take a UDP payload. What a fault inside aioquic raises becomes a local close."""
        engine = self._engine
        engine.now = now
        if self.options.capture is not None:
            self.options.capture(now, False, data, address)
        if not self._started or self.terminated:
            return
        if self._close_flight:
            self._answer_while_closing()
            return
        if engine.is_stateless_reset(data):
            engine.abandon("stateless_reset", "stateless reset received")
        else:
            try:
                engine.receive_datagram(data, address, now)
            except Exception as error:
                reason = f"{type(error).__name__} in the QUIC engine: {error}"
                engine.close_as("local", QuicErrorCode.INTERNAL_ERROR, 0, reason[:MAX_EARLY_REASON])
        self._after()

    def pending(self, now: float) -> list[tuple[bytes, Address]]:
        """Return the UDP payloads to send now, with their destinations."""
        engine = self._engine
        engine.now = now
        datagrams: list[tuple[bytes, Address]] = []
        # The handler may queue more when it is told of what was sent.
        while self._dirty and engine._network_paths:
            self._dirty = False
            datagrams += self._build(now)
            self._dispatch()
        if self.packet_filter is not None:
            datagrams = [
                (changed, address)
                for data, address in datagrams
                for changed in self.packet_filter(data, address)
            ]
        if self.options.capture is not None:
            for data, address in datagrams:
                self.options.capture(now, True, data, address)
        return datagrams

    def _build(self, now: float) -> list[tuple[bytes, Address]]:
        engine = self._engine
        if engine._state in (QuicConnectionState.CLOSING, QuicConnectionState.DRAINING):
            return self._close_flight
        closing = engine._close_pending
        datagrams = engine.datagrams_to_send(now)
        if closing:
            self._close_flight = datagrams
        return datagrams

    def timer(self) -> float | None:
        """Return when handle_timer has to be called, on the link's clock; None for never."""
        if self._engine._close_at is None:
            return None
        return self._engine.get_timer()

    def handle_timer(self, now: float) -> None:
        """Do what is due: loss recovery, acknowledgements, idle timeout, end of the closing period."""
        if self._engine._close_at is not None:
            self._engine.now = now
            self._engine.handle_timer(now)
            self._after()

    # --- streams and datagrams ---

    def next_stream_id(self, *, unidirectional: bool) -> int:
        """Return the next unused own stream id and open that stream."""
        stream_id = self._engine.get_next_available_stream_id(is_unidirectional=unidirectional)
        self._engine._get_or_create_stream_for_send(stream_id)
        return stream_id

    def stream_credit(self, *, unidirectional: bool) -> int:
        """Return how many more own streams of this kind the other side allows now (RFC 9000 §4.6)."""
        return self._engine.stream_credit(unidirectional=unidirectional)

    def blocked_streams(self) -> frozenset[int]:
        """Return the own streams that were opened and wait for the other side to allow them."""
        return self._engine.blocked_streams()

    def answer_stops_with(self, answer: Callable[[int, int], int]) -> None:
        """Let ``answer(stream_id, code)`` choose the code of the RESET_STREAM that answers STOP_SENDING.

        Without it the code is copied, as RFC 9000 §3.5 recommends.
        """
        self._engine.stop_answer = answer

    def send_stream(self, stream_id: int, data: bytes, *, end_stream: bool = False) -> None:
        """Queue stream data; an own stream is opened by it, in any order of stream ids.

        Raises StreamNotWritable after this side's own FIN or reset, or where the stream has no send
        part. After STOP_SENDING or the end of the connection the data is dropped silently: nobody is
        left to take it.
        """
        sender = self._sender(stream_id)
        if sender is None:
            return
        try:
            sender.write(data, end_stream)
        except RuntimeError as error:
            raise StreamNotWritable(f"stream {stream_id}: {error}") from error
        self._report(
            wire.StreamData(
                time=self._engine.now, sent=True, stream_id=stream_id, data=data, end_stream=end_stream
            )
        )

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        """Send RESET_STREAM; without effect on a stream that is reset like that or finished.

        After RESET_STREAM_AT the error code of that one stays: it must not change.
        """
        sender = self._sender(stream_id)
        if sender is None or sender.is_finished or sender.reset_code is not None:
            return
        sender.reset(error_code)
        self._report(
            wire.StreamReset(
                time=self._engine.now,
                sent=True,
                stream_id=stream_id,
                error_code=error_code if sender.reliable_size is None else sender.reset_at_code,
                final_size=sender.highest_offset,
                reliable_size=None,
            )
        )

    def reset_stream_at(self, stream_id: int, error_code: int, reliable_size: int) -> None:
        """Send RESET_STREAM_AT, whether or not the other side announced to understand it.

        The first ``reliable_size`` bytes are delivered. A second call may only lower it. Raises
        StreamNotWritable where more is promised than was written, or than before.
        """
        sender = self._sender(stream_id)
        if sender is None or sender.is_finished or sender.reset_code is not None:
            return
        try:
            sender.reset_at(error_code, reliable_size)
        except ValueError as error:
            raise StreamNotWritable(f"stream {stream_id}: {error}") from error
        self._report(
            wire.StreamReset(
                time=self._engine.now,
                sent=True,
                stream_id=stream_id,
                error_code=error_code,
                final_size=max(sender.highest_offset, reliable_size),
                reliable_size=reliable_size,
            )
        )

    def stop_sending(self, stream_id: int, error_code: int) -> None:
        """Send STOP_SENDING; without effect on a stream that is gone.

        Raises StreamNotWritable for a stream without receive part, or one of the other side that it
        has not opened (inject the frame for that).
        """
        engine = self._engine
        if not engine._stream_can_receive(stream_id):
            raise StreamNotWritable(f"stream {stream_id} has no receive part")
        if self.closed is not None or engine._stream_is_discarded(stream_id):
            return
        if stream_id not in engine._streams and stream_id % 2 != engine._is_client:
            engine._get_or_create_stream_for_send(stream_id)
        try:
            engine.stop_stream(stream_id, error_code)
        except ValueError as error:
            raise StreamNotWritable(f"stream {stream_id}: {error}") from error
        self._report(wire.StopSending(time=engine.now, sent=True, stream_id=stream_id, error_code=error_code))

    def send_datagram(self, data: bytes) -> None:
        """Queue a DATAGRAM frame (RFC 9221), whatever the other side announced.

        Raises ValueError above max_datagram_payload bytes.
        """
        if len(data) > self.max_datagram_payload:
            raise ValueError(f"a datagram holds at most {self.max_datagram_payload} bytes")
        if self.closed is None:
            self._engine.send_datagram_frame(data)
            self._report(wire.DatagramFrame(time=self._engine.now, sent=True, data=data))

    def send_ping(self) -> None:
        """Queue a PING frame."""
        if self.closed is None:
            self._engine.send_ping(0)
            self._touch()

    # --- injection ---

    def inject_frames(
        self, payload: bytes, *, epoch: Epoch = Epoch.ONE_RTT, packet_padding: int = 0
    ) -> Injection:
        """Send raw bytes as the frames of a packet of their own, again on loss.

        ``packet_padding`` PADDING bytes follow. Where nothing in the payload is ack-eliciting, a PING
        is appended, so that ``acked`` becomes True in the end. Stream data queued before goes first.
        Own streams that the payload names count as opened: what arrives on them is delivered.
        Raises ValueError for an empty payload or one that does not fit into a packet.
        """
        content = payload if frames.is_ack_eliciting(payload) else payload + frames.ping()
        content += bytes(packet_padding)
        if not payload or len(content) > self.options.max_datagram_size - PACKET_OVERHEAD:
            raise ValueError("an injected payload must not be empty and must fit into one packet")
        content = content.ljust(4, b"\x00")
        engine = self._engine
        injection = Injection(content, epoch, first=not engine.has_unsent_stream_data())
        if self.closed is None:
            for frame in frames.parse_frames(payload):
                engine.note_injected(frame)
            engine.injections[epoch].add(injection)
            self._touch()
        return injection

    def acked(self) -> bool:
        """Tell whether everything sent so far was acknowledged: streams, resets, injections.

        A DATAGRAM frame that was lost is not sent again and does not count any more.
        """
        return self._engine.all_acknowledged()

    # --- the end, and TLS ---

    def close(self, error_code: int, *, frame_type: int | None = None, reason: str = "") -> None:
        """Close: CONNECTION_CLOSE 0x1d, or 0x1c with the frame type where one is given.

        A reason that does not fit into the packet is cut.
        """
        limit = MAX_REASON if self.handshake_complete else MAX_EARLY_REASON
        text = reason.encode()[:limit].decode(errors="ignore")
        self._engine.close_as("case", error_code, frame_type, text)
        self._after()

    def exporter(self, label: str, context: bytes, length: int) -> bytes:
        """Return keying material of this connection (RFC 8446 §7.5).

        Raises RuntimeError before the server's Finished was processed.
        """
        if self._engine.exporter is None:
            raise RuntimeError("the exporter needs a TLS handshake that went as far as the server's Finished")
        return self._engine.exporter.export(label, context, length)

    def _keep_ticket(self, ticket: SessionTicket) -> None:
        if len(self.session_tickets) < MAX_SESSION_TICKETS:
            self.session_tickets.append(ticket)

    # --- events ---

    def _sender(self, stream_id: int) -> ReliableSender | None:
        """Return the send part; None where nobody is left to read from it."""
        engine = self._engine
        if not engine._stream_can_send(stream_id):
            raise StreamNotWritable(f"stream {stream_id} has no send part")
        if self.closed is not None or engine._stream_is_discarded(stream_id):
            return None
        try:
            stream = engine._get_or_create_stream_for_send(stream_id)
        except ValueError as error:
            raise StreamNotWritable(f"stream {stream_id}: {error}") from error
        sender = cast(ReliableSender, stream.sender)
        return None if sender.stopped else sender

    def _report(self, event: wire.WireEvent) -> None:
        self._engine.emit(event)
        self._touch()
        self._dispatch()

    def _touch(self) -> None:
        self._dirty = True
        if self.wake is not None:
            self.wake(self)

    def _after(self) -> None:
        """Follow up a call into the engine: notice the end, hand out events, ask to be pumped."""
        engine, ended = self._engine, self._engine._close_event
        if ended is not None and self.closed is None:
            by = engine.closed_by
            self.closed = wire.ConnectionClosed(
                time=engine.now,
                sent=by in ("local", "case"),
                by=by,
                error_code=ended.error_code,
                frame_type=ended.frame_type,
                reason=ended.reason_phrase,
            )
            engine.emit(self.closed)
        self._touch()
        self._dispatch()

    def _answer_while_closing(self) -> None:
        """Repeat CONNECTION_CLOSE on the 1st, 2nd, 4th, 8th … packet (RFC 9000 §10.2.1)."""
        self._received_while_closing += 1
        if self._received_while_closing & (self._received_while_closing - 1) == 0:
            self._touch()

    def _dispatch(self) -> None:
        """Hand out all queued events; calls from inside the handler leave it to the outermost one."""
        if self._dispatching:
            return
        self._dispatching = True
        try:
            while (event := self._engine.next_event()) is not None:
                if isinstance(event, ConnectionIdIssued | ConnectionIdRetired):
                    if self.wake is not None:
                        issued = isinstance(event, ConnectionIdIssued)
                        self.connection_id_changes.append((event.connection_id, issued))
                elif (translated := wire_event(self._engine, event)) is not None:
                    self.handler(translated)
        finally:
            self._dispatching = False
