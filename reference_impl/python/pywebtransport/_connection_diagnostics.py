"""What is known of a connection, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from pywebtransport.types import ConnectionHandle, ConnectionState


@dataclass(kw_only=True, frozen=True, slots=True)
class ConnectionDiagnostics:
    """What is known of a connection. Times are seconds of `time.perf_counter`, sizes are bytes.

    The initial limits of the peer are those of its SETTINGS (draft-16 §9.2), 0 where it sent none.
    """

    active_session_handles: int
    active_stream_handles: int
    close_code: int | None
    close_reason: str | None
    closed_at: float | None
    connected_at: float | None
    connection_handle: ConnectionHandle
    early_event_count: int
    handshake_complete: bool
    is_client: bool
    local_goaway_sent: bool
    peer_goaway_received: bool
    peer_initial_max_data: int
    peer_initial_max_streams_bidi: int
    peer_initial_max_streams_uni: int
    peer_max_datagram_frame_size: int | None
    peer_settings_received: bool
    pending_request_count: int
    session_count: int
    state: ConnectionState
    stream_count: int


__all__ = ["ConnectionDiagnostics"]
