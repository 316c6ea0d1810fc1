"""The page that names the module and the test of each clause names what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
REFERENCE: Final = ROOT / "reference_impl"
PAGE: Final = REFERENCE / "docs" / "protocol.md"


def rows() -> list[str]:
    """Return the rows of its tables."""
    return [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]


def test_its_tests_exist() -> None:
    sources = [*REFERENCE.glob("crates/*/src/**/*.rs"), *REFERENCE.glob("crates/*/tests/**/*.rs")]
    code = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    functions = set(re.findall(r"\bfn (\w+)", code))
    for row in rows():
        named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", row.rsplit("|", 2)[1]))
        assert named <= functions, named - functions


def test_its_files_exist() -> None:
    crates = REFERENCE / "crates"
    core = crates / "wt-core"
    places = (ROOT, crates, core / "src", core / "tests", core / "src/connection", core / "src/qpack")
    for path in re.findall(r"`([\w/-]+\.(?:rs|py))`", "\n".join(rows())):
        assert any((place / path).exists() for place in places), path
