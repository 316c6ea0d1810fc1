"""The sanity exchange: a fresh session shows that the target still serves.

It is played before and after each negative case. The exchange after one case stands for the one
before the next case of the same worker.
"""

from __future__ import annotations

from conformance.harness.target import Target
from conformance.peer.drafts import Draft
from conformance.peer.options import ConnectFailed, SessionRefused

TOKEN = b"sanity exchange"


class Sanity:
    """Sanity exchanges with one target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._served: Draft | None = None

    def before(self, draft: Draft) -> str | None:
        """Return what is wrong with the target before a case, None if it serves."""
        return None if self._served == draft else self.exchange(draft)

    def after(self, draft: Draft) -> str | None:
        """Return what is wrong with the target after a case, None if it serves."""
        return self.exchange(draft)

    def spoil(self) -> None:
        """Forget that the target served: the next case starts with an exchange."""
        self._served = None

    def exchange(self, draft: Draft) -> str | None:
        """Establish a session on a connection of its own, exchange a token where the target echoes."""
        self._served = None
        try:
            peer = self._target.connect(draft)
        except ConnectFailed as error:
            return f"no connection: {error}"
        try:
            session = self._target.establish(peer)
            if self._target.capabilities.echo_bidi:
                stream = session.open_bidi(TOKEN, end_stream=True)
                peer.wait(lambda: stream.ended or peer.quic.closed is not None)
                if not stream.body.endswith(TOKEN):
                    return f"a bidirectional stream was not echoed (received {len(stream.body)} bytes)"
        except SessionRefused as error:
            return f"no session: {error}"
        finally:
            peer.close()
        self._served = draft
        return None
