"""Run by a test with a core that can be told to fail: says what becomes of everything that waits for it."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import sys
from collections.abc import Coroutine
from typing import Any

from pywebtransport import ClientConfig, ServerConfig, WebTransportClient, WebTransportServer
from pywebtransport.types import EventType
from pywebtransport.utils import generate_self_signed_cert


async def outcome(operation: Coroutine[Any, Any, Any]) -> str:
    """How an operation ends."""
    try:
        result = await operation
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return f"returned {result!r}"


async def main(side: str, folder: str) -> dict[str, str]:
    _, certificate, key = generate_self_signed_cert(hostname="localhost", output_dir=folder)
    # Nobody gives up for another reason: the core's failure has to be what ends the wait
    patient: dict[str, Any] = {"read_timeout": None, "write_timeout": None, "stream_creation_timeout": 600.0}
    patient |= {"connection_idle_timeout": 600.0, "initial_max_streams_uni": 1}
    server = WebTransportServer(config=ServerConfig(certfile=certificate, keyfile=key, **patient))
    config = ClientConfig(verify_mode=ssl.CERT_NONE, connect_timeout=600.0, **patient)
    client = WebTransportClient(config=config)
    async with client, server:
        await server.listen(host="127.0.0.1", port=0)
        port = server.local_addresses[0][1]
        url = f"https://127.0.0.1:{port}/"
        asked = asyncio.ensure_future(server.wait_for(event_type=EventType.SESSION_REQUEST))
        connecting = asyncio.ensure_future(client.connect(url=url))
        there = (await asked).data["session"]
        await there.accept()
        here = await connecting
        session = here if side == "client" else there
        stream = await session.create_bidirectional_stream()
        await stream.write(data=b"x")
        await session.create_unidirectional_stream()
        waiting = {
            "read": stream.read(),
            "write_all": stream.write_all(data=bytes(64 << 20)),
            "accept_bidirectional_stream": session.accept_bidirectional_stream(),
            "accept_unidirectional_stream": session.accept_unidirectional_stream(),
            "create_unidirectional_stream": session.create_unidirectional_stream(),
            "receive_datagram": session.receive_datagram(),
            "session.wait_closed": session.wait_closed(),
        }
        if side == "client":
            # The server answers no other request
            waiting["connect"] = client.connect(url=url)
        else:
            waiting["serve_forever"] = server.serve_forever()
            waiting["drain"] = server.drain(timeout=600)
        tasks = {name: asyncio.ensure_future(outcome(operation)) for name, operation in waiting.items()}
        await asyncio.sleep(0.1)
        assert not [name for name, task in tasks.items() if task.done()]
        driver: Any = session.connection._driver
        driver.core.panic()
        outcomes = {name: await task for name, task in tasks.items()}
        outcomes["session"] = f"{session.close_source}: {session.close_reason}"
        outcomes["later write"] = await outcome(stream.write(data=b"y"))
        outcomes["later stream"] = await outcome(session.create_bidirectional_stream())
        outcomes["later stats"] = await outcome(session.connection.stats())
        later = client.connect(url=url) if side == "client" else server.serve_forever()
        outcomes["later"] = await outcome(later)
    return outcomes


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL, format="LOG %(levelname)s %(message)s")
    print(json.dumps(asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 30))))
