"""Sessions of the model server: from the request to the end (draft-16 §3, §4.6, §6)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from conformance.peer.codepoints import H3
from conformance.peer.drafts import FACTS, DraftFacts
from conformance.peer.h3frames import data_frame
from conformance.peer.model.application import Accept, Refuse
from conformance.peer.model.capsules import IncomingCapsules
from conformance.peer.model.flowcontrol import SessionFlow
from conformance.peer.model.receivers import DISCARD
from conformance.peer.model.requests import RequestStream
from conformance.peer.model.streams import WtStream
from conformance.peer.varint import MAX_VARINT

if TYPE_CHECKING:
    from conformance.peer.model.behaviour import LimitKind
    from conformance.peer.model.engine import Connection

MAX_WAITING_STREAMS = 1024


class Session:
    """One established session."""

    def __init__(self, stream: RequestStream, facts: DraftFacts, accept: Accept) -> None:
        self.connection: Connection = stream.connection
        self.id = stream.id
        self.stream = stream
        self.facts = facts
        self.open = True
        self.app = self.connection.behaviour.application(accept.application)
        self.resets = 0
        self.streams: dict[int, WtStream] = {}
        self.blocked_streams: dict[int, WtStream] = {}
        client = self.connection.client_settings or {}
        enabled = self.connection.behaviour.flow_control_enabled(facts, client)
        self.flow = SessionFlow(self, enabled=enabled, client=client)
        self.capsules = IncomingCapsules(self)
        self._waiting: deque[tuple[LimitKind, Callable[[WtStream], None]]] = deque()

    # --- what the client does ---

    def adopt(self, stream: WtStream) -> None:
        """Take a stream of the client into the session."""
        kind: LimitKind = "uni" if stream.unidirectional else "bidi"
        # From here on the stream goes the way of the session, which the application may end in this call.
        stream.session = self
        if not self.flow.receive(kind) and self.connection.violate(f"streams-{kind}-exceeded", self.id):
            stream.session_ended(self.connection.behaviour.session_gone_code(self.facts))
            return
        self.streams[stream.id] = stream
        self.app.stream_opened(stream)
        stream.associate(self)

    def stream_closed(self, stream: WtStream) -> None:
        """Forget a stream that is closed in both directions; its credit is given back."""
        if self.streams.pop(stream.id, None) is not None and stream.from_client:
            self.flow.release("uni" if stream.unidirectional else "bidi")
        self.connection.receivers[stream.id] = DISCARD

    def client_closed(self, code: int, reason: str) -> None:
        """Take WT_CLOSE_SESSION: the session is over, this side finishes the CONNECT stream (§6)."""
        self._answer_close()
        self._terminate(*self.connection.behaviour.reported_close(code, reason), clean=True)

    def client_finished(self) -> None:
        """Take the FIN of the CONNECT stream: same as a close with code 0 and no message (§6)."""
        self.connection.sessions.client_done(self.id)
        cut = not self.capsules.between_capsules
        if cut and self.open and self.connection.violate("capsule-truncated", self.id):
            return
        if self.open:
            self.connection.send(self.id, b"", end=True)
            self._terminate(*self.connection.behaviour.reported_close(0, ""), clean=True)

    def client_aborted(self) -> None:
        """Take a reset or STOP_SENDING of the CONNECT stream."""
        self.connection.sessions.client_done(self.id)
        if self.open:
            self.connection.reset(self.id, H3.REQUEST_CANCELLED)
            if not self.stream.ended:
                self.connection.stop(self.id, self.connection.behaviour.session_gone_code(self.facts))
            self._terminate(None, None, clean=False)

    def credit_received(self, kind: LimitKind) -> None:
        """Go on with what waited for a limit of the client."""
        if kind == "data":
            blocked, self.blocked_streams = self.blocked_streams, {}
            for stream in blocked.values():
                stream.flush()
        else:
            waiting, self._waiting = self._waiting, deque()
            for waiting_kind, ready in waiting:
                self._open_stream(waiting_kind, ready)

    def _answer_close(self) -> None:
        if self.connection.behaviour.answers_close():
            self.connection.send(self.id, b"", end=True)

    # --- what the application does ---

    def open_stream(self, *, unidirectional: bool, ready: Callable[[WtStream], None]) -> None:
        """Open a stream as soon as the client's limit allows; ``ready`` gets it."""
        self._open_stream("uni" if unidirectional else "bidi", ready)

    def can_open(self, *, unidirectional: bool) -> bool:
        """Tell whether a stream could be opened at once: limits of the session and the connection."""
        credit = self.flow.credit("uni" if unidirectional else "bidi")
        return credit > 0 and self.connection.quic.stream_credit(unidirectional=unidirectional) > 0

    def _open_stream(self, kind: LimitKind, ready: Callable[[WtStream], None]) -> None:
        connection = self.connection
        if not connection.behaviour.may_send(self):
            return
        if not self.flow.take(kind):
            self.flow.blocked(kind)
            if len(self._waiting) < MAX_WAITING_STREAMS:
                self._waiting.append((kind, ready))
            return
        unidirectional = kind == "uni"
        stream_id = connection.quic.next_stream_id(unidirectional=unidirectional)
        header = connection.behaviour.stream_header(self.id, unidirectional=unidirectional)
        stream = WtStream(connection, stream_id, len(header))
        stream.session = self
        self.streams[stream_id] = stream
        connection.receivers[stream_id] = stream
        connection.send(stream_id, header)
        ready(stream)

    def send_datagram(self, payload: bytes) -> bool:
        """Send a datagram; False if it cannot be sent."""
        may = self.connection.behaviour.may_send(self)
        return may and self.connection.datagrams.send(self.id, payload)

    def send_capsule(self, capsule: bytes, *, end: bool = False) -> None:
        """Send capsule bytes in a DATA frame."""
        self.connection.send(self.id, data_frame(capsule), end=end)

    def drain(self) -> None:
        """Announce the shutdown of the session (§4.7)."""
        if self.open:
            self.send_capsule(self.connection.behaviour.drain_capsule())

    def close(self, code: int, reason: str) -> None:
        """End the session with WT_CLOSE_SESSION and FIN (§6)."""
        if self.open:
            behaviour = self.connection.behaviour
            self.send_capsule(behaviour.close_capsule(code, reason), end=behaviour.finishes_after_close())
            stop = behaviour.stops_after_close()
            if stop is not None:
                self.connection.stop(self.id, stop)
            self._terminate(code, reason, clean=True)

    def finish(self) -> None:
        """End the session by finishing the CONNECT stream (§6)."""
        if self.open:
            self.connection.send(self.id, b"", end=True)
            self._terminate(0, "", clean=True)

    # --- the end ---

    def fail(self, code: int) -> None:
        """End the session by resetting the CONNECT stream with an HTTP/3 code."""
        self.connection.receivers[self.id] = DISCARD
        self.connection.abort_stream(self.id, code)
        self.connection.sessions.client_done(self.id)
        self._terminate(None, None, clean=False)

    def lost(self) -> None:
        """Take the end of the connection."""
        self.open = False
        self.app.closed(None, None, clean=False)

    def _terminate(self, code: int | None, reason: str | None, *, clean: bool) -> None:
        """Reset and stop all streams with WT_SESSION_GONE, tell the application (§6)."""
        if not self.open:
            return
        self.open = False
        self.connection.sessions.over(self)
        gone = self.connection.behaviour.session_gone_code(self.facts)
        for stream in list(self.streams.values()):
            stream.session_ended(gone)
        self.streams.clear()
        self.app.closed(code, reason, clean=clean)
        self.connection.behaviour.session_over(self.connection)


class Sessions:
    """All sessions of a connection, and what waits for them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.active: dict[int, Session] = {}
        self.accepted = 0
        self._pending: dict[int, RequestStream] = {}
        self._over: set[int] = set()
        self._refused: set[int] = set()
        self._unfinished: set[int] = set()
        self._buffered: dict[int, list[WtStream]] = {}

    # --- requests ---

    def request(self, stream: RequestStream) -> None:
        """Take a valid request; a session request waits for the client's SETTINGS."""
        assert stream.request is not None
        connection, fields = self._connection, dict(stream.request.fields)
        if stream.request.protocol is None:
            plain = stream.request.method != b"CONNECT"
            if plain or connection.violate("connect-unsupported", stream.id):
                return
        if b"capsule-protocol" in fields and connection.objects("capsule-protocol-field", stream.id):
            return
        if b"priority" in fields and connection.objects("priority-field", stream.id):
            return
        early = connection.client_settings is None
        if early and connection.objects("request-before-settings", stream.id):
            return
        self._pending[stream.id] = stream
        connection.after_settings(lambda: self._session_request(stream))

    def request_complete(self, stream: RequestStream) -> None:
        """Take the end of a request that is not a session: answer it."""
        request, connection = stream.request, self._connection
        assert request is not None
        if request.method == b"CONNECT":
            return
        announced = request.first(b"content-length")
        differs = announced is not None and announced != b"%d" % stream.content_length
        if differs and connection.violate("content-length-differs", stream.id):
            return
        connection.server.endpoints.http(connection, stream)

    def abandoned(self, stream: RequestStream) -> None:
        """Take the reset of a request that is not a session (yet)."""
        self._pending.pop(stream.id, None)
        self._connection.receivers[stream.id] = DISCARD
        self._connection.reset(stream.id, H3.REQUEST_CANCELLED)
        self.refused(stream.id)

    def _session_request(self, stream: RequestStream) -> None:
        connection = self._connection
        if stream.id not in self._pending or stream.request is None:
            return
        problem = connection.requirement_violation()
        if problem is not None and connection.violate(problem, stream.id):
            return
        facts = connection.facts or FACTS[connection.behaviour.drafts[0]]
        other = stream.request.protocol != facts.protocol
        if other and connection.violate("protocol-unsupported", stream.id):
            return
        if not connection.control.qpack_seen and connection.objects("qpack-streams-missing", stream.id):
            return
        if self._over and connection.objects("session-after-session", stream.id):
            return
        others = len(self.active) + len(self._pending) - 1
        client = connection.client_settings or {}
        pooled = connection.behaviour.flow_control_enabled(facts, client)
        if others and not pooled and connection.violate("session-not-pooled", stream.id):
            return
        if others >= connection.behaviour.max_sessions and connection.violate(
            "sessions-exhausted", stream.id
        ):
            return
        decision = connection.server.endpoints.decide(connection, stream.request)
        match decision:
            case str():
                connection.violate(decision, stream.id)
            case Refuse():
                connection.server.after(decision.after, lambda: self._refuse(stream, facts, decision))
            case Accept():
                delay = decision.after + connection.behaviour.accept_delay
                connection.server.after(delay, lambda: self._accept(stream, facts, decision))

    def _refuse(self, stream: RequestStream, facts: DraftFacts, decision: Refuse) -> None:
        if stream.id in self._pending:
            behaviour = self._connection.behaviour
            fields = behaviour.response_fields(decision.status, facts, decision.fields)
            self._connection.send(stream.id, self._connection.headers(stream.id, fields), end=True)
            self.refused(stream.id)

    def _accept(self, stream: RequestStream, facts: DraftFacts, decision: Accept) -> None:
        connection = self._connection
        if self._pending.pop(stream.id, None) is None or connection.closing:
            return
        extra = []
        if decision.protocol is not None:
            extra.append((b"wt-protocol", connection.behaviour.protocol_field(decision.protocol)))
        fields = connection.behaviour.response_fields(200, facts, extra)
        connection.send(stream.id, connection.headers(stream.id, fields))
        session = Session(stream, facts, decision)
        stream.session = self.active[stream.id] = session
        self.accepted += 1
        self._unfinished.add(stream.id)
        session.app.started(session)
        connection.behaviour.session_accepted(session)
        for early in self._buffered.pop(stream.id, []):
            if session.open:
                session.adopt(early)
        for payload in connection.datagrams.deliver_early(stream.id):
            if session.open:
                session.app.datagram(payload)
        early_bytes = bytes(stream.early)
        stream.early.clear()
        if early_bytes:
            session.capsules.feed(early_bytes)
        if stream.ended:
            session.client_finished()

    # --- streams ---

    def stream_arrived(self, stream: WtStream, session_id: int) -> None:
        """Find the session of a client's stream, or keep the stream until it appears (§4.6)."""
        connection = self._connection
        session = self.active.get(session_id)
        request = connection.receivers.get(session_id)
        plain = isinstance(request, RequestStream) and request.request and request.request.protocol is None
        if session is not None:
            session.adopt(stream)
        elif session_id in self._over:
            self._reject("stream-of-ended-session", stream)
        elif session_id in self._refused:
            self._reject("stream-of-refused-session", stream)
        elif plain:
            self._reject("stream-of-plain-request", stream)
        elif sum(map(len, self._buffered.values())) >= connection.behaviour.max_buffered_streams:
            self._reject("stream-buffer-full", stream)
        else:
            self._buffered.setdefault(min(session_id, MAX_VARINT), []).append(stream)

    def _reject(self, rule: str, stream: WtStream) -> None:
        if not self._connection.violate(rule, stream.id):
            self._connection.receivers[stream.id] = DISCARD

    def forget_buffered(self, stream: WtStream) -> None:
        """Drop a stream that was kept."""
        for streams in self._buffered.values():
            if stream in streams:
                streams.remove(stream)

    # --- the end of sessions ---

    def of_stream(self, stream_id: int) -> Session | None:
        """Return the session of a CONNECT stream."""
        return self.active.get(stream_id)

    def is_over(self, session_id: int) -> bool:
        """Tell whether the session has ended or was refused."""
        return session_id in self._over or session_id in self._refused

    def over(self, session: Session) -> None:
        """Note the end of a session."""
        self.active.pop(session.id, None)
        self._over.add(session.id)

    def client_done(self, session_id: int) -> None:
        """Note that the client has ended its side of a CONNECT stream."""
        self._unfinished.discard(session_id)
        self._connection.finish_shutdown()

    def waiting_for_client(self) -> bool:
        """Tell whether the client has not ended its side of a CONNECT stream yet."""
        return bool(self._unfinished)

    def refused(self, stream_id: int) -> None:
        """Note that a request will not become a session; streams kept for it are rejected (§4.6)."""
        session = self.active.get(stream_id)
        if session is not None:
            session.client_aborted()
            return
        self._pending.pop(stream_id, None)
        self._refused.add(stream_id)
        self._connection.datagrams.deliver_early(stream_id)
        for stream in self._buffered.pop(stream_id, []):
            self._reject("stream-of-refused-session", stream)

    def check_requirements(self) -> None:
        """Judge sessions that exist already by SETTINGS that came late (§3.1)."""
        problem = self._connection.requirement_violation()
        if problem is not None:
            for session_id in list(self.active):
                self._connection.violate(problem, session_id)

    def draining(self) -> None:
        """Tell all applications of a GOAWAY (§4.7)."""
        for session in list(self.active.values()):
            session.app.draining()

    def connection_lost(self) -> None:
        """Tell all applications that the connection is gone."""
        for session in list(self.active.values()):
            session.lost()
        self.active.clear()
