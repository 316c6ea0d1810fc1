"""``wtconform deviants``: the kill matrix, or one deviant as a server."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Mapping, Sequence

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from conformance.deviants import Deviant, all_deviants
from conformance.deviants.matrix import Matrix, Plan
from conformance.deviants.parallel import compute_parallel
from conformance.harness.case import Case, load_cases
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model import ModelServer
from conformance.peer.quic.udp import UdpLink
from reports.verdict import EXIT_INTERRUPTED, EXIT_USAGE

# Cases that show nothing but what the shorter transfers show, and take minutes on the in-memory link.
TRANSFERS = "scenario-echo.large."
# Lines of each list in the table; the JSON form has all of them.
MAX_LINES = 60


def in_matrix(case: Case) -> bool:
    """Tell whether a case is part of the matrix: all but the transfers of many megabytes."""
    return not case.identifier.startswith(TRANSFERS)


@click.command("deviants")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table")
@click.option("--select", "prefix", default="", metavar="PREFIX", help="Only deviants whose ID begins so.")
@click.option(
    "--sample",
    type=click.FloatRange(0.0, 1.0),
    default=1.0,
    metavar="F",
    help="Share of the cases that do not concern a deviant (default: 1, all; 0: the diagonal).",
)
@click.option("--seed", type=int, default=0, help="Seed of the sample.")
@click.option("--draft", "draft", type=click.Choice([item.value for item in DRAFTS]), help="Only this draft.")
@click.option(
    "-n",
    "workers",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    help="Processes that play side by side [default: one per core].",
)
@click.option("--serve", "serve", metavar="ID", help="Serve this deviant over UDP instead.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="UDP port of --serve (default: a free one)."
)
def deviants_command(
    form: str,
    prefix: str,
    sample: float,
    seed: int,
    draft: str | None,
    workers: int | None,
    serve: str | None,
    port: int,
) -> int:
    """Play the cases against servers with one declared fault each: who tests the tests.

    Exit codes: 0 the suite is sound, 1 it is not, 2 usage, 130 interrupted (what was played is shown).
    """
    drafts = DRAFTS if draft is None else (Draft(draft),)
    if serve is not None:
        return _serve(_named(serve), drafts, port)
    chosen = [
        item for item in all_deviants() if item.id.startswith(prefix) and set(item.drafts) & set(drafts)
    ]
    if not chosen:
        click.echo(f"wtconform: no deviant begins with {prefix!r}", err=True)
        return EXIT_USAGE
    # A selection of deviants cannot kill every case, so only the whole set is judged by its unkilled cases.
    partial = bool(prefix)
    cases = [case for case in load_cases() if in_matrix(case)]
    names = tuple(item.id for item in chosen), tuple(case.identifier for case in cases)
    plan = Plan(*names, tuple(drafts), sample, seed, judge_cases=not partial)
    matrix = _compute(plan, chosen, cases, workers or os.cpu_count() or 1)
    partial = partial or matrix.interrupted
    if form == "json":
        click.echo(json.dumps(matrix.as_json(), indent=1))
    else:
        _print(matrix, Console(soft_wrap=True), partial=partial)
    if matrix.interrupted:
        click.echo(f"wtconform: interrupted after {len(matrix.deviants)} of {len(chosen)} deviants", err=True)
        return EXIT_INTERRUPTED
    return int(not matrix.sound(partial=partial))


def _named(identifier: str) -> Deviant:
    known = {item.id: item for item in all_deviants()}
    if identifier not in known:
        raise click.BadParameter(f"there is no deviant {identifier!r}", param_hint="--serve")
    return known[identifier]


def _compute(plan: Plan, chosen: Sequence[Deviant], cases: Sequence[Case], workers: int) -> Matrix:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task("fault-free server", total=len(chosen))

        def progress(done: int, name: str) -> None:
            display.update(task, completed=done, description=name)

        return compute_parallel(plan, chosen, cases, min(workers, len(chosen)), progress)


def _print(matrix: Matrix, console: Console, *, partial: bool) -> None:
    def show(title: str, lines: Sequence[str]) -> None:
        console.print(f"{title}: {len(lines)}", markup=False, highlight=False)
        for line in lines[:MAX_LINES]:
            console.print(f"  {line}", markup=False, highlight=False)
        if len(lines) > MAX_LINES:
            console.print(
                f"  and {len(lines) - MAX_LINES} more (--format json)", markup=False, highlight=False
            )

    killed = len(matrix.deviants) - len(matrix.survivors)
    counts = f"{len(matrix.deviants)} deviants, {len(matrix.cases)} cases, {matrix.played} pairs played"
    if matrix.unreached:
        counts += f" ({matrix.unreached} more do not reach the fault)"
    console.print(f"{counts}: {killed} killed", markup=False, highlight=False)
    show("survivors", matrix.survivors)
    if not partial:
        show("fail-capable cases that kill nothing", matrix.unkilled_cases)
    show("verdicts that changed outside of the declared requirements", [_line(e) for e in matrix.false_kills])
    show("not judged because of the fault", [_line(entry) for entry in matrix.blocked])
    show("faults of the fault-free server", matrix.baseline_faults)


def _line(entry: Mapping[str, str]) -> str:
    detail = entry.get("reason") or f"{entry['requirement']} {entry['change']}"
    return f"{entry['deviant']} · {entry['case']}: {detail}"


def _serve(deviant: Deviant, drafts: Sequence[Draft], port: int) -> int:
    server = ModelServer(deviant.behaviour(drafts), drafts)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    link = UdpLink.server(server, ("127.0.0.1", port))
    try:
        click.echo(f"listening on https://127.0.0.1:{link.address[1]}/")
        click.echo(f"certificate sha256 {server.certificate.sha256.hex()}")
        click.echo(f"fault: {deviant.title} ({', '.join(deviant.requirements)})")
        link.serve(stop)
    finally:
        link.close()
    return 0
