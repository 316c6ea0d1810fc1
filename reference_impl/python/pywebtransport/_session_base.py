"""The state of a session: its facts, its streams, and what the events of the core change about them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pywebtransport import _core
from pywebtransport._deadlines import Gate
from pywebtransport._endpoint import Target, emitter_limits, header_bytes
from pywebtransport._stream_base import BaseStream, wake
from pywebtransport.constants import ErrorCodes
from pywebtransport.events import EventEmitter
from pywebtransport.exceptions import SessionClosedError, SessionError
from pywebtransport.stream import WebTransportReceiveStream, WebTransportStream
from pywebtransport.types import Address, EventType, Headers, SessionId, SessionState, StreamId

if TYPE_CHECKING:
    from pywebtransport.connection import WebTransportConnection

S = TypeVar("S", bound=BaseStream)


class PendingStream(Target, Generic[S]):
    """A stream of our own that waits for its place within the limits of the peer."""

    def __init__(self, session: SessionBase, kind: type[S], handle: int) -> None:
        self._session = session
        self._kind = kind
        self.handle = handle
        self.bidirectional = kind.can_receive
        self.stream: asyncio.Future[S] = asyncio.get_running_loop().create_future()
        session._opening.add(self)
        session._driver.targets[handle] = self

    def abandon(self) -> None:
        """Nobody wants the stream any more, or somebody has it."""
        self._session._opening.discard(self)
        if self._session._driver.targets.get(self.handle) is self:
            del self._session._driver.targets[self.handle]
            self._session._driver.core.release(self.handle)

    def forget(self) -> None:
        """Whoever wanted the stream was cancelled when it had just been opened."""
        if self.stream.done() and not self.stream.cancelled() and self.stream.exception() is None:
            self._session._forget(self.handle, self.stream.result())

    def fail(self) -> None:
        """The session has ended."""
        if not self.stream.done():
            self.stream.set_exception(self._session._closed_error())

    def _on_event(self, kind: int, details: tuple[Any, ...]) -> None:
        if kind == _core.STREAM_FAILED:
            # Why, the end of the session says, which comes in the same batch
            self._session._driver.loop.call_soon(self.fail)
        elif kind == _core.STREAM_OPENED and not self.stream.done():
            self.stream.set_result(self._session._placed(self._kind, details[0], self.handle))


_ONCE: Final = (
    EventType.SESSION_PENDING,
    EventType.SESSION_READY,
    EventType.SESSION_DRAINING,
    EventType.SESSION_CLOSED,
)


class SessionBase(Target):
    """The state of a session, kept up to date by the events of the core."""

    def __init__(
        self,
        *,
        connection: WebTransportConnection,
        session_id: SessionId,
        path: str,
        headers: Headers,
        wt_available_protocols: list[str] | None = None,
        wt_protocol: str | None = None,
        handle: int,
        draft: int = 0,
    ) -> None:
        self._connection = connection
        self._driver = connection._driver
        self._config = connection.config
        self._handle = handle
        self._session_id = session_id
        self._path = path
        self._headers = headers
        self._response_headers: Headers = []
        self._available = wt_available_protocols
        self._protocol = wt_protocol
        self._draft = draft
        self._state = SessionState.CONNECTING
        self.events = EventEmitter(**emitter_limits(self._config), owner=self)
        self.events.retain(
            event_type=EventType.DATAGRAM_RECEIVED, limit=self._config.max_total_pending_events
        )
        # These hold their streams, also when those have ended: the lower limit
        self.events.retain(event_type=EventType.STREAM_OPENED, limit=self._config.max_session_pending_events)
        for event_type in _ONCE:
            self.events.last(event_type=event_type)
        self._answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._ended = Gate()
        self._streams: dict[int, BaseStream] = {}
        self._opening: set[PendingStream[Any]] = set()
        self._incoming_bidi: deque[WebTransportStream] = deque()
        self._incoming_uni: deque[WebTransportReceiveStream] = deque()
        self._acceptors: list[asyncio.Future[None]] = []
        self._is_early = False
        self._closing: tuple[int, str] | None = None
        self._close_code: int | None = None
        self._close_reason: str | None = None
        self._close_source: str | None = None
        self._created_at = time.perf_counter()
        self._ready_at: float | None = None
        self._closed_at: float | None = None
        self._bytes_received = self._bytes_sent = 0
        self._datagrams_received = self._datagrams_sent = 0
        self._datagram_bytes_received = self._datagram_bytes_sent = 0
        self._opened = {"local_bidi": 0, "local_uni": 0, "peer_bidi": 0, "peer_uni": 0}
        self._peer_closed = {"bidi": 0, "uni": 0}
        self._driver.targets[handle] = self

    # Facts

    @property
    def connection(self) -> WebTransportConnection:
        """The connection of the session."""
        return self._connection

    @property
    def session_id(self) -> SessionId:
        """QUIC stream ID of the CONNECT stream."""
        return self._session_id

    @property
    def path(self) -> str:
        """`:path` of the request, with its query."""
        return self._path

    @property
    def headers(self) -> Headers:
        """A copy of the field lines of the request; on a server with its pseudo-header fields, as pairs of
        bytes.
        """
        return self._headers.copy()

    @property
    def response_headers(self) -> Headers:
        """Field lines of the response, as pairs of bytes."""
        return self._response_headers

    @property
    def remote_address(self) -> Address | None:
        """Address of the peer."""
        return self._connection.remote_address

    @property
    def draft(self) -> int:
        """The draft in use by its code points: 16 (-15/-16), 14 (-13/-14), 7 or 2; 0 before it is known."""
        return self._draft

    @property
    def state(self) -> SessionState:
        """Where the session is in its life."""
        return self._state

    @property
    def is_closed(self) -> bool:
        """Whether the session has ended."""
        return self._state is SessionState.CLOSED

    @property
    def close_code(self) -> int | None:
        """The code that the session was closed with: of the application, or of HTTP/3; `None` before."""
        return self._close_code

    @property
    def close_reason(self) -> str | None:
        """The message that the session was closed with; `None` before."""
        return self._close_reason

    @property
    def close_source(self) -> str | None:
        """Who or what ended the session: `local`, `peer`, `reset`, `connection` or `error`; `None` before."""
        return self._close_source

    @property
    def wt_available_protocols(self) -> list[str] | None:
        """Application protocols that the client offers, best first (draft-16 §3.3)."""
        return self._available

    @property
    def wt_protocol(self) -> str | None:
        """The application protocol in use. A server sets it before it accepts."""
        return self._protocol

    @wt_protocol.setter
    def wt_protocol(self, value: str | None) -> None:
        self._protocol = value

    def __repr__(self) -> str:
        return f"<{type(self).__name__} id={self._session_id} state={self._state}>"

    # Bookkeeping

    def _placed(self, kind: type[S], stream_id: StreamId, handle: int) -> S:
        """A stream of our own has its place; a negative ID is not known yet."""
        stream = kind(session=self, stream_id=stream_id, is_remote=False, handle=handle)
        self._opened["local_bidi" if stream.can_receive else "local_uni"] += 1
        self._adopt(stream, handle)
        return stream

    def _adopt(self, stream: BaseStream, handle: int) -> None:
        if self._state is SessionState.CLOSED:
            stream._session_ended()
        else:
            self._streams[handle] = stream
            self._driver.targets[handle] = stream
        self.events.emit_lazily(event_type=EventType.STREAM_OPENED, make=stream._described)

    def _forget(self, handle: int, stream: BaseStream) -> None:
        """A stream has ended in both directions."""
        self._driver.targets.pop(handle, None)
        self._streams.pop(handle, None)
        self._driver.core.release(handle)
        if stream.is_remote:
            self._peer_closed["bidi" if stream.can_send else "uni"] += 1

    def _require(self, *states: SessionState) -> None:
        if self._state not in states:
            if self._state is SessionState.CLOSED:
                raise self._closed_error()
            raise self._error(f"the session is {self._state}")

    def _error(self, message: str) -> SessionError:
        return SessionError(message, session_id=self._session_id)

    def _closed_error(self) -> SessionClosedError:
        self._driver.catch_up()
        return SessionClosedError(
            f"the session has ended ({self._close_source or 'gone'}): {self._close_reason or 'no reason'}",
            session_id=self._session_id,
            error_code=self._close_code,
            details={"source": self._close_source},
        )

    # Events of the core

    def _on_event(self, kind: int, details: tuple[Any, ...]) -> None:
        _HANDLERS[kind](self, *details)

    def _on_datagrams(self, datagrams: list[bytes]) -> None:
        self._datagrams_received += len(datagrams)
        for data in datagrams:
            self._datagram_bytes_received += len(data)
            self.events.emit_nowait(
                event_type=EventType.DATAGRAM_RECEIVED,
                data={
                    "session_id": self._session_id,
                    "data": data,
                    "connection": self._connection,
                    "session": self,
                },
            )

    def _on_child(self, handle: int, bidirectional: bool, stream_id: StreamId) -> None:
        self._opened["peer_bidi" if bidirectional else "peer_uni"] += 1
        if bidirectional:
            stream = WebTransportStream(session=self, stream_id=stream_id, is_remote=True, handle=handle)
            self._incoming_bidi.append(stream)
            self._adopt(stream, handle)
        else:
            receiver = WebTransportReceiveStream(
                session=self, stream_id=stream_id, is_remote=True, handle=handle
            )
            self._incoming_uni.append(receiver)
            self._adopt(receiver, handle)
        wake(self._acceptors)

    def _on_ready(self, info: dict[str, Any]) -> None:
        self._session_id = info["quic_stream_id"]
        self._draft = info["draft"]
        self._protocol = info["protocol"]
        self._response_headers = header_bytes(info["headers"])
        if self._state is SessionState.CONNECTING:
            self._state = SessionState.CONNECTED
        self._ready_at = time.perf_counter()
        if not self._answered.done():
            self._answered.set_result(info)
        self._tell(EventType.SESSION_READY)

    def _on_rejected(self, status: int, headers: list[tuple[str, str]], reason: str) -> None:
        text = f"status {status}" if status else reason
        error = SessionError(
            f"the session was refused: {text}" if status else f"the request failed: {text}",
            session_id=self._session_id,
            error_code=ErrorCodes.H3_REQUEST_REJECTED,
            details={"status": status, "headers": header_bytes(headers), "reason": reason},
        )
        if not self._answered.done():
            self._answered.set_exception(error)
            # Nobody may be waiting for the answer; that is no fault.
            self._answered.exception()
        self._end(ErrorCodes.H3_REQUEST_REJECTED, text, "peer")

    def _on_draining(self) -> None:
        # GOAWAY and WT_DRAIN_SESSION may both come
        if self._state is SessionState.CONNECTED:
            self._state = SessionState.DRAINING
            self._tell(EventType.SESSION_DRAINING)

    def _end(self, code: int, reason: str, source: str) -> None:
        """The session has ended: nothing of it is left waiting."""
        if self._state is SessionState.CLOSED:
            return
        self._state = SessionState.CLOSED
        self._closed_at = time.perf_counter()
        if source == "local" and self._closing is not None:
            # What we said ourselves; the core tells of the end only
            code, reason = self._closing
        self._close_code, self._close_reason, self._close_source = code, reason, source
        self._driver.targets.pop(self._handle, None)
        self._connection._session_ended(self)
        if not self._answered.done():
            self._answered.set_exception(self._closed_error())
            self._answered.exception()
        for pending in self._opening:
            pending.fail()
        # Nothing more is heard of its streams; what they have received can be read while someone has them
        for handle, stream in self._streams.items():
            self._driver.targets.pop(handle, None)
            stream._session_ended()
        self._streams.clear()
        self._incoming_bidi.clear()
        self._incoming_uni.clear()
        wake(self._acceptors)
        self._ended.open()
        self._tell(EventType.SESSION_CLOSED, error_code=code, reason=reason, source=source)

    def _tell(self, event_type: EventType, **details: Any) -> None:
        data = {"session_id": self._session_id, **details, "connection": self._connection, "session": self}
        self.events.emit_nowait(event_type=event_type, data=data)


_HANDLERS: Final[dict[int, Callable[..., None]]] = {
    _core.SESSION_READY: SessionBase._on_ready,
    _core.SESSION_REJECTED: SessionBase._on_rejected,
    _core.SESSION_DRAINING: SessionBase._on_draining,
    _core.SESSION_CLOSED: SessionBase._end,
    _core.DATAGRAMS: SessionBase._on_datagrams,
}
