"""``wtconform serve``: the reference interop server, or the model server where it is not installed."""

from __future__ import annotations

import os
import sys

import click

from conformance.harness.embedded import MODULES, default_server


@click.command("serve", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.option("--model", is_flag=True, help="Serve the model server instead of the reference.")
@click.pass_context
def serve_command(context: click.Context, model: bool) -> int:
    """Serve all endpoints of docs/endpoints.md: --host, --port, --cert/--key, --drafts 16,02.

    Further options go to the server itself; 'wtconform serve -- --help' lists them.
    """
    name = "model" if model else default_server()
    if name == "model" and not model:
        click.echo("the reference is not installed (make setup); serving the model server", err=True)
    arguments = [sys.executable, "-m", MODULES[name], *context.args]
    os.execv(sys.executable, arguments)
