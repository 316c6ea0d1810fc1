"""What the logs say of connections and sessions."""

from __future__ import annotations

import logging
import time
from typing import Any

from pywebtransport.connection import WebTransportConnection
from pywebtransport.events import Event
from pywebtransport.framework.middleware import field_value
from pywebtransport.interop.hub import DRAFT_NAMES
from pywebtransport.interop.logs import tell
from pywebtransport.server import WebTransportServer
from pywebtransport.session import WebTransportSession
from pywebtransport.types import EventType

_PEER_FAULT = "error"
"""Source of an end: the peer broke a rule."""


class Journal:
    """Follows the events of a server. Each fact has the same name everywhere."""

    def __init__(self, server: WebTransportServer) -> None:
        server.on(event_type=EventType.CONNECTION_ESTABLISHED, handler=self._connection)
        server.on(event_type=EventType.CONNECTION_CLOSED, handler=self._connection_closed)
        server.on(event_type=EventType.SESSION_REQUEST, handler=self._session_requested)

    def _connection(self, event: Event) -> None:
        connection: WebTransportConnection = (event.data or {})["connection"]
        info = connection.info
        host, port = info["remote_address"]
        tell(
            "connection_established",
            "a peer has connected",
            connection=connection.handle,
            remote=f"{host}:{port}" if "." in host else f"[{host}]:{port}",
            server_name=info["server_name"],
            alpn=info["alpn"],
            cipher=info["tls_cipher"],
            draft=DRAFT_NAMES.get(info["draft"] or 0),
        )

    def _connection_closed(self, event: Event) -> None:
        data: dict[str, Any] = event.data or {}
        tell(
            "connection_closed",
            "a connection has ended",
            level=logging.WARNING if data["source"] == _PEER_FAULT else logging.INFO,
            connection=data["connection_handle"],
            source=data["source"],
            code=data["error_code"],
            reason=data["reason"],
        )

    def _session_requested(self, event: Event) -> None:
        session: WebTransportSession = (event.data or {})["session"]
        tell(
            "session_requested",
            "a peer wants a session",
            connection=session.connection.handle,
            session=session.session_id,
            path=session.path,
            draft=DRAFT_NAMES.get(session.draft),
            origin=field_value(session.headers, "origin"),
        )
        session.events.once(event_type=EventType.SESSION_READY, handler=self._session_ready)
        session.events.once(event_type=EventType.SESSION_CLOSED, handler=self._session_closed)

    def _session_ready(self, event: Event) -> None:
        session: WebTransportSession = (event.data or {})["session"]
        tell(
            "session_established",
            "the session is accepted",
            connection=session.connection.handle,
            session=session.session_id,
            protocol=session.wt_protocol,
        )

    def _session_closed(self, event: Event) -> None:
        session: WebTransportSession = (event.data or {})["session"]
        tell(
            "session_closed",
            "a session has ended",
            level=logging.WARNING if session.close_source == _PEER_FAULT else logging.INFO,
            connection=session.connection.handle,
            session=session.session_id,
            source=session.close_source,
            code=session.close_code,
            reason=session.close_reason,
            seconds=round(time.perf_counter() - session._created_at, 3),
        )
