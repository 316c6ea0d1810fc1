"""The state machine of one Devious Baton session, for either role.

Where a message arrived decides where the next one goes (§4.2)::

    arrived on                        | goes out on
    ----------------------------------|------------------------------
    a unidirectional stream           | a new bidirectional stream
    a bidirectional stream of the peer| that stream
    an own bidirectional stream       | a new unidirectional stream

A baton of value v thus travels uni, bidi, reply, uni, … until it is 0. The driver reports what happened on
the session and carries out the moves that each method returns; after a :class:`CloseSession` or the peer's
close, every method returns nothing.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Final

from conformance.peer.baton.codes import SessionError, StreamError
from conformance.peer.baton.message import VALUES, Message, MessageReader, encode_message, read_message
from conformance.peer.baton.moves import (
    CloseSession,
    Move,
    OpenStream,
    Reply,
    ResetStream,
    SendDatagram,
    StopStream,
)
from conformance.peer.baton.query import Parameters
from conformance.peer.baton.readings import READINGS

# §4.4: the remainder modulo 7 of the values for which each role sends a datagram.
DATAGRAM_MODULUS: Final = 7


class Role(Enum):
    """The two ends of a session; the value is the remainder for which that end sends a datagram."""

    SERVER = 0
    CLIENT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How this machine uses its freedom: one behaviour of each set of ``READINGS``, padding, test switches.

    ``padding`` gives the number of padding bytes for the message with a value; a datagram that would exceed
    ``max_datagram`` bytes goes without padding. Messages with an ordinal (from 0) in ``lies`` are cut
    and reset with I_LIED, streams of the peer with an ordinal in ``disinterest`` are stopped with IDC.
    ValueError for an unknown behaviour.
    """

    zero_sent: str = "wait"
    zero_datagram: str = "send"
    datagram_padding: str = "identical"
    trailing_bytes: str = "ignore"
    unexpected_value: str = "sus"
    stop_after_close: str = "ends"
    padding: Callable[[int], int] = lambda value: 0
    max_datagram: int = 1000
    lies: frozenset[int] = frozenset()
    disinterest: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Check the names."""
        for each in fields(self):
            if each.name in READINGS and getattr(self, each.name) not in READINGS[each.name]:
                raise ValueError(f"{each.name} is one of {sorted(READINGS[each.name])}")


@dataclass(slots=True, eq=False)
class Stream:
    """One stream as the machine sees it; the driver knows which QUIC stream it is.

    ``awaited`` is the value that the peer has to send on it (own bidirectional streams only).
    """

    bidirectional: bool
    own: bool
    reader: MessageReader = field(default_factory=MessageReader)
    awaited: int | None = None
    send_closed: bool = False
    receive_closed: bool = False
    over: bool = False  # the baton on it has been given up: what still arrives does not count


class BatonMachine:
    """One end of a session.

    Args:
        role: which end.
        parameters: what the session request asked for.
        options: choices that the draft leaves open, and test switches.
        chance: chooses the initial value where the request names none.
    """

    def __init__(
        self,
        role: Role,
        parameters: Parameters,
        options: Options | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.role = role
        self.parameters = parameters
        self.options = options or Options()
        self.active = parameters.count
        self.closed = False
        self._chance = chance or random.Random()
        # Values that the peer may send on new streams, each with the number of batons that it would be.
        self._expected: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
        self._openings = parameters.count if role is Role.CLIENT else 0
        # Unexpected values that were accepted, and zeros that this end sent: a checker asks for them.
        self.surprises = 0
        self.zeros_sent = 0
        self._messages = 0
        self._accepted = 0

    # --- what the driver reports ---

    def start(self) -> list[Move]:
        """The session is established: a server sends the initial messages (§4.1)."""
        if self.role is Role.CLIENT:
            return []
        value = self.parameters.baton or self._chance.randint(1, VALUES - 1)
        return [move for _ in range(self.parameters.count) for move in self.opening(value)]

    def opening(self, value: int) -> list[Move]:
        """Send one initial message (§4.1); :meth:`start` does it for all batons."""
        return self._open(value, bidirectional=False)

    def accept(self, *, bidirectional: bool) -> tuple[Stream, list[Move]]:
        """The peer opened a stream; use the stream returned to report what happens on it."""
        stream = Stream(bidirectional, own=False, send_closed=not bidirectional)
        ordinal, self._accepted = self._accepted, self._accepted + 1
        return stream, self.lose_interest(stream) if ordinal in self.options.disinterest else []

    def receive(self, stream: Stream, data: bytes, *, end_stream: bool) -> list[Move]:
        """Bytes of a stream, or its end, arrived."""
        if self.closed or stream.receive_closed:
            return []
        stream.receive_closed = end_stream
        if stream.over:
            return []
        message = stream.reader.feed(data)
        if stream.reader.trailing and self.options.trailing_bytes != "ignore":
            return self._fail(SessionError[self.options.trailing_bytes.upper()])
        if message is not None:
            return self._process(message, stream)
        if end_stream and stream.reader.message is None and not self._nothing_due(stream):
            return self._fail(SessionError.BRUH)
        return []

    def reset(self, stream: Stream) -> list[Move]:
        """The peer reset its direction of a stream (§4.5, §4.6)."""
        if self.closed or stream.receive_closed:
            return []
        stream.receive_closed = True
        moves: list[Move] = []
        if stream.bidirectional and not stream.send_closed:
            moves.append(self._reset(stream, StreamError.WHATEVER))
        if stream.reader.message is None and not self._nothing_due(stream):
            moves += self._end_baton(stream)
        return moves

    def stopped(self, stream: Stream, *, unsent: bool = False) -> list[Move]:
        """The peer sent STOP_SENDING for this end's direction of a stream (§4.6).

        ``unsent`` tells that flow control still holds back a part of the message.
        """
        if self.closed:
            return []
        if unsent or not stream.send_closed:
            return [self._reset(stream, StreamError.WHATEVER), *self._end_baton(stream)]
        if self.options.stop_after_close == "ends" and stream.own and stream.reader.message is None:
            return self._end_baton(stream)
        return []

    def datagram(self, data: bytes) -> list[Move]:
        """A datagram arrived: nothing answers it, but it has to be a message (§4.6)."""
        if self.closed:
            return []
        return [] if read_message(data).message is not None else self._fail(SessionError.BRUH)

    def peer_closed(self) -> None:
        """The peer ended the session, or the connection is gone."""
        self.closed = True

    def no_credit(self) -> list[Move]:
        """An opened stream of :class:`OpenStream` exceeds the stream credit (§4.1, §4.2)."""
        return self._fail(SessionError.DA_YAMN)

    def tired(self) -> list[Move]:
        """Nothing came for too long (§4.2, §4.6); without active batons this is the normal end."""
        return self._fail(SessionError.BORED if self.active else None)

    def lose_interest(self, stream: Stream) -> list[Move]:
        """Stop a stream (IDC) on which a message is still due, which gives up its baton."""
        if self.closed or stream.receive_closed or stream.reader.message is not None:
            return []
        return [StopStream(stream), *self._end_baton(stream)]

    # --- inside ---

    def _process(self, message: Message, stream: Stream) -> list[Move]:
        """Process a message (§4.2), and send the datagram where one is due (§4.4)."""
        if not self._expects(message.value, stream):
            if self.options.unexpected_value == "sus":
                return self._fail(SessionError.SUS)
            self.surprises += 1
        moves = self._datagrams(message)
        if message.value == 0:
            return moves + self._end_baton(stream)
        value = (message.value + 1) % VALUES
        if stream.bidirectional and not stream.own:
            return moves + self._reply(stream, value)
        return moves + self._open(value, bidirectional=not stream.bidirectional)

    def _reply(self, stream: Stream, value: int) -> list[Move]:
        data, finish = self._compose(value)
        stream.send_closed = True
        if finish:
            self._expect(value, bidirectional=False)
        return [Reply(stream, value, data, finish), *self._after_sending(stream, value, finish)]

    def _open(self, value: int, *, bidirectional: bool) -> list[Move]:
        data, finish = self._compose(value)
        stream = Stream(bidirectional, own=True, send_closed=True, receive_closed=not bidirectional)
        if bidirectional:
            stream.awaited = None if value == 0 else (value + 1) % VALUES
        elif finish:
            self._expect(value, bidirectional=True)
        return [OpenStream(stream, value, data, finish), *self._after_sending(stream, value, finish)]

    def _compose(self, value: int) -> tuple[bytes, bool]:
        """Return the bytes of the next message and whether they are all of it."""
        data = encode_message(value, bytes(self.options.padding(value)))
        ordinal, self._messages = self._messages, self._messages + 1
        return (data[:-1], False) if ordinal in self.options.lies else (data, True)

    def _after_sending(self, stream: Stream, value: int, finish: bool) -> list[Move]:
        if not finish:
            return [self._reset(stream, StreamError.I_LIED), *self._end_baton(stream)]
        if value != 0:
            return []
        # Sending 0 completes an exchange as receiving it does; who closes is a matter of reading.
        self.zeros_sent += 1
        self.active = max(self.active - 1, 0)
        return self._finish() if self.options.zero_sent == "close" else []

    def _end_baton(self, stream: Stream) -> list[Move]:
        """One baton is over: completed or reset (§4.5)."""
        if stream.over:
            return []
        stream.over = True
        self.active = max(self.active - 1, 0)
        return self._finish()

    def _finish(self) -> list[Move]:
        return [] if self.active else self._fail(None)

    def _fail(self, code: SessionError | None) -> list[Move]:
        if self.closed:
            return []
        self.closed = True
        return [CloseSession(code)]

    def _reset(self, stream: Stream, code: StreamError) -> Move:
        stream.send_closed = True
        return ResetStream(stream, code)

    def _nothing_due(self, stream: Stream) -> bool:
        """Tell whether a 0 went out on this own stream, so that no message comes back."""
        return stream.own and stream.awaited is None and stream.reader.received == 0

    def _expect(self, sent: int, *, bidirectional: bool) -> None:
        """Note which value the peer will send on a new stream, having received ``sent``."""
        if sent != 0:
            self._expected[bidirectional][(sent + 1) % VALUES] += 1

    def _expects(self, value: int, stream: Stream) -> bool:
        """Tell whether a value was to come on this stream, and strike it off."""
        if stream.own:
            return value == stream.awaited
        expected = self._expected[stream.bidirectional]
        if expected[value] > 0:
            expected[value] -= 1
            return True
        if not stream.bidirectional and self._openings and value == (self.parameters.baton or value or None):
            self._openings -= 1
            return True
        return False

    def _datagrams(self, message: Message) -> list[Move]:
        """Return the datagram that a received value asks for (§4.4)."""
        if message.value % DATAGRAM_MODULUS != self.role.value:
            return []
        if message.value == 0 and self.options.zero_datagram == "silent":
            return []
        data = encode_message(message.value)
        if (
            self.options.datagram_padding == "identical"
            and message.padding_length < self.options.max_datagram
        ):
            padded = encode_message(message.value, bytes(message.padding_length))
            data = padded if len(padded) <= self.options.max_datagram else data
        return [SendDatagram(message.value, data)]
