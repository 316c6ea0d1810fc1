"""Streams of the benchmark in the words that all versions of the `pywebtransport` interface share."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import wire


@dataclass
class Counter:
    """Datagrams that a server has received in a session."""

    datagrams: int = 0


async def serve_streams(session: Any, counter: Counter) -> None:
    """Answer the bidirectional streams of a session until it ends."""
    tasks = set()
    async for stream in session.incoming_bidirectional_streams():
        task = asyncio.create_task(_guarded(stream, counter))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def _guarded(stream: Any, counter: Counter) -> None:
    with contextlib.suppress(Exception):
        await _answer(stream, counter)


async def _answer(stream: Any, counter: Counter) -> None:
    # The keyword for a limit differs between the versions: take what comes, and look at its first octet.
    data = await stream.read()
    if data[:1] == b"s":
        total = len(data) - 1
        while chunk := await stream.read():
            total += len(chunk)
        await stream.write_all(data=total.to_bytes(8, "big"), end_stream=True)
    elif data[:1] == b"d":
        while len(data) < 9:
            data += await stream.read()
        await send(stream, int.from_bytes(data[1:], "big"))
    else:
        answer = wire.answer_of(data + await stream.read_all(), counter.datagrams)
        await stream.write_all(data=answer or b"", end_stream=True)


async def send(stream: Any, size: int) -> None:
    """Send so many octets, in pieces, and finish."""
    block = bytes(wire.CHUNK)
    while size:
        part = min(size, len(block))
        size -= part
        await stream.write(data=block[:part] if part < len(block) else block, end_stream=not size)


class Requests:
    """The workloads' operations on streams, on a client."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def request(self, data: bytes) -> bytes:
        stream = await self._session.create_bidirectional_stream()
        await stream.write_all(data=data, end_stream=True)
        answer: bytes = await stream.read_all()
        return answer

    async def upload(self, size: int) -> bytes:
        stream = await self._session.create_bidirectional_stream()
        await stream.write(data=b"s")
        await send(stream, size)
        answer: bytes = await stream.read_all()
        return answer

    async def download(self, size: int) -> int:
        stream = await self._session.create_bidirectional_stream()
        await stream.write(data=b"d" + size.to_bytes(8, "big"))
        total = 0
        while chunk := await stream.read():
            total += len(chunk)
        return total

    async def send_datagrams(self, data: bytes, count: int) -> None:
        if (send := getattr(self._session, "send_datagram_nowait", None)) is not None:
            for _ in range(count):
                send(data)
            return
        for _ in range(count):
            await self._session.send_datagram(data=data)

    async def end(self) -> None:
        # 0.19 closes the connection of its only session with it
        await getattr(self._session, "connection", self._session).close()
