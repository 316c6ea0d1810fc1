"""Fuzz the core: `python scripts/fuzz_core.py [--engine own|libfuzzer] [--seconds N] [--seed N] [TARGET...]`.

The own engine is `wt-fuzz` (`crates/wt-fuzz-host/src/bin/wt-fuzz.rs`): one process, no more than cargo is
needed, and the seed decides all inputs. libFuzzer is guided by coverage, with AddressSanitizer and the
checks of a debug build: it needs cargo-fuzz (`make fuzz-tools`) and takes the targets of `fuzz/` one after
the other, each for its part of the time. It begins with the inputs of `python -m fuzz.corpus` and those
that earlier runs have kept.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parent.parent
ROOT = WORKSPACE.parent
FUZZ = WORKSPACE / "fuzz"
OWN = (
    "cargo",
    "run",
    "--quiet",
    "--release",
    "--locked",
    "--package",
    "wt-fuzz-host",
    "--bin",
    "wt-fuzz",
    "--",
)
MAX_LENGTH = 1024
# Seconds for one input, after which it counts as a finding
SLOW = 10


@dataclass(frozen=True)
class Outcome:
    """What a run of libFuzzer on one target has printed, and how long it took."""

    target: str
    code: int
    seconds: float
    processor: float
    output: str

    def line(self) -> str:
        """The figures, and what was found."""
        done = re.findall(r"^#(\d+)\s.*?\bcov: (\d+)\b.*?\bcorp: (\d+)", self.output, re.MULTILINE)
        inputs, edges, kept = done[-1] if done else (0, 0, 0)
        figures = (
            f"{self.target}: {inputs} inputs in {self.seconds:.0f} s "
            f"({self.processor:.0f} s of processor time), {edges} edges, {kept} inputs kept"
        )
        if not self.code:
            return f"{figures}, no finding"
        artifact = re.search(r"Test unit written to (.*)", self.output)
        cause = re.search(r"panicked at .*\n.*|ERROR: .*", self.output)
        saved = f"cargo fuzz run {self.target} {artifact[1]}" if artifact else f"exit status {self.code}"
        return f"{figures}\nFINDING {self.target}: {' '.join(cause[0].split()) if cause else ''}; {saved}"


def targets() -> list[str]:
    """Names of the targets of libFuzzer."""
    return [binary["name"] for binary in tomllib.loads((FUZZ / "Cargo.toml").read_text())["bin"]]


def cargo_fuzz() -> str:
    """Path of cargo-fuzz, from the environment of the suite or from anywhere."""
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which("cargo-fuzz", path=path)
    if found is None:
        raise SystemExit("cargo-fuzz is missing: make fuzz-tools, or cargo install cargo-fuzz")
    return found


def libfuzzer(names: list[str], seconds: int, seed: int) -> int:
    """Run the targets; 0 if nothing was found."""
    # What sanitizers need of the compiler is unstable, and there all the same
    environment = os.environ | {"RUSTC_BOOTSTRAP": "1"}
    tool = cargo_fuzz()
    corpus = [sys.executable, "-m", "fuzz.corpus", str(FUZZ / "corpus"), f"--seed={seed}"]
    for command, folder in (([tool, "fuzz", "build"], FUZZ), (corpus, ROOT)):
        if code := subprocess.call(command, cwd=folder, env=environment):
            raise SystemExit(f"{' '.join(command)} ended with {code}")
    found = False
    for name in names:
        outcome = run_target(tool, name, max(1, seconds // len(names)), seed, environment)
        print(outcome.line(), flush=True)
        found |= outcome.code != 0
    return int(found)


def run_target(tool: str, name: str, seconds: int, seed: int, environment: dict[str, str]) -> Outcome:
    """Run one target for so many seconds."""
    options = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={MAX_LENGTH}", f"-timeout={SLOW}"]
    begin, before = time.monotonic(), processor_time()
    done = subprocess.run(
        [tool, "fuzz", "run", name, "--", *options],
        cwd=FUZZ,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    took = time.monotonic() - begin
    return Outcome(name, done.returncode, took, processor_time() - before, done.stdout)


def processor_time() -> float:
    """Seconds that all processes took that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 if nothing was found, 1 for findings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=("own", "libfuzzer"), default="own")
    parser.add_argument("--seconds", type=int, default=60, help="in total")
    parser.add_argument("--seed", type=int, default=1, help="of all choices")
    parser.add_argument("--input", metavar="HEX", help="play this on the targets (own engine)")
    parser.add_argument("targets", nargs="*", help=f"default: all; libFuzzer has {', '.join(targets())}")
    given = parser.parse_args(arguments)
    if given.engine == "libfuzzer":
        if wrong := set(given.targets) - set(targets()):
            parser.error(f"no targets of libFuzzer: {', '.join(sorted(wrong))}")
        return libfuzzer(given.targets or targets(), given.seconds, given.seed)
    if shutil.which("cargo") is None:
        raise SystemExit("cargo is missing: install it with rustup (https://rustup.rs)")
    played = ("--input", given.input) if given.input is not None else ()
    options = ("--seconds", str(given.seconds), "--seed", str(given.seed), *played, *given.targets)
    return subprocess.call([*OWN, *options], cwd=WORKSPACE)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
