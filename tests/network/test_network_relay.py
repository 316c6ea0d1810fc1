"""The relay over real sockets: what it forwards, logs and rebinds, as object and as child process."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from scenarios.network import RelayFailed, RelayProcess
from scenarios.network.log import FateLog
from scenarios.network.profiles import PROFILES, Profile
from scenarios.network.relay import Relay

DEADLINE = 10.0


def udp() -> socket.socket:
    result = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    result.bind(("127.0.0.1", 0))
    result.settimeout(DEADLINE)
    return result


class Bench:
    """A relay in this process between a client and a server socket, with its log."""

    def __init__(self, profile: Profile, max_lines: int = 1000) -> None:
        self.server, self.client, self.output = udp(), udp(), io.StringIO()
        log = FateLog(self.output, profile, 1, max_lines)
        self.relay = Relay(profile, 1, ("127.0.0.1", 0), self.server.getsockname(), log)

    def send(self, data: bytes) -> None:
        """Send from the client and let the relay handle it."""
        self.client.sendto(data, self.relay.address)
        self.relay.step()

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.output.getvalue().splitlines()]

    def finish(self) -> list[dict[str, object]]:
        """End the relay and return its complete log."""
        self.relay.close()
        return self.lines()

    def close(self) -> None:
        self.relay.close()
        self.server.close()
        self.client.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as result:
        yield result


def test_datagrams_go_both_ways_and_are_logged(stack: ExitStack) -> None:
    bench = stack.enter_context(closing(Bench(PROFILES["clean"])))
    bench.send(b"question")
    data, source = bench.server.recvfrom(100)
    bench.server.sendto(data + b"?", source)
    bench.relay.step()
    assert bench.client.recv(100) == b"question?"
    header, address, up, down, summary = bench.finish()
    assert header == {"format": "wtconform-network-log/1", "profile": "clean", "seed": 1}
    assert (address["event"], address["port"]) == ("address", source[1])
    assert (up["direction"], up["index"], up["size"], up["fate"]) == ("up", 0, 8, "delivered")
    assert (down["direction"], down["index"], down["size"]) == ("down", 0, 9)
    assert summary == {"summary": {"address": 1, "down.delivered": 1, "up.delivered": 1}}


def test_rebinding_changes_the_address_that_the_server_sees(stack: ExitStack) -> None:
    bench = stack.enter_context(closing(Bench(Profile(name="x", rebind_every=2))))
    sources = []
    for number in range(6):
        bench.send(b"%d" % number)
        sources.append(bench.server.recvfrom(100))
    assert [data for data, _ in sources] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    ports = [source[1] for _, source in sources]
    assert ports[0] == ports[1] != ports[2] == ports[3] != ports[4] == ports[5]
    bench.server.sendto(b"late", sources[2][1])
    bench.server.sendto(b"right", sources[5][1])
    while not any(line.get("event") == "old-address" for line in bench.lines()):
        bench.relay.step()
    while not any(line.get("direction") == "down" for line in bench.lines()):
        bench.relay.step()
    assert bench.client.recv(100) == b"right"


def test_what_is_lost_does_not_arrive(stack: ExitStack) -> None:
    bench = stack.enter_context(closing(Bench(PROFILES["lossy"])))
    for number in range(150):
        bench.send(b"%03d" % number)
    delivered = [line["index"] for line in bench.lines() if line.get("fate") == "delivered"]
    assert 0 < 150 - len(delivered) < 30
    while bench.relay._waiting:
        bench.relay.step()
    assert [int(bench.server.recv(100)) for _ in delivered] == delivered


def test_the_log_is_bounded_but_counts_everything(stack: ExitStack) -> None:
    bench = stack.enter_context(closing(Bench(PROFILES["clean"], max_lines=5)))
    for _ in range(20):
        bench.send(b"x")
    lines = bench.finish()
    assert len(lines) == 7
    assert lines[-1] == {"summary": {"address": 1, "up.delivered": 20}}


def test_each_client_address_is_a_flow(stack: ExitStack) -> None:
    bench = stack.enter_context(closing(Bench(PROFILES["clean"])))
    other = stack.enter_context(closing(udp()))
    bench.send(b"a")
    other.sendto(b"b", bench.relay.address)
    bench.relay.step()
    (_, first), (_, second) = bench.server.recvfrom(10), bench.server.recvfrom(10)
    bench.server.sendto(b"to b", second)
    bench.relay.step()
    assert first != second
    assert other.recv(10) == b"to b"


def test_an_absent_server_does_not_end_the_relay(stack: ExitStack) -> None:
    bench = stack.enter_context(closing(Bench(PROFILES["clean"])))
    bench.server.close()
    for _ in range(5):
        bench.send(b"x")
    assert bench.lines()[-1]["index"] == 4


def test_the_child_process_relays_until_the_block_ends(tmp_path: Path, stack: ExitStack) -> None:
    server, client = stack.enter_context(closing(udp())), stack.enter_context(closing(udp()))
    log = tmp_path / "network.jsonl"
    with RelayProcess(PROFILES["wifi"], 5, server.getsockname(), log=log) as relay:
        client.sendto(b"ping", relay.address)
        data, source = server.recvfrom(100)
        server.sendto(data.replace(b"i", b"o"), source)
        assert client.recv(100) == b"pong"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[0] == {"format": "wtconform-network-log/1", "profile": "wifi", "seed": 5}
    assert lines[-1]["summary"]["down.delivered"] == 1


def test_a_relay_that_cannot_start_says_why() -> None:
    with pytest.raises(RelayFailed, match=r"cannot relay to host\.invalid:1: "):
        RelayProcess(PROFILES["clean"], 1, ("host.invalid", 1)).__enter__()


@pytest.mark.parametrize("target", ["nonsense", "127.0.0.1:0", "127.0.0.1:99999"])
def test_a_target_that_is_no_address_is_a_usage_error(target: str) -> None:
    command = [sys.executable, "-m", "scenarios.network", "--to", target]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f"{target} is not HOST:PORT" in result.stderr
