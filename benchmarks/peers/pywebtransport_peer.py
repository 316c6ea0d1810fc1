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
from pywebtransport import ClientConfig, ServerApp, ServerConfig, WebTransportClient
from pywebtransport.exceptions import WebTransportError
from pywebtransport.types import EventType
from streams import Counter, Requests, serve_streams

LIMITS: dict[str, Any] = {
    "initial_max_streams_bidi": 1000,
    "initial_max_streams_uni": 1000,
    "quic_max_concurrent_bidi_streams": 1000,
    "initial_max_data": 64 << 20,
    "flow_control_window": 64 << 20,
    "max_connections": 1000,
}

ATTEMPTS = 4
CONNECT_TIMEOUT = 2.0


async def serve(port: int, cert: str, key: str) -> None:
    app = ServerApp(config=ServerConfig(certfile=cert, keyfile=key, **LIMITS))

    @app.route(path="/")
    async def handle(session: Any) -> None:
        counter = Counter()

        echoes = set()
        send_nowait = getattr(session, "send_datagram_nowait", None)

        def on_datagram(event: Any) -> None:
            counter.datagrams += 1
            data = event.data["data"]
            if data[:1] != b"e":
                return
            if send_nowait is not None:
                send_nowait(data)
            else:
                task = asyncio.create_task(session.send_datagram(data=data))
                echoes.add(task)
                task.add_done_callback(echoes.discard)

        session.events.on(event_type=EventType.DATAGRAM_RECEIVED, handler=on_datagram)
        await serve_streams(session, counter)

    async with app:
        serving = asyncio.create_task(app.serve(host="127.0.0.1", port=port))
        while not app.server.is_serving:
            await asyncio.sleep(0.01)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await serving


class Session(Requests):
    def __init__(self, session: Any) -> None:
        super().__init__(session)
        self._echoes: asyncio.Queue[bytes] = asyncio.Queue()

        def on_datagram(event: Any) -> None:
            self._echoes.put_nowait(event.data["data"])

        session.events.on(event_type=EventType.DATAGRAM_RECEIVED, handler=on_datagram)

    async def round_trip(self, data: bytes) -> bytes | None:
        await self._session.send_datagram(data=data)
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(1):
                return await self._echoes.get()
        return None


async def measure(port: int, workload: str, amount: int) -> None:
    config = ClientConfig(verify_mode=ssl.CERT_NONE, **LIMITS)
    url = f"https://127.0.0.1:{port}/"
    async with WebTransportClient(config=config) as client:

        async def connect() -> Session:
            # The client of 0.19.1 misses now and then that a connection is established
            for _ in range(ATTEMPTS - 1):
                with contextlib.suppress(WebTransportError):
                    return Session(await client.connect(url=url, timeout=CONNECT_TIMEOUT))
            return Session(await client.connect(url=url))

        await wire.run(connect, workload, amount)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    role, port, *rest = sys.argv[1:]
    if role == "server":
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(int(port), rest[0], rest[1]))
    else:
        asyncio.run(measure(int(port), rest[0], int(rest[1])))
