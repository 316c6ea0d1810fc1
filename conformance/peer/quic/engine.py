"""aioquic's QuicConnection, extended where a malleable peer has to see or do more.

The private attributes of aioquic that are used here, and in the other modules of this package, are
listed in ``compat.py`` and checked when the package is imported.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, cast

from aioquic import tls
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import (
    EPOCHS,
    QuicConnection,
    QuicConnectionError,
    QuicNetworkPath,
    QuicReceiveContext,
)
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicErrorCode, QuicHeader, QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import FinalSizeError, QuicStream
from aioquic.tls import Epoch

from conformance.peer import events as wire
from conformance.peer.quic import compat, frames, transport_parameters
from conformance.peer.quic.compat import Buffer
from conformance.peer.quic.exporter import Exporter
from conformance.peer.quic.injection import InjectionQueue
from conformance.peer.quic.options import FrameFilter, QuicOptions
from conformance.peer.quic.protection import TappedPair
from conformance.peer.quic.streams import (
    RESET_STREAM_AT,
    ReliableReceiver,
    ReliableSender,
    StreamTable,
    UnopenedStreams,
)

compat.check()

CloseInitiator = Literal["peer", "local", "case", "idle", "stateless_reset"]
PACKET_TYPES = {
    Epoch.INITIAL: "initial",
    Epoch.ZERO_RTT: "0rtt",
    Epoch.HANDSHAKE: "handshake",
    Epoch.ONE_RTT: "1rtt",
}
AEAD_TAG_SIZE = 16
# Room for type and four variable-length integers.
RESET_STREAM_AT_CAPACITY = 1 + 4 * 8
# The first is offered in the ClientHello; P-384 and X448 keys would only cost time.
KEY_EXCHANGE_GROUPS = (tls.Group.X25519, tls.Group.SECP256R1)
CIPHER_SUITES = (
    tls.CipherSuite.AES_128_GCM_SHA256,
    tls.CipherSuite.AES_256_GCM_SHA384,
    tls.CipherSuite.CHACHA20_POLY1305_SHA256,
)


class Engine(QuicConnection):
    """One connection of aioquic with RESET_STREAM_AT, raw frames, and events for everything on the wire.

    Wire events of packets, frames and transport parameters are put into the same queue as aioquic's
    own events, so that ``next_event`` returns all of them in the order in which they happened.
    """

    def __init__(
        self,
        options: QuicOptions,
        configuration: QuicConfiguration,
        *,
        original_destination_connection_id: bytes | None = None,
        retry_source_connection_id: bytes | None = None,
        session_ticket_fetcher: tls.SessionTicketFetcher | None = None,
        session_ticket_handler: tls.SessionTicketHandler | None = None,
    ) -> None:
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=original_destination_connection_id,
            retry_source_connection_id=retry_source_connection_id,
            session_ticket_fetcher=session_ticket_fetcher,
            session_ticket_handler=session_ticket_handler,
        )
        self.options = options
        self.now = 0.0
        self.closed_by: CloseInitiator = "local"
        self.frame_filter: FrameFilter | None = None
        self.exporter: Exporter | None = None
        self.peer_transport_parameters: dict[int, bytes] = {}
        self.injections = {epoch: InjectionQueue() for epoch in Epoch}
        self._late_events: deque[events.QuicEvent] = deque()
        self._opened_packet = (0, 0)
        self._skipped = UnopenedStreams()
        self._streams = StreamTable(self._late_events)
        for limit, value in (
            (self._local_max_streams_bidi, options.max_streams_bidi),
            (self._local_max_streams_uni, options.max_streams_uni),
        ):
            limit.value = limit.sent = value
        if options.reset_stream_at:
            handlers = getattr(self, compat.FRAME_HANDLERS)
            handlers[RESET_STREAM_AT] = (self._handle_reset_stream_at_frame, EPOCHS("01"))

    def emit(self, event: wire.WireEvent) -> None:
        """Queue a wire event behind everything that happened so far."""
        self._events.append(cast(events.QuicEvent, event))

    # --- start-up, keys and transport parameters ---

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        self.tls._supported_groups = list(KEY_EXCHANGE_GROUPS)
        self.tls._cipher_suites = list(CIPHER_SUITES)
        self.tls._request_client_certificate = self.options.request_client_certificate
        self._cryptos_initial = {
            version: TappedPair(pair, Epoch.INITIAL, self) for version, pair in self._cryptos_initial.items()
        }
        tapped: dict[Epoch, CryptoPair] = {
            epoch: TappedPair(pair, epoch, self) for epoch, pair in self._cryptos.items()
        }
        assert self._version is not None
        tapped[Epoch.INITIAL] = self._cryptos_initial[self._version]
        self._cryptos = tapped

    def _update_traffic_key(
        self, direction: tls.Direction, epoch: Epoch, cipher_suite: tls.CipherSuite, secret: bytes
    ) -> None:
        super()._update_traffic_key(direction, epoch, cipher_suite, secret)
        # The server's application secret is made right after its Finished entered the transcript:
        # then, and only then, the key schedule can derive "exp master" (RFC 8446 §7.1).
        server_secret = tls.Direction.DECRYPT if self._is_client else tls.Direction.ENCRYPT
        if epoch is Epoch.ONE_RTT and direction is server_secret:
            schedule = self.tls.key_schedule
            assert schedule is not None
            self.exporter = Exporter(schedule.algorithm, schedule.derive_secret(b"exp master"))

    def _serialize_transport_parameters(self) -> bytes:
        extra = dict.fromkeys(self.options.reset_stream_at, b"")
        extra.update(self.options.extra_transport_parameters)
        data = transport_parameters.amend(
            super()._serialize_transport_parameters(),
            extra=extra,
            omitted=self.options.omitted_transport_parameters,
        )
        self.emit(
            wire.TransportParameters(
                time=self.now, sent=True, parameters=dict(transport_parameters.parse(data))
            )
        )
        return data

    def _parse_transport_parameters(self, data: bytes, from_session_ticket: bool = False) -> None:
        try:
            parameters = dict(transport_parameters.parse(data))
        except transport_parameters.MalformedParameters:
            parameters = {}  # The base class closes the connection.
        self.peer_transport_parameters = parameters
        if not from_session_ticket:
            self.emit(wire.TransportParameters(time=self.now, sent=False, parameters=parameters))
        super()._parse_transport_parameters(data, from_session_ticket)

    # --- packets and frames as events (protection.Tap) ---

    def plain_outgoing(self, epoch: Epoch, header: bytes, payload: bytes) -> bytes | None:
        """Let the frame filter replace the payload of a 1-RTT packet; None loses the packet.

        Raises ValueError where its result does not fit into a packet.
        """
        if self.frame_filter is None or epoch is not Epoch.ONE_RTT:
            return payload
        result = self.frame_filter(payload)
        if result is None:
            return None
        if len(header) + len(result) + AEAD_TAG_SIZE > self._max_datagram_size:
            raise ValueError("the frame filter returned more than fits into a packet")
        # Header protection samples 16 bytes from 4 bytes behind the packet number's start (RFC 9001 §5.4.2).
        return result.ljust(4, b"\x00")

    def packet_sent(self, epoch: Epoch, packet_number: int, payload: bytes, size: int) -> None:
        """Report a packet that was built."""
        if self.options.frame_events:
            self._emit_packet(epoch, packet_number, payload, size, sent=True)

    def packet_opened(self, epoch: Epoch, packet_number: int, size: int) -> None:
        """Keep what _payload_received needs, which is not called for duplicates."""
        self._opened_packet = (packet_number, size)

    def _payload_received(
        self, context: QuicReceiveContext, plain: bytes, crypto_frame_required: bool = False
    ) -> tuple[bool, bool]:
        if self.options.frame_events:
            packet_number, size = self._opened_packet
            self._emit_packet(context.epoch, packet_number, plain, size, sent=False)
        return super()._payload_received(context, plain, crypto_frame_required)

    def _emit_packet(
        self, epoch: Epoch, packet_number: int, payload: bytes, size: int, *, sent: bool
    ) -> None:
        kind = PACKET_TYPES[epoch]
        self.emit(
            wire.QuicPacket(
                time=self.now, sent=sent, packet_type=kind, packet_number=packet_number, size=size
            )
        )
        for frame in frames.parse_frames(payload):
            self.emit(
                wire.QuicFrame(
                    time=self.now,
                    sent=sent,
                    frame_type=frame.frame_type,
                    frame_name=frame.name,
                    packet_type=kind,
                    packet_number=packet_number,
                    details=frame.details,
                )
            )

    def _emit_unprotected(self, packet_type: str, header: QuicHeader) -> None:
        self.emit(
            wire.QuicPacket(
                time=self.now,
                sent=False,
                packet_type=packet_type,
                packet_number=None,
                size=header.packet_length,
            )
        )

    def _receive_retry_packet(self, header: QuicHeader, packet_without_tag: bytes, now: float) -> None:
        self._emit_unprotected("retry", header)
        super()._receive_retry_packet(header, packet_without_tag, now)

    def _receive_version_negotiation_packet(self, header: QuicHeader, now: float) -> None:
        self._emit_unprotected("version_negotiation", header)
        super()._receive_version_negotiation_packet(header, now)

    # --- streams ---

    def _stream_is_discarded(self, stream_id: int) -> bool:
        return stream_id not in self._skipped and super()._stream_is_discarded(stream_id)

    def _get_or_create_stream_for_send(self, stream_id: int) -> QuicStream:
        """Open an own stream in any order: the lower-numbered ones are open too, and usable later."""
        if stream_id in self._streams:
            return super()._get_or_create_stream_for_send(stream_id)
        next_bidi, next_uni = self._local_next_stream_id_bidi, self._local_next_stream_id_uni
        stream = super()._get_or_create_stream_for_send(stream_id)
        self._skipped.discard(stream_id)
        first_unopened = next_uni if stream_id & 2 else next_bidi
        self._skipped.add(first_unopened, stream_id)
        self._local_next_stream_id_bidi = max(next_bidi, self._local_next_stream_id_bidi)
        self._local_next_stream_id_uni = max(next_uni, self._local_next_stream_id_uni)
        for blocked in (self._streams_blocked_bidi, self._streams_blocked_uni):
            blocked.sort(key=lambda item: item.stream_id or 0)
        return stream

    def _get_or_create_stream(self, frame_type: int, stream_id: int) -> QuicStream:
        if stream_id in self._skipped:
            return self._get_or_create_stream_for_send(stream_id)
        return super()._get_or_create_stream(frame_type, stream_id)

    def _handle_stream_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        super()._handle_stream_frame(context, frame_type, buf)
        while self._late_events:
            self._events.append(self._late_events.popleft())

    def _handle_stop_sending_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        """Let aioquic answer with RESET_STREAM (RFC 9000 §3.5), and report that."""
        start = buf.tell()
        stream_id = buf.pull_uint_var()
        buf.seek(start)
        known = self._streams.get(stream_id)
        reset_before = known is not None and cast(ReliableSender, known.sender).reset_code is not None
        super()._handle_stop_sending_frame(context, frame_type, buf)
        stream = self._streams[stream_id]
        sender = cast(ReliableSender, stream.sender)
        sender.stopped = True
        if sender.reset_code is not None and not reset_before:
            self.emit(
                wire.StreamReset(
                    time=self.now,
                    sent=True,
                    stream_id=stream_id,
                    error_code=sender.reset_code,
                    final_size=sender.highest_offset,
                    reliable_size=None,
                )
            )

    def _handle_reset_stream_at_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        """Handle RESET_STREAM_AT (draft-ietf-quic-reliable-stream-reset-10 §4)."""
        stream_id = buf.pull_uint_var()
        error_code = buf.pull_uint_var()
        final_size = buf.pull_uint_var()
        reliable_size = buf.pull_uint_var()
        if reliable_size > final_size:
            raise QuicConnectionError(
                QuicErrorCode.FRAME_ENCODING_ERROR, frame_type, "Reliable Size exceeds Final Size"
            )
        self._assert_stream_can_receive(frame_type, stream_id)
        stream = self._get_or_create_stream(frame_type, stream_id)
        newly_received = max(0, final_size - stream.receiver.highest_offset)
        if (
            final_size > stream.max_stream_data_local
            or self._local_max_data.used + newly_received > self._local_max_data.value
        ):
            raise QuicConnectionError(
                QuicErrorCode.FLOW_CONTROL_ERROR, frame_type, "Over stream or connection data limit"
            )
        receiver = cast(ReliableReceiver, stream.receiver)
        try:
            event = receiver.handle_reset_at(
                error_code=error_code, final_size=final_size, reliable_size=reliable_size
            )
        except FinalSizeError as error:
            raise QuicConnectionError(QuicErrorCode.FINAL_SIZE_ERROR, frame_type, str(error)) from error
        if event is not None:
            self._events.append(event)
        self._local_max_data.used += newly_received

    def _write_reset_stream_frame(self, builder: QuicPacketBuilder, stream: QuicStream) -> None:
        sender = cast(ReliableSender, stream.sender)
        if not sender.reset_by_frame_at:
            super()._write_reset_stream_frame(builder, stream)
            return
        buffer = builder.start_frame(
            RESET_STREAM_AT,
            capacity=RESET_STREAM_AT_CAPACITY,
            handler=sender.on_reset_at_delivery,
            handler_args=(sender.reliable_size,),
        )
        buffer.push_uint_var(stream.stream_id or 0)
        for value in sender.get_reset_at_frame():
            buffer.push_uint_var(value)

    def has_unsent_stream_data(self) -> bool:
        """Tell whether a stream has data, an end or a reset that was not sent, or has to be sent again."""
        return any(cast(ReliableSender, stream.sender).has_unsent for stream in self._streams.values())

    def all_acknowledged(self) -> bool:
        """Tell whether nothing ack-eliciting of the application waits to be sent or acknowledged."""
        if Epoch.ONE_RTT not in self._spaces:
            return False
        return not (
            self._spaces[Epoch.ONE_RTT].ack_eliciting_in_flight
            or self._datagrams_pending
            or self._ping_pending
            or any(len(queue) for queue in self.injections.values())
            or any(stream.receiver.stop_pending for stream in self._streams.values())
            or self.has_unsent_stream_data()
        )

    # --- sending ---

    def _write_application(
        self, builder: QuicPacketBuilder, network_path: QuicNetworkPath, now: float
    ) -> None:
        self._write_injections(builder, first=True)
        super()._write_application(builder, network_path, now)
        if not self.has_unsent_stream_data():
            self._write_injections(builder, first=False)

    def _write_handshake(self, builder: QuicPacketBuilder, epoch: Epoch, now: float) -> None:
        super()._write_handshake(builder, epoch, now)
        packet_type = QuicPacketType.INITIAL if epoch is Epoch.INITIAL else QuicPacketType.HANDSHAKE
        self._write_epoch(builder, epoch, packet_type, first=False)

    def _write_injections(self, builder: QuicPacketBuilder, *, first: bool) -> None:
        self._write_epoch(builder, Epoch.ZERO_RTT, QuicPacketType.ZERO_RTT, first=first)
        self._write_epoch(builder, Epoch.ONE_RTT, QuicPacketType.ONE_RTT, first=first)

    def _write_epoch(
        self, builder: QuicPacketBuilder, epoch: Epoch, packet_type: QuicPacketType, *, first: bool
    ) -> None:
        queue, crypto = self.injections[epoch], self._cryptos[epoch]
        while queue.next(first=first) is not None and crypto.send.is_valid():
            builder.start_packet(packet_type, crypto)
            if not queue.write(builder):
                break

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        if self.options.raise_limits:
            super()._write_connection_limits(builder, space)

    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        if self.options.raise_limits:
            super()._write_stream_limits(builder, space, stream)

    # --- the end of the connection ---

    def close_as(self, by: CloseInitiator, error_code: int, frame_type: int | None, reason: str) -> None:
        """Close on behalf of ``by``; without effect on a connection that is closed already."""
        if self._close_event is None:
            self.closed_by = by
            self.close(error_code, frame_type, reason)

    def _handle_connection_close_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        if self._close_event is None:
            self.closed_by = "peer"
        super()._handle_connection_close_frame(context, frame_type, buf)

    def handle_timer(self, now: float) -> None:
        """Handle the timer; closing because of it is the idle timeout, unless closed before."""
        if self._close_event is None and self._close_at is not None and now >= self._close_at:
            self.closed_by = "idle"
        super().handle_timer(now)

    def is_stateless_reset(self, data: bytes) -> bool:
        """Tell whether a datagram ends with a reset token of the peer (RFC 9000 §10.3.1)."""
        if len(data) < 21 or data[0] & 0xC0 != 0x40:
            return False
        token = data[-16:]
        known = [self._peer_cid, *self._peer_cid_available]
        return any(token == item.stateless_reset_token for item in known if item.stateless_reset_token)

    def abandon(self, by: CloseInitiator, reason: str) -> None:
        """End without sending anything: the peer has lost the connection's state (RFC 9000 §10.3)."""
        if self._close_event is None:
            self.closed_by = by
            self._close_event = events.ConnectionTerminated(QuicErrorCode.NO_ERROR, 0, reason)
            self._close_begin(is_initiator=False, now=self.now)
