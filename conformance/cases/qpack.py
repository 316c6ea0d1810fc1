"""Field section compression (RFC 9204)."""

from __future__ import annotations

from conformance.harness.case import case
from conformance.harness.run import Run
from conformance.peer import qpack
from conformance.peer.codepoints import Setting, StreamType, reserved
from conformance.peer.h3frames import headers_frame
from conformance.peer.varint import read_varint, varint

DECOMPRESSION_FAILED = 0x0200
ENCODER_STREAM_ERROR = 0x0201
DECODER_STREAM_ERROR = 0x0202
STREAM_CREATION_ERROR = 0x0103
CLOSED_CRITICAL_STREAM = 0x0104
STREAM_TYPES = {"encoder": StreamType.QPACK_ENCODER, "decoder": StreamType.QPACK_DECODER}


@case(
    "qpack.representations",
    "WT-2.1-01",
    variants={"static-huffman": "static"},
    witness="RFC 9204 §3.1, §4.5; encoder: pylsqpack, which is not ours",
)
@case(
    "qpack.representations",
    "WT-2.1-02",
    variants={"literal": "literal"},
    witness="RFC 9204 §4.5.6: 0x20 for a literal name, 0x10 for one that is never indexed",
)
def representations(run: Run) -> None:
    """A request in static references with Huffman coding, or in never-indexed literals only, is understood.

    draft-16 §2.1, RFC 9204 §4.5. Literals that may be indexed are what every other case sends.
    """
    run.connect()
    if run.variant == "static":
        request = run.peer.request_session(run.good_fields(), encoder="static")
    else:
        request = run.reserve()
        lines = b"".join(qpack.literal(name, value, never_indexed=True) for name, value in run.good_fields())
        request.send(headers_frame(qpack.section_prefix() + lines))
    run.expect(run.case.requirements[0], "established", stream=request)


@case(
    "qpack.static-index", "QPK-3-01", negative=True, witness="RFC 9204 §3.1: the static table has 99 entries"
)
def static_index(run: Run) -> None:
    """An index beyond the static table is a connection error of type QPACK_DECOMPRESSION_FAILED.

    RFC 9204 §3.1. The twin refers to the last entry, x-frame-options: sameorigin.
    """
    run.connect()
    index = run.vary(good=98, bad=99)
    request = run.reserve()
    request.send(headers_frame(qpack.encode_literal(run.good_fields()) + qpack.indexed_static(index)))
    run.expect("QPK-3-01", "connection-error", code=DECOMPRESSION_FAILED, stream=request, twin="established")


@case(
    "qpack.insert-count-with-empty-table",
    "QPK-4.5-01",
    negative=True,
    witness="RFC 9204 §4.5.1.1: EncodedInsertCount > FullRange",
)
def insert_count(run: Run) -> None:
    """An Encoded Insert Count that the table can never reach is a connection error.

    RFC 9204 §4.5.1.1: QPACK_DECOMPRESSION_FAILED. The twin's count is 0.
    """
    run.connect()
    capacity = run.setting(Setting.QPACK_MAX_TABLE_CAPACITY) or 0
    count = run.vary(good=0, bad=2 * (capacity // 32) + 1)
    lines = b"".join(qpack.literal(name, value) for name, value in run.good_fields())
    request = run.reserve()
    request.send(headers_frame(qpack.section_prefix(count) + lines))
    run.expect(
        "QPK-4.5-01", "connection-error", code=DECOMPRESSION_FAILED, stream=request, twin="established"
    )


@case(
    "qpack.negative-base",
    "QPK-4.5-02",
    negative=True,
    witness="RFC 9204 §4.5.1.2: the value of Base MUST NOT be negative",
)
def negative_base(run: Run) -> None:
    """A negative Base is invalid: QPACK_DECOMPRESSION_FAILED.

    RFC 9204 §4.5.1.2: with a Required Insert Count of 0 the sign bit makes the Base negative. The level
    of the error is implied, so a stream error counts as well.
    """
    run.connect()
    sign = run.vary(good=False, bad=True)
    lines = b"".join(qpack.literal(name, value) for name, value in run.good_fields())
    request = run.reserve()
    request.send(headers_frame(qpack.section_prefix(0, 0, sign=sign) + lines))
    soft = "RFC 9204 §4.5.1.2 does not name the error of a negative Base where the Base is not used"
    run.expect(
        "QPK-4.5-02", "stream-error", code=DECOMPRESSION_FAILED, stream=request, twin="established", soft=soft
    )


@case(
    "qpack.truncated-section",
    "QPK-4.5-03",
    variants={"cut-literal": b"\x27\x01abc", "bad-huffman": b"\x2b\xff\xff\xff\xff\x01x"},
    witness="AMB-37",
)
def truncated_section(run: Run) -> None:
    """A field section that is cut off or has bad Huffman padding cannot be decoded.

    RFC 9204 §4.5, RFC 7541 §5.2: the level of the error is open (AMB-37), so it is recorded only.
    """
    session = run.establish()
    request = run.peer.open_bidi(headers_frame(qpack.section_prefix() + run.variant))
    run.expect("QPK-4.5-03", "any", stream=request, session=session)


@case(
    "qpack.second-stream",
    "QPK-4.2-01",
    variants=STREAM_TYPES,
    negative=True,
    witness="RFC 9204 §4.2: a second instance MUST be treated as H3_STREAM_CREATION_ERROR",
)
def second_stream(run: Run) -> None:
    """A second encoder or decoder stream is a connection error of type H3_STREAM_CREATION_ERROR.

    RFC 9204 §4.2. The twin opens a stream of a reserved type.
    """
    session = run.establish()
    run.peer.open_uni(varint(run.vary(good=reserved(0), bad=int(run.variant))))
    run.expect("QPK-4.2-01", "connection-error", code=STREAM_CREATION_ERROR, session=session)


@case(
    "qpack.closed-stream",
    "QPK-4.2-02",
    variants={
        "encoder-fin": ("encoder", "fin"),
        "encoder-reset": ("encoder", "reset"),
        "decoder-fin": ("decoder", "fin"),
    },
    negative=True,
    witness="RFC 9204 §4.2: closure MUST be treated as H3_CLOSED_CRITICAL_STREAM",
)
def closed_stream(run: Run) -> None:
    """Closing the encoder or the decoder stream is a connection error of type H3_CLOSED_CRITICAL_STREAM.

    RFC 9204 §4.2. The twin closes a stream of a reserved type in the same way.
    """
    session = run.establish()
    which, how = run.variant
    own = run.peer.encoder_stream if which == "encoder" else run.peer.decoder_stream
    assert own is not None
    stream = run.vary(good=run.peer.open_uni(varint(reserved(0))), bad=own)
    if how == "fin":
        stream.finish()
    else:
        stream.reset(0x0100)
    run.expect("QPK-4.2-02", "connection-error", code=CLOSED_CRITICAL_STREAM, session=session)


@case(
    "qpack.streams-optional",
    "QPK-4.2-03",
    variants={"none": False},
    witness="RFC 9204 §4.2: MAY avoid creating them",
)
def streams_optional(run: Run) -> None:
    """The QPACK streams need not be opened.

    RFC 9204 §4.2. That both may be opened and stay unused is what every other case shows.
    """
    run.connect(run.options(open_qpack=run.variant))
    request = run.request()
    run.expect("QPK-4.2-03", "established", stream=request, keep_mark=True)
    run.expect("QPK-4.2-03", "tolerated", session=request)


def allowed_capacity(maximum: int) -> bytes:
    """Return the instruction that makes the table as large as it may be; none where it may not exist at all.

    RFC 9204 §3.2.3: with a maximum of 0 no instructions are sent on the encoder stream.
    """
    return qpack.set_capacity(maximum) if maximum else b""


@case(
    "qpack.capacity-above-maximum",
    "QPK-4.3-01",
    negative=True,
    witness="RFC 9204 §4.3.1: MUST treat as QPACK_ENCODER_STREAM_ERROR",
    version=2,
)
def capacity_above_maximum(run: Run) -> None:
    """A table capacity above the announced maximum is an error on the encoder stream.

    RFC 9204 §4.3.1. The twin sets the maximum, or sends nothing where that is 0 (§3.2.3).
    """
    session = run.establish()
    maximum = run.setting(Setting.QPACK_MAX_TABLE_CAPACITY) or 0
    assert run.peer.encoder_stream is not None
    run.peer.encoder_stream.send(
        run.vary(good=allowed_capacity(maximum), bad=qpack.set_capacity(maximum + 1))
    )
    run.expect("QPK-4.3-01", "connection-error", code=ENCODER_STREAM_ERROR, session=session)


@case(
    "qpack.entry-above-capacity",
    "QPK-3-03",
    negative=True,
    witness="RFC 9204 §3.2.2: larger than the dynamic table capacity",
    version=2,
)
def entry_above_capacity(run: Run) -> None:
    """An entry larger than the capacity of the table is an error on the encoder stream.

    RFC 9204 §3.2.2: QPACK_ENCODER_STREAM_ERROR. The twin sends nothing but the capacity it has.
    """
    session = run.establish()
    maximum = run.setting(Setting.QPACK_MAX_TABLE_CAPACITY) or 0
    assert run.peer.encoder_stream is not None
    entry = qpack.insert_literal(b"x-large", bytes(maximum + 1).replace(b"\x00", b"v"))
    run.peer.encoder_stream.send(allowed_capacity(maximum) + run.vary(good=b"", bad=entry))
    run.expect("QPK-3-03", "connection-error", code=ENCODER_STREAM_ERROR, session=session)


@case(
    "qpack.acknowledgment-of-nothing",
    "QPK-4.4-01",
    negative=True,
    witness="RFC 9204 §4.4.1: MUST be treated as QPACK_DECODER_STREAM_ERROR",
)
def acknowledgment_of_nothing(run: Run) -> None:
    """A Section Acknowledgment without an outstanding section is an error on the decoder stream.

    RFC 9204 §4.4.1. The client announced no table, so no section can be outstanding; the twin cancels a
    stream, which is allowed.
    """
    session = run.establish()
    assert run.peer.decoder_stream is not None
    good, bad = qpack.stream_cancellation(session.id + 4), qpack.section_acknowledgment(session.id)
    run.peer.decoder_stream.send(run.vary(good=good, bad=bad))
    run.expect("QPK-4.4-01", "connection-error", code=DECODER_STREAM_ERROR, session=session)


@case(
    "qpack.insert-count-increment",
    "QPK-4.4-02",
    variants={"zero": 0, "beyond": 5},
    negative=True,
    witness="RFC 9204 §4.4.3: MUST be treated as QPACK_DECODER_STREAM_ERROR",
)
def insert_count_increment(run: Run) -> None:
    """An Insert Count Increment of zero, or beyond what was inserted, is an error on the decoder stream.

    RFC 9204 §4.4.3. The twin cancels a stream.
    """
    session = run.establish()
    assert run.peer.decoder_stream is not None
    good, bad = qpack.stream_cancellation(session.id + 4), qpack.insert_count_increment(run.variant)
    run.peer.decoder_stream.send(run.vary(good=good, bad=bad))
    run.expect("QPK-4.4-02", "connection-error", code=DECODER_STREAM_ERROR, session=session)


@case(
    "qpack.no-inserts",
    "QPK-3-04",
    witness="RFC 9204 §3.2.3: MUST NOT insert, MUST NOT send any encoder instructions",
    version=2,
)
def no_inserts(run: Run) -> None:
    """To a peer with a maximum of 0 the target's encoder sends no instructions.

    RFC 9204 §3.2.3: the client announces capacity 0, so an encoder stream stays empty.
    """
    run.establish()
    run.peer.fence()
    streams = [run.peer.streams[event.stream_id].received for event in run.uni_streams()]
    sent = [
        len(data) - stream_type[1]
        for data in streams
        if (stream_type := read_varint(data)) is not None and stream_type[0] == StreamType.QPACK_ENCODER
    ]
    run.check("QPK-3-04", "bytes on the target's encoder stream behind its type", "==", 0, sum(sent))


@case(
    "qpack.long-integers",
    "QPK-4.1-01",
    witness="RFC 9204 §4.1.1: up to 62 bits; RFC 7541 §5.1 allows padding",
)
def long_integers(run: Run) -> None:
    """Prefixed integers in a longer encoding than needed are decoded.

    RFC 9204 §4.1.1, RFC 7541 §5.1.
    """
    run.connect()
    value = b"v" * 200
    name = b"x-conformance-long-name"
    line = (
        qpack.prefix_integer(len(name), 3, 0x20, padding=2)
        + name
        + qpack.prefix_integer(len(value), 7, padding=2)
        + value
    )
    request = run.reserve()
    request.send(headers_frame(qpack.encode_literal(run.good_fields()) + line))
    run.expect("QPK-4.1-01", "established", stream=request)


@case("qpack.huge-length", "QPK-7.4-01", witness="RFC 9204 §7.4: a stream error or a connection error")
def huge_length(run: Run) -> None:
    """A string that claims a length of 2^40 bytes ends the stream or the connection, not the target.

    RFC 9204 §7.4; how is the target's choice, so it is recorded.
    """
    session = run.establish()
    line = qpack.prefix_integer(4, 3, 0x20) + b"long" + qpack.prefix_integer(1 << 40, 7) + b"v"
    request = run.peer.open_bidi(headers_frame(qpack.section_prefix() + line))
    run.expect("QPK-7.4-01", "any", stream=request, session=session)
