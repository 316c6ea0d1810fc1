"""Transfers over networks that are no good, and ends that nobody announces."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pywebtransport import SessionClosedError, StreamError, WebTransportSession
from pywebtransport.types import SessionState
from reference_programs import client, echo, serving

from scenarios.network import PROFILES, RelayProcess

Run = Callable[[Any], Any]

pytestmark = pytest.mark.usefixtures("built")
IDLE = 0.5
"""Seconds; the idle time-out where a peer falls silent."""


# draft-16 §9 leaves this to QUIC: loss and order (RFC 9002), addresses (RFC 9000 §9), path MTU (§14)
@pytest.mark.parametrize("profile", ["harsh", "reorder", "outage", "narrow", "rebinding"])
def test_every_byte_arrives(run: Run, certificate: tuple[str, str], profile: str) -> None:
    # With 5 % loss and 100 ms to and fro, little goes through in a second
    body = random.Random(profile).randbytes(15_000 if profile == "harsh" else 150_000)
    digest = hashlib.sha256(body).digest()

    async def transfer(session: WebTransportSession) -> bytes:
        stream = await session.create_bidirectional_stream()
        _, back = await asyncio.gather(stream.write_all(data=body, end_stream=True), stream.read_all())
        return hashlib.sha256(back).digest()

    async def main() -> None:
        async with serving(certificate, echo) as url:
            port = int(url.rstrip("/").rpartition(":")[2])
            with RelayProcess(PROFILES[profile], 1, ("127.0.0.1", port)) as relay:
                async with client() as peer:
                    session = await peer.connect(url="https://{}:{}/".format(*relay.address))
                    assert await asyncio.gather(*(transfer(session) for _ in range(3))) == [digest] * 3

    run(main())


@contextmanager
def child(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A program of Python; killed at the end."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], word: str) -> str:
    """The line with which a program says something."""
    assert process.stdout is not None
    line = next(line for line in process.stdout if line.startswith(word))
    return line.removeprefix(word).strip()


SERVE = """
from pywebtransport.interop.__main__ import main
main(["--host", "127.0.0.1", "--port", "0"])
"""
CONNECT = """
import asyncio, ssl, sys
from pywebtransport import ClientConfig, WebTransportClient

async def main():
    async with WebTransportClient(config=ClientConfig(verify_mode=ssl.CERT_NONE)) as client:
        sessions = [await client.connect(url=sys.argv[1]) for _ in range(3)]
        print("connected", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_server_that_is_killed_ends_all_sessions(run: Run) -> None:
    async def main(process: subprocess.Popen[str], url: str) -> None:
        async with client(connection_idle_timeout=IDLE) as peer:
            sessions = [await peer.connect(url=url + "echo") for _ in range(3)]
            stream = await sessions[0].create_bidirectional_stream()
            await stream.write(data=b"never answered, as its end is missing")
            await stream.read()
            os.kill(process.pid, signal.SIGKILL)
            begin = asyncio.get_running_loop().time()
            with pytest.raises(StreamError, match="ended"):
                await stream.read()
            for session in sessions:
                await session.wait_closed()
                assert session.state is SessionState.CLOSED
                with pytest.raises(SessionClosedError, match="timed out"):
                    await session.create_bidirectional_stream()
            # The time-out, three probe time-outs (RFC 9000 §10.1), and a busy machine
            assert asyncio.get_running_loop().time() - begin < 20 * IDLE

    with child(SERVE) as process:
        run(main(process, said(process, "listening on")))


def test_a_client_that_is_killed_ends_all_sessions(run: Run, certificate: tuple[str, str]) -> None:
    ended: list[WebTransportSession] = []
    all_ended = asyncio.Event()

    async def handler(session: WebTransportSession) -> None:
        await session.wait_closed()
        ended.append(session)
        if len(ended) == 3:
            all_ended.set()

    async def main() -> None:
        async with serving(certificate, handler, connection_idle_timeout=IDLE) as url:
            with child(CONNECT, url) as process:
                await asyncio.to_thread(said, process, "connected")
                os.kill(process.pid, signal.SIGKILL)
                await all_ended.wait()
            for session in ended:
                with pytest.raises(SessionClosedError, match="timed out"):
                    await session.create_bidirectional_stream()

    run(main())
