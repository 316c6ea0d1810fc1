"""``wtconform run`` and ``certify``: pytest with the suite's own configuration and a live display."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from conformance.access import validate
from conformance.cli.display import Display
from conformance.harness.setup import most_workers
from conformance.options import CONNECTION, KINDS, RunOptions, describe
from conformance.plugin import CASE_FOLDERS, ROOT
from reports.verdict import EXIT_INCONCLUSIVE, EXIT_INTERRUPTED, EXIT_USAGE

# Cases mostly wait for round trips and quiet windows, so that more workers than cores pay.
WORKERS_PER_CORE = 2
MAX_WORKERS = 16
_PATHS = tuple(name for name, kind in KINDS.items() if kind is Path)


def run_options(function: Callable[..., Any], only: Collection[str] | None = None) -> Callable[..., Any]:
    """Add the options of a run to a command, or ``only`` those named."""
    defaults = RunOptions()
    for name, description in reversed(describe()):
        if name == "target" or (only is not None and name not in only):
            continue
        default = getattr(defaults, name)
        attributes: dict[str, Any] = {
            "help": description["help"],
            "default": default,
            "show_default": bool(default),
        }
        if isinstance(default, bool):
            attributes |= {"is_flag": True, "show_default": False}
        elif isinstance(default, list):
            attributes |= {"multiple": True, "default": (), "metavar": description.get("metavar")}
        elif "choices" in description:
            attributes["type"] = click.Choice(description["choices"])
        else:
            kind: Any = click.Path(path_type=Path) if name in _PATHS else KINDS.get(name, str)
            attributes |= {"type": kind, "metavar": description.get("metavar")}
        function = click.option(f"--{name.replace('_', '-')}", name, **attributes)(function)
    return function


def connection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how to reach a target to a command."""
    return run_options(function, CONNECTION)


def pytest_arguments(options: RunOptions, *, workers: int, extra: tuple[str, ...] = ()) -> list[str]:
    """Return the arguments for pytest that stand for the options."""
    bare = {name for name, description in describe() if description.get("bare")}
    arguments = [
        "-c", str(Path(__file__).with_name("pytest.ini")), "--rootdir", str(ROOT),
        "--assert=plain", "-p", "no:cacheprovider", "-p", "xdist.plugin", "-p", "conformance.plugin",
        "-n", str(workers), "--dist", "worksteal",
    ]  # fmt: skip
    for name, _ in describe():
        value = getattr(options, name)
        flag = ("--" if name in bare else "--wt-") + name.replace("_", "-")
        if value is True:
            arguments.append(flag)
        elif isinstance(value, list | tuple):
            for item in value:
                arguments += [flag, item]
        elif value is not None and value is not False:
            arguments += [flag, str(value)]
    # Named folders keep pytest from looking for a conftest.py in the folder of the user.
    return [*arguments, *extra, *map(str, CASE_FOLDERS)]


@contextmanager
def _own_pytest() -> Iterator[None]:
    """Keep what the user has for other projects out of this run: plugins of pytest and its options."""
    names = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        os.environ.update(kept)


def run_pytest(options: RunOptions, *, workers: int, extra: tuple[str, ...] = ()) -> int:
    """Run the cases; return the exit code of the suite."""
    validate(options)
    workers = most_workers(options, workers)
    display = Display()
    with _own_pytest():
        code = pytest.main(pytest_arguments(options, workers=workers, extra=extra), plugins=[display])
    if display.interrupted or code == pytest.ExitCode.INTERRUPTED:
        return EXIT_INTERRUPTED
    if code == pytest.ExitCode.USAGE_ERROR:
        return EXIT_USAGE
    return int(code) if code in (0, 1, 3) else EXIT_INCONCLUSIVE


def default_workers() -> int:
    """Return how many workers play cases where the user does not say."""
    return min(MAX_WORKERS, WORKERS_PER_CORE * (os.cpu_count() or 1))


@click.command("run")
@click.argument("target", required=False)
@run_options
@click.option(
    "-n",
    "workers",
    type=click.IntRange(0, MAX_WORKERS),
    default=None,
    metavar="N",
    help="Workers that play cases side by side [default: 2 per core].",
)
@click.option(
    "--alluredir", type=click.Path(path_type=Path), metavar="DIR", help="Write results for Allure, too."
)
def run_command(target: str | None, workers: int | None, alluredir: Path | None, **values: Any) -> int:
    """Judge the implementation at TARGET: a URL, 'model' or 'reference'; none means the embedded server."""
    options = RunOptions(target=target, **plain(values))
    extra = ("-p", "allure_pytest.plugin", "--alluredir", str(alluredir.absolute())) if alluredir else ()
    return run_pytest(
        _absolute(options), workers=default_workers() if workers is None else workers, extra=extra
    )


@click.command("certify")
@click.argument("target", required=False)
@run_options
def certify_command(target: str | None, **values: Any) -> int:
    """Judge TARGET in every draft that it offers and leave the complete evidence in --out."""
    options = RunOptions(target=target, **plain(values))
    if options.draft == "auto":
        options.draft = "all"
    return run_pytest(_absolute(options), workers=default_workers())


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of options as RunOptions has them: lists where click has tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _absolute(options: RunOptions) -> RunOptions:
    options.target = options.target or "embedded"
    for name in _PATHS:
        value = getattr(options, name)
        if value is not None:
            setattr(options, name, Path(value).absolute())
    return options
