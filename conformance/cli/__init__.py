"""The command ``wtconform``; every command is a thin layer over what pytest, harness and reports do."""

from __future__ import annotations

import importlib
import signal
import threading
from collections.abc import Mapping
from typing import Final

import click

from conformance.options import UserError
from reports.baseline import BaselineError
from reports.files import RunError
from reports.schemas import SchemaError
from reports.verdict import EXIT_INTERRUPTED, EXIT_USAGE

# Name, module and function of each command. A module is imported when its command is used: what only one
# of them needs (the fuzzer, the deviants) does not slow down the others, nor do they disturb pytest.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "run": ("conformance.cli.run", "run_command"),
    "list": ("conformance.cli.catalogue", "list_command"),
    "explain": ("conformance.cli.catalogue", "explain_command"),
    "replay": ("conformance.cli.replay", "replay_command"),
    "report": ("conformance.cli.report", "report_command"),
    "diff": ("conformance.cli.report", "diff_command"),
    "fuzz": ("conformance.cli.fuzz", "fuzz_command"),
    "deviants": ("conformance.cli.deviants", "deviants_command"),
    "matrix": ("conformance.cli.matrix", "matrix_command"),
    "certify": ("conformance.cli.run", "certify_command"),
    "serve": ("conformance.cli.serve", "serve_command"),
}
USER_ERRORS = (UserError, BaselineError, RunError, SchemaError)


class LazyGroup(click.Group):
    """The group of ``COMMANDS``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        found = getattr(importlib.import_module(module), name)
        assert isinstance(found, click.Command)
        return found


def _print_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from conformance.recording import suite_version

        click.echo(f"wtconform {suite_version()}")
        context.exit()


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def command() -> None:
    """Judge WebTransport over HTTP/3 implementations, requirement by requirement.

    \b
    wtconform run https://localhost:4433/     judge a server
    wtconform run                             judge the embedded server
    wtconform explain WT-4-06                 what a requirement or case is about
    wtconform replay FILE                     play a recorded case again

    Exit codes: 0 passed, 1 failed, 2 usage, 3 inconclusive or nothing ran, 130 interrupted
    (Ctrl-C or SIGTERM).
    """


def main(arguments: list[str] | None = None) -> int:
    """Run the command; every error that a user can cause is one line and exit code 2."""
    if threading.current_thread() is threading.main_thread():
        # Whoever ends the command by SIGTERM gets the same reports as by Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = command.main(arguments, prog_name="wtconform", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (click.exceptions.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        click.echo(f"wtconform: {error.format_message()}{hint}", err=True)
        return EXIT_USAGE
    except USER_ERRORS as error:
        click.echo(f"wtconform: {error}", err=True)
        return EXIT_USAGE
