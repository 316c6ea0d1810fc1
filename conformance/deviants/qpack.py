"""Deviants of field section compression (RFC 9204)."""

from __future__ import annotations

from collections.abc import Callable

from conformance.deviants.definition import deviant, override
from conformance.peer import qpack
from conformance.peer.codepoints import Setting
from conformance.peer.model import Behaviour
from conformance.peer.model.engine import Connection
from conformance.peer.qpack import QpackError, SectionEncoder
from conformance.peer.qpack_streams import decoder_instructions, encoder_instructions
from conformance.peer.settings import Entries

# --- field sections ---


def refuse(behaviour: Behaviour, wrong: Callable[[bytes], bool]) -> None:
    """Fail to decode the field sections for which the function holds."""

    def section(_original: object, section: bytes) -> bytes:
        if wrong(section):
            raise QpackError("not decoded")
        return section

    override(behaviour, "field_section", section)


@deviant("qpack.padded-integers", "QPK-4.1-01")
def padded_integers(behaviour: Behaviour) -> None:
    """Does not decode integers in a longer encoding than needed (RFC 9204 §4.1.1)."""
    refuse(behaviour, lambda section: b"\x80\x00" in section)


@deviant("qpack.static-references", "WT-2.1-01")
def static_references(behaviour: Behaviour) -> None:
    """Does not decode references to the static table at the start of a section (RFC 9204 §3.1)."""
    refuse(behaviour, lambda section: section[2] & 0x80 != 0)


@deviant("qpack.never-indexed", "WT-2.1-02")
def never_indexed(behaviour: Behaviour) -> None:
    """Does not decode literals that must never be indexed (RFC 9204 §4.5.6)."""
    refuse(behaviour, lambda section: section[2] & 0xF0 == 0x30)


@deviant("qpack.instructions", "QPK-3-04")
def instructions(behaviour: Behaviour) -> None:
    """Sends an instruction on its encoder stream to a client without a table (RFC 9204 §3.2.3)."""

    def streams(_original: object) -> tuple[bytes, bytes]:
        return b"\x02\x20", b"\x03"

    override(behaviour, "qpack_streams", streams)


# --- the dynamic table ---


def keep_back(behaviour: Behaviour, kind: str) -> None:
    """Leave out instructions of a kind on the decoder stream."""

    def without(original: object, instructions: bytes) -> bytes:
        return b"".join(item.encoded for item in decoder_instructions(instructions) if item.kind != kind)

    override(behaviour, "decoder_instructions", without)


@deviant("qpack.no-acknowledgment", "QPK-2.2-01")
def no_acknowledgment(behaviour: Behaviour) -> None:
    """Acknowledges no field section (RFC 9204 §2.2.2.1)."""
    keep_back(behaviour, "acknowledgment")


@deviant("qpack.no-cancellation", "QPK-2.2-02")
def no_cancellation(behaviour: Behaviour) -> None:
    """Does not cancel requests that are reset while they wait (RFC 9204 §2.2.2.2)."""
    keep_back(behaviour, "cancellation")


@deviant("qpack.more-blocked-streams", "QPK-2.1-01")
def more_blocked_streams(behaviour: Behaviour) -> None:
    """Lets more streams wait than it announced (RFC 9204 §2.1.2)."""
    announced = behaviour.blocked_streams
    behaviour.blocked_streams *= 2

    def settings(original: Callable[[], Entries]) -> Entries:
        entries = dict(original()) | {int(Setting.QPACK_BLOCKED_STREAMS): announced}
        return tuple(entries.items())

    override(behaviour, "settings", settings)


@deviant("qpack.waits-for-ever", "QPK-2.1-02")
def waits_for_ever(behaviour: Behaviour) -> None:
    """Does not go on with a request once its entries are there (RFC 9204 §2.2.1)."""

    def connected(_original: object, connection: Connection) -> None:
        feed = connection.decoder.feed

        def unnoticed(instructions: bytes) -> list[int]:
            feed(instructions)
            return []

        connection.decoder.feed = unnoticed  # type: ignore[method-assign]

    override(behaviour, "connected", connected)


@deviant("qpack.evicts-nothing", "QPK-2.2-03")
def evicts_nothing(behaviour: Behaviour) -> None:
    """Keeps entries for which a smaller capacity has no room (RFC 9204 §3.2.2)."""

    def grown(_original: object, data: bytes) -> bytes:
        return b"".join(
            item.encoded
            for item in encoder_instructions(data)
            if item.kind != "capacity" or item.value > 2 * qpack.ENTRY_OVERHEAD
        )

    override(behaviour, "encoder_instructions", grown)


@deviant("qpack.own-insert-count", "QPK-2.2-03", "QPK-2.2-04")
def own_insert_count(behaviour: Behaviour) -> None:
    """Takes any entry that it has, whatever the section declares to need (RFC 9204 §2.2.1)."""

    def repaired(_original: object, section: bytes) -> bytes:
        if not qpack.refers_beyond_insert_count(section):
            return section
        # Two entries and a small table: counts are not wrapped, and take one byte each.
        required, delta = max(0, section[0] - 1), section[1] & 0x7F
        base = required - delta - 1 if section[1] & 0x80 else required + delta
        prefix = (
            qpack.section_prefix(3, 1 - base, sign=True) if base < 2 else qpack.section_prefix(3, base - 2)
        )
        return prefix + section[2:]

    override(behaviour, "field_section", repaired)


@deviant("qpack.unique-entries", "QPK-3-02")
def unique_entries(behaviour: Behaviour) -> None:
    """Takes an entry that its table has already for an error (RFC 9204 §3.2)."""

    def refused(_original: object, data: bytes) -> bytes:
        added = [item.encoded for item in encoder_instructions(data) if item.kind != "capacity"]
        if len(set(added)) < len(added) or any(
            item.kind == "duplicate" for item in encoder_instructions(data)
        ):
            raise QpackError("a duplicate")
        return data

    override(behaviour, "encoder_instructions", refused)


@deviant("qpack.risks-blocking", "QPK-2.1-01")
def risks_blocking(behaviour: Behaviour) -> None:
    """Lets more of its responses depend on what the client has not acknowledged than that allows (§2.1.2)."""

    def greedy(
        original: Callable[[int, int], SectionEncoder | None], capacity: int, blocked_streams: int
    ) -> SectionEncoder | None:
        return original(capacity, blocked_streams + 2)

    override(behaviour, "section_encoder", greedy)
