"""Streams and datagrams that overtake their session (draft-16 §4.6)."""

from __future__ import annotations

from conformance.harness.case import case
from conformance.harness.run import Run
from conformance.harness.vocabulary import tail
from conformance.peer.codepoints import WT
from conformance.peer.errorcodes import FIRST
from conformance.peer.events import StopSending, StreamReset
from conformance.peer.h3frames import headers_frame
from conformance.peer.qpack import encode_literal
from conformance.peer.wtheaders import bidi_header, uni_header


@case(
    "buffering.early-streams",
    "WT-4.6-02",
    "WT-4.6-08",
    "WT-4-02",
    witness="draft-16 §4.6: SHOULD buffer streams and datagrams",
)
def early_streams(run: Run) -> None:
    """Streams that arrive before their CONNECT are held back and delivered completely afterwards.

    draft-16 §4.6 (SHOULD): a rejection with WT_BUFFERED_STREAM_REJECTED is the only other sane outcome.
    """
    run.need_echo("bidi")
    peer = run.connect()
    body = bytes(range(250)) * 40
    request = run.reserve()
    stream = peer.open_bidi(bidi_header(request.id) + body, end_stream=True)
    run.flush()
    peer.fence()
    request.send(headers_frame(encode_literal(run.good_fields())))
    peer.wait(lambda: request.answered)
    run.check("WT-4-02", "the session was accepted", "is", True, request.established)
    peer.wait(lambda: stream.done)
    event = stream.reset_event or stream.stop_event
    rejected = event is not None and event.error_code == int(WT.BUFFERED_STREAM_REJECTED)
    echoed = tail(stream.received, body) == body
    run.check("WT-4.6-02", "held back or rejected", "is", True, echoed or rejected)
    if not rejected:
        run.check("WT-4.6-08", "the early body came back whole", "is", True, echoed, broken="non_strict")
    else:
        run.informational("WT-4.6-08", "the early stream was rejected", True)


@case(
    "buffering.bounded",
    "WT-4.6-05",
    "WT-4.6-04",
    "WT-4.6-07",
    witness="draft-16 §4.6: SHALL be closed with WT_BUFFERED_STREAM_REJECTED",
)
def bounded(run: Run) -> None:
    """Streams for a session that does not come are bounded: those over the bound are rejected.

    draft-16 §4.6: any rejection carries WT_BUFFERED_STREAM_REJECTED and is no connection error. That
    none is seen is recorded: QUIC's own limits may bound the streams.
    """
    peer = run.connect()
    request = run.reserve()
    for _ in range(40):
        peer.open_uni(uni_header(request.id) + b"early")
    run.flush()
    peer.fence()
    codes = [event.error_code for event in peer.events.of(StopSending, sent=False)]
    codes += [event.error_code for event in peer.events.of(StreamReset, sent=False)]
    others = sorted({code for code in codes if code != int(WT.BUFFERED_STREAM_REJECTED)})
    run.check("WT-4.6-05", "other codes than WT_BUFFERED_STREAM_REJECTED", "==", [], others)
    run.informational("WT-4.6-04", "streams were rejected", bool(codes))
    request.send(headers_frame(encode_literal(run.good_fields())))
    run.mark()
    run.expect("WT-4.6-07", "established", stream=request)


@case("buffering.datagrams-bounded", "WT-4.6-06", witness="draft-16 §4.6: a datagram SHALL be dropped")
def datagrams_bounded(run: Run) -> None:
    """Datagrams for a session that does not come are dropped silently.

    draft-16 §4.6, RFC 9297 §2.1: no error; the session is still established afterwards.
    """
    peer = run.connect()
    for _ in range(200):
        peer.send_datagram_raw(b"\x00early")
    run.flush()
    peer.fence()
    request = run.request()
    run.expect("WT-4.6-06", "established", stream=request)


@case("buffering.session-rejected", "WT-4.6-09", needs=("reject",), witness="AMB-12")
def session_rejected(run: Run) -> None:
    """Streams buffered for a CONNECT that fails go away with some code; the connection goes on.

    draft-16 §4.6, §6: which code is open (AMB-12).
    """
    path = run.endpoint("reject", status=403)
    peer = run.connect()
    request = run.reserve()
    stream = peer.open_bidi(bidi_header(request.id) + b"early")
    run.flush()
    request.send(headers_frame(encode_literal(run.good_fields(path))))
    peer.wait(lambda: request.answered)
    run.expect("WT-4.6-09", "buffered-stream-rejected", stream=stream)


@case(
    "buffering.optimistic",
    "WT-4-01",
    "WT-4-02",
    witness="draft-16 §4: the client MAY optimistically open streams",
)
def optimistic(run: Run) -> None:
    """Streams sent in one flight with the CONNECT belong to the session once it is accepted.

    draft-16 §4, §4.6.
    """
    run.need_echo("bidi")
    run.connect()
    request = run.request()
    stream = request.open_bidi(b"optimistic", end_stream=True)
    request.open_uni(b"optimistic", end_stream=True)
    run.expect("WT-4-01", "established", stream=request)
    run.peer.wait(lambda: stream.done)
    run.check("WT-4-02", "echo", "==", b"optimistic".hex(), tail(stream.received, b"optimistic").hex())


@case(
    "buffering.unknown-session",
    "WT-4-13",
    variants={"ordinary-request": "get"},
    witness="AMB-11",
)
@case(
    "buffering.unknown-session",
    "WT-4-14",
    variants={"beyond-limit": "beyond"},
    witness="AMB-11",
)
def unknown_session(run: Run) -> None:
    """A session ID that names an ordinary request, or one far beyond the stream limit, is undefined.

    draft-16 §4; recorded only.
    """
    session = run.establish()
    session_id = run.get().id if run.variant == "get" else (1 << 62) - 4
    stream = run.peer.open_uni(uni_header(session_id) + b"whose?")
    run.expect(run.case.requirements[0], "any", session=session, stream=stream)


@case("buffering.codes", "WT-9-01", witness="draft-16 §9.5: the registered values")
def codes(run: Run) -> None:
    """Error codes of streams that are given up are registered ones or application codes.

    draft-16 §9.5; recorded only, since any code is allowed where none is named.
    """
    session = run.establish()
    stream = session.open_bidi(b"open")
    run.peer.wait(lambda: stream.received_length > 0)
    session.close(0, b"")
    run.peer.wait(lambda: stream.done)
    code = stream.reset_event.error_code if stream.reset_event is not None else None
    kind = "none" if code is None else "application" if code >= FIRST else hex(code)
    run.informational("WT-9-01", "code on a stream of an ended session", kind)
