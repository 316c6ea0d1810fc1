"""What must never be in the tree, and what every module keeps to."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_LINES = 450
SOURCES = (".py", ".rs", ".go")
LOCKS = ("Cargo.lock", "go.sum", "package-lock.json", "requirements.txt")

# Character classes of one letter keep this file from matching itself.
MACHINE_PATH = re.compile(r"(^|[^A-Za-z0-9_.-])/([w]ork|[r]oot|[f]arm|tmp/[b]ash_jobs)/")
REGISTRY = re.compile(r"[i]ndex-url|[f]ind-links|[t]rusted-host|//[a-z0-9.-]+/[s]imple|\"[r]esolved\"")
# What cargo writes into every lock file for the public registry, whatever mirror is in use.
CARGO_SOURCE = 'source = "registry+https://github.com/rust-lang/crates.io-index"'


def tracked() -> list[Path]:
    """Return the files that git knows or would add, without those that are ignored or deleted."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    return [ROOT / name for name in sorted(set(output.split("\0"))) if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str | None:
    """Return the content of a text file, None for a binary one."""
    content = path.read_bytes()
    return None if b"\0" in content else content.decode("utf-8", errors="replace")


def hits(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    """Return file, number and text of each line that matches."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line[:120]}"
        for path in paths
        for number, line in enumerate((text_of(path) or "").splitlines(), start=1)
        if pattern.search(line)
    ]


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """All files of the project."""
    return tracked()


def test_no_path_of_a_machine(files: list[Path]) -> None:
    assert not hits(MACHINE_PATH, files)


def test_no_address_of_a_package_registry(files: list[Path]) -> None:
    assert not hits(REGISTRY, files)


def test_lock_files_name_no_registry(files: list[Path]) -> None:
    locks = [path for path in files if path.name in LOCKS or path.parent == ROOT / "requirements"]
    assert any(path.name == "dev.txt" for path in locks)
    found = [hit for hit in hits(re.compile(r"https?://"), locks) if CARGO_SOURCE not in hit]
    assert not found


def test_every_locked_package_has_a_hash() -> None:
    for name in ("base.txt", "dev.txt"):
        entries = re.split(r"\n(?=[a-z])", (ROOT / "requirements" / name).read_text())
        assert len(entries) > 20
        assert all("--hash=sha256:" in entry for entry in entries), name


def test_the_lock_has_what_the_distribution_demands() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = (ROOT / "requirements" / "base.txt").read_text()
    for requirement in project["dependencies"]:
        name = re.split(r"[=><]", requirement)[0]
        assert re.search(rf"^{re.escape(name)}==", locked, re.MULTILINE), name


def test_modules_are_of_one_size(files: list[Path]) -> None:
    sizes = {path: len((text_of(path) or "").splitlines()) for path in files if path.suffix in SOURCES}
    assert not [f"{path.relative_to(ROOT)}: {lines}" for path, lines in sizes.items() if lines > MAX_LINES]


def test_nothing_large_is_tracked(files: list[Path]) -> None:
    assert not [str(path.relative_to(ROOT)) for path in files if path.stat().st_size > 1_000_000]
