"""``python -m scenarios.network --profile lossy --seed 1 --listen 0 --to 127.0.0.1:4433``."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from scenarios.network.child import READY
from scenarios.network.log import FateLog
from scenarios.network.profiles import PROFILES
from scenarios.network.relay import Relay


class HostAndPort(click.ParamType[tuple[str, int]]):
    """``HOST:PORT`` or ``[HOST]:PORT``."""

    name = "HOST:PORT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Split host and port."""
        found = re.fullmatch(r"(?:\[(.+)\]|([^:]+)):(\d{1,5})", str(value))
        if found is None or not 0 < int(found[3]) < 65536:
            self.fail(f"{value} is not HOST:PORT", param, ctx)
        return found[1] or found[2], int(found[3])


class Stop:
    """A flag that signals and the end of the input set."""

    def __init__(self) -> None:
        self.requested = False

    def signal(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGINT and SIGTERM."""
        self.requested = True

    def input(self) -> None:
        """Handle readable standard input: at its end, whoever started the relay is done or dead."""
        if not os.read(sys.stdin.fileno(), 4096):
            self.requested = True


@click.command(help="Relay UDP to a server under a network profile.")
@click.option("--profile", "name", type=click.Choice(list(PROFILES)), default="clean", show_default=True)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="The same seed takes the same decisions."
)
@click.option(
    "--listen", type=click.IntRange(0, 65535), default=0, show_default=True, help="UDP port, 0: a free one."
)
@click.option("--to", type=HostAndPort(), required=True, help="The server.")
@click.option(
    "--log", "log_file", type=click.Path(dir_okay=False, path_type=Path), help="File for the fates."
)
@click.option("--until-eof", is_flag=True, help="End when standard input ends.")
def main(
    name: str, seed: int, listen: int, to: tuple[str, int], log_file: Path | None, until_eof: bool
) -> None:
    """Run the relay until it is told to stop."""
    profile, stop = PROFILES[name], Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop.signal)
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(log_file.open("w", encoding="utf-8")) if log_file else None
        try:
            host = "::1" if ":" in to[0] else "127.0.0.1"
            relay = Relay(profile, seed, (host, listen), to, FateLog(target, profile, seed))
        except OSError as error:
            raise click.ClickException(f"cannot relay to {to[0]}:{to[1]}: {error.strerror}") from None
        stack.callback(relay.close)
        if until_eof:
            relay.watch(sys.stdin.fileno(), stop.input)
        click.echo(f"{READY}{host}:{relay.address[1]}")
        sys.stdout.flush()
        while not stop.requested:
            relay.step()


if __name__ == "__main__":
    main()
