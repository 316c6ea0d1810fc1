"""Deviants of field section compression (RFC 9204)."""

from __future__ import annotations

from conformance.deviants.definition import deviant, override
from conformance.peer.model import Behaviour
from conformance.peer.qpack_streams import decoder_instructions

# --- field sections ---


@deviant("qpack.padded-integers", "QPK-4.1-01")
def padded_integers(behaviour: Behaviour) -> None:
    """Does not decode integers in a longer encoding than needed (RFC 9204 §4.1.1)."""
    override(behaviour, "decodable", lambda _original, section: b"\x80\x00" not in section)


@deviant("qpack.static-references", "WT-2.1-01")
def static_references(behaviour: Behaviour) -> None:
    """Does not decode references to the static table at the start of a section (RFC 9204 §3.1)."""
    override(behaviour, "decodable", lambda _original, section: section[2] & 0x80 == 0)


@deviant("qpack.never-indexed", "WT-2.1-02")
def never_indexed(behaviour: Behaviour) -> None:
    """Does not decode literals that must never be indexed (RFC 9204 §4.5.6)."""
    override(behaviour, "decodable", lambda _original, section: section[2] & 0xF0 != 0x30)


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
