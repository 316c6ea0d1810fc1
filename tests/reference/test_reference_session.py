"""Sessions end to end: streams, datagrams, events, ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pywebtransport import (
    ClientError,
    DatagramError,
    SessionClosedError,
    StreamError,
    WebTransportSession,
)
from pywebtransport.types import EventType, SessionState, StreamDirection, StreamState
from reference_programs import client, echo, serving

Run = Callable[[Any], Any]


def test_bidirectional_echo(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            assert session.state is SessionState.CONNECTED
            stream = await session.create_bidirectional_stream()
            assert stream.direction is StreamDirection.BIDIRECTIONAL
            await stream.write(data=b"Hello")
            await stream.write_all(data=memoryview(bytes(300_000)), end_stream=True)
            assert stream.state is StreamState.HALF_CLOSED_LOCAL
            assert await stream.read_all() == b"Hello" + bytes(300_000)
            assert stream.state is StreamState.CLOSED
            assert await stream.read() == b""
            with pytest.raises(StreamError):
                await stream.write(data=b"late")

    run(main())


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview], ids=["bytes", "bytearray", "memoryview"])
def test_any_buffer_goes_in(run: Run, certificate: tuple[str, str], make: Callable[[bytes], Any]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            await session.send_datagram(data=make(b"datagram"))
            event = await session.events.wait_for(event_type=EventType.DATAGRAM_RECEIVED)
            assert event.data["data"] == b"datagram"  # type: ignore[index]
            stream = await session.create_bidirectional_stream()
            await stream.write_all(data=make(b"stream"), end_stream=True)
            into = bytearray(6)
            view, count = memoryview(into), 0
            while got := await stream.readinto(view[count:] if count < 6 else bytearray(1)):
                count += got
            assert bytes(into) == b"stream"

    run(main())


def test_reading_in_pieces(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            stream = await session.create_bidirectional_stream()
            await stream.write(data=b"one\ntwo\nthree;four", end_stream=True)
            assert await stream.readline() == b"one\n"
            with pytest.raises(StreamError):
                await stream.readuntil(separator=b";", limit=3)
            assert await stream.readexactly(n=4) == b"two\n"
            assert await stream.readuntil(separator=b";") == b"three;"
            assert await stream.read(max_bytes=0) == b""
            with pytest.raises(ValueError, match="-1"):
                await stream.readexactly(n=-1)
            assert await stream.read(max_bytes=1) == b"f"
            with pytest.raises(asyncio.IncompleteReadError) as caught:
                await stream.readexactly(n=9)
            assert caught.value.partial == b"our"
            with pytest.raises(asyncio.IncompleteReadError):
                await stream.readline()

    run(main())


def test_a_stream_is_an_iterator_of_what_arrives(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            stream = await session.create_bidirectional_stream()
            await stream.write_all(data=bytes(5000), end_stream=True)
            assert sum([len(chunk) async for chunk in stream]) == 5000

    run(main())


def test_what_comes_before_the_handler_is_kept(run: Run, certificate: tuple[str, str]) -> None:
    async def late(session: WebTransportSession) -> None:
        await asyncio.sleep(0.05)
        await echo(session)

    async def main() -> None:
        async with serving(certificate, late) as url, client() as peer:
            session = await peer.connect(url=url)
            for number in range(20):
                await session.send_datagram(data=b"%d" % number)
            stream = await session.create_bidirectional_stream()
            await stream.write(data=b"early", end_stream=True)
            assert await stream.read_all() == b"early"
            answers = {await session.receive_datagram() for _ in range(20)}
            assert answers == {b"%d" % number for number in range(20)}

    run(main())


def test_reset_and_stop_carry_the_code(run: Run, certificate: tuple[str, str]) -> None:
    seen: list[StreamError] = []

    async def handler(session: WebTransportSession) -> None:
        stream = await session.accept_bidirectional_stream()
        with pytest.raises(StreamError) as caught:
            await stream.read_all()
        seen.append(caught.value)
        stream = await session.accept_bidirectional_stream()
        assert await stream.readexactly(n=1) == b"s"
        await stream.stop_receiving(error_code=29)
        await session.wait_closed()

    async def main() -> None:
        async with serving(certificate, handler) as url, client() as peer:
            session = await peer.connect(url=url)
            stream = await session.create_bidirectional_stream()
            await stream.write(data=b"part")
            await stream.reset(error_code=0xFFFFFFFF)
            assert stream.state is StreamState.RESET_SENT
            stream = await session.create_bidirectional_stream()
            stopped = asyncio.ensure_future(
                stream.events.wait_for(event_type=EventType.STOP_SENDING_RECEIVED)
            )
            await stream.write(data=b"s")
            event = await stopped
            assert event.data["error_code"] == 29  # type: ignore[index]
            with pytest.raises(StreamError) as caught:
                await stream.write(data=b"more")
            assert caught.value.error_code == 29

    run(main())
    assert [error.error_code for error in seen] == [0xFFFFFFFF]
    assert seen[0].details["application_code"] == 0xFFFFFFFF


def test_a_stop_behind_the_end_is_an_event(run: Run, built: None, certificate: tuple[str, str]) -> None:
    """As long as the end is not acknowledged, the peer may not have read all (draft-16 §4.4)."""

    async def handler(session: WebTransportSession) -> None:
        stream = await session.accept_bidirectional_stream()
        await stream.readexactly(n=1)
        await stream.stop_receiving(error_code=31)
        await session.wait_closed()

    async def main() -> None:
        config = {"max_stream_write_buffer_size": 64 << 20}
        async with serving(certificate, handler) as url, client(**config) as peer:
            session = await peer.connect(url=url)
            stream = await session.create_bidirectional_stream()
            # More than the server's window takes, so that the end cannot have arrived
            await stream.write(data=bytes(32 << 20), end_stream=True)
            event = await stream.events.wait_for(event_type=EventType.STOP_SENDING_RECEIVED)
            assert event.data["error_code"] == 31  # type: ignore[index]
            assert stream.state is StreamState.HALF_CLOSED_LOCAL

    run(main())


def test_unidirectional_streams(run: Run, certificate: tuple[str, str]) -> None:
    async def handler(session: WebTransportSession) -> None:
        async for stream in session.incoming_unidirectional_streams():
            async with await session.create_unidirectional_stream() as answer:
                await answer.write_all(data=await stream.read_all())

    async def main() -> None:
        async with serving(certificate, handler) as url, client() as peer:
            session = await peer.connect(url=url)
            stream = await session.create_unidirectional_stream()
            await stream.write_all(data=b"uni", end_stream=True)
            assert stream.is_closed
            answer = await session.accept_unidirectional_stream()
            assert answer.direction is StreamDirection.RECEIVE_ONLY
            assert await answer.read_all() == b"uni"
            assert answer.is_closed

    run(main())


def test_close_carries_code_and_reason(run: Run, certificate: tuple[str, str]) -> None:
    ends: list[Any] = []

    async def handler(session: WebTransportSession) -> None:
        event = await session.events.wait_for(event_type=EventType.SESSION_CLOSED)
        ends.append(event.data)

    async def main() -> None:
        async with serving(certificate, handler) as url, client() as peer:
            session = await peer.connect(url=url)
            waiting = asyncio.ensure_future(session.accept_bidirectional_stream())
            await asyncio.sleep(0)
            await session.close(error_code=7, reason="bye")
            assert session.is_closed
            with pytest.raises(SessionClosedError):
                await waiting
            assert [stream async for stream in session.incoming_bidirectional_streams()] == []
            with pytest.raises(SessionClosedError):
                await session.create_bidirectional_stream()
            with pytest.raises(SessionClosedError):
                await session.send_datagram(data=b"")
            await session.close()
            while not ends:
                await asyncio.sleep(0.001)

    run(main())
    assert (ends[0]["error_code"], ends[0]["reason"]) == (7, "bye")


def test_refusals_carry_the_status(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            with pytest.raises(ClientError) as caught:
                await peer.connect(url=url + "nowhere")
            assert caught.value.details["status"] == 405
            figures = (await peer.diagnostics()).stats
            assert (figures.connections_attempted, figures.connections_failed) == (1, 1)
        async with serving(certificate, echo) as url, client(drafts=[2]) as peer:
            with pytest.raises(ClientError) as caught:
                await peer.connect(url=url + "nowhere")
            assert caught.value.details["status"] == 404

    run(main())


def test_a_datagram_that_is_too_large_is_refused(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            with pytest.raises(DatagramError) as caught:
                await session.send_datagram(data=bytes(20_000))
            assert caught.value.datagram_size == 20_000
            assert 1000 < (caught.value.max_size or 0) <= 1350

    run(main())


def test_keying_material_is_the_same_at_both_ends(run: Run, certificate: tuple[str, str]) -> None:
    theirs: asyncio.Queue[bytes]

    async def handler(session: WebTransportSession) -> None:
        await theirs.put(await session.export_keying_material(label="x", context=b"c", length=20))
        await session.wait_closed()

    async def main() -> None:
        nonlocal theirs
        theirs = asyncio.Queue()
        async with serving(certificate, handler) as url, client() as peer:
            session = await peer.connect(url=url)
            ours = await session.export_keying_material(label="x", context=b"c", length=20)
            assert len(ours) == 20
            assert ours == await theirs.get()

    run(main())


def test_diagnostics(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with serving(certificate, echo) as url, client() as peer:
            session = await peer.connect(url=url)
            stream = await session.create_bidirectional_stream()
            await stream.write(data=b"12345")
            facts = await session.diagnostics()
            assert facts.is_client
            assert facts.local_data_sent == 5
            assert facts.active_streams == [stream.stream_id]
            assert (await stream.diagnostics()).bytes_sent == 5
            connection = await session.connection.diagnostics()
            assert connection.session_count == 1
            assert connection.stream_count == 1

    run(main())
