"""Judge a stored run again: the verdicts anew from the records, without the target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reports.files import RunError
from reports.judgement import RecordError, from_json, judge_case
from reports.model import CaseResult, requirement_results, results
from reports.store import load_run, write_reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """A case whose judgement differs from the stored one."""

    id: str
    draft: str
    old: str
    new: str
    old_reason: str
    new_reason: str


def rejudge(directory: Path, *, write: bool = True) -> list[Rejudged]:
    """Judge every case of a run directory anew and, with ``write``, store and render the result.

    Cases without records keep their verdict. Returns what changed. Raises RunError for a directory or
    evidence that cannot be read.
    """
    run = load_run(directory)
    changes: list[Rejudged] = []
    cases: list[CaseResult] = []
    for case in run.results["cases"]:
        evidence = run.evidence(case)
        if evidence is None or not evidence["records"]:
            cases.append(case)
            continue
        try:
            records = [from_json(record) for record in evidence["records"]]
        except RecordError as error:
            raise RunError(f"{case['evidence']}: {error}") from None
        judged = judge_case(case["id"], records, requirements=evidence["requirements"])
        rows = {
            entry["id"]: {"level": entry["level"], "source": entry["source"], "text": entry["text"]}
            for entry in case["requirements"]
        }
        anew = case.copy()
        anew["requirements"] = requirement_results(judged, rows)
        anew["verdict"], anew["reason"] = judged.verdict.value, judged.reason
        anew["signature"], anew["weak"] = judged.signature, judged.weak
        cases.append(anew)
        if (case["verdict"], case["signature"]) != (anew["verdict"], anew["signature"]):
            changes.append(
                Rejudged(
                    id=case["id"],
                    draft=case["draft"],
                    old=case["verdict"],
                    new=anew["verdict"],
                    old_reason=case["reason"],
                    new_reason=anew["reason"],
                )
            )
    if write:
        write_reports(directory, results(run.results["meta"], cases))
    return changes
