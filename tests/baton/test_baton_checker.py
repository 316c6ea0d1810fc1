"""The checker: each broken rule is found and named, and no reading of the draft is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from conformance.peer.baton import (
    READINGS,
    BatonMachine,
    Checker,
    Message,
    Options,
    Parameters,
    Role,
    SendDatagram,
    SessionError,
    StreamError,
    encode_message,
)

if TYPE_CHECKING:
    from conftest import Pair

# Keys of streams: the target's unidirectional and bidirectional ones, and those of this side.
THEIR_UNI, THEIR_BIDI, OUR_BIDI, OUR_UNI = "their uni", "their bidi", "our bidi", "our uni"


def message(value: int, padding: int = 0) -> bytes:
    return encode_message(value, bytes(padding))


def on_uni(checker: Checker, value: int, key: str = THEIR_UNI, *, end_stream: bool = True) -> None:
    checker.opened(key, bidirectional=False)
    checker.received(key, message(value), end_stream=end_stream)


def server(baton: int | None = 250, count: int = 1) -> Checker:
    """A server that has sent its first message, answered by this side on a bidirectional stream."""
    checker = Checker(Role.SERVER, Parameters(baton=baton, count=count))
    on_uni(checker, baton or 250)
    answer(checker)
    return checker


def answer(checker: Checker, data: bytes = message(251), *, end_stream: bool = True) -> None:
    checker.we_opened(OUR_BIDI, bidirectional=True)
    checker.we_sent(OUR_BIDI, data, end_stream=end_stream)


def client(value: int = 8) -> Checker:
    """A client to which this side has sent the first message."""
    checker = Checker(Role.CLIENT, Parameters(baton=value))
    checker.we_opened(OUR_UNI, bidirectional=False)
    checker.we_sent(OUR_UNI, message(value), end_stream=True)
    return checker


def rows(checker: Checker) -> list[str]:
    return [violation.requirement for violation in checker.finish()]


def test_a_whole_session_of_a_server_is_without_violations() -> None:
    checker = Checker(Role.SERVER, Parameters(baton=251))
    on_uni(checker, 251)
    answer(checker, message(252))
    checker.received_datagram(message(252))
    checker.received(OUR_BIDI, message(253), end_stream=True)
    checker.we_opened(OUR_UNI, bidirectional=False)
    checker.we_sent(OUR_UNI, message(254), end_stream=True)
    checker.opened(THEIR_BIDI, bidirectional=True)
    checker.received(THEIR_BIDI, message(255, padding=300), end_stream=True)
    checker.we_sent(THEIR_BIDI, message(0), end_stream=True)
    assert rows(checker) == ["DB-4.5-01"]  # so far: it has to close
    checker.was_closed(None)
    assert rows(checker) == []


# What a target does after `server()`, whose reply with 252 is due -> the row that it breaks.
SERVER_FAULTS: dict[str, tuple[Callable[[Checker], None], str]] = {
    "value not incremented": (lambda c: c.received(OUR_BIDI, message(251), end_stream=True), "DB-4.2-01"),
    "no FIN": (lambda c: c.received(OUR_BIDI, message(252), end_stream=False), "DB-4.2-02"),
    "other stream": (lambda c: on_uni(c, 252, "other"), "DB-4.2-03"),
    "silence": (lambda c: None, "DB-4.2-01"),
    "cut message": (lambda c: c.received(OUR_BIDI, b"\x05abc", end_stream=True), "DB-4.3-01"),
    "cut datagram": (lambda c: c.received_datagram(b"\x05abc"), "DB-4.4-01"),
    "datagram for nothing": (lambda c: c.received_datagram(message(251)), "DB-4.4-03"),
    "one baton too many": (lambda c: on_uni(c, 250, "other"), "DB-4.2-01"),
    "wrong spontaneous reset": (lambda c: c.was_reset(OUR_BIDI, 2), "DB-4.6-04"),
    "wrong stop": (lambda c: c.was_stopped(OUR_BIDI, 3), "DB-4.6-02"),
    "early end": (lambda c: c.was_closed(None), "DB-4.5-01"),
    "early end by capsule": (lambda c: c.was_closed(0), "DB-4.5-01"),
    "groundless DA_YAMN": (lambda c: c.was_closed(SessionError.DA_YAMN), "DB-4.2-06"),
    "groundless BRUH": (lambda c: c.was_closed(SessionError.BRUH), "DB-4.6-01"),
    "groundless SUS": (lambda c: c.was_closed(SessionError.SUS), "DB-4.2-05"),
    "undefined code": (lambda c: c.was_closed(77), "DB-4.5-02"),
}


@pytest.mark.parametrize("fault", SERVER_FAULTS)
def test_faults_of_a_server_are_named(fault: str) -> None:
    checker = server()
    act, row = SERVER_FAULTS[fault]
    act(checker)
    assert row in rows(checker)
    if fault not in ("silence", "no FIN"):
        checker = server()
        checker.received(OUR_BIDI, message(252), end_stream=True)
        assert rows(checker) == []


def test_missing_initial_messages_are_named() -> None:
    assert rows(Checker(Role.SERVER, Parameters(baton=9))) == ["DB-4.2-01"]
    assert rows(Checker(Role.SERVER, Parameters(count=3))) == ["DB-4.1-01"]
    checker = Checker(Role.SERVER, Parameters(count=3))
    for number, value in enumerate((1, 255, 9)):
        on_uni(checker, value, str(number))
    assert rows(checker) == []


def test_an_initial_value_of_zero_is_named() -> None:
    checker = Checker(Role.SERVER, Parameters())
    on_uni(checker, 0)
    assert "DB-4.2-01" in rows(checker)


def test_a_chosen_initial_value_is_followed() -> None:
    checker = Checker(Role.SERVER, Parameters())
    on_uni(checker, 17)
    answer(checker, message(18))
    checker.received(OUR_BIDI, message(18), end_stream=True)
    assert "DB-4.2-01" in rows(checker)


# What this side sends -> the code with which a target has to close.
PROVOCATIONS: dict[str, tuple[Callable[[Checker], None], SessionError]] = {
    "empty stream": (lambda c: c.we_sent(OUR_BIDI, b"", end_stream=True), SessionError.BRUH),
    "cut message": (lambda c: c.we_sent(OUR_BIDI, b"\x0aabc", end_stream=True), SessionError.BRUH),
    "cut datagram": (lambda c: c.we_sent_datagram(b"\x0aabc"), SessionError.BRUH),
    "no credit": (lambda c: c.we_grant_no_stream(), SessionError.DA_YAMN),
}


@pytest.mark.parametrize("provocation", PROVOCATIONS)
def test_a_provoked_close_is_due_with_its_code(provocation: str) -> None:
    provoke, code = PROVOCATIONS[provocation]
    for reaction in (None, *SessionError):
        checker = Checker(Role.SERVER, Parameters(baton=250))
        on_uni(checker, 250)
        checker.we_opened(OUR_BIDI, bidirectional=True)
        provoke(checker)
        assert len(rows(checker)) == 1
        checker.was_closed(reaction)
        assert (rows(checker) == []) == (reaction is code)


@pytest.mark.parametrize("code", [None, 0, SessionError.SUS])
def test_an_unexpected_value_may_be_sus_or_go_on(code: int | None) -> None:
    checker = Checker(Role.SERVER, Parameters(baton=250))
    on_uni(checker, 250)
    answer(checker, message(99))
    checker.received(OUR_BIDI, message(100), end_stream=True)
    assert rows(checker) == []
    if code:
        checker.was_closed(code)
        assert rows(checker) == []


@pytest.mark.parametrize("code", [SessionError.SUS, SessionError.BRUH])
def test_bytes_behind_the_value_may_be_anything(code: int) -> None:
    checker = Checker(Role.SERVER, Parameters(baton=250))
    on_uni(checker, 250)
    answer(checker, message(251) + b"more")
    checker.was_closed(code)
    assert rows(checker) == []


@pytest.mark.parametrize("code", [None, SessionError.SUS, SessionError.BRUH, SessionError.BORED])
def test_bytes_behind_the_last_value_excuse_more_than_the_normal_end(code: SessionError | None) -> None:
    checker = Checker(Role.SERVER, Parameters(baton=255))
    on_uni(checker, 255)
    answer(checker, message(0) + b"more")
    checker.was_closed(code)
    assert (rows(checker) == []) == (code is not SessionError.BORED)


@pytest.mark.parametrize(("code", "row"), [(StreamError.WHATEVER, None), (StreamError.IDC, "DB-4.6-03")])
def test_a_reset_or_stop_is_answered_with_whatever(code: int, row: str | None) -> None:
    for provoke in (Checker.we_reset, Checker.we_stopped):
        checker = Checker(Role.SERVER, Parameters(baton=250, count=2))
        on_uni(checker, 250, "first")
        on_uni(checker, 250, "second")
        checker.we_opened(OUR_BIDI, bidirectional=True)
        provoke(checker, OUR_BIDI)
        assert rows(checker) == ["DB-4.6-03"]
        checker.was_reset(OUR_BIDI, code)
        assert rows(checker) == ([row] if row else [])


def test_a_reset_baton_counts_as_ended() -> None:
    checker = Checker(Role.SERVER, Parameters(baton=250))
    on_uni(checker, 250)
    checker.we_opened(OUR_BIDI, bidirectional=True)
    checker.we_reset(OUR_BIDI)
    checker.was_reset(OUR_BIDI, StreamError.WHATEVER)
    assert rows(checker) == ["DB-4.5-01"]
    checker.was_closed(None)
    assert rows(checker) == []


def test_a_target_may_lie_and_lose_interest() -> None:
    checker = server()
    checker.was_reset(OUR_BIDI, StreamError.I_LIED)
    checker.was_closed(None)
    assert rows(checker) == []
    checker = server()
    checker.was_stopped(OUR_BIDI, StreamError.IDC)
    checker.was_closed(None)
    assert rows(checker) == []


def test_a_stop_that_arrives_after_the_close_still_excuses_it() -> None:
    checker = server()
    checker.was_closed(None)
    checker.was_stopped(OUR_BIDI, StreamError.IDC)
    assert rows(checker) == []


def test_being_bored_is_always_allowed() -> None:
    checker = server()
    checker.was_closed(SessionError.BORED)
    assert rows(checker) == []


def test_an_empty_end_after_zero_is_nothing() -> None:
    checker = Checker(Role.SERVER, Parameters(baton=254, count=2))
    on_uni(checker, 254, "first")
    on_uni(checker, 254, "second")
    answer(checker, message(255))
    checker.received(OUR_BIDI, message(0), end_stream=True)
    assert rows(checker) == []
    checker = Checker(Role.SERVER, Parameters(baton=255, count=2))
    on_uni(checker, 255, "first")
    on_uni(checker, 255, "second")
    answer(checker, message(0))
    checker.received(OUR_BIDI, b"", end_stream=True)
    assert rows(checker) == []


def test_nothing_is_owed_after_this_side_closed() -> None:
    checker = server()
    checker.we_closed()
    assert rows(checker) == []


def test_the_datagram_of_a_client() -> None:
    checker = client(8)
    checker.received_datagram(message(8, padding=5))
    checker.received_datagram(message(8))
    assert rows(checker)[0] == "DB-4.4-02"


READING_PAIRS = [(name, value) for name, values in sorted(READINGS.items()) for value in sorted(values)]


@pytest.mark.parametrize(("name", "value"), READING_PAIRS)
@pytest.mark.parametrize("seed", range(3))
def test_every_reading_is_tolerated(pair: type[Pair], name: str, value: str, seed: int) -> None:
    options = Options(**{name: value})  # type: ignore[arg-type]
    lying = Options(**{name: value}, lies=frozenset({2}), disinterest=frozenset({4}))  # type: ignore[arg-type]
    for server_options, client_options in ((options, options), (lying, options), (options, lying)):
        played = pair(Parameters(baton=245, count=3), server=server_options, client=client_options, seed=seed)
        assert played.run().violations() == []


def shifted(machine: BatonMachine, by: int) -> object:
    """Take every value for another one."""
    process = machine._process
    return lambda seen, stream: process(Message((seen.value + by) % 256, 0), stream)


# Fault -> the method that it replaces, and what with.
FAULTS: dict[str, tuple[str, Callable[[BatonMachine], object]]] = {
    "skips a value": ("_process", lambda machine: shifted(machine, 1)),
    "repeats a value": ("_process", lambda machine: shifted(machine, -1)),
    "sends every datagram": (
        "_datagrams",
        lambda _: lambda seen: [SendDatagram(seen.value, message(seen.value))],
    ),
    "ends with an error": ("_finish", lambda machine: lambda: machine._fail(SessionError.BRUH)),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("role", Role)
def test_a_faulty_machine_is_caught_in_play(
    pair: type[Pair], fault: str, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Options(unexpected_value="continue")
    # The role that receives the last 0 closes: an odd value ends at the server.
    parameters = Parameters(baton=241 if role is Role.SERVER else 240, count=2)
    played = pair(parameters, server=options, client=options, seed=3)
    method, replacement = FAULTS[fault]
    monkeypatch.setattr(played.machines[role], method, replacement(played.machines[role]))
    found = played.run().violations()
    assert any(line.startswith(role.name) for line in found)
