"""The probe: one connection that records what a target offers before any case runs.

It announces every draft, establishes a session and tries what the endpoint echoes. What is missing
makes the cases that need it unsupported; a target that cannot be reached at all ends the run here,
with a sentence that says what happened and what to do.
"""

from __future__ import annotations

from dataclasses import replace

from conformance.harness.target import Capabilities, Target
from conformance.peer.client import Peer
from conformance.peer.drafts import DRAFTS, Draft, newest, offered_drafts
from conformance.peer.options import ConnectFailed, SessionRefused
from conformance.peer.session import Session

TOKEN = b"probe of the endpoint"
ATTEMPTS = 20
PAUSE = 0.1

ADVICE = {
    "unreachable": "is host and port right, and does the server run?",
    "timeout": "is it the right UDP port, and does a firewall let UDP through?",
    "tls": "name the certificate authority with --ca FILE, or accept any certificate with --insecure",
    "alpn": "the server speaks QUIC, but not HTTP/3 (ALPN h3)",
    "closed": "the server closed the connection before HTTP/3 was set up",
    "no-settings": "the server hangs after the handshake, or is no HTTP/3 server",
}


class ProbeFailed(Exception):
    """The target cannot be judged; the text says what happened and what to do."""


def advice(error: ConnectFailed) -> str:
    """Return a sentence that says what happened and what to do."""
    return f"{error.text} ({ADVICE[error.reason_class]})"


def probe(target: Target) -> Capabilities:
    """Return what the target offers; raises ProbeFailed where no WebTransport session can be had."""
    try:
        peer = target.connect(Draft.D16, replace(target.options, also=tuple(DRAFTS[1:])))
    except ConnectFailed as error:
        raise ProbeFailed(f"no connection to {target.name}: {advice(error)}") from None
    settings = dict(peer.peer_settings or {})
    parameters = dict(peer.quic.peer_transport_parameters)
    peer.close()
    offered = offered_drafts(settings)
    chosen = newest(offered)
    if chosen is None:
        raise ProbeFailed(
            f"{target.name} speaks HTTP/3, but its SETTINGS offer no draft of WebTransport that this suite "
            "knows (0x2c7cf000, 0x14e9cd29, 0xc671706a, 0x2b603742); enable WebTransport in the server"
        )
    capabilities = Capabilities(drafts=offered, settings=settings, transport_parameters=parameters)
    return _echoes(target, chosen, capabilities)


def _echoes(target: Target, draft: Draft, capabilities: Capabilities) -> Capabilities:
    try:
        peer = target.connect(draft)
    except ConnectFailed as error:
        raise ProbeFailed(f"no second connection to {target.name}: {advice(error)}") from None
    with peer:
        try:
            session = target.establish(peer)
        except SessionRefused as error:
            raise ProbeFailed(
                f"{target.name} refused a session at {target.path} in draft {draft}: {error}; "
                "name the path of a WebTransport endpoint in the URL, such as https://HOST:PORT/echo"
            ) from None
        bidi = session.open_bidi(TOKEN, end_stream=True)
        session.open_uni(TOKEN, end_stream=True)
        peer.wait(lambda: bidi.done, 1.0)
        peer.wait(lambda: any(stream.done for stream in session.incoming_uni), 1.0)
        return replace(
            capabilities,
            echo_bidi=bidi.received.endswith(TOKEN),
            echo_uni=any(stream.body.endswith(TOKEN) for stream in session.incoming_uni),
            echo_datagram=_datagram(peer, session),
        )


def _datagram(peer: Peer, session: Session) -> bool:
    for _ in range(ATTEMPTS):
        session.send_datagram(TOKEN)
        if peer.wait(lambda: any(item.endswith(TOKEN) for item in session.datagrams), PAUSE):
            return True
        if peer.closed is not None:
            return False
    return False
