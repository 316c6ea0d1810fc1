"""``wtconform replay``: one recorded case again, and whether it shows the same."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from conformance.access import approach
from conformance.cli.run import connection_options, plain
from conformance.harness.case import load_cases
from conformance.harness.probe import ProbeFailed
from conformance.harness.runner import Player
from conformance.harness.setup import check
from conformance.options import InvalidOption, RunOptions
from conformance.peer.drafts import Draft
from conformance.recording import restored_target
from reports.files import read_json
from reports.schemas import validate
from reports.verdict import EXIT_INCONCLUSIVE, Verdict

REPRODUCED, FIXED, SAME_PASS, DRIFTED = "REPRODUCED", "FIXED", "PASSES AS BEFORE", "DRIFTED"
EXIT = {REPRODUCED: 1, FIXED: 0, SAME_PASS: 0, DRIFTED: 3}
_GOOD = (Verdict.PASS, Verdict.INFORMATIONAL, Verdict.UNSUPPORTED)


def compare(expected: dict[str, Any], verdict: Verdict, signature: str) -> str:
    """Return what a second run says about a recorded one."""
    before = Verdict(expected["verdict"])
    if signature == expected["signature"]:
        return SAME_PASS if before in _GOOD else REPRODUCED
    if verdict in _GOOD:
        return SAME_PASS if before in _GOOD and verdict == before else FIXED
    return DRIFTED


def _options(stored: Mapping[str, Any], url: str | None, typed: dict[str, Any]) -> RunOptions:
    """Return what the user typed; for the recorded target, else what the file says of it."""
    if url is not None:
        return RunOptions(target=url, **typed)
    defaults = vars(RunOptions())
    changed = {name: value for name, value in typed.items() if value != defaults[name]}
    return RunOptions(
        **{**typed, **restored_target(stored), **changed, "target": stored.get("given") or None}
    )


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("url", required=False)
@connection_options
def replay_command(file: Path, url: str | None, **values: Any) -> int:
    """Play a recorded case again: REPRODUCED (exit 1), FIXED or the same pass (0), DRIFTED (3)."""
    value = read_json(file)
    validate("replay", value)
    if value["kind"] == "finding":
        from fuzz.replay import replay_finding  # only findings need the fuzzer

        return replay_finding(value, url, ca=values["ca"], insecure=values["insecure"])
    case = next((item for item in load_cases() if item.identifier == value["id"]), None)
    if case is None:
        raise InvalidOption(f"{file}: this version of the suite has no case {value['id']!r}")
    given = _options(value["target"], url, plain(values))
    check(given)
    with ExitStack() as stack:
        try:
            _, target = approach(given, stack)
        except ProbeFailed as error:
            click.echo(f"{case.identifier}: inconclusive: {error}")
            return EXIT_INCONCLUSIVE
        outcome = Player(target).play(case, Draft(value["draft"]))
    judged = outcome.judgement
    if (
        judged.verdict is Verdict.INCONCLUSIVE
        and Verdict(value["expected"]["verdict"]) is not Verdict.INCONCLUSIVE
    ):
        click.echo(f"{case.identifier}: inconclusive: {judged.reason}")
        return EXIT_INCONCLUSIVE
    result = compare(value["expected"], judged.verdict, judged.signature)
    click.echo(f"{result}  {case.identifier} (draft {value['draft']}): {judged.verdict.label}")
    click.echo(f"  recorded: {value['expected']['verdict']}, {value['expected']['reaction']}")
    click.echo(f"  now:      {judged.reason}")
    return EXIT[result]
