"""``wtconform list`` and ``explain``: cases and requirements, from the data that the runs use."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from conformance.harness.case import Case, load_cases
from conformance.options import InvalidOption
from conformance.requirements import by_id, coverage
from conformance.requirements.model import Requirement


def case_json(case: Case) -> dict[str, Any]:
    """Return a case as ``list --format json`` shows it."""
    return {
        "id": case.identifier,
        "title": case.title,
        "role": case.role,
        "requirements": list(case.requirements),
        "drafts": [draft.value for draft in case.drafts],
        "negative": case.negative,
        "disruptive": case.disruptive,
        "needs": list(case.needs),
        "witness": case.witness,
        "version": case.version,
    }


@click.command("list")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--select", metavar="ID", default="", help="Only cases or requirements with this prefix.")
@click.option("--requirements", "show_requirements", is_flag=True, help="Show requirements instead of cases.")
def list_command(form: str, select: str, show_requirements: bool) -> int:
    """List cases, and requirements with their status."""
    cases = [case for case in load_cases() if case.identifier.startswith(select) or _names(case, select)]
    rows = [
        row for row in coverage(load_cases()) if row.requirement.identifier.startswith(select) or not select
    ]
    if form == "json":
        requirements = [
            {
                "id": row.requirement.identifier,
                "level": row.requirement.level.value,
                "role": row.requirement.role.value,
                "source": row.requirement.source,
                "text": row.requirement.text,
                "status": row.status.value,
                "reason": row.requirement.reason,
                "cases": list(row.cases),
            }
            for row in rows
        ]
        click.echo(
            json.dumps({"cases": [case_json(case) for case in cases], "requirements": requirements}, indent=1)
        )
        return 0
    console = Console()
    if show_requirements:
        table = Table("requirement", "level", "role", "source", "status", "cases", box=None)
        for row in rows:
            item = row.requirement
            table.add_row(
                item.identifier,
                item.level.value,
                item.role.value,
                item.source,
                row.status.value,
                str(len(row.cases)),
            )
    else:
        table = Table("case", "drafts", "requirements", "title", box=None)
        for case in cases:
            drafts = " ".join(draft.value for draft in case.drafts)
            table.add_row(case.identifier, drafts, " ".join(case.requirements), case.title)
    console.print(table)
    console.print(
        f"{len(cases)} cases, {sum(bool(row.cases) for row in rows)} of {len(rows)} requirements covered"
    )
    return 0


def _names(case: Case, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in case.requirements)


@click.command("explain")
@click.argument("identifier", metavar="ID")
def explain_command(identifier: str) -> int:
    """Explain a requirement or a case: source, what is sent, what is allowed, how to read a failure."""
    cases = {case.identifier: case for case in load_cases()}
    if identifier in cases:
        _explain_case(cases[identifier])
        return 0
    try:
        row = by_id(identifier)
    except KeyError:
        close = [name for name in cases if name.startswith(identifier)]
        if not close:
            raise InvalidOption(
                f"there is no case or requirement {identifier!r}; see wtconform list"
            ) from None
        for name in close:
            _explain_case(cases[name])
        return 0
    _explain_requirement(row, [case for case in cases.values() if identifier in case.requirements])
    return 0


def _explain_case(case: Case) -> None:
    from conformance.deviants import deviants_of

    click.echo(f"{case.identifier}  (version {case.version})\n\n{case.description}\n")
    click.echo(f"drafts:    {', '.join(draft.value for draft in case.drafts)}")
    if case.needs:
        click.echo(f"needs:     endpoint {', '.join(case.needs)} (docs/endpoints.md)")
    click.echo(f"witness:   {case.witness or 'none yet'}")
    if case.negative:
        click.echo("twin:      the same exchange with the good value runs first and has to succeed")
    click.echo("requirements:")
    for name in case.requirements:
        row = by_id(name)
        click.echo(f"  {name}  {row.source}  {row.level.value}: {row.text}")
    killed = deviants_of(case)
    if killed:
        click.echo("deviants (servers with one fault, which this case has to catch):")
        for deviant in killed:
            click.echo(f"  {deviant.id}: {deviant.title}")
    click.echo(
        "\nA failure names the reaction that was seen and the clause of the set of allowed reactions that\n"
        "decided; the evidence holds the records and the wire log. 'wtconform replay FILE' plays it again.\n"
    )


def _explain_requirement(row: Requirement, cases: list[Case]) -> None:
    click.echo(f"{row.identifier}  {row.source}  {row.level.value}, binds {row.role.value}\n\n{row.text}\n")
    click.echo(f"test:      {row.test}")
    click.echo(f"drafts:    {', '.join(row.drafts)}{'' if row.drafts_verified else ' (not verified yet)'}")
    if row.note:
        click.echo(f"note:      {row.note}")
    if row.ambiguities:
        click.echo(f"readings:  {', '.join(row.ambiguities)}")
    if row.reason:
        click.echo(f"out of reach: {row.reason}")
    click.echo(f"cases:     {', '.join(case.identifier for case in cases) or 'none yet'}")
