"""Two machines against each other: every session ends without error, after the messages it must have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.peer.baton import (
    BatonMachine,
    CloseSession,
    OpenStream,
    Options,
    Parameters,
    Reply,
    ResetStream,
    Role,
    SendDatagram,
    SessionError,
    StopStream,
    StreamError,
    encode_message,
)

if TYPE_CHECKING:
    from conftest import Pair

PADDINGS = {
    "none": lambda _: 0,
    "one": lambda _: 1,
    "grows": lambda value: value * 3,
    "long": lambda _: 20000,
}


@pytest.mark.parametrize("baton", range(1, 256))
def test_every_start_value_comes_to_its_end(pair: type[Pair], baton: int) -> None:
    played = pair(Parameters(baton=baton), seed=baton).run()
    assert played.messages == 257 - baton
    assert played.violations() == []
    # An even value ends at the client, an odd one at the server: it alone closes.
    assert played.codes == [(Role.SERVER if baton % 2 else Role.CLIENT, "close", None)]


@given(
    baton=st.none() | st.integers(200, 255),
    count=st.integers(1, 12),
    paddings=st.tuples(*[st.sampled_from(sorted(PADDINGS))] * 2),
    zero_sent=st.tuples(*[st.sampled_from(["wait", "close"])] * 2),
    seed=st.integers(0, 2**32),
)
def test_any_number_of_batons_comes_to_an_end(
    pair: type[Pair],
    baton: int | None,
    count: int,
    paddings: tuple[str, str],
    zero_sent: tuple[str, str],
    seed: int,
) -> None:
    server, client = (
        Options(padding=PADDINGS[padding], zero_sent=zero)
        for padding, zero in zip(paddings, zero_sent, strict=True)
    )
    played = pair(Parameters(baton=baton, count=count), server=server, client=client, seed=seed).run()
    assert played.violations() == []
    assert {code for _, _, code in played.codes} == {None}
    if "close" not in zero_sent and baton is not None:
        assert played.messages == count * (257 - baton)


def test_a_thousand_messages(pair: type[Pair]) -> None:
    played = pair(Parameters(baton=7, count=4)).run()
    assert played.messages == 1000
    assert played.violations() == []


@given(
    count=st.integers(1, 4),
    lies=st.tuples(*[st.frozensets(st.integers(0, 30), max_size=4)] * 2),
    disinterest=st.tuples(*[st.frozensets(st.integers(0, 15), max_size=3)] * 2),
    seed=st.integers(0, 2**32),
)
def test_resets_and_stops_end_batons_with_their_codes(
    pair: type[Pair],
    count: int,
    lies: tuple[frozenset[int], frozenset[int]],
    disinterest: tuple[frozenset[int], frozenset[int]],
    seed: int,
) -> None:
    server, client = (
        Options(lies=lie, disinterest=bored) for lie, bored in zip(lies, disinterest, strict=True)
    )
    played = pair(Parameters(baton=230, count=count), server=server, client=client, seed=seed).run()
    assert played.violations() == []
    meant: dict[str, set[object]] = {
        "reset": {StreamError.I_LIED, StreamError.WHATEVER},
        "stop": {StreamError.IDC},
        "close": {None},
    }
    assert [entry for entry in played.codes if entry[2] not in meant[entry[1]]] == []
    assert any(kind == "close" for _, kind, _ in played.codes)


def test_datagrams_go_out_for_their_remainder(pair: type[Pair]) -> None:
    played = pair(Parameters(baton=200)).run()
    # The server sends the even values: the client receives those, the server the odd ones.
    assert [value for role, value in played.datagrams if role is Role.CLIENT] == [204, 218, 232, 246]
    assert [value for role, value in played.datagrams if role is Role.SERVER] == [203, 217, 231, 245]


def client(**options: object) -> BatonMachine:
    return BatonMachine(Role.CLIENT, Parameters(baton=250), Options(**options))  # type: ignore[arg-type]


def server(count: int = 1, **options: object) -> BatonMachine:
    machine = BatonMachine(Role.SERVER, Parameters(baton=250, count=count), Options(**options))  # type: ignore[arg-type]
    machine.start()
    return machine


def test_the_server_opens_a_finished_unidirectional_stream_for_each_baton() -> None:
    moves = BatonMachine(Role.SERVER, Parameters(baton=250, count=3)).start()
    assert [(m.stream.bidirectional, m.data, m.finish) for m in moves if isinstance(m, OpenStream)] == [
        (False, b"\x00\xfa", True)
    ] * 3


def test_an_arrival_on_uni_goes_out_on_a_new_bidi() -> None:
    machine = client()
    stream, _ = machine.accept(bidirectional=False)
    (move,) = machine.receive(stream, b"\x00\xfa", end_stream=True)
    assert isinstance(move, OpenStream)
    assert (move.stream.bidirectional, move.data) == (True, b"\x00\xfb")


def test_an_arrival_on_the_peers_bidi_goes_out_on_it_and_the_answer_to_that_on_uni() -> None:
    machine = server()
    stream, _ = machine.accept(bidirectional=True)
    (reply,) = machine.receive(stream, b"\x00\xfb", end_stream=True)
    assert isinstance(reply, Reply)
    assert (reply.stream, reply.data) == (stream, b"\x00\xfc")


def test_an_arrival_on_an_own_bidi_goes_out_on_a_new_uni() -> None:
    machine = client()
    stream, _ = machine.accept(bidirectional=False)
    (opening,) = machine.receive(stream, b"\x00\xfa", end_stream=True)
    assert isinstance(opening, OpenStream)
    (move,) = machine.receive(opening.stream, b"\x00\xfc", end_stream=True)
    assert isinstance(move, OpenStream)
    assert (move.stream.bidirectional, move.data) == (False, b"\x00\xfd")


@pytest.mark.parametrize("data", [b"", b"\x0a123", b"\x40", b"\x00", b"\xc0\x00\x00\x00\x00\x00\x00"])
def test_a_stream_that_ends_within_a_message_is_malformed(data: bytes) -> None:
    machine = client()
    stream, _ = machine.accept(bidirectional=False)
    assert machine.receive(stream, data, end_stream=True) == [CloseSession(SessionError.BRUH)]
    assert client().datagram(data) == [CloseSession(SessionError.BRUH)]


@pytest.mark.parametrize("value", [0, 1, 249, 251])
def test_an_unexpected_value_is_suspicious_or_passed_on(value: int) -> None:
    strict, tolerant = client(), client(unexpected_value="continue")
    stream, _ = strict.accept(bidirectional=False)
    assert strict.receive(stream, encode_message(value), end_stream=True) == [CloseSession(SessionError.SUS)]
    stream, _ = tolerant.accept(bidirectional=False)
    moves = tolerant.receive(stream, encode_message(value), end_stream=True)
    assert CloseSession(SessionError.SUS) not in moves
    assert tolerant.surprises == 1


@pytest.mark.parametrize(
    ("reading", "closes"), [("ignore", None), ("bruh", SessionError.BRUH), ("sus", SessionError.SUS)]
)
def test_bytes_behind_the_value_are_a_matter_of_reading(reading: str, closes: SessionError | None) -> None:
    machine = client(trailing_bytes=reading)
    stream, _ = machine.accept(bidirectional=False)
    moves = machine.receive(stream, b"\x00\xfa\x00", end_stream=True)
    assert (moves == [CloseSession(closes)]) == (closes is not None)
    assert machine.closed == (closes is not None)


def test_missing_stream_credit_is_da_yamn_and_waiting_is_bored() -> None:
    assert server().no_credit() == [CloseSession(SessionError.DA_YAMN)]
    machine = server()
    assert machine.tired() == [CloseSession(SessionError.BORED)]
    assert machine.tired() == []


def test_being_tired_without_active_batons_is_the_normal_end() -> None:
    machine = BatonMachine(Role.SERVER, Parameters(baton=254))
    machine.start()
    stream, _ = machine.accept(bidirectional=True)
    assert [type(move) for move in machine.receive(stream, b"\x00\xff", end_stream=True)] == [Reply]
    assert machine.tired() == [CloseSession(None)]


def test_a_reset_or_stopped_bidi_is_reset_with_whatever() -> None:
    machine = server(count=3)
    first, _ = machine.accept(bidirectional=True)
    assert machine.reset(first) == [ResetStream(first, StreamError.WHATEVER)]
    second, _ = machine.accept(bidirectional=True)
    assert machine.stopped(second) == [ResetStream(second, StreamError.WHATEVER)]
    assert machine.receive(second, b"\x00\xfb", end_stream=True) == []
    third, _ = machine.accept(bidirectional=True)
    assert machine.reset(third) == [ResetStream(third, StreamError.WHATEVER), CloseSession(None)]


def test_a_closed_stream_is_not_reset_again() -> None:
    machine = server()
    stream, _ = machine.accept(bidirectional=True)
    machine.receive(stream, b"\x00\xfb", end_stream=True)
    assert machine.stopped(stream) == []
    assert machine.reset(stream) == []


def test_a_held_back_message_is_reset_when_the_peer_stops_it() -> None:
    machine = BatonMachine(Role.SERVER, Parameters(baton=250, count=2))
    moves = machine.start()
    assert isinstance(moves[0], OpenStream)
    stream = moves[0].stream
    assert machine.stopped(stream, unsent=True) == [ResetStream(stream, StreamError.WHATEVER)]
    assert machine.active == 1


def test_stopping_is_idc_and_gives_the_baton_up() -> None:
    machine = client(disinterest=frozenset({0}))
    stream, moves = machine.accept(bidirectional=False)
    assert moves == [StopStream(stream, StreamError.IDC), CloseSession(None)]


def test_a_datagram_repeats_the_padding_while_it_fits() -> None:
    for padding, expected in ((10, 10), (998, 0)):
        machine = BatonMachine(Role.CLIENT, Parameters(baton=211))
        stream, _ = machine.accept(bidirectional=False)
        moves = machine.receive(stream, encode_message(211, bytes(padding)), end_stream=True)
        assert moves[0] == SendDatagram(211, encode_message(211, bytes(expected)))


@pytest.mark.parametrize(
    ("role", "reading", "sent"), [("SERVER", "send", 1), ("SERVER", "silent", 0), ("CLIENT", "send", 0)]
)
def test_zero_as_zero_modulo_seven_is_a_matter_of_reading(role: str, reading: str, sent: int) -> None:
    options = Options(zero_datagram=reading, unexpected_value="continue")
    machine = BatonMachine(Role[role], Parameters(baton=255, count=2), options)
    stream, _ = machine.accept(bidirectional=False)
    moves = machine.receive(stream, b"\x00\x00", end_stream=True)
    assert len([move for move in moves if isinstance(move, SendDatagram)]) == sent


def test_nothing_happens_after_the_end() -> None:
    machine = server()
    stream, _ = machine.accept(bidirectional=True)
    machine.peer_closed()
    assert machine.receive(stream, b"\x00\xfb", end_stream=True) == []
    assert machine.reset(stream) == machine.stopped(stream) == machine.datagram(b"") == machine.tired() == []


def test_an_unknown_reading_is_refused() -> None:
    with pytest.raises(ValueError, match="zero_sent is one of"):
        Options(zero_sent="perhaps")
