"""SETTINGS frames (RFC 9114 §7.2.4): what each side of each draft sends, encoding and parsing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

from conformance.peer.codepoints import FrameType, Setting, reserved
from conformance.peer.drafts import FACTS, Draft
from conformance.peer.h3frames import frame
from conformance.peer.varint import read_varint, varint

Entries: TypeAlias = tuple[tuple[int, int], ...]

# The setting that RFC 9114 §7.2.4.1 asks for to exercise the extension point.
GREASE: Final = (reserved(0x3A7), 0x2A)


class FlowControl(NamedTuple):
    """Initial limits of a session (draft-16 §5.5); None leaves a setting out."""

    streams_uni: int | None
    streams_bidi: int | None
    data: int | None

    def entries(self) -> Entries:
        """Return the settings of the limits that are given."""
        pairs = (
            (Setting.WT_INITIAL_MAX_STREAMS_UNI, self.streams_uni),
            (Setting.WT_INITIAL_MAX_STREAMS_BIDI, self.streams_bidi),
            (Setting.WT_INITIAL_MAX_DATA, self.data),
        )
        return tuple((int(identifier), value) for identifier, value in pairs if value is not None)


def encode_settings(entries: Iterable[tuple[int, int]]) -> bytes:
    """Encode a SETTINGS frame with the entries as they stand, duplicates and all."""
    payload = b"".join(varint(identifier) + varint(value) for identifier, value in entries)
    return frame(FrameType.SETTINGS, payload)


def parse_settings(payload: bytes) -> Entries | None:
    """Parse the payload of a SETTINGS frame in wire order; None if it ends inside of a pair."""
    entries: list[tuple[int, int]] = []
    offset = 0
    while offset < len(payload):
        identifier = read_varint(payload, offset)
        value = None if identifier is None else read_varint(payload, identifier[1])
        if identifier is None or value is None:
            return None
        entries.append((identifier[0], value[0]))
        offset = value[1]
    return tuple(entries)


def client_settings(drafts: Sequence[Draft], flow_control: FlowControl | None = None) -> Entries:
    """Return what a client that supports ``drafts`` has to send, with no dynamic QPACK table."""
    entries: list[tuple[int, int]] = [
        (Setting.QPACK_MAX_TABLE_CAPACITY, 0),
        (Setting.QPACK_BLOCKED_STREAMS, 0),
    ]
    entries += _shared(drafts, sessions=1, extra=tuple(s for d in drafts for s in FACTS[d].client_settings))
    entries += flow_control.entries() if flow_control else ()
    return (*entries, GREASE)


def server_settings(
    drafts: Sequence[Draft],
    flow_control: FlowControl | None = None,
    *,
    sessions: int = 1,
    table_capacity: int = 0,
    blocked_streams: int = 0,
) -> Entries:
    """Return what a server that supports ``drafts`` has to send; ``sessions`` where a draft counts them."""
    entries: list[tuple[int, int]] = [
        (Setting.QPACK_MAX_TABLE_CAPACITY, table_capacity),
        (Setting.QPACK_BLOCKED_STREAMS, blocked_streams),
    ]
    extra = (Setting.ENABLE_CONNECT_PROTOCOL, *(s for d in drafts for s in FACTS[d].server_settings))
    entries += _shared(drafts, sessions=sessions, extra=extra)
    entries += flow_control.entries() if flow_control else ()
    return (*entries, GREASE)


def _shared(drafts: Sequence[Draft], *, sessions: int, extra: tuple[Setting, ...]) -> Entries:
    entries: dict[int, int] = {int(setting): 1 for setting in extra}
    if Draft.D02 in drafts:
        entries[Setting.H3_DATAGRAM] = 1
        entries[Setting.H3_DATAGRAM_DRAFT04] = 1
    for draft in drafts:
        facts = FACTS[draft]
        entries[facts.setting] = sessions if facts.counts_sessions else 1
    return tuple(sorted(entries.items()))
