"""Findings on disk: one directory for each, with replay file, stand-alone script and wire log."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.peer.drafts import Draft
from fuzz import operations as op
from fuzz.steps import script_from_json, script_to_json
from fuzz.violations import Violation, kinds, signature
from reports.model import REPLAY_FORMAT, VERSION
from reports.schemas import validate

REPLAY_FILE = "replay.json"
MAX_LOG_EVENTS = 5000

_SCRIPT = '''\
#!/usr/bin/env python3
"""{title}

Found by wtconform fuzz (seed {seed}, machine {machine}). Needs the distribution webtransport-conformance.
usage: {name} URL [--insecure | --ca FILE]     exit 1: reproduced, 0: not, 3: something else happened
"""

import argparse
import sys
from pathlib import Path

from fuzz.replay import replay_finding

STEPS = {steps}

FINDING = {finding}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("url")
parser.add_argument("--ca", type=Path)
parser.add_argument("--insecure", action="store_true")
given = parser.parse_args()
sys.exit(replay_finding({{**FINDING, "steps": STEPS}}, given.url, ca=given.ca, insecure=given.insecure))
'''


@dataclass(frozen=True, slots=True)
class Finding:
    """A confirmed violation with the shortest script that shows it."""

    violation: Violation
    script: op.Script
    draft: Draft
    seed: int | None = None
    machine: str = ""
    confirmed: bool = True
    target: dict[str, Any] = field(default_factory=dict)

    @property
    def signature(self) -> str:
        """The name of the finding, the same for the same kind of violation by the same operations."""
        return signature(self.violation, self.script)

    @property
    def title(self) -> str:
        """One line for people."""
        return f"{self.violation.rule}: {self.violation.text}"

    def as_replay(self) -> dict[str, Any]:
        """Return the replay file (reports/schemas/replay.schema.json)."""
        value = {
            "format": REPLAY_FORMAT,
            "version": VERSION,
            "kind": "finding",
            "id": self.signature,
            "draft": self.draft.value,
            "role": "server",
            "target": self.target,
            "seed": self.seed,
            "steps": script_to_json(self.script),
            "expected": {
                "verdict": "fail",
                "signature": self.signature,
                "reaction": self.violation.reaction,
            },
            "title": self.title,
            "note": f"oracle {self.violation.oracle}, machine {self.machine}"
            + ("" if self.confirmed else "; seen, but not confirmed by a second run"),
        }
        validate("replay", value)
        return value

    def as_script(self) -> str:
        """Return a Python program that plays the finding against a URL."""
        finding = self.as_replay()
        steps = finding.pop("steps")
        return _SCRIPT.format(
            title=self.title.replace("\\", "/").replace('"""', "'''"),
            name=f"{self.signature}.py",
            seed=self.seed,
            machine=self.machine or "none",
            steps=_python(steps),
            finding=_python(finding),
        )

    def save(self, out: Path, events: list[dict[str, Any]]) -> Path:
        """Write everything below ``out/findings``; return the directory."""
        folder = out / "findings" / self.signature
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.as_replay(), indent=1)
        (folder / REPLAY_FILE).write_text(text + "\n", encoding="utf-8")
        (folder / f"{self.signature}.py").write_text(self.as_script(), encoding="utf-8")
        with (folder / "wire.ndjson").open("w", encoding="utf-8") as log:
            for event in events[:MAX_LOG_EVENTS]:
                log.write(json.dumps(event) + "\n")
        return folder


def _python(value: Any) -> str:
    """Return JSON-like data as a Python expression over several lines."""
    if isinstance(value, list):
        return "[\n" + "".join(f"    {item!r},\n" for item in value) + "]"
    return "{\n" + "".join(f"    {key!r}: {item!r},\n" for key, item in value.items()) + "}"


class Known:
    """What was found already, so that it is reported once."""

    def __init__(self) -> None:
        self._kinds: dict[str, list[frozenset[str]]] = {}

    def add(self, violation: Violation, script: op.Script) -> None:
        """Note a finding."""
        self._kinds.setdefault(violation.key, []).append(frozenset(kinds(script)))

    def __contains__(self, item: tuple[Violation, op.Script]) -> bool:
        """Tell whether a violation is explained by a finding.

        Where the rule names the cause, the same key is the same finding. Where only the effect is known
        (connection or session ended), the operations of the earlier finding have to occur in the script.
        """
        violation, script = item
        earlier = self._kinds.get(violation.key)
        if earlier is None:
            return False
        if not violation.rule.endswith("-lives"):
            return True
        names = set(kinds(script))
        return any(cause <= names for cause in earlier)

    def load(self, out: Path) -> int:
        """Take the findings of an earlier campaign; return how many there are."""
        count = 0
        for path in sorted((out / "findings").glob(f"*/{REPLAY_FILE}")):
            value = json.loads(path.read_text(encoding="utf-8"))
            validate("replay", value)
            oracle, _, rest = value["id"].partition("-")
            rule = value["title"].partition(":")[0]
            violation = Violation(oracle, rule, value["expected"]["reaction"], rest)
            self.add(violation, script_from_json(value["steps"]))
            count += 1
        return count
