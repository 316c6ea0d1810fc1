"""``wtconform matrix``: all targets of a list, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from conformance.options import UserError
from reports.files import write_atomic
from scenarios.matrix.page import exit_code, render_html, render_markdown, without_report
from scenarios.matrix.playing import Played, play
from scenarios.matrix.targets import SHIPPED, read_targets

DEFAULT_OUT: Final = Path("reports/out/matrix")


@click.command("matrix")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_OUT,
    show_default=True,
    metavar="DIR",
    help="Directory for the page and for the report of each run.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only this target of the list.")
def matrix_command(file: Path | None, out: Path, only: tuple[str, ...]) -> int:
    """Judge all targets of FILE (TOML; default: those that the suite knows) and merge the reports.

    Exit codes: 0 all passed, 1 at least one fail, 2 usage, 3 something could not be judged.
    Targets whose toolchain is missing are skipped, with the reason.
    """
    targets = read_targets(file or SHIPPED)
    unknown = set(only) - {target.name for target in targets}
    if unknown:
        raise UserError(f"--only {min(unknown)!r}: the list has no such target")
    played: list[Played] = []
    for target in targets:
        if only and target.name not in only:
            continue
        for item in play(target, out):
            played.append(item)
            click.echo(f"{item.name}: {_summary(item)}")
            # Written after each run: an interrupted matrix leaves a page of what is done.
            write_atomic(out / "index.html", render_html(played, out))
            write_atomic(out / "matrix.md", render_markdown(played, out))
    click.echo(f"matrix: {out / 'index.html'}")
    return exit_code(played)


def _summary(item: Played) -> str:
    if item.results is None:
        return without_report(item)
    return ", ".join(f"{count} {name}" for name, count in item.results["summary"].items() if count)
