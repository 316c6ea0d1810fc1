"""``python -m scenarios.campaigns.record``: every long campaign in turn, its results appended to a page.

Each part is a command of its own that anybody can repeat; whatever one finds, the next ones run. A part that
plays with a server of others passes with findings too: those are read and kept in docs/findings.md.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import secrets
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scenarios.peers.registry import PEERS
from scenarios.peers.serving import PeerServer

PAGE: Final = Path("docs/campaigns.md")
KEPT_LINES: Final = 60
SKIPPED: Final = "skipped"
INTERRUPTED: Final = 130
_WTCONFORM: Final = ("-m", "conformance.cli")


@dataclass(frozen=True, slots=True)
class Scaled:
    """The measure of a campaign: formatted as ``{scaled:N}`` it is that share of N, rounded, 1 at least;
    as ``{scaled:N+M}`` M is added, which every run needs, however short."""

    share: float

    def __format__(self, spec: str) -> str:
        whole, _, fixed = spec.partition("+")
        return str(max(1, round(int(whole) * self.share)) + int(fixed or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One campaign.

    ``command`` holds arguments of the Python interpreter; ``{seed}``, ``{out}``, measures as ``{scaled:600}``
    (see :class:`Scaled`) and, where ``peer`` names a foreign server, ``{url}`` are filled in. What ``keep``
    matches goes to the page.
    """

    name: str
    command: tuple[str, ...]
    keep: str
    peer: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How a part ended: its exit code (None: not run), the time that it took, and its figures."""

    part: Part
    code: int | None
    seconds: float
    figures: str

    @property
    def passed(self) -> bool:
        """Tell whether nothing is wrong: findings in a server of others are no failure of the suite."""
        return self.code in (None, 0) or (self.code == 1 and self.part.peer is not None)

    def row(self) -> str:
        """Return the line of the table."""
        verdict = {None: SKIPPED, 0: "passed", INTERRUPTED: "**interrupted**"}.get(self.code, "**failed**")
        if self.code == 1 and self.part.peer is not None:
            verdict = "findings"
        text = self.figures.replace("|", "\\|")
        return f"| {self.part.name} | {verdict} | {self.seconds:.0f} s | {text} |"


_FUZZED: Final = (
    r"^\d+ operations.*|^no finding|^FINDING +\S+|^codecs.*|^DIFFERENCE.*|^FAILURE.*"
    r"|^not judged.*|^seen once.*|^the target is gone.*"
)


def _fuzz(name: str, *arguments: str, peer: str | None = None) -> Part:
    common = ("--max-time", "{scaled:600}s", "--seed", "{seed}", "--out", "{out}/" + name.replace(" ", "-"))
    return Part(name=name, command=(*_WTCONFORM, "fuzz", *arguments, *common), keep=_FUZZED, peer=peer)


def _foreign(name: str) -> Part:
    peer = PEERS[name]
    # What a peer offers for the suite, as far as the campaign can use it.
    return _fuzz(f"fuzz {name}", "{url}", "--insecure", "--draft", peer.drafts[0], peer=name)


# Operations after which the peer's memory is looked at; it has to be warm at the first.
_MARKS: Final = ("--marks", "20000", "{scaled:180000+20000}")
_SOAKED: Final = ("--sessions", "{scaled:10000}", "--seconds", "{scaled:600}")
_CORE: Final = "reference_impl/scripts/fuzz_core.py"

PARTS: Final = (
    _fuzz("fuzz model", "model"),
    _fuzz("fuzz reference", "reference"),
    _fuzz("fuzz reference lossy", "reference", "--network", "lossy"),
    *(_foreign(name) for name in PEERS),
    Part(
        name="selftest",
        command=("-m", "fuzz.selftest", "--count", "{scaled:15}"),
        keep=r"^.*none in.*|.*deviants found.*",
    ),
    Part(
        name="measure",
        command=("-m", "fuzz.measure", "reference", *_MARKS, "--seed", "{seed}"),
        keep=r"^.*MiB|^.*per second.*|^memory.*|^.*findings$",
    ),
    Part(
        name="baton",
        command=("-m", "scenarios.campaigns.baton", "--messages", "{scaled:1000}"),
        keep=r"^.*\*\*no\*\*.*|^rounds.*|^codes.*",
    ),
    Part(
        name="core",
        command=(_CORE, "--seconds", "{scaled:600}", "--seed", "{seed}"),
        keep=r".*inputs.*|.*FINDING.*",
    ),
    Part(
        name="core by coverage",
        command=(_CORE, "--engine", "libfuzzer", "--seconds", "{scaled:3600}", "--seed", "{seed}"),
        keep=r"^\w+: \d+ inputs.*|.*FINDING.*|^cargo-fuzz is missing.*",
    ),
    Part(
        name="soak",
        command=("reference_impl/scripts/soak.py", *_SOAKED, "--seed", "{seed}"),
        keep=r'.*"part".*|^FAULT.*',
    ),
)


def run(part: Part, values: dict[str, str | Scaled], show: Callable[[str], None]) -> Result:
    """Run one part; its lines are shown as they come, and the interesting ones are kept."""
    started = time.monotonic()
    if part.peer is not None and not PEERS[part.peer].executable.exists():
        return Result(part, None, 0.0, f"{part.peer} is not built (python -m scenarios.peers build)")
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    with _server(part.peer) as server:
        url = "" if server is None else f"{server.url}echo"
        command = [word.format(**values, url=url) for word in part.command]
        show(f"== {part.name}: {' '.join(command)}")
        code = _follow(command, part.keep, kept, show)
    return Result(part, code, time.monotonic() - started, "; ".join(kept) or "no figures")


def _follow(command: list[str], keep: str, kept: deque[str], show: Callable[[str], None]) -> int:
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            show(line.rstrip())
            if found := re.search(keep, line):
                kept.append(" ".join(found[0].split()))
        return process.wait()
    except KeyboardInterrupt:
        # The part has been interrupted too, and ends by itself.
        process.wait()
        return INTERRUPTED
    finally:
        process.stdout.close()


def _server(peer: str | None) -> AbstractContextManager[PeerServer | None]:
    """Serve a foreign peer while its part runs."""
    return nullcontext() if peer is None else PeerServer(PEERS[peer].command(0))


def heading(seed: int, scale: float = 1.0) -> str:
    """Return the title of a run: when, what and where."""
    now = datetime.datetime.now(datetime.UTC)
    load = os.getloadavg()[0]
    where = f"{os.cpu_count()} cores, load {load:.0f} at the start"
    size = "" if scale == 1 else f", {scale:g} of each part"
    title = f"### {now:%Y-%m-%d %H:%M} UTC, commit {commit()}, seed {seed}{size}"
    return f"{title}\n\n{where[0].upper()}{where[1:]}.\n"


def commit() -> str:
    """Return the commit that is checked out, marked where files differ from it."""
    known = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{PAGE}")
    return (known or "unknown") + (" with changes" if changed else "")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def append(page: Path, title: str, results: Sequence[Result]) -> None:
    """Append a run to the page."""
    table = ["| campaign | result | time | figures |", "|---|---|--:|---|", *(each.row() for each in results)]
    with page.open("a", encoding="utf-8") as file:
        file.write("\n" + title + "\n" + "\n".join(table) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the parts; exit code 0 where all passed, 1 where not, 130 after an interrupt."""
    parser = argparse.ArgumentParser(prog="python -m scenarios.campaigns.record", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of each part (default: 1)")
    parser.add_argument("--seed", type=int, default=None, help="of all choices (default: a new one)")
    parser.add_argument("--only", default="", metavar="REGEX", help="parts whose name fits")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"what to append to (default: {PAGE})")
    parser.add_argument("--out", type=Path, default=Path("reports/out/campaign"), help="for findings")
    given = parser.parse_args(arguments)
    seed = secrets.randbits(32) if given.seed is None else given.seed
    values: dict[str, str | Scaled] = {
        "scaled": Scaled(given.scale),
        "seed": str(seed),
        "out": str(given.out),
    }
    title = heading(seed, given.scale)
    results: list[Result] = []
    try:
        for part in PARTS:
            if re.search(given.only, part.name):
                results.append(run(part, values, lambda line: print(line, flush=True)))
                if results[-1].code == INTERRUPTED:
                    break
    finally:
        append(given.page, title, results)
    if any(each.code == INTERRUPTED for each in results):
        return INTERRUPTED
    return int(not all(each.passed for each in results))


if __name__ == "__main__":
    raise SystemExit(main())
