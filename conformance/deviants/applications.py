"""Deviants of the applications behind the endpoints: the scenarios' cases have to see them.

Each is a fault that an application, or the interface below it, can have while the protocol is right, so
that only cases of the application scenarios (``scenario-*``) are played against them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from conformance.deviants.definition import deviant, override
from conformance.peer import capsules
from conformance.peer.codepoints import CapsuleType
from conformance.peer.drafts import Draft
from conformance.peer.model import Behaviour
from conformance.peer.model.application import Application
from conformance.peer.model.applications import Answering, Echo
from conformance.peer.model.sessions import Session
from conformance.peer.model.streams import WtStream

SINCE_14 = (Draft.D16, Draft.D14)
SINCE_07 = (Draft.D16, Draft.D14, Draft.D07)

_ECHO = ("OV-4.3-04", "WT-4.3-14", "WT-4.2-05")
_SESSIONS = ("OV-2-03", "WT-4-15", "WT-5.1-06", "WT-5.5-05")


def change(
    behaviour: Behaviour,
    kind: type[Application],
    method: str,
    hook: Callable[..., Any],
    *,
    exactly: bool = False,
) -> None:
    """Replace a method of the applications of a kind by a function that gets the original first.

    ``exactly``: those of its subclasses stay as they are.
    """

    def application(original: Callable[[Application], Application], app: Application) -> Application:
        app = original(app)
        if type(app) is kind or (isinstance(app, kind) and not exactly):
            before = getattr(app, method)
            setattr(app, method, lambda *given, **named: hook(before, app, *given, **named))
        return app

    override(behaviour, "application", application)


def flipped(data: bytes) -> bytes:
    """Return bytes of which none is what it was."""
    return bytes(byte ^ 0xFF for byte in data)


# --- echo ---


@deviant("app.later-sessions", *_SESSIONS)
def later_sessions(behaviour: Behaviour) -> None:
    """Echoes other bytes in all sessions of a connection but the first (draft-16 §5.1)."""

    def data(original: Callable[..., None], app: Echo, stream: WtStream, received: bytes) -> None:
        original(stream, flipped(received) if app.session.id else received)

    change(behaviour, Echo, "stream_data", data)


@deviant("app.crowded", *_SESSIONS)
def crowded(behaviour: Behaviour) -> None:
    """Echoes other bytes while more than two sessions are open (overview-13 §2)."""
    open_sessions: set[int] = set()

    def started(original: Callable[..., None], app: Echo, session: Session) -> None:
        open_sessions.add(id(app))
        original(session)

    def closed(original: Callable[..., None], app: Echo, *given: object, **named: object) -> None:
        open_sessions.discard(id(app))
        original(*given, **named)

    def data(original: Callable[..., None], _app: Echo, stream: WtStream, received: bytes) -> None:
        original(stream, flipped(received) if len(open_sessions) > 2 else received)

    for method, hook in (("started", started), ("closed", closed), ("stream_data", data)):
        change(behaviour, Echo, method, hook)


@deviant("app.echo-unfinished", *_ECHO)
def echo_unfinished(behaviour: Behaviour) -> None:
    """Never finishes what it echoes."""
    change(behaviour, Echo, "stream_end", lambda _original, _app, _stream: None, exactly=True)


@deviant("app.echo-once", *_ECHO, "WT-5.1-06", "WT-5.5-05", "OV-4.3-02")
def echo_once(behaviour: Behaviour) -> None:
    """Drops what comes behind the first thousand bytes of a stream."""

    def data(original: Callable[..., None], _app: Echo, stream: WtStream, received: bytes) -> None:
        if stream.received <= 1000:
            original(stream, received)

    change(behaviour, Echo, "stream_data", data)


@deviant("app.datagram-garbled", "WT-4.5-01")
def datagram_garbled(behaviour: Behaviour) -> None:
    """Echoes other datagrams than those that came."""

    def arrived(original: Callable[..., None], _app: Echo, payload: bytes) -> None:
        original(flipped(payload))

    change(behaviour, Echo, "datagram", arrived)


# --- ends ---


@deviant("app.close-lost", "WT-6-26", "OV-4.1-02")
def close_lost(behaviour: Behaviour) -> None:
    """Shows the application the code 1 and no reason, whatever the client gave (draft-16 §6)."""
    override(behaviour, "reported_close", lambda _original, _code, _reason: (1, ""))


@deviant("app.close-changed", "WT-6-09", "OV-4.1-02")
def close_changed(behaviour: Behaviour) -> None:
    """Closes with another code than the application's (draft-16 §6)."""
    override(behaviour, "close_capsule", lambda original, code, message: original(code ^ 1, message))


@deviant("app.drain-value", "WT-4.7-05", drafts=SINCE_07)
def drain_value(behaviour: Behaviour) -> None:
    """Sends a drain capsule with a value (draft-16 §4.7)."""
    override(
        behaviour,
        "drain_capsule",
        lambda _original: capsules.capsule(CapsuleType.WT_DRAIN_SESSION, b"\x00"),
    )


@deviant("app.drain-unseen", "WT-4.7-08", kill="changed", drafts=SINCE_07)
def drain_unseen(behaviour: Behaviour) -> None:
    """Does not tell the application of the client's drain (draft-16 §4.7)."""
    change(behaviour, Application, "draining", lambda _original, _app: None)


@deviant("app.abort-ends-session", "OV-4.3-05", "OV-4.3-02")
def abort_ends_session(behaviour: Behaviour) -> None:
    """Ends the session when a stream is reset or stopped (overview-13 §4.3)."""

    def aborted(_original: object, app: Echo, _stream: WtStream, _code: int | None) -> None:
        app.session.close(0, "")

    change(behaviour, Echo, "stream_reset", aborted)
    change(behaviour, Echo, "stream_stop", aborted)


# --- answers ---


@deviant("app.answer-cut", "OV-4.3-04", "OV-4.3-05", "OV-2-06", "WT-4.2-05", "WT-4.3-18")
def answer_cut(behaviour: Behaviour) -> None:
    """Cuts its answers to queries in the middle (docs/endpoints.md)."""

    def application(original: Callable[[Application], Application], app: Application) -> Application:
        app = original(app)
        if isinstance(app, Answering) and app.answer is not None:
            whole = app.answer
            app.answer = lambda: whole()[:10]
        return app

    override(behaviour, "application", application)


@deviant("app.counts-headers", "WT-4.2-05", "WT-4.3-18")
def counts_headers(behaviour: Behaviour) -> None:
    """Counts the header of a stream as a byte of its body (draft-16 §4.2, §4.3)."""

    def opened(original: Callable[..., None], app: Echo, stream: WtStream) -> None:
        original(stream)
        app.counts["bytes_received"] += 2

    change(behaviour, Echo, "stream_opened", opened)


@deviant("app.protocol-unknown", "OV-2-06", drafts=SINCE_14)
def protocol_unknown(behaviour: Behaviour) -> None:
    """Answers with a protocol, and tells its application of none (overview-13 §2)."""

    def application(original: Callable[[Application], Application], app: Application) -> Application:
        app = original(app)
        if isinstance(app, Answering) and app.answer is not None:
            whole = app.answer
            app.answer = lambda: json.dumps({**json.loads(whole()), "selected": None})
        return app

    override(behaviour, "application", application)
