"""One workload of one peer, with a server and a client process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from implementations import Peer, Unavailable, run

STEP_TIMEOUT: Final = 60.0
"""Seconds that a client gets."""


@dataclass(frozen=True)
class Workload:
    """What is measured: the metric of the result, and whether more is better."""

    name: str
    title: str
    metric: str
    more_is_better: bool
    unit: float = 1.0
    """What the values are divided by for the table."""
    seconds: float = 2.0
    """What a run takes, about, the start of both processes included."""


WORKLOADS: Final = [
    Workload("bulk_up", "bulk to the server (MB/s)", "bytes_per_s", True, 1e6),
    Workload("bulk_down", "bulk from the server (MB/s)", "bytes_per_s", True, 1e6),
    Workload("bulk_duplex", "bulk both ways, sum (MB/s)", "bytes_per_s", True, 1e6),
    Workload("latency", "64-byte request, sequential, p50 (µs)", "p50_us", False),
    Workload("concurrent", "64-byte requests, 100 at a time (1/s)", "requests_per_s", True),
    Workload("datagram_rtt", "datagram round trip, p50 (µs)", "p50_us", False),
    Workload("datagram_rate", "1000-byte datagrams, 95 % arrive (1/s)", "datagrams_per_s", True),
    Workload("sessions", "sessions, a connection each (1/s)", "sessions_per_s", True),
    Workload("memory", "memory of an idle session, server (kB)", "bytes_per_session", False, 1e3),
]
CPU: Final = Workload("cpu", "processor time per GB to the server, both sides (s)", "cpu_s", False)
"""Of `bulk_up`, without a run of its own."""


def measure(peer: Peer, command: list[str], workload: Workload, cert: Path, key: Path) -> dict[str, float]:
    """The figures of one run, by the workload's name.

    Raises:
        Unavailable: the server does not start, or the client fails.
    """
    amount = peer.amounts.of(workload.name)
    with _server(command, cert, key) as (port, pid):
        before = _cpu_seconds(pid)
        line = run([*command, "client", str(port), workload.name, str(amount)], timeout=STEP_TIMEOUT)
        after = _cpu_seconds(pid)
    try:
        result = json.loads(line)
        figures = {workload.name: float(result[workload.metric])}
        if workload.name == "bulk_up":
            figures[CPU.name] = (after - before + float(result["client_cpu_s"])) / (amount / 1e9)
    except (ValueError, KeyError) as error:
        raise Unavailable(f"no result: {error}") from error
    return figures


@contextlib.contextmanager
def _server(command: list[str], cert: Path, key: Path) -> Iterator[tuple[int, int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [*command, "server", str(port), str(cert), str(key)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise Unavailable("the server did not start")
        yield port, process.pid
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _cpu_seconds(pid: int) -> float:
    """Processor time of a process so far; see proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
