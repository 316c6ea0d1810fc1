"""Choices of HTTP/3 and QPACK: reactions, responses, what is left out and what is added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from conformance.deviants.choices.definition import choice, instead, on_accept, on_connect
from conformance.deviants.definition import override
from conformance.peer.capsules import capsule
from conformance.peer.codepoints import H3, FrameType, reserved
from conformance.peer.drafts import DraftFacts
from conformance.peer.h3frames import frame, headers_frame
from conformance.peer.model import RULES, Behaviour
from conformance.peer.model.engine import Connection
from conformance.peer.model.requests import RequestStream
from conformance.peer.model.sessions import Session
from conformance.peer.qpack import Field, QpackError, encode_static
from conformance.peer.varint import varint

# Stream errors of requests, of the capsule protocol and of sessions.
_MALFORMED: Final = tuple(
    name for name, row in RULES.items() if row.scope == "request" and row.code == H3.MESSAGE_ERROR
)
_SESSION_ERRORS: Final = tuple(name for name, row in RULES.items() if row.scope == "session")
# Reactions that the texts leave open.
_OPEN: Final = (
    "data-after-close", "datagram-beyond-limit", "datagram-of-plain-request", "settings-duplicate",
    "settings-connect-protocol", "authority-host-differ", "priority-update-id", "request-priority-update",
    "scheme-not-https",
)  # fmt: skip


@choice("h3.refuses-by-status", "RFC 9114 §4.1.2: MAY send an HTTP response indicating the error")
def refuses_by_status(behaviour: Behaviour) -> None:
    """Answers malformed requests with 400."""
    for name in _MALFORMED:
        behaviour.rules.scope(name, "response", 400)


@choice("h3.raises-stream-errors", "RFC 9114 §8: MAY choose to treat a stream error as a connection error")
def raises_stream_errors(behaviour: Behaviour) -> None:
    """Closes the connection with the code of a stream error."""
    for name in (*_MALFORMED, *_SESSION_ERRORS):
        behaviour.rules.scope(name, "connection")


@choice("h3.open-readings", "AMB-03, AMB-11, AMB-13; RFC 9114 §7.2.4; RFC 9297 §2.1")
def open_readings(behaviour: Behaviour) -> None:
    """Reads what the texts leave open the other way."""
    for name in _OPEN:
        behaviour.rules.skip(name)
    behaviour.rules.scope("bidi-header-truncated", "connection", int(H3.FRAME_ERROR))
    behaviour.rules.scope("stream-of-plain-request", "connection", int(H3.ID_ERROR))
    behaviour.rules.scope("connect-unsupported", "response", 501)
    behaviour.rules.scope("request-oversized", "connection", int(H3.EXCESSIVE_LOAD))


@choice("h3.discards-unknown-streams", "RFC 9114 §6.2: MUST either abort reading or discard incoming data")
def discards_unknown_streams(behaviour: Behaviour) -> None:
    """Discards streams of unknown types without a word."""
    behaviour.rules.ignore("unknown-uni-stream")


@choice("h3.stops-with-reserved-code", "RFC 9114 §6.2: H3_STREAM_CREATION_ERROR or a reserved error code")
def stops_with_reserved_code(behaviour: Behaviour) -> None:
    """Stops streams of unknown types with a reserved code."""
    behaviour.rules.code("unknown-uni-stream", reserved(11))


@choice(
    "h3.no-qpack-streams",
    "RFC 9204 §4.2: MAY avoid creating an encoder stream, and a decoder stream",
    without=("qpack-table.",),
)
def no_qpack_streams(behaviour: Behaviour) -> None:
    """Opens no QPACK streams and has no dynamic table."""
    behaviour.table_capacity = behaviour.blocked_streams = 0
    override(behaviour, "qpack_streams", lambda _original: (b"", b""))


@choice(
    "h3.no-table",
    "RFC 9204 §3.2.3: with a maximum of zero the encoder MUST NOT send any instructions",
    without=("qpack-table.",),
)
def no_table(behaviour: Behaviour) -> None:
    """Has no dynamic table, and takes every instruction for it as an error."""
    behaviour.table_capacity = behaviour.blocked_streams = 0

    def instructions(data: bytes) -> list[int]:
        raise QpackError(f"{len(data)} bytes for a table that does not exist")

    def connected(connection: Connection) -> None:
        instead(connection.decoder, "feed", instructions)

    on_connect(behaviour, connected)


@choice(
    "h3.never-blocked",
    "RFC 9204 §5, §2.2.2.3: SETTINGS_QPACK_BLOCKED_STREAMS may be zero; the decoder chooses when it reports",
    without=("qpack-table.",),
)
def never_blocked(behaviour: Behaviour) -> None:
    """Has a dynamic table, lets no stream wait for it, and reports no inserts."""
    behaviour.blocked_streams = 0


@choice(
    "h3.refers-to-nothing",
    "RFC 9204 §2.1: an encoder MAY insert any entry that it chooses",
    without=("qpack-table.encoder-",),
)
def refers_to_nothing(behaviour: Behaviour) -> None:
    """Encodes with the static table alone, whatever the client allows."""
    override(behaviour, "section_encoder", lambda _original, _capacity, _blocked: None)


@choice("h3.greases", "RFC 9114 §6.2.3, §7.2.8; RFC 9297 §5.4: reserved types may be sent wherever possible")
def greases(behaviour: Behaviour) -> None:
    """Sends reserved streams, frames and capsules of its own."""

    def connected(connection: Connection) -> None:
        stream = connection.quic.next_stream_id(unidirectional=True)
        connection.send(stream, varint(reserved(9)) + b"grease", end=True)

    def accepted(session: Session) -> None:
        session.connection.send(session.id, frame(reserved(17), b"grease"))
        session.send_capsule(capsule(0x29 * 77 + 0x17, b"grease"))

    on_connect(behaviour, connected)
    on_accept(behaviour, accepted)
    override(behaviour, "control_stream", lambda original: original() + frame(reserved(3), b"grease"))


@choice("h3.other-responses", "draft-16 §3.2: any 2xx status; RFC 9297 §3.4: SHOULD send Capsule-Protocol")
def other_responses(behaviour: Behaviour) -> None:
    """Accepts sessions with 201 and further fields."""

    def fields(
        original: Callable[..., list[Field]],
        status: int,
        facts: DraftFacts | None,
        extra: Sequence[Field] = (),
    ) -> list[Field]:
        usual = original(status, facts, extra)
        if facts is None or not 200 <= status <= 299:
            return [*usual, (b"server", b"x")]
        return [(b":status", b"201"), (b"capsule-protocol", b"?1"), (b"server", b"x"), *usual[1:]]

    override(behaviour, "response_fields", fields)


@choice("h3.interim-responses", "RFC 9114 §4.1: zero or more interim responses")
def interim_responses(behaviour: Behaviour) -> None:
    """Sends 103 ahead of each response."""

    def connected(connection: Connection) -> None:
        send, answered = connection.send, set[int]()

        def with_interim(stream_id: int, data: bytes, *, end: bool = False) -> None:
            request = isinstance(connection.receivers.get(stream_id), RequestStream)
            first = data[:1] == bytes([FrameType.HEADERS]) and stream_id not in answered
            if request and first:
                answered.add(stream_id)
                data = headers_frame(encode_static([(b":status", b"103")])) + data
            send(stream_id, data, end=end)

        instead(connection, "send", with_interim)

    on_connect(behaviour, connected)


@choice("h3.rejects-plain-requests", "RFC 9110 §15.6.2; RFC 9114 §4.1.1: MAY reject before any processing")
def rejects_plain_requests(behaviour: Behaviour) -> None:
    """Serves nothing but WebTransport: other requests are rejected at once."""
    behaviour.rules.scope("connect-unsupported", "request", int(H3.REQUEST_REJECTED))
    behaviour.rules.scope("request-incomplete", "request", int(H3.REQUEST_INCOMPLETE))


@choice("h3.slow", "no text sets a time")
def slow(behaviour: Behaviour) -> None:
    """Takes half a second to accept a session."""
    behaviour.accept_delay = 0.5
