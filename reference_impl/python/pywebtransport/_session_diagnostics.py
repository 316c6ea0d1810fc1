"""What is known of a session, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pywebtransport.types import Headers, SessionId, SessionState, StreamId

if TYPE_CHECKING:
    from pywebtransport._session_base import SessionBase


@dataclass(kw_only=True, frozen=True, slots=True)
class SessionDiagnostics:
    """What is known of a session. Times are seconds of `time.perf_counter`, sizes are bytes.

    Where flow control is in force for the session (draft-16 §5.1; never before draft-14), the limits are
    those of this moment: what SETTINGS gave and capsules raised. Where it is not, those of the peer are 0,
    and those of this side what the configuration would give. Of a session that has ended, those of the peer
    are what its SETTINGS gave. `flow_control_negotiated` is `None` until the peer's SETTINGS have arrived.
    """

    active_streams: list[StreamId]
    blocked_streams: list[StreamId]
    close_code: int | None
    close_reason: str | None
    closed_at: float | None
    created_at: float
    datagram_bytes_received: int
    datagram_bytes_sent: int
    datagrams_received: int
    datagrams_sent: int
    flow_control_negotiated: bool | None
    headers: Headers
    is_client: bool
    local_data_consumed: int
    local_data_received: int
    local_data_sent: int
    local_max_data: int
    local_max_streams_bidi: int
    local_max_streams_uni: int
    local_streams_bidi_opened: int
    local_streams_uni_opened: int
    path: str
    peer_max_data: int
    peer_max_streams_bidi: int
    peer_max_streams_uni: int
    peer_streams_bidi_closed: int
    peer_streams_bidi_opened: int
    peer_streams_uni_closed: int
    peer_streams_uni_opened: int
    pending_bidi_stream_requests: list[int]
    pending_uni_stream_requests: list[int]
    ready_at: float | None
    session_id: SessionId
    state: SessionState
    wt_available_protocols: list[str] | None
    wt_protocol: str | None

    @classmethod
    def of(cls, session: SessionBase, limits: dict[str, Any] | None) -> SessionDiagnostics:
        """The diagnostics of a session at this moment; with its limits by the core, where there are any."""
        config, connection = session._config, session._connection
        info = connection.info
        if limits is None:
            flow_control = session.draft in info["flow_control_drafts"] if info and session.draft else None
            peer = info["peer_limits"] if flow_control else None
            local = None
        else:
            peer, local = limits["peer"], limits["local"]
            flow_control = peer is not None
        peer = peer or (0, 0, 0)
        local = local or (
            config.initial_max_data,
            config.initial_max_streams_bidi,
            config.initial_max_streams_uni,
        )
        return cls(
            active_streams=sorted(stream.stream_id for stream in session._streams.values()),
            blocked_streams=sorted(s.stream_id for s in session._streams.values() if s._write_waiters),
            close_code=session._close_code,
            close_reason=session._close_reason,
            closed_at=session._closed_at,
            created_at=session._created_at,
            datagram_bytes_received=session._datagram_bytes_received,
            datagram_bytes_sent=session._datagram_bytes_sent,
            datagrams_received=session._datagrams_received,
            datagrams_sent=session._datagrams_sent,
            flow_control_negotiated=flow_control,
            headers=session._headers,
            is_client=connection.is_client,
            local_data_consumed=session._bytes_received,
            local_data_received=session._bytes_received,
            local_data_sent=session._bytes_sent,
            local_max_data=local[0],
            local_max_streams_bidi=local[1],
            local_max_streams_uni=local[2],
            local_streams_bidi_opened=session._opened["local_bidi"],
            local_streams_uni_opened=session._opened["local_uni"],
            path=session._path,
            peer_max_data=peer[0],
            peer_max_streams_bidi=peer[1],
            peer_max_streams_uni=peer[2],
            peer_streams_bidi_closed=session._peer_closed["bidi"],
            peer_streams_bidi_opened=session._opened["peer_bidi"],
            peer_streams_uni_closed=session._peer_closed["uni"],
            peer_streams_uni_opened=session._opened["peer_uni"],
            pending_bidi_stream_requests=[p.handle for p in session._opening if p.bidirectional],
            pending_uni_stream_requests=[p.handle for p in session._opening if not p.bidirectional],
            ready_at=session._ready_at,
            session_id=session._session_id,
            state=session._state,
            wt_available_protocols=session._available,
            wt_protocol=session._protocol,
        )
