"""Targets: how a run reaches the implementation under test, and what is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from conformance.peer.client import Peer
from conformance.peer.drafts import Draft
from conformance.peer.options import Opener, PeerOptions
from conformance.peer.session import Session
from reports.judgement.records import UnsupportedKind

# Statuses with which a server says that it has no such endpoint of the contract (docs/endpoints.md).
ABSENT = frozenset({404, 405, 501})


class Unsupported(Exception):
    """The target provably lacks what a case needs.

    ``kind`` is ``not negotiated`` (an optional feature of the protocol) or ``cooperation`` (an endpoint or
    a behaviour of the application).
    """

    def __init__(self, kind: UnsupportedKind, proof: str) -> None:
        super().__init__(proof)
        self.kind = kind
        self.proof = proof


class Silence(Exception):
    """Nothing came where all of it may have been lost: no verdict (RFC 9221 §5)."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the probe found: offered drafts and which kinds of traffic the endpoint echoes."""

    drafts: frozenset[Draft] = frozenset()
    echo_bidi: bool = False
    echo_uni: bool = False
    echo_datagram: bool = False
    settings: Mapping[int, int] = field(default_factory=dict)
    transport_parameters: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """An implementation under test.

    ``endpoints`` maps names of the endpoint contract (docs/endpoints.md) to paths; ``options`` hold what
    every connection to it needs (fields of the request, origin); ``declared_draft`` is the exact draft
    number that the user declares, where the negotiation cannot tell (15 and 16 share their code point).
    """

    name: str
    opener: Opener
    endpoints: Mapping[str, str] = field(default_factory=dict)
    options: PeerOptions = field(default_factory=PeerOptions)
    declared_draft: int | None = None
    loopback: bool = True
    capabilities: Capabilities = field(default_factory=Capabilities)

    @property
    def path(self) -> str:
        """The path of the session endpoint."""
        return self.options.path or self.opener.path

    @property
    def authority(self) -> str:
        """The value of :authority."""
        return self.opener.authority

    def with_capabilities(self, capabilities: Capabilities) -> Target:
        """Return the target with what a probe found."""
        return replace(self, capabilities=capabilities)

    def endpoint(self, name: str, query: Mapping[str, object] | None = None) -> str:
        """Return the path of an endpoint with its query.

        Raises Unsupported where the target does not have the endpoint.
        """
        path = self.path if name == "echo" else self.endpoints.get(name)
        if path is None:
            hint = (
                f"no endpoint {name!r} is named for this target (--endpoint {name}=PATH, docs/endpoints.md)"
            )
            raise Unsupported("cooperation", hint)
        if not query:
            return path
        text = urlencode(query, doseq=True, encoding="utf-8")
        return f"{path}{'&' if '?' in path else '?'}{text}"

    def connect(self, draft: Draft, options: PeerOptions | None = None) -> Peer:
        """Connect and start HTTP/3; raises ConnectFailed."""
        return Peer.connect(self.opener, draft=draft, options=options or self.options)

    def echoes(self, path: str | None) -> bool:
        """Tell whether a session at ``path`` is known to echo bidirectional streams."""
        return self.capabilities.echo_bidi and path in (None, self.path)

    def establish(self, peer: Peer, path: str | None = None) -> Session:
        """Establish a session; raises SessionRefused."""
        return peer.establish(path)
