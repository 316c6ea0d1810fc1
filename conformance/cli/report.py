"""``wtconform report`` and ``diff``: render, merge, judge again, compare."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from reports.diff import diff
from reports.rejudge import rejudge
from reports.render.markdown import render_markdown
from reports.render.terminal import print_report
from reports.store import load_run, merge, write_reports
from reports.verdict import exit_code

_DIRECTORY = click.Path(path_type=Path)


@click.command("report")
@click.argument("directories", nargs=-1, required=True, type=_DIRECTORY, metavar="DIR...")
@click.option(
    "--rejudge", "again", is_flag=True, help="Judge the recorded evidence anew, without the target."
)
@click.option("--out", type=_DIRECTORY, metavar="DIR", help="Merge the directories into this one.")
@click.option("--format", "form", type=click.Choice(["terminal", "markdown", "json"]), default="terminal")
@click.option("--strict", is_flag=True, help="A SHOULD that is not followed fails the run.")
def report_command(
    directories: tuple[Path, ...], again: bool, out: Path | None, form: str, strict: bool
) -> int:
    """Render run directories again; with several of them, merge shards."""
    if again:
        for directory in directories:
            for change in rejudge(directory):
                click.echo(
                    f"{change.id} (draft {change.draft}): {change.old} -> {change.new}: {change.new_reason}"
                )
    runs = [load_run(directory) for directory in directories]
    if out is not None or len(runs) > 1:
        results = merge(runs, out or directories[0])
    else:
        results = runs[0].results
        write_reports(directories[0], results)
    if form == "json":
        click.echo(json.dumps(results, indent=1))
    elif form == "markdown":
        click.echo(render_markdown(results))
    else:
        print_report(results, Console())
    return exit_code(results["summary"], strict=strict)


@click.command("diff")
@click.argument("old", type=_DIRECTORY)
@click.argument("new", type=_DIRECTORY)
@click.option("--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text")
def diff_command(old: Path, new: Path, form: str) -> int:
    """Compare two run directories; exit code 1 where anything got worse."""
    compared = diff(load_run(old).results, load_run(new).results)
    if form == "json":
        click.echo(json.dumps(compared.as_json(), indent=1))
    else:
        click.echo(compared.as_markdown() if form == "markdown" else compared.as_text())
    return int(compared.worse)
