"""Devious Baton as a state machine (draft-frindell-webtrans-devious-baton-00): no I/O, no clock.

A baton is a byte that goes back and forth, one higher each time, until it reaches 0. What comes in are
messages and ends of streams; what comes out are actions for whoever drives a session.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, TypeAlias

VERSION: Final = 0


class StreamCode(IntEnum):
    """Codes of RESET_STREAM and STOP_SENDING (§ Stream Error Codes)."""

    IDC = 0x01
    WHATEVER = 0x02
    I_LIED = 0x03


class SessionCode(IntEnum):
    """Codes of the close message (§ Session Error Codes)."""

    DA_YAMN = 0x01
    BRUH = 0x02
    SUS = 0x03
    BORED = 0x04


class Role(Enum):
    """Who we are.

    The value is the remainder modulo 7 at which a received baton is answered by a datagram too.
    """

    CLIENT = 1
    SERVER = 0


class Arrival(Enum):
    """How a message came."""

    UNI = "unidirectional stream"
    PEER_BIDI = "bidirectional stream of the peer"
    OWN_BIDI = "bidirectional stream of our own"


class Outlet(Enum):
    """How a message goes."""

    NEW_UNI = "new unidirectional stream"
    NEW_BIDI = "new bidirectional stream"
    SAME_STREAM = "the stream that it came on"


@dataclass(frozen=True, slots=True)
class Send:
    """Send a baton and finish the stream; with `lie` cut the message short and reset the stream (I_LIED)."""

    outlet: Outlet
    value: int
    lie: bool = False


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """Send a baton as a datagram."""

    value: int


@dataclass(frozen=True, slots=True)
class Close:
    """End the session: without a code by finishing the CONNECT stream.

    With `after_peer` the last baton is still on its way to the peer: let the peer end the session first.
    """

    code: SessionCode | None = None
    after_peer: bool = False


Action: TypeAlias = Send | SendDatagram | Close

_OUTLETS: Final = {
    Arrival.UNI: Outlet.NEW_BIDI,
    Arrival.PEER_BIDI: Outlet.SAME_STREAM,
    Arrival.OWN_BIDI: Outlet.NEW_UNI,
}


class BatonMachine:
    """One session.

    Args:
        role: who we are.
        count: the number of batons, at least 1.
        value: the initial baton, 1 to 255; a client that named none takes whatever comes (`None`).
        lies: ordinals, from 0, of our messages that are cut and reset.
        disinterest: ordinals, from 0, of the peer's streams that are stopped.
    """

    def __init__(
        self,
        role: Role,
        *,
        count: int,
        value: int | None,
        lies: frozenset[int] = frozenset(),
        disinterest: frozenset[int] = frozenset(),
    ) -> None:
        self.role = role
        self.active = count
        self._count = count
        self._value = value
        self._lies, self._disinterest = lies, disinterest
        self._messages = self._streams = 0
        self._openings = count if role is Role.CLIENT else 0
        self._expected: Counter[int] = Counter()
        self.closed = False

    def start(self) -> list[Action]:
        """The first messages of a server (§ Setup); a client has none."""
        if self.role is Role.CLIENT or self._value is None:
            return []
        return [action for _ in range(self._count) for action in self._send(Outlet.NEW_UNI, self._value)]

    def takes_interest(self) -> bool:
        """The peer opened a stream. Where the answer is no, it is to be stopped, and its baton is lost."""
        ordinal, self._streams = self._streams, self._streams + 1
        return ordinal not in self._disinterest

    def receive(self, arrival: Arrival, value: int) -> list[Action]:
        """A message arrived on a stream (§ Processing a Baton Message)."""
        if self.closed:
            return []
        if not self._expects(arrival, value):
            return self._close(SessionCode.SUS)
        actions: list[Action] = []
        if value % 7 == self.role.value:
            actions.append(SendDatagram(value))
        if value == 0:
            return actions + self._complete(after_peer=False)
        return actions + self._send(_OUTLETS[arrival], (value + 1) % 256)

    def malformed(self) -> list[Action]:
        """A stream or datagram ended with less, or more, than one message."""
        return self._close(SessionCode.BRUH)

    def lost(self) -> list[Action]:
        """A stream that carried a baton was reset or stopped: that baton is out of the game."""
        return [] if self.closed else self._complete(after_peer=False)

    def no_credit(self) -> list[Action]:
        """A stream cannot be opened."""
        return self._close(SessionCode.DA_YAMN)

    def bored(self) -> list[Action]:
        """The peer takes too long."""
        return self._close(SessionCode.BORED)

    def _expects(self, arrival: Arrival, value: int) -> bool:
        """Whether this value was to come; strikes it off."""
        if self._expected[value]:
            self._expected[value] -= 1
            return True
        if self._openings and arrival is Arrival.UNI and value == (self._value or value) != 0:
            # All batons of a session start with the same value.
            self._openings, self._value = self._openings - 1, value
            return True
        return False

    def _send(self, outlet: Outlet, value: int) -> list[Action]:
        ordinal, self._messages = self._messages, self._messages + 1
        if ordinal in self._lies:
            return [Send(outlet, value, lie=True), *self._complete(after_peer=False)]
        if value == 0:
            return [Send(outlet, value), *self._complete(after_peer=True)]
        self._expected[(value + 1) % 256] += 1
        return [Send(outlet, value)]

    def _complete(self, *, after_peer: bool) -> list[Action]:
        self.active -= 1
        return self._close(None, after_peer=after_peer) if self.active == 0 else []

    def _close(self, code: SessionCode | None, *, after_peer: bool = False) -> list[Action]:
        if self.closed:
            return []
        self.closed = True
        return [Close(code, after_peer)]


class MalformedBaton(ValueError):
    """What was received is not one whole message."""


class BatonParser:
    """Takes a message apart as it arrives; padding is counted, never kept."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._padding: int | None = None
        self._value: int | None = None

    def feed(self, data: bytes) -> None:
        """More bytes.

        Raises:
            MalformedBaton: something follows the message.
        """
        for_head = 0
        while self._padding is None and for_head < len(data):
            self._head.append(data[for_head])
            for_head += 1
            if len(self._head) == 1 << (self._head[0] >> 6):
                self._padding = int.from_bytes(self._head) & ((1 << (8 * len(self._head) - 2)) - 1)
        rest = memoryview(data)[for_head:]
        if self._padding is None:
            return
        skipped = min(self._padding, len(rest))
        self._padding -= skipped
        rest = rest[skipped:]
        if rest and self._value is None:
            self._value = rest[0]
            rest = rest[1:]
        if rest:
            raise MalformedBaton("bytes follow the message")

    def finish(self) -> int:
        """The end; returns the baton.

        Raises:
            MalformedBaton: the message is incomplete.
        """
        if self._value is None:
            raise MalformedBaton("the message is incomplete")
        return self._value


def encode_baton(value: int, padding: int = 0) -> bytes:
    """A message (§ Baton message), its length in the shortest encoding (RFC 9000 §16).

    Raises:
        ValueError: the value is not one byte, or the padding is longer than 2^62-1 bytes.
    """
    for power in range(4):
        bits = (8 << power) - 2
        if 0 <= padding < 1 << bits:
            return ((power << bits) | padding).to_bytes(1 << power) + bytes(padding) + bytes([value])
    raise ValueError(f"{padding} bytes of padding")
