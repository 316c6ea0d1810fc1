"""``python -m fuzz.measure``: operations per second beside a server, and the peer's memory over time.

The rate counts operations that were sent and judged, no fences; it is given per second of the clock and per
second of processor time of this process, which a busy machine does not distort.
"""

from __future__ import annotations

import argparse
import os
import time
from contextlib import ExitStack
from typing import Final

from conformance.harness.process import resident
from conformance.harness.reach import reach
from conformance.harness.setup import start_embedded
from conformance.options import RunOptions
from conformance.peer.drafts import Draft
from fuzz.campaign import Campaign

MARKS: Final = (20_000, 200_000)
# What is demanded: operations per second of the clock, and growth of memory between the marks.
RATE: Final = 1000.0
GROWTH: Final = 1.1
MAX_SECONDS: Final = 7200.0


def measure(target: str, marks: tuple[int, int], seed: int) -> bool:
    """Run a campaign to both marks and print the figures; tell whether they are as demanded."""
    sizes: dict[int, int] = {}
    with ExitStack() as stack:
        _, reached = reach(start_embedded(RunOptions(target=target), stack))

        def listen(campaign: Campaign) -> None:
            for mark in marks:
                if mark not in sizes and campaign.statistics.operations >= mark:
                    sizes[mark] = resident(os.getpid()) or 0
                    print(f"{mark} operations: {sizes[mark] / (1 << 20):.1f} MiB", flush=True)
            if len(sizes) == len(marks):
                campaign.stop()

        started = time.process_time()
        campaign = Campaign(
            reached,
            Draft.D16,
            seed=seed,
            machines=("sessions", "capsules"),
            max_time=MAX_SECONDS,
            listener=listen,
        )
        findings = campaign.run()
        used = time.process_time() - started
    figures = campaign.statistics
    print(f"{figures.operations} operations in {figures.sessions} sessions, {len(findings)} findings")
    per_processor = figures.operations / used
    print(f"{figures.rate:.0f} per second of the clock, {per_processor:.0f} per second of processor time")
    if figures.interrupted:
        raise KeyboardInterrupt
    growth = sizes[marks[1]] / sizes[marks[0]]
    print(f"memory: {growth:.3f} times")
    return growth <= GROWTH and figures.rate >= RATE and not findings


def main() -> int:
    """Parse the arguments; exit code 0 where rate and memory are as demanded, and nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.measure", description=__doc__)
    parser.add_argument("target", nargs="?", default="embedded", help="URL, model or reference")
    parser.add_argument("--marks", type=int, nargs=2, default=MARKS, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    first, second = arguments.marks
    return int(not measure(arguments.target, (first, second), arguments.seed))


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        raise SystemExit(130) from None
