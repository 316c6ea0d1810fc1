"""The baton campaign: its plan, its command, and one short round of each pairing."""

from __future__ import annotations

import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.peer.baton import SessionError
from scenarios.campaigns.baton import main
from scenarios.campaigns.baton_errors import Provocation
from scenarios.campaigns.baton_rounds import VALUES, plan


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


@pytest.mark.skipif(importlib.util.find_spec("pywebtransport") is None, reason="the reference is not built")
def test_a_short_round_of_each_pairing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--messages", "8", "--profiles", "clean", "--no-errors"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[1] for line in lines[2:]] == ["reference × reference", "peer × reference"]
    assert all(line.endswith("| none |") for line in lines[2:])
