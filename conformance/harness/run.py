"""What a case sees: connections to the target, the one varied field, and the records it leaves.

A negative case runs twice. In the positive twin :meth:`Run.vary` hands out the good value and
:meth:`Run.expect` demands that the target lives with it; in the run that is judged ``vary`` hands out
the bad value. So twin and case differ in exactly the field under test, by construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Literal, TypeAlias, TypeVar, cast

from conformance.harness.case import Case
from conformance.harness.target import ABSENT, Target, Unsupported
from conformance.harness.vocabulary import Vocabulary
from conformance.peer.client import Peer
from conformance.peer.drafts import FACTS, Draft, DraftFacts
from conformance.peer.events import Json, WireEvent
from conformance.peer.keylog import KeyLog
from conformance.peer.options import PeerOptions, SessionRefused
from conformance.peer.qpack import Field
from conformance.peer.quic.options import QuicOptions
from conformance.peer.session import Session
from conformance.peer.streams import Stream
from conformance.requirements import by_id
from reports.judgement import (
    CheckRecord,
    ExpectRecord,
    InformationalRecord,
    NoteRecord,
    Record,
    judge_record,
    more_needed,
    reaction_set,
    reactions_of,
)
from reports.judgement.records import Operator
from reports.verdict import Verdict

T = TypeVar("T")
# What a case may hand over as a value: JSON, with lists of whatever scalars.
Value: TypeAlias = "bool | int | float | str | Sequence[Value] | Mapping[str, Value] | None"
Judging = ExpectRecord | CheckRecord | InformationalRecord

# A reaction that stays out is missing only after this long, or after this many round trips.
MIN_DEADLINE = 2.0
DEADLINE_ROUND_TRIPS = 20
# Reactions kept per expectation: more would only repeat themselves.
MAX_REACTIONS = 200
# Data that comes back by the thousand must not push the end of its session out of the record.
BULK = frozenset({"WtStreamData", "WtDatagram"})
MAX_BULK = 50

_QUIC_FIELDS = frozenset(item.name for item in fields(QuicOptions))


class TwinFailed(Exception):
    """The positive twin did not succeed; the text says what happened instead."""


class Run(Vocabulary):
    """One execution of a case (or of its positive twin) against a target."""

    def __init__(self, case: Case, target: Target, draft: Draft, *, twin: bool) -> None:
        self.case = case
        self.target = target
        self.draft = draft
        self.twin = twin
        self.records: list[Record] = []
        self.peers: list[Peer] = []
        self.varied = False
        self._mark = 0
        self._session: Session | None = None
        self._echoing: set[int] = set()

    # --- facts ---

    @property
    def facts(self) -> DraftFacts:
        """The code points and rules of the draft of this run."""
        return FACTS[self.draft]

    @property
    def variant(self) -> Any:
        """The value of the case's variant."""
        return self.case.variant

    @property
    def peer(self) -> Peer:
        """The connection of this run, opened at the first use."""
        return self.peers[-1] if self.peers else self.connect()

    @property
    def deadline(self) -> float:
        """Seconds after which a reaction counts as missing."""
        rtt = self.peers[-1].rtt if self.peers else 0.0
        return max(MIN_DEADLINE, DEADLINE_ROUND_TRIPS * rtt)

    # --- connections and sessions ---

    def options(self, **changes: Any) -> PeerOptions:
        """Return the target's options with changes: fields of PeerOptions or of QuicOptions."""
        quic = {name: value for name, value in changes.items() if name in _QUIC_FIELDS}
        own = {name: value for name, value in changes.items() if name not in _QUIC_FIELDS}
        base = self.target.options
        if base.flow_control is None and "flow_control" not in own and self.case.flow_control:
            own["flow_control"] = self.case.flow_control
        return replace(base, **own, quic={"keylog": KeyLog(), **base.quic, **quic})

    def connect(self, options: PeerOptions | None = None) -> Peer:
        """Open a connection and start HTTP/3 as the options say; raises ConnectFailed."""
        peer = self.target.connect(self.draft, options or self.options())
        self.peers.append(peer)
        self._mark = 0
        return peer

    def establish(self, path: str | None = None) -> Session:
        """Establish a session on the connection of this run; raises SessionRefused."""
        try:
            session = self.target.establish(self.peer, path)
        except SessionRefused as error:
            if path not in (None, self.target.path) and error.status in ABSENT:
                raise Unsupported("cooperation", f"the endpoint {path} is not there: {error}") from None
            raise
        self._session = session
        if self.target.echoes(path):
            self._echoing.add(session.id)
        self.mark()
        return session

    def establish_observed(self, **query: object) -> Session:
        """Establish an observed session and wait until the application has it; raises as `establish`.

        A session that ends before its application has taken it over may pass that by: no text forbids it.
        """
        session = self.establish(self.observe_path(**query))
        self.observed("session")
        self.mark()
        return session

    def request(
        self,
        path: str | None = None,
        *,
        replace: Mapping[bytes, bytes | None] | None = None,
        extra: tuple[Field, ...] = (),
        then: bytes = b"",
    ) -> Session:
        """Send a session request with single fields replaced (None: left out); wait for nothing."""
        session = super().request(path, replace=replace, extra=extra, then=then)
        if self.target.echoes(path):
            self._echoing.add(session.id)
        return session

    def endpoint(self, name: str, **query: object) -> str:
        """Return the path of an endpoint of the target; raises Unsupported where it has none."""
        return self.target.endpoint(name, query)

    def need_echo(self, kind: Literal["bidi", "uni", "datagram"]) -> None:
        """Demand that the target's endpoint echoes this kind of traffic; raises Unsupported."""
        if not getattr(self.target.capabilities, f"echo_{kind}"):
            raise Unsupported(
                "cooperation", f"the endpoint {self.target.path} did not echo a {kind} in the probe"
            )

    def need_setting(self, *identifiers: int) -> dict[int, int]:
        """Demand that the target sent one of these settings with a value above 0; raises Unsupported."""
        settings = self.peer.peer_settings or {}
        if not any(settings.get(identifier, 0) for identifier in identifiers):
            names = ", ".join(f"0x{identifier:x}" for identifier in identifiers)
            raise Unsupported("not negotiated", f"the target's SETTINGS have no value above 0 for {names}")
        return {identifier: settings.get(identifier, 0) for identifier in identifiers}

    @staticmethod
    def need(condition: bool, proof: str) -> None:
        """Demand a condition, else raise Unsupported with the proof that the target lacks something."""
        if not condition:
            raise Unsupported("not negotiated", proof)

    # --- the varied field ---

    def vary(self, *, good: T, bad: T) -> T:
        """Return the one field that differs between the positive twin and the case."""
        self.varied = True
        return good if self.twin else bad

    def mark(self) -> None:
        """Begin the window of the next expectation here: earlier events do not count."""
        self._mark = self.peer.events.mark()

    # --- records ---

    def expect(
        self,
        requirement: str,
        set_name: str,
        *,
        code: int | None = None,
        stream: Stream | None = None,
        streams: Sequence[Stream] | None = None,
        session: Stream | None = None,
        twin: str | None = "tolerated",
        also: tuple[str, ...] = (),
        soft: str | None = None,
        keep_mark: bool = False,
    ) -> None:
        """Record how the target reacts, to be judged by the named set of allowed reactions.

        In the positive twin the set is ``twin`` instead (None: nothing is expected of it), and what that
        set calls a fail raises TwinFailed. ``keep_mark``: the next expectation sees the same events again.
        """
        if self.twin:
            set_name = twin or ""
            if not set_name:
                return
        params = self._params(set_name, code, stream, streams, session or self._session)
        record = self._watch(requirement, set_name, params, also, soft)
        if not keep_mark:
            self._mark = self.peer.events.mark()
        if self.twin:
            grade = judge_record(record)
            if grade.raw in (Verdict.FAIL, Verdict.INCONCLUSIVE):
                raise TwinFailed(grade.sentence)
            return
        self.records.append(record)

    def _params(
        self,
        set_name: str,
        code: int | None,
        stream: Stream | None,
        streams: Sequence[Stream] | None,
        session: Stream | None,
    ) -> dict[str, Json]:
        chosen = reaction_set(set_name)
        given: dict[str, Json] = {"code": code}
        given["stream"] = stream.id if stream is not None else None
        given["session"] = session.id if session is not None else None
        given["streams"] = [item.id for item in streams] if streams is not None else None
        return {
            name: given[name] for name in (*chosen.params, *chosen.optional) if given.get(name) is not None
        }

    def _watch(
        self,
        requirement: str,
        set_name: str,
        params: Mapping[str, Json],
        also: tuple[str, ...],
        soft: str | None,
    ) -> ExpectRecord:
        peer, seen, position = self.peer, list[dict[str, Json]](), self._mark

        def decided() -> bool:
            nonlocal position
            fresh = peer.events.since(position)
            position = peer.events.mark()
            seen.extend(item for event in fresh if (item := _reaction_json(event)) is not None)
            return peer.closed is not None or not more_needed(set_name, params, seen)

        by_absence = reaction_set(set_name).by_absence
        # A connection that the target gave up before this window is gone in it, too: silence proves nothing.
        seen.extend(self._gone_before(position))
        ended_by: Literal["event", "deadline", "fence"] = "event"
        if by_absence:
            if not decided():
                ended_by = "fence" if self._fence(params) else "deadline"
        elif not peer.wait(decided, self.deadline):
            ended_by = "deadline"
        decided()
        self.need_stream_credit()
        row = by_id(requirement)
        return ExpectRecord(
            requirement=requirement,
            level=row.level.value,
            set_name=set_name,
            set_version=reaction_set(set_name).version,
            params=params,
            window_s=round(self.deadline, 3),
            ended_by=ended_by,
            events=tuple(_kept(seen)),
            absence=by_absence,
            also=also,
            limit=row.limit.value,
            soft=soft or self._soft(requirement),
        )

    def _gone_before(self, position: int) -> list[dict[str, Json]]:
        closed = self.peer.closed
        if closed is None or closed in self.peer.events.since(position):
            return []
        reaction = _reaction_json(closed)
        return [reaction] if reaction is not None else []

    def _fence(self, params: Mapping[str, Json]) -> bool:
        number = params.get("session")
        session = self.peer.sessions.get(number) if isinstance(number, int) else None
        live = session is not None and session.established and not session.done
        echo = live and session is not None and session.id in self._echoing
        return self.peer.fence(session, echo=echo).held

    def check(
        self,
        requirement: str,
        name: str,
        operator: Operator,
        expected: Value,
        observed: Value,
        *,
        also: tuple[str, ...] = (),
        broken: Literal["fail", "non_strict", "informational"] = "fail",
        soft: str | None = None,
        complete: bool = True,
    ) -> None:
        """Record a value that the target showed, to be compared; the twin's values are not judged.

        ``complete`` False: it is judged although streams of the case wait for QUIC's permission.
        """
        if complete:
            self.need_stream_credit()
        if self.twin:
            return
        row = by_id(requirement)
        self.records.append(
            CheckRecord(
                requirement=requirement,
                level=row.level.value,
                name=name,
                operator=operator,
                expected=cast(Json, expected),
                observed=cast(Json, observed),
                broken=broken,
                also=also,
                limit=row.limit.value,
                soft=soft or self._soft(requirement),
            )
        )

    def _soft(self, requirement: str) -> str | None:
        """Say why a row can at most be informational in this run, None where it is judged in full."""
        row = by_id(requirement)
        if self.draft.value not in row.drafts:
            return f"{requirement} is no rule of draft {self.draft.value}"
        declared = self.target.declared_draft
        if row.not_in and (declared is None or f"{declared:02}" in row.not_in):
            drafts = ", ".join(f"-{draft}" for draft in row.not_in)
            return f"no rule in {drafts}, which shares the code point; declare the draft with --declare-draft"
        return None

    def informational(
        self, requirement: str, text: str, observed: Value, *, also: tuple[str, ...] = ()
    ) -> None:
        """Record what the target does where the text leaves it open."""
        if not self.twin:
            self.records.append(
                InformationalRecord(
                    requirement=requirement, text=text, observed=cast(Json, observed), also=also
                )
            )

    def note(self, text: str) -> None:
        """Add a sentence for the reader of the evidence."""
        self.records.append(NoteRecord(text=text))

    def attributed(self) -> list[Record]:
        """Return the records; a declared requirement that none names gets those of the first requirement.

        That is how a case declares rows which restate each other, each with its own level.
        """
        judging = [item for item in self.records if isinstance(item, Judging)]
        named = {name for item in judging for name in (item.requirement, *item.also)}
        first = [item for item in judging if item.requirement == self.case.requirements[0]] or judging
        added: list[Record] = []
        for name in self.case.requirements:
            if name not in named:
                added += [self._restated(item, name) for item in first]
        return [*self.records, *added]

    def _restated(self, record: Judging, requirement: str) -> Record:
        if isinstance(record, InformationalRecord):
            return replace(record, requirement=requirement, also=())
        row = by_id(requirement)
        soft = record.soft if record.soft and record.soft != self._soft(record.requirement) else None
        return replace(
            record,
            requirement=requirement,
            also=(),
            level=row.level.value,
            limit=row.limit.value,
            soft=soft or self._soft(requirement),
        )

    def finish(self) -> None:
        """Close the connections of this run."""
        for peer in self.peers:
            peer.close()

    def good_fields(self, path: str | None = None) -> list[Field]:
        """Return the correct session request of the draft."""
        return self.peer.connect_request_fields(path)


def _kept(seen: list[dict[str, Json]]) -> list[dict[str, Json]]:
    """Bound the events of a record: of body data and datagrams only the first ones are kept."""
    bulk = [item for item in seen if item.get("name") in BULK]
    rest = [item for item in seen if item.get("name") not in BULK]
    kept = {id(item) for item in (*bulk[:MAX_BULK], *rest[:MAX_REACTIONS])}
    return [item for item in seen if id(item) in kept]


def _reaction_json(event: WireEvent) -> dict[str, Json] | None:
    if event.layer == "quic" and event.name in ("QuicPacket", "QuicFrame"):
        return None
    value = event.as_json()
    return value if reactions_of([value]) else None
