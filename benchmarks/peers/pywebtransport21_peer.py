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
from typing import Any

import wire
from pywebtransport import ClientConfig, ServerConfig, WebTransportClient, WebTransportServer
from streams import Counter, Requests, serve_streams

LIMITS: dict[str, Any] = {
    "initial_max_streams_bidi": 1000,
    "initial_max_streams_uni": 1000,
    "max_streams_bidi": 1000,
    "initial_max_data": 64 << 20,
    "session_receive_window": 64 << 20,
    "max_connections": 1000,
    "max_pending_streams": 1000,
    "max_pending_datagrams": 1000,
}


async def serve(port: int, cert: str, key: str) -> None:
    async def datagrams(session: Any, counter: Counter) -> None:
        while True:
            data = await session.read_datagram()
            counter.datagrams += 1
            if data[:1] == b"e":
                await session.send_datagram(data=data)

    async def handle(session: Any) -> None:
        counter = Counter()
        await session.accept()
        echoing = asyncio.create_task(datagrams(session, counter))
        try:
            await serve_streams(session, counter)
        finally:
            echoing.cancel()

    async def connection_of(connection: Any) -> None:
        async for session in connection.incoming_sessions():
            keep(asyncio.create_task(handle(session)))

    tasks = set()

    def keep(task: asyncio.Task[None]) -> None:
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async with WebTransportServer(config=ServerConfig(certfile=cert, keyfile=key, **LIMITS)) as server:
        await server.listen(host="127.0.0.1", port=port)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        async for connection in server.incoming_connections():
            keep(asyncio.create_task(connection_of(connection)))


class Session(Requests):
    async def round_trip(self, data: bytes) -> bytes | None:
        await self._session.send_datagram(data=data)
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(1):
                answer: bytes = await self._session.read_datagram()
                return answer
        return None


async def measure(port: int, workload: str, amount: int) -> None:
    config = ClientConfig(verify_mode=ssl.CERT_NONE, **LIMITS)
    async with WebTransportClient(config=config) as client:

        async def connect() -> Session:
            return Session(await client.connect(url=f"https://127.0.0.1:{port}/"))

        await wire.run(connect, workload, amount)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    role, port, *rest = sys.argv[1:]
    if role == "server":
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(int(port), rest[0], rest[1]))
    else:
        asyncio.run(measure(int(port), rest[0], int(rest[1])))
