"""The recipes of CONTRIBUTING.md work as they stand there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance import requirements
from conformance.deviants import definition
from conformance.harness import case as registry
from conformance.harness.case import Case
from conformance.harness.inmemory import memory_target
from conformance.harness.probe import probe
from conformance.harness.runner import Outcome, Player
from conformance.peer.drafts import Draft
from conformance.peer.model import Behaviour, ModelServer
from reports.verdict import Verdict

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAX_LINES = 12
EXAMPLE = "streams-uni.example"


def recipe(title: str) -> str:
    """Return the code block of the section with this title."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    (block,) = re.findall(r"^```[a-z]+\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return block


def execute(title: str) -> dict[str, Any]:
    """Run the recipe as a module and return its names."""
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(recipe(title), "CONTRIBUTING.md", "exec"), names)
    return names


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """The case of the recipe, declared for one test only."""
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    execute("Add a case")
    yield next(item for item in registry._registry.values() if item.identifier == EXAMPLE)


def play(case: Case, behaviour: Behaviour) -> Outcome:
    """Play a case against a server with this behaviour, in memory."""
    sound = memory_target("model", ModelServer)
    target = memory_target("recipe", lambda: ModelServer(behaviour)).with_capabilities(probe(sound))
    return Player(target, second_runs=False).play(case, Draft.D16)


@pytest.mark.parametrize("title", ["Add a requirement", "Add a case", "Add a deviant", "Add a reporter"])
def test_a_recipe_is_short(title: str) -> None:
    assert len(recipe(title).splitlines()) <= MAX_LINES


def test_recipe_of_a_requirement(tmp_path: Path) -> None:
    directory = tmp_path / "requirements"
    shutil.copytree(requirements.DATA, directory, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    with (directory / "webtrans-http3-16.toml").open("a", encoding="utf-8") as file:
        file.write("\n" + recipe("Add a requirement"))
    rows = requirements.read_catalogue(directory).requirements
    assert len(rows) == len(requirements.load()) + 1
    assert "WT-4.2-99" in {row.identifier for row in rows}


def test_recipe_of_a_case(example: Case) -> None:
    outcome = play(example, Behaviour())
    assert outcome.judgement.verdict is Verdict.PASS, outcome.judgement.reason


def test_recipe_of_a_deviant(example: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definition, "registry", {})
    execute("Add a deviant")
    (deviant,) = definition.registry.values()
    assert example.requirements == deviant.requirements
    outcome = play(example, deviant.behaviour([Draft.D16]))
    assert outcome.judgement.verdict is Verdict.FAIL, outcome.judgement.reason


def test_recipe_of_a_reporter() -> None:
    case = {"id": "a.b", "verdict": "fail", "reason": "no\nanswer"}
    text = execute("Add a reporter")["render_failures"]({"cases": [case, {**case, "verdict": "pass"}]})
    assert text.startswith("a.b: no")
    assert text.count("\n") == 1
