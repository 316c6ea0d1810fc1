"""``python -m scenarios.peers list | build [NAME...] | serve NAME --port N``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from scenarios.peers.registry import PEERS, BuildFailed, MissingToolchain

NAMES = click.Choice(list(PEERS))


@click.group(help="Foreign WebTransport servers for the suite to run against.")
def main() -> None:
    """Hold the commands together."""


@main.command("list")
def list_peers() -> None:
    """Show the table of peers, and why one cannot be built here."""
    for peer in PEERS.values():
        state = peer.missing_toolchain() or ("built" if peer.executable.exists() else "not built")
        click.echo(f"{peer.name}: {peer.library} ({peer.language}), drafts {', '.join(peer.drafts)}; {state}")
        click.echo(f"    endpoints {', '.join(peer.endpoints)}; {peer.remark}")


@main.command()
@click.argument("names", nargs=-1, type=NAMES)
def build(names: tuple[str, ...]) -> None:
    """Build the named peers; without names all, skipping those whose toolchain is missing.

    One that cannot be built does not keep the next ones from being built.
    """
    failed = []
    for peer in (PEERS[name] for name in names or PEERS):
        try:
            click.echo(f"{peer.name}: {peer.build()}")
        except MissingToolchain as reason:
            if names:
                raise click.ClickException(f"{peer.name}: {reason}") from None
            click.echo(f"{peer.name}: skipped. {reason}")
        except BuildFailed as reason:
            click.echo(f"{peer.name}: {reason}", err=True)
            failed.append(peer.name)
    if failed:
        raise click.ClickException(f"not built: {', '.join(failed)}")


@main.command()
@click.argument("name", type=NAMES)
@click.option("--port", default=0, show_default=True, help="UDP port on 127.0.0.1; 0 takes a free one.")
@click.option(
    "--cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificate chain (PEM)."
)
@click.option(
    "--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Private key (PEM)."
)
def serve(name: str, port: int, cert: Path | None, key: Path | None) -> None:
    """Build NAME where needed and serve until interrupted."""
    peer = PEERS[name]
    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key belong together")
    try:
        peer.build()
    except (MissingToolchain, BuildFailed) as reason:
        raise click.ClickException(str(reason)) from None
    command = peer.command(port, cert=cert, key=key)
    # The server takes the place of this process: whoever started it can stop it with any signal.
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
