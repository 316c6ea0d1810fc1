"""What is used of aioquic's inside is listed, and a version without it is refused."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from aioquic.quic.connection import QuicConnection

from conformance.peer import quic
from conformance.peer.quic import compat

MODULES = sorted(Path(quic.__file__).parent.glob("*.py"))


def private_names(tree: ast.AST) -> Iterator[str]:
    """Yield private attributes that are read or written, and private methods that are defined."""
    for node in ast.walk(tree):
        name = getattr(node, "attr", getattr(node, "name", ""))
        if isinstance(node, ast.Attribute | ast.FunctionDef) and name.startswith("_") and name[1] != "_":
            yield name


def test_every_private_attribute_of_aioquic_is_listed() -> None:
    used = {name for path in MODULES for name in private_names(ast.parse(path.read_text()))}
    theirs = {name for item in compat._instances() for name in used & set(dir(item))}
    listed = {name for names in compat.ATTRIBUTES.values() for name in names}
    assert theirs <= listed
    assert listed - {compat.FRAME_HANDLERS} <= used


def test_an_aioquic_without_one_of_them_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    compat.check()
    monkeypatch.delattr(QuicConnection, "_payload_received")
    assert compat.missing() == ["QuicConnection._payload_received"]
    with pytest.raises(compat.IncompatibleEngine, match=r"_payload_received.*1\.7\.2"):
        compat.check()
