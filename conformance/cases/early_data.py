"""0-RTT: what a server that takes early data may not take back, and requests that arrive in it.

Each case visits the target twice. A target that gives no ticket for early data, or does not take them, makes
it unsupported.
"""

from __future__ import annotations

from typing import Final

from conformance.harness.case import SINCE_07, SINCE_14, case
from conformance.harness.run import Run
from conformance.peer.client import Peer
from conformance.peer.codepoints import Setting, TransportParameter
from conformance.peer.drafts import Draft
from conformance.peer.options import ConnectFailed
from conformance.peer.quic.options import Address, SessionTicket

# Seconds, or round trips if that is longer, for a ticket to come and for a request to be acted on too early.
PATIENCE: Final = 0.2
ROUND_TRIPS: Final = 4
# RFC 9001 §4.6.1: the value of a ticket that permits 0-RTT.
EARLY_DATA_PERMITTED: Final = 0xFFFFFFFF
FLOW_CONTROL: Final = (
    Setting.WT_INITIAL_MAX_DATA,
    Setting.WT_INITIAL_MAX_STREAMS_BIDI,
    Setting.WT_INITIAL_MAX_STREAMS_UNI,
)
EXTENSION: Final = (TransportParameter.RESET_STREAM_AT, TransportParameter.RESET_STREAM_AT_DRAFT07)


def patience(run: Run) -> float:
    """Return how long to wait for what may never come, in seconds."""
    return max(PATIENCE, ROUND_TRIPS * run.peer.rtt)


def first_visit(run: Run) -> SessionTicket:
    """Connect, and return a ticket that permits early data; raises Unsupported without one."""
    run.connect()
    peer = run.peer
    peer.wait(lambda: bool(peer.quic.session_tickets), patience(run))
    run.need(bool(peer.quic.session_tickets), "it issues no session tickets (RFC 8446 §4.6.1)")
    ticket = peer.quic.session_tickets[0]
    run.need(
        ticket.max_early_data_size == EARLY_DATA_PERMITTED,
        "its session tickets do not permit 0-RTT (RFC 9001 §4.6.1)",
    )
    return ticket


def second_visit(run: Run, ticket: SessionTicket) -> Peer:
    """Resume: what is sent before anything is waited for leaves in 0-RTT packets, SETTINGS first."""
    peer = Peer(run.target.opener, run.draft, run.options(session_ticket=ticket))
    run.peers.append(peer)
    peer.start_h3()
    return peer


def need_early_data(run: Run) -> None:
    """Demand that the target took the early data (RFC 9001 §4.6.2).

    Raises Unsupported, ConnectFailed where there is no second connection at all.
    """
    peer = run.peer
    if not peer.wait(lambda: peer.quic.handshake_complete, peer.options.connect_deadline):
        raise ConnectFailed("closed" if peer.closed else "timeout", "no connection with a session ticket")
    run.need(peer.quic.early_data_accepted, "it did not accept early data (RFC 9001 §4.6.2)")


@case(
    "early-data.settings-kept",
    "HD-2.1.1-04",
    drafts=SINCE_07,
    variants={"h3-datagram": (Setting.H3_DATAGRAM,)},
    witness="RFC 9297 §2.1.1: greater than or equal to the value they sent with the ticket",
)
@case(
    "early-data.settings-kept",
    "WT-3.2-18",
    drafts=SINCE_14,
    variants={"flow-control": FLOW_CONTROL},
    witness="draft-16 §3.2: MUST NOT reduce these initial flow control values",
)
def settings_kept(run: Run) -> None:
    """A server that accepts 0-RTT lowers none of the settings that the client has remembered.

    RFC 9297 §2.1.1; draft-16 §3.2, where -14 and -13 count the limit of sessions among them.
    """
    identifiers = [int(setting) for setting in run.variant]
    if run.variant == FLOW_CONTROL and run.draft is Draft.D14:
        identifiers.append(int(run.facts.setting))
    ticket = first_visit(run)
    before = run.need_setting(*identifiers)
    peer = second_visit(run, ticket)
    need_early_data(run)
    peer.wait(lambda: peer.peer_settings is not None, peer.options.connect_deadline)
    for identifier, value in before.items():
        now = run.setting(identifier) or 0
        run.check(run.case.requirements[0], f"setting 0x{identifier:x} when resumed", ">=", value, now)


@case(
    "early-data.reset-stream-at-kept",
    "RSR-3-05",
    drafts=SINCE_14,
    witness="reliable-stream-reset-10 §3: MUST NOT disable this extension on the resumed connection",
)
def reset_stream_at_kept(run: Run) -> None:
    """A server that accepts 0-RTT goes on to advertise RESET_STREAM_AT.

    reliable-stream-reset-10 §3; judged by the newest of its code points that the server used before.
    """
    ticket = first_visit(run)
    offered = [int(code) for code in EXTENSION if code in run.peer.quic.peer_transport_parameters]
    run.need(bool(offered), "it does not advertise RESET_STREAM_AT")
    peer = second_visit(run, ticket)
    need_early_data(run)
    parameters = [code for code in peer.quic.peer_transport_parameters if code in map(int, EXTENSION)]
    run.check("RSR-3-05", "reset_stream_at parameters when resumed", "contains", offered[0], parameters)


class Unfinished:
    """Keeps back what the client sends once it has the server's Finished, its own Finished first of all."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._kept: list[bytes] = []
        self._keeping = True
        peer.quic.packet_filter = self._filter

    def let_go(self) -> None:
        """Send what was kept, and keep nothing any more."""
        self._keeping = False
        self._peer.quic.send_ping()

    def _filter(self, data: bytes, _address: Address) -> list[bytes]:
        self._kept.append(data)
        if self._keeping and self._peer.quic.handshake_complete:
            return []
        released, self._kept = self._kept, []
        return released


@case(
    "early-data.request",
    "WT-3.2-17",
    witness="RFC 8470 §3: CONNECT is not safe, so that early data must not be acted on; §5.2: 425",
)
def request(run: Run) -> None:
    """A session request in early data is not accepted before the handshake is complete.

    draft-16 §3.2, RFC 9114 §10.9, RFC 8470 §3: it may be a replay. The client keeps its Finished back for a
    while. The target may reject the request, answer it with 425, or answer it afterwards.
    """
    peer = second_visit(run, first_visit(run))
    unfinished = Unfinished(peer)
    session = peer.request_session(run.good_fields())
    need_early_data(run)
    peer.wait(lambda: session.answered, patience(run))
    accepted = session.established
    unfinished.let_go()
    peer.wait(lambda: session.answered or session.stop_event is not None)
    answered = session.answered or session.stop_event is not None
    run.check("WT-3.2-17", "accepted before the handshake was complete", "is", False, accepted)
    run.check("WT-3.2-17", "answered or rejected in the end", "is", True, answered)
    run.note(f"the answer in the end: {session.status or 'none, or a reset'}")
