"""The endpoints of docs/endpoints.md: which application a path and its parameters select."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from conformance.peer.baton import PATH as BATON_PATH
from conformance.peer.h3frames import data_frame
from conformance.peer.model.application import Accept, Refuse
from conformance.peer.model.applications import (
    Answering,
    Closing,
    Draining,
    Echo,
    Pushing,
    Resetting,
    pattern,
)
from conformance.peer.model.baton_endpoint import baton
from conformance.peer.model.parameters import MAX_BYTES, InvalidParameter, Parameters
from conformance.peer.model.recording import VALID_ID, Observing, Reading, Recordings

if TYPE_CHECKING:
    from conformance.peer.model.engine import Connection
    from conformance.peer.model.fields import Request
    from conformance.peer.model.requests import RequestStream

# A decision is an application, a refusal, or the name of the rule that the request breaks.
Decision: TypeAlias = Accept | Refuse | str
Endpoint: TypeAlias = "Callable[[Connection, Request, Parameters], Decision]"

IMPLEMENTATION: Final = "webtransport-conformance model"


def offered_protocols(connection: Connection, request: Request) -> list[str] | None:
    """Return the protocols that the client offers, None where the field is absent or ignored."""
    lines = request.all(b"wt-available-protocols")
    facts = connection.facts
    if not lines or facts is None or not facts.protocol_negotiation:
        return None
    return connection.behaviour.offered_protocols(lines)


def _select(connection: Connection, offered: list[str] | None, supported: list[str] | None) -> str | None:
    return connection.behaviour.select_protocol(offered, supported) if offered else None


def _echo(_connection: Connection, _request: Request, _parameters: Parameters) -> Decision:
    return Accept(Echo())


def _close(_connection: Connection, _request: Request, parameters: Parameters) -> Decision:
    return Accept(Closing(parameters))


def _drain(_connection: Connection, _request: Request, parameters: Parameters) -> Decision:
    return Accept(Draining(parameters))


def _push(_connection: Connection, _request: Request, parameters: Parameters) -> Decision:
    return Accept(Pushing(parameters))


def _reset(_connection: Connection, _request: Request, parameters: Parameters) -> Decision:
    return Accept(Resetting(parameters))


def _reject(_connection: Connection, _request: Request, parameters: Parameters) -> Decision:
    location = parameters.text("location")
    fields = () if location is None else ((b"location", location.encode()),)
    status = parameters.number("status", 403, least=300, most=599)
    return Refuse(status, fields, parameters.seconds("after_ms"))


def _origin(_connection: Connection, request: Request, parameters: Parameters) -> Decision:
    origin = request.first(b"origin")
    allowed = origin is None or origin.decode("utf-8", "replace") in parameters.texts("allow")
    return Accept(Echo()) if allowed else "origin-forbidden"


def _observe(connection: Connection, request: Request, parameters: Parameters) -> Decision:
    recordings = connection.server.endpoints.recordings
    read, name = parameters.text("read"), parameters.text("id")
    if read is not None:
        return Accept(Reading(recordings, read))
    if name is None or not VALID_ID.fullmatch(name):
        raise InvalidParameter("id")
    offered = offered_protocols(connection, request)
    selected = _select(connection, offered, parameters.texts("select"))
    application = Observing(
        recordings.open(name), request, echo=parameters.flag("echo"), offered=offered, selected=selected
    )
    return Accept(application, selected)


def _protocols(connection: Connection, request: Request, parameters: Parameters) -> Decision:
    offered = offered_protocols(connection, request)
    selected = _select(connection, offered, parameters.texts("supports") or None)
    if selected is None and parameters.flag("required"):
        return "query-invalid"
    return Accept(Answering(lambda _app: {"offered": offered, "selected": selected}), selected)


def _stats(connection: Connection, _request: Request, _parameters: Parameters) -> Decision:
    return Accept(Answering(lambda app: {"sessions": connection.sessions.accepted, **app.counts}))


def _status(connection: Connection, _request: Request, _parameters: Parameters) -> Decision:
    return Accept(
        Answering(
            lambda _app: {
                "status": "ok",
                "implementation": IMPLEMENTATION,
                "draft": None if connection.draft is None else connection.draft.value,
                "drafts": [draft.value for draft in connection.behaviour.drafts],
                "endpoints": {name: default_path(name) for name in ENDPOINTS},
                "sessions_active": len(connection.sessions.active),
            }
        )
    )


def _exporter(connection: Connection, _request: Request, parameters: Parameters) -> Decision:
    label, context = (parameters.text("label", "") or "").encode(), parameters.hexadecimal("context")
    length = parameters.number("length", 32, least=1, most=255)
    if len(label) > 255 or len(context) > 255:
        raise InvalidParameter("label")

    def answer(app: Answering) -> object:
        behaviour = connection.behaviour
        value = behaviour.exporter_context(app.session.id, label, context)
        return {"keying_material": connection.quic.exporter(behaviour.exporter_label(), value, length).hex()}

    return Accept(Answering(answer))


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "echo": _echo,
    "observe": _observe,
    "stats": _stats,
    "status": _status,
    "close": _close,
    "drain": _drain,
    "reject": _reject,
    "origin": _origin,
    "push": _push,
    "reset": _reset,
    "protocols": _protocols,
    "exporter": _exporter,
    "baton": baton,
}


def default_path(name: str) -> str:
    """Return the path of an endpoint."""
    return BATON_PATH if name == "baton" else f"/{name}"


_BY_PATH: Final = {default_path(name): endpoint for name, endpoint in ENDPOINTS.items()}


class Endpoints:
    """All endpoints of one server, with what they share."""

    def __init__(self) -> None:
        self.recordings = Recordings()

    def decide(self, connection: Connection, request: Request) -> Decision:
        """Decide about a session request."""
        endpoint = _BY_PATH.get(connection.behaviour.resource(request.path))
        if endpoint is None:
            return "resource-unknown"
        parameters = Parameters(request.query)
        try:
            after = parameters.seconds("accept_after_ms")
            decision = endpoint(connection, request, parameters)
        except InvalidParameter:
            return "query-invalid"
        if isinstance(decision, Accept | Refuse) and after:
            return replace(decision, after=after)
        return decision

    def http(self, connection: Connection, stream: RequestStream) -> None:
        """Answer an ordinary request."""
        request = stream.request
        assert request is not None
        if request.path != "/http":
            connection.respond(stream.id, 404)
            return
        if request.method not in (b"GET", b"HEAD"):
            connection.respond(stream.id, 405)
            return
        parameters = Parameters(request.query)
        try:
            body = pattern(parameters.number("bytes", 16, most=MAX_BYTES))
            after = parameters.seconds("after_ms")
        except InvalidParameter:
            connection.respond(stream.id, 400)
            return
        content = body if request.method == b"GET" else b""
        connection.server.after(after, lambda: _answer(connection, stream.id, content))


def _answer(connection: Connection, stream_id: int, content: bytes) -> None:
    headers = connection.headers(stream_id, connection.behaviour.response_fields(200, None))
    connection.send(stream_id, headers + (data_frame(content) if content else b""), end=True)
    connection.sessions.refused(stream_id)
