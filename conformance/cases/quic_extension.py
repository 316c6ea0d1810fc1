"""RESET_STREAM_AT, DATAGRAM frames and what else WebTransport needs of QUIC."""

from __future__ import annotations

from conformance.harness.case import SINCE_14, case
from conformance.harness.run import Run
from conformance.peer.errorcodes import to_http
from conformance.peer.varint import varint
from conformance.peer.wtheaders import uni_header

RESET_STREAM_AT = 0x24
CODE = to_http(7)


def need_extension(run: Run) -> None:
    """Demand that the target advertised the extension; raises Unsupported."""
    parameters = run.peer.quic.peer_transport_parameters
    run.need(
        0x1D in parameters or 0x17F7586D2CB571 in parameters, "it sent no reset_stream_at transport parameter"
    )


def reset_stream_at(stream_id: int, code: int, final_size: int, reliable_size: int) -> bytes:
    """Encode a RESET_STREAM_AT frame by hand (reliable-stream-reset-10 §4)."""
    return b"".join(varint(value) for value in (RESET_STREAM_AT, stream_id, code, final_size, reliable_size))


@case(
    "quic-extension.non-empty-parameter",
    "RSR-3-02",
    drafts=SINCE_14,
    negative=True,
    witness="reliable-stream-reset-10 §3: TRANSPORT_PARAMETER_ERROR",
    version=2,
)
def non_empty_parameter(run: Run) -> None:
    """A reset_stream_at transport parameter with a value is a connection error.

    reliable-stream-reset-10 §3: TRANSPORT_PARAMETER_ERROR, or a general code (RFC 9000 §11). Stacks of
    version -07 and before do not know 0x1d, so both code points carry the value. Who does not offer the
    extension at all ignores both (RFC 9000 §7.4.2).
    """
    offered = run.target.capabilities.transport_parameters
    run.need(0x1D in offered or 0x17F7586D2CB571 in offered, "it sent no reset_stream_at transport parameter")
    value = run.vary(good=b"", bad=b"\x01")
    parameters = {0x1D: value, 0x17F7586D2CB571: value}
    run.attempt(run.options(reset_stream_at=(), extra_transport_parameters=parameters))
    run.expect("RSR-3-02", "transport-error", code=0x08)


@case(
    "quic-extension.reliable-above-final",
    "RSR-4-02",
    drafts=SINCE_14,
    negative=True,
    witness="reliable-stream-reset-10 §4: FRAME_ENCODING_ERROR",
)
def reliable_above_final(run: Run) -> None:
    """A Reliable Size above the Final Size is a connection error.

    reliable-stream-reset-10 §4: FRAME_ENCODING_ERROR. The twin's sizes are equal.
    """
    session = run.establish()
    need_extension(run)
    stream = session.open_uni(b"body")
    run.flush()
    size = stream.sent_length
    run.peer.quic.inject_frames(reset_stream_at(stream.id, CODE, size, size + run.vary(good=0, bad=1)))
    run.expect("RSR-4-02", "transport-error", code=0x07, session=session)


@case(
    "quic-extension.final-beyond-credit",
    "RSR-4-04",
    drafts=SINCE_14,
    negative=True,
    witness="reliable-stream-reset-10 §4: FLOW_CONTROL_ERROR",
)
def final_beyond_credit(run: Run) -> None:
    """A Final Size beyond the target's credit is a connection error.

    reliable-stream-reset-10 §4, RFC 9000 §4.1: FLOW_CONTROL_ERROR. The twin's size is what was sent.
    """
    session = run.establish()
    need_extension(run)
    stream = session.open_uni(b"body")
    run.flush()
    size = run.vary(good=stream.sent_length, bad=1 << 50)
    run.peer.quic.inject_frames(reset_stream_at(stream.id, CODE, size, stream.header_length))
    run.expect("RSR-4-04", "transport-error", code=0x03, session=session)


@case(
    "quic-extension.reliable-zero",
    "RSR-5-03",
    drafts=SINCE_14,
    witness="reliable-stream-reset-10 §5: a Reliable Size of 0",
)
def reliable_zero(run: Run) -> None:
    """A Reliable Size of 0 is valid and acts like RESET_STREAM.

    reliable-stream-reset-10 §5.
    """
    session = run.establish()
    need_extension(run)
    stream = session.open_uni(b"body")
    stream.reset_at(CODE, 0)
    run.expect("RSR-5-03", "tolerated", session=session)


@case(
    "quic-extension.behind-fin",
    "RSR-5.1-01",
    drafts=SINCE_14,
    witness="reliable-stream-reset-10 §5.1: same final size",
)
def behind_fin(run: Run) -> None:
    """RESET_STREAM_AT behind a FIN with the same final size is legal.

    reliable-stream-reset-10 §5.1.
    """
    session = run.establish()
    need_extension(run)
    stream = session.open_uni(b"body", end_stream=True)
    run.flush()
    run.peer.quic.inject_frames(reset_stream_at(stream.id, CODE, stream.sent_length, stream.header_length))
    run.expect("RSR-5.1-01", "tolerated", session=session)


@case(
    "quic-extension.lowered",
    "RSR-5.2-01",
    drafts=SINCE_14,
    variants={"lower": 3},
    witness="reliable-stream-reset-10 §5.2: MAY reduce the Reliable Size",
)
@case(
    "quic-extension.lowered",
    "RSR-5.2-03",
    drafts=SINCE_14,
    variants={"raise": 9},
    witness="reliable-stream-reset-10 §5.2: MUST ignore an increase",
)
def lowered(run: Run) -> None:
    """Further frames for a stream may lower the Reliable Size; a raise is ignored.

    reliable-stream-reset-10 §5.2: MUST ignore an increase.
    """
    session = run.establish()
    need_extension(run)
    stream = session.open_uni(b"0123456789")
    run.flush()
    for reliable in (6, run.variant):
        run.peer.quic.inject_frames(reset_stream_at(stream.id, CODE, stream.sent_length, reliable))
    run.expect(run.case.requirements[0], "tolerated", session=session)


@case(
    "quic-extension.changed-final-size",
    "RSR-5.2-05",
    drafts=SINCE_14,
    negative=True,
    witness="reliable-stream-reset-10 §5.2: FINAL_SIZE_ERROR",
)
def changed_final_size(run: Run) -> None:
    """A second frame with another Final Size is a connection error.

    reliable-stream-reset-10 §5.2 (a SHOULD before -08, and RFC 9000 §4.5 does not demand it for a stream
    whose state is gone, so the reliable bytes are withheld): FINAL_SIZE_ERROR.
    """
    session = run.establish()
    need_extension(run)
    stream = run.reserve_uni()
    frames = uni_header(session.id)
    run.peer.quic.inject_frames(b"\x0a" + varint(stream) + varint(len(frames)) + frames)
    run.peer.quic.inject_frames(reset_stream_at(stream, CODE, 100, 50))
    second = run.vary(good=100, bad=101)
    run.peer.quic.inject_frames(reset_stream_at(stream, CODE, second, 50))
    run.expect("RSR-5.2-05", "transport-error", code=0x06, session=session)


@case(
    "quic-extension.changed-code",
    "RSR-5.2-04",
    drafts=SINCE_14,
    negative=True,
    witness="reliable-stream-reset-10 §5.2: STREAM_STATE_ERROR",
)
def changed_code(run: Run) -> None:
    """A second frame with another error code is a connection error.

    reliable-stream-reset-10 §5.2: STREAM_STATE_ERROR; the reliable bytes are withheld, so that the state
    of the stream is still there.
    """
    session = run.establish()
    need_extension(run)
    stream = run.reserve_uni()
    frames = uni_header(session.id)
    run.peer.quic.inject_frames(b"\x0a" + varint(stream) + varint(len(frames)) + frames)
    run.peer.quic.inject_frames(reset_stream_at(stream, CODE, 100, 50))
    second = run.vary(good=CODE, bad=CODE + 1)
    run.peer.quic.inject_frames(reset_stream_at(stream, second, 100, 50))
    run.expect("RSR-5.2-04", "transport-error", code=0x05, session=session)


# Bytes of the body that are sent, and how many of them the Reliable Size covers beside the header.
PREFIXES = {"header-only": (0, 0), "part": (20, 10), "all": (20, 20)}


@case(
    "quic-extension.reliable-bytes",
    "RSR-5-04",
    needs=("observe",),
    drafts=SINCE_14,
    variants=PREFIXES,
    witness="reliable-stream-reset-10 §5; draft-16 §4.4: the header is delivered",
)
@case(
    "quic-extension.reset-overtakes",
    "RSR-5-05",
    needs=("observe",),
    drafts=SINCE_14,
    variants=PREFIXES,
    witness="reliable-stream-reset-10 §5: delivery waits for the bytes",
)
def reliable_bytes(run: Run) -> None:
    """The application gets the reliable bytes of a stream and then its reset, however close they arrive.

    reliable-stream-reset-10 §5, §5.3 and draft-16 §4.4. Stream and reset are in one packet, or the reset
    comes first.
    """
    session = run.establish(run.observe_path())
    need_extension(run)
    stream, header = run.reserve_uni(), uni_header(session.id)
    length, reliable = run.variant
    data = header + bytes(length)
    frames = [
        b"\x0a" + varint(stream) + varint(len(data)) + data,
        reset_stream_at(stream, CODE, len(data), len(header) + reliable),
    ]
    requirement = run.case.requirements[0]
    if requirement == "RSR-5-05":
        run.peer.quic.inject_frames(frames[1])
        run.flush()
        run.peer.quic.inject_frames(frames[0])
    else:
        run.peer.quic.inject_frames(b"".join(frames))
    run.check(requirement, "resets that the application saw", "==", 1, len(run.observed("reset")))
    if reliable:
        received = sum(record.get("length", 0) for record in run.observed("data"))
        run.check(requirement, "bytes that the application got", ">=", reliable, received)


@case("quic-extension.datagram-frame-types", "QD-4-01", witness="RFC 9221 §4: types 0x30 and 0x31")
def datagram_frame_types(run: Run) -> None:
    """DATAGRAM frames with and without a length, several in a packet, are understood.

    RFC 9221 §4.
    """
    run.need_echo("datagram")
    session = run.establish()
    payload = varint(session.id // 4) + b"frame types"
    with_length = b"\x31" + varint(len(payload)) + payload
    for _ in range(5):
        run.peer.quic.inject_frames(with_length + with_length + b"\x30" + payload)
        run.peer.wait(lambda: len(session.datagrams) >= 3, 0.3)
        if len(session.datagrams) >= 3:
            break
    received = [item.endswith(b"frame types") for item in session.datagrams[:3]]
    run.check("QD-4-01", "echoes", "==", [True, True, True], received)


@case("quic-extension.stop-own-uni", "Q-05", negative=True, witness="RFC 9000 §19.5: STREAM_STATE_ERROR")
def stop_own_uni(run: Run) -> None:
    """STOP_SENDING for a stream that the target can only receive on is a connection error.

    RFC 9000 §19.5: STREAM_STATE_ERROR. The twin stops a bidirectional stream of its own.
    """
    session = run.establish()
    uni, bidi = session.open_uni(b"x"), session.open_bidi(b"x")
    run.flush()
    stream_id = run.vary(good=bidi.id, bad=uni.id)
    run.peer.quic.inject_frames(b"\x05" + varint(stream_id) + varint(CODE))
    run.expect("Q-05", "transport-error", code=0x05, session=session)


@case("quic-extension.data-behind-fin", "Q-07", negative=True, witness="RFC 9000 §4.5: FINAL_SIZE_ERROR")
def data_behind_fin(run: Run) -> None:
    """Bytes behind the final size of a stream are a connection error.

    RFC 9000 §4.5 (SHOULD): FINAL_SIZE_ERROR. The first byte is withheld, so that the state is still there.
    """
    session = run.establish()
    stream = run.reserve_uni()
    run.peer.quic.inject_frames(b"\x0f" + varint(stream) + varint(9) + varint(1) + b"f")
    offset = run.vary(good=8, bad=10)
    run.peer.quic.inject_frames(b"\x0e" + varint(stream) + varint(offset) + varint(1) + b"g")
    run.expect("Q-07", "transport-error", code=0x06, session=session)


@case(
    "quic-extension.stream-for-send-only", "Q-03", negative=True, witness="RFC 9000 §19.8: STREAM_STATE_ERROR"
)
def stream_for_send_only(run: Run) -> None:
    """A STREAM frame for a unidirectional stream of the target is a connection error.

    RFC 9000 §19.8: STREAM_STATE_ERROR. The twin sends it for a unidirectional stream of its own.
    """
    session = run.establish()
    own, header = run.reserve_uni(), uni_header(session.id)
    stream_id = run.vary(good=own, bad=3)
    run.peer.quic.inject_frames(b"\x0a" + varint(stream_id) + varint(len(header)) + header)
    run.expect("Q-03", "transport-error", code=0x05, session=session)


@case(
    "quic-extension.reset-for-send-only", "Q-04", negative=True, witness="RFC 9000 §19.4: STREAM_STATE_ERROR"
)
def reset_for_send_only(run: Run) -> None:
    """RESET_STREAM for a unidirectional stream of the target is a connection error.

    RFC 9000 §19.4: STREAM_STATE_ERROR. The twin resets a unidirectional stream of its own.
    """
    session = run.establish()
    own = run.reserve_uni()
    stream_id = run.vary(good=own, bad=3)
    run.peer.quic.inject_frames(b"\x04" + varint(stream_id) + varint(0x010C) + varint(0))
    run.expect("Q-04", "transport-error", code=0x05, session=session)


@case(
    "quic-extension.streams-beyond-limit",
    "Q-06",
    negative=True,
    witness="RFC 9000 §4.6: STREAM_LIMIT_ERROR",
    version=2,
)
def streams_beyond_limit(run: Run) -> None:
    """A stream beyond the target's QUIC limit is a connection error.

    RFC 9000 §4.6: STREAM_LIMIT_ERROR. The twin's stream is the last permitted one, and it arrives first.
    """
    session = run.establish()
    limit = run.transport_parameter(0x09)
    run.need(3 < limit < 1 << 59, f"its limit of {limit} streams leaves no room below or above it")
    index = run.vary(good=limit - 1, bad=limit + 100_000)
    header = uni_header(session.id)
    run.peer.quic.inject_frames(b"\x0a" + varint(4 * index + 2) + varint(len(header)) + header)
    run.expect("Q-06", "transport-error", code=0x04, session=session)


@case(
    "quic-extension.unadvertised-frame",
    "Q-09",
    "RSR-3-03",
    drafts=SINCE_14,
    witness="RFC 9000 §12.4, §19.21",
    version=2,
)
def unadvertised_frame(run: Run) -> None:
    """To a client that did not advertise the extension the target sends no RESET_STREAM_AT.

    reliable-stream-reset-10 §3, RFC 9000 §19.21. A session may be refused then; no such frame may come. Where
    it is accepted, its end makes the target reset the streams that are open in both directions.
    """
    # Our own QUIC must not end the case because of the frame that it looks for.
    ignored = frozenset({(0x07, RESET_STREAM_AT)})
    run.connect(run.options(reset_stream_at=(), ignored_errors=ignored))
    request = run.request()
    run.peer.wait(lambda: request.answered)
    if request.established and run.target.capabilities.echo_uni:
        request.open_uni(b"open")
        run.peer.wait(lambda: any(stream.body for stream in request.incoming))
        request.close(0, b"")
        run.peer.wait(lambda: request.done)
    run.peer.fence()
    run.check(
        "RSR-3-03",
        "RESET_STREAM_AT frames received",
        "==",
        0,
        run.count_frames(RESET_STREAM_AT),
        also=("Q-09",),
    )
