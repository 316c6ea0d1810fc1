"""Compare the reference with other Python implementations, on this machine, in interleaved rounds.

`python benchmarks/run.py` prepares an environment for each peer (below `benchmarks/.environments`), runs
every workload with every peer in turn, and writes medians and ratios as Markdown and JSON. Absolute figures
mean little; ratios of one run do. Loads are bounded, traffic stays on the loopback interface.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
REFERENCE = HERE.parent / "reference_impl"
ENVIRONMENTS = HERE / ".environments"
STEP_TIMEOUT = 60.0


@dataclass(frozen=True)
class Peer:
    """An implementation: how to install it, which program speaks for it, how much it is given to do."""

    name: str
    program: str
    requirement: str | None
    oldest_python: tuple[int, int]
    bulk_bytes: int
    requests: int
    datagrams_per_s: int


PEERS = [
    Peer("reference", "pywebtransport_peer.py", None, (3, 11), 256 << 20, 2000, 200_000),
    Peer(
        "pywebtransport 0.21.1",
        "pywebtransport21_peer.py",
        "pywebtransport==0.21.1",
        (3, 12),
        64 << 20,
        500,
        50_000,
    ),
    Peer(
        "pywebtransport 0.19.1",
        "pywebtransport_peer.py",
        "pywebtransport==0.19.1",
        (3, 12),
        64 << 20,
        500,
        50_000,
    ),
    Peer("aioquic 1.7.2", "aioquic_peer.py", "aioquic==1.7.2", (3, 11), 8 << 20, 500, 50_000),
]


@dataclass(frozen=True)
class Workload:
    """What is measured: the metric of the result, its unit, and whether more is better."""

    name: str
    title: str
    metric: str
    more_is_better: bool


WORKLOADS = [
    Workload("bulk_up", "bulk to the server (B/s)", "bytes_per_s", True),
    Workload("bulk_down", "bulk from the server (B/s)", "bytes_per_s", True),
    Workload("latency", "64-byte request, sequential, p50 (µs)", "p50_us", False),
    Workload("concurrent", "64-byte requests, 100 at a time (1/s)", "requests_per_s", True),
    Workload("datagram_rtt", "datagram round trip, p50 (µs)", "p50_us", False),
    Workload("datagram_rate", "1000-byte datagrams, 95 % arrive (1/s)", "datagrams_per_s", True),
]


@dataclass
class Results:
    """Samples by workload and peer, and what could not be measured."""

    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, workload: str, peer: str, value: float) -> None:
        """A sample of one round."""
        self.samples.setdefault(workload, {}).setdefault(peer, []).append(value)

    def median(self, workload: str, peer: str) -> float | None:
        """The median of the rounds, `None` without a sample."""
        values = self.samples.get(workload, {}).get(peer)
        return statistics.median(values) if values else None


class Unavailable(Exception):
    """A peer cannot be measured here."""


def main() -> int:
    """Run. Returns 1 if the reference itself could not be measured."""
    arguments = _arguments()
    peers = [peer for peer in PEERS if not arguments.peer or peer.name in arguments.peer]
    results = Results()
    pythons: dict[str, Path] = {}
    for peer in peers:
        try:
            pythons[peer.name] = prepare(peer)
        except Unavailable as error:
            results.skipped[peer.name] = str(error)
            print(f"{peer.name}: skipped, {error}", file=sys.stderr)
    workloads = [item for item in WORKLOADS if not arguments.workload or item.name in arguments.workload]
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(Path(folder))
        for number in range(arguments.rounds):
            for workload in workloads:
                for peer in peers:
                    if peer.name in pythons:
                        measure(peer, pythons[peer.name], workload, cert, key, results, arguments.quick)
            print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
    arguments.out.mkdir(parents=True, exist_ok=True)
    table = markdown(peers, workloads, results, arguments.rounds)
    (arguments.out / "benchmarks.md").write_text(table)
    (arguments.out / "benchmarks.json").write_text(
        json.dumps(as_json(peers, workloads, results), indent=2) + "\n"
    )
    print(table)
    return 0 if PEERS[0].name in pythons or PEERS[0] not in peers else 1


def prepare(peer: Peer) -> Path:
    """An environment with the peer, made where there is none. Returns its Python.

    Raises:
        Unavailable: there is no suitable Python, or it cannot be installed.
    """
    folder = ENVIRONMENTS / peer.name.replace(" ", "-")
    python = folder / "bin" / "python"
    stamp = folder / "installed"
    wanted = peer.requirement or _source_stamp()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _run([str(_find_python(peer.oldest_python)), "-m", "venv", str(folder)])
    source = peer.requirement or str(REFERENCE)
    _run([str(python), "-m", "pip", "install", "--quiet", source])
    if peer.requirement is not None:
        name, _, version = peer.requirement.partition("==")
        show = f"import importlib.metadata as m; print(m.version({name!r}))"
        installed = _run([str(python), "-c", show]).strip()
        if installed != version:
            raise Unavailable(f"version {installed} was installed in place of {version}")
    stamp.write_text(wanted)
    return python


def measure(
    peer: Peer, python: Path, workload: Workload, cert: Path, key: Path, results: Results, quick: bool
) -> None:
    """One workload of one peer, with a server and a client process of its own."""
    amount = {"bulk": peer.bulk_bytes, "datagram_rate": peer.datagrams_per_s}.get(
        workload.name if workload.name == "datagram_rate" else workload.name[:4], peer.requests
    )
    if quick:
        amount = max(amount // 8, 100)
    program = HERE / "peers" / peer.program
    try:
        with server(python, program, cert, key) as port:
            command = [str(python), str(program), "client", str(port), workload.name, str(amount)]
            line = _run(command, timeout=STEP_TIMEOUT)
        results.add(workload.name, peer.name, float(json.loads(line)[workload.metric]))
    except (Unavailable, json.JSONDecodeError) as error:
        results.failures.setdefault(peer.name, []).append(f"{workload.name}: {str(error)[-200:]}")
        print(f"{peer.name}, {workload.name}: {error}", file=sys.stderr)


@contextlib.contextmanager
def server(python: Path, program: Path, cert: Path, key: Path) -> Iterator[int]:
    """A server process on a free port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        [str(python), str(program), "server", str(port), str(cert), str(key)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise Unavailable("the server did not start")
        yield port
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, made with the openssl program."""
    cert, key = folder / "localhost.crt", folder / "localhost.key"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _run(["openssl", "req", "-x509", *curve, *subject, "-days", "10", "-keyout", str(key), "-out", str(cert)])
    return cert, key


def ratio(workload: Workload, ours: float | None, theirs: float | None) -> float | None:
    """Ours by theirs, as the metric is: above 1 is better where more is, below 1 where less is."""
    return None if ours is None or not theirs else ours / theirs


def markdown(peers: list[Peer], workloads: list[Workload], results: Results, rounds: int) -> str:
    """A table of medians, and of ratios reference by peer."""
    names = [peer.name for peer in peers if peer.name not in results.skipped]
    first = PEERS[0].name
    lines = [f"Medians of {rounds} interleaved rounds; in brackets: {first} / this peer.", ""]
    lines += ["| workload | better | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for workload in workloads:
        ours = results.median(workload.name, first)
        cells = []
        for name in names:
            value = results.median(workload.name, name)
            share = ratio(workload, ours, value) if name != first else None
            text = "–" if value is None else f"{value:,.0f}"
            cells.append(text if share is None else f"{text} ({share:.2f})")
        better = "more" if workload.more_is_better else "less"
        lines.append(f"| {workload.title} | {better} | " + " | ".join(cells) + " |")
    lines += [""] + [f"Skipped: {name} ({reason})." for name, reason in results.skipped.items()]
    lines += [f"Failed runs of {name}: {len(found)}." for name, found in results.failures.items()]
    return "\n".join(lines).rstrip() + "\n"


def as_json(peers: list[Peer], workloads: list[Workload], results: Results) -> dict[str, object]:
    """Samples, medians and ratios."""
    first = PEERS[0].name
    table = {}
    for workload in workloads:
        ours = results.median(workload.name, first)
        table[workload.name] = {
            peer.name: {
                "samples": results.samples.get(workload.name, {}).get(peer.name, []),
                "median": (median := results.median(workload.name, peer.name)),
                "reference_ratio": ratio(workload, ours, median),
            }
            for peer in peers
        }
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"system": platform.system(), "machine": platform.machine()},
        "workloads": table,
        "skipped": results.skipped,
        "failures": results.failures,
    }


def _find_python(oldest: tuple[int, int]) -> Path:
    if sys.version_info >= oldest:
        return Path(sys.executable)
    candidates = [shutil.which(f"python3.{minor}") for minor in range(oldest[1], oldest[1] + 4)]
    candidates += [str(path) for path in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))]
    for candidate in candidates:
        if candidate is None:
            continue
        show = "import sys; print(*sys.version_info[:2])"
        with contextlib.suppress(Unavailable, ValueError):
            major, minor = _run([candidate, "-c", show]).split()
            if (int(major), int(minor)) >= oldest:
                return Path(candidate)
    raise Unavailable(f"there is no Python {oldest[0]}.{oldest[1]} or later")


def _source_stamp() -> str:
    """Changes whenever a source file of the reference does."""
    files = [
        path for kind in ("*.rs", "*.py", "*.toml", "*.patch") for path in REFERENCE.glob(f"*/**/{kind}")
    ]
    kept = [path for path in files if "target" not in path.parts and ".venv" not in path.parts]
    return str(max(path.stat().st_mtime_ns for path in kept))


def _run(command: list[str], timeout: float | None = None) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=timeout).stdout
    except subprocess.CalledProcessError as error:
        detail = error.stderr.strip().splitlines()[-1:] or [f"exit code {error.returncode}"]
        raise Unavailable(f"{Path(command[0]).name}: {detail[0]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare Python implementations of WebTransport.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="an eighth of the load")
    parser.add_argument("--peer", action="append", help="only these (repeatable)")
    parser.add_argument("--workload", action="append", choices=[item.name for item in WORKLOADS])
    parser.add_argument("--out", type=Path, default=HERE / "out")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
