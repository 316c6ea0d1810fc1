"""Flow control of one session, both ways (draft-16 §5, draft-14 §5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from conformance.peer.codepoints import MAX_STREAM_LIMIT, Setting
from conformance.peer.model.behaviour import LimitKind

if TYPE_CHECKING:
    from conformance.peer.model.sessions import Session

_SETTINGS: Mapping[LimitKind, Setting] = {
    "uni": Setting.WT_INITIAL_MAX_STREAMS_UNI,
    "bidi": Setting.WT_INITIAL_MAX_STREAMS_BIDI,
    "data": Setting.WT_INITIAL_MAX_DATA,
}


class SessionFlow:
    """Counts streams and body bytes against the limits of both sides; off: everything is allowed."""

    def __init__(self, session: Session, *, enabled: bool, client: Mapping[int, int]) -> None:
        self._session = session
        self._behaviour = session.connection.behaviour
        self.enabled = enabled
        own = dict(self._behaviour.settings())
        self._initial = {kind: own.get(setting, 0) for kind, setting in _SETTINGS.items()}
        self.receive_limit = dict(self._initial)
        self.send_limit = {kind: client.get(setting, 0) for kind, setting in _SETTINGS.items()}
        self._received: dict[LimitKind, int] = dict.fromkeys(_SETTINGS, 0)
        self._released: dict[LimitKind, int] = dict.fromkeys(_SETTINGS, 0)
        self._sent: dict[LimitKind, int] = dict.fromkeys(_SETTINGS, 0)
        self._reported: dict[LimitKind, int] = dict.fromkeys(_SETTINGS, -1)
        # Last value of a limit capsule; the initial settings do not count as one (AMB-09 of the catalogue).
        self._announced: dict[LimitKind, int] = dict.fromkeys(_SETTINGS, -1)
        self._scheduled: set[LimitKind] = set()

    # --- what the client sends ---

    def receive(self, kind: LimitKind, amount: int = 1) -> bool:
        """Count streams or bytes of the client; False beyond the limit."""
        self._received[kind] += amount
        return not self.enabled or self._received[kind] <= self.receive_limit[kind]

    def release(self, kind: LimitKind, amount: int = 1) -> None:
        """Give credit back for closed streams or consumed bytes, after a short while (draft-16 §5.6)."""
        self._released[kind] += amount
        if self.enabled and amount and kind not in self._scheduled:
            self._scheduled.add(kind)
            server = self._session.connection.server
            server.schedule(self._behaviour.credit_delay, lambda: self._raise(kind))

    def _raise(self, kind: LimitKind) -> None:
        self._scheduled.discard(kind)
        limit = self._behaviour.raised_limit(
            kind, self._released[kind], self.receive_limit[kind], self._initial[kind]
        )
        if limit is not None and self._session.open:
            self.receive_limit[kind] = limit
            self._session.send_capsule(self._behaviour.limit_capsule(kind, limit))

    # --- what this side sends ---

    def take(self, kind: LimitKind, wanted: int = 1) -> int:
        """Use up to ``wanted`` of the client's limit; return how much may be sent."""
        wanted = min(wanted, self.credit(kind, wanted))
        self._sent[kind] += wanted
        return wanted

    def credit(self, kind: LimitKind, otherwise: int = 1) -> int:
        """Return how much the client's limit leaves; ``otherwise`` where there is no limit to observe."""
        if self.enabled and self._behaviour.respects_limit(kind):
            return max(0, self.send_limit[kind] - self._sent[kind])
        return otherwise

    def blocked(self, kind: LimitKind) -> None:
        """Tell the client that its limit is in the way, once for each limit (draft-16 §5.6.3, §5.6.5)."""
        limit = self.send_limit[kind]
        if self._reported[kind] != limit:
            self._reported[kind] = limit
            capsule = self._behaviour.blocked_capsule(kind, limit)
            if capsule:
                self._session.send_capsule(capsule)

    def limit_received(self, kind: LimitKind, limit: int) -> None:
        """Take a WT_MAX_STREAMS or WT_MAX_DATA value (draft-16 §5.6.2, §5.6.4)."""
        connection, session_id = self._session.connection, self._session.id
        name = "max-data" if kind == "data" else "max-streams"
        previous = self._announced[kind]
        if (
            kind != "data"
            and limit > MAX_STREAM_LIMIT
            and connection.violate("max-streams-excessive", session_id)
        ):
            return
        largest = kind != "data" and limit == MAX_STREAM_LIMIT
        if largest and connection.objects("max-streams-largest", session_id):
            return
        if limit < previous and connection.violate(f"{name}-shrinks", session_id):
            return
        if limit == previous and connection.violate(f"{name}-equal", session_id):
            return
        self._announced[kind] = limit
        if limit > self.send_limit[kind]:
            self.send_limit[kind] = limit
            self._session.credit_received(kind)

    def blocked_received(self, kind: LimitKind, limit: int) -> None:
        """Take a BLOCKED capsule: it changes nothing (draft-16 §5.6.3)."""
        connection, session_id = self._session.connection, self._session.id
        if kind != "data" and limit > MAX_STREAM_LIMIT:
            connection.violate("streams-blocked-excessive", session_id)
        else:
            connection.objects("blocked-capsule", session_id)
