"""Which distribution this is: another project of the Python registry has the same import name."""

from __future__ import annotations

from importlib import import_module
from typing import Final

DISTRIBUTION: Final = "webtransport-reference"


def require_reference() -> None:
    """Check at start-up that the import name `pywebtransport` leads here.

    Raises:
        ImportError: another package of that name is the one that gets imported.
    """
    found = import_module("pywebtransport")
    if getattr(found, "__distribution__", None) != DISTRIBUTION:
        raise ImportError(f"pywebtransport at {found.__file__} is not {DISTRIBUTION}")
