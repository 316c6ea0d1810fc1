"""Transfers over networks that are no good, and ends that nobody announces."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pywebtransport import SessionClosedError, StreamError, WebTransportSession
from pywebtransport.types import SessionState
from reference_programs import child, client, echo, said, serving

from scenarios.network import PROFILES, RelayProcess

Run = Callable[[Any], Any]

pytestmark = pytest.mark.usefixtures("built")
IDLE = 0.5
"""Seconds; the idle time-out where a peer falls silent."""


# A congestion controller that takes loss for congestion gives up most of its rate under these
LOSSY = {"harsh", "reorder"}
MIB = 1 << 20


@asynccontextmanager
async def behind_a_relay(
    certificate: tuple[str, str], profile: str, log: Path
) -> AsyncIterator[WebTransportSession]:
    """A session with the echo server through a relay."""
    control = "bbr" if profile in LOSSY else "cubic"
    async with serving(certificate, echo, congestion_control_algorithm=control) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        with RelayProcess(PROFILES[profile], 1, ("127.0.0.1", port), log=log) as relay:
            async with client(congestion_control_algorithm=control) as peer:
                yield await peer.connect(url="https://{}:{}/".format(*relay.address))


def fates(log: Path) -> dict[str, int]:
    """What the relay counted."""
    summary = json.loads(log.read_text().splitlines()[-1])["summary"]
    return {name: int(count) for name, count in summary.items()}


# draft-16 §9 leaves this to QUIC: loss and order (RFC 9002), addresses (RFC 9000 §9), path MTU (§14)
@pytest.mark.parametrize(
    ("profile", "met"),
    [
        (
            "harsh",
            ["up.lost", "down.lost", "up.reordered", "down.reordered", "up.duplicated", "down.duplicated"],
        ),
        ("reorder", ["up.reordered", "down.reordered", "up.duplicated", "down.duplicated"]),
        ("narrow", ["up.oversize", "down.oversize"]),
        ("rebinding", ["up.rebinding"]),
    ],
)
def test_every_byte_arrives(
    run: Run, certificate: tuple[str, str], tmp_path: Path, profile: str, met: list[str]
) -> None:
    """1 MiB to the server and 1 MiB back, of which the relay spoils what the profile says: `harsh` has 5 %
    loss and 50 ms ± 20 ms each way, `narrow` a path MTU of 1280, `rebinding` new addresses of the client.
    """
    body = random.Random(profile).randbytes(MIB)
    digest = hashlib.sha256(body).digest()
    log = tmp_path / "fates.jsonl"

    async def main() -> None:
        async with behind_a_relay(certificate, profile, log) as session:
            stream = await session.create_bidirectional_stream()
            _, back = await asyncio.gather(stream.write_all(data=body, end_stream=True), stream.read_all())
            assert hashlib.sha256(back).digest() == digest

    run(main())
    counts = fates(log)
    assert not [name for name in met if not counts.get(name)]


def test_an_outage_is_survived(run: Run, certificate: tuple[str, str], tmp_path: Path) -> None:
    """As above, with an outage of 2 s in the middle: half of the bytes go before it, and the rest when small
    requests are no longer answered.
    """
    body = random.Random("blackout").randbytes(MIB)
    digest = hashlib.sha256(body).digest()
    log = tmp_path / "fates.jsonl"

    async def request(session: WebTransportSession, data: bytes) -> bytes:
        stream = await session.create_bidirectional_stream()
        await stream.write(data=data, end_stream=True)
        return await stream.read_all()

    async def main() -> None:
        async with behind_a_relay(certificate, "blackout", log) as session:
            stream = await session.create_bidirectional_stream()
            await stream.write_all(data=body[: MIB // 2])
            asked = asyncio.ensure_future(request(session, b"before"))
            # If a request is late for another reason, the outage meets the whole transfers at the end instead
            while (await asyncio.wait({asked}, timeout=0.2))[0]:
                assert await asked == b"before"
                asked = asyncio.ensure_future(request(session, b"before"))
            _, back, _ = await asyncio.gather(
                stream.write_all(data=body[MIB // 2 :], end_stream=True), stream.read_all(), asked
            )
            assert hashlib.sha256(back).digest() == digest
            while b'"fate":"outage"' not in await asyncio.to_thread(log.read_bytes):
                assert await request(session, body) == body

    run(main())
    assert {"up.outage", "down.outage"} & fates(log).keys()


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
