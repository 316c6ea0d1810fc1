"""Echo: what an application sends comes back, in every size and kind (endpoint ``echo``)."""

from __future__ import annotations

import hashlib

from conformance.harness.case import case
from conformance.harness.run import Run
from conformance.harness.target import Silence
from conformance.harness.vocabulary import tail

KIB, MIB = 1 << 10, 1 << 20
SIZES = {"empty": 0, "one-byte": 1, "1-kib": KIB, "64-kib": 64 * KIB, "1-mib": MIB}
WITNESS = "webtransport-go 0.13 and wtransport 0.7 echo every size"
TRANSFER_RATE = 1 * MIB  # bytes per second that a transfer may take at the slowest


def body_of(size: int) -> bytes:
    """Return a body in which every position can be told from its neighbours."""
    block = b"".join(number.to_bytes(4, "big") for number in range(min(size, MIB) // 4 + 1))
    return (block * (size // len(block) + 1))[:size]


def patience(size: int) -> float:
    """Return the seconds that a transfer may take."""
    return 5.0 + 2 * size / TRANSFER_RATE


@case("scenario-echo.bidi", "OV-4.3-04", "WT-4.3-14", variants=SIZES, witness=WITNESS)
def bidi(run: Run) -> None:
    """A body on a bidirectional stream comes back unchanged and finished.

    overview-13 §4.3, draft-16 §4.3.
    """
    run.need_echo("bidi")
    session = run.establish()
    body = body_of(run.variant)
    stream = session.open_bidi(body, end_stream=True)
    run.transferred(lambda: stream.done)
    run.check("OV-4.3-04", "the body came back", "is", True, tail(stream.received, body) == body)
    run.check("WT-4.3-14", "the stream was finished", "is", True, stream.ended)


@case("scenario-echo.uni", "OV-4.3-04", "WT-4.2-05", variants=SIZES, witness=WITNESS)
def uni(run: Run) -> None:
    """A body on a unidirectional stream comes back on a new one of the target.

    overview-13 §4.3, draft-16 §4.2.
    """
    run.need_echo("uni")
    session = run.establish()
    body = body_of(run.variant)
    session.open_uni(body, end_stream=True)
    run.transferred(lambda: any(stream.done for stream in session.incoming_uni))
    received = [tail(stream.body, body) == body for stream in session.incoming_uni if stream.ended]
    run.check("WT-4.2-05", "finished streams with the body", "==", [True], received, also=("OV-4.3-04",))


@case(
    "scenario-echo.datagrams",
    "WT-4.5-01",
    variants={"empty": 0, "small": 16, "large": 1000},
    witness=WITNESS,
    version=2,
)
def datagrams(run: Run) -> None:
    """Of twenty datagrams some come back, each unchanged; none at all would be suspicious.

    draft-16 §4.5; losses are allowed (RFC 9221 §5.3), so zero of twenty is no verdict.
    """
    run.need_echo("datagram")
    session = run.establish()
    payloads = [number.to_bytes(2, "big") + bytes(run.variant) for number in range(20)]
    for payload in payloads:
        session.send_datagram(payload)
        run.peer.wait(lambda payload=payload: payload in session.datagrams, 0.05)  # type: ignore[misc]
    if not session.datagrams:
        raise Silence("0 of 20 datagrams came back")
    wrong = [data.hex() for data in session.datagrams if not data.endswith(tuple(payloads))]
    run.check("WT-4.5-01", "datagrams that were never sent", "==", [], wrong)


@case("scenario-echo.many-streams", "OV-4.3-04", "WT-4.2-05", witness=WITNESS)
def many_streams(run: Run) -> None:
    """Two hundred streams at once, as many as QUIC's limits let through, are all echoed in full.

    overview-13 §4.3: streams are independent of each other.
    """
    run.need_echo("bidi")
    session = run.establish()
    bodies = [b"stream %d " % number * 20 for number in range(200)]
    streams = [session.open_bidi(body, end_stream=True) for body in bodies]
    run.transferred(lambda: all(stream.done for stream in streams))
    through = [pair for pair in zip(streams, bodies, strict=True) if not run.held_back(pair[0])]
    correct = sum(stream.ended and tail(stream.received, body) == body for stream, body in through)
    run.check("OV-4.3-04", "streams echoed", "==", len(through), correct, also=("WT-4.2-05",), complete=False)


@case("scenario-echo.slow-reader", "WT-4.3-14", "OV-4.3-04", witness=WITNESS)
def slow_reader(run: Run) -> None:
    """A client that grants two kilobytes of credit at a time still gets everything, in order.

    RFC 9000 §4: the target waits for credit, and loses nothing.
    """
    run.need_echo("bidi")
    run.connect(run.options(max_stream_data=2 * KIB))
    session = run.establish()
    body = body_of(64 * KIB)
    stream = session.open_bidi(body, end_stream=True)
    run.transferred(lambda: stream.done)
    run.check("WT-4.3-14", "the body came back", "is", True, tail(stream.received, body) == body)


@case(
    "scenario-echo.large",
    "OV-4.3-04",
    variants={"10-mib": 10 * MIB, "100-mib": 100 * MIB},
    witness=WITNESS,
    slow=True,
)
def large(run: Run) -> None:
    """A transfer of many megabytes comes back byte for byte.

    overview-13 §4.3. Compared by length and SHA-256: the peer stores only the first bytes.
    """
    run.need_echo("bidi")
    session = run.establish()
    block, expected = body_of(MIB), hashlib.sha256()
    stream = session.open_bidi(b"")
    for number in range(run.variant // MIB):
        stream.send(block)
        expected.update(block)
        run.peer.wait(lambda number=number: stream.received_length >= (number - 8) * MIB, patience(MIB))  # type: ignore[misc]
    stream.finish()
    run.peer.wait(lambda: stream.done, patience(run.variant))
    run.check("OV-4.3-04", "bytes that came back", "==", run.variant, stream.received_length)
    run.check("OV-4.3-04", "SHA-256 of what came back", "==", expected.hexdigest(), stream.digest.hexdigest())
