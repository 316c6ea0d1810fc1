"""How the interop server is run: its end, its logs, metrics, and what it says of itself."""

from __future__ import annotations

import json
import logging
import re
import signal
import socket
import ssl
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interop_process import Running, running
from prometheus_client.parser import text_string_to_metric_families
from pywebtransport import ClientConfig, WebTransportClient, WebTransportSession
from pywebtransport.interop import arguments, logs
from pywebtransport.interop.metrics import FIGURES, PREFIX, MissingPackage, served

from conformance.peer.client import Peer
from conformance.peer.codepoints import CapsuleType
from conformance.peer.drafts import Draft
from conformance.peer.openers import UdpOpener
from conformance.peer.options import ConnectFailed, PeerOptions

pytestmark = pytest.mark.usefixtures("built")

CLIENT = ClientConfig(verify_mode=ssl.CERT_NONE)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@contextmanager
def raw(server: Running, **options: Any) -> Iterator[Peer]:
    """A connection that shows what is on the wire."""
    opener = UdpOpener(url=f"{server.url}/echo", quic={"insecure": True})
    with Peer.connect(opener, options=PeerOptions(deadline=20.0, **options)) as peer:
        yield peer


async def ask(session: WebTransportSession) -> Any:
    stream = await session.create_bidirectional_stream()
    await stream.write(data=b"", end_stream=True)
    return json.loads(await stream.read_all())


# The end


def test_the_end_is_announced_and_waited_for() -> None:
    """GOAWAY (RFC 9114 §5.2) and WT_DRAIN_SESSION (draft-16 §4.7); nobody new is let in meanwhile."""
    with running("--drain-timeout", "60", "--log-format", "json", "--log-level", "info") as server:
        with raw(server) as peer:
            session = peer.establish()
            server.signal()
            assert peer.wait(
                lambda: (
                    bool(peer.goaways)
                    and any(x.capsule_type == CapsuleType.WT_DRAIN_SESSION for x in session.capsules)
                )
            )
            stream = session.open_bidi(b"still served", end_stream=True)
            assert peer.wait(lambda: stream.received.endswith(b"still served"))
            late = UdpOpener(url=f"{server.url}/echo", quic={"insecure": True})
            with pytest.raises(ConnectFailed) as caught:
                Peer.connect(late)
            assert caught.value.close is not None
            assert caught.value.close.error_code == 0x02  # CONNECTION_REFUSED
            assert server.process.poll() is None
            session.close(0, b"")
            assert peer.wait(lambda: peer.closed is not None)
            assert peer.closed is not None
            assert peer.closed.error_code == 0x100  # H3_NO_ERROR
        events = [record["event"] for record in server.stopped()]
        assert events[-2:] == ["connection_closed", "stopped"]
        assert events.index("draining") < events.index("session_closed")


def test_the_end_comes_after_the_drain_time_at_the_latest() -> None:
    with running("--drain-timeout", "0.1") as server, raw(server) as peer:
        session = peer.establish()
        server.signal(signal.SIGINT)
        assert peer.wait(lambda: session.done)
        assert peer.wait(lambda: peer.closed is not None)
        assert server.end()[0] == 0


def test_the_second_signal_ends_at_once() -> None:
    with running("--drain-timeout", "600", "--log-format", "json", "--log-level", "info") as server:
        with raw(server) as peer:
            peer.establish()
            server.signal()
            assert peer.wait(lambda: bool(peer.goaways))
            server.signal()
            assert peer.wait(lambda: peer.closed is not None)
            status, lines = server.end()
        assert status == 0
        assert [json.loads(line)["event"] for line in lines if '"cut_short"' in line] == ["cut_short"]


@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 on this machine")
def test_both_families_are_served(run: Any) -> None:
    async def main(port: int) -> None:
        async with WebTransportClient(config=CLIENT) as client:
            for host, seen in (("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")):
                session = await client.connect(url=f"https://{host}:{port}/echo")
                assert session.remote_address is not None
                assert session.remote_address[0] == seen

    with running("--host", "::", "--log-format", "json", "--log-level", "info") as server:
        assert server.said[-1].startswith("listening on https://[::]:")
        run(main(server.port))
        remotes = [r["remote"] for r in server.stopped() if r["event"] == "connection_established"]
    assert [remote.rpartition(":")[0] for remote in remotes] == ["127.0.0.1", "[::1]"]


@pytest.mark.parametrize(("options", "taken"), [((), True), (("--no-early-data",), False)])
def test_early_data_are_taken_unless_switched_off(options: tuple[str, ...], taken: bool) -> None:
    """A request in them is answered after the handshake."""
    with running(*options) as server:
        with raw(server) as peer:
            assert peer.wait(lambda: bool(peer.quic.session_tickets))
            ticket = peer.quic.session_tickets[0]
        opener = UdpOpener(url=f"{server.url}/echo", quic={"insecure": True, "session_ticket": ticket})
        with Peer(opener, Draft.D16, PeerOptions(deadline=20.0)) as peer:
            peer.start_h3()
            session = peer.establish(wait=False)
            assert peer.wait(lambda: session.established)
            assert peer.quic.early_data_accepted is taken


# Logs


def test_logs_are_json_lines_with_stable_keys(run: Any) -> None:
    async def visit(url: str) -> None:
        async with WebTransportClient(config=CLIENT) as client:
            session = await client.connect(url=f"{url}/echo?x=%0a{'long' * 100}", headers={"origin": "o\té"})
            await session.send_datagram(data=b"served")
            assert await session.receive_datagram() == b"served"
            await session.close(error_code=7, reason="by\ne")
            with pytest.raises(Exception, match="405"):
                await client.connect(url=f"{url}/nowhere")

    with running("--log-format", "json", "--log-level", "info") as server:
        run(visit(server.url))
        records = server.stopped()
    for record in records:
        assert tuple(record)[: len(logs.KEYS)] == logs.KEYS
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])
        assert record["level"] == "info"
    told = {record["event"]: record for record in records if record["event"] != "log"}
    assert set(told) == {
        "listening",
        "connection_established",
        "session_requested",
        "session_established",
        "session_refused",
        "session_closed",
        "connection_closed",
        "draining",
        "stopped",
    }
    asked = next(record for record in records if record["event"] == "session_requested")
    assert asked["draft"] == "16"
    assert len(asked["path"]) < logs.MAX_VALUE + 32
    closed = next(record for record in records if record["event"] == "session_closed")
    assert (closed["code"], closed["reason"], closed["source"]) == (7, "by\ne", "peer")
    assert told["session_refused"]["status"] == 405
    assert told["stopped"]["sessions_served"] == 1


@given(message=st.text(), value=st.text(), key=st.sampled_from(["path", "reason"]))
@pytest.mark.parametrize("form", logs.FORMATS)
def test_nothing_off_the_wire_makes_a_line_of_its_own(form: str, message: str, value: str, key: str) -> None:
    formatter = logs.JsonLines() if form == "json" else logs.TextLines()
    record = logging.makeLogRecord({"msg": message, "event": "e", "facts": {key: value}, "levelname": "INFO"})
    line = formatter.format(record)
    assert line.isascii() and line.isprintable()
    assert len(line) < 40_000
    if form == "json":
        assert tuple(json.loads(line)) == (*logs.KEYS, key)
        assert json.loads(line)[key] == logs.bounded(value)


def test_failures_are_logged_with_their_place() -> None:
    out = StringIO()
    before = logging.root.handlers[:], logging.root.level
    try:
        logs.begin(form="json", level="info", stream=out)
        try:
            raise ValueError("a\nb")
        except ValueError:
            logging.getLogger("x").exception("of a %s", "kind")
        logging.getLogger("x").debug("not shown")
    finally:
        logging.root.handlers[:], logging.root.level = before
    (line,) = out.getvalue().splitlines()
    record = json.loads(line)
    assert (record["event"], record["level"], record["message"]) == ("log", "error", "of a kind")
    assert "ValueError: a\nb" in record["exception"]


# What it says of itself


def test_stats_has_what_was_negotiated(run: Any) -> None:
    async def main(url: str) -> None:
        config = ClientConfig(verify_mode=ssl.CERT_NONE, initial_max_data=12_345, drafts=[16])
        async with WebTransportClient(config=config) as client:
            stats = await ask(await client.connect(url=f"{url}/stats"))
        assert stats["draft"] == "16"
        assert stats["cipher"] == "TLS_AES_128_GCM_SHA256"
        assert stats["settings"]["local"]["WT_ENABLED"] == stats["settings"]["peer"]["WT_ENABLED"] == 1
        assert stats["settings"]["local"]["ENABLE_CONNECT_PROTOCOL"] == 1
        assert stats["settings"]["peer"]["WT_INITIAL_MAX_DATA"] == 12_345
        assert stats["settings"]["peer"]["WT_MAX_SESSIONS"] == 0
        parameters = stats["transport_parameters"]
        for side in ("local", "peer"):
            assert parameters[side]["max_datagram_frame_size"] == 65535
            assert parameters[side]["reset_stream_at"] == parameters[side]["reset_stream_at_07"] == 1
        assert parameters["peer"]["initial_max_data"] == config.quic_receive_window
        assert "settings" not in stats["quic"]

    with running() as server:
        run(main(server.url))


def test_the_status_counts_as_the_metrics_do(run: Any) -> None:
    async def main(url: str, page: str) -> None:
        async with WebTransportClient(config=CLIENT) as client:
            echo = await client.connect(url=f"{url}/echo")
            stream = await echo.create_bidirectional_stream()
            await stream.write_all(data=b"12345", end_stream=True)
            assert await stream.read_all() == b"12345"
            status = await client.connect(url=f"{url}/status")
            figures = (await ask(status))["metrics"]
            assert figures.keys() == FIGURES.keys()
            assert (figures["connections"], figures["sessions"], figures["sessions_total"]) == (2, 2, 2)
            assert (figures["bytes_received_total"], figures["bytes_sent_total"]) == (5, 5)
            await echo.close()
            while (figures := (await ask(status))["metrics"])["sessions"] != 1:
                pass
            assert figures["bytes_received_total"] == 5
        metrics = read_metrics(page)
        for name, (kind, _) in FIGURES.items():
            family, value = metrics[PREFIX + name]
            assert family == kind
            assert name in ("uptime_seconds", "connections", "sessions", "streams") or value >= figures[name]
        assert metrics[f"{PREFIX}build_info"] == ("gauge", 1.0)

    with running("--metrics", "0") as server:
        (line,) = (line for line in server.said if line.startswith("metrics at "))
        page = line.removeprefix("metrics at ").strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", page)
        run(main(server.url, page))
        server.signal()
        assert server.end() == (0, [])


def read_metrics(page: str) -> dict[str, tuple[str, float]]:
    """Kind and value by name, read by the parser of Prometheus' own library."""
    with urllib.request.urlopen(page, timeout=20) as response:
        assert response.headers["content-type"].startswith("text/plain")
        text = response.read().decode()
    return {
        sample.name: (family.type, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_say_what_they_need(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    async def main() -> None:
        with pytest.raises(MissingPackage, match=r"pip install 'webtransport-reference\[metrics\]'"):
            async with served("127.0.0.1", 0, dict, {}):
                pass

    run(main())


# The command line


@pytest.mark.parametrize(
    "wrong",
    [
        ["--limit", "nonsense=1"],
        ["--limit", "max_sessions=many"],
        ["--limit", "max_sessions=0"],
        ["--max-connections", "0"],
        ["--metrics", "nowhere:9"],
        ["--metrics", "70000"],
        ["--drain-timeout", "-1"],
        ["--log-format", "xml"],
        ["--qlog", "d", "--qlog-max-files", "0"],
    ],
    ids=" ".join,
)
def test_wrong_values_are_a_usage_error(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        arguments.read(wrong)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_limits_reach_the_configuration() -> None:
    given_limits = ["--limit", "max_sessions=3", "--limit", "connection_idle_timeout=1.5"]
    config = arguments.configuration(arguments.read(given_limits), certfile="c", keyfile="k")
    assert (config.max_sessions, config.connection_idle_timeout) == (3, 1.5)


@pytest.mark.parametrize(
    ("text", "address"),
    [("9000", ("127.0.0.1", 9000)), ("0.0.0.0:1", ("0.0.0.0", 1)), ("[::1]:2", ("::1", 2))],
)
def test_metrics_are_local_unless_said_otherwise(text: str, address: tuple[str, int]) -> None:
    assert arguments.read(["--metrics", text]).metrics == address


def test_help_names_every_option_and_limit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments.read(["--help"])
    text = capsys.readouterr().out
    for name in arguments.LIMITS:
        assert f"{name} (" in text
    readme = (Path(__file__).resolve().parents[2] / "reference_impl" / "README.md").read_text()
    for option in re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE):
        assert option in readme, option


def test_a_port_that_is_taken_is_named() -> None:
    with (
        running() as server,
        pytest.raises(AssertionError, match="cannot listen"),
        running("--port", str(server.port)),
    ):
        pass
