"""Options of one QUIC connection, and the small types that every module of the layer shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aioquic.quic.packet import QuicProtocolVersion
from aioquic.tls import Epoch, SessionTicket, SessionTicketFetcher, SessionTicketHandler
from cryptography import x509

from conformance.peer.quic.frames import Frame

__all__ = [
    "Address",
    "Capture",
    "ConnectionContext",
    "Epoch",
    "FrameFilter",
    "Objection",
    "PacketFilter",
    "QuicOptions",
    "SessionTicket",
    "StreamNotWritable",
]

# (host, port), or four items for IPv6: an opaque tuple for everything but the socket.
Address: TypeAlias = tuple[Any, ...]

# Called with the plain payload (the frames) of each outgoing 1-RTT packet, before protection. The
# result is sent instead; None loses the packet, which the recovery then notices as for a real loss.
FrameFilter: TypeAlias = Callable[[bytes], bytes | None]

# Called with each outgoing UDP payload, after protection; what it returns is sent, in that order.
PacketFilter: TypeAlias = Callable[[bytes, Address], list[bytes]]

# Called with each UDP payload: time, sent (True) or received (False), the payload, the remote address.
Capture: TypeAlias = Callable[[float, bool, bytes, Address], None]

# Returns the code of a connection error for a frame, None to take it.
Objection: TypeAlias = Callable[[Frame], int | None]

# draft-ietf-quic-reliable-stream-reset-10 §3, and the code point of its versions up to -07.
RESET_STREAM_AT_PARAMETERS = (0x1D, 0x17F7586D2CB571)


class StreamNotWritable(ValueError):
    """A request to send on a stream that this side already finished, reset or may not send on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuicOptions:
    """Everything that is decided before a connection starts.

    Times are in seconds, sizes in bytes. ``certificate``, ``private_key`` and ``certificate_chain``
    are objects of the ``cryptography`` package: the server's own, or a client's certificate, which is
    sent when the server asks for one. ``insecure`` accepts any server certificate. Without ``insecure``,
    ``ca_file`` (a path) or ``ca_data`` (PEM) name the trusted roots, else the ones of certifi.
    """

    is_client: bool
    # () leaves the extension out.
    alpn: tuple[str, ...] = ("h3",)
    server_name: str | None = None
    versions: tuple[int, ...] = (int(QuicProtocolVersion.VERSION_1),)

    ca_file: str | None = None
    ca_data: bytes | None = None
    insecure: bool = False
    certificate: x509.Certificate | None = None
    private_key: Any = None
    certificate_chain: tuple[x509.Certificate, ...] = ()
    request_client_certificate: bool = False

    idle_timeout: float = 30.0
    max_datagram_size: int = 1200
    max_data: int = 16 * 1024 * 1024
    max_stream_data: int = 1024 * 1024
    # Unidirectional streams of the peer, where they get another credit (RFC 9000 §18.2).
    max_stream_data_uni: int | None = None
    max_streams_bidi: int = 128
    max_streams_uni: int = 128
    # False: never send MAX_DATA, MAX_STREAM_DATA or MAX_STREAMS, the initial limits stay.
    raise_limits: bool = True
    max_datagram_frame_size: int | None = 65536
    reset_stream_at: tuple[int, ...] = RESET_STREAM_AT_PARAMETERS
    # Added to the transport parameters; one that stands there already is replaced.
    extra_transport_parameters: Mapping[int, bytes] = field(default_factory=dict)
    omitted_transport_parameters: frozenset[int] = frozenset()

    session_ticket: SessionTicket | None = None
    token: bytes = b""
    # Servers only: issue session tickets and accept resumption and 0-RTT with them.
    session_tickets: bool = False

    # Faults of a server's QUIC, for deviants only. ``objection`` is called for each connection and returns a
    # function of the frames received in 1-RTT packets: a code closes the connection. Errors (code, type of
    # the frame) in ``ignored_errors`` are not raised, the rest of the packet is dropped instead.
    objection: Callable[[], Objection] | None = None
    ignored_errors: frozenset[tuple[int, int]] = frozenset()
    answers_stop_sending: bool = True
    # Transport parameters that are left out where a session ticket of the client is accepted.
    withdrawn_transport_parameters: frozenset[int] = frozenset()

    keylog: Callable[[str], None] | None = None
    capture: Capture | None = None
    # False: no QuicPacket and QuicFrame events, which saves memory more than time.
    frame_events: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionContext:
    """What the owner of a connection knows of it beside the options.

    The connection ids are those of a server's connection, known before it exists (RFC 9000 §7.3).
    """

    original_destination_connection_id: bytes | None = None
    retry_source_connection_id: bytes | None = None
    session_ticket_fetcher: SessionTicketFetcher | None = None
    session_ticket_handler: SessionTicketHandler | None = None
