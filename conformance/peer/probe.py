"""The probe: one connection that offers every draft and records what the target offers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from conformance.peer.client import Peer
from conformance.peer.codepoints import Setting, TransportParameter
from conformance.peer.drafts import DRAFTS, FACTS, Draft, newest, offered_drafts
from conformance.peer.events import Json
from conformance.peer.options import Opener, PeerOptions
from conformance.peer.settings import Entries, FlowControl
from conformance.peer.varint import read_whole_varint


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a target offers. ``settings`` in wire order; ``rtt`` in seconds."""

    drafts: frozenset[Draft]
    settings: Entries
    transport_parameters: dict[int, bytes]
    alpn: str | None
    rtt: float
    certificate_sha256: str | None

    @property
    def newest(self) -> Draft | None:
        """The newest draft offered, None if the target offers no WebTransport."""
        return newest(self.drafts)

    @property
    def max_datagram_frame_size(self) -> int:
        """The transport parameter of RFC 9221 §3; 0 if it is missing."""
        raw = self.transport_parameters.get(TransportParameter.MAX_DATAGRAM_FRAME_SIZE, b"\x00")
        return read_whole_varint(raw) or 0

    @property
    def reset_stream_at(self) -> tuple[int, ...]:
        """The code points under which the target announces RESET_STREAM_AT."""
        known = (TransportParameter.RESET_STREAM_AT, TransportParameter.RESET_STREAM_AT_DRAFT07)
        return tuple(int(code) for code in known if code in self.transport_parameters)

    @property
    def flow_control(self) -> FlowControl:
        """The initial session limits that the target announces (draft-16 §5.5)."""
        settings = dict(self.settings)
        return FlowControl(
            streams_uni=settings.get(Setting.WT_INITIAL_MAX_STREAMS_UNI),
            streams_bidi=settings.get(Setting.WT_INITIAL_MAX_STREAMS_BIDI),
            data=settings.get(Setting.WT_INITIAL_MAX_DATA),
        )

    def missing(self, draft: Draft) -> tuple[str, ...]:
        """Name what the draft demands of a server and the target does not offer (§3.1 of each draft)."""
        settings, facts = dict(self.settings), FACTS[draft]
        absent = [setting.name for setting in facts.server_settings if settings.get(setting) != 1]
        if draft not in self.drafts:
            absent.insert(0, facts.setting.name)
        if facts.server_settings and not self.max_datagram_frame_size:
            absent.append("max_datagram_frame_size")
        if facts.reset_stream_at and not self.reset_stream_at:
            absent.append("reset_stream_at")
        return tuple(absent)

    def as_json(self) -> dict[str, Json]:
        """Return the record as JSON."""
        return {
            "drafts": [draft.value for draft in DRAFTS if draft in self.drafts],
            "settings": [[f"{identifier:#x}", value] for identifier, value in self.settings],
            "transport_parameters": {
                f"{code:#x}": value.hex() for code, value in self.transport_parameters.items()
            },
            "alpn": self.alpn,
            "rtt": round(self.rtt, 6),
            "certificate_sha256": self.certificate_sha256,
        }


def probe_draft(opener: Opener, options: PeerOptions | None = None) -> Probe:
    """Connect once, offering all drafts; raises ConnectFailed."""
    offer = replace(options or PeerOptions(), also=DRAFTS[1:])
    with Peer.connect(opener, draft=DRAFTS[0], options=offer) as peer:
        fingerprint = peer.quic.peer_certificate_sha256
        return Probe(
            drafts=offered_drafts(peer.peer_settings or {}),
            settings=peer.settings_entries or (),
            transport_parameters=dict(peer.quic.peer_transport_parameters),
            alpn=peer.quic.alpn,
            rtt=peer.rtt,
            certificate_sha256=None if fingerprint is None else fingerprint.hex(),
        )
