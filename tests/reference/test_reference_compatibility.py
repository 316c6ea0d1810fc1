"""The public interface against that of the established package, 0.17 to 0.20 (`api_established.json`).

What differs on purpose is listed here, and explained in `docs/compatibility.md` of the reference.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, Final

import pytest
from read_interface import interface

FOLDER = Path(__file__).resolve().parent
ESTABLISHED: dict[str, dict[str, dict[str, Any]]] = json.loads((FOLDER / "api_established.json").read_text())
OURS = interface()
NAMES = [(module, name) for module, names in ESTABLISHED.items() for name in names]
DOCUMENT = FOLDER.parents[1] / "reference_impl" / "docs" / "compatibility.md"

OTHER_DEFAULTS: Final = {
    "initial_max_streams_bidi",
    "initial_max_streams_uni",
    "max_connections",
    "max_pending_streams",
    "quic_max_concurrent_bidi_streams",
    "quic_max_concurrent_uni_streams",
    "quic_stream_receive_window",
    # Texts
    "message",
    "reason",
}
"""Constants, fields and parameters."""
NOT_THERE: Final = {
    ("WebTransportConnection", "accept"),
    ("WebTransportConnection", "execute_request"),
    ("WebTransportSession", "grant_data_credit"),
    ("WebTransportSession", "grant_streams_credit"),
}
MADE_BY_THE_LIBRARY: Final = {
    "WebTransportConnection",
    "WebTransportReceiveStream",
    "WebTransportSendStream",
    "WebTransportSession",
    "WebTransportStream",
}
"""Nobody else calls these classes."""


def same_default(name: str, wanted: Any, ours: Any) -> bool:
    constant = name.removeprefix("DEFAULT_").lower()
    return wanted == ours or constant in OTHER_DEFAULTS


def check_call(wanted: dict[str, list[Any]], ours: dict[str, list[Any]]) -> None:
    """A call that the established package takes is one that we take."""
    for name, (kind, default) in wanted.items():
        assert name in ours, f"no parameter {name}"
        assert ours[name][0] == kind, f"parameter {name}"
        assert same_default(name, default, ours[name][1]), f"parameter {name}: {ours[name][1]}, not {default}"
    for name in ours.keys() - wanted.keys():
        assert ours[name][0].startswith("VAR") or ours[name][1] != "required", f"parameter {name} is demanded"


def check_class(name: str, wanted: dict[str, Any], ours: dict[str, Any]) -> None:
    public = {base for base in wanted["bases"] if base in OURS["pywebtransport.exceptions"] or base[0] != "_"}
    if name in OURS["pywebtransport.exceptions"] or "members" in wanted:
        assert public <= set(ours["bases"])
    assert wanted.get("members", {}).items() <= ours.get("members", {}).items()
    for field, default in wanted.get("fields", {}).items():
        assert field in ours["fields"], f"no field {field}"
        assert same_default(field, default, ours["fields"][field]), f"field {field}"
    if "call" in wanted and name not in MADE_BY_THE_LIBRARY:
        check_call(wanted["call"], ours["call"])
    for attribute, fact in wanted.get("attributes", {}).items():
        if (name, attribute) in NOT_THERE:
            continue
        found = ours["attributes"].get(attribute)
        if found is None:
            # Set by the constructor
            assert fact == {"kind": "attribute", "settable": False}, f"no {attribute}"
            assert attribute in ("events", "headers", "status_code")
            continue
        assert found["kind"] == fact["kind"], f"{attribute} is a {found['kind']}"
        if fact["kind"] == "attribute":
            assert found["settable"] >= fact["settable"]
        else:
            check_call(fact["call"], found["call"])


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda value: str(value))
def test_every_name_of_the_established_package_works_here(module: str, name: str) -> None:
    if name == "__version__":
        assert isinstance(importlib.import_module("pywebtransport").__version__, str)
        return
    assert name in OURS.get(module, {}), f"{module} has no {name}"
    wanted, ours = ESTABLISHED[module][name], OURS[module][name]
    if "class" in (wanted["kind"], ours["kind"]):
        assert wanted["kind"] == ours["kind"]
        check_class(name, wanted, ours)
    elif wanted["kind"] == "value":
        assert same_default(name, wanted["value"], ours["value"])
    elif wanted["kind"] == "function":
        check_call(wanted["call"], ours["call"])


def test_names_of_the_package_are_those_of_its_modules() -> None:
    package = importlib.import_module("pywebtransport")
    modules = [importlib.import_module(name) for name in OURS if name != "pywebtransport"]
    for name in ESTABLISHED["pywebtransport"].keys() - {"__version__"}:
        homes = [module for module in modules if name in module.__all__]
        assert homes
        assert all(getattr(module, name) is getattr(package, name) for module in homes)


EXPLAINED = sorted(OTHER_DEFAULTS - {"message", "reason"} | {name for _, name in NOT_THERE})


@pytest.mark.parametrize("what", EXPLAINED)
def test_every_difference_is_explained(what: str) -> None:
    assert f"`{what}" in DOCUMENT.read_text()
