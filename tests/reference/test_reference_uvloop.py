"""The same programs on the event loop of uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from pywebtransport import ClientError, StreamError
from pywebtransport.types import EventType
from reference_programs import client, echo, serving

uvloop = pytest.importorskip("uvloop")

pytestmark = pytest.mark.usefixtures("built")


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert isinstance(runner.get_loop(), uvloop.Loop)
        runner.run(within_limits(coroutine))


async def within_limits(coroutine: Coroutine[Any, Any, None]) -> None:
    """For at most half a minute; no task may be left behind."""
    async with asyncio.timeout(30):
        await coroutine
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_streams_datagrams_and_ends(certificate: tuple[str, str]) -> None:
    async def main() -> None:
        data = bytes(range(256)) * 4096
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)

            async def exchange() -> None:
                stream = await session.create_bidirectional_stream()
                sending = asyncio.create_task(stream.write_all(data=data, end_stream=True))
                assert await stream.read_all() == data
                await sending

            async with asyncio.TaskGroup() as group:
                for _ in range(4):
                    group.create_task(exchange())
            await session.send_datagram(data=b"datagram")
            event = await session.events.wait_for(event_type=EventType.DATAGRAM_RECEIVED, timeout=10)
            assert event.data["data"] == b"datagram"  # type: ignore[index]

            waiting = await session.create_bidirectional_stream()
            reader = asyncio.create_task(waiting.read())
            await asyncio.sleep(0)
            await session.close(error_code=5, reason="done")
            with pytest.raises(StreamError):
                await reader
            with pytest.raises(ClientError):
                await peer.connect(url=url + "nowhere")

    run(main())


def test_a_cancelled_client_leaves_nothing(certificate: tuple[str, str]) -> None:
    async def main() -> None:
        connected = asyncio.Event()

        async def use(url: str) -> None:
            async with client() as peer:
                session = await peer.connect(url=url)
                connected.set()
                await session.accept_bidirectional_stream()

        async with serving(certificate, echo) as url:
            task = asyncio.create_task(use(url))
            await connected.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())
