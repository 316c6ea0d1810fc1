"""What the programs of all peers have in common: the workloads, and the protocol that they use.

A bidirectional stream begins with one octet: `e` echo all of it at its end, `s` swallow it and answer with
the number of octets, `d` and 8 octets of length: send so many, `n`: answer with the number of datagrams
received so far, `m`: answer with the memory in use. Datagrams that begin with `e` are echoed, all are
counted.
"""

from __future__ import annotations

import asyncio
import json
import math
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

CHUNK = 1 << 16
REQUEST = b"e" + bytes(63)
DATAGRAM = b"c" + bytes(999)
WARM_UP = 200
WARM_UP_SESSIONS = 50
STEP_SECONDS = 0.4
TICK_SECONDS = 0.001
WANTED_SHARE = 0.95
HIGHEST_RATE = 2_000_000


class Session(Protocol):
    """A client's session, in the words of the peer's own library underneath."""

    async def request(self, data: bytes) -> bytes:
        """Open a bidirectional stream, send all, finish, and read the answer to its end."""

    async def upload(self, size: int) -> bytes:
        """As `request`, with `s` and so many octets."""

    async def download(self, size: int) -> int:
        """As `request`, with `d` and a length; returns the number of octets that came."""

    async def round_trip(self, data: bytes) -> bytes | None:
        """Send a datagram and wait for its echo; `None` if none came."""

    async def send_datagrams(self, data: bytes, count: int) -> None:
        """Send a datagram so many times, as fast as the library takes them."""

    async def end(self) -> None:
        """End the session and its connection."""


Connect = Callable[[], Awaitable[Session]]
"""Opens a session on a connection of its own."""


async def bulk_up(session: Session, size: int) -> dict[str, float]:
    """Octets per second to the server."""
    begin = time.perf_counter()
    answer = await session.upload(size)
    assert int.from_bytes(answer, "big") == size
    return {"bytes_per_s": size / (time.perf_counter() - begin)}


async def bulk_down(session: Session, size: int) -> dict[str, float]:
    """Octets per second from the server."""
    begin = time.perf_counter()
    assert await session.download(size) == size
    return {"bytes_per_s": size / (time.perf_counter() - begin)}


async def bulk_duplex(session: Session, size: int) -> dict[str, float]:
    """Octets per second in both directions together."""
    begin = time.perf_counter()
    answer, received = await asyncio.gather(session.upload(size), session.download(size))
    assert (int.from_bytes(answer, "big"), received) == (size, size)
    return {"bytes_per_s": 2 * size / (time.perf_counter() - begin)}


async def latency(session: Session, count: int) -> dict[str, float]:
    """64-octet requests one after the other."""
    times = [await _timed(lambda: session.request(REQUEST)) for _ in range(count)]
    return {"p50_us": statistics.median(times) * 1e6, "p99_us": _quantile(times, 0.99) * 1e6}


async def concurrent(session: Session, count: int) -> dict[str, float]:
    """64-octet requests, 100 at a time."""
    left = count

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            assert len(await session.request(REQUEST)) == len(REQUEST)

    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(100)))
    return {"requests_per_s": count / (time.perf_counter() - begin)}


async def datagram_rtt(session: Session, count: int) -> dict[str, float]:
    """64-octet datagrams, one after the other."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        if await session.round_trip(REQUEST) is not None:
            times.append(time.perf_counter() - begin)
    assert len(times) >= count // 2
    return {"p50_us": statistics.median(times) * 1e6}


async def datagram_rate(session: Session, start: int) -> dict[str, float]:
    """The highest rate at which 95 % of 1000-octet datagrams arrive in time.

    From `start` on it is doubled up to the first that fails twice, then the interval is halved four times; if
    the start fails, the rate is halved until one succeeds. Each millisecond the datagrams that are due are
    handed over at once, so that the pace does not depend on how long it takes to wait. A rate has also failed
    if the sender does not keep up, or if the datagrams arrive long after they were sent: a queue without a
    limit would make every rate look good.
    """
    best, good, bad, rate = 0.0, 0.0, 0.0, float(start)
    failed_once, refinements = False, 0
    while refinements <= 4 and 1 <= rate <= HIGHEST_RATE:
        count = int(rate * STEP_SECONDS)
        received, took, until = await _datagram_step(session, rate, count)
        in_time = took < 1.25 * STEP_SECONDS and until < 1.5 * STEP_SECONDS
        if received >= WANTED_SHARE * count and in_time:
            best, good = max(best, received / max(took, STEP_SECONDS)), rate
        elif not failed_once:
            failed_once = True
            continue
        else:
            bad = rate
        failed_once = False
        refinements += bool(good and bad)
        rate = rate * 2 if not bad else math.sqrt(good * bad) if good else bad / 2
    return {"datagrams_per_s": best}


async def _datagram_step(session: Session, rate: float, count: int) -> tuple[int, float, float]:
    """How many arrived, the seconds that sending took, and those until all had arrived."""
    before = await _number(session, b"n")
    begin, sent = time.perf_counter(), 0
    while sent < count:
        due = min(count, int((time.perf_counter() - begin) * rate) + 1)
        await session.send_datagrams(DATAGRAM, due - sent)
        sent = due
        await asyncio.sleep(TICK_SECONDS)
    took = until = time.perf_counter() - begin
    received, last = 0, -1
    while received != last:
        last, until = received, time.perf_counter() - begin
        await asyncio.sleep(0.05)
        received = await _number(session, b"n") - before
    return received, took, until


async def sessions(connect: Connect, count: int) -> dict[str, float]:
    """Sessions one after the other, each on a connection of its own."""
    times, begin = [], time.perf_counter()
    for _ in range(count):
        start = time.perf_counter()
        session = await connect()
        times.append(time.perf_counter() - start)
        await session.end()
    took = time.perf_counter() - begin
    return {"sessions_per_s": count / took, "p50_us": statistics.median(times) * 1e6}


async def memory(connect: Connect, count: int) -> dict[str, float]:
    """Memory of the server per idle session, each on a connection of its own."""
    kept = [await connect() for _ in range(WARM_UP_SESSIONS)]
    before = await _number(kept[0], b"m")
    kept += [await connect() for _ in range(count)]
    await asyncio.sleep(0.5)
    return {"bytes_per_session": (await _number(kept[0], b"m") - before) / count}


async def run(connect: Connect, workload: str, amount: int) -> None:
    """Measure, and print the result."""
    first = await connect()
    if workload in MEETINGS:
        before = time.process_time()
        result = await MEETINGS[workload](connect, amount)
    else:
        for _ in range(WARM_UP):
            await first.request(REQUEST)
        before = time.process_time()
        result = await WORKLOADS[workload](first, amount)
    result["client_cpu_s"] = time.process_time() - before
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


WORKLOADS: dict[str, Callable[[Session, int], Awaitable[dict[str, float]]]] = {
    "bulk_up": bulk_up,
    "bulk_down": bulk_down,
    "bulk_duplex": bulk_duplex,
    "latency": latency,
    "concurrent": concurrent,
    "datagram_rtt": datagram_rtt,
    "datagram_rate": datagram_rate,
}
MEETINGS: dict[str, Callable[[Connect, int], Awaitable[dict[str, float]]]] = {
    "sessions": sessions,
    "memory": memory,
}


def answer_of(request: bytes, datagrams: int) -> bytes | None:
    """The server's answer to a whole request; `None` for a download, which is sent in pieces."""
    match request[:1]:
        case b"e":
            return request
        case b"s":
            return (len(request) - 1).to_bytes(8, "big")
        case b"n":
            return datagrams.to_bytes(8, "big")
        case b"m":
            return resident_bytes().to_bytes(8, "big")
    return None


def resident_bytes() -> int:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def _number(session: Session, question: bytes) -> int:
    return int.from_bytes(await session.request(question), "big")


async def _timed(operation: Callable[[], Awaitable[Any]]) -> float:
    begin = time.perf_counter()
    await operation()
    return time.perf_counter() - begin


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
