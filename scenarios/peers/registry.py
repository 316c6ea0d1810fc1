"""The table of foreign peers: what each speaks, what it needs and how it is built.

A peer is added by one row of :data:`PEERS` and a folder with its source; everything else (building,
serving, skip reasons, tests) reads the table.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

HERE: Final = Path(__file__).resolve().parent
BUILD: Final = HERE / "build"

# Nothing is built outside the ignored folder, and no build fetches another toolchain by itself.
BUILD_ENVIRONMENT: Final = {"CARGO_TARGET_DIR": str(BUILD / "cargo"), "GOTOOLCHAIN": "local", "GOWORK": "off"}

_VERSION = re.compile(r"(\d+)\.(\d+)")


class MissingToolchain(Exception):
    """A program that a peer's build needs is absent or too old; the text is the reason of a skip."""


class BuildFailed(Exception):
    """The build command of a peer failed; the text ends with the last lines that it printed."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program of a toolchain, the oldest usable version, and how to get it."""

    program: str
    version_command: tuple[str, ...]
    minimum: tuple[int, int]
    install: str

    def problem(self) -> str | None:
        """Return why the tool cannot be used, or None."""
        wanted = f"{self.program} {self.minimum[0]}.{self.minimum[1]} or newer"
        advice = f"install with {self.install}"
        if shutil.which(self.program) is None:
            return f"Missing toolchain: {wanted}, {advice}"
        answer = subprocess.run(self.version_command, capture_output=True, text=True, check=False)
        found = _VERSION.search(answer.stdout)
        if found is None or (int(found[1]), int(found[2])) < self.minimum:
            return f"Missing toolchain: {wanted} (found {answer.stdout.strip() or 'none'}), {advice}"
        return None


GO: Final = Tool(
    "go", ("go", "env", "GOVERSION"), (1, 26), "the archive described at https://go.dev/doc/install"
)
CARGO: Final = Tool("cargo", ("cargo", "--version"), (1, 88), "rustup, described at https://rustup.rs")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignPeer:
    """One row of the table.

    ``drafts`` are those that the library's server offers, newest first, in the values of ``--draft``.
    ``endpoints`` are the endpoints of docs/endpoints.md that it has, each under its default path.
    """

    name: str
    language: str
    library: str
    drafts: tuple[str, ...]
    endpoints: tuple[str, ...]
    tool: Tool
    folder: str
    build_command: tuple[str, ...]
    binary: str
    remark: str

    @property
    def executable(self) -> Path:
        """Where the build leaves the server."""
        return BUILD / self.binary

    def command(self, port: int, *, cert: Path | None = None, key: Path | None = None) -> list[str]:
        """Return the command that serves on a UDP port of 127.0.0.1 (0: a free one)."""
        result = [str(self.executable), "--port", str(port)]
        if cert is not None and key is not None:
            result += ["--cert", str(cert), "--key", str(key)]
        return result

    def missing_toolchain(self) -> str | None:
        """Return the reason why this peer cannot be built here, or None."""
        return self.tool.problem()

    def build(self) -> Path:
        """Build the server (quick when nothing changed) and return its executable.

        Raises:
            MissingToolchain: the toolchain is absent or too old.
            BuildFailed: the build ended with an error.
        """
        problem = self.missing_toolchain()
        if problem is not None:
            raise MissingToolchain(problem)
        BUILD.mkdir(exist_ok=True)
        result = subprocess.run(
            self.build_command,
            cwd=HERE / self.folder,
            env={**os.environ, **BUILD_ENVIRONMENT},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            last = "\n".join(result.stdout.splitlines()[-20:])
            raise BuildFailed(f"{' '.join(self.build_command)} ended with {result.returncode}:\n{last}")
        return self.executable


def _cargo_build(package: str) -> tuple[str, ...]:
    return ("cargo", "build", "--release", "--locked", "--package", package)


def _table(*peers: ForeignPeer) -> Mapping[str, ForeignPeer]:
    return MappingProxyType({peer.name: peer for peer in peers})


PEERS: Final[Mapping[str, ForeignPeer]] = _table(
    ForeignPeer(
        name="webtransport-go",
        language="Go",
        library="github.com/quic-go/webtransport-go 0.13.0",
        drafts=("16",),
        endpoints=("echo", "observe", "close", "reject", "origin", "push", "reset", "protocols", "http"),
        tool=GO,
        folder="webtransport_go",
        build_command=("go", "build", "-trimpath", "-mod=readonly", "-o", "../build/webtransport-go", "."),
        binary="webtransport-go",
        remark="one session per connection; close always with a close message",
    ),
    ForeignPeer(
        name="wtransport",
        language="Rust",
        library="wtransport 0.7.2",
        drafts=("07", "02"),
        endpoints=("echo", "close", "reject", "push", "reset"),
        tool=CARGO,
        folder="wtransport",
        build_command=_cargo_build("wtransport-peer"),
        binary="cargo/release/wtransport-peer",
        remark="one session per connection; refuses with 403, 404 and 429 only; close ends the connection",
    ),
)
