"""A QUIC connection and its sessions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pywebtransport import _core
from pywebtransport._connection_diagnostics import ConnectionDiagnostics
from pywebtransport._deadlines import Gate
from pywebtransport._endpoint import EndpointDriver, Target, emitter_limits, header_bytes, header_lines
from pywebtransport.constants import ErrorCodes
from pywebtransport.events import EventEmitter
from pywebtransport.exceptions import ConnectionError, HandshakeError, SessionError
from pywebtransport.session import WebTransportSession
from pywebtransport.types import (
    Address,
    ConnectionHandle,
    ConnectionState,
    EventType,
    Headers,
    SessionState,
)

if TYPE_CHECKING:
    from pywebtransport.config import ClientConfig, ServerConfig


_OPEN = (SessionState.CONNECTED, SessionState.DRAINING)


class WebTransportConnection(Target):
    """A connection.

    Made by a client or server; a client's ends with its last session. `events` emits CONNECTION_ESTABLISHED,
    CONNECTION_CLOSED, SESSION_REQUEST.
    """

    def __init__(
        self,
        *,
        config: ClientConfig | ServerConfig,
        driver: EndpointDriver,
        handle: ConnectionHandle,
        is_client: bool,
    ) -> None:
        self._config = config
        self._driver = driver
        self._handle = handle
        self._is_client = is_client
        self._state = ConnectionState.CONNECTING
        self._info: dict[str, Any] | None = None
        self._sessions: dict[int, WebTransportSession] = {}
        self._sessions_total = 0
        self._ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._ended = Gate()
        self._connected_at: float | None = None
        self._closed_at: float | None = None
        self._close_code: int | None = None
        self._close_reason: str | None = None
        self._close_source: str | None = None
        self._goaway_sent = False
        self.events = EventEmitter(**emitter_limits(config), owner=self)
        for event_type in (EventType.CONNECTION_ESTABLISHED, EventType.CONNECTION_CLOSED):
            self.events.last(event_type=event_type)
        driver.targets[handle] = self

    # Facts

    @property
    def handle(self) -> ConnectionHandle:
        """Number of the connection, unique in its endpoint."""
        return self._handle

    @property
    def config(self) -> ClientConfig | ServerConfig:
        """The configuration of its endpoint."""
        return self._config

    @property
    def is_client(self) -> bool:
        """Whether we made the connection."""
        return self._is_client

    @property
    def state(self) -> ConnectionState:
        """Where the connection is in its life."""
        return self._state

    @property
    def is_connected(self) -> bool:
        """Whether it is established and not closing."""
        return self._state is ConnectionState.CONNECTED

    @property
    def is_closing(self) -> bool:
        """Whether we are closing it."""
        return self._state is ConnectionState.CLOSING

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self._state is ConnectionState.CLOSED

    @property
    def remote_address(self) -> Address | None:
        """Address of the peer, once the handshake is complete."""
        return None if self._info is None else self._info["remote_address"]

    @property
    def local_addresses(self) -> list[Address]:
        """Addresses of the endpoint."""
        return self._driver.core.local_addresses

    @property
    def info(self) -> dict[str, Any]:
        """What was negotiated.

        `alpn`, `tls_cipher`, `draft`, `reset_stream_at` and more.
        """
        return dict(self._info or {})

    @property
    def sessions_total(self) -> int:
        """Sessions accepted on this connection so far."""
        return self._sessions_total

    def get_all_sessions(self) -> list[WebTransportSession]:
        """The sessions that have not ended."""
        return list(self._sessions.values())

    async def stats(self) -> dict[str, Any] | None:
        """Figures of QUIC: round-trip time, congestion window, packets, frames; `None` once it has ended."""
        try:
            token = self._driver.core.connection_stats(self._handle)
        except _core.HandleError:
            return None
        answer: dict[str, Any] | None = await self._driver.answer(token)
        return answer

    async def diagnostics(self) -> ConnectionDiagnostics:
        """What is known of the connection."""
        settings: dict[str, int] = (await self.stats() or {}).get("peer_settings") or {}
        sessions = self.get_all_sessions()
        streams = sum(len(session._streams) for session in sessions)
        return ConnectionDiagnostics(
            active_session_handles=len(sessions),
            active_stream_handles=streams,
            close_code=self._close_code,
            close_reason=self._close_reason,
            closed_at=self._closed_at,
            connected_at=self._connected_at,
            connection_handle=self._handle,
            early_event_count=0,
            handshake_complete=self._info is not None,
            is_client=self._is_client,
            local_goaway_sent=self._goaway_sent,
            peer_goaway_received=any(session.state == "draining" for session in sessions),
            peer_initial_max_data=settings.get("WT_INITIAL_MAX_DATA", 0),
            peer_initial_max_streams_bidi=settings.get("WT_INITIAL_MAX_STREAMS_BIDI", 0),
            peer_initial_max_streams_uni=settings.get("WT_INITIAL_MAX_STREAMS_UNI", 0),
            peer_max_datagram_frame_size=self.info.get("peer_max_datagram_frame_size"),
            peer_settings_received=self._info is not None,
            pending_request_count=sum(session.state == "connecting" for session in sessions),
            session_count=len(sessions),
            state=self._state,
            stream_count=streams,
        )

    # Acting

    async def create_session(
        self,
        *,
        authority: str,
        path: str,
        headers: Headers | None = None,
        wt_available_protocols: list[str] | None = None,
    ) -> WebTransportSession:
        """Ask a server for a session (draft-16 §3.2). The request waits for the handshake if need be.

        Raises:
            SessionError: it was refused; `details` has `status` and `headers` of the answer.
            ConnectionError: the connection has ended, or is not ours to ask on.
            HandshakeError: there is none: TLS or the version negotiation failed.
        """
        session = self._request(authority, path, headers, wt_available_protocols)
        try:
            await session._established()
        except asyncio.CancelledError:
            with contextlib.suppress(_core.HandleError):
                self._driver.core.close_session(session._handle)
            session._end(ErrorCodes.APP_CANCELLED, "cancelled", "local")
            raise
        except SessionError:
            if self._info is None:
                # Why there is no connection says more
                await self.wait_ready()
            raise
        return session

    async def create_session_optimistic(
        self,
        *,
        authority: str,
        path: str,
        headers: Headers | None = None,
        wt_available_protocols: list[str] | None = None,
    ) -> WebTransportSession:
        """As `create_session`, without waiting for the answer of the server.

        What is opened and sent meanwhile is the server's if it accepts, else it ends with the session;
        `session.ensure_ready()` waits for the answer.

        Raises:
            SessionError: the request cannot be made.
            ConnectionError: as `create_session`.
        """
        session = self._request(authority, path, headers, wt_available_protocols)
        session._begin_early()
        return session

    def _request(
        self, authority: str, path: str, headers: Headers | None, wt_available_protocols: list[str] | None
    ) -> WebTransportSession:
        if not self._is_client:
            raise ConnectionError(
                "sessions are asked for by clients",
                connection_handle=self._handle,
                remote_address=self.remote_address,
            )
        lines = header_lines(headers)
        origin = next((value for name, value in lines if name == "origin"), None)
        try:
            handle = self._driver.core.request_session(
                self._handle,
                authority,
                path,
                origin=origin,
                headers=[line for line in lines if line[0] != "origin"],
                protocols=wt_available_protocols or (),
            )
        except _core.HandleError:
            raise self._closed_error() from None
        except ValueError as error:
            raise SessionError(str(error)) from error
        return self._add(handle, 0, path, header_bytes(lines), wt_available_protocols)

    async def graceful_shutdown(self) -> None:
        """As `drain`; then, when all sessions have ended, or after `close_timeout`, as `close`."""
        await self.drain()
        ends = [asyncio.ensure_future(session.wait_closed()) for session in self.get_all_sessions()]
        try:
            if ends:
                await asyncio.wait(ends, timeout=self._config.close_timeout)
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        await self.close()

    async def drain(self) -> None:
        """Announce the end (GOAWAY, RFC 9114 §5.2) and ask all sessions to finish. They stay usable."""
        if not self.is_closed:
            self._goaway_sent = True
            with contextlib.suppress(_core.HandleError):
                self._driver.core.goaway(self._handle)

    async def close(
        self, *, error_code: int = ErrorCodes.APP_NO_ERROR, reason: str = "connection closed"
    ) -> None:
        """End the connection and all its sessions; 0 is sent as H3_NO_ERROR. No effect if it has ended."""
        if self.is_closed:
            return
        if not self.is_closing:
            self._state = ConnectionState.CLOSING
            code = error_code or ErrorCodes.H3_NO_ERROR
            for session in self.get_all_sessions():
                if code == ErrorCodes.H3_NO_ERROR and session.state in _OPEN:
                    # The core closes them first, and waits until the peer has heard of it
                    session._leave()
                else:
                    await session.close()
            try:
                self._driver.core.close_connection(self._handle, code, reason)
            except _core.HandleError:
                self._end("local", error_code, reason)
        try:
            await self._ended.wait(self._driver.closing)
        except TimeoutError:
            self._end("local", error_code, reason)

    async def wait_ready(self) -> None:
        """Wait for the end of the handshake.

        Raises:
            HandshakeError: TLS or the version negotiation failed.
            ConnectionError: the connection ended before.
        """
        await asyncio.shield(self._ready)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()
        await self.events.close()

    def __repr__(self) -> str:
        return f"<WebTransportConnection handle={self._handle} state={self._state}>"

    # Events of the core

    def _on_event(self, kind: int, details: tuple[Any, ...]) -> None:
        if kind == _core.CONNECTION_READY:
            self._establish(details[0])
        elif kind == _core.CONNECTION_CLOSED:
            self._end(*details)

    def _on_failure(self, error: str) -> None:
        self._end("error", ErrorCodes.H3_INTERNAL_ERROR, f"the core failed: {error}")

    def _on_child(self, handle: int, *details: Any) -> None:
        request: dict[str, Any] = details[0]
        pseudo = [
            (":method", "CONNECT"),
            (":scheme", request["scheme"]),
            (":authority", request["authority"]),
            (":path", request["path"]),
            (":protocol", request_protocol(request["draft"])),
        ]
        session = self._add(
            handle,
            request["quic_stream_id"],
            request["path"],
            header_bytes([*pseudo, *request["headers"]]),
            request["protocols"] or None,
            request["draft"],
        )
        data = {
            "session_id": session.session_id,
            "session": session,
            "connection": self,
            "path": session.path,
            "headers": session.headers,
        }
        self.events.emit_nowait(event_type=EventType.SESSION_REQUEST, data=data)

    def _establish(self, info: dict[str, Any]) -> None:
        self._info = info
        self._state = ConnectionState.CONNECTED
        self._connected_at = time.perf_counter()
        if not self._ready.done():
            self._ready.set_result(info)
        data = {"connection": self, "connection_handle": self._handle}
        self.events.emit_nowait(event_type=EventType.CONNECTION_ESTABLISHED, data=data)

    def _end(self, source: str, code: int, reason: str) -> None:
        if self.is_closed:
            return
        self._state = ConnectionState.CLOSED
        self._closed_at = time.perf_counter()
        self._close_source, self._close_code, self._close_reason = source, code, reason
        self._driver.targets.pop(self._handle, None)
        for session in self.get_all_sessions():
            session._end(code, reason, "connection")
        if not self._ready.done():
            error: Exception = self._closed_error()
            if source in ("tls", "version", "refused"):
                error = HandshakeError(f"{source}: {reason}", stage=source, error_code=code)
            self._ready.set_exception(error)
            # Nobody may be waiting for the handshake; that is no fault.
            self._ready.exception()
        self._ended.open()
        data = {"connection": self, "connection_handle": self._handle, "error_code": code, "reason": reason}
        self.events.emit_nowait(event_type=EventType.CONNECTION_CLOSED, data={**data, "source": source})

    def _session_ended(self, session: Any) -> None:
        self._sessions.pop(session._handle, None)
        if self._is_client and self.is_connected and not self._sessions:
            # Made for sessions, it goes with the last one
            self._state = ConnectionState.CLOSING
            with contextlib.suppress(_core.HandleError):
                self._driver.core.close_connection(self._handle, ErrorCodes.H3_NO_ERROR, "no session is left")

    def _add(
        self,
        handle: int,
        session_id: int,
        path: str,
        headers: Headers,
        protocols: list[str] | None,
        draft: int = 0,
    ) -> WebTransportSession:
        session = WebTransportSession(
            connection=self,
            session_id=session_id,
            path=path,
            headers=headers,
            wt_available_protocols=protocols,
            handle=handle,
            draft=draft,
        )
        self._sessions[handle] = session
        self._sessions_total += 1
        return session

    def _closed_error(self) -> ConnectionError:
        self._driver.catch_up()
        return ConnectionError(
            f"the connection has ended ({self._close_source or 'gone'}): {self._close_reason or 'no reason'}",
            connection_handle=self._handle,
            remote_address=self.remote_address,
            error_code=self._close_code,
            details={"source": self._close_source},
        )


def request_protocol(draft: int) -> str:
    """The `:protocol` of a request (draft-16 §3.2; `webtransport` up to draft-14)."""
    return "webtransport-h3" if draft >= 16 else "webtransport"


__all__ = ["ConnectionDiagnostics", "WebTransportConnection"]
