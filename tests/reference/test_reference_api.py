"""The public interface: names, keywords and values that programs for the established package rely on."""

from __future__ import annotations

import enum
import importlib
import inspect
import json
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pywebtransport
from pywebtransport import _distribution, require_reference

FOLDER = Path(__file__).resolve().parent
REFERENCE = FOLDER.parents[1] / "reference_impl"
INTERFACE: dict[str, dict[str, dict[str, Any]]] = json.loads((FOLDER / "api_0_19.json").read_text())
NAMES = [(module, name) for module, names in INTERFACE.items() for name in names]


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda value: str(value))
def test_every_name_is_there_with_its_keywords(module: str, name: str) -> None:
    found = importlib.import_module(module)
    assert name in found.__all__
    thing = getattr(found, name)
    for member, wanted in INTERFACE[module][name].items():
        if member == "call":
            assert list(inspect.signature(thing).parameters) == wanted
        elif member == "members":
            assert issubclass(thing, enum.Enum)
            assert {item.name: item.value for item in thing} == wanted
        elif member == "fields":
            assert is_dataclass(thing)
            assert set(wanted) <= {field.name for field in fields(thing)}
        elif wanted == "property":
            assert isinstance(inspect.getattr_static(thing, member), property) or is_dataclass(thing)
        else:
            assert set(wanted) <= set(inspect.signature(getattr(thing, member)).parameters) | {"self", "cls"}


def test_the_version_is_that_of_the_core() -> None:
    manifest = (REFERENCE / "Cargo.toml").read_text()
    match = re.search(r'^version = "([^"]+)"$', manifest, re.MULTILINE)
    assert match is not None
    assert pywebtransport.__version__ == match[1]


def test_another_package_of_the_same_name_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    require_reference()
    other = ModuleType("pywebtransport")
    other.__file__ = "elsewhere/pywebtransport/__init__.py"
    monkeypatch.setattr(_distribution, "import_module", lambda name: other)
    with pytest.raises(ImportError, match="elsewhere"):
        require_reference()


@pytest.mark.usefixtures("built")
def test_the_examples_work() -> None:
    script = REFERENCE / "scripts" / "try_examples.py"
    done = subprocess.run(
        [sys.executable, str(script), "5"], capture_output=True, text=True, timeout=170, check=False
    )
    assert done.stdout == "5 of 5 succeeded\n", done.stderr


@pytest.mark.usefixtures("built")
def test_the_health_check_of_the_image(certificate: tuple[str, str]) -> None:
    command = [sys.executable, "-m", "pywebtransport.interop", "--host", "127.0.0.1", "--port", "0"]
    server = subprocess.Popen(
        [*command, "--cert", certificate[0], "--key", certificate[1]], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1] + "status"
        steps = [str(REFERENCE / "scripts" / "image_steps.sh"), "health", sys.prefix]
        well = subprocess.run([*steps, url], capture_output=True, text=True, timeout=60, check=False)
        assert json.loads(well.stdout)["status"] == "ok", well.stderr
        refused = subprocess.run(
            [*steps, url.replace("status", "nowhere")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert refused.returncode == 1
        assert "405" in refused.stderr
    finally:
        server.terminate()
        server.wait(timeout=30)
        if server.stdout is not None:
            server.stdout.close()
