"""``python -m fuzz.selftest``: does the fuzzer find planted faults, and do its findings replay?

Each deviant of the list is started as a server of its own process and fuzzed with several seeds until the
first finding. A finding counts where it came within the time, has few operations, is REPRODUCED on the
deviant and FIXED on the fault-free model server. The result is a table in Markdown.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from conformance.harness.embedded import Embedded
from conformance.harness.reach import reach
from conformance.harness.target import Target
from conformance.options import RunOptions
from conformance.peer.drafts import Draft
from fuzz import operations as op
from fuzz.campaign import Campaign
from fuzz.findings import Finding
from fuzz.replay import FIXED, REPRODUCED, compare
from fuzz.violations import TargetGone, Unjudged

# One or two of each area of the specification.
DEVIANTS: Final = (
    "skip.uni-session-id",
    "skip.datagram-truncated",
    "skip.control-http2-frame",
    "skip.qpack-stream-closed",
    "baton.plus-two",
    "request.plain-connect",
    "skip.close-message-not-utf8",
    "skip.capsule-truncated",
    "skip.max-data-equal",
    "skip.streams-bidi-exceeded",
    "forbid.capsule-unknown",
    "forbid.stream-code-unmapped",
    "datagrams.as-text",
    "streams.not-stopped",
    "flow-control.too-much-data",
)
SEEDS: Final = (1, 2, 3)
NEEDED_SEEDS: Final = 2
NEEDED_DEVIANTS: Final = 12
MAX_OPERATIONS: Final = 8
SECONDS: Final = 60.0
START_TIMEOUT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One seed against one deviant."""

    deviant: str
    seed: int
    seconds: float
    finding: Finding | None
    on_deviant: str = ""
    on_model: str = ""

    @property
    def good(self) -> bool:
        """Tell whether everything about the finding is as it should be."""
        if self.finding is None or op.counted(self.finding.script) > MAX_OPERATIONS:
            return False
        return (self.on_deviant, self.on_model) == (REPRODUCED, FIXED)

    def row(self) -> str:
        """Return the line of the table."""
        finding = self.finding
        if finding is None:
            return f"| {self.deviant} | {self.seed} | none in {self.seconds:.0f} s | | | | |"
        operations = ", ".join(item.name for item in finding.script if not isinstance(item, op.FRAMEWORK))
        return (
            f"| {self.deviant} | {self.seed} | {self.seconds:.1f} s | {finding.violation.rule} "
            f"| {op.counted(finding.script)} ({operations}) | {self.on_deviant} | {self.on_model} |"
        )


@contextmanager
def deviant_server(identifier: str) -> Iterator[str]:
    """Serve a deviant in a process of its own; gives its URL. Raises RuntimeError where it does not start."""
    command = [sys.executable, "-m", "conformance.cli", "deviants", "--serve", identifier, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"deviant {identifier} did not start: {line.strip()}")
        yield line.split()[2].rstrip("/") + "/echo"
    finally:
        process.terminate()
        process.wait(START_TIMEOUT)
        if process.stdout is not None:
            process.stdout.close()


def attempt(deviant: str, seed: int, fault_free: Target, seconds: float) -> Attempt:
    """Fuzz a deviant until the first finding, then play the finding on both servers."""
    with deviant_server(deviant) as url:
        options = RunOptions(target=url, insecure=True, declare_draft=16, endpoint=["all"])
        _, target = reach(options)
        started = time.monotonic()
        campaign = Campaign(target, Draft.D16, seed=seed, max_time=seconds, max_findings=1)
        findings = campaign.run()
        if campaign.statistics.interrupted:
            raise KeyboardInterrupt
        elapsed = time.monotonic() - started
        if not findings:
            return Attempt(deviant, seed, elapsed, None)
        value = findings[0].as_replay()
        return Attempt(deviant, seed, elapsed, findings[0], _play(value, target), _play(value, fault_free))


def _play(value: dict[str, object], target: Target) -> str:
    try:
        return compare(value, target)[0]
    except (TargetGone, Unjudged) as error:
        return f"inconclusive: {error}"


def run(deviants: Sequence[str], seeds: Sequence[int], seconds: float) -> int:
    """Play all attempts and print the table; return how many deviants were found often enough."""
    print("| deviant | seed | found after | rule | operations | on the deviant | on the model |")
    print("|---|---|---|---|---|---|---|", flush=True)
    found = 0
    with Embedded("model") as model:
        _, fault_free = reach(
            RunOptions(target=model.url, ca=model.ca_file, declare_draft=16, endpoint=["all"])
        )
        for deviant in deviants:
            good = 0
            for seed in seeds:
                result = attempt(deviant, seed, fault_free, seconds)
                print(result.row(), flush=True)
                good += result.good
            found += good >= min(NEEDED_SEEDS, len(seeds))
    print(f"\n{found} of {len(deviants)} deviants found in {NEEDED_SEEDS} of {len(seeds)} seeds")
    return found


def main() -> int:
    """Parse the arguments; exit code 0 where enough deviants were found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.selftest", description=__doc__)
    parser.add_argument("deviants", nargs="*", help="identifiers (default: a list from all areas)")
    parser.add_argument(
        "--count", type=int, default=len(DEVIANTS), help="so many of them, chosen by the first seed"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--seconds", type=float, default=SECONDS)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the deviants end with this process
    chosen = arguments.deviants or list(DEVIANTS)
    if arguments.count < len(chosen):
        chosen = random.Random(arguments.seeds[0]).sample(chosen, max(1, arguments.count))
    needed = len(chosen) * NEEDED_DEVIANTS // len(DEVIANTS)
    return int(run(chosen, arguments.seeds, arguments.seconds) < needed)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
