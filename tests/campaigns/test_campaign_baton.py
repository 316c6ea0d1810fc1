"""The baton campaign: its plan, its command, and one short round of each pairing."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.harness.embedded import Embedded
from conformance.peer.baton import SessionError, StreamError
from scenarios.campaigns.baton import main
from scenarios.campaigns.baton_errors import HOSTS, VISITS, Code, Provocation, provoke_client, provoke_server
from scenarios.campaigns.baton_rounds import VALUES, plan

CODES: list[Code] = [*SessionError, *StreamError]
built = pytest.mark.skipif(
    importlib.util.find_spec("pywebtransport") is None, reason="the reference is not built"
)


@given(messages=st.integers(1, 1024))
def test_one_session_is_enough_up_to_four_whole_batons(messages: int) -> None:
    parameters = plan(messages)
    assert parameters.baton is not None
    assert 1 <= parameters.baton <= 255
    assert parameters.count * (VALUES + 1 - parameters.baton) >= messages


@pytest.mark.parametrize("arguments", [["--profiles", "calm"], ["--messages", "0"], ["--messages", "x"]])
def test_wrong_arguments(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_another_code_is_not_the_provoked_one() -> None:
    assert Provocation("server", SessionError.SUS, 3).provoked
    assert not Provocation("server", SessionError.SUS, 2).provoked
    assert not Provocation("server", SessionError.SUS, None).provoked


@built
def test_a_short_round_of_each_pairing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--messages", "8", "--profiles", "clean", "--no-errors"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[1] for line in lines[2:4]] == ["reference × reference", "peer × reference"]
    assert all(line.endswith("| none |") for line in lines[2:4])
    assert lines[-1] == "rounds: 2 of 2 without a violation, 16 messages"


@pytest.fixture(scope="module")
def server() -> Iterator[Embedded]:
    with Embedded("reference") as embedded:
        yield embedded


def test_each_code_is_provoked_in_a_way_of_its_own() -> None:
    assert list(VISITS) == list(HOSTS) == [code.name for code in CODES]


# The server's BORED takes its ten seconds: `make campaign` has it.
@built
@pytest.mark.parametrize(
    "code", [code for code in CODES if code is not SessionError.BORED], ids=lambda code: code.name
)
def test_each_code_of_the_server(code: Code, server: Embedded) -> None:
    assert server.ca_file is not None
    assert provoke_server(code, server.url, server.ca_file).provoked


@built
@pytest.mark.parametrize("code", CODES, ids=lambda code: code.name)
def test_each_code_of_the_client(code: Code) -> None:
    assert provoke_client(code).provoked
