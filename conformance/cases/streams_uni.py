"""Unidirectional WebTransport streams (draft-16 §4, §4.2)."""

from __future__ import annotations

from conformance.harness.case import case
from conformance.harness.run import Run
from conformance.peer.codepoints import StreamType, reserved
from conformance.peer.events import WtStream
from conformance.peer.varint import MAX_VARINT, read_varint, varint
from conformance.peer.wtheaders import uni_header

# draft-16 §4.2: 0x54 does not fit into six bits, so its shortest encoding is 40 54 (RFC 9000 §16).
HEADER_WITNESS = "bytes 40 54 00 for session 0: draft-16 §4.2 and RFC 9000 §16"


@case(
    "streams-uni.session-id-not-client-bidi",
    "WT-4-06",
    variants={"server-bidi": 1, "client-uni": 2, "server-uni": 3},
    negative=True,
    witness="webtransport-go 0.13 and wtransport 0.7 close with H3_ID_ERROR",
)
def session_id_not_client_bidi(run: Run) -> None:
    """A unidirectional stream with a session ID that no client-initiated bidirectional stream can have.

    draft-16 §4 (and -02 §4): the recipient closes the connection with H3_ID_ERROR.
    """
    session = run.establish()
    session_id = run.vary(good=session.id, bad=session.id + run.variant)
    run.peer.open_uni(uni_header(session_id) + b"x")
    run.expect("WT-4-06", "connection-error", code=0x0108, session=session)


@case(
    "streams-uni.session-id-maximum",
    "WT-4-06",
    negative=True,
    witness="2^62-1 modulo 4 is 3: RFC 9000 §2.1",
)
def session_id_maximum(run: Run) -> None:
    """The largest session ID that can be encoded is no client-initiated bidirectional stream either.

    draft-16 §4: H3_ID_ERROR; the eight-byte encoding is what differs from the small IDs.
    """
    session = run.establish()
    session_id = run.vary(good=session.id, bad=MAX_VARINT)
    run.peer.open_uni(varint(StreamType.WEBTRANSPORT) + varint(session_id, 8) + b"x")
    run.expect("WT-4-06", "connection-error", code=0x0108, session=session)


@case(
    "streams-uni.long-encodings",
    "WT-4.2-02",
    variants={"type-4-bytes": (4, None), "type-8-bytes": (8, None)},
    witness="RFC 9000 §16 allows every length; RFC 9114 has no rule of minimal length",
)
@case(
    "streams-uni.long-encodings",
    "WT-4-12",
    variants={"id-2-bytes": (None, 2), "id-8-bytes": (None, 8)},
    witness="RFC 9000 §16 allows every length; RFC 9114 has no rule of minimal length",
)
def long_encodings(run: Run) -> None:
    """Stream type and session ID in a longer encoding than needed are the same numbers.

    RFC 9000 §16: the integers need not be encoded in the shortest way.
    """
    run.need_echo("uni")
    session = run.establish()
    type_length, id_length = run.variant
    header = uni_header(session.id, type_length=type_length, id_length=id_length)
    run.peer.open_uni(header + b"long encodings", end_stream=True)
    requirement = run.case.requirements[0]
    run.expect(requirement, "tolerated", session=session)
    run.check(
        requirement,
        "echoed body",
        "==",
        b"long encodings".hex(),
        run.uni_echo(session, b"long encodings").hex(),
    )


@case("streams-uni.echo", "WT-4.2-01", "WT-4.2-05", "WT-4-05", witness=HEADER_WITNESS, version=2)
def echo(run: Run) -> None:
    """A stream opened by the target begins with 0x54 and the session ID; the body comes back unchanged.

    draft-16 §4.2, §4: type, session ID of an open CONNECT stream, then the bytes of the application. The type
    may be encoded longer than needed (RFC 9000 §16).
    """
    run.need_echo("uni")
    session = run.establish()
    body = bytes(range(256)) * 8
    session.open_uni(body, end_stream=True)
    received = run.uni_echo(session, body)
    run.check("WT-4.2-05", "echoed body", "==", body.hex(), received.hex())
    stream = run.first_of(session, "uni")
    stream_type = read_varint(stream.received) if stream is not None else None
    first = None if stream_type is None else stream_type[0]
    run.check("WT-4.2-01", "type of the target's stream", "==", 0x54, first)
    ids = sorted({event.session_id for event in run.peer.events.of(WtStream, sent=False)})
    run.check("WT-4-05", "session IDs of the target's streams", "==", [session.id], ids)


@case(
    "streams-uni.header-split",
    "WT-4.2-03",
    witness="RFC 9000 §2.2: a stream is a sequence of bytes, not of frames",
)
def header_split(run: Run) -> None:
    """A stream header that arrives byte by byte is reassembled before any decision.

    draft-16 §4.2, RFC 9000 §2.2: frame boundaries of QUIC carry no meaning.
    """
    run.need_echo("uni")
    session = run.establish()
    stream = run.peer.open_uni()
    for byte in uni_header(session.id) + b"split":
        stream.send(bytes([byte]))
        run.flush()
    stream.finish()
    run.expect("WT-4.2-03", "tolerated", session=session)
    run.check("WT-4.2-03", "echoed body", "==", b"split".hex(), run.uni_echo(session, b"split").hex())


@case("streams-uni.empty", "WT-4.2-04", witness="draft-16 §4.2: Stream Data (..) may be empty")
def empty(run: Run) -> None:
    """A stream with a complete header, no body and FIN is a valid empty stream.

    draft-16 §4.2: the stream data field has no minimal length.
    """
    session = run.establish()
    session.open_uni(b"", end_stream=True)
    run.expect("WT-4.2-04", "tolerated", session=session)


@case(
    "streams-uni.fin-in-header",
    "WT-4.2-06",
    variants={
        "after-type": varint(StreamType.WEBTRANSPORT),
        "inside-type": b"\x40",
        "inside-id": b"\x40\x54\x40",
    },
    witness="RFC 9114 §6.2: a stream that ends before its type is complete is not an error",
)
def fin_in_header(run: Run) -> None:
    """A unidirectional stream that ends before its header is complete does not take the connection down.

    RFC 9114 §6.2: closing or resetting such a stream before the type is complete is tolerated; what a
    truncated session ID means is open, so only the inside of the type is judged in full.
    """
    session = run.establish()
    run.peer.open_uni(run.variant, end_stream=True)
    soft = None if run.variant == b"\x40" else "AMB-13: no rule for a header cut off behind the stream type"
    run.expect("WT-4.2-06", "tolerated", session=session, soft=soft)


@case(
    "streams-uni.unknown-type",
    "H3-6.2-03",
    "H3-6.2.3-01",
    variants={"reserved": reserved(0), "reserved-large": reserved(1 << 40), "unassigned": 0x3FFF1234},
    witness="RFC 9114 §6.2: the recipient must not consider unknown stream types to be an error",
)
def unknown_type(run: Run) -> None:
    """A unidirectional stream of an unknown or reserved type is discarded or stopped, nothing more.

    RFC 9114 §6.2, §6.2.3.
    """
    session = run.establish()
    run.peer.open_uni(varint(run.variant) + b"no meaning", end_stream=True)
    run.expect("H3-6.2-03", "tolerated", session=session)


@case(
    "streams-uni.ends-before-type",
    "H3-6.2-04",
    variants={"fin": "fin", "reset": "reset", "half-type": "half"},
    witness="RFC 9114 §6.2: must be tolerated",
)
def ends_before_type(run: Run) -> None:
    """Unidirectional streams closed or reset before their type is complete are tolerated.

    RFC 9114 §6.2.
    """
    session = run.establish()
    stream = run.peer.open_uni(b"\x40" if run.variant == "half" else b"")
    if run.variant == "reset":
        stream.reset(0x010C)
    else:
        stream.finish()
    run.expect("H3-6.2-04", "tolerated", session=session)


@case(
    "streams-uni.limits",
    "H3-6.2-01",
    "H3-6.2-02",
    witness="transport parameters 0x09 and 0x07: RFC 9000 §18.2",
)
def limits(run: Run) -> None:
    """The target permits at least three unidirectional streams, each with credit for 1024 bytes.

    RFC 9114 §6.2: at least three streams (MUST), at least 1024 bytes (SHOULD).
    """
    run.establish()
    run.check("H3-6.2-01", "initial_max_streams_uni", ">=", 3, run.transport_parameter(0x09))
    run.check("H3-6.2-02", "initial_max_stream_data_uni", ">=", 1024, run.transport_parameter(0x07))
