"""Each Cargo.lock against the manifests of this tree: also those that nothing built with `--locked` just now.

`cargo metadata --locked` would tell, but needs what it locks to be downloaded.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(
    path
    for path in ROOT.rglob("Cargo.lock")
    if not {"target", ".venv", "build", "node_modules"} & set(path.relative_to(ROOT).parts)
)
KINDS = ("dependencies", "build-dependencies")
Manifest = dict[str, Any]


def load(path: Path) -> Manifest:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def workspace_of(folder: Path) -> tuple[Path, Manifest]:
    """The folder and manifest of the workspace that a package belongs to."""
    for parent in (folder, *folder.parents):
        if (parent / "Cargo.toml").exists() and "workspace" in (manifest := load(parent / "Cargo.toml")):
            return parent, manifest["workspace"]
    return folder, {}


def requirements(folder: Path, *, with_tests: bool) -> Iterator[tuple[str, str | None, bool, Path | None]]:
    """Name, version, whether it is optional, and folder (of a path) of each dependency of a package."""
    manifest = load(folder / "Cargo.toml")
    root, workspace = workspace_of(folder)
    kinds = (*KINDS, "dev-dependencies") if with_tests else KINDS
    for table, kind in itertools.product((manifest, *manifest.get("target", {}).values()), kinds):
        for name, value in table.get(kind, {}).items():
            given = {"version": value} if isinstance(value, str) else value
            base = folder
            if given.get("workspace"):
                shared = workspace["dependencies"][name]
                given, base = given | ({"version": shared} if isinstance(shared, str) else shared), root
            path = (base / given["path"]).resolve() if "path" in given else None
            yield given.get("package", name), given.get("version"), given.get("optional", False), path


def fits(version: str, wanted: str) -> bool:
    """Whether a version is one that a requirement takes; only exact and caret requirements are known."""
    locked = [int(number) for number in version.split("-")[0].split("+")[0].split(".")]
    numbers = [int(number) for number in wanted.lstrip("=^ ").split(".")]
    if wanted.startswith("="):
        return locked[: len(numbers)] == numbers
    fixed = next((at + 1 for at, number in enumerate(numbers) if number), len(numbers))
    return locked[:fixed] == numbers[:fixed] and locked >= numbers


def stale(lock: Path) -> list[str]:
    """What the manifests of this tree want and the lock does not have."""
    packages = load(lock)["package"]
    versions = {(each["name"], each["version"]) for each in packages}
    ours = {each["name"]: each for each in packages if "source" not in each}
    folders = [lock.parent, *(path.parent for path in lock.parent.glob("*/Cargo.toml"))]
    folders += [path.parent for path in lock.parent.glob("crates/*/Cargo.toml")]
    waiting = [
        each for each in folders if (each / "Cargo.toml").exists() and "package" in load(each / "Cargo.toml")
    ]
    waiting = [each for each in waiting if workspace_of(each)[0] == lock.parent]
    seen, found = set[Path](), []
    while waiting:
        folder = waiting.pop()
        if folder in seen:
            continue
        seen.add(folder)
        name = load(folder / "Cargo.toml")["package"]["name"]
        listed = {
            entry.split()[0]: entry.split()[1:2] for entry in ours.get(name, {}).get("dependencies", ())
        }
        if name not in ours:
            found.append(f"{name} is not in it")
        known = set()
        for wanted, version, optional, path in requirements(
            folder, with_tests=workspace_of(folder)[0] == lock.parent
        ):
            known.add(wanted)
            if path is not None:
                waiting.append(path)
            if wanted not in listed:
                if not optional:
                    found.append(f"{name} needs {wanted}")
            elif version is not None:
                there = {number for each, number in versions if each == wanted}
                if not any(fits(number, version) for number in listed[wanted] or there):
                    found.append(f"{name} needs {wanted} {version}, locked is {', '.join(sorted(there))}")
        found += [f"{name} needs {gone} no more" for gone in sorted(listed.keys() - known)]
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_lock_is_that_of_its_manifests(lock: Path) -> None:
    manifest = (lock.parent / "Cargo.toml").relative_to(ROOT)
    found = stale(lock)
    assert not found, f"{'; '.join(found)}. Renew it: cargo update --workspace --manifest-path {manifest}"


LOCK = """
[[package]]
name = "one"
version = "0.1.0"
dependencies = ["two"]

[[package]]
name = "two"
version = "0.1.0"
dependencies = ["bytes"]

[[package]]
name = "bytes"
version = "1.4.0"
source = "registry"
"""


@pytest.mark.parametrize(
    ("dependencies", "found"),
    [
        ('bytes = "1"', []),
        ('bytes = { version = "1.4", optional = true }\nmore = { version = "2", optional = true }', []),
        ('bytes = { workspace = true }\n[dev-dependencies]\nmore = "1"', []),
        ('bytes = "1"\nmore = "2"', ["two needs more"]),
        ('bytes = "1.5"', ["two needs bytes 1.5, locked is 1.4.0"]),
        ('bytes = "=1.3"', ["two needs bytes =1.3, locked is 1.4.0"]),
        ("", ["two needs bytes no more"]),
    ],
)
def test_what_changed_is_noticed(tmp_path: Path, dependencies: str, found: list[str]) -> None:
    for folder, text in {
        "alone": '[package]\nname = "one"\n[workspace]\n[dependencies]\ntwo = { path = "../shared/two" }\n',
        "shared": '[workspace]\n[workspace.dependencies]\nbytes = "1.2"\n',
        "shared/two": f'[package]\nname = "two"\n[dependencies]\n{dependencies}\n',
    }.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "Cargo.toml").write_text(text, encoding="utf-8")
    (tmp_path / "alone" / "Cargo.lock").write_text(LOCK, encoding="utf-8")
    assert stale(tmp_path / "alone" / "Cargo.lock") == found
