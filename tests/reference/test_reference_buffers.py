"""What is sent and received, as buffers: how often it is copied, and what cannot be sent."""

from __future__ import annotations

import array
import asyncio
import ctypes
import gc
import mmap
import random
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from pywebtransport import DatagramError, StreamError, WebTransportSession
from pywebtransport.types import EventType
from reference_programs import client, echo, serving

Run = Callable[[Any], Any]
SIZE = 512 << 10

pytestmark = pytest.mark.usefixtures("built")


def mapped(data: bytes) -> mmap.mmap:
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    return memory


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        bytearray,
        memoryview,
        lambda data: memoryview(bytearray(data)),
        lambda data: memoryview(data).cast("B", (2, len(data) // 2)),
        lambda data: array.array("I", data),
        lambda data: memoryview(array.array("d", data)),
        lambda data: (ctypes.c_char * len(data)).from_buffer_copy(data),
        mapped,
    ],
    ids=[
        "bytes",
        "bytearray",
        "view",
        "view of bytearray",
        "2-d",
        "array",
        "view of array",
        "ctypes",
        "mmap",
    ],
)
@pytest.mark.parametrize("size", [64, SIZE])
def test_every_contiguous_buffer_goes_in(
    run: Run, certificate: tuple[str, str], make: Callable[[bytes], Any], size: int
) -> None:
    data = bytes(range(64)) * (size // 64)

    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            stream = await session.create_bidirectional_stream()
            await stream.write(data=make(data))
            await stream.write_all(
                data=make(data), chunk_size=1000 if size < SIZE else 65536, end_stream=True
            )
            assert (await stream.diagnostics()).bytes_sent == 2 * size
            assert await stream.read_all() == 2 * data
            if size == 64:
                await session.send_datagram(data=make(data))
                event = await session.events.wait_for(event_type=EventType.DATAGRAM_RECEIVED)
                assert event.data["data"] == data  # type: ignore[index]
                assert (await session.diagnostics()).datagram_bytes_sent == size

    run(main())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (memoryview(bytes(64))[::2], "not contiguous"),
        (memoryview(bytes(64)).cast("B", (8, 8))[::2], "not contiguous"),
        (7, "int"),
        (None, "NoneType"),
        ([1, 2], "list"),
    ],
    ids=["strided", "strided 2-d", "int", "None", "list"],
)
def test_what_is_no_contiguous_buffer_is_named(
    run: Run, certificate: tuple[str, str], data: Any, words: str
) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            stream = await session.create_bidirectional_stream()
            for write in (stream.write, stream.write_all):
                with pytest.raises(StreamError, match=words):
                    await write(data=data, end_stream=True)
            with pytest.raises(DatagramError, match=words):
                await session.send_datagram(data=data)
            # Nothing was sent of it, and nothing is spoiled
            await stream.write(data="text", end_stream=True)  # type: ignore[arg-type]
            assert await stream.read_all() == b"text"

    run(main())


@pytest.mark.parametrize("size", [1000, SIZE])
@pytest.mark.parametrize("wrap", [lambda data: data, memoryview], ids=["bytearray", "view"])
def test_what_is_changed_after_writing_is_not_changed_on_the_way(
    run: Run, certificate: tuple[str, str], size: int, wrap: Callable[[bytearray], Any]
) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            stream = await session.create_bidirectional_stream()
            data = bytearray(b"a" * size)
            view = wrap(data)
            await stream.write(data=view)
            data[:] = b"b" * size
            await stream.write(data=view, end_stream=True)
            data[:] = b"c" * size
            del view
            # Nothing keeps it from growing
            data.extend(b"d")
            assert await stream.read_all() == b"a" * size + b"b" * size

    run(main())


def test_copies_are_counted(run: Run, certificate: tuple[str, str]) -> None:
    """Sending `bytes` makes none and keeps a reference, receiving one; `readinto()`, `readviews()` none."""

    async def main() -> None:
        released = asyncio.Event()

        async def send(session: WebTransportSession) -> None:
            for _ in range(3):
                stream = await session.create_unidirectional_stream()
                await stream.write(data=bytes(SIZE), end_stream=True)
            await released.wait()

        window = {"quic_stream_receive_window": 4096, "quic_receive_window": 4096}
        async with serving(certificate, send, **window) as url, client() as peer:
            session = await peer.connect(url=url)
            stream = await session.create_unidirectional_stream()
            for make, references in ((bytes, 1), (bytearray, 0)):
                data = make(SIZE)
                before, peak = sys.getrefcount(data), await peak_of(stream.write(data=data))
                assert peak < SIZE // 8
                assert sys.getrefcount(data) - before == references

            incoming = [await session.accept_unidirectional_stream() for _ in range(3)]
            for stream_in in incoming:
                while (await stream_in.diagnostics()).read_buffer_size < SIZE:
                    await asyncio.sleep(0)
            received: list[bytes] = []

            async def read() -> None:
                received.append(await incoming[0].read())

            assert SIZE <= await peak_of(read()) < SIZE * 9 // 8
            assert len(received[0]) == SIZE
            room = bytearray(SIZE)
            assert await peak_of(incoming[1].readinto(room)) < SIZE // 8
            views: list[memoryview] = []

            async def look() -> None:
                views.extend(await incoming[2].readviews())

            # The views themselves, one for each packet
            assert await peak_of(look()) < SIZE // 2
            assert sum(map(len, views)) == SIZE
            released.set()

    run(main())


def test_views_of_what_arrived(run: Run, certificate: tuple[str, str]) -> None:
    """They are read-only, in order, and outlive the stream; the other ways to read go on where they end."""

    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            stream = await session.create_bidirectional_stream()
            data = random.Random(1).randbytes(SIZE)
            await stream.write(data=b"line\n" + data, end_stream=True)
            assert await stream.readline() == b"line\n"
            views: list[memoryview] = []
            while sum(map(len, views)) < SIZE // 2:
                part = await stream.readviews(max_bytes=5000)
                assert 0 < sum(map(len, part)) <= 5000
                views += part
            rest = await stream.read_all()
            assert await stream.readviews() == []
            assert all(view.readonly and view.format == "B" for view in views)
            with pytest.raises(TypeError):
                views[0][0] = 1
            assert (await stream.diagnostics()).bytes_received == SIZE + 5
            await session.close()
            del stream, session
            gc.collect()
            assert b"".join(views) + rest == data

    run(main())


async def peak_of(work: Any) -> int:
    """Bytes that Python allocates at most while something is done."""
    tracemalloc.start()
    try:
        await work
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
