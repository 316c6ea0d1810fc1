"""The reference as the tests import it: the installed package, else its sources on a stand-in for the
compiled core."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

REFERENCE = Path(__file__).resolve().parents[2] / "reference_impl"
FOLDER = Path(__file__).resolve().parent


def _is_built() -> bool:
    found = importlib.util.find_spec("pywebtransport")
    if found is None or not found.submodule_search_locations:
        return False
    import pywebtransport

    return getattr(pywebtransport, "__distribution__", None) == "webtransport-reference"


def _load_fake() -> None:
    spec = importlib.util.spec_from_file_location("pywebtransport._core", FOLDER / "fake_core.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pywebtransport._core"] = module
    spec.loader.exec_module(module)
    sys.path.insert(0, str(REFERENCE / "python"))


try:
    IS_BUILT = _is_built()
except ImportError:
    IS_BUILT = False
if not IS_BUILT:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pywebtransport"]:
        del sys.modules[name]
    _load_fake()
# Test modules are imported by path; what they share is found here.
sys.path.insert(0, str(FOLDER))


@pytest.fixture
def built() -> None:
    """For tests that need the compiled core."""
    if not IS_BUILT:
        pytest.skip("the compiled core is not installed: maturin develop in reference_impl")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of a certificate for localhost and of its key."""
    from pywebtransport.utils import generate_self_signed_cert

    _, certificate, key = generate_self_signed_cert(
        hostname="localhost", output_dir=str(tmp_path_factory.mktemp("certificate")), validity_days=10
    )
    return certificate, key


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine in a new event loop, for at most half a minute; no task may be left behind."""
    import asyncio

    def run_to_end(coroutine: Coroutine[Any, Any, Any]) -> Any:
        async def main() -> Any:
            async with asyncio.timeout(30):
                result = await coroutine
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks are left behind: {left}"
            return result

        return asyncio.run(main())

    return run_to_end
