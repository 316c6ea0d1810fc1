"""``wtconform fuzz``: explore a live target until the time is over."""

from __future__ import annotations

import re
import secrets
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from conformance.access import approach
from conformance.cli.run import run_options
from conformance.harness.probe import ProbeFailed
from conformance.harness.reach import addresses, check_disruption
from conformance.harness.setup import check, choose_drafts, start_embedded
from conformance.harness.target import Target
from conformance.options import CONNECTION, EMBEDDED, InvalidOption, RunOptions
from conformance.peer.drafts import Draft
from conformance.recording import stored_target
from fuzz.campaign import Campaign
from fuzz.codec_run import run_codecs
from fuzz.codecs import HOST, find_host
from fuzz.machines import MACHINES, ROUNDS
from reports.files import RunError
from reports.verdict import EXIT_INTERRUPTED

DEFAULT_OUT: Final = Path("reports/out/fuzz")
_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
# Options of ``run`` that mean something here.
_CONNECTION: Final = ("draft", *CONNECTION, "allow_disruptive", "target_pid")

# Of the time of a campaign on a server of this project, so much is for the codecs; in seconds at most.
CODECS: Final = "codecs"
_CODEC_SHARE: Final = 0.1
_CODEC_SECONDS: Final = 30.0
_MISSING_HOST: Final = f"{HOST} is not built (cargo build --package wt-fuzz-host in reference_impl)"


def parse_time(text: str) -> float:
    """Return seconds for ``90``, ``90s``, ``5m`` or ``1h``; raises InvalidOption."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if match is None or not float(match[1]):
        raise InvalidOption(f"--max-time {text!r}: expected seconds, or a time such as 90s, 5m or 1h")
    return float(match[1]) * _UNITS[match[2]]


# What a campaign plays, an innocent session beside it, and one to see whether the target lives.
CONNECTIONS: Final = 3


@click.command("fuzz")
@click.argument("target", required=False)
@click.option("--max-time", default="5m", show_default=True, metavar="TIME", help="How long: 90s, 5m, 1h.")
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Seed of all choices (default: a new one).")
@click.option(
    "--machine",
    multiple=True,
    type=click.Choice(sorted((*MACHINES, CODECS))),
    help="Only this machine (default: all; codecs only on a server of this project).",
)
@click.option("--against", metavar="URL", help="Play the same on this target, too, and report differences.")
@click.option("--resume", is_flag=True, help="Go on with the findings and examples in --out.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=DEFAULT_OUT, show_default=True, metavar="DIR",
    help="Directory for findings.",
)  # fmt: skip
def fuzz_command(
    target: str | None,
    max_time: str,
    seed: int | None,
    machine: tuple[str, ...],
    against: str | None,
    resume: bool,
    out: Path,
    **values: Any,
) -> int:
    """Explore the server at TARGET: a URL, 'model' or 'reference'; none means the embedded server.

    Exit codes: 0 no finding, 1 findings, 2 usage, 130 interrupted.
    """
    seconds = parse_time(max_time)
    options: dict[str, Any] = {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
    given = RunOptions(target=target, **options)
    number = secrets.randbits(32) if seed is None else seed
    console = Console(soft_wrap=True)
    for_codecs = _codec_seconds(target, machine, seconds)
    if machine == (CODECS,):
        console.print(f"seed {number} · {CODECS} · {max_time}", highlight=False)
        return int(bool(_compare_codecs(number, for_codecs, console, demanded=True)))
    with ExitStack() as stack:
        located, chosen, draft = _approached(given, stack)
        other = None
        if against is not None:
            _, other, _ = _approached(RunOptions(target=against, **options), stack)
        console.print(f"seed {number} · {chosen.name} · draft {draft.value} · {max_time}", highlight=False)
        if machine == ("baton",) and "baton" not in chosen.endpoints:
            raise InvalidOption(f"--machine baton: name the endpoint of {chosen.name}: --endpoint baton=PATH")
        faults = None
        if for_codecs:
            faults = _compare_codecs(number, for_codecs, console, demanded=CODECS in machine)
        campaign = Campaign(
            chosen,
            draft,
            seed=number,
            machines=[name for name in machine if name != CODECS] or ROUNDS,
            max_time=seconds if faults is None else seconds - for_codecs,
            out=out,
            pid=located.target_pid,
            resume=resume,
            target_json=stored_target(given),
            against=other,
        )
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            campaign.listener = lambda state: live.update(_progress(state))
            campaign.run()
    _summary(campaign, console, out)
    if campaign.statistics.interrupted:
        return EXIT_INTERRUPTED
    return int(bool(campaign.findings or faults))


# The options of the connection are those of ``run``, declared once.
fuzz_command.params[1:1] = click.command()(run_options(lambda: None, only=_CONNECTION)).params


def _codec_seconds(target: str | None, machine: tuple[str, ...], seconds: float) -> float:
    """Return how much of the time is for the codecs, which say nothing about a server of others."""
    if machine == (CODECS,):
        return seconds
    wanted = CODECS in machine if machine else target is None or target in EMBEDDED
    return min(_CODEC_SHARE * seconds, _CODEC_SECONDS) if wanted else 0.0


def _compare_codecs(seed: int, seconds: float, console: Console, *, demanded: bool) -> int | None:
    """Compare the codecs of the peer with those of the core.

    Returns the number of faults; none where the host is not built and nobody demanded it, at once.
    """
    binary = find_host()
    if binary is None:
        if demanded:
            raise InvalidOption(f"--machine {CODECS}: {_MISSING_HOST}")
        console.print(f"codecs not compared: {_MISSING_HOST}", highlight=False)
        return None
    result = run_codecs(binary, seed, seconds)
    for line in result.lines():
        console.print(line, markup=False, highlight=False)
    return result.faults


def _approached(options: RunOptions, stack: ExitStack) -> tuple[RunOptions, Target, Draft]:
    """Return the target with what it offers, and the draft to speak."""
    if options.draft == "all":
        raise InvalidOption("--draft all: a campaign speaks one draft")
    if options.max_connections is not None and options.max_connections < CONNECTIONS:
        raise InvalidOption(
            f"--max-connections {options.max_connections}: a campaign needs {CONNECTIONS}: what it plays, an "
            "innocent session beside it, and one to see whether the target lives"
        )
    check(options)
    started = start_embedded(options, stack)
    try:
        # Judged by the real address: a relay in between would be on this machine.
        check_disruption(replace(started, address=addresses(started)[0]), "fuzzing")
        found, target = approach(started, stack)
    except ProbeFailed as error:
        raise RunError(str(error)) from None
    return found, target, choose_drafts(options.draft, target.capabilities.drafts, target.name)[0]


def _progress(campaign: Campaign) -> Table:
    figures = campaign.statistics
    table = Table.grid(padding=(0, 2))
    left = max(0.0, campaign.max_time - figures.seconds)
    table.add_row(
        f"{campaign.current}",
        f"{left:.0f} s left",
        f"{figures.operations} operations",
        f"{figures.rate:.0f}/s",
        f"{figures.sessions} sessions",
        f"{len(campaign.findings)} findings",
    )
    for finding in campaign.findings[-5:]:
        table.add_row("finding", finding.signature)
    return table


def _summary(campaign: Campaign, console: Console, out: Path) -> None:
    figures = campaign.statistics
    lines = [
        f"{figures.operations} operations in {figures.sessions} sessions, {figures.seconds:.0f} s, "
        f"{figures.rate:.0f} operations/s"
    ]
    for reason, count in figures.unjudged.most_common(5):
        lines.append(f"not judged, {count} times: {reason}")
    lines += [f"seen once, not confirmed: {text}" for text in figures.unconfirmed[:5]]
    if figures.gone is not None:
        lines.append(f"the target is gone: {figures.gone}")
    for finding in campaign.findings:
        folder = out / "findings" / finding.signature
        lines.append(f"FINDING  {finding.signature}  {finding.title}")
        lines.append(f"         wtconform replay {folder / 'replay.json'}")
    lines.append(f"{len(campaign.findings)} findings" if campaign.findings else "no finding")
    for line in lines:
        console.print(line, markup=False, highlight=False)
