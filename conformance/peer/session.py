"""WebTransport sessions as a case sees them: a CONNECT stream with what belongs to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from conformance.peer import capsules
from conformance.peer.capsules import CloseMessage
from conformance.peer.codepoints import CapsuleType, Setting
from conformance.peer.datagrams import datagram
from conformance.peer.events import Capsule
from conformance.peer.h3frames import data_frame
from conformance.peer.streams import RequestStream, Stream
from conformance.peer.wtheaders import bidi_header, is_unidirectional, uni_header

if TYPE_CHECKING:
    from conformance.peer.client import Peer

MAX_ITEMS = 65536

_INITIAL: Final = (
    Setting.WT_INITIAL_MAX_STREAMS_UNI,
    Setting.WT_INITIAL_MAX_STREAMS_BIDI,
    Setting.WT_INITIAL_MAX_DATA,
)
# Limits of the session that an echo on a bidirectional stream uses up: setting, and capsule that raises it.
_LIMITS: Final = {
    "bidi": (Setting.WT_INITIAL_MAX_STREAMS_BIDI, CapsuleType.WT_MAX_STREAMS_BIDI),
    "data": (Setting.WT_INITIAL_MAX_DATA, CapsuleType.WT_MAX_DATA),
}


class Session(RequestStream):
    """A session; it is established where ``status`` is 2xx."""

    def __init__(self, peer: Peer, stream_id: int) -> None:
        super().__init__(peer, stream_id)
        self.capsules: list[Capsule] = []
        self.datagrams: list[bytes] = []
        self.incoming: list[Stream] = []
        self._opened: list[Stream] = []

    @property
    def established(self) -> bool:
        """Tell whether a 2xx response arrived."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def incoming_uni(self) -> list[Stream]:
        """Unidirectional streams of the other side, in the order of their headers."""
        return [stream for stream in self.incoming if is_unidirectional(stream.id)]

    @property
    def incoming_bidi(self) -> list[Stream]:
        """Bidirectional streams of the other side, in the order of their headers."""
        return [stream for stream in self.incoming if not is_unidirectional(stream.id)]

    @property
    def close_message(self) -> CloseMessage | None:
        """The value of the first WT_CLOSE_SESSION received, None without one or if it is too short."""
        values = (item.value for item in self.capsules if item.capsule_type == CapsuleType.WT_CLOSE_SESSION)
        value = next(values, None)
        return None if value is None else capsules.parse_close(value)

    @property
    def closed_by_peer(self) -> bool:
        """Tell whether the other side ended the session: close capsule, FIN, reset or STOP_SENDING."""
        return self.close_message is not None or self.done or self.stop_event is not None

    def open_uni(self, data: bytes = b"", *, end_stream: bool = False) -> Stream:
        """Open a unidirectional stream of this session: header, then ``data``."""
        header = uni_header(self.id)
        stream = self.peer.open_uni(header + data, end_stream=end_stream)
        stream.header_length = len(header)
        self._opened.append(stream)
        return stream

    def open_bidi(self, data: bytes = b"", *, end_stream: bool = False) -> Stream:
        """Open a bidirectional stream of this session: header, then ``data``."""
        header = bidi_header(self.id)
        stream = self.peer.open_bidi(header + data, end_stream=end_stream)
        stream.header_length = len(header)
        self._opened.append(stream)
        return stream

    def permits_bidi(self, length: int) -> bool:
        """Tell whether the other side lets this one open a stream with a body of ``length`` bytes now.

        QUIC's limit on streams counts and, where both sides announced session flow control, that of the
        session and its data (draft-16 §5.1, §5.6); what was sent by hand is not known here.
        """
        if self.peer.quic.stream_credit(unidirectional=False) < 1:
            return False
        own, other = self.peer.options.flow_control, self.peer.peer_settings or {}
        facts = self.peer.facts
        if facts.flow_control == "none" or own is None or not any(own):
            return True
        limits = {kind: other.get(setting, 0) for kind, (setting, _) in _LIMITS.items()}
        counted = facts.flow_control == "sessions" and other.get(facts.setting, 0) > 1
        if not counted and not any(other.get(setting, 0) for setting in _INITIAL):
            return True
        for item in self.capsules:
            for kind, (_, capsule_type) in _LIMITS.items():
                if item.capsule_type == capsule_type:
                    limits[kind] = max(limits[kind], capsules.parse_limit(item.value) or 0)
        bidi = [stream for stream in self._opened if not is_unidirectional(stream.id)]
        sent = sum(stream.sent_length - stream.header_length for stream in self._opened)
        return len(bidi) < limits["bidi"] and sent + length <= limits["data"]

    def send_capsule(self, capsule_type: int, value: bytes = b"", *, end_stream: bool = False) -> None:
        """Send one capsule in a DATA frame of its own."""
        self.send_capsule_bytes(capsules.capsule(capsule_type, value), end_stream=end_stream)

    def send_capsule_bytes(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send bytes of the capsule protocol, whole capsules or not, in one DATA frame."""
        self.send(data_frame(data), end_stream=end_stream)

    def send_datagram(self, payload: bytes) -> None:
        """Send an HTTP datagram of this session."""
        self.peer.send_datagram_raw(datagram(self.id, payload))

    def close(self, code: int = 0, reason: bytes = b"", *, end_stream: bool = True) -> None:
        """Send WT_CLOSE_SESSION and FIN (draft-16 §6)."""
        self.send_capsule_bytes(capsules.close_capsule(code, reason), end_stream=end_stream)

    def drain(self) -> None:
        """Send WT_DRAIN_SESSION (draft-16 §4.7)."""
        self.send_capsule_bytes(capsules.drain_capsule())
