"""Plays operations against a target, session after session on one connection, and judges what comes back.

Operations are only queued; the link is pumped where something is due: at a fence, at an operation that ends
session or connection, and at the end of the session. So many operations share a packet and one wait. What is
due and arrives costs no waiting; what does not arrive is concluded from a fence (``fences`` of the peer), and
by ``patient`` executors, which confirm findings, from a deadline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from conformance.harness.target import Target
from conformance.peer.client import Peer
from conformance.peer.codepoints import Setting, TransportParameter
from conformance.peer.drafts import FACTS, Draft
from conformance.peer.options import ConnectFailed, SessionRefused
from conformance.peer.quic import Address
from conformance.peer.session import Session
from conformance.peer.settings import FlowControl
from conformance.peer.streams import RequestStream
from conformance.peer.varint import read_varint
from fuzz import operations as op
from fuzz.baton import BatonGame
from fuzz.echoes import Echoes
from fuzz.excuses import RequestsBeside, politely_closed
from fuzz.expectations import CLOSED_BY_CAPSULE, IDENTIFIER_FRAMES, Expectation
from fuzz.model import Facts, SessionModel
from fuzz.mutate import play_raw
from fuzz.sending import Sender
from fuzz.violations import Found, TargetGone, Unjudged, Violation
from fuzz.watch import Invariants, await_reaction

if TYPE_CHECKING:
    from fuzz.packets import PacketSender

# A connection is given up after this many events or sessions: its record is kept in memory.
MAX_EVENTS: Final = 60_000
MAX_SESSIONS: Final = 100
KEPT_PACKETS: Final = 32
CLOSE: Final = op.Close()
_GRACEFUL: Final = (op.Close, op.EndConnect)
_SETTINGS: Final[Mapping[str, int]] = {
    "uni": Setting.WT_INITIAL_MAX_STREAMS_UNI,
    "bidi": Setting.WT_INITIAL_MAX_STREAMS_BIDI,
    "data": Setting.WT_INITIAL_MAX_DATA,
}
# Transport parameters that bound what this side may send (RFC 9000 §18.2), and what it needs for itself.
_ROOM: Final[Mapping[str, tuple[int, int]]] = {"uni": (0x09, 6), "bidi": (0x08, 4), "data": (0x07, 1024)}
_EXTENSION: Final = (TransportParameter.RESET_STREAM_AT, TransportParameter.RESET_STREAM_AT_DRAFT07)


class Executor:
    """One client of a target; use ``begin``, ``do`` and ``end``, or ``run`` for a whole script."""

    def __init__(
        self, target: Target, draft: Draft, *, patient: bool = False, frame_events: bool = False
    ) -> None:
        self.target = target
        self.draft = draft
        self.patient = patient
        self.operations = 0
        self.sessions = 0
        self.script: list[op.Operation] = []
        self.peer: Peer | None = None
        self._frame_events = frame_events
        self._sent: deque[bytes] = deque(maxlen=KEPT_PACKETS)
        self._packets: PacketSender | None = None
        self._game: BatonGame | None = None
        self._classes: dict[str, str] = {}
        self._limits: tuple[int, int, int] | None = None
        self._session: Session | None = None
        self._used = 0
        self._spent = False
        self._beside = RequestsBeside(target, draft)

    # --- whole scripts ---

    def run(self, script: Iterable[op.Operation]) -> Found | None:
        """Play a script on a connection of its own; return what it brings to light, and at which step.

        Raises TargetGone and Unjudged.
        """
        self.drop()
        steps = list(script)
        if op.is_raw(steps):
            return self.run_raw(tuple(steps))
        limits = next((item.limits for item in steps if isinstance(item, op.Connect)), None)
        path = next((item.path for item in steps if isinstance(item, op.Establish)), None)
        try:
            self.begin(limits, path)
            for item in steps:
                self.do(item)
            self.end()
        except Found as found:
            self._classify()
            return found
        return None

    def run_raw(self, script: op.Script) -> Found | None:
        """Play a script without a session (``fuzz.mutate``); return how the target did not survive it."""
        self.script = list(script)
        self._classes = {}
        self.operations += op.counted(script)
        violation = play_raw(self.target, self.draft, script)
        return None if violation is None else Found(violation, len(script) - 1)

    def classes(self) -> dict[str, str]:
        """Return what became of the last session, coarsely: by what it concerns."""
        return dict(self._classes)

    # --- one session ---

    def begin(self, limits: tuple[int, int, int] | None = None, path: str | None = None) -> None:
        """Establish a session, on the connection at hand where that will do."""
        if self.peer is None or self.peer.closed is not None or self._limits != limits or self._worn():
            self._connect(limits)
        assert self.peer is not None
        self._classes = {}
        self.script = [op.Connect(limits), op.Establish(path)]
        self._used += 1
        self.sessions += 1
        try:
            self._session = self.target.establish(self.peer, path)
        except SessionRefused as error:
            fresh = self._used == 1
            self.drop()
            if fresh:
                raise TargetGone(f"no session: {error}") from None
            raise Unjudged(f"a session on a used connection was refused: {error}") from None
        self.model = SessionModel(self._facts())
        self._sender = Sender(self.peer, self._session, self.model)
        self._invariants = Invariants(self.peer, self._session, self.model)
        self._echoes = Echoes(self.peer, self._session, self._sender, self.model, self.target.capabilities)

    def do(self, operation: op.Operation) -> None:
        """Play one operation; raises Found where the target violates the model."""
        if isinstance(operation, op.Connect | op.Establish) or not self.model.applies(operation):
            return
        if self.peer is not None and self.peer.closed is not None and self.model.connection_judged:
            # It was closed before: that is no reaction to what would be sent now.
            self._check()
            return
        self.script.append(operation)
        assert self.peer is not None and self._session is not None
        match operation:
            case op.Fence():
                self.settle()
                return
            case op.Delay():
                self.peer.wait(lambda: False, min(operation.milliseconds, 1000) / 1000)
                return
        self.operations += 1
        # The model of identifiers is that of one session, the rule that of the connection.
        self._spent |= isinstance(operation, op.Frame) and operation.type in IDENTIFIER_FRAMES
        graceful = isinstance(operation, _GRACEFUL)
        if graceful and self.model.streams:
            self.settle()
            # Streams may not overtake the end of their session.
            self.peer.wait(self.peer.quic.acked)
        before = self.peer.events.mark()
        was_over = self.model.over
        expectation = self.model.apply(operation)
        match operation:
            case op.Packet():
                self._send_packet(operation)
            case op.Baton() if self._game is None:
                self._game = BatonGame(self.target, self.draft, operation)
            case op.BatonMessage() if self._game is not None:
                self._game.send(operation)
            case _:
                self._sender.send(operation)
        self._remember(operation)
        if expectation.judged:
            self._judge(operation, expectation, before, was_over=was_over)
            if graceful and self.model.over:
                self._judge_orphans(before)
        elif expectation.scope == "connection":
            self._leave()

    def settle(self) -> None:
        """Wait for every echo that is due, then check what must hold in any case."""
        assert self.peer is not None and self._session is not None
        self._check()
        if self.model.open:
            missing = self._echoes.collect(patient=self.patient)
            self._check()
            if missing is not None and self.model.open:
                self._fail(missing)

    def end(self) -> None:
        """Settle, close the session where it is open, and judge that too."""
        assert self.peer is not None
        if self._game is not None:
            self._finish_game(self._game)
        if self.model.open and self.model.connection_judged:
            self._echoes.add_probe()
        self.settle()
        self._classify()
        if self.model.open:
            before = self.peer.events.mark()
            self.model.apply(CLOSE)
            self._sender.send(CLOSE)
            self._judge(CLOSE, CLOSED_BY_CAPSULE, before)
        if not self.model.over or not self.model.connection_judged or self._spent:
            self.drop()
        else:
            self._sender.finish()

    def drop(self) -> None:
        """Close the connection; the next session gets a new one."""
        if self.peer is not None:
            self.peer.close()
        for other in (self._packets, self._game):
            if other is not None:
                other.close()
        self.peer = self._packets = self._game = None
        self._sent.clear()
        self._used = 0
        self._spent = False

    # --- inside ---

    def _connect(self, limits: tuple[int, int, int] | None) -> None:
        self.drop()
        quic = self.target.options.quic
        options = replace(
            self.target.options,
            flow_control=FlowControl(*limits) if limits is not None else None,
            quic={**quic, "frame_events": self._frame_events, "capture": self._capture},
        )
        try:
            self.peer = self.target.connect(self.draft, options)
        except ConnectFailed as error:
            raise TargetGone(f"no connection: {error}") from None
        self._limits = limits

    def _capture(self, time: float, sent: bool, payload: bytes, address: Address) -> None:
        if sent:
            self._sent.append(payload)

    def _send_packet(self, item: op.Packet) -> None:
        from fuzz.packets import PacketSender  # loads Scapy, which takes its time

        assert self.peer is not None
        if self._packets is None:
            self._packets = PacketSender(self.target.opener)
        self._packets.send(item.form, item.seed, self.peer, tuple(self._sent))

    def _finish_game(self, game: BatonGame) -> None:
        violation = game.finish(patient=self.patient)
        game.close()
        self._game = None
        if violation is not None:
            self._fail(violation)

    def _classify(self) -> None:
        assert self.peer is not None and self._session is not None
        ended = self._session.closed_by_peer
        self._classes = {
            "connection": "lives" if self.peer.closed is None else "closed",
            "session": "ended" if ended else "lives",
        }
        if self.peer.closed is None and self.model.open and not ended:
            self._classes |= self._echoes.classes()
        request = self._sender.request
        if isinstance(request, RequestStream) and self.peer.closed is None:
            status = None if request.status is None else f"{request.status // 100}xx"
            self._classes["request"] = status or ("aborted" if request.done else "silence")

    def _worn(self) -> bool:
        assert self.peer is not None
        return len(self.peer.events) > MAX_EVENTS or self._used >= MAX_SESSIONS

    def _facts(self) -> Facts:
        assert self.peer is not None
        settings = self.peer.peer_settings or {}
        parameters = self.peer.quic.peer_transport_parameters
        own = dict(zip(("uni", "bidi", "data"), self._limits or (0, 0, 0), strict=True))
        theirs = {kind: settings.get(number, 0) for kind, number in _SETTINGS.items()}
        facts = FACTS[self.draft]
        both = any(own.values()) and any(theirs.values())
        if facts.flow_control == "sessions":
            # The client's own WT_MAX_SESSIONS is 1, so its side takes initial limits (draft-14 §5.1).
            both = any(own.values()) and (any(theirs.values()) or settings.get(facts.setting, 0) > 1)
        return Facts(
            draft=self.draft,
            flow_control=both and facts.flow_control != "none",
            target_limits=theirs,
            own_limits=own,
            reset_stream_at=any(code in parameters for code in _EXTENSION),
            room={kind: _integer(parameters.get(code)) - spare for kind, (code, spare) in _ROOM.items()},
        )

    def _remember(self, operation: op.Operation) -> None:
        name = getattr(operation, "stream", None)
        stream = self._sender.streams.get(name) if isinstance(name, int) else None
        if stream is None or name is None:
            return
        self._invariants.know(name, stream.id)
        if isinstance(operation, op.Stop):
            self._invariants.stopped(stream.id)

    def _judge(
        self, operation: op.Operation, expectation: Expectation, before: int, *, was_over: bool = False
    ) -> None:
        """Wait for the reaction that is due; where the limit was raised meanwhile, nothing is."""
        assert self.peer is not None and self._session is not None
        stream: int | None = self._session.id
        if expectation.on_request:
            stream = self._sender.request.id if self._sender.request is not None else None
        elif isinstance(operation, op.OpenStream):
            stream = (
                self._sender.streams[operation.stream].id
                if operation.stream in self._sender.streams
                else None
            )
        params = {"code": expectation.code, "stream": stream, "session": self._session.id}
        found: Violation | None = None

        def raised() -> str | None:
            """Tell whether the target raised the limit that was passed, as it may at any time."""
            nonlocal found
            found = found or self._invariants.check()
            below = isinstance(operation, op.Overrun) and not self.model.exceeds(operation.kind)
            return "the target raised its limit meanwhile" if below else None

        violation = await_reaction(
            self.peer,
            self.target,
            expectation,
            params,
            since=before,
            session=self._session,
            patient=self.patient,
            excused=raised,
        )
        excuse = raised()
        if violation is not None:
            if excuse is not None:
                raise Unjudged(excuse)
            if was_over and politely_closed(self.peer):
                raise Unjudged("the target closed the connection after the session, as it may")
            silent = violation.reaction == "silence" and isinstance(operation, op.Request)
            if silent and not self._beside.answered():
                raise Unjudged("the target answers no request beside a session")
            self._fail(violation)
        if found is not None:
            self._fail(found)
        # A reaction that is allowed may have ended the connection, too.
        if expectation.scope == "connection" or self.peer.closed is not None:
            self._leave()

    def _judge_orphans(self, before: int) -> None:
        """The streams of a session that ended are given up with WT_SESSION_GONE (draft-16 §6)."""
        assert self.peer is not None and self._session is not None
        groups: Mapping[str, Callable[[bool], bool]] = {
            "session-gone-stop": lambda bidi: True,
            "session-gone-reset": lambda bidi: bidi,
        }
        rows = {"session-gone-stop": "WT-6-02", "session-gone-reset": "WT-6-01"}
        for set_name, wanted in groups.items():
            streams = [
                self._sender.streams[name].id
                for name, state in self.model.streams.items()
                if state.judged and not state.ended and wanted(state.bidi)
            ]
            if not streams:
                continue
            violation = await_reaction(
                self.peer,
                self.target,
                Expectation(rows[set_name], set_name, None, "session"),
                {"streams": streams},
                since=before,
                session=None,
                patient=self.patient,
            )
            if violation is not None:
                self._fail(violation)

    def _check(self) -> None:
        assert self.peer is not None and self._session is not None
        if self.peer.closed is not None and self.peer.closed.by == "local":
            raise Unjudged(f"the peer's own engine closed the connection: {self.peer.closed.reason}")
        found = self._invariants.check() or self._still_there()
        if found is None and self._packets is not None:
            found = self._packets.check()
        if found is not None:
            self._fail(found)

    def _still_there(self) -> Violation | None:
        """The connection lives, and so does the session, unless something sent may have ended them."""
        assert self.peer is not None and self._session is not None
        closed = self.peer.closed
        if closed is not None and self.model.connection_judged:
            if politely_closed(self.peer):
                if self.model.open:
                    raise Unjudged("the target closed the connection without an error, as it may")
                self._leave()
                return None
            if closed.by in ("idle", "stateless_reset"):
                return Violation("hang", "connection-lost", closed.by, "the connection fell silent")
            reaction = f"connection_closed {closed.error_code:#x}"
            text = f"the connection was closed without reason: {closed.error_code:#x} {closed.reason!r}"
            return Violation("model", "connection-lives", reaction, text)
        session = self._session
        if not self.model.open or not session.closed_by_peer:
            return None
        event = session.reset_event or session.stop_event
        reaction = f"session_ended {event.error_code:#x}" if event is not None else "session_ended"
        return Violation("model", "session-lives", reaction, f"the session ended without reason ({reaction})")

    def _leave(self) -> None:
        """Nothing can be concluded from this connection any more: the next session gets another one."""
        self.model.open = self.model.connection_judged = False

    def _fail(self, violation: Violation) -> None:
        step = len(self.script) - 1
        raise Found(violation, step)


def _integer(value: bytes | None) -> int:
    found = read_varint(value) if value else None
    return 0 if found is None else found[0]
