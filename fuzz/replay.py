"""Replay of a finding: does the target still do it?"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from conformance.harness.probe import ProbeFailed
from conformance.harness.reach import reach
from conformance.harness.sanity import Sanity
from conformance.harness.setup import start_embedded
from conformance.harness.target import Target
from conformance.options import RunOptions
from conformance.peer.drafts import Draft
from fuzz.executor import Executor
from fuzz.steps import OperationError, script_from_json
from fuzz.violations import Found, TargetGone, Unjudged, signature
from reports.files import RunError
from reports.verdict import EXIT_INCONCLUSIVE

REPRODUCED, FIXED, DRIFTED = "REPRODUCED", "FIXED", "DRIFTED"
EXIT = {REPRODUCED: 1, FIXED: 0, DRIFTED: 3}


def replay_finding(value: dict[str, Any], url: str | None, *, ca: Path | None, insecure: bool) -> int:
    """Play a finding on a target and print what became of it; return the exit code.

    ``url`` None means the target of the finding. Raises RunError where file or target cannot be used.
    """
    stored = {} if url else value["target"]
    known = {
        name: stored[name] for name in ("connect_to", "origin", "declare_draft", "drafts") if name in stored
    }
    given = RunOptions(
        target=url or stored.get("given"),
        ca=ca or (Path(stored["ca"]) if "ca" in stored else None),
        insecure=insecure or stored.get("insecure") is True,
        endpoint=list(value["target"].get("endpoint", [])),
        **known,
    )
    with ExitStack() as stack:
        try:
            _, target = reach(start_embedded(given, stack))
        except ProbeFailed as error:
            raise RunError(str(error)) from None
        return report(value, target)


def report(value: dict[str, Any], target: Target) -> int:
    """Play a finding on a target that was probed, print the result, return the exit code."""
    try:
        result, text = compare(value, target)
    except (TargetGone, Unjudged) as error:
        click.echo(f"{value['id']}: inconclusive: {error}")
        return EXIT_INCONCLUSIVE
    click.echo(f"{result}  {value['id']} (draft {value['draft']})")
    click.echo(f"  recorded: {value['expected']['reaction']}: {value.get('title', '')}")
    click.echo(f"  now:      {text}")
    return EXIT[result]


def compare(value: dict[str, Any], target: Target) -> tuple[str, str]:
    """Play a finding; return REPRODUCED, FIXED or DRIFTED, and what happened at which step.

    Raises RunError for steps that are none, TargetGone, Unjudged.
    """
    try:
        script = script_from_json(value["steps"])
    except OperationError as error:
        raise RunError(f"finding {value['id']}: {error}") from None
    if value["id"].startswith("differential-"):
        raise RunError(f"finding {value['id']} needs two targets: wtconform fuzz URL --against URL2")
    executor = Executor(target, Draft(value["draft"]), patient=True)
    try:
        found = executor.run(script)
    finally:
        played = tuple(executor.script)
        executor.drop()
    if found is None and value["id"].startswith("crash-"):
        problem = Sanity(target).exchange(Draft(value["draft"]))
        if problem is not None:
            return REPRODUCED, f"the target does not serve any more: {problem}"
    if found is None:
        return FIXED, f"all {len(script)} steps went as the texts allow"
    if signature(found.violation, script) == value["expected"]["signature"]:
        return REPRODUCED, _at(found, played)
    return DRIFTED, _at(found, played)


def _at(found: Found, played: tuple[Any, ...]) -> str:
    step = min(found.step, len(played) - 1)
    return f"step {step + 1} ({played[step].name}): {found.violation.text}"


__all__ = ["DRIFTED", "EXIT", "FIXED", "REPRODUCED", "compare", "replay_finding", "report"]
