"""Frames on request streams, the CONNECT stream among them (RFC 9114 §4.1, §4.4, §7)."""

from __future__ import annotations

from conformance.harness.case import SINCE_14, case
from conformance.harness.run import Run
from conformance.harness.vocabulary import OPAQUE, TRAP
from conformance.peer.codepoints import FrameType, reserved
from conformance.peer.h3frames import frame, headers_frame
from conformance.peer.qpack import encode_literal
from conformance.peer.varint import varint

FRAME_UNEXPECTED = 0x0105
FRAME_ERROR = 0x0106
REQUEST_INCOMPLETE = 0x010D
# A frame type that nobody has registered and that is none of the reserved ones.
UNASSIGNED = 0x3FFF77


@case(
    "request-stream.data-first",
    "H3-4.1-02",
    negative=True,
    witness="RFC 9114 §4.1: an invalid sequence of frames",
)
def data_first(run: Run) -> None:
    """DATA ahead of HEADERS is a connection error of type H3_FRAME_UNEXPECTED.

    RFC 9114 §4.1. The twin sends a reserved frame type first.
    """
    session = run.establish()
    frame_type = run.vary(good=reserved(0), bad=int(FrameType.DATA))
    run.peer.open_bidi(
        frame(frame_type, b"first") + headers_frame(encode_literal(run.get_fields())), end_stream=True
    )
    run.expect("H3-4.1-02", "connection-error", code=FRAME_UNEXPECTED, session=session)


@case(
    "request-stream.frame-after-connect",
    "H3-4.4-01",
    variants={
        "headers": (FrameType.HEADERS, encode_literal([(b"x-trailer", b"1")])),
        "settings": (FrameType.SETTINGS, b""),
        "goaway": (FrameType.GOAWAY, varint(0)),
        "max-push-id": (FrameType.MAX_PUSH_ID, varint(0)),
        "cancel-push": (FrameType.CANCEL_PUSH, varint(0)),
        "push-promise": (FrameType.PUSH_PROMISE, varint(0)),
    },
    negative=True,
    witness="RFC 9114 §4.4: any other known frame type MUST be treated as H3_FRAME_UNEXPECTED",
)
def frame_after_connect(run: Run) -> None:
    """On an established CONNECT stream every known frame but DATA is a connection error.

    RFC 9114 §4.4: H3_FRAME_UNEXPECTED. The twin sends a reserved frame type with the same payload.
    """
    session = run.establish()
    known, payload = run.variant
    frame_type = run.vary(good=reserved(1), bad=int(known))
    session.send(frame(frame_type, payload))
    run.expect("H3-4.4-01", "connection-error", code=FRAME_UNEXPECTED, session=session)


@case(
    "request-stream.control-frame",
    "H3-7.2-02",
    variants={
        "settings": (FrameType.SETTINGS, b""),
        "max-push-id": (FrameType.MAX_PUSH_ID, varint(0)),
        "cancel-push": (FrameType.CANCEL_PUSH, varint(0)),
    },
    negative=True,
    witness="RFC 9114 §7.2.3, §7.2.4, §7.2.7: H3_FRAME_UNEXPECTED",
)
def control_frame(run: Run) -> None:
    """A frame of the control stream on a request stream is a connection error.

    RFC 9114 §7.2: H3_FRAME_UNEXPECTED. The twin sends a reserved frame type with the same payload.
    """
    session = run.establish()
    known, payload = run.variant
    frame_type = run.vary(good=reserved(1), bad=int(known))
    run.peer.open_bidi(
        frame(frame_type, payload) + headers_frame(encode_literal(run.get_fields())), end_stream=True
    )
    run.expect("H3-7.2-02", "connection-error", code=FRAME_UNEXPECTED, session=session)


@case(
    "request-stream.http2-frame",
    "H3-7.2-09",
    variants={"priority": 0x02, "ping": 0x06, "window-update": 0x08, "continuation": 0x09},
    negative=True,
    witness="RFC 9114 §7.2.8: MUST be treated as H3_FRAME_UNEXPECTED",
    version=2,
)
def http2_frame(run: Run) -> None:
    """Frame types that only HTTP/2 uses are an error on the CONNECT stream as well.

    RFC 9114 §7.2.8.
    """
    session = run.establish()
    frame_type = run.vary(good=reserved(2), bad=run.variant)
    session.send(frame(frame_type, OPAQUE))
    run.expect("H3-7.2-09", "connection-error", code=FRAME_UNEXPECTED, session=session)


@case(
    "request-stream.frame-cut-by-fin",
    "H3-7.1-02",
    negative=True,
    witness="RFC 9114 §7.1: H3_FRAME_ERROR",
    version=2,
)
def frame_cut_by_fin(run: Run) -> None:
    """A frame cut off by the end of the stream is a connection error of type H3_FRAME_ERROR.

    RFC 9114 §7.1. The frame announces one byte more than follows; the unknown capsule in it is complete,
    so that no rule of the capsule protocol is broken. The twin announces what it has.
    """
    session = run.establish()
    capsule = b"\x17\x08" + bytes(8)
    length = run.vary(good=len(capsule), bad=len(capsule) + 1)
    session.send(varint(FrameType.DATA) + varint(length) + capsule, end_stream=True)
    run.expect("H3-7.1-02", "connection-error", code=FRAME_ERROR, session=session, twin="session-closed")


@case(
    "request-stream.incomplete", "H3-4.1-05", witness="RFC 9114 §4.1: SHOULD abort with H3_REQUEST_INCOMPLETE"
)
def incomplete(run: Run) -> None:
    """A request stream that ends without a request is answered with H3_REQUEST_INCOMPLETE.

    RFC 9114 §4.1 (SHOULD).
    """
    session = run.establish()
    stream = run.peer.open_bidi(b"", end_stream=True)
    run.expect("H3-4.1-05", "stream-error", code=REQUEST_INCOMPLETE, stream=stream, session=session)


@case(
    "request-stream.unknown-frames",
    "H3-4.1-04",
    "H3-7.2-10",
    variants={"before": "before", "after": "after", "large": "large"},
    witness="RFC 9114 §4.1, §9: unknown frame types are ignored",
    version=2,
)
def unknown_frames(run: Run) -> None:
    """Unknown and reserved frames before and behind the HEADERS of a session request are skipped.

    RFC 9114 §4.1, §7.2.8, §9. The payload of the unassigned type would be SETTINGS if it were parsed.
    """
    run.connect()
    size = 100_000 if run.variant == "large" else 10
    extra = frame(reserved(5), bytes(size)) + frame(UNASSIGNED, TRAP)
    request = run.reserve()
    headers = headers_frame(encode_literal(run.good_fields()))
    request.send(headers + extra if run.variant == "after" else extra + headers)
    if size <= 10:
        run.expect("H3-4.1-04", "established", stream=request, also=("H3-7.2-10",), keep_mark=True)
    run.expect("H3-4.1-04", "tolerated-large" if size > 10 else "tolerated", session=request)


@case("request-stream.second-headers", "H3-4.1-01", witness="RFC 9114 §4.1")
def second_headers(run: Run) -> None:
    """A second request on the same stream is malformed.

    RFC 9114 §4.1: it can be read as trailers, so two rules meet, with a stream error and a connection error;
    recorded only.
    """
    session = run.establish()
    fields = headers_frame(encode_literal(run.get_fields()))
    stream = run.peer.open_bidi(fields + fields)
    run.expect("H3-4.1-01", "any", stream=stream, session=session)


@case(
    "request-stream.priority-update",
    "PRI-7-01",
    drafts=SINCE_14,
    witness="RFC 9218 §7.2, binding only where it is implemented",
)
def priority_update(run: Run) -> None:
    """A PRIORITY_UPDATE on a request stream is an error where RFC 9218 is implemented.

    RFC 9218 §7.2: H3_FRAME_UNEXPECTED; skipped as an unknown frame elsewhere, so it is recorded only.
    """
    session = run.establish()
    session.send(frame(FrameType.PRIORITY_UPDATE_REQUEST, varint(session.id) + b"u=1"))
    run.expect("PRI-7-01", "any", session=session)


@case(
    "request-stream.data-after-trailers", "H3-4.1-01", witness="RFC 9114 §4.1: an invalid sequence of frames"
)
def data_after_trailers(run: Run) -> None:
    """DATA behind the trailer section of an ordinary request.

    RFC 9114 §4.1: H3_FRAME_UNEXPECTED; a server that has answered by then need not read on, so it is
    recorded only.
    """
    session = run.establish()
    trailers = headers_frame(encode_literal([(b"x-trailer", b"1")]))
    request = headers_frame(encode_literal(run.get_fields()))
    stream = run.peer.open_bidi(request + trailers + frame(FrameType.DATA, b"late"))
    run.expect("H3-4.1-01", "any", stream=stream, session=session)
