"""Records of a case: everything that its verdict rests on, as data with a JSON form.

A live run appends records while it works; ``reports.judgement.judge`` turns them into verdicts, in
the run and at any time later. Events inside a record are wire events in their JSON form or already
reactions, see ``reports.judgement.reactions``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeAlias, get_args

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Level: TypeAlias = Literal["MUST", "SHOULD", "MAY", "IMPLIED"]
EndedBy: TypeAlias = Literal["event", "deadline", "fence"]
Operator: TypeAlias = Literal[
    "==", "!=", "<", "<=", ">", ">=", "in", "not in", "contains", "not contains", "starts with", "is"
]
ErrorKind: TypeAlias = Literal[
    "own side closed", "exception", "target gone", "interrupted", "setup", "suite", "silence"
]
Limit: TypeAlias = Literal["none", "non_strict", "informational"]
Broken: TypeAlias = Literal["fail", "non_strict", "informational", "inconclusive"]
UnsupportedKind: TypeAlias = Literal["not negotiated", "cooperation"]


class RecordError(ValueError):
    """The JSON form of a record is not one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectRecord:
    """What the target did in one window, to be compared with a set of allowed reactions.

    ``requirement`` is the catalogue's ID, ``also`` further rows that say the same. ``params`` binds the
    names of the set (``code`` may be a list: any of them; stream IDs in ``stream``, ``session``,
    ``streams``). ``window_s``: seconds that the window was open on the clock of the link. ``ended_by``:
    a deciding event, the deadline for a reaction that had to come, or the fence that proves an absence.
    ``absence``: the case wants nothing to happen (the weaker evidence). ``confirmed``: a second run of
    the case alone showed the same. ``twin``: belongs to the positive twin. ``limit``: the worst verdict
    that a violation of the row can lead to. ``soft``: why this row is informational whatever happens (an
    ambiguity, an undeclared draft), None where it is judged.
    """

    record: ClassVar[str] = "expect"

    requirement: str
    level: Level
    set_name: str
    set_version: int
    params: Mapping[str, Json] = field(default_factory=dict)
    window_s: float = 0.0
    ended_by: EndedBy = "event"
    events: tuple[Mapping[str, Json], ...] = ()
    absence: bool = False
    also: tuple[str, ...] = ()
    confirmed: bool = False
    twin: bool = False
    limit: Limit = "none"
    soft: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecord:
    """A value of the target compared with the expected one: ``observed OPERATOR expected``.

    ``==``, ``in`` (observed is one of expected), ``contains`` (observed contains expected), ``is``
    (truth). Bytes are hexadecimal text. ``broken`` is the grade of a check that does not hold.
    Inconclusive: where a loss may be nobody's fault, such as 0 of 20 datagrams.
    """

    record: ClassVar[str] = "check"

    requirement: str
    level: Level
    name: str
    operator: Operator
    expected: Json
    observed: Json
    broken: Broken = "fail"
    also: tuple[str, ...] = ()
    twin: bool = False
    limit: Limit = "none"
    soft: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinRecord:
    """How the positive twin ended: without success the negative run proves nothing."""

    record: ClassVar[str] = "twin"

    ok: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SanityRecord:
    """The sanity exchange on a fresh session; ``reproduced``: its failure came again in a run alone."""

    record: ClassVar[str] = "sanity"

    phase: Literal["before", "after"]
    ok: bool
    reason: str = ""
    reproduced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRecord:
    """A remark for the reader of the report; never judged."""

    record: ClassVar[str] = "note"

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedRecord:
    """The target provably does not offer what the case needs."""

    record: ClassVar[str] = "unsupported"

    kind: UnsupportedKind
    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRecord:
    """The run could not be judged.

    Our own side closed, an exception, the target was gone, the user interrupted, the case could not be
    set up, the case broke a rule of the suite, or nothing came where everything may get lost.
    """

    record: ClassVar[str] = "error"

    what: ErrorKind
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InformationalRecord:
    """What the target does where the text leaves it open.

    ``observed`` enters the signature: no times, ports or stream IDs.
    """

    record: ClassVar[str] = "informational"

    requirement: str
    text: str
    observed: Json = None
    also: tuple[str, ...] = ()


Record: TypeAlias = (
    ExpectRecord
    | CheckRecord
    | TwinRecord
    | SanityRecord
    | NoteRecord
    | UnsupportedRecord
    | ErrorRecord
    | InformationalRecord
)

RECORD_TYPES: Mapping[str, type[Record]] = {kind.record: kind for kind in get_args(Record)}


def _plain(value: Any) -> Json:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if value is None or isinstance(value, (bool, float, str)):
        return value
    if isinstance(value, int):
        return int(value)
    return str(value)


def to_json(record: Record) -> dict[str, Json]:
    """Return the JSON form of a record: its fields and ``record``, the kind."""
    result: dict[str, Json] = {"record": record.record}
    for entry in fields(record):
        result[entry.name] = _plain(getattr(record, entry.name))
    return result


def from_json(value: Mapping[str, Any]) -> Record:
    """Read a record from its JSON form.

    Raises RecordError where the kind is unknown or the fields do not belong to it.
    """
    kind = RECORD_TYPES.get(str(value.get("record")))
    if kind is None:
        raise RecordError(f"unknown kind of record: {value.get('record')!r}")
    members = {name: item for name, item in value.items() if name != "record"}
    for name in ("events", "also"):
        if isinstance(members.get(name), list):
            members[name] = tuple(members[name])
    try:
        return kind(**members)
    except TypeError as error:
        raise RecordError(f"not a record of kind {value.get('record')!r}: {error}") from None
