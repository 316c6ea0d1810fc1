"""The checker: judges the moves of the other side of a session against the machine of its role.

A machine runs in the place of the target and is told everything that this side sends. What it would do is
owed by the target; what the target does is struck off, in any order. Where the draft leaves something open
(``READINGS``) the target may follow any reading. Absence is judged only by :meth:`Checker.finish`, when the
caller knows that the target has had its time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from conformance.peer.baton.codes import SessionError, StreamError
from conformance.peer.baton.machine import BatonMachine, Options, Role, Stream
from conformance.peer.baton.message import MessageReader, read_message
from conformance.peer.baton.moves import CloseSession, Move, OpenStream, Reply, ResetStream, SendDatagram
from conformance.peer.baton.query import Parameters

# Which row of the catalogue a close with this code is judged by.
CLOSE_ROWS: Final = {
    None: "DB-4.5-01",
    SessionError.DA_YAMN: "DB-4.2-06",
    SessionError.BRUH: "DB-4.6-01",
    SessionError.SUS: "DB-4.2-05",
    SessionError.BORED: "DB-4.6-05",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken requirement: its row in the catalogue and what was seen."""

    requirement: str
    text: str


@dataclass(slots=True, eq=False)
class _Observed:
    """One stream, with what the target did on it; ``model`` is its stand-in once it is known."""

    bidirectional: bool
    by_target: bool
    model: Stream | None = None
    reader: MessageReader = field(default_factory=MessageReader)
    finished: bool = False
    reset: bool = False
    asked: bool = False  # this side stopped or reset it, so that WHATEVER is in order


@dataclass(slots=True, eq=False)
class _Owed:
    """A move that is owed because of something this side sent on the stream ``cause``."""

    move: Move
    cause: Hashable = None
    required: bool = True


class Checker:
    """Judges one session.

    Args:
        target: the role of the side that is judged.
        parameters: what the session request asked for.

    Streams are named by any hashable key, for example their QUIC stream id. ``violations`` grows as the
    target moves; each has the requirement that it breaks.
    """

    def __init__(self, target: Role, parameters: Parameters) -> None:
        self.target = target
        self.violations: list[Violation] = []
        self.closed = False
        self._model = BatonMachine(target, parameters, Options(unexpected_value="continue"))
        self._streams: dict[Hashable, _Observed] = {}
        self._owed: list[_Owed] = []
        self._required_close: CloseSession | None = None
        self._allowed_codes = {SessionError.BORED}
        # Batons that some reading counts as over, and messages that a reset excuses, by kind of stream.
        self._maybe_over = 0
        self._clean_close_with = 0
        self._excused: Counter[bool] = Counter()
        self._openings = parameters.count if target is Role.SERVER else 0
        if self._openings and parameters.baton is not None:
            self._openings = 0
            self._owe(self._model.start())

    # --- what this side did ---

    def we_opened(self, key: Hashable, *, bidirectional: bool) -> None:
        """This side opened a stream."""
        model, _ = self._model.accept(bidirectional=bidirectional)
        self._streams[key] = _Observed(bidirectional, by_target=False, model=model)

    def we_sent(self, key: Hashable, data: bytes, *, end_stream: bool) -> None:
        """This side sent bytes on a stream."""
        model = self._streams[key].model
        if model is not None:
            self._owe(self._model.receive(model, data, end_stream=end_stream), key)
            if model.reader.trailing:
                self._allowed_codes |= {SessionError.BRUH, SessionError.SUS}
            if self._model.surprises:
                self._allowed_codes.add(SessionError.SUS)

    def we_reset(self, key: Hashable) -> None:
        """This side reset its direction of a stream."""
        stream = self._streams[key]
        stream.asked = True
        if stream.model is not None:
            self._owe(self._model.reset(stream.model), key)

    def we_stopped(self, key: Hashable) -> None:
        """This side sent STOP_SENDING."""
        stream = self._streams[key]
        stream.asked = True
        if stream.model is not None and not stream.by_target:
            self._owe(self._model.stopped(stream.model), key)
        else:
            self._maybe_over += 1

    def we_sent_datagram(self, data: bytes) -> None:
        """This side sent a datagram."""
        self._owe(self._model.datagram(data))

    def we_closed(self) -> None:
        """This side ended the session: nothing is owed any more."""
        self._model.peer_closed()
        self.closed = True

    def we_grant_no_stream(self) -> None:
        """The target cannot open the stream that it has to open: DA_YAMN is due (§4.1, §4.2)."""
        self._owe(self._model.no_credit())

    # --- what the target did ---

    def opened(self, key: Hashable, *, bidirectional: bool) -> None:
        """The target opened a stream."""
        self._streams[key] = _Observed(bidirectional, by_target=True)

    def received(self, key: Hashable, data: bytes, *, end_stream: bool) -> None:
        """Bytes of the target arrived on a stream."""
        stream = self._streams[key]
        message = stream.reader.feed(data)
        stream.finished = end_stream
        if message is not None:
            self._match(stream, message.value)
        elif end_stream and stream.reader.message is None and not self._may_end_empty(stream):
            self._violate(
                "DB-4.3-01", f"a stream ended after {stream.reader.received} bytes without a message"
            )

    def was_reset(self, key: Hashable, code: int | None) -> None:
        """The target reset its direction; ``code`` is None where it is no application code."""
        stream = self._streams[key]
        stream.reset = True
        if stream.reader.message is None:
            self._maybe_over += 1
            self._excused[stream.bidirectional] += 1
        wanted = {StreamError.WHATEVER} if stream.asked else {StreamError.I_LIED}
        owed = self._strike(lambda move: isinstance(move, ResetStream) and move.stream is stream.model)
        if stream.asked and owed is None:
            wanted |= {StreamError.I_LIED}  # it may have crossed this side's stop or reset
        if code is not None and code not in wanted:
            row = "DB-4.6-03" if owed is not None else "DB-4.6-04"
            names = " or ".join(each.name for each in sorted(wanted))
            self._violate(row, f"a stream was reset with {code:#x} instead of {names}")

    def was_stopped(self, key: Hashable, code: int | None) -> None:
        """The target sent STOP_SENDING; ``code`` as in :meth:`was_reset`."""
        stream = self._streams[key]
        if code is not None and code != StreamError.IDC:
            self._violate("DB-4.6-02", f"a stream was stopped with {code:#x} instead of IDC")
        self._maybe_over += 1
        if stream.model is None:
            return
        # What it does not care about, it need not answer. Where the answer was already struck off, it was
        # that of another stream with the same value, and one of these is excused.
        stream.model.over = True
        answers = [owed for owed in self._owed if owed.cause == key]
        for owed in answers:
            owed.required = False
        if not answers:
            self._excused[not stream.by_target] += 1

    def received_datagram(self, data: bytes) -> None:
        """A datagram of the target arrived."""
        message = read_message(data).message
        if message is None:
            self._violate("DB-4.4-01", f"a datagram of {len(data)} bytes holds no complete message")
            return
        wanted = message.value
        owed = self._strike(lambda move: isinstance(move, SendDatagram) and move.value == wanted)
        if owed is not None or self._required_close is not None:
            return
        row = "DB-4.4-03" if self.target is Role.SERVER else "DB-4.4-02"
        self._violate(row, f"a datagram with value {message.value} that nothing asked for")

    def was_closed(self, code: int | None) -> None:
        """The target ended the session: None by FIN, else the code of its close message (0: no error)."""
        if self.closed:
            return
        self._judge_close(code)
        self.closed = True

    # --- the end ---

    def outstanding(self) -> list[Violation]:
        """Return what the target still owes, as the violations that will be; datagrams may get lost."""
        result = [
            Violation("DB-4.2-02", "a message was not followed by FIN")
            for stream in self._streams.values()
            if stream.reader.message is not None and not (stream.finished or stream.reset or self.closed)
        ]
        if self._required_close is not None:
            if not self.closed:
                code = self._required_close.code
                result.append(Violation(CLOSE_ROWS[code], f"the session was not closed {_close_name(code)}"))
            return result
        if self._clean_close_with > self._maybe_over:
            text = f"closed without error, {self._clean_close_with} batons are active"
            result.append(Violation(CLOSE_ROWS[None], text))
        if self.closed:
            return result
        excused = self._excused.copy()
        missing = self._openings - excused[False]
        if missing > 0:
            result.append(Violation("DB-4.1-01", f"{missing} initial messages are missing"))
        for move in (owed.move for owed in self._owed if owed.required):
            match move:
                case OpenStream() | Reply():
                    if excused[move.stream.bidirectional] > 0:
                        excused[move.stream.bidirectional] -= 1
                        continue
                    kind = "bidirectional" if move.stream.bidirectional else "unidirectional"
                    result.append(
                        Violation("DB-4.2-01", f"no message with value {move.value} on a {kind} stream")
                    )
                case ResetStream():
                    result.append(Violation("DB-4.6-03", "a stopped or reset stream was not reset"))
        return result

    def finish(self) -> list[Violation]:
        """Return all violations once the target has had its time for everything."""
        return self.violations + self.outstanding()

    # --- inside ---

    def _judge_close(self, code: int | None) -> None:
        try:
            meaning = SessionError(code) if code else None
        except ValueError:
            self._violate("DB-4.5-02", f"the session was closed with the undefined code {code:#x}")
            return
        required = self._required_close
        if required is not None:
            # What was due for another message, by a freedom of the text, may have come first.
            if meaning is not required.code and meaning not in self._allowed_codes - {SessionError.BORED}:
                text = (
                    f"the session was closed {_close_name(meaning)} instead of {_close_name(required.code)}"
                )
                self._violate(CLOSE_ROWS[required.code], text)
        elif meaning is None:
            # Judged at the end: a stop or reset that excuses it may still be on its way.
            self._clean_close_with = self._model.active
        elif meaning not in self._allowed_codes:
            self._violate(
                CLOSE_ROWS[meaning], f"the session was closed {_close_name(meaning)} without reason"
            )

    def _owe(self, moves: list[Move], cause: Hashable = None) -> None:
        for move in moves:
            if not isinstance(move, CloseSession):
                self._owed.append(_Owed(move, cause))
            elif move.code is not None or self._model.zeros_sent == 0:
                self._required_close = move

    def _strike(self, fits: Callable[[Move], bool]) -> Move | None:
        """Strike off and return an owed move that fits, a required one where there is a choice."""
        fitting = [owed for owed in self._owed if fits(owed.move)]
        if not fitting:
            return None
        chosen = max(fitting, key=lambda owed: owed.required)
        self._owed.remove(chosen)
        return chosen.move

    def _match(self, stream: _Observed, value: int) -> None:
        """Strike off the message that the target has just completed."""
        owed = self._strike(lambda move: self._is(move, stream, value))
        if owed is None and self._openings and stream.by_target and not stream.bidirectional and value:
            self._openings -= 1
            owed = self._model.opening(value)[0]
        if isinstance(owed, OpenStream | Reply):
            stream.model = owed.stream
        else:
            self._explain(value)

    @staticmethod
    def _is(move: Move, stream: _Observed, value: int) -> bool:
        if isinstance(move, OpenStream):
            same = stream.by_target and move.stream.bidirectional == stream.bidirectional
            return same and move.value == value
        return isinstance(move, Reply) and move.stream is stream.model and move.value == value

    def _explain(self, value: int) -> None:
        if self._required_close is not None:
            # Streams overtake each other: this may answer something that was sent after the fatal message.
            return
        owed = [each.move for each in self._owed if isinstance(each.move, OpenStream | Reply)]
        if any(move.value == value for move in owed):
            self._violate("DB-4.2-03", f"the message with value {value} came on the wrong kind of stream")
        elif owed or self._openings:
            values = ", ".join(str(move.value) for move in owed) or "1 to 255"
            self._violate("DB-4.2-01", f"a message with value {value}, expected {values}")
        else:
            self._violate("DB-4.2-01", f"a message with value {value} that nothing asked for")

    def _may_end_empty(self, stream: _Observed) -> bool:
        """After a 0 no reply is due: the target may finish its direction, or leave it (not said in §4.2)."""
        model = stream.model
        if stream.by_target or model is None or stream.reader.received:
            return False
        received = model.reader.message
        return received is not None and received.value == 0

    def _violate(self, requirement: str, text: str) -> None:
        """Note a violation; once the session is closed, what arrives late proves nothing."""
        if not self.closed:
            self.violations.append(Violation(requirement, text))


def _close_name(code: SessionError | None) -> str:
    return "without error" if code is None else f"with {code.name}"
