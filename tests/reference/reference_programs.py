"""Servers and clients that the tests of the reference have in common."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from pywebtransport import (
    ClientConfig,
    Event,
    ServerApp,
    ServerConfig,
    StreamError,
    WebTransportClient,
    WebTransportSession,
    WebTransportStream,
)
from pywebtransport.types import EventType

Handler = Callable[[WebTransportSession], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(
    certificate: tuple[str, str], handler: Handler, *, middleware: Any = None, **config: Any
) -> AsyncIterator[str]:
    """A server with one handler at `/`; gives its URL."""
    app = ServerApp(config=ServerConfig(certfile=certificate[0], keyfile=certificate[1], **config))
    app.route(path="/")(handler)
    if middleware is not None:
        app.add_middleware(middleware=middleware)
    async with app:
        await app.server.listen(host="127.0.0.1", port=0)
        yield f"https://127.0.0.1:{app.server.local_addresses[0][1]}/"


def client(**config: Any) -> WebTransportClient:
    return WebTransportClient(config=ClientConfig(verify_mode=ssl.CERT_NONE, **config))


async def echo(session: WebTransportSession) -> None:
    """Echo datagrams and whole bidirectional streams, each stream in a task of its own."""

    async def on_datagram(event: Event) -> None:
        await session.send_datagram(data=event.data["data"])  # type: ignore[index]

    async def serve(stream: WebTransportStream) -> None:
        with contextlib.suppress(StreamError):
            await stream.write_all(data=await stream.read_all(), end_stream=True)

    session.events.on(event_type=EventType.DATAGRAM_RECEIVED, handler=on_datagram)
    async with asyncio.TaskGroup() as group:
        async for stream in session.incoming_bidirectional_streams():
            group.create_task(serve(stream))


@contextlib.contextmanager
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
