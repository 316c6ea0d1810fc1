"""A peer and a model server on a network in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from conformance.peer.client import Peer
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model import Behaviour, ModelServer
from conformance.peer.openers import MemoryOpener
from conformance.peer.options import PeerOptions

ALL_LIMITS = (100, 100, 1_000_000)


class World:
    """A model server with one network; ``connect`` opens connections to it."""

    def __init__(self, behaviour: Behaviour | None = None, drafts: Sequence[Draft] = DRAFTS) -> None:
        self.server = ModelServer(behaviour, drafts)
        self.opener = MemoryOpener(server=self.server)

    def connect(self, draft: Draft = Draft.D16, **options: Any) -> Peer:
        """Open a connection; the keywords are those of PeerOptions."""
        return Peer.connect(self.opener, draft=draft, options=PeerOptions(**options))

    @property
    def violations(self) -> list[str]:
        """Names of the rules that the server has seen broken, in order."""
        return self.server.context.violations
