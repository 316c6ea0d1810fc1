"""What all streams share: identity, state of the two directions, waiting, and the events of the core."""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from pywebtransport import _core
from pywebtransport._endpoint import Target, emitter_limits
from pywebtransport.constants import ErrorCodes
from pywebtransport.events import EventEmitter
from pywebtransport.exceptions import StreamError, TimeoutError
from pywebtransport.types import Buffer, EventType, SessionId, StreamDirection, StreamId, StreamState

if TYPE_CHECKING:
    from pywebtransport._session_base import SessionBase
    from pywebtransport.session import WebTransportSession


@dataclass(kw_only=True, frozen=True, slots=True)
class StreamDiagnostics:
    """What is known of a stream. Times are seconds of `time.perf_counter`, sizes are bytes."""

    bytes_received: int
    bytes_sent: int
    close_code: int | None
    close_reason: str | None
    closed_at: float | None
    created_at: float
    direction: StreamDirection
    is_peer_initiated: bool
    read_buffer_size: int
    session_id: SessionId
    state: StreamState
    stream_id: StreamId
    write_buffer_size: int


_ONCE: Final = (EventType.STOP_SENDING_RECEIVED, EventType.STREAM_RESET_RECEIVED, EventType.STREAM_CLOSED)


class BaseStream(Target):
    """What all streams share.

    The two directions are tracked by `_receiving` and `_sending`: `None` while open.
    """

    __slots__ = (
        "__weakref__",
        "_bytes_received",
        "_bytes_sent",
        "_close_code",
        "_closed_at",
        "_core",
        "_created_at",
        "_events",
        "_gone",
        "_handle",
        "_is_remote",
        "_place",
        "_read_waiters",
        "_receiving",
        "_sending",
        "_session",
        "_stop_code",
        "_stream_id",
        "_unread",
        "_write_waiters",
    )

    def __init__(self, *, session: SessionBase, stream_id: StreamId, is_remote: bool, handle: int) -> None:
        self._session = session
        self._stream_id = stream_id
        self._place: Callable[[], int | None] | None = None
        self._is_remote = is_remote
        self._handle = handle
        self._core = session._driver.core
        self._events: EventEmitter | None = None
        self._read_waiters: list[asyncio.Future[None]] = []
        self._write_waiters: list[asyncio.Future[None]] = []
        self._receiving: StreamState | None = None if self.can_receive else StreamState.CLOSED
        self._sending: StreamState | None = None if self.can_send else StreamState.CLOSED
        self._gone = False
        self._stop_code: int | None = None
        self._unread = bytearray()
        self._bytes_received = 0
        self._bytes_sent = 0
        self._close_code: int | None = None
        self._closed_at: float | None = None
        self._created_at = time.perf_counter()

    can_receive = False
    can_send = False

    @property
    def stream_id(self) -> StreamId:
        """QUIC stream ID; -1 if the session ended before the stream had one."""
        if self._place is not None and (found := self._place()) is not None:
            self._stream_id, self._place = found, None
        return self._stream_id

    @property
    def session(self) -> WebTransportSession:
        """The session of the stream."""
        return cast("WebTransportSession", self._session)

    @property
    def is_remote(self) -> bool:
        """Whether the peer opened it."""
        return self._is_remote

    @property
    def events(self) -> EventEmitter:
        """STREAM_RESET_RECEIVED, STOP_SENDING_RECEIVED and STREAM_CLOSED of this stream, past or to come."""
        if self._events is None:
            self._events = EventEmitter(**emitter_limits(self._session._config), owner=self)
            for event_type in _ONCE:
                self._events.last(event_type=event_type)
            if self._stop_code is not None:
                self._emit(EventType.STOP_SENDING_RECEIVED, self._stop_code)
            if self._receiving is StreamState.RESET_RECEIVED:
                self._emit(EventType.STREAM_RESET_RECEIVED, self._close_code)
            if self._gone or self.is_closed:
                code = ErrorCodes.WT_SESSION_GONE if self._gone else self._close_code
                self._emit(EventType.STREAM_CLOSED, code)
        return self._events

    @property
    def direction(self) -> StreamDirection:
        """Which way the stream carries data."""
        if self.can_receive and self.can_send:
            return StreamDirection.BIDIRECTIONAL
        return StreamDirection.SEND_ONLY if self.can_send else StreamDirection.RECEIVE_ONLY

    @property
    def state(self) -> StreamState:
        """Both directions in one value; a reset shows until the other direction has ended too."""
        if self._receiving is None and self._sending is None:
            return StreamState.OPEN
        if self._receiving is not None and self._sending is not None:
            return StreamState.CLOSED
        for state in (self._receiving, self._sending):
            if state in (StreamState.RESET_SENT, StreamState.RESET_RECEIVED):
                return state
        return StreamState.HALF_CLOSED_REMOTE if self._sending is None else StreamState.HALF_CLOSED_LOCAL

    @property
    def is_closed(self) -> bool:
        """Whether both directions have ended."""
        return self._receiving is not None and self._sending is not None

    async def diagnostics(self) -> StreamDiagnostics:
        """What is known of the stream."""
        return StreamDiagnostics(
            bytes_received=self._bytes_received,
            bytes_sent=self._bytes_sent,
            close_code=self._close_code,
            close_reason=None,
            closed_at=self._closed_at,
            created_at=self._created_at,
            direction=self.direction,
            is_peer_initiated=self._is_remote,
            read_buffer_size=len(self._unread) + self._buffered(),
            session_id=self._session.session_id,
            state=self.state,
            stream_id=self.stream_id,
            write_buffer_size=0,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} id={self.stream_id} state={self.state}>"

    def __del__(self) -> None:
        # What a session that has ended left unread, or a stream that was given up before it was handed out
        if not self.is_closed:
            self._core.release(self._handle)

    # Events of the core

    def _on_event(self, kind: int, details: tuple[Any, ...]) -> None:
        if kind == _core.WRITABLE:
            wake(self._write_waiters)
        elif kind == _core.STREAM_FAILED:
            # It was promised a place, and its session ended before
            self._session_ended()
        elif kind == _core.STREAM_STOPPED and self._sending in (None, StreamState.HALF_CLOSED_LOCAL):
            # After the end, too, as long as that is not acknowledged: the peer may not have read it
            code: int | None = details[0]
            self._stop_code = code or 0
            self._emit(EventType.STOP_SENDING_RECEIVED, code)
            self._end_sending(StreamState.RESET_SENT, code)

    def _on_readable(self) -> None:
        wake(self._read_waiters)

    def _emit(self, event_type: EventType, code: int | None) -> None:
        if self._events is not None:
            data = {
                "stream_id": self.stream_id,
                "session_id": self._session.session_id,
                "error_code": code,
                "connection": self._session._connection,
                "stream": self,
            }
            self._events.emit_nowait(event_type=event_type, data=data)

    def _described(self) -> dict[str, Any]:
        """What STREAM_OPENED says."""
        return {
            "stream_id": self.stream_id,
            "session_id": self._session._session_id,
            "direction": self.direction,
            "is_remote": self._is_remote,
            "connection": self._session._connection,
            "stream": self,
        }

    def _session_ended(self) -> None:
        """The session has gone: whoever waits gets what is left, or the error."""
        self._gone = True
        wake(self._read_waiters)
        wake(self._write_waiters)
        self._emit(EventType.STREAM_CLOSED, ErrorCodes.WT_SESSION_GONE)

    def _end_receiving(self, state: StreamState, code: int | None = None) -> None:
        if self._receiving is None:
            self._receiving = state
            self._ended(code)

    def _end_sending(self, state: StreamState, code: int | None = None) -> None:
        if self._sending is None:
            self._sending = state
            if self._write_waiters:
                wake(self._write_waiters)
            self._ended(code)

    def _ended(self, code: int | None) -> None:
        if code is not None:
            self._close_code = code
        if self.is_closed and self._closed_at is None:
            self._closed_at = time.perf_counter()
            if self._close_code is None:
                self._close_code = ErrorCodes.APP_NO_ERROR
            self._session._forget(self._handle, self)
            if not self._gone:
                self._emit(EventType.STREAM_CLOSED, self._close_code)

    def _buffered(self) -> int:
        try:
            return self._core.buffered(self._handle) if self._receiving is None else 0
        except _core.HandleError:
            return 0

    def _error(self, message: str, code: int | None = None, **details: Any) -> StreamError:
        return StreamError(message, stream_id=self.stream_id, error_code=code, details=details)

    def _session_gone(self) -> StreamError:
        self._session._driver.catch_up()
        reason = f": {self._session.close_reason}" if self._session.close_reason else ""
        return self._error(f"the session has ended{reason}", ErrorCodes.WT_SESSION_GONE)

    async def _wait(self, waiters: list[asyncio.Future[None]], timeout: float | None, operation: str) -> None:
        driver = self._session._driver
        future: asyncio.Future[None] = driver.loop.create_future()
        waiters.append(future)
        deadlines = None if timeout is None else driver.deadlines(timeout)
        if deadlines is not None:
            deadlines.add(future)
        try:
            await future
        except builtins.TimeoutError:
            raise TimeoutError(f"{operation} took longer than {timeout} s", operation=operation) from None
        finally:
            if deadlines is not None:
                deadlines.remove(future)
            # Whoever woke it has emptied the list
            if waiters and future in waiters:
                waiters.remove(future)


def sendable(data: Buffer | str) -> tuple[Buffer, int]:
    """What can be sent of an argument, text as UTF-8, and its size in bytes.

    Raises:
        TypeError: it is no buffer.
        BufferError: it is one that is not contiguous.
    """
    if type(data) is bytes:
        return data, len(data)
    if isinstance(data, str):
        data = data.encode()
    view = data if isinstance(data, memoryview) else memoryview(data)
    if not view.c_contiguous:
        raise BufferError("a buffer that is not contiguous cannot be sent: copy it with bytes() first")
    return data, view.nbytes


def wake(waiters: list[asyncio.Future[None]]) -> None:
    """Let everyone look again."""
    for future in waiters:
        if not future.done():
            future.set_result(None)
    waiters.clear()
