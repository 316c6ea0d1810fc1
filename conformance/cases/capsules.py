"""Capsules on the CONNECT stream (RFC 9297 §3, draft-16 §9.6)."""

from __future__ import annotations

from conformance.harness.case import SINCE_07, SINCE_14, case
from conformance.harness.run import Run
from conformance.peer.capsules import capsule, close_capsule
from conformance.peer.codepoints import CapsuleType, FrameType
from conformance.peer.h3frames import data_frame, frame

MESSAGE_ERROR = 0x010E
# RFC 9297 §5.4 reserves 0x29 * N + 0x17 to exercise unknown capsules.
RESERVED = 0x29 * 5 + 0x17


@case(
    "capsules.unknown-type",
    "HD-3.2-01",
    variants={
        "empty": (RESERVED, 0),
        "short": (RESERVED, 100),
        "long": (RESERVED + 0x29, 100_000),
        "unassigned": (0x3ABCDEF, 7),
    },
    witness="RFC 9297 §3.2: MUST silently skip over unknown capsules",
    version=2,
)
def unknown_type(run: Run) -> None:
    """A capsule of an unknown type is skipped silently, whatever its length.

    RFC 9297 §3.2. That the next capsule is parsed is shown by a close behind it.
    """
    session = run.establish()
    capsule_type, length = run.variant
    session.send_capsule(capsule_type, bytes(length))
    if length > 1000:
        run.expect("HD-3.2-01", "tolerated-large", session=session)
        return
    run.expect("HD-3.2-01", "tolerated", session=session)
    session.close(0, b"")
    run.expect("HD-3.2-01", "close-understood", session=session)


@case(
    "capsules.http2-only",
    "WT-9-03",
    drafts=SINCE_14,
    variants={
        "padding": 0x190B4D38,
        "reset": 0x190B4D39,
        "stop": 0x190B4D3A,
        "stream": 0x190B4D3B,
        "stream-fin": 0x190B4D3C,
    },
    witness="draft-16 §9.6 does not register them for HTTP/3; RFC 9297 §3.2: unknown ones are skipped",
)
def http2_only(run: Run) -> None:
    """Capsules that only the HTTP/2 binding defines are unknown here and skipped.

    draft-16 §9.6, RFC 9297 §3.2.
    """
    session = run.establish()
    session.send_capsule(run.variant, b"\x00\x00")
    run.expect("WT-9-03", "tolerated", session=session)


@case(
    "capsules.boundaries",
    "HD-3.2-02",
    variants={"bytewise": "bytes", "packed": "packed", "empty-data-frames": "empty"},
    witness="RFC 9297 §3.1: capsule boundaries have no relation to DATA frame boundaries",
    version=2,
)
def boundaries(run: Run) -> None:
    """Capsules are parsed alike however they are spread over DATA frames.

    RFC 9297 §3.1, §3.2: unknown capsules, spread in different ways, are skipped; the close behind them is
    understood.
    """
    session = run.establish()
    stream = capsule(RESERVED, b"unknown") + capsule(RESERVED + 0x29, b"unknown, too")
    match run.variant:
        case "bytes":
            for byte in stream:
                session.send(data_frame(bytes([byte])))
                run.flush()
        case "packed":
            session.send(data_frame(stream))
        case _:
            for part in (stream[:3], b"", stream[3:12], b"", stream[12:]):
                session.send(data_frame(part))
    run.expect("HD-3.2-02", "tolerated", session=session)
    session.close(7, b"boundaries")
    run.expect("HD-3.2-02", "close-understood", session=session)


@case(
    "capsules.long-encodings",
    "HD-3.2-03",
    witness="RFC 9297 §1.1: minimal encoding is not required",
    version=2,
)
def long_encodings(run: Run) -> None:
    """Type and length of a capsule may be encoded longer than needed.

    RFC 9297 §1.1, RFC 9000 §16.
    """
    session = run.establish()
    session.send(data_frame(capsule(RESERVED, b"unknown", type_length=8, length_length=4)))
    run.expect("HD-3.2-03", "tolerated", session=session)
    close = capsule(CapsuleType.WT_CLOSE_SESSION, b"\x00\x00\x00\x07", type_length=8, length_length=4)
    session.send(data_frame(close), end_stream=True)
    run.expect("HD-3.2-03", "close-understood", session=session)


@case(
    "capsules.close-too-short",
    "WT-6-15",
    "HD-3.3-02",
    "HD-3.3-01",
    variants={"empty": 0, "one-byte": 1, "three-bytes": 3},
    negative=True,
    witness="RFC 9297 §3.3: fields that overrun the capsule length; draft-16 §6: a code of 32 bits",
)
def close_too_short(run: Run) -> None:
    """A WT_CLOSE_SESSION value shorter than its code is a malformed capsule.

    RFC 9297 §3.3, draft-16 §6: the CONNECT stream is reset with H3_MESSAGE_ERROR.
    """
    session = run.establish()
    length = run.vary(good=4, bad=run.variant)
    session.send_capsule(CapsuleType.WT_CLOSE_SESSION, bytes(length), end_stream=True)
    run.expect("WT-6-15", "stream-error", code=MESSAGE_ERROR, stream=session, twin="session-closed")


@case(
    "capsules.drain-with-value",
    "WT-4.7-07",
    drafts=SINCE_07,
    negative=True,
    witness="draft-16 §4.7: the capsule has no fields; RFC 9297 §3.3: additional bytes are malformed",
    version=2,
)
def drain_with_value(run: Run) -> None:
    """A WT_DRAIN_SESSION capsule with a value is malformed.

    draft-16 §4.7, RFC 9297 §3.3: the CONNECT stream is reset with H3_MESSAGE_ERROR. A target that makes
    nothing of drain signals may skip the capsule like an unknown one (RFC 9297 §3.2): discouraged only.
    """
    session = run.establish()
    value = run.vary(good=b"", bad=b"\x00")
    session.send_capsule(CapsuleType.WT_DRAIN_SESSION, value)
    run.expect(
        "WT-4.7-07",
        "stream-error",
        code=MESSAGE_ERROR,
        stream=session,
        session=session,
        twin="goes-on-or-ends",
    )


@case(
    "capsules.cut-by-fin",
    "HD-3.3-03",
    variants={"in-value": (RESERVED, 10, 5), "in-header": (CapsuleType.WT_CLOSE_SESSION, 4, 0)},
    negative=True,
    witness="RFC 9297 §3.3: a capsule that is truncated by the end of the stream is malformed",
)
def cut_by_fin(run: Run) -> None:
    """A capsule cut off by the end of the stream is malformed.

    RFC 9297 §3.3: a stream error of type H3_MESSAGE_ERROR. The twin ends behind a complete capsule.
    """
    session = run.establish()
    capsule_type, declared, present = run.variant
    value = run.vary(good=bytes(declared), bad=bytes(present))
    session.send(data_frame(capsule(capsule_type, value, declared_length=declared)), end_stream=True)
    run.expect("HD-3.3-03", "stream-error", code=MESSAGE_ERROR, stream=session, twin="session-closed")


@case(
    "capsules.early",
    "WT-3.2-21",
    "WT-3.2-23",
    witness="draft-16 §3.2: processed once the session is accepted",
    version=3,
)
def early(run: Run) -> None:
    """Bytes of a capsule sent in one flight with the request are processed once the session is accepted.

    draft-16 §3.2. The first half of a close goes ahead of the response, the second half follows it: a target
    that dropped the first one cannot make a close of the second. No FIN ends the session in its place.
    """
    run.connect()
    request = run.request()
    close = close_capsule(7, b"early")
    request.send(data_frame(close[:-2]))
    run.expect("WT-3.2-21", "established", stream=request)
    run.check("WT-3.2-23", "the session was accepted", "is", True, request.established)
    request.send(data_frame(close[-2:]))
    run.expect("WT-3.2-23", "close-understood", session=request)


@case(
    "capsules.early-rejected",
    "WT-3.2-24",
    needs=("reject",),
    drafts=SINCE_14,
    witness="draft-16 §3.2: discarded if the session is rejected",
)
def early_rejected(run: Run) -> None:
    """Early bytes on a request that is rejected are discarded, even where they are no capsules.

    draft-16 §3.2: a plain refusal, no connection error.
    """
    run.connect()
    request = run.request(path=run.endpoint("reject", status=403))
    request.send(data_frame(b"\x68\x43\x01"))
    run.peer.wait(lambda: request.answered)
    run.check("WT-3.2-24", "status", "==", 403, request.status)
    run.expect("WT-3.2-24", "tolerated")


@case("capsules.datagram-capsule", "HD-3.5-01", witness="AMB-16")
def datagram_capsule(run: Run) -> None:
    """A DATAGRAM capsule on the CONNECT stream means what a QUIC datagram means, or is ignored.

    RFC 9297 §3.5; never an error.
    """
    session = run.establish()
    session.send_capsule(CapsuleType.DATAGRAM, b"in a capsule")
    run.expect("HD-3.5-01", "tolerated", session=session)


@case(
    "capsules.huge-length",
    "HD-3.2-07",
    "HD-3.5-02",
    variants={"unknown": RESERVED, "datagram": int(CapsuleType.DATAGRAM)},
    witness="RFC 9297 §3.2: values may be larger than memory; announce only, send little",
)
def huge_length(run: Run) -> None:
    """A capsule that announces 2^62-1 bytes is not allocated for: the target keeps serving.

    RFC 9297 §3.2, §3.5 (SHOULD): ending the session or the connection for it is a defence as well.
    """
    session = run.establish()
    session.send(data_frame(capsule(run.variant, bytes(1000), declared_length=(1 << 62) - 1)))
    run.expect("HD-3.2-07", "flood", session=session)


@case(
    "capsules.unknown-frames-between",
    "H3-4.1-04",
    witness="RFC 9114 §9: unknown frames are ignored",
    version=2,
)
def unknown_frames_between(run: Run) -> None:
    """Unknown and reserved HTTP/3 frames between the capsules of a session are skipped.

    RFC 9114 §4.1, §7.2.8, §9.
    """
    session = run.establish()
    session.send(frame(0x21, b"reserved") + frame(0x21 + 0x1F * 1000, bytes(500)))
    session.send(frame(FrameType.DATA, b""))
    session.send(data_frame(capsule(RESERVED, b"unknown")))
    run.expect("H3-4.1-04", "tolerated", session=session)
