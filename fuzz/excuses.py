"""What the texts let a target do although it looks like a fault."""

from __future__ import annotations

from conformance.harness.target import Target
from conformance.peer.client import Peer
from conformance.peer.codepoints import H3
from conformance.peer.drafts import Draft
from conformance.peer.options import ConnectFailed, SessionRefused
from fuzz.violations import TargetGone


def politely_closed(peer: Peer) -> bool:
    """Tell whether the target closed the connection without error, as it may any time (RFC 9114 §5.3)."""
    closed = peer.closed
    return closed is not None and closed.by == "peer" and closed.error_code == H3.NO_ERROR


class RequestsBeside:
    """Whether a target answers requests beside an established session: nothing makes it read them soon."""

    def __init__(self, target: Target, draft: Draft) -> None:
        self._target = target
        self._draft = draft
        self._answered: bool | None = None

    def answered(self) -> bool:
        """Send a correct request beside a session, once; tell whether anything answers it.

        Raises TargetGone.
        """
        if self._answered is None:
            try:
                with self._target.connect(self._draft) as peer:
                    self._target.establish(peer)
                    request = peer.send_request(peer.connect_request_fields())
                    self._answered = peer.wait(lambda: request.answered or request.done)
            except (ConnectFailed, SessionRefused) as error:
                raise TargetGone(str(error)) from None
        return self._answered
