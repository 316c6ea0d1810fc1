"""Import of the modules that declare deviants."""

from __future__ import annotations

import importlib

MODULES = (
    "rules",
    "negotiation",
    "streams",
    "sessions",
    "flowcontrol",
    "quic",
    "qpack",
    "earlydata",
    "baton",
    "applications",
)


def load_deviants() -> None:
    """Import all modules of deviants, which register them."""
    for name in MODULES:
        importlib.import_module(f"conformance.deviants.{name}")
