"""Strategies for operations: mostly small and near the edges that the texts name."""

from __future__ import annotations

from typing import Final, TypeAlias

from hypothesis import strategies as st

from conformance.peer.codepoints import H3, WT, CapsuleType, FrameType, StreamType, reserved
from conformance.peer.errorcodes import FIRST, LAST
from conformance.peer.varint import varint
from fuzz import operations as op
from fuzz.expectations import IDENTIFIER_FRAMES
from fuzz.requests import REQUESTS

PAYLOADS: Final = st.sampled_from(
    [b"", b"\0", b"a", b"\x41\x00", b"\x40\x54\x00", b"fuzz", bytes(range(64)), bytes(1000), b"z" * 3000]
)
SMALL: Final = st.sampled_from([b"", b"\0", b"\xff", b"fuzz", bytes(40)])
_PLACES: Final[tuple[op.Place, ...]] = ("connect", "control")
_CRITICAL: Final[tuple[op.Critical, ...]] = ("control", "encoder", "decoder")
_ENDINGS: Final[tuple[op.Ending, ...]] = ("fin", "reset")
PIECES: Final = st.sampled_from([1, 1, 1, 2, 3])
INDEX: Final = st.integers(0, 7)
# Application codes, codes outside of their range, reserved ones within it (draft-16 §4.4).
CODES: Final = st.sampled_from(
    [FIRST, FIRST + 1, LAST, FIRST + 0x1D, int(H3.REQUEST_CANCELLED), int(H3.NO_ERROR), int(WT.SESSION_GONE),
     reserved(5), 0, (1 << 62) - 1]
)  # fmt: skip
ID_LENGTHS: Final = st.sampled_from([None, None, None, 2, 4, 8])
RESERVED: Final = st.integers(0, 1 << 20).map(reserved)

# Stream names are set by the machine; 0 stands for it here.
OPENINGS: Final = st.builds(
    op.OpenStream, st.just(0), st.booleans(), PAYLOADS, st.booleans(), st.just(0), ID_LENGTHS, PIECES
)
PLAIN_OPENINGS: Final = st.builds(op.OpenStream, st.just(0), st.booleans(), SMALL, st.just(True))
DATAGRAMS: Final = st.builds(op.Datagram, SMALL)
BURSTS: Final = st.lists(PLAIN_OPENINGS | OPENINGS | DATAGRAMS, min_size=6, max_size=16)
SENDS: Final = st.builds(op.Send, INDEX, PAYLOADS, st.booleans(), PIECES)
ENDINGS: Final = (
    st.builds(op.Reset, INDEX, CODES)
    | st.builds(op.ResetAt, INDEX, CODES, st.sampled_from([0, 0, 1, 100]))
    | st.builds(op.Stop, INDEX, CODES)
)

# What has to be ignored (RFC 9114 §6.2, §7.2.8, §9; RFC 9297 §3.2).
TOLERATED: Final = st.one_of(
    st.builds(op.Frame, st.sampled_from(["connect", "control"]), RESERVED, SMALL),
    st.builds(op.OtherUni, RESERVED, SMALL, st.booleans()),
    st.builds(op.Capsule, RESERVED, SMALL, st.just(0), st.just(False), PIECES),
    st.builds(op.Capsule, st.just(int(CapsuleType.DATAGRAM)), SMALL),
    st.just(op.Frame("connect", FrameType.DATA)),
    st.just(op.Drain()),
    st.just(op.Delay(3)),
)


def _alone(operation: op.Operation) -> list[op.Operation]:
    return [operation]


# Tables instead of nested choices: each violation is as likely as every other one.
_PAYLOADS_OF_FRAMES: Final = (b"", varint(0), varint(4), b"\x40", varint(1) + b"x")
_FRAME_TYPES: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 0x0D, 0x41)
_BAD_FRAMES: Final[list[op.Operation]] = [
    *(
        op.Frame(place, kind, payload)
        for place in _PLACES
        for kind in _FRAME_TYPES
        for payload in _PAYLOADS_OF_FRAMES[:: 1 if kind in IDENTIFIER_FRAMES else 4]
    ),
    op.Frame("control", 0, b"data"),
    *(op.Frame("connect", reserved(7), b"cut", missing) for missing in (1, 100)),
]
_BAD_IDS: Final[list[op.Operation]] = [
    op.OpenStream(0, bidi, b"x", fin, offset)
    for bidi in (False, True)
    for fin in (False, True)
    for offset in (1, 2, 3)
]
_BAD_STREAMS: Final[list[op.Operation]] = [
    *(op.OtherUni(int(kind), b"") for kind in StreamType if kind != StreamType.WEBTRANSPORT),
    *(op.EndCritical(which, how) for which in _CRITICAL for how in _ENDINGS),
]
_BAD_DATAGRAMS: Final[list[op.Operation]] = [
    op.RawDatagram(data)
    for data in (b"", b"\x40", b"\x80\0\0", b"\xd0" + bytes(7), b"\xff" * 8, b"\xd0" + bytes(8))
]
IDENTIFIER_PAIRS: Final = st.sampled_from(
    [
        [op.Frame("control", int(kind), varint(value)) for value in values]
        for kind in (FrameType.GOAWAY, FrameType.MAX_PUSH_ID)
        for values in ((4, 4), (4, 8), (8, 4), (0, 4), (4, 0))
    ]
)

REASONS: Final = st.sampled_from([b"", b"bye", "\u20ac".encode(), b"r" * 1024])
CLOSES: Final = st.one_of(
    st.builds(
        op.Close, st.sampled_from([0, 1, 255, 0xFFFFFFFF]), REASONS, st.sampled_from([True, True, False])
    ),
    st.builds(op.EndConnect, st.sampled_from(["fin", "reset", "stop"])),
)
_CLOSE: Final = int(CapsuleType.WT_CLOSE_SESSION)
_BAD_CLOSES: Final[list[op.Operation]] = [
    op.Capsule(_CLOSE, b""),
    op.Capsule(_CLOSE, b"\0\0\0"),
    *(op.Close(0, reason) for reason in (b"r" * 1025, b"r" * 5000, b"\xff", b"ok\xc3")),
    *(op.Capsule(int(CapsuleType.WT_DRAIN_SESSION), value) for value in (b"\0", b"value")),
    *(op.Capsule(reserved(9), b"cut", missing) for missing in (1, 60, 20000)),
]

_STREAM_KINDS: Final[tuple[op.Kind, ...]] = ("uni", "bidi")
_KINDS: Final[tuple[op.Kind, ...]] = (*_STREAM_KINDS, "data")
KINDS: Final = st.sampled_from(_KINDS)
LIMITS: Final = st.builds(
    op.Limit,
    KINDS,
    st.one_of(st.integers(0, 100), st.sampled_from([1 << 20, 1 << 60, (1 << 60) + 1, (1 << 62) - 1])),
    st.sampled_from([False, False, False, True]),
)
LIMIT_PAIRS: Final = st.tuples(KINDS, st.integers(200_000, 200_010), st.integers(-2, 2))
_LIMIT_TYPES: Final = [int(item) for item in CapsuleType if 0x190B4D00 < item < 0x190B4E00]
_BAD_LIMITS: Final[list[op.Operation]] = [
    *(op.Capsule(kind, value) for kind in _LIMIT_TYPES for value in (b"", b"\x40", b"\x01\x01")),
    *(op.Limit(kind, (1 << 60) + 1, blocked) for kind in _STREAM_KINDS for blocked in (False, True)),
]
_OVERRUNS: Final[list[op.Operation]] = [op.Overrun(kind, excess) for kind in _KINDS for excess in (1, 500)]
REQUEST_VARIANTS: Final = st.sampled_from([op.Request(name) for name in sorted(REQUESTS)])

# How a session goes to its end: with something that is not allowed, or in an orderly way.
Finale: TypeAlias = list[op.Operation]
_BAD_SESSIONS: Final = (_BAD_FRAMES, _BAD_IDS, _BAD_STREAMS, _BAD_DATAGRAMS)
_BAD_CAPSULES: Final = (_BAD_CLOSES, _BAD_LIMITS, _OVERRUNS)
SESSION_FINALES: Final[st.SearchStrategy[Finale]] = st.one_of(
    *(st.sampled_from(table).map(_alone) for table in _BAD_SESSIONS), IDENTIFIER_PAIRS, CLOSES.map(_alone)
)
CAPSULE_FINALES: Final[st.SearchStrategy[Finale]] = st.one_of(
    *(st.sampled_from(table).map(_alone) for table in _BAD_CAPSULES),
    REQUEST_VARIANTS.map(_alone),
    CLOSES.map(_alone),
)
