"""What the programs of all peers have in common: the workloads' protocol, and how results are printed.

A bidirectional stream begins with one octet: `e` echo all of it at its end, `s` swallow it and answer with
the number of octets, `d` and 8 octets of length: send so many, `n`: answer with the number of datagrams
received so far. Datagrams that begin with `e` are echoed, all are counted.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

CHUNK = 1 << 16
REQUEST = b"e" + bytes(63)
STEP_SECONDS = 0.4
WANTED_SHARE = 0.95


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

    def send_datagram(self, data: bytes) -> Any:
        """Send a datagram; an awaitable or nothing."""


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


async def latency(session: Session, count: int) -> dict[str, float]:
    """64-octet requests one after the other."""
    times = [await _timed(lambda: session.request(REQUEST)) for _ in range(count)]
    return {"p50_us": statistics.median(times) * 1e6, "p99_us": _quantile(times, 0.99) * 1e6}


async def concurrent(session: Session, count: int) -> dict[str, float]:
    """64-octet requests, 100 at a time."""
    import asyncio

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


async def datagram_rate(session: Session, limit: int) -> dict[str, float]:
    """The highest rate, in steps of a factor 1.5 up to `limit`, at which 95 % of 1000-octet datagrams
    arrive.
    """
    import asyncio

    best, rate, payload = 0.0, 500.0, b"c" + bytes(999)
    while rate <= limit:
        before = int.from_bytes(await session.request(b"n"), "big")
        count = int(rate * STEP_SECONDS)
        begin = time.perf_counter()
        for number in range(count):
            sent = session.send_datagram(payload)
            if sent is not None:
                await sent
            ahead = begin + number / rate - time.perf_counter()
            if ahead > 0.001:
                await asyncio.sleep(ahead)
            elif number % 64 == 0:
                await asyncio.sleep(0)
        took = time.perf_counter() - begin
        received, last = 0, -1
        while received != last:
            last = received
            await asyncio.sleep(0.05)
            received = int.from_bytes(await session.request(b"n"), "big") - before
        if received < WANTED_SHARE * count or took > 1.5 * STEP_SECONDS:
            break
        best = received / max(took, STEP_SECONDS)
        rate *= 1.5
    return {"datagrams_per_s": best}


WORKLOADS: dict[str, Callable[[Session, int], Awaitable[dict[str, float]]]] = {
    "bulk_up": bulk_up,
    "bulk_down": bulk_down,
    "latency": latency,
    "concurrent": concurrent,
    "datagram_rtt": datagram_rtt,
    "datagram_rate": datagram_rate,
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
    return None


def show(result: dict[str, Any]) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


async def _timed(operation: Callable[[], Awaitable[Any]]) -> float:
    begin = time.perf_counter()
    await operation()
    return time.perf_counter() - begin


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
