"""Nothing outlives its block: no task, thread, file descriptor or session, also on cancellation and
failure."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pywebtransport import (
    ClientError,
    SessionClosedError,
    StreamError,
    WebTransportClient,
    WebTransportSession,
)
from pywebtransport import _core as core
from pywebtransport._dial import race
from pywebtransport.types import StreamState
from reference_programs import client, echo, serving

Run = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Compare threads and descriptors before and after."""

    def left() -> tuple[int, int]:
        gc.collect()
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    before = left()
    yield
    assert left() == before


def test_leaving_the_client_ends_its_sessions(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url:
            async with client() as peer:
                session = await peer.connect(url=url)
                stream = await session.create_bidirectional_stream()
                await stream.write(data=b"open")
                reading = asyncio.ensure_future(stream.read_all())
                accepting = asyncio.ensure_future(session.accept_unidirectional_stream())
                await asyncio.sleep(0)
            assert session.is_closed
            with pytest.raises(StreamError):
                await reading
            with pytest.raises(SessionClosedError):
                await accepting
            with pytest.raises(ClientError):
                await peer.connect(url=url)

    run(main())


def test_a_cancelled_block_cleans_up(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        inside = asyncio.Event()
        kept: list[WebTransportSession] = []

        async def block(url: str) -> None:
            async with client() as peer, await peer.connect(url=url) as session:
                kept.append(session)
                async with await session.create_bidirectional_stream() as stream:
                    inside.set()
                    await stream.read_all()

        async with serving(certificate, echo) as url:
            task = asyncio.ensure_future(block(url))
            await inside.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert kept[0].is_closed

    run(main())


def test_an_exception_resets_the_stream_of_its_block(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            with pytest.raises(LookupError):
                async with await session.create_bidirectional_stream() as stream:
                    await stream.write(data=b"part")
                    raise LookupError
            assert stream.state is StreamState.CLOSED
            assert (await stream.diagnostics()).close_code == 0x1001
            assert (await session.diagnostics()).active_streams == []

    run(main())


def test_finished_streams_are_forgotten(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            known = len(session._driver.targets)
            for _ in range(300):
                stream = await session.create_bidirectional_stream()
                await stream.write_all(data=b"x", end_stream=True)
                assert await stream.read_all() == b"x"
            assert len(session._driver.targets) == known
            assert session._streams == {}

    run(main())


def test_a_cancelled_connect_leaves_no_connection(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def slow(*, session: Any) -> None:
            gate.set()
            await asyncio.Event().wait()

        async with serving(certificate, echo, middleware=slow) as url, client() as peer:
            task = asyncio.ensure_future(peer.connect(url=url))
            await gate.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await peer.diagnostics()).connection_states == {}

    run(main())


def test_a_client_that_was_never_used_has_no_thread(run: Run) -> None:
    async def main() -> None:
        before = threading.active_count()
        async with WebTransportClient() as peer:
            assert threading.active_count() == before
            assert str(peer) == "WebTransportClient(status=open, connections=0)"
        assert peer.is_closed

    run(main())


def test_a_connection_goes_with_its_last_session(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            first = await peer.connect(url=url)
            second = await first.connection.create_session(authority="localhost", path="/")
            await first.close()
            assert first.connection.is_connected
            await second.close()
            # It closes already, so this only waits
            assert first.connection.is_closing or first.connection.is_closed
            await first.connection.close()
            assert (await peer.diagnostics()).connection_states == {}

    run(main())


def test_a_failure_of_the_core_is_told_to_everyone(
    run: Run, certificate: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            stream = await session.create_bidirectional_stream()
            await stream.write(data=b"no end")
            reading = asyncio.ensure_future(stream.read())
            await asyncio.sleep(0)
            # What the I/O thread says if it panics (wt-reactor, shared.rs)
            peer._driver._on_other(core.ENDPOINT_CLOSED, 0, ("a panic",))  # type: ignore[union-attr]
            with pytest.raises(StreamError, match="the core failed: a panic"):
                await reading
            await session.wait_closed()
            with pytest.raises(SessionClosedError, match="the core failed: a panic"):
                await session.create_bidirectional_stream()

    run(main())
    assert "the core failed: a panic" in caplog.text


def test_what_an_ended_session_left_unread_is_released(
    run: Run, built: None, certificate: tuple[str, str]
) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            streams = [await session.create_bidirectional_stream() for _ in range(5)]
            for stream in streams:
                await stream.write(data=b"no end")
            core = session._driver.core
            assert core.stats()["stream_handles"] == 5
            await session.close()
            # As long as someone has it, it can be asked
            with pytest.raises(StreamError, match="the session has ended"):
                await streams[0].read()
            del stream, streams, session
            gc.collect()
            assert core.stats()["stream_handles"] == 0
            assert core.stats()["sessions"] == 0

    run(main())


@pytest.mark.parametrize("steps", range(8))
def test_a_race_that_is_cancelled_discards_what_was_won(run: Run, steps: int) -> None:
    won: list[int] = []
    discarded: list[int] = []

    async def attempt() -> int:
        await asyncio.sleep(0)
        won.append(1)
        return 1

    async def main() -> None:
        task = asyncio.ensure_future(race([attempt, attempt], 0.0, discarded.append))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        kept = await asyncio.gather(task, return_exceptions=True)
        assert len(won) == len(discarded) + (kept == [1])

    run(main())
