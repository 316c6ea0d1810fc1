"""A server host: any number of connections behind one address, told apart by connection ids."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable

from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE
from aioquic.quic.crypto import CryptoPair
from aioquic.quic.packet import (
    QuicErrorCode,
    QuicFrameType,
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.retry import QuicRetryTokenHandler
from aioquic.tls import SessionTicket

from conformance.peer.events import EventHandler, WireEvent
from conformance.peer.quic.compat import Buffer
from conformance.peer.quic.connection import QuicPeer
from conformance.peer.quic.options import Address, ConnectionContext, QuicOptions

CONNECTION_ID_LENGTH = 8
MAX_TICKETS = 256
# Unanswered datagrams that are kept; more are dropped, as a full socket buffer would do.
MAX_REPLIES = 256
CONNECTION_CLOSE_CAPACITY = 32

Accept = Callable[[QuicPeer], EventHandler]


def _ignore(_event: WireEvent) -> None:
    """Stand in for a handler until the connection is accepted."""


class TicketStore:
    """Session tickets issued by a server, the oldest dropped first."""

    def __init__(self) -> None:
        self._tickets: OrderedDict[bytes, SessionTicket] = OrderedDict()

    def put(self, ticket: SessionTicket) -> None:
        """Keep a ticket."""
        self._tickets[ticket.ticket] = ticket
        if len(self._tickets) > MAX_TICKETS:
            self._tickets.popitem(last=False)

    def get(self, label: bytes) -> SessionTicket | None:
        """Return the ticket with this label and forget it: each serves once (RFC 8446 §8.1)."""
        return self._tickets.pop(label, None)


class ServerHost:
    """Accepts connections and drives them.

    ``accept`` is called with each new peer, before its first packet is processed, and returns the
    handler of its events. Above ``max_connections`` further ones are refused (CONNECTION_REFUSED).
    With ``retry`` every client has to prove its address first (RFC 9000 §8.1.2).
    """

    def __init__(
        self, options: QuicOptions, accept: Accept, *, retry: bool = False, max_connections: int = 1024
    ) -> None:
        if options.is_client or options.certificate is None or options.private_key is None:
            raise ValueError("a server host needs server options with a certificate and its key")
        self.options = options
        self.refused = 0
        self._accept = accept
        self._max_connections = max_connections
        self._retry = QuicRetryTokenHandler() if retry else None
        self._tickets = TicketStore() if options.session_tickets else None
        self._by_id: dict[bytes, QuicPeer] = {}
        self._ids: dict[QuicPeer, set[bytes]] = {}
        self._timers: dict[QuicPeer, float | None] = {}
        self._awake: dict[QuicPeer, None] = {}
        self._replies: list[tuple[bytes, Address]] = []

    @property
    def connections(self) -> list[QuicPeer]:
        """The connections that are not over, the oldest first."""
        return list(self._ids)

    def close(self, error_code: int = 0, *, reason: str = "") -> None:
        """Close all connections; the link has to be pumped once more to tell the clients."""
        for peer in self.connections:
            peer.close(error_code, reason=reason)

    # --- the link's side ---

    def receive(self, data: bytes, address: Address, now: float) -> None:
        """Take a UDP payload: hand it to its connection, or open one."""
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=CONNECTION_ID_LENGTH)
        except ValueError:
            return
        if header.version is not None and header.version not in self.options.versions:
            self._negotiate_version(header, data, address)
            return
        peer = self._by_id.get(header.destination_cid)
        if peer is None and header.packet_type is QuicPacketType.INITIAL:
            peer = self._open(header, data, address, now)
        if peer is not None:
            peer.receive(data, address, now)

    def pending(self, now: float) -> list[tuple[bytes, Address]]:
        """Return the UDP payloads to send now."""
        result, self._replies = self._replies, []
        while self._awake:
            peer, _ = self._awake.popitem()
            if peer not in self._ids:
                continue
            result += peer.pending(now)
            self._follow_ids(peer)
            if peer.terminated:
                self._drop(peer)
            else:
                self._timers[peer] = peer.timer()
        return result

    def timer(self) -> float | None:
        """Return the earliest timer of all connections."""
        return min((at for at in self._timers.values() if at is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Do what is due in every connection."""
        for peer, at in list(self._timers.items()):
            if at is not None and at <= now:
                peer.handle_timer(now)

    # --- connections ---

    def _open(self, header: QuicHeader, data: bytes, address: Address, now: float) -> QuicPeer | None:
        """Create a connection for an Initial packet with an unknown connection id, or refuse it."""
        if len(data) < SMALLEST_MAX_DATAGRAM_SIZE:
            return None
        original, retry_source = header.destination_cid, None
        if self._retry is not None:
            if not header.token:
                self._reply(self._retry_packet(self._retry, header, address, now), address)
                return None
            try:
                original = self._retry.validate_token(
                    address=address, destination_cid=header.destination_cid, token=header.token, now=now
                )
            except ValueError:
                self._reply(_refusal(header, QuicErrorCode.INVALID_TOKEN), address)
                return None
            retry_source = header.destination_cid
        if len(self._ids) >= self._max_connections:
            self.refused += 1
            self._reply(_refusal(header, QuicErrorCode.CONNECTION_REFUSED), address)
            return None
        context = ConnectionContext(
            original_destination_connection_id=original,
            retry_source_connection_id=retry_source,
            session_ticket_fetcher=self._tickets.get if self._tickets is not None else None,
            session_ticket_handler=self._tickets.put if self._tickets is not None else None,
        )
        peer = QuicPeer(self.options, _ignore, context=context)
        peer.handler = self._accept(peer)
        peer.wake = self._wake
        self._ids[peer] = set()
        self._timers[peer] = None
        for connection_id in (header.destination_cid, peer.host_connection_id):
            self._map(connection_id, peer)
        return peer

    def _wake(self, peer: QuicPeer) -> None:
        self._awake[peer] = None

    def _map(self, connection_id: bytes, peer: QuicPeer) -> None:
        self._by_id[connection_id] = peer
        self._ids[peer].add(connection_id)

    def _follow_ids(self, peer: QuicPeer) -> None:
        for connection_id, issued in peer.connection_id_changes:
            if issued:
                self._map(connection_id, peer)
            else:
                self._by_id.pop(connection_id, None)
                self._ids[peer].discard(connection_id)
        peer.connection_id_changes.clear()

    def _drop(self, peer: QuicPeer) -> None:
        for connection_id in self._ids.pop(peer):
            self._by_id.pop(connection_id, None)
        self._timers.pop(peer, None)
        peer.wake = None

    # --- answers without a connection ---

    def _reply(self, data: bytes, address: Address) -> None:
        if len(self._replies) < MAX_REPLIES:
            self._replies.append((data, address))

    def _negotiate_version(self, header: QuicHeader, data: bytes, address: Address) -> None:
        """Answer a version that is not spoken (RFC 9000 §6.1), never a Version Negotiation packet itself."""
        negotiation = header.packet_type is QuicPacketType.VERSION_NEGOTIATION
        if not negotiation and len(data) >= SMALLEST_MAX_DATAGRAM_SIZE:
            packet = encode_quic_version_negotiation(
                source_cid=header.destination_cid,
                destination_cid=header.source_cid,
                supported_versions=list(self.options.versions),
            )
            self._reply(packet, address)

    @staticmethod
    def _retry_packet(
        handler: QuicRetryTokenHandler, header: QuicHeader, address: Address, now: float
    ) -> bytes:
        source = os.urandom(CONNECTION_ID_LENGTH)
        token = handler.create_token(
            address=address,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=source,
            now=now,
        )
        return encode_quic_retry(
            version=header.version or 0,
            source_cid=source,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )


def _refusal(header: QuicHeader, error_code: int) -> bytes:
    """Build an Initial packet with a CONNECTION_CLOSE, without keeping any state (RFC 9000 §5.2.2)."""
    version = header.version or 0
    crypto = CryptoPair()
    crypto.setup_initial(cid=header.destination_cid, is_client=False, version=version)
    builder = QuicPacketBuilder(
        host_cid=header.destination_cid,
        peer_cid=header.source_cid,
        version=version,
        is_client=False,
        max_datagram_size=SMALLEST_MAX_DATAGRAM_SIZE,
    )
    builder.start_packet(QuicPacketType.INITIAL, crypto)
    buffer = builder.start_frame(QuicFrameType.TRANSPORT_CLOSE, capacity=CONNECTION_CLOSE_CAPACITY)
    for value in (error_code, QuicFrameType.PADDING, 0):
        buffer.push_uint_var(value)
    datagrams, _ = builder.flush()
    return datagrams[0]
