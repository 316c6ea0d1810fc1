"""Types: the stubs against the binary, the mark of typed packages, a program under the strict checker."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REFERENCE = Path(__file__).resolve().parents[2] / "reference_impl"

PROGRAM = """
    import asyncio
    import ssl

    from pywebtransport import (
        ClientConfig,
        ClientError,
        Event,
        ServerApp,
        ServerConfig,
        SessionError,
        StreamError,
        WebTransportClient,
        WebTransportReceiveStream,
        WebTransportSendStream,
        WebTransportSession,
        WebTransportStream,
    )
    from pywebtransport.framework import MiddlewareRejected, create_cors_middleware
    from pywebtransport.types import Buffer, EventType, SessionProtocol, SessionState

    app = ServerApp(config=ServerConfig(certfile="cert.pem", keyfile="key.pem", drafts=[16, 14]))
    app.add_middleware(middleware=create_cors_middleware(allowed_origins=["*"]))


    @app.middleware
    async def gate(*, session: SessionProtocol) -> None:
        if session.path == "/closed":
            raise MiddlewareRejected(status_code=403)


    @app.on_startup
    async def begin() -> None:
        print("ready")


    @app.pattern_route(pattern=r"/room/(?P<name>\\\\w+)")
    async def room(session: WebTransportSession, name: str) -> None:
        async def on_datagram(event: Event) -> None:
            if isinstance(event.data, dict):
                await session.send_datagram(data=event.data["data"])

        session.events.on(event_type=EventType.DATAGRAM_RECEIVED, handler=on_datagram)
        async for stream in session.incoming_bidirectional_streams():
            await answer(stream)


    async def answer(stream: WebTransportStream) -> None:
        async with stream:
            line: bytes = await stream.readline(limit=100)
            await stream.write_all(data=memoryview(line), end_stream=True)


    async def main() -> int:
        config = ClientConfig(verify_mode=ssl.CERT_NONE, wt_available_protocols=["a"], pool_sessions=True)
        async with WebTransportClient(config=config.update(connect_timeout=3.0)) as client:
            try:
                session: WebTransportSession = await client.connect(url="https://localhost/room/a")
            except ClientError as error:
                return int(error.details["status"])
            assert session.state is SessionState.CONNECTED
            out: WebTransportSendStream = await session.create_unidirectional_stream()
            payload: Buffer = bytearray(b"data")
            await out.write(data=payload, end_stream=True)
            incoming: WebTransportReceiveStream = await session.accept_unidirectional_stream()
            try:
                async for chunk in incoming:
                    print(len(chunk))
            except (StreamError, SessionError) as failure:
                print(failure.error_code, failure.to_dict())
            keys: bytes = await session.export_keying_material(label="l", context=b"", length=32)
            await session.close(error_code=1, reason="done")
            return len(keys)


    asyncio.run(main())
"""


@pytest.mark.usefixtures("built")
def test_the_stubs_are_those_of_the_binary() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "--concise", "pywebtransport._core"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=REFERENCE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("built")
def test_a_program_is_typed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    cache = ["--cache-dir", str(REFERENCE / ".mypy_cache")]
    command = [sys.executable, "-m", "mypy", "--strict", *cache, str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("built")
def test_the_package_says_that_it_is_typed() -> None:
    from pywebtransport import _core

    folder = REFERENCE / "python" / "pywebtransport"
    assert (folder / "py.typed").is_file()
    assert (folder / "_core.pyi").is_file()
    assert _core.__file__ is not None
    assert (Path(_core.__file__).parent / "py.typed").is_file()
