"""Build `wt-fuzz` and run it: `python scripts/fuzz_core.py [--seconds N] [--seed N] [TARGET...]`.

It tries inputs on the state machine and the codecs of the core; see `crates/wt-fuzz-host/src/bin/wt-fuzz.rs`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parent.parent
COMMAND = (
    "cargo",
    "run",
    "--quiet",
    "--release",
    "--locked",
    "--package",
    "wt-fuzz-host",
    "--bin",
    "wt-fuzz",
)

if __name__ == "__main__":
    sys.exit(subprocess.call([*COMMAND, "--", *sys.argv[1:]], cwd=WORKSPACE))
