"""What an endpoint writes for those who look for faults: key log and qlog."""

from __future__ import annotations

import json
import ssl
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from interop_process import running
from pywebtransport import ClientConfig, WebTransportClient

pytestmark = pytest.mark.usefixtures("built")

CLIENT = ClientConfig(verify_mode=ssl.CERT_NONE)


@pytest.mark.parametrize("by", ["option", "environment"])
def test_secrets_are_logged_where_asked(run: Any, tmp_path: Path, by: str) -> None:
    path = tmp_path / "keys"
    given_by = ["--keylog", str(path)] if by == "option" else []
    environment = {} if by == "option" else {"SSLKEYLOGFILE": str(path)}

    async def main(url: str) -> None:
        async with WebTransportClient(config=CLIENT) as client:
            await client.connect(url=f"{url}/echo")

    with running(*given_by, **environment) as server:
        run(main(server.url))
    if by == "option":
        assert path.stat().st_mode & 0o777 == 0o600
    labels = {line.split()[0] for line in path.read_text().splitlines() if not line.startswith("#")}
    assert {
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    } <= labels


def read_trace(path: Path) -> list[dict[str, Any]]:
    """The records of a qlog file in JSON text sequences (RFC 7464)."""
    text = path.read_bytes()
    assert text.startswith(b"\x1e") and text.endswith(b"\n")
    return [json.loads(record) for record in text[1:].split(b"\x1e")]


def test_a_trace_of_each_connection_is_written(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "traces"

    async def main(url: str) -> None:
        for _ in range(4):
            async with WebTransportClient(config=CLIENT) as client:
                await client.connect(url=f"{url}/echo")

    with running("--qlog", str(folder), "--qlog-max-files", "3") as server:
        run(main(server.url))
        server.signal()
        assert server.end() == (0, [])
    files = sorted(folder.iterdir())
    assert len(files) == 3
    for path in files:
        assert path.name.endswith("_server.sqlog")
        head, *events = read_trace(path)
        assert (head["qlog_version"], head["qlog_format"]) == ("0.3", "JSON-SEQ")
        names = {event["name"] for event in events}
        assert {"transport:packet_sent", "transport:packet_received", "recovery:metrics_updated"} <= names


def test_a_client_writes_traces_too(run: Any, tmp_path: Path) -> None:
    async def main(url: str) -> None:
        config = ClientConfig(verify_mode=ssl.CERT_NONE, qlog_folder=str(tmp_path))
        async with WebTransportClient(config=config) as client:
            session = await client.connect(url=f"{url}/echo?x=\u00e9")
            stream = await session.create_bidirectional_stream()
            await stream.reset(error_code=7)
            await session.close(error_code=5, reason="enough")

    with running() as server:
        run(main(server.url))
    (path,) = tmp_path.iterdir()
    assert path.name.endswith("_client.sqlog")
    _, *events = read_trace(path)
    times = [event["time"] for event in events]
    # The engine rounds
    assert all(later > earlier - 1e-3 for earlier, later in pairwise(times))
    told: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        told.setdefault(event["name"].removeprefix("webtransport:"), []).append(event["data"])
    assert told["negotiated"][0]["draft"] == 16
    assert told["negotiated"][0]["peer_settings"]["initial_max_data"] > 0
    assert told["session_established"][0]["status"] == 200
    # The header of the stream is reliable
    assert told["reset_sent"][0]["reliable_size"] > 0
    assert told["session_closed"][0]["cause"] == {"by": "application"}
    # DATA, and in it WT_CLOSE_SESSION (0x2843) with 10 bytes
    close = bytes.fromhex("68430a00000005") + b"enough"
    assert any(data["raw"]["data"].endswith(close.hex()) for data in told["stream_data_sent"])


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(AssertionError, match=r"qlog: .*file"),
        running("--qlog", str(tmp_path / "file" / "x")),
    ):
        pass


def test_a_trace_is_bounded_in_size(run: Any, tmp_path: Path) -> None:
    async def main(url: str) -> None:
        async with WebTransportClient(config=CLIENT) as client:
            session = await client.connect(url=f"{url}/echo")
            stream = await session.create_bidirectional_stream()
            await stream.write_all(data=bytes(100_000), end_stream=True)
            assert len(await stream.read_all()) == 100_000

    with running("--qlog", str(tmp_path), "--qlog-max-size", "3000") as server:
        run(main(server.url))
        server.signal()
        assert server.end() == (0, [])
    (path,) = tmp_path.iterdir()
    assert 1000 < path.stat().st_size <= 3000
    assert len(read_trace(path)) > 5
