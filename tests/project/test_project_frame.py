"""The frame keeps its promises: targets, commands, packages, layers."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("conformance", "reports", "scenarios", "fuzz")
TARGETS = ("help", "setup", "certify", "test", "check", "fmt", "deviants", "nightly", "campaign", "clean")


def make(*arguments: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def modules() -> list[str]:
    """Return the names of all modules of the suite."""
    names: list[str] = []
    for name in PACKAGES:
        if (ROOT / name / "__init__.py").is_file():
            found = pkgutil.walk_packages([str(ROOT / name)], prefix=f"{name}.")
            names += [name, *(module.name for module in found if not module.name.endswith(".__main__"))]
    return names


def test_make_explains_itself() -> None:
    explained = re.findall(r"^  ([a-z-]+) {2,}\S", make(), re.MULTILINE)
    assert set(TARGETS) <= set(explained)


@pytest.mark.parametrize("target", TARGETS)
def test_target_exists(target: str) -> None:
    make("--dry-run", target)


@pytest.mark.parametrize("name", modules())
def test_module_is_importable(name: str) -> None:
    importlib.import_module(name)


def test_layers_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_layers_cover_every_package() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    existing = sorted(name for name in PACKAGES if (ROOT / name / "__init__.py").is_file())
    assert configuration["root_packages"] == existing


def test_entry_points_lead_somewhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, attribute = project["scripts"]["wtconform"].partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))
    importlib.import_module(project["entry-points"]["pytest11"]["wtconform"])


def test_warnings_are_errors_and_marks_are_declared() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert options["filterwarnings"][0] == "error"
    assert options["xfail_strict"] is True
    assert {"--strict-markers", "--strict-config"} <= set(options["addopts"])
    assert options["testpaths"] == ["tests"]


def test_phases_of_the_pipeline_are_targets_or_commands() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    for target in re.findall(r"^phase \S+ +make (\S+)", script, re.MULTILINE):
        make("--dry-run", target)
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)
