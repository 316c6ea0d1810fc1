"""A fault of the core: everything in Python that waits for it is told, with the reason.

The core that is installed cannot be told to fail; this test builds one that can.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REFERENCE = Path(__file__).resolve().parents[2] / "reference_impl"
PACKAGE = REFERENCE / "python" / "pywebtransport"
PROGRAM = Path(__file__).with_name("panic_program.py")
REASON = "the core failed: internal error: asked for"

pytestmark = pytest.mark.usefixtures("built")


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, and in it a core with the feature `panic-hook`."""
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("cargo is not installed")
    command = [cargo, "build", "--locked", "--package", "wt-python", "--features", "panic-hook"]
    done = subprocess.run(
        [*command, "--message-format", "json"],
        cwd=REFERENCE,
        env={**os.environ, "PYO3_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    (library,) = (
        name
        for message in messages
        if message["reason"] == "compiler-artifact" and message["target"]["name"] == "_core"
        for name in message["filenames"]
    )
    folder = tmp_path_factory.mktemp("fragile")
    shutil.copytree(PACKAGE, folder / "pywebtransport", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(library, folder / "pywebtransport" / "_core.abi3.so")
    return folder


def test_the_core_that_is_installed_cannot_be_told_to_fail() -> None:
    from pywebtransport import _core

    assert not hasattr(_core.Endpoint, "panic")


@pytest.mark.parametrize("side", ["client", "server"])
def test_whoever_waits_for_a_core_that_fails_is_told(fragile: Path, tmp_path: Path, side: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAM), side, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(fragile)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"LOG CRITICAL {REASON}" in done.stderr
    outcomes: dict[str, str] = json.loads(done.stdout)
    for name in ("read", "write_all"):
        assert outcomes[name].startswith("StreamError: ")
        assert REASON in outcomes[name]
    for name, text in outcomes.items():
        if name.startswith(("accept_", "create_", "receive_")) or name == "later stream":
            assert text.startswith("SessionClosedError: ") and REASON in text, (name, text)
    assert outcomes["session.wait_closed"] == "returned None"
    assert outcomes["session"] == f"connection: {REASON}"
    assert outcomes["later write"].startswith("StreamError: ")
    assert outcomes["later stats"] == "returned None"
    if side == "client":
        assert outcomes["connect"].startswith("ClientError: ") and REASON in outcomes["connect"]
        assert outcomes["later"].startswith("ClientError: ")
        assert "the endpoint is closed" in outcomes["later"]
    else:
        assert outcomes["serve_forever"].startswith(f"ServerError: {REASON}")
        assert outcomes["drain"] == "returned None"
        assert outcomes["later"].startswith(f"ServerError: {REASON}")
