"""The dynamic table of QPACK that the client fills (RFC 9204 §2.1, §2.2, §3.2).

A target without such a table, or too small a one, makes these cases unsupported: both settings default to 0.
"""

from __future__ import annotations

from typing import Final

from conformance.harness.case import case
from conformance.harness.run import Run
from conformance.peer import qpack
from conformance.peer.codepoints import Setting, StreamType
from conformance.peer.h3frames import headers_frame
from conformance.peer.options import SessionRefused
from conformance.peer.qpack import Field
from conformance.peer.qpack_streams import Instruction, decoder_instructions
from conformance.peer.session import Session
from conformance.peer.varint import read_varint

# Two entries, and a capacity with room for five of them.
FIRST: Final = (b"x-first", b"1")
SECOND: Final = (b"x-second", b"2")
CAPACITY: Final = 220
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

    def insert(self, *entries: Field) -> None:
        """Insert entries, and wait until they may be referred to.

        Where no stream may wait for them, that is once they are acknowledged (RFC 9204 §2.1.2), which a
        decoder may put off for ever (§2.2.2.3): raises Unsupported then.
        """
        capacity = b"" if self.inserted else qpack.set_capacity(CAPACITY)
        self.send(capacity + b"".join(qpack.insert_literal(*entry) for entry in entries))
        self.inserted += len(entries)
        peer = self._run.peer
        peer.wait(peer.quic.acked)
        if not self.blocked_streams:
            known = peer.wait(lambda: self._increments() >= self.inserted, self._run.deadline)
            self._run.need(known, "no stream may be blocked, and it does not acknowledge what is inserted")

    def _increments(self) -> int:
        return sum(item.value for item in instructions_received(self._run) if item.kind == "increment")

    def request(self, required: int, references: bytes, *, base: int | None = None) -> Session:
        """Send a session request that ends with field lines of the table.

        ``required`` is its Required Insert Count (RFC 9204 §4.5.1.1), ``base`` its Base where that differs.
        """
        run, base = self._run, required if base is None else base
        sign = base < required
        delta = required - base - 1 if sign else base - required
        prefix = qpack.section_prefix(qpack.encoded_insert_count(required, self.maximum), delta, sign=sign)
        literals = b"".join(qpack.literal(name, value) for name, value in run.good_fields())
        request = run.reserve()
        request.send(headers_frame(prefix + literals + references))
        return request


def instructions_received(run: Run) -> list[Instruction]:
    """Return the instructions on the target's decoder stream."""
    ids = [event.stream_id for event in run.uni_streams() if event.stream_type == StreamType.QPACK_DECODER]
    data = b"".join(run.peer.streams[stream_id].received for stream_id in ids[:1])
    stream_type = read_varint(data)
    return decoder_instructions(data[stream_type[1] :]) if stream_type is not None else []


def streams_named(run: Run, kind: str) -> list[int]:
    """Return the streams that the target acknowledged, or cancelled."""
    return [item.value for item in instructions_received(run) if item.kind == kind]


@case(
    "qpack.section-acknowledgment",
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
    run.peer.wait(lambda: bool(streams_named(run, "acknowledgment")), run.deadline)
    acknowledged = streams_named(run, "acknowledgment")
    run.check("QPK-2.2-01", "streams acknowledged on the decoder stream", "==", [request.id], acknowledged)
