"""Cancellation at every await: nothing is left behind, and the other side sees the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pywebtransport import (
    ServerApp,
    ServerConfig,
    SessionClosedError,
    SessionError,
    StreamError,
    WebTransportClient,
    WebTransportSession,
)
from reference_programs import client, echo

Run = Callable[[Any], Any]

pytestmark = pytest.mark.usefixtures("built")


class Cut:
    """Cancels the task that awaits a coroutine when that suspends for the n-th time.

    Args:
        number: of the suspension, from 0.
        late: cancel when what is awaited has just completed, before the task has heard of it.
    """

    def __init__(self, number: int, late: bool) -> None:
        self._number = number
        self._late = late
        self.was_reached = False

    @types.coroutine
    def __call__(self, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Await a coroutine; to be awaited itself."""
        task = asyncio.current_task()
        assert task is not None
        count = 0
        try:
            awaited = coroutine.send(None)
            while True:
                if count == self._number:
                    self.was_reached = True
                    if self._late and asyncio.isfuture(awaited):
                        # Called before the task is woken, as it was added before
                        awaited.add_done_callback(lambda _: task.cancel())
                    else:
                        task.cancel()
                count += 1
                try:
                    value = yield awaited
                except BaseException as error:
                    awaited = coroutine.throw(error)
                else:
                    awaited = coroutine.send(value)
        except StopIteration as stop:
            return stop.value


def io_threads() -> int:
    """I/O threads of endpoints that there are."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        # One that has just ended
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            names.append((task / "comm").read_text().strip())
    return names.count("wt-io")


def held() -> tuple[int, int]:
    """Tasks, and threads, also those that are not Python's."""
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/task"))


@pytest.fixture(autouse=True)
def no_thread_of_another_test() -> None:
    """Threads that have ended but are still counted would be missed later."""
    gc.collect()
    while io_threads():
        time.sleep(0.001)


@pytest.fixture(autouse=True, scope="module")
def no_descriptor_left() -> Iterator[None]:
    """For all tests together, as an endpoint may have some until it is collected, which takes long."""

    def left() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    before = left()
    yield
    assert left() == before


async def until_released(before: tuple[int, int]) -> None:
    """Until there is no more than before; the system counts a thread for a moment after it was joined."""
    while held() != before:
        await asyncio.sleep(0.001)


async def served(session: WebTransportSession) -> None:
    """Echo, and a unidirectional stream for each of the client's."""
    async with asyncio.TaskGroup() as group:
        group.create_task(echo(session))
        async for _ in session.incoming_unidirectional_streams():
            with contextlib.suppress(StreamError, SessionError):
                async with await session.create_unidirectional_stream() as stream:
                    await stream.write(data=b"hello")


async def request(session: WebTransportSession, data: bytes = b"still there") -> None:
    async with await session.create_bidirectional_stream() as stream:
        await stream.write(data=data, end_stream=True)
        assert await stream.read_all() == data


# What is cut, with what it needs before. Where the session survives, it is used afterwards.


async def connecting(peer: WebTransportClient, url: str, cut: Cut) -> None:
    async with await cut(peer.connect(url=url)) as session:
        await request(session)


async def connecting_early(peer: WebTransportClient, url: str, cut: Cut) -> None:
    async with await cut(peer.connect_optimistic(url=url)) as session:
        await session.ensure_ready()


async def waiting_for_the_answer(peer: WebTransportClient, url: str, cut: Cut) -> None:
    async with await peer.connect_optimistic(url=url) as session:
        await survives(session, cut(session.ensure_ready()))


async def survives(session: WebTransportSession, operation: Awaitable[Any]) -> None:
    task = asyncio.current_task()
    assert task is not None
    try:
        await operation
    except asyncio.CancelledError:
        task.uncancel()
        await session.ensure_ready()
        await request(session)
        raise


async def creating(peer: WebTransportClient, url: str, cut: Cut) -> None:
    """The one stream that the server allows is in use; it ends when the second one is waited for."""
    async with await peer.connect(url=url) as session:
        first = await session.create_bidirectional_stream()

        async def end() -> None:
            await first.write(data=b"x", end_stream=True)
            await first.read_all()

        ending = asyncio.ensure_future(end())
        try:
            await survives(session, opened_and_closed(session, cut))
        finally:
            await ending


async def opened_and_closed(session: WebTransportSession, cut: Cut) -> None:
    async with await cut(session.create_bidirectional_stream()):
        pass


async def accepting(peer: WebTransportClient, url: str, cut: Cut) -> None:
    async with await peer.connect(url=url) as session:

        async def ask() -> None:
            async with await session.create_unidirectional_stream() as stream:
                await stream.write(data=b"x", end_stream=True)

        # Begins when the other has suspended
        asking = asyncio.ensure_future(ask())
        try:
            await survives(session, cut(session.accept_unidirectional_stream()))
        except asyncio.CancelledError:
            # It is not lost with the one who was to get it
            async with await session.accept_unidirectional_stream() as stream:
                assert await stream.read_all() == b"hello"
            raise
        finally:
            await asking


async def reading(peer: WebTransportClient, url: str, cut: Cut) -> None:
    async with await peer.connect(url=url) as session:

        async def operation() -> None:
            async with await session.create_bidirectional_stream() as stream:
                await stream.write(data=b"x" * 100_000, end_stream=True)
                assert len(await cut(stream.read_all())) == 100_000

        await survives(session, operation())


async def writing(peer: WebTransportClient, url: str, cut: Cut) -> None:
    async with await peer.connect(url=url) as session:

        async def operation() -> None:
            async with await session.create_bidirectional_stream() as stream:
                await cut(stream.write_all(data=bytes(2 << 20), end_stream=True))
                await stream.read_all()

        await survives(session, operation())


async def closing_a_stream(peer: WebTransportClient, url: str, cut: Cut) -> None:
    async with await peer.connect(url=url) as session:

        async def operation() -> None:
            async with await session.create_bidirectional_stream() as stream:
                await cut(stream.close())

        await survives(session, operation())


async def closing_the_session(peer: WebTransportClient, url: str, cut: Cut) -> None:
    async with await peer.connect(url=url) as session, await session.create_bidirectional_stream() as stream:
        await stream.write(data=b"open")
        await cut(session.close())


async def closing_the_connection(peer: WebTransportClient, url: str, cut: Cut) -> None:
    async with await peer.connect(url=url) as session:
        await session.create_bidirectional_stream()
        await cut(session.connection.close())


async def closing_the_client(peer: WebTransportClient, url: str, cut: Cut) -> None:
    session = await peer.connect(url=url)
    await session.create_bidirectional_stream()
    try:
        await cut(peer.close())
    finally:
        assert session.is_closed
        with pytest.raises(SessionClosedError):
            await session.accept_bidirectional_stream()


async def everything(peer: WebTransportClient, url: str, cut: Cut) -> None:
    async def program() -> None:
        async with peer, await peer.connect(url=url) as session:
            await request(session)

    await cut(program())


OPERATIONS = [
    connecting,
    connecting_early,
    waiting_for_the_answer,
    creating,
    accepting,
    reading,
    writing,
    closing_a_stream,
    closing_the_session,
    closing_the_connection,
    closing_the_client,
    everything,
]


def application(certificate: tuple[str, str]) -> ServerApp:
    app = ServerApp(
        config=ServerConfig(
            certfile=certificate[0],
            keyfile=certificate[1],
            quic_max_concurrent_bidi_streams=2,
            quic_stream_receive_window=65536,
            bind_host="127.0.0.1",
            bind_port=0,
        )
    )
    app.route(path="/")(served)
    return app


def url_of(app: ServerApp) -> str:
    return f"https://127.0.0.1:{app.server.local_addresses[0][1]}/"


async def until_gone(app: ServerApp) -> None:
    """Until the server has seen the end of all connections, and its handlers are done."""
    while len(app.server.connection_manager) or app._handlers:
        await asyncio.sleep(0.001)


async def nothing() -> None:
    """No more to look at after an attempt."""


async def cut_anywhere(
    attempt: Callable[[Cut], Awaitable[None]], late: bool, settled: Callable[[], Awaitable[None]] = nothing
) -> int:
    """Cancel at each suspension in turn, until there is none more; returns how many there were.

    Each attempt ends with the cancellation, leaves nothing, and passes `settled`.
    """
    before, number = held(), 0
    while True:
        cut = Cut(number, late)
        (result,) = await asyncio.gather(attempt(cut), return_exceptions=True)
        await until_released(before)
        await settled()
        if not cut.was_reached:
            assert result is None
            return number
        if not isinstance(result, asyncio.CancelledError):
            raise AssertionError(f"at suspension {number}: {result!r}") from result
        number += 1


@pytest.mark.parametrize("late", [False, True], ids=["waiting", "completed"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_a_client_that_is_cancelled_anywhere(
    run: Run, certificate: tuple[str, str], operation: Callable[..., Awaitable[None]], late: bool
) -> None:
    async def attempt(url: str, cut: Cut) -> None:
        peer = client(max_stream_write_buffer_size=65536)
        async with peer:
            await operation(peer, url, cut)
        assert (await peer.diagnostics()).connection_states == {}

    async def main() -> int:
        async with application(certificate) as app:
            await app.server.listen()

            async def settled() -> None:
                await until_gone(app)
                assert len(app.server.session_manager) == 0

            number = await cut_anywhere(lambda cut: attempt(url_of(app), cut), late, settled)
            stats = app.server.stats()
            assert (stats["sessions"], stats["stream_handles"]) == (0, 0)
            return number

    assert run(main()) > 0 or operation is closing_a_stream or operation is connecting_early


@pytest.mark.parametrize("late", [False, True], ids=["waiting", "completed"])
def test_a_server_that_is_cancelled_anywhere(run: Run, certificate: tuple[str, str], late: bool) -> None:
    async def attempt(cut: Cut) -> None:
        app = application(certificate)

        @app.on_startup
        async def start() -> None:
            await asyncio.sleep(0)

        async def end() -> None:
            while not app.server.is_serving:
                await asyncio.sleep(0)
            await app.server.close()

        ending = asyncio.ensure_future(end())
        try:
            await cut(app.serve())
        finally:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)
            assert not app.server.is_serving

    assert run(cut_anywhere(attempt, late)) > 1


@pytest.mark.parametrize("late", [False, True], ids=["waiting", "completed"])
def test_a_shutdown_that_is_cancelled_anywhere(run: Run, certificate: tuple[str, str], late: bool) -> None:
    async def attempt(cut: Cut) -> None:
        app = application(certificate)
        async with client() as peer, app:
            await app.server.listen()
            session = await peer.connect(url=url_of(app))
            await request(session)
            (served_session,) = app.server.session_manager.items()
            try:
                await cut(app.shutdown())
            finally:
                await session.wait_closed()
                assert served_session.is_closed
                assert len(app.server.connection_manager) == 0

    assert run(cut_anywhere(attempt, late)) > 1
