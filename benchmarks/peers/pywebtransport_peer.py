"""The benchmark on the `pywebtransport` interface: the same program for the reference and for the registry's
package.

`server PORT CERT KEY` prints `ready` and serves; `client PORT WORKLOAD AMOUNT` prints a line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import sys
import time
from typing import Any

import wire
from pywebtransport import ClientConfig, ServerApp, ServerConfig, WebTransportClient
from pywebtransport.types import EventType

LIMITS: dict[str, Any] = {
    "initial_max_streams_bidi": 1000,
    "initial_max_streams_uni": 1000,
    "quic_max_concurrent_bidi_streams": 1000,
    "initial_max_data": 64 << 20,
    "flow_control_window": 64 << 20,
}


async def serve(port: int, cert: str, key: str) -> None:
    app = ServerApp(config=ServerConfig(certfile=cert, keyfile=key, **LIMITS))

    @app.route(path="/")
    async def handle(session: Any) -> None:
        datagrams = 0

        async def on_datagram(event: Any) -> None:
            nonlocal datagrams
            datagrams += 1
            data = event.data["data"]
            if data[:1] == b"e":
                await session.send_datagram(data=data)

        async def on_stream(stream: Any) -> None:
            head = await stream.read(max_bytes=1)
            if head == b"s":
                total = 0
                while chunk := await stream.read():
                    total += len(chunk)
                await stream.write_all(data=total.to_bytes(8, "big"), end_stream=True)
            elif head == b"d":
                left = int.from_bytes(await stream.readexactly(n=8), "big")
                block = bytes(wire.CHUNK)
                while left:
                    size = min(left, len(block))
                    left -= size
                    await stream.write(data=block[:size] if size < len(block) else block, end_stream=not left)
            else:
                answer = wire.answer_of(head + await stream.read_all(), datagrams)
                await stream.write_all(data=answer or b"", end_stream=True)

        async def guarded(stream: Any) -> None:
            with contextlib.suppress(Exception):
                await on_stream(stream)

        session.events.on(event_type=EventType.DATAGRAM_RECEIVED, handler=on_datagram)
        tasks = set()
        async for stream in session.incoming_bidirectional_streams():
            task = asyncio.create_task(guarded(stream))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async with app:
        serving = asyncio.create_task(app.serve(host="127.0.0.1", port=port))
        while not app.server.is_serving:
            await asyncio.sleep(0.01)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await serving


class Session:
    def __init__(self, session: Any) -> None:
        self._session = session
        self._echoes: asyncio.Queue[bytes] = asyncio.Queue()

        async def on_datagram(event: Any) -> None:
            self._echoes.put_nowait(event.data["data"])

        session.events.on(event_type=EventType.DATAGRAM_RECEIVED, handler=on_datagram)

    async def request(self, data: bytes) -> bytes:
        stream = await self._session.create_bidirectional_stream()
        await stream.write_all(data=data, end_stream=True)
        answer: bytes = await stream.read_all()
        return answer

    async def upload(self, size: int) -> bytes:
        stream = await self._session.create_bidirectional_stream()
        await stream.write(data=b"s")
        block, left = bytes(wire.CHUNK), size
        while left:
            part = min(left, len(block))
            left -= part
            await stream.write(data=block[:part] if part < len(block) else block, end_stream=not left)
        answer: bytes = await stream.read_all()
        return answer

    async def download(self, size: int) -> int:
        stream = await self._session.create_bidirectional_stream()
        await stream.write(data=b"d" + size.to_bytes(8, "big"))
        total = 0
        while chunk := await stream.read():
            total += len(chunk)
        return total

    async def round_trip(self, data: bytes) -> bytes | None:
        await self._session.send_datagram(data=data)
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(1):
                return await self._echoes.get()
        return None

    def send_datagram(self, data: bytes) -> Any:
        return self._session.send_datagram(data=data)


async def measure(port: int, workload: str, amount: int) -> None:
    config = ClientConfig(verify_mode=ssl.CERT_NONE, **LIMITS)
    async with WebTransportClient(config=config) as client:
        session = await client.connect(url=f"https://127.0.0.1:{port}/")
        before = time.process_time()
        result = await wire.WORKLOADS[workload](Session(session), amount)
        result["client_cpu_s"] = time.process_time() - before
        wire.show(result)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    role, port, *rest = sys.argv[1:]
    if role == "server":
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(int(port), rest[0], rest[1]))
    else:
        asyncio.run(measure(int(port), rest[0], int(rest[1])))
