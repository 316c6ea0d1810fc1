"""The table of the long campaigns: the command of each, what it needs and costs, what is kept of it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scenarios.peers.registry import CARGO, PEERS

_WTCONFORM: Final = ("-m", "conformance.cli")


@dataclass(frozen=True, slots=True)
class Scaled:
    """The measure of a campaign: formatted as ``{scaled:N}`` it is that share of N, rounded, 1 at least;
    as ``{scaled:N+M}`` M is added, which every run needs, however short."""

    share: float

    def __format__(self, spec: str) -> str:
        whole, _, fixed = spec.partition("+")
        return str(max(1, round(int(whole) * self.share)) + int(fixed or 0))


Need = Callable[[], str | None]
"""Tells why something cannot be used here and what makes it usable, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One campaign.

    ``command`` holds arguments of the Python interpreter; ``{seed}``, ``{out}``, measures as ``{scaled:600}``
    (see :class:`Scaled`) and, where ``peer`` names a foreign server, ``{url}`` are filled in. What ``keep``
    matches goes to the page. It takes about ``fixed`` seconds and the share of ``seconds`` that is run, on
    two cores with nothing else on them.
    """

    name: str
    command: tuple[str, ...]
    keep: str
    seconds: float
    fixed: float = 3.0
    peer: str | None = None
    needs: tuple[Need, ...] = ()

    def estimate(self, share: float) -> float:
        """Return the seconds that such a share of the part takes."""
        return self.fixed + self.seconds * share

    def missing(self) -> str | None:
        """Return what this part lacks here and the command that provides it, or None."""
        own = () if self.peer is None else (_foreign_server(self.peer),)
        return next((reason for need in (*own, *self.needs) if (reason := need())), None)


def _foreign_server(name: str) -> Need:
    def need() -> str | None:
        peer = PEERS[name]
        if peer.executable.exists():
            return None
        return peer.missing_toolchain() or f"{name} is not built: python -m scenarios.peers build {name}"

    return need


def reference_built() -> str | None:
    """Tell why the reference implementation cannot be run."""
    if importlib.util.find_spec("pywebtransport") is not None:
        return None
    return CARGO.problem() or "the reference implementation is not built: make setup"


def cargo() -> str | None:
    """Tell why no Rust can be built."""
    return CARGO.problem()


def cargo_fuzz() -> str | None:
    """Tell why libFuzzer cannot be built."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    if shutil.which("cargo-fuzz", path=path) is None:
        return CARGO.problem() or "cargo-fuzz is missing: make fuzz-tools"
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        return "Missing toolchain: a C++ compiler, install with apt-get install g++"
    return None


_FUZZED: Final = (
    r"^\d+ operations.*|^no finding|^FINDING +\S+.*|^codecs.*|^DIFFERENCE.*|^FAILURE.*"
    r"|^not judged.*|^seen once.*|^the target is gone.*"
)


def _fuzz(name: str, *arguments: str, peer: str | None = None, needs: tuple[Need, ...] = ()) -> Part:
    common = ("--max-time", "{scaled:600}s", "--seed", "{seed}", "--out", "{out}/" + name.replace(" ", "-"))
    command = (*_WTCONFORM, "fuzz", *arguments, *common)
    return Part(name=name, command=command, keep=_FUZZED, peer=peer, needs=needs, seconds=600)


def _foreign(name: str) -> Part:
    peer = PEERS[name]
    # What a peer offers for the suite, as far as the campaign can use it.
    return _fuzz(f"fuzz {name}", "{url}", "--insecure", "--draft", peer.drafts[0], peer=name)


# Operations after which the peer's memory is looked at; it has to be warm at the first.
_MARKS: Final = ("--marks", "20000", "{scaled:180000+20000}")
# The first thousand sessions warm up, here as there.
_SOAKED: Final = ("--sessions", "{scaled:9000+1000}", "--seconds", "{scaled:600}")
_CORE: Final = "reference_impl/scripts/fuzz_core.py"
_REFERENCE: Final = (reference_built,)

PARTS: Final = (
    _fuzz("fuzz model", "model"),
    _fuzz("fuzz reference", "reference", needs=_REFERENCE),
    _fuzz("fuzz reference lossy", "reference", "--network", "lossy", needs=_REFERENCE),
    *(_foreign(name) for name in PEERS),
    Part(
        name="selftest",
        command=("-m", "fuzz.selftest", "--count", "{scaled:15}"),
        keep=r"^.*none in.*|.*deviants found.*",
        seconds=700,
        fixed=10,
    ),
    Part(
        name="measure",
        command=("-m", "fuzz.measure", "reference", *_MARKS, "--seed", "{seed}"),
        keep=r"^.*MiB|^.*per second.*|^memory.*|^.*findings$",
        needs=_REFERENCE,
        seconds=120,
        fixed=25,
    ),
    Part(
        name="baton",
        command=("-m", "scenarios.campaigns.baton", "--messages", "{scaled:1000}"),
        keep=r"^.*\*\*no\*\*.*|^rounds.*|^codes.*",
        needs=_REFERENCE,
        seconds=100,
        fixed=20,
    ),
    Part(
        name="core",
        command=(_CORE, "--seconds", "{scaled:300}", "--seed", "{seed}"),
        keep=r".*inputs.*|.*FINDING.*",
        needs=(cargo,),
        seconds=300,
        fixed=15,
    ),
    Part(
        name="core by coverage",
        command=(_CORE, "--engine", "libfuzzer", "--seconds", "{scaled:1800}", "--seed", "{seed}"),
        keep=r"^\w+: \d+ inputs.*|.*FINDING.*",
        needs=(cargo_fuzz,),
        seconds=1800,
        fixed=75,
    ),
    Part(
        name="soak",
        command=("reference_impl/scripts/soak.py", *_SOAKED, "--seed", "{seed}"),
        keep=r'.*"part".*|^FAULT.*',
        needs=_REFERENCE,
        seconds=630,
        fixed=30,
    ),
)
