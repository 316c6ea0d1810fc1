"""What is known of a session, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pywebtransport.types import Headers, SessionId, SessionState, StreamId

if TYPE_CHECKING:
    from pywebtransport._session_base import SessionBase


@dataclass(kw_only=True, frozen=True, slots=True)
class SessionDiagnostics:
    """What is known of a session. Times are seconds of `time.perf_counter`, sizes are bytes.

    Limits of the peer are 0 and `flow_control_negotiated` is `None`: the core keeps flow control to itself.
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
    def of(cls, session: SessionBase) -> SessionDiagnostics:
        """The diagnostics of a session at this moment."""
        config, connection = session._config, session._connection
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
            flow_control_negotiated=None,
            headers=session._headers,
            is_client=connection.is_client,
            local_data_consumed=session._bytes_received,
            local_data_received=session._bytes_received,
            local_data_sent=session._bytes_sent,
            local_max_data=config.initial_max_data,
            local_max_streams_bidi=config.initial_max_streams_bidi,
            local_max_streams_uni=config.initial_max_streams_uni,
            local_streams_bidi_opened=session._opened["local_bidi"],
            local_streams_uni_opened=session._opened["local_uni"],
            path=session._path,
            peer_max_data=0,
            peer_max_streams_bidi=0,
            peer_max_streams_uni=0,
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
