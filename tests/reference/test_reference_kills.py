"""A peer that is killed says nothing: whatever waits for it ends with the idle time-out, and says why."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pywebtransport import (
    ClientError,
    SessionClosedError,
    StreamError,
    WebTransportClient,
    WebTransportSendStream,
    WebTransportSession,
    WebTransportStream,
)
from pywebtransport.types import EventType, SessionState
from reference_programs import child, client, said, serving

Run = Callable[[Any], Any]
Waits = dict[str, tuple[Coroutine[Any, Any, Any], type[Exception] | None]]

pytestmark = pytest.mark.usefixtures("built")
IDLE = 0.5
"""Seconds; the idle time-out where a peer falls silent."""
# What both sides allow each other, so that waits for room can be had: bytes of a stream, streams of a session
LIMITS: dict[str, Any] = {
    "initial_max_streams_bidi": 10,
    "initial_max_streams_uni": 1,
    "initial_max_data": 65_536,
    "max_stream_write_buffer_size": 65_536,
}
MORE_THAN_FITS = bytes(4 << 20)

SILENT = f"""
import asyncio, ssl, sys
from pywebtransport import ClientConfig, ServerApp, ServerConfig, WebTransportClient

LIMITS = {LIMITS}

async def silent(session):
    await asyncio.Event().wait()

async def serve(certificate, key):
    app = ServerApp(config=ServerConfig(certfile=certificate, keyfile=key, **LIMITS))
    app.route(path="/")(silent)

    # A request that is never answered
    async def hesitate(*, session):
        if session.path.endswith("?slow"):
            await asyncio.Event().wait()

    app.add_middleware(middleware=hesitate)
    async with app:
        await app.server.listen(host="127.0.0.1", port=0)
        print("port", app.server.local_addresses[0][1], flush=True)
        await asyncio.Event().wait()

async def connect(url):
    async with WebTransportClient(config=ClientConfig(verify_mode=ssl.CERT_NONE, **LIMITS)) as client:
        sessions = [await client.connect(url=url) for _ in range(3)]
        print("connected", flush=True)
        await asyncio.Event().wait()

asyncio.run({{"serve": serve, "connect": connect}}[sys.argv[1]](*sys.argv[2:]))
"""


async def iterate(streams: AsyncIterator[Any]) -> list[Any]:
    return [stream async for stream in streams]


async def fill(stream: WebTransportStream | WebTransportSendStream) -> None:
    while True:
        await stream.write_all(data=MORE_THAN_FITS)


async def waits(session: WebTransportSession) -> Waits:
    """Every call that waits for the peer, with the error that ends it; `None`: it just returns."""
    streams = [await session.create_bidirectional_stream() for _ in range(10)]
    uni = await session.create_unidirectional_stream()
    connection = session.connection
    return {
        "read": (streams[0].read(), StreamError),
        "read_all": (streams[1].read_all(), StreamError),
        "readexactly": (streams[2].readexactly(n=1), StreamError),
        "readuntil": (streams[3].readuntil(separator=b"x"), StreamError),
        "readline": (streams[4].readline(), StreamError),
        "readinto": (streams[5].readinto(bytearray(1)), StreamError),
        "async for": (iterate(streams[6]), StreamError),
        "write": (fill(streams[7]), StreamError),
        "write_all": (fill(streams[8]), StreamError),
        "write uni": (fill(uni), StreamError),
        "stream closed": (streams[9].events.wait_for(event_type=EventType.STREAM_CLOSED), None),
        "create bidi": (session.create_bidirectional_stream(), SessionClosedError),
        "create uni": (session.create_unidirectional_stream(), SessionClosedError),
        "accept bidi": (session.accept_bidirectional_stream(), SessionClosedError),
        "accept uni": (session.accept_unidirectional_stream(), SessionClosedError),
        "incoming bidi": (iterate(session.incoming_bidirectional_streams()), None),
        "incoming uni": (iterate(session.incoming_unidirectional_streams()), None),
        "receive_datagram": (session.receive_datagram(), SessionClosedError),
        "wait_closed": (session.wait_closed(), None),
        "session closed": (session.events.wait_for(event_type=EventType.SESSION_CLOSED), None),
        "connection closed": (connection.events.wait_for(event_type=EventType.CONNECTION_CLOSED), None),
    }


async def all_end(waiting: Waits, kill: Callable[[], None]) -> None:
    """Begin all waits, kill the peer, and see how each ends."""
    tasks = {name: asyncio.ensure_future(coroutine) for name, (coroutine, _) in waiting.items()}
    # All have begun, and what has room has been sent
    await asyncio.sleep(0.05)
    assert [name for name, task in tasks.items() if task.done()] == []
    kill()
    begin = asyncio.get_running_loop().time()
    await asyncio.wait(tasks.values())
    # The time-out, three probe time-outs (RFC 9000 §10.1), and a busy machine
    assert asyncio.get_running_loop().time() - begin < 20 * IDLE
    for name, (_, expected) in waiting.items():
        error = tasks[name].exception()
        if expected is None:
            assert error is None, name
        else:
            assert isinstance(error, expected), f"{name}: {error!r}"
            why = f"connection timed out: nothing was received for {IDLE} s"
            assert why in str(error), f"{name}: {error}"


async def past(session: WebTransportSession) -> None:
    """What has happened is there for those who ask later, and says why."""
    assert session.state is SessionState.CLOSED
    assert session.close_source == "connection"
    closed = await session.events.wait_for(event_type=EventType.SESSION_CLOSED)
    assert "timed out" in (closed.data or {})["reason"]
    lost = await session.connection.events.wait_for(event_type=EventType.CONNECTION_CLOSED)
    assert (lost.data or {})["source"] == "timeout"
    with pytest.raises(SessionClosedError, match="timed out"):
        await session.create_bidirectional_stream()


@asynccontextmanager
async def silent_server(
    certificate: tuple[str, str],
) -> AsyncIterator[tuple[subprocess.Popen[str], WebTransportClient, str]]:
    with child(SILENT, "serve", *certificate) as process:
        url = f"https://127.0.0.1:{await asyncio.to_thread(said, process, 'port')}/"
        async with client(connection_idle_timeout=IDLE, keep_alive_interval=None, **LIMITS) as peer:
            yield process, peer, url


def test_whatever_waits_for_a_server_that_is_killed(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with silent_server(certificate) as (process, peer, url):
            session = await peer.connect(url=url)
            others = [await peer.connect(url=url) for _ in range(2)]
            waiting = await waits(session)
            waiting["connect"] = (peer.connect(url=url + "?slow"), ClientError)
            await all_end(waiting, lambda: os.kill(process.pid, signal.SIGKILL))
            for each in (session, *others):
                await each.wait_closed()
                await past(each)
            assert (await peer.diagnostics()).connection_states == {}
            # Nobody is there any more, from the beginning on
            with pytest.raises(ClientError, match=f"nothing was received for {IDLE} s"):
                await peer.connect(url=url)

    run(main())


def test_closing_does_not_wait_for_a_server_that_is_killed(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with silent_server(certificate) as (process, peer, url):
            first, second = [await peer.connect(url=url) for _ in range(2)]
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.gather(first.close(), second.connection.close())
            assert first.is_closed
            assert second.is_closed

    run(main())


def test_whatever_waits_for_a_client_that_is_killed(run: Run, certificate: tuple[str, str]) -> None:
    sessions: list[WebTransportSession] = []
    served = asyncio.Event()

    async def handler(session: WebTransportSession) -> None:
        sessions.append(session)
        if len(sessions) == 3:
            served.set()
        await session.wait_closed()

    async def main() -> None:
        options = {"connection_idle_timeout": IDLE, "keep_alive_interval": None, **LIMITS}
        async with serving(certificate, handler, **options) as url:
            with child(SILENT, "connect", url) as process:
                await served.wait()
                await all_end(await waits(sessions[0]), lambda: os.kill(process.pid, signal.SIGKILL))
            for session in sessions:
                await session.wait_closed()
                await past(session)

    run(main())
