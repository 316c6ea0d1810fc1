"""The malleable client against the model server's endpoint, over the network in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from conformance.peer.baton import (
    PATH,
    BatonMachine,
    Move,
    Options,
    Parameters,
    SessionError,
    StreamError,
    encode_message,
)
from conformance.peer.baton.player import BatonPlayer
from conformance.peer.client import Peer
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.errorcodes import to_http
from conformance.peer.events import Capsule, StopSending, StreamReset
from conformance.peer.model import Behaviour, ModelServer
from conformance.peer.openers import MEMORY_SERVER, MemoryOpener
from conformance.peer.options import PeerOptions, SessionRefused
from conformance.peer.quic.memory import MemoryNetwork
from conformance.peer.quic.options import Address
from scenarios.network import PROFILES, Direction, Impairment, Profile


def connect(
    draft: Draft = Draft.D16,
    *,
    behaviour: Behaviour | None = None,
    network: MemoryNetwork | None = None,
    **quic: Any,
) -> Peer:
    opener = MemoryOpener(server=ModelServer(behaviour), network=network or MemoryNetwork())
    return Peer.connect(opener, draft=draft, options=PeerOptions(quic=quic, deadline=60, connect_deadline=60))


def impaired(profile: Profile, seed: int = 1) -> MemoryNetwork:
    """A network in memory whose fates are those of the relay."""
    directions = {each: Impairment(profile, seed, 0, each) for each in Direction}

    def fate(data: bytes, source: Address, destination: Address, now: float) -> Sequence[float]:
        direction = Direction.UP if destination == MEMORY_SERVER else Direction.DOWN
        decided = directions[direction].decide(len(data), now)
        return [release - now for release in decided.releases]

    return MemoryNetwork(fate=fate)


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_session_in_every_draft(draft: Draft) -> None:
    player = BatonPlayer(connect(draft), Parameters(baton=230, count=3))
    assert player.play()
    assert player.violations() == []
    assert player.messages == 3 * 27


@pytest.mark.parametrize("name", PROFILES)
def test_a_thousand_messages_under_each_profile(name: str) -> None:
    player = BatonPlayer(connect(network=impaired(PROFILES[name])), Parameters(baton=7, count=4))
    assert player.play()
    assert player.violations() == []
    assert player.messages == 1000


@pytest.mark.parametrize("padding", [1, 63, 64, 20000])
def test_padding_both_ways(padding: int) -> None:
    options = Options(padding=lambda _: padding)
    path = f"{PATH}?baton=248&padding={padding}"
    player = BatonPlayer(connect(), Parameters(baton=248), options, path=path)
    assert player.play()
    assert player.violations() == []
    assert player.messages == 9


def test_long_messages_wait_for_flow_control() -> None:
    peer = connect(max_stream_data=1000, max_data=3000)
    player = BatonPlayer(peer, Parameters(baton=250, count=2), path=f"{PATH}?baton=250&count=2&padding=20000")
    assert player.play()
    assert player.violations() == []


def test_a_random_initial_value() -> None:
    player = BatonPlayer(connect(), Parameters(count=2))
    assert player.play()
    assert player.violations() == []


@pytest.mark.parametrize(
    "query",
    ["version=1", "version=x", "baton=0", "baton=256", "baton=-1", "baton=x", "count=100000", "count=0"],
)
def test_invalid_parameters_are_refused_with_4xx(query: str) -> None:
    with pytest.raises(SessionRefused) as refusal:
        connect().establish(f"{PATH}?{query}")
    assert refusal.value.status == 400


def close_code(player: BatonPlayer) -> int | None:
    """Wait for the server's close and return its code."""
    session = player.session
    assert player.peer.wait(lambda: session.closed_by_peer)
    player.catch_up()
    message = session.close_message
    return message.code if message else None


def started(**quic: Any) -> BatonPlayer:
    """A session whose first message has arrived, not yet answered."""
    player = BatonPlayer(connect(**quic), Parameters(baton=250))
    assert player.peer.wait(lambda: any(stream.done for stream in player.session.incoming))
    return player


def test_too_little_credit_for_the_first_streams_is_da_yamn() -> None:
    # Three streams for HTTP/3 itself, none for the batons.
    player = BatonPlayer(connect(max_streams_uni=3), Parameters(baton=250))
    player.checker.we_grant_no_stream()
    assert close_code(player) == SessionError.DA_YAMN
    assert player.violations() == []


def test_too_little_credit_for_an_answer_is_da_yamn() -> None:
    player = started(max_streams_bidi=0)
    player.session.open_uni(encode_message(249), end_stream=True)
    assert close_code(player) == SessionError.SUS
    player = started(max_streams_bidi=0, max_streams_uni=100)
    player.session.open_bidi(encode_message(251), end_stream=True)
    player.peer.wait(lambda: False, 0.1)
    player.session.open_uni(encode_message(253), end_stream=True)
    assert close_code(player) == SessionError.DA_YAMN


PROVOCATIONS: dict[str, tuple[Callable[[BatonPlayer], object], SessionError]] = {
    "empty stream": (lambda p: p.session.open_bidi(end_stream=True), SessionError.BRUH),
    "cut message": (lambda p: p.session.open_bidi(b"\x0aabc", end_stream=True), SessionError.BRUH),
    "cut datagram": (lambda p: p.session.send_datagram(b"\x0aabc"), SessionError.BRUH),
    "unexpected value": (lambda p: p.session.open_bidi(encode_message(9), end_stream=True), SessionError.SUS),
    "silence": (lambda p: None, SessionError.BORED),
}


@pytest.mark.parametrize("provocation", PROVOCATIONS)
def test_each_session_error_of_the_server(provocation: str) -> None:
    provoke, code = PROVOCATIONS[provocation]
    player = started()
    provoke(player)
    assert close_code(player) == code


def test_stream_errors_of_the_server() -> None:
    player = started()
    stopped = player.session.open_bidi(b"\x05")
    # A stop that overtakes the header of its stream meets a stream of no session yet.
    assert player.peer.wait(player.peer.quic.acked)
    stopped.stop(to_http(StreamError.IDC))
    assert player.peer.wait(lambda: stopped.reset_event is not None)
    assert stopped.reset_event is not None
    assert stopped.reset_event.error_code == to_http(StreamError.WHATEVER)

    player = started()
    reset = player.session.open_bidi(b"\x05")
    reset.reset_with(StreamError.I_LIED)
    assert player.peer.wait(lambda: reset.reset_event is not None)
    assert reset.reset_event is not None
    assert reset.reset_event.error_code == to_http(StreamError.WHATEVER)
    assert close_code(player) is None


def test_voluntary_stream_errors_of_the_server() -> None:
    player = BatonPlayer(connect(), Parameters(baton=250, count=2), path=f"{PATH}?baton=250&count=2&lies=1")
    assert player.play()
    assert player.violations() == []
    codes = [event.error_code for event in player.peer.events.of(StreamReset, sent=False)]
    assert to_http(StreamError.I_LIED) in codes

    path = f"{PATH}?baton=250&count=2&disinterest=0"
    player = BatonPlayer(connect(), Parameters(baton=250, count=2), path=path)
    assert player.play()
    assert player.violations() == []
    stops = [event.error_code for event in player.peer.events.of(StopSending, sent=False)]
    assert to_http(StreamError.IDC) in stops


@pytest.mark.parametrize("switch", ["lies", "disinterest"])
def test_voluntary_stream_errors_of_the_client(switch: str) -> None:
    options = Options(**{switch: frozenset({1})})  # type: ignore[arg-type]
    player = BatonPlayer(connect(), Parameters(baton=240, count=3), options)
    assert player.play()
    assert player.violations() == []


CLIENT_ERRORS: dict[SessionError, Callable[[BatonMachine], list[Move]]] = {
    SessionError.DA_YAMN: lambda machine: machine.no_credit(),
    SessionError.BRUH: lambda machine: machine.datagram(b""),
    SessionError.SUS: lambda machine: machine.receive(
        machine.accept(bidirectional=True)[0], encode_message(9), end_stream=True
    ),
    SessionError.BORED: lambda machine: machine.tired(),
}


@pytest.mark.parametrize("code", SessionError)
def test_each_session_error_of_the_client(code: SessionError) -> None:
    player = started()
    player.perform(CLIENT_ERRORS[code](player.machine))
    assert player.play()
    assert player.violations() == []
    sent = player.peer.events.of(Capsule, sent=True)
    assert [capsule.value for capsule in sent] == [code.to_bytes(4, "big") + code.name.encode()]


def test_test_switches_are_checked() -> None:
    for query in ("lies=x", "disinterest=-1", "padding=9999999"):
        with pytest.raises(SessionRefused):
            connect().establish(f"{PATH}?{query}")


def test_the_close_without_error_is_a_fin() -> None:
    player = BatonPlayer(connect(), Parameters(baton=255))
    assert player.play()
    assert player.session.close_message is None
    assert player.session.ended
