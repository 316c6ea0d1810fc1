"""The vocabulary of all loops: what a client can do to a server, as typed values with a JSON form.

A script is a sequence of operations that begins with ``Connect`` and ``Establish``. Streams have names (small
numbers) instead of QUIC IDs, so that a script can be cut anywhere: what refers to a stream that was never
opened, or to a session that is over, does not apply and is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

Kind: TypeAlias = Literal["uni", "bidi", "data"]
Place: TypeAlias = Literal["connect", "control"]
Critical: TypeAlias = Literal["control", "encoder", "decoder"]
Carrier: TypeAlias = Literal["uni", "bidi", "datagram"]
Ending: TypeAlias = Literal["fin", "reset", "stop"]

# Forms of packets that ``fuzz.packets`` builds.
PACKET_FORMS = (
    "unknown-version", "version-negotiation", "initial-garbage", "initial-small", "initial-of-connection",
    "long-connection-id", "handshake", "0-rtt", "retry", "short", "short-unknown", "duplicate", "truncated",
    "flipped", "coalesced", "garbage",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """Common part: ``name`` is the operation's name in replay files."""

    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Connect(Operation):
    """Open a connection; ``limits`` are the initial session limits of this side: uni, bidi, data.

    ``raw``: nothing is sent after the handshake; all streams are those of ``RawStream`` (``fuzz.mutate``).
    """

    name: ClassVar[str] = "connect"

    limits: tuple[int, int, int] | None = None
    raw: bool = False


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
class Baton(Operation):
    """Begin a game of Devious Baton on a connection of its own; it is played to its end with the script."""

    name: ClassVar[str] = "baton"

    value: int | None = None
    count: int = 1
    padding: int = 0


@dataclass(frozen=True, slots=True)
class BatonMessage(Operation):
    """Send a message of this side's own in the game; ``cut`` and ``extra`` bytes make it malformed."""

    name: ClassVar[str] = "baton_message"

    carrier: Carrier
    value: int
    padding: int = 0
    cut: int = 0
    extra: int = 0


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
        Overrun, Close, Drain, EndConnect, Frame, OtherUni, EndCritical, Request, RawStream, Packet, Baton,
        BatonMessage, Delay, Fence,
    )
}  # fmt: skip

# Operations that only prepare or wait; they do not count as operations of a session.
FRAMEWORK: tuple[type[Operation], ...] = (Connect, Establish, Fence, Delay)


def is_raw(script: Iterable[Operation]) -> bool:
    """Tell whether a script is played without a session."""
    return any(isinstance(operation, Connect) and operation.raw for operation in script)


def counted(script: Iterable[Operation]) -> int:
    """Count the operations that do something to the session: no connecting, waiting or fencing."""
    return sum(not isinstance(operation, FRAMEWORK) for operation in script)
