"""What a session meets at an endpoint: echo, unless the endpoint says otherwise.

One object serves one session. Its parameters are read and checked before the session is accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ClassVar

from pywebtransport.constants import ErrorCodes
from pywebtransport.events import Event
from pywebtransport.exceptions import DatagramError, SessionError, StreamError, TimeoutError
from pywebtransport.interop.query import Query
from pywebtransport.session import WebTransportSession
from pywebtransport.stream import WebTransportReceiveStream, WebTransportSendStream, WebTransportStream
from pywebtransport.types import EventType

if TYPE_CHECKING:
    from pywebtransport.interop.hub import Hub

logger = logging.getLogger(__name__)


class Service:
    """A session at an endpoint.

    Raises:
        BadParameter: a parameter of the path has an impossible value.
    """

    name: ClassVar[str] = "echo"
    path: ClassVar[str | None] = None
    """Where the endpoint is; default: `/` and its name."""

    def __init__(self, session: WebTransportSession, query: Query, hub: Hub) -> None:
        self.session = session
        self.query = query
        self.hub = hub
        self.accept_after = query.milliseconds("accept_after_ms")
        self.touched = asyncio.Event()
        """Set when the first stream of the client has carried a byte or ended."""
        self._group: asyncio.TaskGroup | None = None

    # What endpoints change

    async def admit(self) -> None:
        """Called before the session is accepted.

        Raises:
            MiddlewareRejected: the session is refused.
        """

    async def act(self) -> None:
        """What the server does on its own, beside what the streams of the client make it do."""

    async def answer(self) -> Any:
        """The JSON answer to a query stream; `None` where the endpoint has none."""
        return None

    async def on_bidi(self, stream: WebTransportStream) -> None:
        """A bidirectional stream of the client."""
        await self.echo_bidi(stream)

    async def on_uni(self, stream: WebTransportReceiveStream) -> None:
        """A unidirectional stream of the client."""
        await self.echo_uni(stream)

    def on_datagram(self, data: bytes) -> None:
        """A datagram of the client."""
        with contextlib.suppress(DatagramError, SessionError):
            self.session.send_datagram_nowait(data)

    # Running

    async def run(self) -> None:
        """Serve until the session ends."""

        def datagram(event: Event) -> None:
            self.on_datagram((event.data or {})["data"])

        self.session.events.on(event_type=EventType.DATAGRAM_RECEIVED, handler=datagram)
        try:
            async with asyncio.TaskGroup() as self._group:
                self.spawn(self._bidi_streams())
                self.spawn(self._uni_streams())
                acting = self.spawn(self.act())
                await self.session.wait_closed()
                # What still acts has nothing left to act on; the streams end by themselves.
                acting.cancel()
        finally:
            self._group = None
            self.session.events.off(event_type=EventType.DATAGRAM_RECEIVED, handler=datagram)

    def spawn(self, operation: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run an operation beside the others; the end of its stream or session may cut it short."""
        if self._group is None:
            raise RuntimeError("the session is not being served")
        task = self._group.create_task(guarded(operation))
        # One that is cancelled before its first step has not begun the operation either
        task.add_done_callback(lambda _: operation.close())
        return task

    async def _bidi_streams(self) -> None:
        slots = asyncio.Semaphore(self._at_a_time("quic_max_concurrent_bidi_streams"))
        async for stream in self.session.incoming_bidirectional_streams():
            await self._serve(self.on_bidi(stream), slots)

    async def _uni_streams(self) -> None:
        slots = asyncio.Semaphore(self._at_a_time("quic_max_concurrent_uni_streams"))
        async for stream in self.session.incoming_unidirectional_streams():
            await self._serve(self.on_uni(stream), slots)

    def _at_a_time(self, limit: str) -> int:
        """Streams that are served at a time: more than QUIC allows, as an answer may outlast its stream."""
        return 2 * int(getattr(self.session.connection.config, limit))

    async def _serve(self, operation: Coroutine[Any, Any, None], slots: asyncio.Semaphore) -> None:
        """A peer that does not take the answers is given no more of them."""
        try:
            await slots.acquire()
        except asyncio.CancelledError:
            operation.close()
            raise
        self.spawn(operation).add_done_callback(lambda _: slots.release())

    # Echo

    async def echo_bidi(self, stream: WebTransportStream) -> None:
        """Send back what arrives, end as it ends; answer if nothing came and the endpoint has an answer."""

        async def stopped(event: Event) -> None:
            await stream.stop_receiving(error_code=(event.data or {})["error_code"] or 0)

        stream.events.on(event_type=EventType.STOP_SENDING_RECEIVED, handler=stopped)
        try:
            data = await stream.read()
            self.touched.set()
            if not data and (answer := await self.answer()) is not None:
                await stream.write_all(data=encode(answer), end_stream=True)
                return
            while data:
                await stream.write(data=data)
                data = await stream.read()
            await stream.write(data=b"", end_stream=True)
        except StreamError as error:
            self.touched.set()
            await end_like(stream, error)
        finally:
            # It holds the stream, and the stream it
            stream.events.off(event_type=EventType.STOP_SENDING_RECEIVED, handler=stopped)

    async def echo_uni(self, stream: WebTransportReceiveStream) -> None:
        """Send what arrives on a new unidirectional stream, and end it in the same way."""
        answer: WebTransportSendStream | None = None
        try:
            while data := await stream.read():
                self.touched.set()
                if answer is None:
                    answer = await self.session.create_unidirectional_stream()
                await answer.write(data=data)
            self.touched.set()
            if answer is None:
                answer = await self.session.create_unidirectional_stream()
            await answer.write(data=b"", end_stream=True)
        except StreamError as error:
            self.touched.set()
            if answer is None and error.details.get("reset"):
                answer = await self.session.create_unidirectional_stream()
            if answer is not None and answer.can_write:
                await answer.reset(error_code=application_code(error))
            await stream.stop_receiving(error_code=application_code(error))


async def end_like(stream: WebTransportStream, error: StreamError) -> None:
    """Abandon both directions with the code of the peer, 0 where it has none."""
    code = application_code(error)
    if stream.can_write:
        await stream.reset(error_code=code)
    await stream.stop_receiving(error_code=code)


def application_code(error: StreamError) -> int:
    """The application's code of a reset or stop by the peer; 0 where there is none."""
    code = error.details.get("application_code")
    return code if isinstance(code, int) else ErrorCodes.APP_NO_ERROR


async def guarded(operation: Coroutine[Any, Any, None]) -> None:
    """Run an operation that the end of its stream or session may cut short."""
    try:
        await operation
    except (StreamError, SessionError, TimeoutError) as error:
        logger.debug("cut short: %s", error)


def encode(answer: Any) -> bytes:
    """JSON in UTF-8; bytes are taken as they are."""
    return answer if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False).encode()
