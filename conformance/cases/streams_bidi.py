"""Bidirectional WebTransport streams (draft-16 §4, §4.3)."""

from __future__ import annotations

from conformance.harness.case import SINCE_07, case
from conformance.harness.run import Run
from conformance.harness.vocabulary import tail
from conformance.peer.codepoints import FrameType, reserved
from conformance.peer.h3frames import frame
from conformance.peer.varint import MAX_VARINT, varint
from conformance.peer.wtheaders import bidi_header

FRAME_ERROR = 0x0106


@case(
    "streams-bidi.session-id-not-client-bidi",
    "WT-4-07",
    variants={"server-bidi": 1, "client-uni": 2, "server-uni": 3},
    negative=True,
    witness="draft-16 §4, RFC 9000 §2.1: the two least significant bits name the initiator",
)
def session_id_not_client_bidi(run: Run) -> None:
    """A bidirectional stream with a session ID that no client-initiated bidirectional stream can have.

    draft-16 §4 (and -02 §4): the recipient closes the connection with H3_ID_ERROR.
    """
    session = run.establish()
    session_id = run.vary(good=session.id, bad=session.id + run.variant)
    run.peer.open_bidi(bidi_header(session_id) + b"x")
    run.expect("WT-4-07", "connection-error", code=0x0108, session=session)


@case(
    "streams-bidi.session-id-maximum",
    "WT-4-07",
    negative=True,
    witness="2^62-1 modulo 4 is 3: RFC 9000 §2.1",
)
def session_id_maximum(run: Run) -> None:
    """The largest session ID that can be encoded is no client-initiated bidirectional stream either.

    draft-16 §4: H3_ID_ERROR.
    """
    session = run.establish()
    session_id = run.vary(good=session.id, bad=MAX_VARINT)
    run.peer.open_bidi(varint(FrameType.WT_STREAM) + varint(session_id, 8) + b"x")
    run.expect("WT-4-07", "connection-error", code=0x0108, session=session)


@case(
    "streams-bidi.echo",
    "WT-4.3-04",
    "WT-4.3-05",
    witness="draft-16 §4.3: only the initiator's direction has a header",
)
def echo(run: Run) -> None:
    """The returning direction of a stream is the bare body, without signal and session ID.

    draft-16 §4.3: the signal value and the session ID are sent by the initiator of the stream.
    """
    run.need_echo("bidi")
    session = run.establish()
    body = bytes(range(256)) * 8
    stream = session.open_bidi(body, end_stream=True)
    run.peer.wait(lambda: stream.done)
    run.check("WT-4.3-05", "echoed body", "==", body.hex(), tail(stream.received, body).hex())
    has_header = stream.received.startswith(bidi_header(session.id))
    run.check("WT-4.3-04", "the returning direction begins with a header", "is", False, has_header)


@case(
    "streams-bidi.long-encodings",
    "WT-4.3-13",
    variants={"signal-4-bytes": (4, None), "signal-8-bytes": (8, None)},
    witness="RFC 9000 §16 allows every length",
)
@case(
    "streams-bidi.long-encodings",
    "WT-4-12",
    variants={"id-4-bytes": (None, 4)},
    witness="RFC 9000 §16 allows every length",
)
def long_encodings(run: Run) -> None:
    """Signal and session ID in a longer encoding than needed are the same numbers.

    RFC 9000 §16.
    """
    run.need_echo("bidi")
    session = run.establish()
    type_length, id_length = run.variant
    header = bidi_header(session.id, type_length=type_length, id_length=id_length)
    stream = run.peer.open_bidi(header + b"long encodings", end_stream=True)
    requirement = run.case.requirements[0]
    run.expect(requirement, "tolerated", session=session)
    run.peer.wait(lambda: stream.done)
    run.check(
        requirement,
        "echoed body",
        "==",
        b"long encodings".hex(),
        tail(stream.received, b"long encodings").hex(),
    )


@case("streams-bidi.empty", "WT-4.3-18", witness="draft-16 §4.3: Stream Data (..) may be empty")
def empty(run: Run) -> None:
    """A bidirectional stream with header and FIN only is a valid empty stream.

    draft-16 §4.3.
    """
    session = run.establish()
    session.open_bidi(b"", end_stream=True)
    run.expect("WT-4.3-18", "tolerated", session=session)


@case(
    "streams-bidi.body-not-parsed",
    "WT-4.3-15",
    witness="draft-16 §4.3: the rest of the stream is the application's",
)
def body_not_parsed(run: Run) -> None:
    """Bytes of the body that look like HTTP/3 frames are not parsed.

    draft-16 §4.3: behind the session ID everything is application payload.
    """
    run.need_echo("bidi")
    session = run.establish()
    body = (
        frame(FrameType.SETTINGS, b"\x33\x02")
        + frame(FrameType.GOAWAY, b"\x01")
        + frame(FrameType.HEADERS, b"\xff" * 8)
        + frame(0x02, b"priority")
        + varint(FrameType.WT_STREAM)
    )
    stream = session.open_bidi(body, end_stream=True)
    run.expect("WT-4.3-15", "tolerated", session=session)
    run.peer.wait(lambda: stream.done)
    run.check("WT-4.3-15", "echoed body", "==", body.hex(), tail(stream.received, body).hex())


@case(
    "streams-bidi.directions-independent",
    "WT-4.3-14",
    witness="RFC 9000 §3: each direction has its own state",
)
def directions_independent(run: Run) -> None:
    """After the FIN of the client's direction the target still sends the rest and its own FIN.

    draft-16 §4.3, RFC 9000 §3.
    """
    run.need_echo("bidi")
    session = run.establish()
    body = b"independent" * 2000
    stream = session.open_bidi(body, end_stream=True)
    run.transferred(lambda: stream.done)
    run.check("WT-4.3-14", "received the FIN", "is", True, stream.ended)
    run.check("WT-4.3-14", "received the body", "is", True, stream.received.endswith(body))


@case("streams-bidi.none-before-connect", "WT-4.3-03", witness="draft-16 §4.3: streams belong to a session")
def none_before_connect(run: Run) -> None:
    """Before a session is requested the target opens no bidirectional stream.

    draft-16 §4.3: a server-initiated bidirectional stream belongs to a session that was asked for.
    """
    run.connect()
    run.peer.fence(None)
    opened = sorted({event.stream_id for event in run.stream_data() if event.stream_id % 4 == 1})
    run.check("WT-4.3-03", "server-initiated bidirectional streams", "==", [], opened)


@case("streams-bidi.request-limit", "H3-6.1-01", witness="transport parameter 0x08: RFC 9000 §18.2")
def request_limit(run: Run) -> None:
    """At least 100 request streams are permitted at a time.

    RFC 9114 §6.1 (SHOULD): initial_max_streams_bidi of 100 or more.
    """
    run.connect()
    run.check("H3-6.1-01", "initial_max_streams_bidi", ">=", 100, run.transport_parameter(0x08))


@case(
    "streams-bidi.signal-on-connect-stream",
    "WT-4.3-07",
    drafts=SINCE_07,
    negative=True,
    witness="draft-16 §4.3: any other circumstances are H3_FRAME_ERROR",
)
def signal_on_connect_stream(run: Run) -> None:
    """WT_STREAM on the CONNECT stream, behind the request, is not at the beginning of a stream.

    draft-16 §4.3: a connection error of type H3_FRAME_ERROR. The twin sends an unknown frame there.
    """
    session = run.establish()
    frame_type = run.vary(good=reserved(1), bad=int(FrameType.WT_STREAM))
    session.send(varint(frame_type, 8) + varint(0))
    run.expect("WT-4.3-07", "connection-error", code=FRAME_ERROR, session=session)


@case(
    "streams-bidi.signal-after-frame",
    "WT-4.3-08",
    drafts=SINCE_07,
    negative=True,
    witness="draft-16 §4.3: only as the first bytes of a stream",
)
def signal_after_frame(run: Run) -> None:
    """WT_STREAM behind a reserved frame on a new request stream is not at the beginning of the stream.

    draft-16 §4.3: H3_FRAME_ERROR (draft-02 §4.2 allowed it). The twin leaves the reserved frame out.
    """
    session = run.establish()
    before = run.vary(good=b"", bad=frame(reserved(0), b"grease"))
    run.peer.open_bidi(before + bidi_header(session.id) + b"x")
    run.expect("WT-4.3-08", "connection-error", code=FRAME_ERROR, session=session)


@case(
    "streams-bidi.signal-on-control-stream",
    "WT-4.3-09",
    drafts=SINCE_07,
    negative=True,
    witness="draft-16 §4.3: any other circumstances are H3_FRAME_ERROR",
)
def signal_on_control_stream(run: Run) -> None:
    """WT_STREAM on the control stream, behind SETTINGS, is a connection error of type H3_FRAME_ERROR.

    draft-16 §4.3. The twin sends a reserved frame type with the same bytes behind it.
    """
    session = run.establish()
    frame_type = run.vary(good=reserved(1), bad=int(FrameType.WT_STREAM))
    run.control.send(varint(frame_type, 8) + varint(0))
    run.expect("WT-4.3-09", "connection-error", code=FRAME_ERROR, session=session)


@case(
    "streams-bidi.signal-after-request",
    "WT-4.3-11",
    drafts=SINCE_07,
    negative=True,
    version=2,
    witness="draft-16 §4.3: any other circumstances are H3_FRAME_ERROR",
)
def signal_after_request(run: Run) -> None:
    """WT_STREAM behind the HEADERS of an ordinary request is a connection error of type H3_FRAME_ERROR.

    draft-16 §4.3. The twin sends an unknown frame there, which is skipped (RFC 9114 §9). A server that
    answers early or gives up reading the request need not look at what follows (RFC 9114 §4.1).
    """
    session = run.establish()
    request = run.get()
    frame_type = run.vary(good=reserved(1), bad=int(FrameType.WT_STREAM))
    request.send(varint(frame_type, 8) + varint(0))
    run.expect(
        "WT-4.3-11",
        "connection-error-if-read",
        code=FRAME_ERROR,
        stream=request,
        session=session,
        twin="connection-survives",
    )


@case("streams-bidi.fin-behind-signal", "WT-4.3-17", drafts=SINCE_07, witness="AMB-13")
def fin_behind_signal(run: Run) -> None:
    """A stream that ends behind the signal, without a session ID: no text says what it means.

    draft-16 §4.3; recorded only.
    """
    session = run.establish()
    stream = run.peer.open_bidi(varint(FrameType.WT_STREAM), end_stream=True)
    run.expect("WT-4.3-17", "any", session=session, stream=stream)
