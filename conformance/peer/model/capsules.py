"""Capsules that the client sends on a CONNECT stream (draft-16 §4.7, §5.6, §6; RFC 9297 §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from conformance.peer.capsules import capsule_parser, parse_close, parse_limit
from conformance.peer.codepoints import MAX_CLOSE_MESSAGE, CapsuleType
from conformance.peer.model.behaviour import LimitKind
from conformance.peer.tlv import End, Start
from conformance.peer.varint import varint

if TYPE_CHECKING:
    from conformance.peer.model.sessions import Session

_LIMITS: Final[dict[int, LimitKind]] = {
    CapsuleType.WT_MAX_DATA: "data",
    CapsuleType.WT_MAX_STREAMS_UNI: "uni",
    CapsuleType.WT_MAX_STREAMS_BIDI: "bidi",
}
_BLOCKED: Final[dict[int, LimitKind]] = {
    CapsuleType.WT_DATA_BLOCKED: "data",
    CapsuleType.WT_STREAMS_BLOCKED_UNI: "uni",
    CapsuleType.WT_STREAMS_BLOCKED_BIDI: "bidi",
}
_PROHIBITED: Final[dict[int, str]] = {
    CapsuleType.WT_MAX_STREAM_DATA: "max-stream-data-prohibited",
    CapsuleType.WT_STREAM_DATA_BLOCKED: "stream-data-blocked-prohibited",
}
# No capsule that is meant seriously announces more.
MAX_LENGTH: Final = 1 << 32


class IncomingCapsules:
    """The capsule parser of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._parser = capsule_parser()
        self._closed = False
        self._complete = 0

    @property
    def between_capsules(self) -> bool:
        """Tell whether the stream could end here without cutting a capsule."""
        return self._parser.between_items

    def data_frame_begins(self) -> None:
        """Note that a DATA frame begins, which has no relation to capsules (RFC 9297 §3.1)."""
        self._complete = 0
        session = self._session
        if session.open and not self.between_capsules:
            session.connection.objects("capsule-across-frames", session.id)

    def feed(self, data: bytes) -> None:
        """Take the payload of DATA frames."""
        session = self._session
        items = iter(self._parser.feed(data))
        while not self._closed:
            item = next(items, None)
            if item is None:
                return
            if isinstance(item, Start) and session.open:
                self._begins(item)
            if isinstance(item, End) and session.open:
                self._capsule(item)
        if next(items, None) is not None:
            session.connection.violate("data-after-close", session.id)

    def _begins(self, item: Start) -> None:
        session, objects = self._session, self._session.connection.objects
        if item.length > MAX_LENGTH:
            objects("capsule-huge", session.id)
        elif item.header_length > len(varint(item.type)) + len(varint(item.length)):
            objects("capsule-header-long", session.id)

    def _capsule(self, item: End) -> None:
        """Interpret one capsule; types without meaning in this draft are skipped (RFC 9297 §3.2)."""
        session, kind = self._session, item.type
        self._complete += 1
        if self._complete > 1 and session.connection.objects("capsules-share-frame", session.id):
            return
        if kind == CapsuleType.DATAGRAM:
            if not item.cut and not session.connection.objects("datagram-capsule", session.id):
                session.app.datagram(item.value)
            return
        if kind not in session.facts.capsules:
            session.connection.objects("capsule-unknown", session.id)
            return
        match kind:
            case CapsuleType.WT_CLOSE_SESSION:
                self._close(item)
            case CapsuleType.WT_DRAIN_SESSION:
                if item.length and session.connection.violate("drain-with-value", session.id):
                    return
                if not session.connection.objects("drain", session.id):
                    session.app.draining()
            case _:
                self._flow_control(item)

    def _close(self, item: End) -> None:
        session, violate = self._session, self._session.connection.violate
        message = parse_close(item.value)
        if message is None:
            violate("close-too-short", session.id)
            return
        too_long = item.length - 4 > MAX_CLOSE_MESSAGE
        if too_long and violate("close-message-too-long", session.id):
            return
        if message.text is None and not item.cut and violate("close-message-not-utf8", session.id):
            return
        self._closed = True
        session.client_closed(message.code, message.message.decode(errors="replace"))

    def _flow_control(self, item: End) -> None:
        session, flow = self._session, self._session.flow
        if item.type in _PROHIBITED:
            session.connection.violate(_PROHIBITED[item.type], session.id)
            return
        if not flow.enabled:
            # draft-16 §5.1: ignored while flow control is off.
            session.connection.objects("limit-while-off", session.id)
            return
        value = parse_limit(item.value)
        if value is None:
            session.connection.violate("limit-capsule-malformed", session.id)
        elif item.type in _LIMITS:
            flow.limit_received(_LIMITS[item.type], value)
        else:
            flow.blocked_received(_BLOCKED[item.type], value)
