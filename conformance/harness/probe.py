"""The probe: a connection that records what a target offers before any case runs.

It announces every draft, establishes a session and tries what the endpoint echoes. What is missing
makes the cases that need it unsupported; a target that cannot be reached at all ends the run here,
with a sentence that says what happened and what to do.
"""

from __future__ import annotations

from conformance.harness.target import Capabilities, Target
from conformance.peer.client import Peer
from conformance.peer.drafts import Draft
from conformance.peer.options import ConnectFailed, FailureClass, SessionRefused
from conformance.peer.probe import probe_draft
from conformance.peer.session import Session

TOKEN = b"probe of the endpoint"
ATTEMPTS = 20
PAUSE = 0.1

ADVICE: dict[FailureClass, str] = {
    "unreachable": "is host and port right, and does the server run?",
    "timeout": "is it the right UDP port, and does a firewall let UDP through?",
    "tls": "does the URL name the host of the certificate? --ca FILE names its authority, "
    "--insecure accepts any certificate",
    "alpn": "the server speaks QUIC, but not HTTP/3 (ALPN h3)",
    "closed": "the server closed the connection before HTTP/3 was set up",
    "no-settings": "the server hangs after the handshake, or is no HTTP/3 server",
}


class ProbeFailed(Exception):
    """The target cannot be judged; the text says what happened and what to do.

    ``reason_class`` is that of the connection that failed; ``status`` the one with which a session was
    refused.
    """

    def __init__(
        self, text: str, reason_class: FailureClass | None = None, *, status: int | None = None
    ) -> None:
        super().__init__(text)
        self.reason_class = reason_class
        self.status = status


def advice(error: ConnectFailed) -> str:
    """Return a sentence that says what happened and what to do."""
    return f"{error.text} ({ADVICE[error.reason_class]})"


def probe(target: Target) -> Capabilities:
    """Return what the target offers; raises ProbeFailed where no WebTransport session can be had."""
    try:
        found = probe_draft(target.opener, target.options)
    except ConnectFailed as error:
        text = f"no connection to {target.name}: {advice(error)}"
        raise ProbeFailed(text, error.reason_class) from None
    if found.newest is None:
        raise ProbeFailed(
            f"{target.name} speaks HTTP/3, but its SETTINGS offer no draft of WebTransport that this suite "
            "knows (0x2c7cf000, 0x14e9cd29, 0xc671706a, 0x2b603742); enable WebTransport in the server"
        )
    capabilities = Capabilities(
        drafts=found.drafts,
        settings=dict(found.settings),
        transport_parameters=found.transport_parameters,
    )
    return _echoes(target, found.newest, capabilities)


def _echoes(target: Target, draft: Draft, capabilities: Capabilities) -> Capabilities:
    try:
        peer = target.connect(draft)
    except ConnectFailed as error:
        text = f"no second connection to {target.name}: {advice(error)}"
        raise ProbeFailed(text, error.reason_class) from None
    with peer:
        try:
            session = target.establish(peer)
        except SessionRefused as error:
            raise ProbeFailed(
                f"{target.name} refused a session at {target.path} in draft {draft}: {error}; "
                "name the path of a WebTransport endpoint in the URL, such as https://HOST:PORT/echo",
                status=error.status,
            ) from None
        bidi = session.open_bidi(TOKEN, end_stream=True)
        session.open_uni(TOKEN, end_stream=True)
        peer.wait(lambda: bidi.done, 1.0)
        peer.wait(lambda: any(stream.done for stream in session.incoming_uni), 1.0)
        return Capabilities(
            drafts=capabilities.drafts,
            settings=capabilities.settings,
            transport_parameters=capabilities.transport_parameters,
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
