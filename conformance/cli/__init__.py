"""The command ``wtconform``; every command is a thin layer over what pytest, harness and reports do."""

from __future__ import annotations

import click

from conformance.cli.catalogue import explain_command, list_command
from conformance.cli.deviants import deviants_command
from conformance.cli.fuzz import fuzz_command
from conformance.cli.replay import replay_command
from conformance.cli.report import diff_command, report_command
from conformance.cli.run import certify_command, run_command
from conformance.cli.serve import serve_command
from conformance.harness.embedded import EmbeddedFailed
from conformance.harness.openers import InvalidTarget
from conformance.options import InvalidOption
from conformance.recording import suite_version
from reports.baseline import BaselineError
from reports.files import RunError
from reports.schemas import SchemaError
from reports.verdict import EXIT_INTERRUPTED, EXIT_USAGE

USER_ERRORS = (InvalidOption, InvalidTarget, EmbeddedFailed, BaselineError, RunError, SchemaError)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(suite_version(), prog_name="wtconform")
def command() -> None:
    """Judge WebTransport over HTTP/3 implementations, requirement by requirement.

    \b
    wtconform run https://localhost:4433/     judge a server
    wtconform run                             judge the embedded server
    wtconform explain WT-4-06                 what a requirement or case is about
    wtconform replay FILE                     play a recorded case again

    Exit codes: 0 passed, 1 failed, 2 usage, 3 inconclusive or nothing ran, 130 interrupted.
    """


for entry in (
    run_command,
    list_command,
    explain_command,
    replay_command,
    fuzz_command,
    report_command,
    diff_command,
    deviants_command,
    certify_command,
    serve_command,
):
    command.add_command(entry)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; every error that a user can cause is one line and exit code 2."""
    try:
        result = command.main(arguments, prog_name="wtconform", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        click.echo(f"wtconform: {error.format_message()}{hint}", err=True)
        return EXIT_USAGE
    except USER_ERRORS as error:
        click.echo(f"wtconform: {error}", err=True)
        return EXIT_USAGE

