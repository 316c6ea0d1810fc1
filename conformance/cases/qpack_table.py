"""The dynamic tables of QPACK: the one that the client fills, and the one that it allows (RFC 9204 §2, §3.2).

A target without such a table, or too small a one, makes these cases unsupported: both settings default to 0.
"""

from __future__ import annotations

from typing import Final

from conformance.harness.case import case
from conformance.harness.run import Run
from conformance.peer import qpack
from conformance.peer.codepoints import FrameType, Setting, StreamType
from conformance.peer.events import H3Frame
from conformance.peer.h3frames import headers_frame
from conformance.peer.options import SessionRefused
from conformance.peer.qpack import Field
from conformance.peer.qpack_streams import decoder_instructions, encoder_instructions
from conformance.peer.session import Session
from conformance.peer.streams import RequestStream
from conformance.peer.varint import read_varint

# Two entries, and a capacity with room for five of them.
FIRST: Final = (b"x-first", b"1")
SECOND: Final = (b"x-second", b"2")
CAPACITY: Final = 220
# A target that lets more streams be blocked is not put to the test.
MAX_STREAMS: Final = 256
# Rounds of requests that are alike; an encoder may wait for the second one before it inserts anything.
ROUNDS: Final = 3
UNKNOWN_PATH: Final = "/no-such-resource-of-the-suite"

DECOMPRESSION_FAILED: Final = 0x0200
ENCODER_STREAM_ERROR: Final = 0x0201
REQUEST_CANCELLED: Final = 0x010C
# Field lines that refer to both, where the Base is behind them (RFC 9204 §3.2.5).
BOTH: Final = qpack.indexed_dynamic(1) + qpack.indexed_dynamic(0)


class Table:
    """The table of a target, as far as the case has filled it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.maximum = run.setting(Setting.QPACK_MAX_TABLE_CAPACITY) or 0
        self.blocked_streams = run.setting(Setting.QPACK_BLOCKED_STREAMS) or 0
        run.need(
            self.maximum >= CAPACITY,
            f"its SETTINGS_QPACK_MAX_TABLE_CAPACITY is {self.maximum}, the case needs {CAPACITY}",
        )
        self.inserted = 0

    def need_blocking(self) -> None:
        """Demand that a stream may wait for its entries; raises Unsupported."""
        self._run.need(self.blocked_streams > 0, "its SETTINGS_QPACK_BLOCKED_STREAMS is 0 (RFC 9204 §2.1.2)")

    def send(self, instructions: bytes) -> None:
        """Send instructions on the encoder stream."""
        stream = self._run.peer.encoder_stream
        assert stream is not None
        stream.send(instructions)

    def insert(self, *entries: Field, more: bytes = b"") -> None:
        """Insert entries and, if told, one more by an instruction; wait until they may be referred to.

        Where no stream may wait for them, that is once they are acknowledged (RFC 9204 §2.1.2), which a
        decoder may put off for ever (§2.2.2.3): raises Unsupported then.
        """
        capacity = b"" if self.inserted else qpack.set_capacity(CAPACITY)
        self.send(capacity + b"".join(qpack.insert_literal(*entry) for entry in entries) + more)
        self.inserted += len(entries) + bool(more)
        peer = self._run.peer
        peer.wait(peer.quic.acked)
        if not self.blocked_streams:
            run = self._run
            known = peer.wait(lambda: sum(reported(run, "increment")) >= self.inserted, run.deadline)
            run.need(known, "no stream may be blocked, and it does not acknowledge what is inserted")

    def prefix(self, required: int, base: int | None = None) -> bytes:
        """Return the prefix of a section; the Base is the Required Insert Count if none is given (§4.5.1)."""
        encoded, base = qpack.encoded_insert_count(required, self.maximum), required if base is None else base
        if base < required:
            return qpack.section_prefix(encoded, required - base - 1, sign=True)
        return qpack.section_prefix(encoded, base - required)

    def request(self, required: int, references: bytes, *, base: int | None = None) -> Session:
        """Send a session request that ends with field lines of the table."""
        literals = b"".join(qpack.literal(name, value) for name, value in self._run.good_fields())
        request = self._run.reserve()
        request.send(headers_frame(self.prefix(required, base) + literals + references))
        return request


def stream_received(run: Run, stream_type: StreamType) -> bytes:
    """Return what arrived on the target's stream of a type, behind the type."""
    ids = [event.stream_id for event in run.uni_streams() if event.stream_type == stream_type]
    data = b"".join(run.peer.streams[stream_id].received for stream_id in ids[:1])
    header = read_varint(data)
    return data[header[1] :] if header is not None else b""


def reported(run: Run, kind: str) -> list[int]:
    """Return the values of the target's decoder instructions of a kind: stream IDs, or increments."""
    received = decoder_instructions(stream_received(run, StreamType.QPACK_DECODER))
    return [item.value for item in received if item.kind == kind]


@case(
    "qpack-table.section-acknowledgment",
    "QPK-2.2-01",
    variants={"entries-first": False, "entries-later": True},
    witness="RFC 9204 §2.2.2.1, §4.4.1; sample of §B.2: 84 for stream 4",
)
def section_acknowledgment(run: Run) -> None:
    """A field section with references to the dynamic table is acknowledged on the decoder stream.

    RFC 9204 §2.2.2.1: MUST. The entries arrive before the section, or after it.
    """
    run.connect()
    table = Table(run)
    if run.variant:
        table.need_blocking()
        request = table.request(2, BOTH)
        run.flush()
        table.insert(FIRST, SECOND)
    else:
        table.insert(FIRST, SECOND)
        request = table.request(2, BOTH)
    if not run.peer.wait(lambda: request.response is not None):
        raise SessionRefused("no response to a request with references to the dynamic table")
    run.peer.wait(lambda: bool(reported(run, "acknowledgment")), run.deadline)
    acknowledged = reported(run, "acknowledgment")
    run.check("QPK-2.2-01", "streams acknowledged on the decoder stream", "==", [request.id], acknowledged)


@case(
    "qpack-table.blocked-request",
    "QPK-2.1-02",
    witness="RFC 9204 §2.1.2, §2.2.1: blocked until the Insert Count reaches the Required Insert Count",
)
def blocked_request(run: Run) -> None:
    """A request that refers to entries which are still on their way is answered once they have arrived.

    RFC 9204 §2.1.2, §2.2.1; one such stream is within what the target announced.
    """
    run.connect()
    table = Table(run)
    table.need_blocking()
    request = table.request(2, BOTH)
    run.peer.fence()
    table.insert(FIRST, SECOND)
    run.expect("QPK-2.1-02", "established", stream=request)


@case(
    "qpack-table.blocked-streams",
    "QPK-2.1-01",
    negative=True,
    witness="RFC 9204 §2.1.2: more blocked streams than promised MUST be QPACK_DECOMPRESSION_FAILED",
)
def blocked_streams(run: Run) -> None:
    """One blocked stream more than the target promised to support is a connection error.

    RFC 9204 §2.1.2. The twin blocks as many streams as the target allows, which may be none.
    """
    session = run.establish()
    table = Table(run)
    allowed = table.blocked_streams
    credit = min(run.peer.quic.stream_credit(unidirectional=False), MAX_STREAMS)
    run.need(
        allowed < credit,
        f"its SETTINGS_QPACK_BLOCKED_STREAMS is {allowed}, the case may open {credit} more streams only",
    )
    blocked = headers_frame(table.prefix(1) + qpack.indexed_dynamic(0))
    for _ in range(run.vary(good=allowed, bad=allowed + 1)):
        run.peer.open_bidi(blocked)
    run.expect("QPK-2.1-01", "connection-error", code=DECOMPRESSION_FAILED, session=session)


@case(
    "qpack-table.stream-cancellation",
    "QPK-2.2-02",
    witness="RFC 9204 §2.2.2.2, §4.4.2; sample of §B.4: 48 for stream 8",
)
def stream_cancellation(run: Run) -> None:
    """A request that is reset while it is blocked is cancelled on the decoder stream.

    RFC 9204 §2.2.2.2: only a decoder without a table may leave that out.
    """
    session = run.establish()
    table = Table(run)
    table.need_blocking()
    request = table.request(1, qpack.indexed_dynamic(0))
    run.peer.fence(session)
    request.reset(REQUEST_CANCELLED)
    run.peer.wait(lambda: request.id in reported(run, "cancellation"), run.deadline)
    cancelled = reported(run, "cancellation")
    run.check("QPK-2.2-02", "streams cancelled on the decoder stream", "contains", request.id, cancelled)


@case(
    "qpack-table.reference-beyond-insert-count",
    "QPK-2.2-03",
    variants={
        "relative": (2, qpack.indexed_dynamic(1), qpack.indexed_dynamic(0)),
        "post-base": (0, qpack.indexed_post_base(0), qpack.indexed_post_base(1)),
    },
    negative=True,
    witness="RFC 9204 §2.2.3: an absolute index at or above the declared Required Insert Count",
)
def reference_beyond_insert_count(run: Run) -> None:
    """A reference to an entry at or above the declared Required Insert Count is a connection error.

    RFC 9204 §2.2.3: QPACK_DECOMPRESSION_FAILED, though the table has the entry. The twin refers to the one
    below.
    """
    run.connect()
    table = Table(run)
    table.insert(FIRST, SECOND)
    base, good, bad = run.variant
    request = table.request(1, run.vary(good=good, bad=bad), base=base)
    run.expect(
        "QPK-2.2-03", "connection-error", code=DECOMPRESSION_FAILED, stream=request, twin="established"
    )


@case(
    "qpack-table.insert-count-too-small",
    "QPK-2.2-04",
    variants={"one": 1, "zero": 0},
    negative=True,
    witness="RFC 9204 §2.2.1: smaller than expected MUST be QPACK_DECOMPRESSION_FAILED",
)
def insert_count_too_small(run: Run) -> None:
    """A Required Insert Count below what the field lines need is a connection error.

    RFC 9204 §2.2.1. The twin declares the count that is needed; the Base is the same.
    """
    run.connect()
    table = Table(run)
    table.insert(FIRST, SECOND)
    request = table.request(run.vary(good=2, bad=run.variant), BOTH, base=2)
    run.expect(
        "QPK-2.2-04", "connection-error", code=DECOMPRESSION_FAILED, stream=request, twin="established"
    )


def evict_first(run: Run, table: Table) -> None:
    """Insert two entries and evict the first, as an encoder may (RFC 9204 §2.1.1, §3.2.2).

    It is evictable once a section that refers to it was acknowledged; raises Unsupported where that does not
    happen.
    """
    table.insert(FIRST)
    fields = b"".join(qpack.literal(name, value) for name, value in run.get_fields())
    request = run.peer.open_bidi(
        headers_frame(table.prefix(1) + fields + qpack.indexed_dynamic(0)), end_stream=True
    )
    known = run.peer.wait(lambda: request.id in reported(run, "acknowledgment"), run.deadline)
    run.need(known, "it acknowledges no field section, so that no entry becomes evictable (RFC 9204 §2.1.1)")
    table.insert(SECOND)
    table.send(qpack.set_capacity(qpack.entry_size(SECOND)) + qpack.set_capacity(CAPACITY))
    run.peer.wait(run.peer.quic.acked)


@case(
    "qpack-table.reference-to-evicted",
    "QPK-2.2-03",
    negative=True,
    witness="RFC 9204 §2.2.3: an entry that has already been evicted",
)
def reference_to_evicted(run: Run) -> None:
    """A field line that refers to an evicted entry is a connection error.

    RFC 9204 §2.2.3: QPACK_DECOMPRESSION_FAILED. The twin refers twice to the entry that is left; that
    reference makes the Required Insert Count right in both.
    """
    run.connect()
    table = Table(run)
    evict_first(run, table)
    line = run.vary(good=qpack.indexed_dynamic(0), bad=qpack.indexed_dynamic(1))
    request = table.request(2, line + qpack.indexed_dynamic(0))
    run.expect(
        "QPK-2.2-03", "connection-error", code=DECOMPRESSION_FAILED, stream=request, twin="established"
    )


@case(
    "qpack-table.duplicate-of-evicted",
    "QPK-2.2-03",
    negative=True,
    witness="RFC 9204 §2.2.3: QPACK_ENCODER_STREAM_ERROR for a reference in an encoder instruction",
)
def duplicate_of_evicted(run: Run) -> None:
    """An instruction that refers to an evicted entry is an error on the encoder stream.

    RFC 9204 §2.2.3: QPACK_ENCODER_STREAM_ERROR. The twin duplicates the entry that is left.
    """
    session = run.establish()
    table = Table(run)
    evict_first(run, table)
    table.send(run.vary(good=qpack.duplicate(0), bad=qpack.duplicate(1)))
    run.expect("QPK-2.2-03", "connection-error", code=ENCODER_STREAM_ERROR, session=session)


@case(
    "qpack-table.duplicate-entries",
    "QPK-3-02",
    variants={
        "inserted": qpack.insert_literal(*FIRST),
        "duplicated": qpack.duplicate(0),
    },
    witness="RFC 9204 §3.2: duplicate entries MUST NOT be treated as an error; §4.3.4",
)
def duplicate_entries(run: Run) -> None:
    """The same entry may be in the table twice, inserted again or by the Duplicate instruction.

    RFC 9204 §3.2. The request refers to both.
    """
    run.connect()
    table = Table(run)
    table.insert(FIRST, more=run.variant)
    request = table.request(2, BOTH)
    run.expect("QPK-3-02", "established", stream=request)


def play(run: Run, request: RequestStream) -> None:
    """Wait for the answer to a request; a session is closed, since there may be only one at a time."""
    run.peer.wait(lambda: request.answered)
    if isinstance(request, Session) and request.established:
        request.close()
        run.peer.wait(lambda: request.done)


@case(
    "qpack-table.encoder-blocked-streams",
    "QPK-2.1-01",
    variants={"none": 0, "one": 1},
    witness="RFC 9204 §2.1.2: an encoder MUST limit the number of streams that could become blocked",
)
def encoder_blocked_streams(run: Run) -> None:
    """The target's encoder lets no more responses depend on unacknowledged entries than the client allows.

    RFC 9204 §2.1.2. The client allows a table and acknowledges nothing, so that each response with a Required
    Insert Count could be blocked. A target that uses no table is not judged.
    """
    allowed = run.variant
    settings = {Setting.QPACK_MAX_TABLE_CAPACITY: 4096, Setting.QPACK_BLOCKED_STREAMS: allowed}
    run.connect(run.options(replace_settings={int(name): value for name, value in settings.items()}))
    for _ in range(ROUNDS):
        play(run, run.get(end_stream=True))
        play(run, run.request(UNKNOWN_PATH))
        play(run, run.request(replace={b":protocol": b"no-such-protocol"}))
    # The end of a session may be that of its connection, so they come last.
    for _ in range(ROUNDS):
        play(run, run.request())
    run.peer.fence()
    risked = {
        event.stream_id
        for event in run.peer.events.of(H3Frame, sent=False)
        if event.frame_type == FrameType.HEADERS and event.payload[:1] != b"\x00"
    }
    inserted = encoder_instructions(stream_received(run, StreamType.QPACK_ENCODER))
    run.need(
        bool(risked) or any(item.kind != "capacity" for item in inserted),
        f"its encoder used no dynamic table in {ROUNDS} rounds of requests that are alike (RFC 9204 §2.1)",
    )
    run.check("QPK-2.1-01", "streams that could become blocked", "<=", allowed, len(risked))
