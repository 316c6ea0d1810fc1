"""Choices below HTTP/3: limits, code points, encodings."""

from __future__ import annotations

from typing import Any

from conformance.deviants.choices.definition import choice
from conformance.deviants.definition import override
from conformance.peer.codepoints import StreamType
from conformance.peer.datagrams import datagram
from conformance.peer.drafts import Draft
from conformance.peer.model import Behaviour
from conformance.peer.varint import varint
from conformance.peer.wtheaders import bidi_header, uni_header

SINCE_14 = (Draft.D16, Draft.D14)


def _quic(behaviour: Behaviour, **changes: Any) -> None:
    override(behaviour, "quic_options", lambda original: {**original(), **changes})


@choice(
    "quic.three-uni-streams",
    "RFC 9114 §6.2: MUST allow the peer to create at least three unidirectional streams",
    without=(
        "buffering.bounded", "close-drain.late-streams.uni", "close-drain.streams-stopped.uni",
        "control-stream.", "flow-control.", "pooling.", "qpack.", "quic-extension.", "reset-stop.",
        "scenario-", "streams-uni.", "buffering.optimistic", "buffering.unknown-session",
        "establishment.grease",
    ),
)  # fmt: skip
def three_uni_streams(behaviour: Behaviour) -> None:
    """Permits three unidirectional streams for the whole life of a connection."""
    _quic(behaviour, max_streams_uni=3, raise_limits=False, max_data=1 << 28, max_stream_data=1 << 26)


@choice(
    "quic.few-bidi-streams",
    "RFC 9000 §4.6: an endpoint decides how many streams it permits",
    without=(
        "flow-control.streams-beyond-limit",
        "qpack-table.blocked-streams",
        "reset-stop.resets-keep-session",
        "scenario-",
        "streams-bidi.request-limit",
    ),
)
def few_bidi_streams(behaviour: Behaviour) -> None:
    """Permits sixteen bidirectional streams at first."""
    _quic(behaviour, max_streams_bidi=16)


@choice(
    "quic.fixed-streams", "RFC 9000 §4.6: an endpoint decides when it permits more", without=("scenario-",)
)
def fixed_streams(behaviour: Behaviour) -> None:
    """Permits 128 streams of a kind and never more."""
    _quic(behaviour, raise_limits=False, max_data=1 << 28, max_stream_data=1 << 26)


@choice(
    "quic.small-windows",
    "RFC 9000 §4.1: an endpoint decides about credit; RFC 9114 §6.2: SHOULD be 1024 bytes or more",
    without=("flow-control.data-beyond-limit",),
)
def small_windows(behaviour: Behaviour) -> None:
    """Has windows of 1024 bytes for a stream and of 8 KiB for a connection."""
    _quic(behaviour, max_stream_data=1024, max_data=8192)


@choice(
    "quic.small-datagrams",
    "RFC 9221 §3: a limit of any size",
    without=("scenario-echo.datagrams.large",),
)
def small_datagrams(behaviour: Behaviour) -> None:
    """Takes DATAGRAM frames of up to 200 bytes."""
    _quic(behaviour, max_datagram_frame_size=200)


@choice("quic.old-reset-stream-at", "reliable-stream-reset-07 §3", drafts=SINCE_14)
def old_reset_stream_at(behaviour: Behaviour) -> None:
    """Knows the transport parameter of reliable-stream-reset-07 only."""
    _quic(behaviour, reset_stream_at=(0x17F7586D2CB571,))


@choice("quic.new-reset-stream-at", "reliable-stream-reset-10 §3", drafts=SINCE_14)
def new_reset_stream_at(behaviour: Behaviour) -> None:
    """Knows the transport parameter of reliable-stream-reset-10 only."""
    _quic(behaviour, reset_stream_at=(0x1D,))


@choice("quic.more-reliable", "draft-16 §4.4: at least the size of the WebTransport header", drafts=SINCE_14)
def more_reliable(behaviour: Behaviour) -> None:
    """Makes some bytes behind the header of a reset stream reliable."""
    override(behaviour, "reliable_size", lambda original, length, facts: (original(length, facts) or -5) + 5)


@choice("quic.no-tickets", "RFC 8446 §4.6.1: a server MAY send a NewSessionTicket", without=("early-data.",))
def no_tickets(behaviour: Behaviour) -> None:
    """Issues no session tickets, so that nothing can be resumed."""
    _quic(behaviour, session_tickets=False)


@choice("wire.long-integers", "RFC 9000 §16: values do not need to be encoded on the minimum number of bytes")
def long_integers(behaviour: Behaviour) -> None:
    """Encodes stream types, signals, session IDs and Quarter Stream IDs longer than needed."""

    def header(_original: Any, session_id: int, *, unidirectional: bool) -> bytes:
        make = uni_header if unidirectional else bidi_header
        return make(session_id, type_length=4, id_length=8)

    def qpack_streams(_original: Any) -> tuple[bytes, bytes]:
        return varint(StreamType.QPACK_ENCODER, 4), varint(StreamType.QPACK_DECODER, 2)

    def control_stream(original: Any) -> bytes:
        usual: bytes = original()
        return varint(StreamType.CONTROL, 4) + usual[len(varint(StreamType.CONTROL)) :]

    def quarter(_original: Any, session_id: int, payload: bytes) -> bytes:
        return datagram(session_id, payload, quarter_length=8)

    override(behaviour, "stream_header", header)
    override(behaviour, "qpack_streams", qpack_streams)
    override(behaviour, "control_stream", control_stream)
    override(behaviour, "datagram", quarter)
