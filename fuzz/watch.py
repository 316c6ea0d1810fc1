"""Watching a connection: expected reactions by their sets, and what must never happen in any session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from conformance.harness.target import Target
from conformance.peer.capsules import parse_close, parse_limit
from conformance.peer.client import Peer
from conformance.peer.codepoints import MAX_CLOSE_MESSAGE, CapsuleType
from conformance.peer.drafts import Draft
from conformance.peer.events import (
    Capsule,
    ConnectionClosed,
    DatagramFrame,
    FieldSection,
    Goaway,
    Malformed,
    QuicFrame,
    QuicPacket,
    StopSending,
    StreamData,
    StreamReset,
    WireEvent,
    WtDatagram,
    WtStream,
)
from conformance.peer.session import Session
from conformance.peer.wtheaders import is_server_initiated, is_unidirectional
from conformance.requirements import by_id
from fuzz.expectations import Expectation
from fuzz.model import SessionModel
from fuzz.violations import Unjudged, Violation
from reports.judgement import (
    ExpectRecord,
    codes,
    judge_record,
    more_needed,
    reaction_set,
    reactions_of,
)
from reports.verdict import Verdict

# Time for a reaction that is as fast as an echo, before a fence is tried; the fence decides.
QUICK: Final = 0.02
# Time for a reaction before it is missing for good; or so many round trips.
PATIENT: Final = 2.0
ROUND_TRIPS: Final = 20
MAX_EVENTS: Final = 200

_REACTIONS = (
    ConnectionClosed, StreamData, StreamReset, StopSending, FieldSection, Goaway, Capsule, WtDatagram,
)  # fmt: skip
_ACCUSATIONS: Final = codes.ERRORS - codes.BENIGN
_LIMITS: Final[Mapping[int, str]] = {
    CapsuleType.WT_MAX_STREAMS_UNI: "uni",
    CapsuleType.WT_MAX_STREAMS_BIDI: "bidi",
    CapsuleType.WT_MAX_DATA: "data",
}


def softened(requirement: str, target: Target, draft: Draft) -> str | None:
    """Say why a row is not judged in this draft, None where it is."""
    row = by_id(requirement)
    if draft.value not in row.drafts:
        return f"{requirement} is no rule of draft {draft.value}"
    declared = target.declared_draft
    if row.not_in and (declared is None or f"{declared:02}" in row.not_in):
        return "the target's exact draft is not declared"
    return None


def await_reaction(
    peer: Peer,
    target: Target,
    expectation: Expectation,
    params: Mapping[str, Any],
    *,
    since: int,
    session: Session | None,
    patient: bool,
    excused: Callable[[], str | None] = lambda: None,
) -> Violation | None:
    """Wait for a reaction that is due and judge it; None where it is allowed.

    Impatient, its absence is concluded from a fence; ``patient`` from the deadline. ``excused`` says why
    none is due any more, None while one is: without a reaction that ends the wait with Unjudged.
    """
    chosen = reaction_set(expectation.set_name)
    bound = {
        name: params[name] for name in (*chosen.params, *chosen.optional) if params.get(name) is not None
    }
    seen: list[dict[str, Any]] = []
    position = since

    def decided() -> bool:
        nonlocal position
        fresh = peer.events.since(position)
        position += len(fresh)
        for event in fresh:
            if isinstance(event, _REACTIONS) and (not event.sent or isinstance(event, ConnectionClosed)):
                value = event.as_json()
                if len(seen) < MAX_EVENTS and reactions_of([value]):
                    seen.append(value)
        return peer.closed is not None or not more_needed(expectation.set_name, bound, seen)

    window = max(PATIENT, ROUND_TRIPS * peer.rtt) if patient else max(QUICK, 4 * peer.rtt)
    ended: Literal["event", "deadline", "fence"] = "event"
    if not peer.wait(lambda: decided() or excused() is not None, window):
        # Where the session is to end without fault, it need not answer any more.
        alive = session is not None and not session.closed_by_peer and chosen.name != "session-closed"
        held = peer.fence(session if alive else None, echo=alive and target.capabilities.echo_bidi).held
        ended = "fence" if held or not patient else "deadline"
        if decided():
            ended = "event"
    excuse = excused()
    if excuse is not None and not decided():
        raise Unjudged(excuse)
    row = by_id(expectation.requirement)
    record = ExpectRecord(
        requirement=expectation.requirement,
        level=row.level.value,
        set_name=expectation.set_name,
        set_version=chosen.version,
        params=bound,
        window_s=window,
        ended_by=ended,
        events=tuple(seen),
        limit=row.limit.value,
        soft=softened(expectation.requirement, target, peer.draft),
    )
    grade = judge_record(record)
    if grade.verdict is Verdict.INCONCLUSIVE:
        raise Unjudged(grade.sentence)
    if grade.verdict is not Verdict.FAIL:
        return None
    reaction = "silence" if grade.clause in ("fence", "deadline") else grade.reaction
    return Violation("model", expectation.requirement, reaction, f"{row.text} {grade.sentence}")


class Invariants:
    """What holds in every session, whatever the client does; fed with the events of the connection."""

    def __init__(self, peer: Peer, session: Session, model: SessionModel) -> None:
        self._peer = peer
        self._session = session
        self._model = model
        self._position = peer.events.mark()
        self._limits: dict[int, int] = {}
        self._opened = {"uni": 0, "bidi": 0}
        self._body = 0
        self._stopped: set[int] = set()
        self._names: dict[int, int] = {}

    def know(self, name: int, stream_id: int) -> None:
        """Note the QUIC ID of a stream of the script."""
        self._names[stream_id] = name

    def stopped(self, stream_id: int) -> None:
        """Note that this side asked the target to stop sending."""
        self._stopped.add(stream_id)

    def check(self) -> Violation | None:
        """Look at what arrived since the last time; return the first violation."""
        fresh = self._peer.events.since(self._position)
        self._position += len(fresh)
        for event in fresh:
            if event.sent or isinstance(event, StreamData | DatagramFrame | QuicPacket | QuicFrame):
                continue
            violation = self._event(event)
            if violation is not None:
                return violation
        return self._usage()

    def _event(self, event: WireEvent) -> Violation | None:
        match event:
            case Malformed():
                return Violation(
                    "model", "malformed", event.problem, f"the target sent garbage: {event.problem}"
                )
            case Capsule() if event.stream_id == self._session.id:
                return self._capsule(event)
            case StreamReset():
                return self._reset(event)
            case StopSending():
                return self._accusation(event.stream_id, event.error_code, "stopped")
            case WtStream():
                return self._stream(event)
            case WtDatagram():
                return self._datagram(event)
        return None

    def _reset(self, event: StreamReset) -> Violation | None:
        found = self._accusation(event.stream_id, event.error_code, "reset")
        if found is not None:
            return found
        own = is_server_initiated(event.stream_id)
        # Only a direction that begins with a header needs a reliable size; for answers to STOP_SENDING and
        # for ended sessions the texts contradict each other (AMB-04).
        plain = event.reliable_size is None and own and event.stream_id not in self._stopped
        needed = self._model.rules.reset_stream_at and self._model.facts.reset_stream_at
        if plain and needed and self._model.open:
            text = "a stream of the target was reset with RESET_STREAM, not RESET_STREAM_AT"
            return Violation("model", "WT-4.4-03", "RESET_STREAM", text)
        return None

    def _accusation(self, stream_id: int, code: int, verb: str) -> Violation | None:
        name = self._names.get(stream_id)
        stream = None if name is None else self._model.streams.get(name)
        if stream is None or not stream.judged or not self._model.open or code not in _ACCUSATIONS:
            return None
        text = f"a stream without fault was {verb} with {codes.describe(code)}"
        return Violation("model", f"stream-{verb}", f"{code:#x}", text)

    def _stream(self, event: WtStream) -> Violation | None:
        if event.session_id not in self._peer.sessions:
            text = f"the target opened a stream of session {event.session_id}, which does not exist"
            return Violation("model", "WT-4-06" if not event.bidirectional else "WT-4-07", "stream", text)
        if event.session_id == self._session.id:
            self._opened["bidi" if event.bidirectional else "uni"] += 1
        return None

    def _datagram(self, event: WtDatagram) -> Violation | None:
        stream_id = 4 * event.quarter_stream_id
        if stream_id not in self._peer.sessions:
            text = f"the target sent a datagram of stream {stream_id}, which is no session"
            return Violation("model", "HD-2.1-01", "datagram", text)
        if stream_id != self._session.id or not self._model.connection_judged:
            return None
        if self._model.datagrams and not any(event.payload.endswith(item) for item in self._model.datagrams):
            return Violation("model", "WT-4.5-01", "payload", "a datagram came back with another payload")
        return None

    def _capsule(self, event: Capsule) -> Violation | None:
        kind = _LIMITS.get(event.capsule_type)
        if kind is not None and event.capsule_type in self._model.rules.capsules:
            return self._limit(kind, event)
        if event.capsule_type == CapsuleType.WT_CLOSE_SESSION:
            message = parse_close(event.value)
            if message is None or len(message.message) > MAX_CLOSE_MESSAGE or message.text is None:
                return Violation("model", "WT-6-11", "capsule", "the target sent an invalid close capsule")
        if event.capsule_type == CapsuleType.WT_DRAIN_SESSION and event.value:
            return Violation("model", "WT-4.7-07", "capsule", "the target sent a drain capsule with a value")
        return None

    def _limit(self, kind: str, event: Capsule) -> Violation | None:
        value = parse_limit(event.value)
        if value is None or (kind != "data" and value > 1 << 60):
            return Violation("model", "WT-5.6.2-13", "capsule", f"the target sent an invalid limit ({kind})")
        previous = self._limits.get(event.capsule_type, -1)
        smaller = value < previous or (value == previous and self._model.rules.equal_limit_is_error)
        self._limits[event.capsule_type] = value
        self._model.limit_raised(kind, value)
        if smaller:
            rule = "WT-5.6.2-09" if kind != "data" else "WT-5.6.4-03"
            return Violation("model", rule, "capsule", f"the target did not raise its limit ({kind})")
        return None

    def _usage(self) -> Violation | None:
        """Compare what the target used with this side's limits (draft-16 §5.6.2, §5.6.4)."""
        model = self._model
        if not model.facts.flow_control or not model.open:
            return None
        body = sum(self._body_of(stream_id) for stream_id in list(self._names))
        body += sum(
            stream.received_length - (stream.wt_header.header_length if stream.wt_header else 0)
            for stream in self._session.incoming
        )
        used = {**self._opened, "data": body}
        rows = {"uni": "WT-5.6.2-04", "bidi": "WT-5.6.2-05", "data": "WT-5.6.4-01"}
        for kind, amount in used.items():
            if amount > model.own_limits.get(kind, 0):
                text = f"the target used {amount} of {model.own_limits.get(kind, 0)} ({kind})"
                return Violation("model", rows[kind], "exceeded", text)
        return None

    def _body_of(self, stream_id: int) -> int:
        stream = self._peer.streams.get(stream_id)
        return 0 if stream is None or is_unidirectional(stream_id) else stream.received_length
