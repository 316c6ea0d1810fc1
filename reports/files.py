"""Atomic writing and careful reading of the files of a run directory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
MAX_STEM = 120
# Made once: a run writes a hundred thousand lines.
_COMPACT = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


class RunError(ValueError):
    """A run directory or a file of it cannot be used; the text is one line for the user."""


def write_atomic(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part.

    Lone surrogates become question marks: they have no UTF-8 form. Raises RunError where the file
    cannot be written.
    """
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(text)
        # mkstemp makes private files; a report is for everybody whom the directory is for.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except OSError as error:
        if name is not None:
            with contextlib.suppress(OSError):
                os.unlink(name)
        raise RunError(f"cannot write {path}: {error.strerror or error}") from None


def dump(value: object, *, indent: int | None = None) -> str:
    """Return the JSON text of a value: ASCII only, so that no string of the wire can break a reader."""
    return json.dumps(value, ensure_ascii=True, indent=indent) if indent else _COMPACT.encode(value)


def read_toml(path: Path, problem: type[ValueError]) -> dict[str, Any]:
    """Read a TOML file of the user; raises ``problem`` with one line where there is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise problem(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise problem(f"{path} is not TOML: {error}") from None


def read_json(path: Path) -> Any:
    """Read a JSON file; raises RunError where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is not JSON: {error}") from None


def stem(case_id: str, draft: str, role: str) -> str:
    """Return the name without suffix of the files of a case: safe on every file system, and unique."""
    plain = f"{case_id}.draft-{draft}" + ("" if role == "server" else f".{role}")
    safe = _UNSAFE.sub("_", plain).lstrip(".")[:MAX_STEM]
    return (
        safe if safe == plain else f"{safe}-{hashlib.sha256(plain.encode(errors='replace')).hexdigest()[:8]}"
    )


def below(directory: Path, relative: str) -> Path:
    """Return the path of a file named in a run directory; raises RunError where it leads out of it."""
    path = (directory / relative).resolve()
    if not path.is_relative_to(directory.resolve()):
        raise RunError(f"{relative!r} leads out of {directory}")
    return path
