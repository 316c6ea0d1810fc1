"""The options of a run: one table for the command line of ``wtconform`` and for pytest.

pytest spells them ``--target``, ``--role``, ``--draft`` and ``--wt-NAME``; ``wtconform run`` spells the
same without the prefix.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from conformance.peer.drafts import Draft

DRAFT_CHOICES = ("auto", "all", *(draft.value for draft in Draft))
ROLE_CHOICES = ("server", "client")
EMBEDDED = ("embedded", "model", "reference")
EVIDENCE_CHOICES = ("failures", "full")
# Types of options that are neither text, flags nor lists; Path options are made absolute.
KINDS: Final[dict[str, type[int] | type[float] | type[Path]]] = {
    "declare_draft": int,
    "target_pid": int,
    "connect_timeout": float,
    "rate": float,
    "max_connections": int,
    "baseline": Path,
    "out": Path,
    "ca": Path,
}
# What says how to reach the target: the options that ``replay`` shares with ``run``.
CONNECTION: Final = (
    "ca",
    "insecure",
    "endpoint",
    "connect_to",
    "header",
    "origin",
    "client_cert",
    "declare_draft",
    "drafts",
    "connect_timeout",
    "rate",
    "max_connections",
    "network",
)
DEFAULT_OUT = Path("reports/out")


class UserError(Exception):
    """Something that the user can cause and mend; the text is one line for them."""


class InvalidOption(UserError, ValueError):
    """An option cannot be used."""


def option(default: Any, help_text: str, **attributes: Any) -> Any:
    """Describe a field of :class:`RunOptions` for both command lines."""
    metadata = {"help": help_text, **attributes}
    if isinstance(default, list):
        return field(default_factory=list, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(kw_only=True)
class RunOptions:
    """Everything that a run can be told; ``target`` None means the embedded server."""

    target: str | None = option(None, "URL of the server under test, or 'model' or 'reference'", bare=True)
    role: str = option("server", "role of the implementation under test", choices=ROLE_CHOICES, bare=True)
    draft: str = option(
        "auto", "draft to speak: auto is the newest that the target offers", choices=DRAFT_CHOICES, bare=True
    )
    select: str | None = option(
        None, "run only cases or requirements with this prefix (several: comma)", metavar="ID"
    )
    slow: bool = option(False, "also play slow cases, such as transfers of 100 MiB")
    strict: bool = option(False, "a SHOULD that is not followed fails the run")
    baseline: Path | None = option(None, "TOML file of known failures", metavar="FILE")
    out: Path = option(DEFAULT_OUT, "directory for results, reports and evidence", metavar="DIR")
    shard: str | None = option(None, "run only the i-th of n parts", metavar="I/N")
    ca: Path | None = option(None, "PEM file of the certificate authority to trust", metavar="FILE")
    insecure: bool = option(False, "accept any certificate of the target")
    endpoint: list[str] = option(
        [], "path of an endpoint of docs/endpoints.md; 'all' for the default paths", metavar="NAME=PATH"
    )
    connect_to: str | None = option(None, "connect to this address instead of the URL's", metavar="HOST:PORT")
    header: list[str] = option([], "add a field to each session request", metavar="NAME:VALUE")
    origin: str | None = option(None, "value of the origin field of each session request", metavar="ORIGIN")
    client_cert: str | None = option(
        None, "PEM files of a client certificate and its key", metavar="CERT:KEY"
    )
    declare_draft: int | None = option(
        None, "the exact draft that the target implements (15 and 16 share a code point)", metavar="N"
    )
    drafts: str | None = option(None, "drafts that the embedded server offers, such as 16,02", metavar="LIST")
    allow_disruptive: str | None = option(
        None, "allow floods and fuzzing against this host, if it is not loopback", metavar="HOST"
    )
    connect_timeout: float = option(
        10.0, "time for the handshake and for SETTINGS, in seconds", metavar="SECONDS"
    )
    rate: float | None = option(
        None, "start at most so many connections per second, all workers together", metavar="N"
    )
    max_connections: int | None = option(
        None, "keep at most so many connections open at a time, all workers together (2 or more)", metavar="N"
    )
    network: str | None = option(
        None,
        "put the impairment relay with this profile (and seed) between suite and target",
        metavar="PROFILE[:SEED]",
    )
    target_pid: int | None = option(
        None, "process of a local target: note its memory, and whether it lives", metavar="PID"
    )
    client_command: str | None = option(
        None, "with --role client: the client under test, run once per case", metavar="'CMD {url} {ca}'"
    )
    evidence: str = option(
        "failures",
        "cases that leave qlog and key log, not only records and wire log",
        choices=EVIDENCE_CHOICES,
    )
    # Set by the run itself: the server of ours that it started, where it found the target to answer.
    embedded: str | None = field(default=None, metadata={"hidden": True})
    address: str | None = field(default=None, metadata={"hidden": True})
    path: str | None = field(default=None, metadata={"hidden": True})


def describe() -> list[tuple[str, dict[str, Any]]]:
    """Return name and description of each option, in the order of the help."""
    return [
        (item.name, dict(item.metadata)) for item in fields(RunOptions) if not item.metadata.get("hidden")
    ]


def parse_shard(text: str | None) -> tuple[int, int]:
    """Parse ``I/N`` (1-based); raises InvalidOption."""
    if text is None:
        return 1, 1
    part, _, whole = text.partition("/")
    if not (part.isdigit() and whole.isdigit()) or not 1 <= int(part) <= int(whole):
        raise InvalidOption(f"--shard {text!r}: expected I/N with 1 <= I <= N, such as 1/4")
    return int(part), int(whole)


def parse_pairs(values: list[str], separator: str, name: str) -> list[tuple[str, str]]:
    """Parse ``NAME=PATH`` or ``NAME:VALUE`` pairs; raises InvalidOption."""
    pairs = []
    for value in values:
        key, found, rest = value.partition(separator)
        if not found or not key.strip():
            raise InvalidOption(f"--{name} {value!r}: expected NAME{separator}VALUE")
        pairs.append((key.strip(), rest.strip()))
    return pairs
