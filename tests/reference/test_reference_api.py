"""The package as it is installed: its version, its name, its examples."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import pywebtransport
from pywebtransport import _distribution, require_reference

FOLDER = Path(__file__).resolve().parent
REFERENCE = FOLDER.parents[1] / "reference_impl"


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
