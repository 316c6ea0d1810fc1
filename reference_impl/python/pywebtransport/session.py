"""A WebTransport session: streams, datagrams, and its end (draft-ietf-webtrans-http3-16)."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pywebtransport import _core
from pywebtransport._endpoint import header_lines
from pywebtransport._session_base import PendingStream, SessionBase
from pywebtransport._session_diagnostics import SessionDiagnostics
from pywebtransport._stream_base import BaseStream, sendable, wake
from pywebtransport.constants import ErrorCodes
from pywebtransport.exceptions import DatagramError, SessionClosedError, TimeoutError
from pywebtransport.stream import WebTransportReceiveStream, WebTransportSendStream, WebTransportStream
from pywebtransport.types import Buffer, EventType, Headers, SessionState

S = TypeVar("S", bound=BaseStream)
_OPEN: Final = (SessionState.CONNECTED, SessionState.DRAINING)


class WebTransportSession(SessionBase):
    """A session; made by `WebTransportClient.connect` or by a server.

    `events` emits DATAGRAM_RECEIVED, STREAM_OPENED, SESSION_READY, SESSION_DRAINING and SESSION_CLOSED.
    Datagrams, streams and the end are retained until someone listens.
    """

    # Establishment, on a server

    async def accept(self) -> None:
        """Accept the request of a client with status 200.

        Raises:
            SessionError: the request was answered or has gone, or `wt_protocol` was not offered.
        """
        self._require(SessionState.CONNECTING)
        if self._protocol is not None and self._protocol not in (self._available or ()):
            raise self._error(f"the protocol {self._protocol!r} was not offered")
        try:
            self._driver.core.accept_session(self._handle, protocol=self._protocol)
        except (_core.HandleError, ValueError) as error:
            raise self._error(str(error)) from error
        await self._established()

    async def reject(
        self, *, status_code: int = HTTPStatus.FORBIDDEN, headers: Headers | None = None
    ) -> None:
        """Refuse the request of a client.

        No effect if it was refused before.

        Raises:
            SessionError: the request was accepted.
        """
        if self._state is SessionState.CLOSED:
            return
        self._require(SessionState.CONNECTING)
        try:
            self._driver.core.reject_session(
                self._handle, status=int(status_code), headers=header_lines(headers)
            )
        except (_core.HandleError, ValueError) as error:
            raise self._error(str(error)) from error
        self._end(ErrorCodes.H3_REQUEST_REJECTED, f"status {int(status_code)}", "local")

    # Establishment, on a client

    async def ensure_ready(self) -> None:
        """Wait for the answer of the server, after `connect_optimistic`.

        Raises:
            SessionError: it refused, or the session has ended; as `WebTransportConnection.create_session`.
        """
        if self._state is SessionState.CONNECTING:
            await self._established()
        self._require(*_OPEN)

    def _begin_early(self) -> None:
        """Streams and datagrams need not wait for the answer."""
        self._is_early = True
        # Who waits for the answer gets its error; nobody has to
        self._answered.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._tell(EventType.SESSION_PENDING, path=self._path, headers=self.headers)

    async def _established(self) -> dict[str, Any]:
        if self._is_early:
            # Any number of tasks may wait
            return await asyncio.shield(self._answered)
        if self._answered.cancelled():
            # With whoever waited before; nobody else does
            self._answered = asyncio.get_running_loop().create_future()
        return await self._answered

    # Streams

    async def create_bidirectional_stream(self) -> WebTransportStream:
        """Open a bidirectional stream, waiting for the limits of the peer.

        Raises:
            SessionError: the session is not open, or ends meanwhile.
            TimeoutError: there is no room within the `stream_creation_timeout` of the configuration.
        """
        return await self._open(WebTransportStream)

    async def create_unidirectional_stream(self) -> WebTransportSendStream:
        """Open a unidirectional stream; as `create_bidirectional_stream`."""
        return await self._open(WebTransportSendStream)

    async def accept_bidirectional_stream(self) -> WebTransportStream:
        """The next bidirectional stream of the peer.

        Raises:
            SessionClosedError: the session has ended.
        """
        return await self._accept(self._incoming_bidi)

    async def accept_unidirectional_stream(self) -> WebTransportReceiveStream:
        """The next unidirectional stream of the peer; as `accept_bidirectional_stream`."""
        return await self._accept(self._incoming_uni)

    async def incoming_bidirectional_streams(self) -> AsyncGenerator[WebTransportStream, None]:
        """The bidirectional streams of the peer, until the session ends."""
        try:
            queue = self._incoming_bidi
            while True:
                yield queue.popleft() if queue else await self._accept(queue)
        except SessionClosedError:
            return

    async def incoming_unidirectional_streams(self) -> AsyncGenerator[WebTransportReceiveStream, None]:
        """The unidirectional streams of the peer, until the session ends."""
        try:
            queue = self._incoming_uni
            while True:
                yield queue.popleft() if queue else await self._accept(queue)
        except SessionClosedError:
            return

    async def _open(self, kind: type[S]) -> S:
        if self._state is not SessionState.CONNECTED:
            self._require_open()
        core = self._driver.core
        try:
            at_once = core.open_stream_at_once(self._handle, kind.can_receive)
            if at_once is not None:
                stream = self._placed(kind, -1, at_once[0])
                stream._place = at_once[1]
                return stream
            handle = core.open_stream(self._handle, kind.can_receive)
        except _core.HandleError:
            raise self._closed_error() from None
        pending = PendingStream(self, kind, handle)
        timeout = self._config.stream_creation_timeout
        try:
            async with asyncio.timeout(timeout):
                return await pending.stream
        except builtins.TimeoutError:
            pending.forget()
            raise TimeoutError(f"no stream within {timeout} s", operation="open stream") from None
        except asyncio.CancelledError:
            pending.forget()
            raise
        finally:
            pending.abandon()

    def _require_open(self) -> None:
        if not (self._is_early and self._state is SessionState.CONNECTING):
            self._require(*_OPEN)

    async def _accept(self, queue: deque[S]) -> S:
        while not queue:
            if self._state in (SessionState.CLOSED, SessionState.CLOSING):
                raise self._closed_error()
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._acceptors.append(future)
            try:
                await future
            finally:
                if future in self._acceptors:
                    self._acceptors.remove(future)
        return queue.popleft()

    # Datagrams

    async def send_datagram(self, *, data: Buffer) -> None:
        """Send a datagram. It is dropped, as the network may drop it, while too many wait to be sent.

        Raises:
            DatagramError: it is larger than `max_datagram_size`, or no contiguous buffer.
            SessionError: the session is not open.
        """
        self._require_open()
        self.send_datagram_nowait(data)

    def send_datagram_nowait(self, data: Buffer) -> bool:
        """As `send_datagram`. Returns whether the datagram was queued; `False` means that it was dropped."""
        try:
            data, size = sendable(data)
        except (TypeError, BufferError) as error:
            raise DatagramError(str(error)) from error
        try:
            if size > self._config.max_datagram_size:
                raise ValueError
            queued = self._driver.core.send_datagram(self._handle, data)
        except ValueError:
            limit = self.max_datagram_size
            raise DatagramError(f"{size} bytes exceed {limit}", datagram_size=size, max_size=limit) from None
        except _core.HandleError:
            raise self._closed_error() from None
        if queued:
            self._datagrams_sent += 1
            self._datagram_bytes_sent += size
        return queued

    async def receive_datagram(self) -> bytes:
        """The next datagram that no listener took.

        Raises:
            SessionClosedError: the session has ended.
        """
        if self._state is SessionState.CLOSED:
            raise self._closed_error()
        wanted: list[EventType | str] = [EventType.DATAGRAM_RECEIVED, EventType.SESSION_CLOSED]
        event = await self.events.wait_for(event_type=wanted)
        if event.type == EventType.SESSION_CLOSED:
            raise self._closed_error()
        data: bytes = event.data["data"]  # type: ignore[index]
        return data

    @property
    def max_datagram_size(self) -> int:
        """Largest payload, in bytes, that can be sent at present; 0 if the peer takes none."""
        try:
            limit = self._driver.core.max_datagram_size(self._handle)
        except _core.HandleError:
            return 0
        return min(limit, self._config.max_datagram_size)

    # Keys, diagnostics

    async def export_keying_material(self, *, label: str, context: Buffer, length: int) -> bytes:
        """Keying material bound to this session (draft-16 §4.8).

        Raises:
            SessionError: the session is not open, or an argument is too long.
        """
        self._require(*_OPEN)
        try:
            token = self._driver.core.export_keying_material(
                self._handle, label.encode(), bytes(context), length
            )
        except (ValueError, OverflowError, _core.HandleError) as error:
            raise self._error(str(error)) from error
        material: bytes | None = await self._driver.answer(token)
        if material is None:
            raise self._error("there is no keying material for this")
        return material

    async def diagnostics(self) -> SessionDiagnostics:
        """What is known of the session."""
        limits: dict[str, Any] | None = None
        with contextlib.suppress(_core.HandleError):
            limits = await self._driver.answer(self._driver.core.session_limits(self._handle))
        return SessionDiagnostics.of(self, limits)

    def answer_stops_with(self, *, error_code: int | None) -> None:
        """Choose the code of the resets that answer STOP_SENDING; None copies the peer's (the default).

        RFC 9000 §3.5 leaves the code to the protocol of the application.

        Raises:
            SessionError: the session is not open.
        """
        self._require(*_OPEN)
        try:
            self._driver.core.answer_stops_with(self._handle, error_code)
        except _core.HandleError:
            raise self._closed_error() from None

    # The end

    async def drain(self) -> None:
        """Ask the peer to finish the session (WT_DRAIN_SESSION, draft-16 §4.7). It stays usable.

        Raises:
            SessionError: the session is not open.
        """
        self._require(*_OPEN)
        try:
            self._driver.core.drain_session(self._handle)
        except _core.HandleError:
            raise self._closed_error() from None

    async def close(self, *, error_code: int = ErrorCodes.APP_NO_ERROR, reason: str | None = None) -> None:
        """End the session and its streams; waits up to `close_timeout`. No effect if it has ended.

        Args:
            error_code: 32-bit application code.
            reason: at most 1024 bytes of UTF-8; a longer one is cut at a character.

        Raises:
            ValueError: `error_code` has more than 32 bits.
        """
        if self._state is SessionState.CLOSED:
            return
        if self._state is SessionState.CONNECTING and not self._connection.is_client:
            await self.reject()
            return
        if not 0 <= error_code < 1 << 32:
            raise ValueError(f"{error_code} is no code of 32 bits")
        if self._state is not SessionState.CLOSING:
            self._state = SessionState.CLOSING
            text = (reason or "").encode()[:1024].decode(errors="ignore")
            self._closing = (error_code, text)
            try:
                self._driver.core.close_session(self._handle, error_code, text)
            except _core.HandleError:
                self._end(error_code, text, "local")
            wake(self._acceptors)
        try:
            await self._ended.wait(self._driver.closing)
        except builtins.TimeoutError:
            self._end(error_code, reason or "", "local")

    def _leave(self) -> None:
        """The session is open, and the core is about to close it."""
        self._state = SessionState.CLOSING
        wake(self._acceptors)

    async def finish(self) -> None:
        """End the session by finishing its CONNECT stream, without a close message; else as `close`."""
        if self._state in _OPEN:
            self._state = SessionState.CLOSING
            try:
                self._driver.core.close_session(self._handle, capsule=False)
            except _core.HandleError:
                self._end(ErrorCodes.APP_NO_ERROR, "", "local")
            wake(self._acceptors)
        await self.close()

    async def wait_closed(self) -> None:
        """Wait for the end of the session."""
        await self._ended.wait()

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


__all__ = ["SessionDiagnostics", "WebTransportSession"]
