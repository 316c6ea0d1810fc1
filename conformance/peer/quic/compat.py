"""What this package uses of aioquic beyond its public interface, and the check that it is there.

Everything private that the package touches is named here (a test compares this list with the code).
A version of aioquic that lacks one of them is refused when the package is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version

from aioquic import tls

# aioquic.buffer hands these two on without declaring it, which a type checker takes for private.
from aioquic._buffer import Buffer, BufferReadError
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketRecovery
from aioquic.quic.stream import QuicStreamReceiver, QuicStreamSender

__all__ = ["ATTRIBUTES", "Buffer", "BufferReadError", "IncompatibleEngine", "check", "missing"]

EXPECTED_VERSION = "1.7.2"

# The table of frame handlers is private to its class, so that its name is mangled.
FRAME_HANDLERS = "_QuicConnection__frame_handlers"

ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "QuicConnection": frozenset(
        (
            FRAME_HANDLERS,
            "_assert_stream_can_receive",
            "_assert_stream_can_send",
            "_close_at",
            "_close_begin",
            "_close_event",
            "_close_pending",
            "_cryptos",
            "_cryptos_initial",
            "_datagrams_pending",
            "_events",
            "_get_or_create_stream",
            "_get_or_create_stream_for_send",
            "_handle_connection_close_frame",
            "_handle_stop_sending_frame",
            "_handle_stream_frame",
            "_handshake_complete",
            "_initialize",
            "_is_client",
            "_local_max_data",
            "_local_max_stream_data_uni",
            "_local_max_streams_bidi",
            "_local_max_streams_uni",
            "_local_next_stream_id_bidi",
            "_local_next_stream_id_uni",
            "_loss",
            "_max_datagram_size",
            "_network_paths",
            "_parse_transport_parameters",
            "_payload_received",
            "_peer_cid",
            "_peer_cid_available",
            "_ping_pending",
            "_receive_retry_packet",
            "_receive_version_negotiation_packet",
            "_remote_max_data_used",
            "_remote_max_streams_bidi",
            "_remote_max_streams_uni",
            "_serialize_transport_parameters",
            "_spaces",
            "_state",
            "_stream_can_receive",
            "_stream_can_send",
            "_stream_is_discarded",
            "_streams",
            "_streams_blocked_bidi",
            "_streams_blocked_uni",
            "_update_traffic_key",
            "_version",
            "_write_application",
            "_write_connection_limits",
            "_write_handshake",
            "_write_reset_stream_frame",
            "_write_stream_limits",
        )
    ),
    "QuicStreamSender": frozenset(
        ("_buffer_fin", "_buffer_start", "_buffer_stop", "_pending", "_pending_eof", "_reset_error_code")
    ),
    "QuicStreamReceiver": frozenset(("_buffer_start", "_final_size", "_stream_id")),
    "QuicPacketBuilder": frozenset(("_buffer", "_packet")),
    "QuicPacketRecovery": frozenset(("_rtt_smoothed",)),
    "Context": frozenset(
        ("_cipher_suites", "_peer_certificate", "_request_client_certificate", "_supported_groups")
    ),
}


class IncompatibleEngine(ImportError):
    """The installed aioquic lacks something that the peer is built on."""


def _instances() -> Iterator[object]:
    connection = QuicConnection(configuration=QuicConfiguration(is_client=True))
    yield connection
    yield QuicStreamSender(0, True)
    yield QuicStreamReceiver(0, True)
    yield QuicPacketBuilder(host_cid=b"", peer_cid=b"", version=1, is_client=True, max_datagram_size=1200)
    yield QuicPacketRecovery(
        congestion_control_algorithm="reno",
        initial_rtt=0.1,
        max_datagram_size=1200,
        peer_completed_address_validation=True,
        send_probe=lambda: None,
    )
    yield tls.Context(is_client=True)


def missing() -> list[str]:
    """Return the attributes that the installed aioquic lacks, as ``Class.attribute``."""
    return sorted(
        f"{type(item).__name__}.{attribute}"
        for item in _instances()
        for attribute in ATTRIBUTES[type(item).__name__]
        if not hasattr(item, attribute)
    )


def check() -> None:
    """Raise IncompatibleEngine, naming what is missing and the version expected."""
    absent = missing()
    if absent:
        raise IncompatibleEngine(
            f"aioquic {version('aioquic')} lacks {', '.join(absent)}; the peer is built for "
            f"aioquic {EXPECTED_VERSION}"
        )
