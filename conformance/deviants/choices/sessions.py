"""Choices about sessions and their streams: how they end, what is kept, what an application does."""

from __future__ import annotations

from typing import Any, Final

from conformance.deviants.choices.definition import choice, instead, on_accept
from conformance.deviants.definition import override
from conformance.peer.capsules import close_capsule
from conformance.peer.codepoints import H3, WT, reserved
from conformance.peer.drafts import Draft
from conformance.peer.model import Behaviour
from conformance.peer.model.application import Application
from conformance.peer.model.applications import Echo
from conformance.peer.model.recording import Observing
from conformance.peer.model.sessions import Session
from conformance.peer.model.streams import WtStream

SINCE_14: Final = (Draft.D16, Draft.D14)
SINCE_07: Final = (Draft.D16, Draft.D14, Draft.D07)
# Seconds until an application takes a session over.
TAKE_OVER: Final = 0.02
# Cases about what follows the end of a session on its connection.
_AFTERWARDS: Final = (
    "close-drain.connection-survives", "close-drain.late-streams", "close-drain.nothing-after-end",
    "datagrams.after-session-end", "pooling.one-after-the-other", "scenario-sessions.",
    "pooling.second-session-without-flow-control",
)  # fmt: skip


def _answers_close_by_reset(behaviour: Behaviour, code: int) -> None:
    def accepted(session: Session) -> None:
        instead(session, "_answer_close", lambda: session.connection.reset(session.id, code))

    on_accept(behaviour, accepted)


@choice("session.resets-on-close", "draft-16 §6: MUST either close or reset the stream", drafts=SINCE_14)
def resets_on_close(behaviour: Behaviour) -> None:
    """Answers a close by a reset of the CONNECT stream with WT_SESSION_GONE."""
    _answers_close_by_reset(behaviour, int(WT.SESSION_GONE))


@choice("session.resets-without-error", "draft-16 §6; RFC 9114 §8.1: a reserved code instead of H3_NO_ERROR")
def resets_without_error(behaviour: Behaviour) -> None:
    """Answers a close by a reset of the CONNECT stream with a reserved code."""
    _answers_close_by_reset(behaviour, reserved(5))


@choice("session.closes-back", "draft-16 §6: a close capsule may cross another one")
def closes_back(behaviour: Behaviour) -> None:
    """Answers a close by a close capsule of its own and FIN."""

    def accepted(session: Session) -> None:
        def answer() -> None:
            session.send_capsule(close_capsule(0, b""), end=True)

        instead(session, "_answer_close", answer)

    on_accept(behaviour, accepted)


@choice(
    "session.stops-after-close", "draft-16 §6: MAY send STOP_SENDING with WT_SESSION_GONE", drafts=SINCE_14
)
def stops_after_close(behaviour: Behaviour) -> None:
    """Stops the CONNECT stream with each close, its own and the client's."""
    gone = int(WT.SESSION_GONE)
    override(behaviour, "stops_after_close", lambda _original: gone)

    def accepted(session: Session) -> None:
        answer = session._answer_close

        def answer_and_stop() -> None:
            answer()
            session.connection.stop(session.id, gone)

        instead(session, "_answer_close", answer_and_stop)

    on_accept(behaviour, accepted)


@choice("session.leaves-reset-connect-open", "draft-16 §6: nothing but a close has to be answered")
def leaves_reset_connect_open(behaviour: Behaviour) -> None:
    """Ends a session whose CONNECT stream was reset without a word on that stream."""

    def accepted(session: Session) -> None:
        def aborted() -> None:
            session.connection.sessions.client_done(session.id)
            session._terminate(None, None, clean=False)

        instead(session, "client_aborted", aborted)

    on_accept(behaviour, accepted)


def _closes_connection(behaviour: Behaviour, delay: float) -> None:
    def accepted(session: Session) -> None:
        connection = session.connection
        closed, finished = session.client_closed, session.client_finished

        def later() -> None:
            if not connection.sessions.active:
                connection.server.schedule(delay, lambda: connection.close(int(H3.NO_ERROR)))

        def client_closed(code: int, reason: str) -> None:
            closed(code, reason)
            later()

        def client_finished() -> None:
            still_open = session.open
            finished()
            if still_open and not session.open:
                later()

        instead(session, "client_closed", client_closed)
        instead(session, "client_finished", client_finished)

    on_accept(behaviour, accepted)


@choice(
    "session.closes-connection-soon",
    "RFC 9114 §5.3: an HTTP/3 implementation can immediately close the QUIC connection at any time",
    without=_AFTERWARDS,
)
def closes_connection_soon(behaviour: Behaviour) -> None:
    """Closes the connection a moment after its last session was ended by the client."""
    _closes_connection(behaviour, 0.005)


@choice(
    "session.closes-connection-later",
    "RFC 9114 §5.3: an HTTP/3 implementation can immediately close the QUIC connection at any time",
    without=_AFTERWARDS,
)
def closes_connection_later(behaviour: Behaviour) -> None:
    """Closes the connection a while after its last session was ended by the client."""
    _closes_connection(behaviour, 0.06)


@choice(
    "session.ends-when-drained",
    "draft-16 §4.7: the application is expected to attempt to gracefully terminate the session",
)
def ends_when_drained(behaviour: Behaviour) -> None:
    """Ends its sessions gracefully as soon as the client drains them or goes away."""

    def accepted(session: Session) -> None:
        if type(session.app) is Echo:
            instead(session.app, "draining", lambda: session.close(0, ""))

    on_accept(behaviour, accepted)


@choice(
    "session.keeps-nothing-early", "draft-16 §4.6: the number of buffered streams MUST be limited", without=()
)
def keeps_nothing_early(behaviour: Behaviour) -> None:
    """Keeps no streams and no datagrams for sessions to come."""
    behaviour.max_buffered_streams = behaviour.max_buffered_datagrams = 0


@choice("session.early-streams-gone", "AMB-12 of the catalogue")
def early_streams_gone(behaviour: Behaviour) -> None:
    """Gives up streams of refused sessions with WT_SESSION_GONE."""
    behaviour.rules.code("stream-of-refused-session", int(WT.SESSION_GONE))


@choice("streams.own-code-for-stop", "RFC 9000 §3.5: SHOULD copy the error code, but can use any other")
def own_code_for_stop(behaviour: Behaviour) -> None:
    """Answers STOP_SENDING with a code of the application's own."""

    def accepted(session: Session) -> None:
        if type(session.app) is Echo:
            instead(session.app, "stop_answer", lambda _stream, _code: 4)

    on_accept(behaviour, accepted)


@choice("echo.whole-bodies", "no text says when an application answers")
def whole_bodies(behaviour: Behaviour) -> None:
    """Echoes a stream once all of it has arrived."""

    def accepted(session: Session) -> None:
        app, kept = session.app, dict[int, bytearray]()
        if type(app) is not Echo:
            return
        data, end = app.stream_data, app.stream_end

        def stream_data(stream: WtStream, part: bytes) -> None:
            kept.setdefault(stream.id, bytearray()).extend(part)

        def stream_end(stream: WtStream) -> None:
            data(stream, bytes(kept.pop(stream.id, b"")))
            end(stream)

        instead(app, "stream_data", stream_data)
        instead(app, "stream_end", stream_end)

    on_accept(behaviour, accepted)


@choice("echo.prefix", "docs/endpoints.md: a constant prefix in front of the echoed bytes is tolerated")
def prefix(behaviour: Behaviour) -> None:
    """Puts a constant prefix in front of the datagrams that it echoes."""

    def accepted(session: Session) -> None:
        app = session.app
        if type(app) is Echo:
            echo = app.datagram
            instead(app, "datagram", lambda payload: echo(b"echo: " + payload))

    on_accept(behaviour, accepted)


def _taken_over_late(app: Observing) -> None:
    add, begin, taken = app._add, app.started, False
    held: list[tuple[str, dict[str, Any]]] = []

    def hold(event: str, **members: Any) -> None:
        if taken:
            add(event, **members)
        else:
            held.append((event, members))

    def take() -> None:
        nonlocal taken
        taken = True
        for event, members in held if app.session.open else ():
            add(event, **members)

    def started(session: Session) -> None:
        begin(session)
        session.connection.server.schedule(TAKE_OVER, take)

    instead(app, "_add", hold)
    instead(app, "started", started)


@choice("observe.late", "no text says when an application takes a session over")
def late(behaviour: Behaviour) -> None:
    """Lets its application take sessions over late, and only those that are still open then."""

    def application(original: Any, app: Application) -> Application:
        chosen: Application = original(app)
        if isinstance(chosen, Observing):
            _taken_over_late(chosen)
        return chosen

    override(behaviour, "application", application)


@choice(
    "subprotocol.own-preference",
    "draft-16 §3.3: a single choice from the client's list; parameters MUST be ignored",
    drafts=SINCE_14,
)
def own_preference(behaviour: Behaviour) -> None:
    """Chooses the last protocol that suits, and puts a parameter on its answer."""

    def select(original: Any, offered: list[str], supported: list[str] | None) -> str | None:
        selected: str | None = original(offered[::-1], supported)
        return selected

    override(behaviour, "select_protocol", select)
    override(behaviour, "protocol_field", lambda original, name: original(name) + b";v=1")
