"""Devious Baton: the state machine and the parser, without a session."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pywebtransport.interop.baton import (
    Arrival,
    BatonMachine,
    BatonParser,
    Close,
    MalformedBaton,
    Outlet,
    Role,
    Send,
    SendDatagram,
    SessionCode,
    encode_baton,
)

ARRIVALS = {
    Outlet.NEW_UNI: Arrival.UNI,
    Outlet.NEW_BIDI: Arrival.PEER_BIDI,
    Outlet.SAME_STREAM: Arrival.OWN_BIDI,
}


@given(value=st.integers(1, 255), count=st.integers(1, 5))
def test_two_machines_play_to_the_end(value: int, count: int) -> None:
    sides = {
        Role.SERVER: BatonMachine(Role.SERVER, count=count, value=value),
        Role.CLIENT: BatonMachine(Role.CLIENT, count=count, value=value),
    }
    flying = [(Role.CLIENT, action) for action in sides[Role.SERVER].start()]
    sent, closes = 0, []
    while flying:
        to, action = flying.pop(0)
        if isinstance(action, Close):
            closes.append(action)
        elif isinstance(action, Send):
            sent += 1
            answer = Role.SERVER if to is Role.CLIENT else Role.CLIENT
            flying += [(answer, item) for item in sides[to].receive(ARRIVALS[action.outlet], action.value)]
    assert sent == count * (257 - value)
    assert closes
    assert all(close.code is None for close in closes)
    assert all(side.closed for side in sides.values())
    assert sorted(close.after_peer for close in closes) == [False, True]


def test_messages_go_the_way_that_the_draft_says() -> None:
    for arrival, outlet in (
        (Arrival.UNI, Outlet.NEW_BIDI),
        (Arrival.PEER_BIDI, Outlet.SAME_STREAM),
        (Arrival.OWN_BIDI, Outlet.NEW_UNI),
    ):
        server = BatonMachine(Role.SERVER, count=1, value=8)
        server.start()
        assert server.receive(arrival, 9) == [Send(outlet, 10)]


def test_datagrams_follow_the_remainder() -> None:
    assert SendDatagram(8) in BatonMachine(Role.CLIENT, count=1, value=8).receive(Arrival.UNI, 8)
    server = BatonMachine(Role.SERVER, count=1, value=6)
    assert server.start() == [Send(Outlet.NEW_UNI, 6)]
    assert server.receive(Arrival.PEER_BIDI, 7) == [SendDatagram(7), Send(Outlet.SAME_STREAM, 8)]


def test_a_client_takes_as_many_openings_as_it_asked_for() -> None:
    client = BatonMachine(Role.CLIENT, count=2, value=None)
    assert client.receive(Arrival.UNI, 9) == [Send(Outlet.NEW_BIDI, 10)]
    assert client.receive(Arrival.UNI, 9) == [Send(Outlet.NEW_BIDI, 10)]
    assert client.receive(Arrival.UNI, 9) == [Close(SessionCode.SUS)]
    for count, value, opening in ((1, 7, 8), (1, None, 0), (2, None, 0)):
        client = BatonMachine(Role.CLIENT, count=count, value=value)
        assert client.receive(Arrival.UNI, opening) == [Close(SessionCode.SUS)]


def test_test_switches_lose_a_baton_each() -> None:
    server = BatonMachine(Role.SERVER, count=2, value=9, lies=frozenset({1}), disinterest=frozenset({1}))
    assert server.start() == [Send(Outlet.NEW_UNI, 9), Send(Outlet.NEW_UNI, 9, lie=True)]
    assert server.active == 1
    assert [server.takes_interest() for _ in range(3)] == [True, False, True]
    assert server.lost() == [Close()]


@given(value=st.integers(0, 255), padding=st.sampled_from([0, 63, 64, 16383, 16384]))
def test_messages_are_encoded_and_read(value: int, padding: int) -> None:
    parser = BatonParser()
    parser.feed(encode_baton(value, padding))
    assert parser.finish() == value


def test_faults_close_the_session_once() -> None:
    server = BatonMachine(Role.SERVER, count=1, value=6)
    server.start()
    assert server.receive(Arrival.UNI, 9) == [Close(SessionCode.SUS)]
    assert server.malformed() == server.bored() == server.receive(Arrival.UNI, 7) == []
    assert BatonMachine(Role.SERVER, count=1, value=6).malformed() == [Close(SessionCode.BRUH)]
    assert BatonMachine(Role.SERVER, count=1, value=6).no_credit() == [Close(SessionCode.DA_YAMN)]
    assert BatonMachine(Role.SERVER, count=1, value=6).bored() == [Close(SessionCode.BORED)]


def test_a_reset_takes_a_baton_out() -> None:
    server = BatonMachine(Role.SERVER, count=2, value=6)
    assert server.lost() == []
    assert server.lost() == [Close()]


@given(
    value=st.integers(0, 255),
    padding=st.integers(0, 70_000),
    prefix=st.sampled_from([1, 2, 4, 8]),
    data=st.data(),
)
def test_the_parser_takes_any_split_and_any_length_of_the_prefix(
    value: int, padding: int, prefix: int, data: st.DataObject
) -> None:
    if padding >= 1 << (8 * prefix - 2):
        padding %= 1 << (8 * prefix - 2)
    head = bytearray(padding.to_bytes(prefix, "big"))
    head[0] |= {1: 0, 2: 0x40, 4: 0x80, 8: 0xC0}[prefix]
    message = bytes(head) + bytes(padding) + bytes([value])
    parser, rest = BatonParser(), message
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        parser.feed(rest[:size])
        rest = rest[size:]
    assert parser.finish() == value
    with pytest.raises(MalformedBaton):
        parser.feed(b"x")


@given(cut=st.integers(0, 5))
def test_less_than_a_message_is_malformed(cut: int) -> None:
    parser = BatonParser()
    parser.feed(encode_baton(7, padding=4)[:cut])
    with pytest.raises(MalformedBaton):
        parser.finish()
