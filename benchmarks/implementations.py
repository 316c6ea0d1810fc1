"""The implementations that are compared: how each is prepared, and how much it is given to do."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
PROGRAMS: Final = HERE / "peers"
REFERENCE: Final = HERE.parent / "reference_impl"
ENVIRONMENTS: Final = HERE / ".environments"
TOOL_ENVIRONMENT: Final = {
    "CARGO_TARGET_DIR": str(ENVIRONMENTS / "cargo"),
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}
OLDEST_PYTHON: Final = (3, 12)
"""For all Python peers alike: what the registry's pywebtransport needs."""


class Unavailable(Exception):
    """A peer cannot be measured here; the text says why."""


@dataclass(frozen=True)
class Amounts:
    """What a peer is given to do, so that no workload takes much longer than a second or two."""

    bulk_bytes: int
    requests: int
    concurrent: int
    sessions: int
    datagrams_per_s: int
    """Rate at which the search for the highest begins."""
    idle_sessions: int = 200

    def of(self, workload: str) -> int:
        """The amount of a workload."""
        table = {
            "latency": self.requests,
            "datagram_rtt": self.requests,
            "concurrent": self.concurrent,
            "datagram_rate": self.datagrams_per_s,
            "sessions": self.sessions,
            "memory": self.idle_sessions,
        }
        return table.get(workload, self.bulk_bytes)


NATIVE: Final = Amounts(256 << 20, requests=2000, concurrent=20_000, sessions=500, datagrams_per_s=64_000)
SWIFT: Final = Amounts(256 << 20, requests=2000, concurrent=10_000, sessions=500, datagrams_per_s=16_000)
PYTHON: Final = Amounts(64 << 20, requests=1000, concurrent=3000, sessions=250, datagrams_per_s=2000)
SLOW: Final = Amounts(8 << 20, requests=1000, concurrent=2000, sessions=60, datagrams_per_s=2000)


@dataclass(frozen=True)
class Peer:
    """An implementation. `prepare` returns the command that `server ...` and `client ...` are appended to.

    `prepare` raises `Unavailable` where that is not possible.
    """

    name: str
    prepare: Callable[[], list[str]] = field(repr=False)
    amounts: Amounts = SWIFT
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Workloads that the library does not do, by name, with the reason."""


def python_peer(
    name: str,
    program: str,
    requirement: str | None,
    amounts: Amounts,
    cannot: Mapping[str, str] | None = None,
) -> Peer:
    """A Python library from the registry, or the reference where there is no requirement."""

    def prepare() -> list[str]:
        folder = ENVIRONMENTS / name.replace(" ", "-")
        python, stamp = folder / "bin" / "python", folder / "installed"
        wanted = requirement or _source_stamp()
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            run([str(_find_python()), "-m", "venv", str(folder)])
            run([str(python), "-m", "pip", "install", "--quiet", requirement or str(REFERENCE)])
            if requirement is not None:
                _check_version(python, requirement)
            stamp.write_text(wanted)
        return [str(python), str(PROGRAMS / program)]

    return Peer(name, prepare, amounts, cannot or {})


def rust_peer(name: str, binary: str) -> Peer:
    """One of the programs of `peers/native`."""

    def prepare() -> list[str]:
        command = ["cargo", "build", "--release", "--locked", "--quiet", "--bin", binary]
        run(command, cwd=PROGRAMS / "native")
        return [str(ENVIRONMENTS / "cargo" / "release" / binary)]

    return Peer(name, prepare, NATIVE)


def go_peer(name: str, folder: str) -> Peer:
    """A Go program."""

    def prepare() -> list[str]:
        program = ENVIRONMENTS / folder
        run(["go", "build", "-trimpath", "-mod=readonly", "-o", str(program), "."], cwd=PROGRAMS / folder)
        return [str(program)]

    return Peer(name, prepare, SWIFT)


LOSES_CONNECTIONS: Final = (
    "its client misses, once in 1 to 70 times, that a connection is established, and waits until its time-out"
)

PEERS: Final = [
    python_peer("reference", "pywebtransport_peer.py", None, SWIFT),
    rust_peer("reference core", "core"),
    python_peer("pywebtransport 0.21.1", "pywebtransport21_peer.py", "pywebtransport==0.21.1", PYTHON),
    python_peer(
        "pywebtransport 0.19.1",
        "pywebtransport_peer.py",
        "pywebtransport==0.19.1",
        PYTHON,
        cannot=dict.fromkeys(("sessions", "memory"), LOSES_CONNECTIONS),
    ),
    python_peer("aioquic 1.7.2", "aioquic_peer.py", "aioquic==1.7.2", SLOW),
    go_peer("webtransport-go 0.13.0", "webtransport_go"),
    rust_peer("wtransport 0.7.2", "wtransport"),
    rust_peer("web-transport-quinn 0.13.5", "web-transport-quinn"),
    rust_peer("quinn 0.11.12 (no HTTP/3)", "quinn"),
]


class UnknownPeer(ValueError):
    """A name that no peer's begins with; the text lists the names."""


def select(wanted: Iterable[str]) -> list[Peer]:
    """The peers of these names, or whose names begin so; all if there is no name. In the order of `PEERS`.

    A peer's whole name stands for that peer alone.

    Raises:
        UnknownPeer: no peer's name begins so.
    """
    chosen: set[str] = set()
    for text in wanted:
        exact = [peer.name for peer in PEERS if peer.name == text]
        found = exact or [peer.name for peer in PEERS if peer.name.startswith(text)]
        if not text or not found:
            names = "\n  ".join(peer.name for peer in PEERS)
            raise UnknownPeer(f"no peer's name begins with {text!r}; the peers are\n  {names}")
        chosen.update(found)
    return [peer for peer in PEERS if not chosen or peer.name in chosen]


def run(command: list[str], *, timeout: float | None = None, cwd: Path | None = None) -> str:
    """What a command prints.

    Raises:
        Unavailable: it is missing, fails, or takes too long.
    """
    environment = {**os.environ, **TOOL_ENVIRONMENT}
    try:
        result = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=timeout, cwd=cwd, env=environment
        )
    except subprocess.CalledProcessError as error:
        detail = error.stderr.strip().splitlines()[-1:] or [f"exit code {error.returncode}"]
        raise Unavailable(f"{Path(command[0]).name}: {detail[0]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    return result.stdout


def _check_version(python: Path, requirement: str) -> None:
    name, _, version = requirement.partition("==")
    installed = run(
        [str(python), "-c", f"import importlib.metadata as m; print(m.version({name!r}))"]
    ).strip()
    if installed != version:
        raise Unavailable(f"version {installed} was installed in place of {version}")


def _find_python() -> Path:
    if sys.version_info >= OLDEST_PYTHON:
        return Path(sys.executable)
    candidates = [shutil.which(f"python3.{minor}") for minor in range(OLDEST_PYTHON[1], OLDEST_PYTHON[1] + 4)]
    candidates += [str(path) for path in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))]
    for candidate in candidates:
        if candidate is None:
            continue
        with contextlib.suppress(Unavailable, ValueError):
            major, minor = run([candidate, "-c", "import sys; print(*sys.version_info[:2])"]).split()
            if (int(major), int(minor)) >= OLDEST_PYTHON:
                return Path(candidate)
    raise Unavailable(f"there is no Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or later")


def _source_stamp() -> str:
    """Changes whenever a source file of the reference does."""
    kinds = ("*.rs", "*.py", "*.toml", "*.patch")
    files = [path for kind in kinds for path in REFERENCE.glob(f"*/**/{kind}")]
    kept = [path for path in files if "target" not in path.parts and ".venv" not in path.parts]
    return str(max(path.stat().st_mtime_ns for path in kept))
