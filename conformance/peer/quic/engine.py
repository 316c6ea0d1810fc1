"""aioquic's QuicConnection, extended where a malleable peer has to see or do more.

The private attributes of aioquic that are used here, and in the other modules of this package, are
listed in ``compat.py`` and checked when the package is imported.
"""

from __future__ import annotations

from typing import Literal

from aioquic import tls
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnectionError, QuicNetworkPath, QuicReceiveContext
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import QuicErrorCode, QuicHeader, QuicPacketType
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.tls import Epoch

from conformance.peer import events as wire
from conformance.peer.quic import frames, transport_parameters
from conformance.peer.quic.compat import Buffer
from conformance.peer.quic.exporter import Exporter
from conformance.peer.quic.options import Address, ConnectionContext, FrameFilter, QuicOptions
from conformance.peer.quic.protection import TappedPair
from conformance.peer.quic.stream_engine import StreamEngine

CloseInitiator = Literal["peer", "local", "case", "idle", "stateless_reset"]
PACKET_TYPES = {
    Epoch.INITIAL: "initial",
    Epoch.ZERO_RTT: "0rtt",
    Epoch.HANDSHAKE: "handshake",
    Epoch.ONE_RTT: "1rtt",
}
AEAD_TAG_SIZE = 16
# The first is offered in the ClientHello; P-384 and X448 keys would only cost time.
KEY_EXCHANGE_GROUPS = (tls.Group.X25519, tls.Group.SECP256R1)
CIPHER_SUITES = (
    tls.CipherSuite.AES_128_GCM_SHA256,
    tls.CipherSuite.AES_256_GCM_SHA384,
    tls.CipherSuite.CHACHA20_POLY1305_SHA256,
)


class Engine(StreamEngine):
    """One connection of aioquic with raw frames, and with events for everything on the wire."""

    def __init__(
        self, options: QuicOptions, configuration: QuicConfiguration, context: ConnectionContext
    ) -> None:
        super().__init__(options, configuration, context)
        self.closed_by: CloseInitiator = "local"
        self.frame_filter: FrameFilter | None = None
        self.exporter: Exporter | None = None
        self.peer_transport_parameters: dict[int, bytes] = {}
        self._opened_packet = (0, 0)
        self._withheld: list[bytes] = []
        self._objection = None if options.objection is None else options.objection()

    # --- start-up, keys and transport parameters ---

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        self.tls._supported_groups = list(KEY_EXCHANGE_GROUPS)
        self.tls._cipher_suites = list(CIPHER_SUITES)
        self.tls._request_client_certificate = self.options.request_client_certificate
        if self.options.withdrawn_transport_parameters:
            self._withdraw_when_resumed(self.options.withdrawn_transport_parameters)
        self._cryptos_initial = {
            version: TappedPair(pair, Epoch.INITIAL, self) for version, pair in self._cryptos_initial.items()
        }
        tapped: dict[Epoch, CryptoPair] = {
            epoch: TappedPair(pair, epoch, self) for epoch, pair in self._cryptos.items()
        }
        assert self._version is not None
        tapped[Epoch.INITIAL] = self._cryptos_initial[self._version]
        self._cryptos = tapped

    def _withdraw_when_resumed(self, withdrawn: frozenset[int]) -> None:
        """Leave parameters out of the EncryptedExtensions that follow the acceptance of a ticket."""
        fetch = self.tls.get_session_ticket_cb
        if fetch is None:
            return

        def fetched(label: bytes) -> tls.SessionTicket | None:
            ticket = fetch(label)
            if ticket is not None:
                self.tls.handshake_extensions = [
                    (kind, transport_parameters.amend(data, extra={}, omitted=withdrawn))
                    for kind, data in self.tls.handshake_extensions
                ]
            return ticket

        self.tls.get_session_ticket_cb = fetched

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
            if self.options.keylog is not None and self.tls.client_random is not None:
                line = ("EXPORTER_SECRET", self.tls.client_random.hex(), self.exporter.master_secret.hex())
                self.options.keylog(" ".join(line))

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
        """Let the frame filter replace the payload of a 1-RTT packet; None withholds the packet.

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

    def packet_withheld(self, packet: bytes) -> None:
        """Keep a packet that datagrams_to_send leaves out: to the recovery it is lost on the way."""
        self._withheld.append(packet)

    def packet_opened(self, epoch: Epoch, packet_number: int, size: int) -> None:
        """Keep what _payload_received needs, which is not called for duplicates."""
        self._opened_packet = (packet_number, size)

    def _payload_received(
        self, context: QuicReceiveContext, plain: bytes, crypto_frame_required: bool = False
    ) -> tuple[bool, bool]:
        if self.options.frame_events:
            packet_number, size = self._opened_packet
            self._emit_packet(context.epoch, packet_number, plain, size, sent=False)
        if self._objection is not None and context.epoch is Epoch.ONE_RTT:
            for frame in frames.parse_frames(plain):
                code = self._objection(frame)
                if code is not None:
                    raise QuicConnectionError(code, frame.frame_type, "not taken")
        try:
            return super()._payload_received(context, plain, crypto_frame_required)
        except QuicConnectionError as error:
            if (error.error_code, error.frame_type) not in self.options.ignored_errors:
                raise
            return True, False

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

    # --- sending ---

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """Return the datagrams to send, without the packets that the frame filter withheld."""
        datagrams = super().datagrams_to_send(now)
        if self._withheld:
            # A 1-RTT packet is always the last one of its datagram (RFC 9000 §12.2).
            for packet in self._withheld:
                datagrams = [(data.removesuffix(packet), address) for data, address in datagrams]
            self._withheld.clear()
            datagrams = [(data, address) for data, address in datagrams if data]
        return datagrams

    def _write_application(
        self, builder: QuicPacketBuilder, network_path: QuicNetworkPath, now: float
    ) -> None:
        self._write_injections(builder, first=True)
        super()._write_application(builder, network_path, now)
        if not self.has_unsent_stream_data():
            self._write_injections(builder, first=False)

    def _write_handshake(self, builder: QuicPacketBuilder, epoch: Epoch, now: float) -> None:
        # The first Initial packet must have a CRYPTO frame (RFC 9000 §17.2.2), and behind the client's
        # Finished in a Handshake packet the server discards the keys: hence the different order.
        if epoch is Epoch.HANDSHAKE:
            self._write_epoch(builder, epoch, QuicPacketType.HANDSHAKE, first=False)
        super()._write_handshake(builder, epoch, now)
        if epoch is Epoch.INITIAL:
            self._write_epoch(builder, epoch, QuicPacketType.INITIAL, first=False)

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
