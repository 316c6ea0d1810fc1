"""The vocabulary of all loops: what a client can do to a server, as typed values with a JSON form.

A script is a sequence of operations that begins with ``Connect`` and ``Establish``. Streams have names (small
numbers) instead of QUIC IDs, so that a script can be cut anywhere: what refers to a stream that was never
opened, or to a session that is over, does not apply and is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, TypeAlias

Kind: TypeAlias = Literal["uni", "bidi", "data"]
Place: TypeAlias = Literal["connect", "control"]
Critical: TypeAlias = Literal["control", "encoder", "decoder"]
Ending: TypeAlias = Literal["fin", "reset", "stop"]

# Forms of packets that ``fuzz.packets`` builds.
PACKET_FORMS = (
    "unknown-version", "version-negotiation", "initial-garbage", "initial-small", "initial-of-connection",
    "long-connection-id", "handshake", "0-rtt", "retry", "short", "short-unknown", "duplicate", "truncated",
    "flipped", "coalesced", "garbage",
)  # fmt: skip
MAX_STEPS = 10_000


class OperationError(ValueError):
    """The JSON form of an operation is not one; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Common part: ``name`` is the operation's name in replay files."""

    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Connect(Operation):
    """Open a connection; ``limits`` are the initial session limits of this side: uni, bidi, data."""

    name: ClassVar[str] = "connect"

    limits: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Establish(Operation):
    """Establish the session; ``path`` None means that of the target."""

    name: ClassVar[str] = "establish"

    path: str | None = None


@dataclass(frozen=True, slots=True)
class OpenStream(Operation):
    """Open a stream of the session.

    ``session_offset`` is added to the session ID in the header; ``id_length`` is the number of bytes that the
    ID is encoded in (None: as few as possible); ``pieces``: in so many packets the bytes leave.
    """

    name: ClassVar[str] = "open_stream"

    stream: int
    bidi: bool = True
    data: bytes = b""
    fin: bool = False
    session_offset: int = 0
    id_length: int | None = None
    pieces: int = 1


@dataclass(frozen=True, slots=True)
class Send(Operation):
    """Send bytes on a stream, in so many pieces."""

    name: ClassVar[str] = "send"

    stream: int
    data: bytes = b""
    fin: bool = False
    pieces: int = 1


@dataclass(frozen=True, slots=True)
class Reset(Operation):
    """Send RESET_STREAM with a raw HTTP/3 code."""

    name: ClassVar[str] = "reset"

    stream: int
    code: int


@dataclass(frozen=True, slots=True)
class ResetAt(Operation):
    """Send RESET_STREAM_AT: header and ``extra`` body bytes stay reliable."""

    name: ClassVar[str] = "reset_at"

    stream: int
    code: int
    extra: int = 0


@dataclass(frozen=True, slots=True)
class Stop(Operation):
    """Send STOP_SENDING with a raw HTTP/3 code on a bidirectional stream."""

    name: ClassVar[str] = "stop"

    stream: int
    code: int


@dataclass(frozen=True, slots=True)
class Datagram(Operation):
    """Send a datagram of the session."""

    name: ClassVar[str] = "datagram"

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class RawDatagram(Operation):
    """Send a DATAGRAM frame with these bytes, the Quarter Stream ID included."""

    name: ClassVar[str] = "raw_datagram"

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Capsule(Operation):
    """Send a capsule, its bytes cut into ``pieces`` DATA frames.

    ``missing`` bytes are declared but not sent; FIN follows then, as it does with ``fin``.
    """

    name: ClassVar[str] = "capsule"

    type: int
    value: bytes = b""
    missing: int = 0
    fin: bool = False
    pieces: int = 1


@dataclass(frozen=True, slots=True)
class Limit(Operation):
    """Send WT_MAX_STREAMS or WT_MAX_DATA, or with ``blocked`` the capsule that reports such a limit."""

    name: ClassVar[str] = "limit"

    kind: Kind
    value: int
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Overrun(Operation):
    """Open ``excess`` streams more than the target allows, or send ``excess`` bytes more (kind ``data``)."""

    name: ClassVar[str] = "overrun"

    kind: Kind
    excess: int = 1


@dataclass(frozen=True, slots=True)
class Close(Operation):
    """Send WT_CLOSE_SESSION, and FIN unless told otherwise."""

    name: ClassVar[str] = "close"

    code: int = 0
    reason: bytes = b""
    fin: bool = True


@dataclass(frozen=True, slots=True)
class Drain(Operation):
    """Send WT_DRAIN_SESSION."""

    name: ClassVar[str] = "drain"


@dataclass(frozen=True, slots=True)
class EndConnect(Operation):
    """End this side of the CONNECT stream: FIN, RESET_STREAM or STOP_SENDING."""

    name: ClassVar[str] = "end_connect"

    how: Ending = "fin"
    code: int = 0x010C


@dataclass(frozen=True, slots=True)
class Frame(Operation):
    """Send an HTTP/3 frame on the CONNECT stream or the control stream.

    ``missing`` bytes are declared but not sent; FIN follows then.
    """

    name: ClassVar[str] = "frame"

    place: Place
    type: int
    payload: bytes = b""
    missing: int = 0


@dataclass(frozen=True, slots=True)
class OtherUni(Operation):
    """Open a unidirectional stream of another type than WebTransport's."""

    name: ClassVar[str] = "other_uni"

    type: int
    data: bytes = b""
    fin: bool = False


@dataclass(frozen=True, slots=True)
class EndCritical(Operation):
    """Finish or reset the control stream or a QPACK stream of this side."""

    name: ClassVar[str] = "end_critical"

    which: Critical = "control"
    how: Ending = "fin"


@dataclass(frozen=True, slots=True)
class Request(Operation):
    """Send another request; ``variant`` names a row of ``fuzz.requests``."""

    name: ClassVar[str] = "request"

    variant: str = "get"


@dataclass(frozen=True, slots=True)
class RawStream(Operation):
    """Open a stream with bytes as they are, or go on with it; nothing is expected in return."""

    name: ClassVar[str] = "raw_stream"

    stream: int
    uni: bool = False
    data: bytes = b""
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Packet(Operation):
    """Send a UDP payload from another socket; ``form`` is a name of ``fuzz.packets``, ``seed`` its chance."""

    name: ClassVar[str] = "packet"

    form: str
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Delay(Operation):
    """Let time pass on the clock of the link, in milliseconds."""

    name: ClassVar[str] = "delay"

    milliseconds: int = 1


@dataclass(frozen=True, slots=True)
class Fence(Operation):
    """Wait for everything that is due so far, and judge."""

    name: ClassVar[str] = "fence"


Script: TypeAlias = tuple[Operation, ...]

OPERATIONS: Mapping[str, type[Operation]] = {
    kind.name: kind
    for kind in (
        Connect, Establish, OpenStream, Send, Reset, ResetAt, Stop, Datagram, RawDatagram, Capsule, Limit,
        Overrun, Close, Drain, EndConnect, Frame, OtherUni, EndCritical, Request, RawStream, Packet, Delay,
        Fence,
    )
}  # fmt: skip

# Operations that only prepare or wait; they do not count as operations of a session.
FRAMEWORK: tuple[type[Operation], ...] = (Connect, Establish, Fence, Delay)


def to_json(operation: Operation) -> dict[str, Any]:
    """Return the step of a replay file: the operation's name and its operands, bytes in hexadecimal."""
    result: dict[str, Any] = {"operation": operation.name}
    for entry in fields(operation):
        value = getattr(operation, entry.name)
        if value == entry.default:
            continue
        result[entry.name] = value.hex() if isinstance(value, bytes) else value
        if isinstance(value, tuple):
            result[entry.name] = list(value)
    return result


def from_json(value: Mapping[str, Any]) -> Operation:
    """Read a step; raises OperationError where it is none of the vocabulary."""
    kind = OPERATIONS.get(str(value.get("operation")))
    if kind is None:
        raise OperationError(f"unknown operation {value.get('operation')!r}")
    types = {entry.name: str(entry.type) for entry in fields(kind)}
    operands: dict[str, Any] = {}
    for key, item in value.items():
        if key == "operation":
            continue
        if key not in types:
            raise OperationError(f"operation {kind.name} has no operand {key!r}")
        operands[key] = _operand(f"{kind.name}.{key}", types[key], item)
    try:
        return kind(**operands)
    except TypeError as error:
        raise OperationError(f"operation {kind.name}: {error}") from None


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "Kind": ("uni", "bidi", "data"),
    "Place": ("connect", "control"),
    "Critical": ("control", "encoder", "decoder"),
    "Ending": ("fin", "reset", "stop"),
}


def _operand(name: str, wanted: str, value: Any) -> Any:
    """Check one operand against the annotation of its field."""
    if value is None and "None" in wanted:
        return None
    if wanted.startswith("tuple"):
        if isinstance(value, list) and len(value) == 3 and all(_is_integer(item) for item in value):
            return tuple(value)
    elif wanted == "bytes":
        try:
            return bytes.fromhex(value)
        except (TypeError, ValueError):
            pass
    elif wanted in _CHOICES:
        if value in _CHOICES[wanted]:
            return value
    elif (
        (wanted == "bool" and isinstance(value, bool))
        or (wanted.startswith("str") and isinstance(value, str))
        or (wanted.startswith("int") and _is_integer(value) and abs(value) < 1 << 62)
    ):
        return value
    raise OperationError(f"{name}: {value!r} is not of type {wanted}")


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def script_to_json(script: Iterable[Operation]) -> list[dict[str, Any]]:
    """Return the steps of a replay file."""
    return [to_json(operation) for operation in script]


def script_from_json(steps: Sequence[Mapping[str, Any]]) -> Script:
    """Read the steps of a replay file; raises OperationError, also where there are too many."""
    if len(steps) > MAX_STEPS:
        raise OperationError(f"{len(steps)} steps are more than {MAX_STEPS}")
    return tuple(from_json(step) for step in steps)


def counted(script: Iterable[Operation]) -> int:
    """Count the operations that do something to the session: no connecting, waiting or fencing."""
    return sum(not isinstance(operation, FRAMEWORK) for operation in script)
