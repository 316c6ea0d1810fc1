"""The real command line in a process of its own, and what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.schemas import validate

ROOT = Path(__file__).resolve().parents[2]
# Long enough for any machine; a command that takes this long hangs.
PATIENCE = 120
# One quick case: most tests are about everything around it.
ONE_CASE = "negotiation.connect-protocol"


@dataclass(frozen=True)
class Finished:
    """A command that ended."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def text(self) -> str:
        """Both outputs."""
        return self.out + self.err

    @property
    def results(self) -> dict[str, Any]:
        """Results.json, which keeps to its schema."""
        value = json.loads((self.folder / "out" / "results.json").read_text(encoding="utf-8"))
        validate("results", value)
        assert isinstance(value, dict)
        return value

    @property
    def notes(self) -> str:
        """What the run noted about itself."""
        return "\n".join(self.results["meta"].get("notes", ()))

    def complete(self) -> bool:
        """Tell whether all reports are there and can be read."""
        out = self.folder / "out"
        ET.parse(out / "junit.xml")
        lines = (out / "events.ndjson").read_text(encoding="utf-8").splitlines()
        first = json.loads(lines[0])
        page = (out / "index.html").read_text(encoding="utf-8")
        return first["type"] == "run" and "</html>" in page and self.results["format"] == "wtconform-results"


def environment() -> dict[str, str]:
    """Return an environment in which the suite is found and no option of the outer pytest is seen."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def wtconform(folder: Path, *arguments: str) -> Finished:
    """Run ``wtconform ARGUMENTS`` in a folder."""
    return _run(folder, [sys.executable, "-P", "-m", "conformance.cli", *arguments])


def judge(folder: Path, *arguments: str, select: str = ONE_CASE) -> Finished:
    """Run ``wtconform run`` with few cases, one worker and reports in ``folder/out``."""
    return wtconform(folder, "run", *arguments, "--select", select, "-n", "0", "--out", "out")


def bare_pytest(folder: Path, *arguments: str) -> Finished:
    """Run pytest itself, in the folder of the suite."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments]
    done = _run(ROOT, [*command, "--wt-out", str(folder / "out")])
    return Finished(done.code, done.out, done.err, folder)


def _run(folder: Path, command: Sequence[str]) -> Finished:
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return Finished(done.returncode, done.stdout, done.stderr, folder)
