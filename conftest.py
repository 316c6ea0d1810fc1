"""Load the suite's pytest plugin where the installed entry point has not done so."""

from __future__ import annotations

from importlib.metadata import entry_points

_INSTALLED = any(entry.value == "conformance.plugin" for entry in entry_points(group="pytest11"))

pytest_plugins = [] if _INSTALLED else ["conformance.plugin"]
