"""Streams of a session: receiving, sending, or both (draft-16 §4.2, §4.3).

Reading returns what has arrived, as one `bytes` object that was copied once, from the packets into it, or as
views of the packets' memory.
Writing takes any object with a contiguous buffer; immutable ones are not copied. Both wait for the peer's and
our own limits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, TypeAlias

from pywebtransport import _core
from pywebtransport._stream_base import BaseStream, StreamDiagnostics, sendable, wake
from pywebtransport.constants import ErrorCodes
from pywebtransport.exceptions import StreamError
from pywebtransport.types import Buffer, EventType, StreamState


class _ReceivingSide(BaseStream):
    """The methods of streams that can be read."""

    __slots__ = ()
    can_receive = True

    @property
    def can_read(self) -> bool:
        """Whether there may be more to read."""
        return self._receiving is None or bool(self._unread)

    async def read(self, *, max_bytes: int = -1) -> bytes:
        """What has arrived, at most `max_bytes`, waiting for the first byte; `b""` at the end of the stream.

        Raises:
            StreamError: the peer reset the stream, it was stopped here, or its session has ended.
            TimeoutError: nothing came within the `read_timeout` of the configuration.
        """
        if self._unread:
            size = len(self._unread) if max_bytes < 0 else max_bytes
            data = bytes(memoryview(self._unread)[:size])
            del self._unread[:size]
            return data
        if max_bytes == 0:
            return b""
        while (data_or_none := self._poll(max_bytes)) is None:
            await self._wait(self._read_waiters, self._session._config.read_timeout, "read")
        return data_or_none

    async def readviews(self, *, max_bytes: int = -1) -> list[memoryview]:
        """As `read`, without a copy: read-only views of the memory that the packets were received in, in
        their order; none at the end of the stream.

        A view keeps the memory of all that was received with it, up to 64 KiB: it is to be looked at or
        passed on, not to be stored.

        Raises:
            StreamError, TimeoutError: as `read`.
        """
        if self._unread or max_bytes == 0:
            data = await self.read(max_bytes=max_bytes)
            return [memoryview(data)] if data else []
        while not self._is_over():
            try:
                views = self._core.read_views(self._handle, max_bytes)
            except (_core.StreamResetError, _core.HandleError) as error:
                raise self._read_failed(error) from None
            self._note_read(None if views is None else sum(map(len, views)))
            if views is not None:
                return views
            await self._wait(self._read_waiters, self._session._config.read_timeout, "read")
        return []

    async def readinto(self, buffer: bytearray | memoryview) -> int:
        """Read into a writable contiguous buffer, waiting for the first byte. Returns the number of bytes, 0
        at the end.

        Raises:
            StreamError, TimeoutError: as `read`.
        """
        if self._unread:
            data = await self.read(max_bytes=len(buffer))
            memoryview(buffer).cast("B")[: len(data)] = data
            return len(data)
        while not self._is_over():
            try:
                count = self._core.read_into(self._handle, buffer)
            except (_core.StreamResetError, _core.HandleError) as error:
                raise self._read_failed(error) from None
            self._note_read(count)
            if count is not None:
                return count
            await self._wait(self._read_waiters, self._session._config.read_timeout, "read")
        return 0

    async def read_all(self) -> bytes:
        """Everything up to the end of the stream.

        Raises:
            StreamError, TimeoutError: as `read`.
        """
        chunks = [await self.read()] if self._unread else []
        while chunk := self._poll(-1):
            chunks.append(chunk)
        while chunk is None:
            await self._wait(self._read_waiters, self._session._config.read_timeout, "read")
            while chunk := self._poll(-1):
                chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def readexactly(self, *, n: int) -> bytes:
        """Exactly `n` bytes.

        Raises:
            ValueError: `n` is negative.
            asyncio.IncompleteReadError: the stream ended before; it carries what was there.
            StreamError, TimeoutError: as `read`.
        """
        if n < 0:
            raise ValueError(f"{n} bytes cannot be read")
        while len(self._unread) < n:
            if not await self._fill(n - len(self._unread)):
                partial = bytes(self._unread)
                self._unread.clear()
                raise asyncio.IncompleteReadError(partial, n)
        return await self.read(max_bytes=n) if n else b""

    async def readuntil(self, *, separator: bytes, limit: int = -1) -> bytes:
        """Everything up to a separator, including it.

        Args:
            separator: not empty.
            limit: the most bytes to take; default: `max_stream_read_buffer_size` of the configuration.

        Raises:
            ValueError: the separator is empty.
            asyncio.IncompleteReadError: the stream ended before; it carries what was there.
            StreamError: the limit was reached (nothing is lost then), or as `read`.
            TimeoutError: as `read`.
        """
        if not separator:
            raise ValueError("the separator is empty")
        if limit < 0:
            limit = self._session._config.max_stream_read_buffer_size
        searched = 0
        while True:
            found = self._unread.find(separator, searched)
            if found >= 0 and found + len(separator) <= limit:
                return await self.read(max_bytes=found + len(separator))
            if found >= 0 or len(self._unread) >= limit:
                raise self._error(f"no separator within {limit} bytes", limit=limit)
            searched = max(0, len(self._unread) - len(separator) + 1)
            if not await self._fill(-1):
                partial = bytes(self._unread)
                self._unread.clear()
                raise asyncio.IncompleteReadError(partial, None)

    async def readline(self, *, limit: int = -1) -> bytes:
        """A line with its line feed; as `readuntil`."""
        return await self.readuntil(separator=b"\n", limit=limit)

    async def stop_receiving(self, *, error_code: int = ErrorCodes.APP_NO_ERROR) -> None:
        """Ask the peer to stop sending (STOP_SENDING); what has arrived is dropped. No effect at the end."""
        if self._receiving is None:
            self._unread.clear()
            with contextlib.suppress(_core.HandleError):
                self._core.stop(self._handle, error_code)
            self._end_receiving(StreamState.RESET_SENT, error_code)
            wake(self._read_waiters)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if data := await self.read():
            return data
        raise StopAsyncIteration

    async def _fill(self, limit: int) -> int:
        """Add to what was received but not handed out; returns the number of bytes, 0 at the end."""
        while (data := self._poll(limit)) is None:
            await self._wait(self._read_waiters, self._session._config.read_timeout, "read")
        self._unread += data
        return len(data)

    def _poll(self, limit: int) -> bytes | None:
        if self._receiving is not None and self._is_over():
            return b""
        try:
            data = self._core.read(self._handle, limit)
        except (_core.StreamResetError, _core.HandleError) as error:
            raise self._read_failed(error) from None
        if data:
            # As below, without the call: nothing is done more often
            self._bytes_received += len(data)
            self._session._bytes_received += len(data)
        else:
            self._note_read(None if data is None else 0)
        return data

    def _is_over(self) -> bool:
        """Whether all was read; raises if it ended otherwise."""
        if self._receiving is None:
            return False
        if self._receiving is StreamState.HALF_CLOSED_REMOTE:
            return True
        raise self._error("the stream cannot be read any more", self._close_code)

    def _note_read(self, count: int | None) -> None:
        """So many bytes were read: none at the end, `None` if there was nothing yet."""
        if count:
            self._bytes_received += count
            self._session._bytes_received += count
        elif count is not None:
            self._end_receiving(StreamState.HALF_CLOSED_REMOTE)
        elif self._gone:
            self._end_receiving(StreamState.RESET_RECEIVED, ErrorCodes.WT_SESSION_GONE)
            raise self._session_gone()

    def _read_failed(self, error: Exception) -> StreamError:
        if isinstance(error, _core.StreamResetError):
            code: int | None = error.args[0]
            if code is None and self._gone:
                # Not by the peer
                self._end_receiving(StreamState.RESET_RECEIVED, ErrorCodes.WT_SESSION_GONE)
                return self._session_gone()
            self._emit(EventType.STREAM_RESET_RECEIVED, code)
            self._end_receiving(StreamState.RESET_RECEIVED, code or 0)
            return self._error("the peer reset the stream", code or 0, reset=True, application_code=code)
        self._end_receiving(StreamState.RESET_RECEIVED, ErrorCodes.WT_SESSION_GONE)
        return self._session_gone()


class _SendingSide(BaseStream):
    """The methods of streams that can be written."""

    __slots__ = ()
    can_send = True

    @property
    def can_write(self) -> bool:
        """Whether the sending direction is open."""
        return self._sending is None

    async def write(self, *, data: Buffer, end_stream: bool = False) -> None:
        """Send all of `data`, waiting while more than `max_stream_write_buffer_size` bytes are unsent.

        Raises:
            StreamError: the peer stopped the stream, it was finished or reset before, its session has ended,
                or `data` is no contiguous buffer.
            TimeoutError: there was no room within the `write_timeout` of the configuration.
        """
        data, size = (data, len(data)) if type(data) is bytes else self._sendable(data)
        if not size and (not end_stream or self._sending is StreamState.HALF_CLOSED_LOCAL):
            # Nothing to say, or said before
            return
        while True:
            if self._sending is not None:
                raise self._unwritable()
            try:
                if self._core.write(self._handle, data, end_stream):
                    break
            except (_core.StreamStoppedError, _core.HandleError) as error:
                raise self._write_failed(error) from None
            if self._gone:
                self._end_sending(StreamState.RESET_SENT, ErrorCodes.WT_SESSION_GONE)
                raise self._session_gone()
            await self._wait(self._write_waiters, self._session._config.write_timeout, "write")
        self._bytes_sent += size
        self._session._bytes_sent += size
        if end_stream:
            self._end_sending(StreamState.HALF_CLOSED_LOCAL)

    async def write_all(self, *, data: Buffer, chunk_size: int = 65536, end_stream: bool = False) -> None:
        """Send all of `data` in pieces of `chunk_size` bytes, each as `write`.

        Raises:
            ValueError: `chunk_size` is not positive.
            StreamError, TimeoutError: as `write`.
        """
        if chunk_size < 1:
            raise ValueError(f"pieces of {chunk_size} bytes cannot be sent")
        data, size = (data, len(data)) if type(data) is bytes else self._sendable(data)
        if size <= chunk_size:
            await self.write(data=data, end_stream=end_stream)
            return
        view = memoryview(data).cast("B")
        for start in range(0, size, chunk_size):
            end = start + chunk_size
            await self.write(data=view[start:end], end_stream=end_stream and end >= size)

    async def reset(self, *, error_code: int = ErrorCodes.APP_NO_ERROR) -> None:
        """Abandon the sending direction with a 32-bit application code (draft-16 §4.4).

        No effect at the end.
        """
        if self._sending in (None, StreamState.HALF_CLOSED_LOCAL):
            with contextlib.suppress(_core.HandleError):
                self._core.reset(self._handle, error_code)
            self._end_sending(StreamState.RESET_SENT, error_code)

    def _unwritable(self) -> StreamError:
        # The end of a session stops its streams without a code
        if self._gone or (self._stop_code == 0 and self._session.is_closed):
            return self._session_gone()
        if self._stop_code is not None:
            return self._error("the peer stopped the stream", self._stop_code, stopped=True)
        return self._error("the stream cannot be written any more")

    def _sendable(self, data: Buffer) -> tuple[Buffer, int]:
        try:
            return sendable(data)
        except (TypeError, BufferError) as error:
            raise self._error(str(error)) from error

    def _finish(self) -> None:
        if self._sending is None:
            with contextlib.suppress(_core.HandleError, _core.StreamStoppedError):
                self._core.finish(self._handle)
            self._end_sending(StreamState.HALF_CLOSED_LOCAL)

    def _write_failed(self, error: Exception) -> StreamError:
        if isinstance(error, _core.StreamStoppedError):
            code: int | None = error.args[0] if error.args else None
            self._end_sending(StreamState.RESET_SENT, code or 0)
            return self._error("the peer stopped the stream", code or 0, stopped=True, application_code=code)
        self._end_sending(StreamState.RESET_SENT, ErrorCodes.WT_SESSION_GONE)
        return self._session_gone()


class WebTransportReceiveStream(_ReceivingSide):
    """A unidirectional stream of the peer."""

    __slots__ = ()

    async def close(self) -> None:
        """Stop receiving, if the end has not been read."""
        await self.stop_receiving()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.stop_receiving(error_code=_code_of(exc_val))


class WebTransportSendStream(_SendingSide):
    """A unidirectional stream of our own."""

    __slots__ = ()

    async def close(self, *, error_code: int | None = None) -> None:
        """Finish the stream, or reset it with an application code."""
        await _close_sending(self, error_code)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close(error_code=None if exc_val is None else _code_of(exc_val))


class WebTransportStream(_ReceivingSide, _SendingSide):
    """A bidirectional stream."""

    __slots__ = ()

    async def close(self, *, error_code: int | None = None) -> None:
        """End both directions.

        Finish (or, with a code, reset) sending, stop receiving unless its end was read.
        """
        await _close_sending(self, error_code)
        await self.stop_receiving(error_code=error_code or ErrorCodes.APP_NO_ERROR)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close(error_code=None if exc_val is None else _code_of(exc_val))


StreamType: TypeAlias = WebTransportStream | WebTransportReceiveStream | WebTransportSendStream


async def _close_sending(stream: _SendingSide, error_code: int | None) -> None:
    if error_code is None:
        stream._finish()
    else:
        await stream.reset(error_code=error_code)


def _code_of(error: BaseException | None) -> int:
    """The code with which a block that was left by an exception abandons its stream: that of the exception,
    if it has one of an application.
    """
    if error is None:
        return ErrorCodes.APP_NO_ERROR
    if isinstance(error, asyncio.CancelledError):
        return ErrorCodes.APP_CANCELLED
    code = getattr(error, "error_code", None)
    return code if isinstance(code, int) and 0 <= code < 1 << 32 else ErrorCodes.APP_GENERIC_ERROR


__all__ = [
    "StreamDiagnostics",
    "StreamType",
    "WebTransportReceiveStream",
    "WebTransportSendStream",
    "WebTransportStream",
]
