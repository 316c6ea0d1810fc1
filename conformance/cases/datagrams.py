"""Datagrams (draft-16 §4.5, RFC 9297 §2.1, RFC 9221)."""

from __future__ import annotations

from conformance.harness.case import SINCE_07, case
from conformance.harness.run import Run
from conformance.peer.codepoints import MAX_QUARTER_STREAM_ID
from conformance.peer.datagrams import datagram
from conformance.peer.varint import varint

DATAGRAM_ERROR = 0x33


@case(
    "datagrams.echo",
    "WT-4.5-01",
    "WT-4.5-02",
    "HD-2-02",
    witness="RFC 9297 §2.1: Quarter Stream ID, then the payload",
    version=2,
)
def echo(run: Run) -> None:
    """A datagram is the Quarter Stream ID and the untouched payload.

    draft-16 §4.5, RFC 9297 §2.1. Repeated, since datagrams may be lost; none of twenty is no verdict.
    """
    run.need_echo("datagram")
    session = run.establish()
    payload = b"\x00\x40\xff datagram"
    received = run.datagram_echo(session, payload)
    run.check("WT-4.5-01", "echoed payload", "==", payload.hex(), received.hex())
    quarters = sorted({event.quarter_stream_id for event in run.datagrams_received()})
    run.check("HD-2-02", "Quarter Stream IDs of the target's datagrams", "==", [session.id // 4], quarters)


@case(
    "datagrams.empty-payload",
    "WT-4.5-04",
    "HD-2.1-07",
    witness="RFC 9297 §2.1: the payload may have zero length",
)
def empty_payload(run: Run) -> None:
    """A datagram with an empty payload is valid.

    RFC 9297 §2.1.
    """
    session = run.establish()
    for _ in range(3):
        session.send_datagram(b"")
    run.expect("WT-4.5-04", "tolerated", session=session)


@case(
    "datagrams.long-quarter-id",
    "HD-2.1-08",
    witness="RFC 9297 §1.1: minimal encoding is not required",
    version=2,
)
def long_quarter_id(run: Run) -> None:
    """The Quarter Stream ID may be encoded longer than needed.

    RFC 9297 §1.1, RFC 9000 §16. That the short form comes back shows that not all is lost.
    """
    run.need_echo("datagram")
    session = run.establish()
    run.datagram_echo(session, b"as short as can be")
    received = run.datagram_echo(session, b"eight bytes", quarter_length=8)
    run.check("HD-2.1-08", "echoed payload", "==", b"eight bytes".hex(), received.hex())


@case(
    "datagrams.quarter-id-too-large",
    "HD-2.1-01",
    drafts=SINCE_07,
    variants={"first": MAX_QUARTER_STREAM_ID + 1, "last": (1 << 62) - 1},
    negative=True,
    witness="RFC 9297 §2.1: values above 2^60-1 are H3_DATAGRAM_ERROR",
)
def quarter_id_too_large(run: Run) -> None:
    """A Quarter Stream ID above 2^60-1 is a connection error of type H3_DATAGRAM_ERROR.

    RFC 9297 §2.1. The twin sends the ID of the session in the same eight bytes.
    """
    session = run.establish()
    quarter = run.vary(good=session.id // 4, bad=run.variant)
    for _ in range(3):
        run.peer.send_datagram_raw(varint(quarter, 8) + b"x")
    run.expect("HD-2.1-01", "connection-error", code=DATAGRAM_ERROR, session=session)


@case(
    "datagrams.too-short",
    "HD-2.1-02",
    drafts=SINCE_07,
    variants={"empty": b"", "half-varint": b"\x40", "seven-of-eight": b"\xc0" + bytes(6)},
    negative=True,
    witness="RFC 9297 §2.1: too short to parse the Quarter Stream ID",
)
def too_short(run: Run) -> None:
    """A QUIC datagram too short to hold the Quarter Stream ID is a connection error.

    RFC 9297 §2.1: H3_DATAGRAM_ERROR. The twin sends a datagram of the session.
    """
    session = run.establish()
    data = run.vary(good=datagram(session.id, b""), bad=run.variant)
    for _ in range(3):
        run.peer.send_datagram_raw(data)
    run.expect("HD-2.1-02", "connection-error", code=DATAGRAM_ERROR, session=session)


@case(
    "datagrams.unknown-stream",
    "HD-2.1-05",
    witness="RFC 9297 §2.1: SHALL either drop silently or buffer temporarily",
)
def unknown_stream(run: Run) -> None:
    """Datagrams of a request that does not exist yet are dropped or buffered, without an error.

    RFC 9297 §2.1.
    """
    session = run.establish()
    for _ in range(3):
        run.peer.send_datagram_raw(datagram(session.id + 4, b"too early"))
    run.expect("HD-2.1-05", "tolerated", session=session)


@case(
    "datagrams.beyond-stream-limit", "HD-2.1-06", witness="RFC 9297 §2.1: may be H3_ID_ERROR, not mandatory"
)
def beyond_stream_limit(run: Run) -> None:
    """A datagram of a stream above the stream limit may be an error or be ignored.

    RFC 9297 §2.1; recorded only.
    """
    session = run.establish()
    for _ in range(3):
        run.peer.send_datagram_raw(datagram(4 * 1_000_000, b"beyond"))
    run.expect("HD-2.1-06", "any", session=session)


@case(
    "datagrams.after-session-end",
    "WT-6-25",
    "HD-2.1-04",
    witness="RFC 9297 §2.1: MUST drop silently",
    version=3,
)
def after_session_end(run: Run) -> None:
    """Datagrams of a session that has ended are dropped silently.

    draft-16 §6, RFC 9297 §2.1: the connection goes on.
    """
    session = run.establish()
    session.finish()
    run.peer.wait(lambda: session.done)
    run.need_connection()
    run.mark()
    for _ in range(3):
        session.send_datagram(b"too late")
    run.expect("WT-6-25", "connection-survives")
    run.excuse_close()


@case("datagrams.before-connect", "WT-4.6-03", witness="RFC 9297 §2.1: dropped or buffered")
def before_connect(run: Run) -> None:
    """A datagram that overtakes the CONNECT of its session is held back or dropped, without an error.

    draft-16 §4.6, RFC 9297 §2.1.
    """
    peer = run.connect()
    peer.send_datagram_raw(datagram(0, b"early"))
    run.flush()
    request = run.request()
    run.expect("WT-4.6-03", "established", stream=request)


@case(
    "datagrams.transport-parameter",
    "WT-3.1-07",
    "QD-3-05",
    witness="RFC 9221 §3: max_datagram_frame_size 0x20",
)
def transport_parameter(run: Run) -> None:
    """The target sends the max_datagram_frame_size transport parameter with a value above zero.

    draft-16 §3.1, RFC 9221 §3 (65535 is recommended).
    """
    run.connect()
    value = run.transport_parameter(0x20)
    run.check("WT-3.1-07", "max_datagram_frame_size", ">", 0, value)
    run.informational("QD-3-05", "max_datagram_frame_size is 65535 or more", value >= 65535)


@case(
    "datagrams.none-without-support",
    "QD-3-01",
    witness="RFC 9221 §3: MUST NOT send without the parameter",
    version=2,
)
def none_without_support(run: Run) -> None:
    """No DATAGRAM frame goes to a peer that did not announce that it receives them.

    RFC 9221 §3. The session may be refused; no frame may come either way, not even in answer to the datagrams
    that this side may send, since the parameter speaks for one direction.
    """
    # Our own QUIC must not end the case because of the frames that it looks for.
    ignored = frozenset({(0x0A, 0x30), (0x0A, 0x31)})
    run.connect(run.options(max_datagram_frame_size=None, ignored_errors=ignored))
    request = run.request()
    run.peer.wait(lambda: request.answered)
    for _ in range(3 if run.target.capabilities.echo_datagram and request.established else 0):
        request.send_datagram(b"no way back")
    run.peer.fence(None)
    run.check("QD-3-01", "DATAGRAM frames received", "==", 0, run.count_frames(0x30, 0x31))


@case("datagrams.of-ordinary-request", "HD-2-01", drafts=SINCE_07, witness="RFC 9297 §2: H3_DATAGRAM_ERROR")
def of_ordinary_request(run: Run) -> None:
    """A datagram of a request without semantics for datagrams terminates that request.

    RFC 9297 §2: H3_DATAGRAM_ERROR; a request that was answered by then is over, so it is recorded only.
    """
    session = run.establish()
    request = run.get()
    run.flush()
    for _ in range(3):
        run.peer.send_datagram_raw(datagram(request.id, b"for nobody"))
    run.expect("HD-2-01", "any", session=session, stream=request)
