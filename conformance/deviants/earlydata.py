"""Deviants of 0-RTT: servers that take early data, and take back what they had promised."""

from __future__ import annotations

from collections.abc import Mapping

from conformance.deviants.definition import deviant, override
from conformance.deviants.negotiation import quic
from conformance.peer.codepoints import Setting, StreamType
from conformance.peer.drafts import Draft
from conformance.peer.model import Behaviour
from conformance.peer.quic.options import RESET_STREAM_AT_PARAMETERS
from conformance.peer.settings import encode_settings
from conformance.peer.varint import varint

SINCE_14 = (Draft.D16, Draft.D14)


def lower(behaviour: Behaviour, changes: Mapping[int, int]) -> None:
    """Send other settings on connections whose early data was accepted."""

    def control_stream(_original: object) -> bytes:
        entries = tuple((key, changes.get(key, value)) for key, value in behaviour.settings())
        return varint(StreamType.CONTROL) + encode_settings(entries)

    override(behaviour, "resumed_control_stream", control_stream)


@deviant("early-data.fewer-streams", "WT-3.2-18", drafts=SINCE_14)
def fewer_streams(behaviour: Behaviour) -> None:
    """Lowers an initial limit of sessions when it takes early data (draft-16 §3.2)."""
    lower(behaviour, {int(Setting.WT_INITIAL_MAX_STREAMS_BIDI): 1})


@deviant("early-data.no-datagrams", "HD-2.1.1-04")
def no_datagrams(behaviour: Behaviour) -> None:
    """Takes SETTINGS_H3_DATAGRAM back when it takes early data (RFC 9297 §2.1.1)."""
    lower(behaviour, {int(Setting.H3_DATAGRAM): 0})


@deviant("early-data.no-reset-stream-at", "RSR-3-05", drafts=SINCE_14)
def no_reset_stream_at(behaviour: Behaviour) -> None:
    """Takes the reset_stream_at parameter back when it takes early data (reliable-stream-reset-10 §3)."""
    quic(behaviour, withdrawn_transport_parameters=frozenset(RESET_STREAM_AT_PARAMETERS))


@deviant("early-data.hasty", "WT-3.2-17")
def hasty(behaviour: Behaviour) -> None:
    """Accepts sessions in early data at once, replayed or not (RFC 8470 §3)."""
    override(behaviour, "waits_for_handshake", lambda _original: False)
