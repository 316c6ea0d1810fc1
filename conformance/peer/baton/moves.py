"""What the machine wants done: typed commands that a driver carries out on a WebTransport session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from conformance.peer.baton.codes import SessionError, StreamError

if TYPE_CHECKING:
    from conformance.peer.baton.machine import Stream


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Open a stream of this kind and send a message with FIN on it (§4.1, §4.2).

    ``finish`` is False for a message that is cut because its stream is about to be reset.
    """

    stream: Stream
    value: int
    data: bytes
    finish: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """Send a message with FIN on a bidirectional stream of the peer (§4.2); ``finish`` as above."""

    stream: Stream
    value: int
    data: bytes
    finish: bool = True


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """Send a message as a datagram (§4.4)."""

    value: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ResetStream:
    """Reset the sending direction of a stream (§4.6)."""

    stream: Stream
    code: StreamError


@dataclass(frozen=True, slots=True)
class StopStream:
    """Ask the peer to stop sending on a stream (§4.6)."""

    stream: Stream
    code: StreamError = StreamError.IDC


@dataclass(frozen=True, slots=True)
class CloseSession:
    """End the session: None by a FIN on the CONNECT stream, else by a close capsule with the code (§4.5)."""

    code: SessionError | None


Move: TypeAlias = OpenStream | Reply | SendDatagram | ResetStream | StopStream | CloseSession
