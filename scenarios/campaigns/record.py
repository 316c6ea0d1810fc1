"""``python -m scenarios.campaigns.record``: every long campaign in turn, its results appended to a page.

Each part is a command of its own that anybody can repeat; whatever one finds, the next ones run. What a part
needs and is not there is a reason to skip it. A part that plays with a server of others passes with findings
too: those are read and kept in docs/findings.md. A row is written when its part has ended, so that an
interrupt keeps what was done.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import secrets
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scenarios.campaigns.following import INTERRUPTED, TIMED_OUT, Follower, interruptible
from scenarios.campaigns.parts import PARTS, Part, Scaled
from scenarios.peers.registry import PEERS
from scenarios.peers.serving import PeerServer, StartFailed

PAGE: Final = Path("docs/campaigns.md")
KEPT_LINES: Final = 60
SKIPPED: Final = "skipped"
# Seconds after which a part is ended: so many times the estimate, for slow and busy machines, and a build.
PATIENCE: Final = 4.0
BUILD: Final = 900.0
_TABLE: Final = "| campaign | result | time | figures |\n|---|---|--:|---|\n"

Show = Callable[[str], None]


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

    @property
    def verdict(self) -> str:
        """The result in a word."""
        if self.code == 1 and self.part.peer is not None:
            return "findings"
        words = {None: SKIPPED, 0: "passed", INTERRUPTED: "**interrupted**", TIMED_OUT: "**no end**"}
        return words.get(self.code, "**failed**")

    def row(self) -> str:
        """Return the line of the table."""
        text = self.figures.replace("|", "\\|")
        return f"| {self.part.name} | {self.verdict} | {self.seconds:.0f} s | {text} |"


def run(part: Part, values: dict[str, str | Scaled], show: Show, limit: float | None = None) -> Result:
    """Run one part; its lines are shown as they come, and the interesting ones are kept.

    Without figures the last line is kept, which tells why. After ``limit`` seconds it is ended.
    """
    started = time.monotonic()
    if reason := part.missing():
        show(f"== {part.name}: {SKIPPED}. {reason}")
        return Result(part, None, 0.0, reason)
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    last = ["no figures"]

    def seen(line: str) -> None:
        show(line)
        if line.strip():
            last[0] = " ".join(line.split())[:300]
        if found := re.search(part.keep, line):
            kept.append(" ".join(found[0].split()))

    try:
        with _server(part.peer) as server:
            url = "" if server is None else f"{server.url}echo"
            command = [word.format(**values, url=url) for word in part.command]
            show(f"== {part.name}: {' '.join(command)}")
            code = Follower(command, _limit(part, 1.0) if limit is None else limit).follow(seen)
    except StartFailed as error:
        show(str(error))
        code, last[0] = 2, str(error)
    except KeyboardInterrupt:
        code = INTERRUPTED
    without = "no figures" if code == INTERRUPTED else last[0]
    return Result(part, code, time.monotonic() - started, "; ".join(kept) or without)


def _limit(part: Part, share: float) -> float:
    return PATIENCE * part.estimate(share) + BUILD


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


def append(page: Path, text: str) -> None:
    """Append to the page."""
    with page.open("a", encoding="utf-8") as file:
        file.write(text)


def announce(parts: Sequence[Part], share: float, show: Show) -> None:
    """Say how long the parts will take, one by one and together; those that are skipped take no time."""
    reasons = [part.missing() for part in parts]
    minutes = sum(part.estimate(share) for part, why in zip(parts, reasons, strict=True) if why is None) / 60
    show(f"{len(parts)} parts, {share:g} of each, about {minutes:.0f} min on two idle cores:")
    for part, reason in zip(parts, reasons, strict=True):
        show(f"  {part.name:<22} {f'{SKIPPED}. {reason}' if reason else f'{part.estimate(share):.0f} s'}")


def _show(line: str) -> None:
    print(line, flush=True)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0, and 1000 at most")
    return share


def main(arguments: list[str] | None = None) -> int:
    """Run the parts; exit code 0 where all passed, 1 where not, 130 after an interrupt."""
    parser = argparse.ArgumentParser(prog="python -m scenarios.campaigns.record", description=__doc__)
    parser.add_argument("--scale", type=_share, default=1.0, help="share of each part (default: 1)")
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
    parts = [part for part in PARTS if re.search(given.only, part.name)]
    announce(parts, given.scale, _show)
    append(given.page, f"\n{heading(seed, given.scale)}\n{_TABLE}")
    results: list[Result] = []
    with interruptible():
        for part in parts:
            results.append(run(part, values, _show, _limit(part, given.scale)))
            append(given.page, results[-1].row() + "\n")
            if results[-1].code == INTERRUPTED:
                break
    _show(f"== {len(results)} of {len(parts)} parts, recorded in {given.page}")
    for each in results:
        _show(f"  {each.part.name:<22} {each.seconds:5.0f} s  {each.verdict.strip('*')}")
    if any(each.code == INTERRUPTED for each in results):
        return INTERRUPTED
    return int(not all(each.passed for each in results))


if __name__ == "__main__":
    raise SystemExit(main())
