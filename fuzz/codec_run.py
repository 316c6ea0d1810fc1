"""A codec campaign: inputs of one seed through both implementations until the time is over."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fuzz.codecs import BATCH, CodecHost, Difference, HostFailed, compare

# Inputs between two looks at the clock, and differences after which it is enough.
PORTION: Final = 5 * BATCH
MAX_DIFFERENCES: Final = 20


@dataclass(slots=True)
class CodecRun:
    """What was compared; ``failure`` says how the host ended, if it did."""

    inputs: int = 0
    seconds: float = 0.0
    differences: list[Difference] = field(default_factory=list)
    failure: str | None = None

    @property
    def faults(self) -> int:
        """Return the number of differences, and one more where the host ended."""
        return len(self.differences) + (self.failure is not None)

    def lines(self) -> list[str]:
        """Return the report, one sentence a line."""
        rate = 60 * self.inputs / self.seconds if self.seconds else 0.0
        result = [f"codecs: {self.inputs} inputs in {self.seconds:.0f} s, {rate:.0f} a minute"]
        result += [f"DIFFERENCE  {difference}" for difference in self.differences]
        if self.failure is not None:
            result.append(f"FAILURE  {self.failure}")
        return result


def run_codecs(
    binary: Path, seed: int, seconds: float, clock: Callable[[], float] = time.monotonic
) -> CodecRun:
    """Compare for so many seconds, one portion at least; the seed decides all inputs."""
    seeds = random.Random(seed)
    result = CodecRun()
    started = clock()
    try:
        with CodecHost(binary) as host:
            while not result.inputs or result.seconds < seconds:
                result.differences += compare(host, seeds.getrandbits(64), PORTION)
                result.inputs += PORTION
                result.seconds = clock() - started
                if len(result.differences) >= MAX_DIFFERENCES:
                    del result.differences[MAX_DIFFERENCES:]
                    break
    except HostFailed as error:
        result.failure = str(error)
        result.seconds = clock() - started
    return result
