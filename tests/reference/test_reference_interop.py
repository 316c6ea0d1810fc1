"""The interop server: each endpoint of the contract, and its command line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pywebtransport import (
    ClientConfig,
    ClientError,
    ServerConfig,
    StreamError,
    WebTransportClient,
    WebTransportSession,
)
from pywebtransport.interop.hub import MAX_RECORDED_IDS, MAX_RECORDS, Hub
from pywebtransport.interop.query import BadParameter, Query, pattern
from pywebtransport.interop.server import PATHS, InteropServer
from pywebtransport.types import EventType

Run = Callable[[Any], Any]
Visit = Callable[..., Any]


@contextlib.asynccontextmanager
async def visiting(certificate: tuple[str, str], **config: Any) -> AsyncIterator[Visit]:
    """A server and a client; gives the function that opens a session at a path."""
    options = ServerConfig(
        bind_host="127.0.0.1", bind_port=0, certfile=certificate[0], keyfile=certificate[1]
    )
    settings = ClientConfig(verify_mode=ssl.CERT_NONE, **config)
    async with (
        InteropServer(options, drain_timeout=0) as server,
        WebTransportClient(config=settings) as client,
    ):

        async def visit(path: str, **arguments: Any) -> WebTransportSession:
            return await client.connect(url=f"https://127.0.0.1:{server.port}{path}", **arguments)

        yield visit


async def ask(session: WebTransportSession) -> bytes:
    """What a query stream answers."""
    stream = await session.create_bidirectional_stream()
    await stream.write(data=b"", end_stream=True)
    return await stream.read_all()


async def refusal(visit: Visit, path: str, **arguments: Any) -> dict[str, Any]:
    """The details of a refused request."""
    with pytest.raises(ClientError) as caught:
        await visit(path, **arguments)
    return caught.value.details


def test_echo(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with visiting(certificate) as visit:
            session = await visit("/echo")
            bidi = await session.create_bidirectional_stream()
            await bidi.write(data=b"first")
            assert await bidi.readexactly(n=5) == b"first"
            await bidi.write(data=b"last", end_stream=True)
            assert await bidi.read_all() == b"last"
            empty = await session.create_bidirectional_stream()
            await empty.write(data=b"", end_stream=True)
            assert await empty.read_all() == b""
            uni = await session.create_unidirectional_stream()
            await uni.write(data=b"uni", end_stream=True)
            assert await (await session.accept_unidirectional_stream()).read_all() == b"uni"
            await session.send_datagram(data=b"datagram")
            assert await session.receive_datagram() == b"datagram"

    run(main())


def test_echo_passes_codes_on(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with visiting(certificate) as visit:
            session = await visit("/echo")
            bidi = await session.create_bidirectional_stream()
            await bidi.write(data=b"x")
            await bidi.readexactly(n=1)
            await bidi.reset(error_code=41)
            with pytest.raises(StreamError) as caught:
                await bidi.read_all()
            assert caught.value.error_code == 41
            uni = await session.create_unidirectional_stream()
            await uni.write(data=b"x")
            answer = await session.accept_unidirectional_stream()
            assert await answer.readexactly(n=1) == b"x"
            await uni.reset(error_code=42)
            with pytest.raises(StreamError) as caught:
                await answer.read_all()
            assert caught.value.error_code == 42

    run(main())


def test_stats_and_status(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with visiting(certificate) as visit:
            session = await visit("/stats")
            await session.send_datagram(data=b"d")
            assert await session.receive_datagram() == b"d"
            stats = json.loads(await ask(session))
            assert stats["datagrams_received"] == stats["datagrams_sent"] == 1
            assert stats["streams_bidi_received"] == 1
            assert stats["draft"] == "16"
            assert stats["flow_control"] is True
            status = json.loads(await ask(await visit("/status")))
            assert status["status"] == "ok"
            assert status["endpoints"]["baton"] == "/webtransport/devious-baton"
            assert status["sessions_active"] == status["metrics"]["sessions"] == 2
            assert status["metrics"]["datagrams_sent_total"] == 1

    run(main())


def test_protocols_and_exporter(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with visiting(certificate) as visit:
            session = await visit("/protocols?supports=b&supports=a", wt_available_protocols=["a", "b"])
            assert session.wt_protocol == "a"
            assert json.loads(await ask(session)) == {"offered": ["a", "b"], "selected": "a"}
            assert json.loads(await ask(await visit("/protocols"))) == {"offered": None, "selected": None}
            refused = await refusal(visit, "/protocols?supports=z&required=1", wt_available_protocols=["a"])
            assert refused["status"] == 400
            session = await visit("/exporter?label=l&context=00ff&length=9")
            ours = await session.export_keying_material(label="l", context=b"\x00\xff", length=9)
            assert json.loads(await ask(session)) == {"keying_material": ours.hex()}

    run(main())


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/close?code=4294967295&reason=bye", 4294967295, "bye"),
        ("/close?reason=%C3%A9&repeat=1000", 0, "é" * 512),
        ("/close?code=2&uni=1&bidi=1&connection=1", 2, ""),
    ],
)
def test_close(run: Run, certificate: tuple[str, str], path: str, code: int, reason: str) -> None:
    async def main() -> None:
        async with visiting(certificate) as visit:
            session = await visit(path)
            await session.wait_closed()
            assert (session.close_code, session.close_reason) == (code, reason)

    run(main())


def test_close_at_the_first_stream(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with visiting(certificate) as visit:
            session = await visit("/close?code=3&on=stream")
            stream = await session.create_unidirectional_stream()
            await stream.write(data=b"now")
            await session.wait_closed()
            assert session.close_code == 3

    run(main())


def test_refusals(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with visiting(certificate) as visit:
            refused = await refusal(visit, "/reject?status=302&location=/there")
            assert (refused["status"], dict(refused["headers"])[b"location"]) == (302, b"/there")
            assert (await refusal(visit, "/reject"))["status"] == 403
            unknown = await refusal(visit, "/unknown")
            assert unknown["status"] == 405
            assert b"allow" in dict(unknown["headers"])
            for path in ("/close?code=4294967296", "/close?on=never", "/observe?id=%20", "/push?uni=1001"):
                assert (await refusal(visit, path))["status"] == 400
            for path in ("version=1", "baton=0", "baton=256", "count=0", "count=101", "count=x"):
                assert (await refusal(visit, f"/webtransport/devious-baton?{path}"))["status"] == 400
            origin = {"origin": "https://b"}
            assert (await refusal(visit, "/origin?allow=https://a", headers=origin))["status"] == 403
            await visit("/origin?allow=https://a&allow=https://b", headers=origin)

    run(main())


def test_push_and_reset(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with visiting(certificate) as visit:
            session = await visit("/push?uni=1&bidi=1&bytes=600&datagrams=2&datagram_bytes=5")
            assert await (await session.accept_unidirectional_stream()).read_all() == pattern(600)
            assert await (await session.accept_bidirectional_stream()).read_all() == pattern(600)
            assert [await session.receive_datagram() for _ in range(2)] == [pattern(5)] * 2
            session = await visit("/reset?code=77&bidi=1&stop=1")
            stream = await session.accept_bidirectional_stream()
            with pytest.raises(StreamError) as caught:
                await stream.read_all()
            assert caught.value.error_code == 77
            ours = await session.create_bidirectional_stream()
            await ours.write(data=b"x")
            with pytest.raises(StreamError) as caught:
                await ours.read_all()
            assert caught.value.error_code == 77

    run(main())


def test_drain(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with visiting(certificate) as visit:
            for path in ("/drain", "/drain?goaway=1"):
                session = await visit(path)
                await session.events.wait_for(event_type=EventType.SESSION_DRAINING)
                await session.send_datagram(data=b"still")
                assert await session.receive_datagram() == b"still"

    run(main())


def test_observe(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with visiting(certificate) as visit:
            session = await visit("/observe?id=x&echo=1", headers={"origin": "https://o"})
            stream = await session.create_bidirectional_stream()
            await stream.write(data=b"seen", end_stream=True)
            assert await stream.read_all() == b"seen"
            await session.send_datagram(data=b"d")
            assert await session.receive_datagram() == b"d"
            await session.close(error_code=9, reason="done")
            reader = await visit("/observe?read=x")
            records: list[dict[str, Any]] = []
            while not records or records[-1]["event"] != "closed":
                records = [json.loads(line) for line in (await ask(reader)).splitlines()]
            assert [record["seq"] for record in records] == list(range(len(records)))
            assert [record["event"] for record in records] == [
                "session",
                "stream",
                "data",
                "fin",
                "datagram",
                "closed",
            ]
            assert records[0]["origin"] == "https://o"
            assert bytes.fromhex(records[2]["data"]) == b"seen"
            assert records[5] == {**records[5], "code": 9, "reason": "done", "clean": True}
            assert await ask(await visit("/observe?read=nobody")) == b""

    run(main())


def test_baton_is_played_to_its_end(run: Run, certificate: tuple[str, str]) -> None:
    async def main() -> None:
        async with visiting(certificate) as visit:
            session = await visit("/webtransport/devious-baton?baton=253&count=1")
            stream = await session.accept_unidirectional_stream()
            assert (await stream.read_all())[-1] == 253
            ours = await session.create_bidirectional_stream()
            await ours.write(data=b"\x00\xfe", end_stream=True)
            assert (await ours.read_all())[-1] == 255
            last = await session.create_unidirectional_stream()
            await last.write(data=b"\x01\x00\x00", end_stream=True)
            await session.wait_closed()
            assert (session.close_code, session.close_source) == (0, "peer")

    run(main())


@given(text=st.text(alphabet="0123456789+- _٣.e", max_size=8))
def test_numbers_are_plain_decimal_digits(text: str) -> None:
    path = "/x?" + "n=" + "".join(f"%{octet:02x}" for octet in text.encode())
    if re.fullmatch("[0-9]+", text) and int(text) <= 1000:
        assert Query(path).number("n") == int(text)
    else:
        with pytest.raises(BadParameter):
            Query(path).number("n")


def test_records_are_bounded() -> None:
    hub = Hub(drafts=[16], endpoints={})
    for number in range(MAX_RECORDED_IDS + 1):
        hub.records(f"id{number}")
    assert hub.recorded("id0") == b""
    records = hub.records("many")
    for number in range(MAX_RECORDS + 5):
        records.add("data", 0, stream=number)
    lines = hub.recorded("many").splitlines()
    assert len(lines) == MAX_RECORDS
    assert json.loads(lines[0])["seq"] == 5


def test_every_endpoint_of_the_contract_is_there() -> None:
    assert {service.name for service in PATHS.values()} == {
        "echo",
        "observe",
        "stats",
        "status",
        "close",
        "drain",
        "reject",
        "origin",
        "push",
        "reset",
        "protocols",
        "exporter",
        "baton",
    }


@pytest.mark.usefixtures("built")
def test_the_command_says_when_it_listens_and_ends_on_a_signal() -> None:
    command = [sys.executable, "-m", "pywebtransport.interop", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen([*command, "--drafts", "16,02"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        digest = process.stdout.readline().split()
        assert digest[:2] == ["certificate", "sha-256"]
        listening = re.fullmatch(r"listening on https://127\.0\.0\.1:(\d+)/\n", process.stdout.readline())
        assert listening is not None

        async def main() -> dict[str, Any]:
            config = ClientConfig(certificate_hashes=[bytes.fromhex(digest[2])], drafts=[2])
            async with WebTransportClient(config=config) as client:
                session = await client.connect(url=f"https://127.0.0.1:{listening[1]}/status")
                answer: dict[str, Any] = json.loads(await ask(session))
                return answer

        status = asyncio.run(main())
        assert (status["draft"], status["drafts"]) == ("02", ["16", "02"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.parametrize("arguments", [["--drafts", "15"], ["--drafts", "x"], ["--cert", "only.pem"]])
def test_wrong_arguments_are_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from pywebtransport.interop.__main__ import main

    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err
