"""Judging one target of the list.

It is started where it is one of ours or a known foreign server, and judged by ``wtconform run`` in a process
of its own, so that no run can disturb the next one.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

from conformance.harness.embedded import CONTRACT_PATHS
from conformance.peer.quic.certificates import self_signed
from reports.files import RunError
from reports.model import Results
from reports.store import load_run
from reports.verdict import EXIT_INCONCLUSIVE, EXIT_INTERRUPTED
from scenarios.matrix.targets import MatrixTarget
from scenarios.peers import PEERS, MissingToolchain, PeerServer, StartFailed
from scenarios.peers.registry import BuildFailed

REFERENCE_INSTALL: Final = "make setup (needs cargo)"


class Skipped(Exception):
    """The target cannot be had here; the text is the reason and what to do."""


@dataclass(frozen=True, slots=True)
class Played:
    """One target in one draft: its report, or why there is none."""

    target: str
    draft: str
    directory: Path
    results: Results | None = None
    exit_code: int = EXIT_INCONCLUSIVE
    skipped: str = ""
    problem: str = ""

    @property
    def name(self) -> str:
        """The name of the column."""
        return self.target if self.draft == "auto" else f"{self.target} ({self.draft})"


def play(target: MatrixTarget, out: Path) -> Iterator[Played]:
    """Judge a target in each of its drafts; never raises for anything that the target does."""
    try:
        with ExitStack() as stack:
            arguments = stack.enter_context(_started(target))
            for draft in target.drafts:
                yield _judge(target, draft, arguments, out / f"{target.name}.draft-{draft}")
    except (Skipped, MissingToolchain) as reason:
        yield Played(target.name, "auto", out, skipped=str(reason))
    except (BuildFailed, StartFailed) as error:
        yield Played(target.name, "auto", out, problem=str(error))


@contextmanager
def _started(target: MatrixTarget) -> Iterator[list[str]]:
    """Start the target if it has to be; the value says how ``wtconform run`` reaches it."""
    if target.url is not None:
        yield [target.url]
    elif target.embedded is not None:
        if target.embedded == "reference" and importlib.util.find_spec("pywebtransport") is None:
            raise Skipped(f"the reference implementation is not installed; install with {REFERENCE_INSTALL}")
        yield [target.embedded]
    else:
        with ExitStack() as stack:
            yield _foreign(target, stack)


def _foreign(target: MatrixTarget, stack: ExitStack) -> list[str]:
    peer = PEERS[target.peer or ""]
    peer.build()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wt-matrix-")))
    certificate = self_signed()
    files = {"cert": folder / "certificate.pem", "key": folder / "key.pem"}
    files["cert"].write_bytes(certificate.pem)
    files["key"].write_bytes(certificate.private_key_pem)
    server = stack.enter_context(PeerServer(peer.command(0, **files)))
    arguments = [urljoin(server.url, "/echo"), "--ca", str(files["cert"]), "--target-pid", str(server.pid)]
    for name in peer.endpoints:
        if name != "echo" and name not in target.endpoints:
            arguments += ["--endpoint", f"{name}={CONTRACT_PATHS[name]}"]
    return arguments


def _judge(target: MatrixTarget, draft: str, arguments: list[str], directory: Path) -> Played:
    command = [sys.executable, "-m", "conformance.cli", "run", *arguments]
    command += ["--draft", draft, "--out", str(directory.absolute())]
    for name, path in target.endpoints.items():
        command += ["--endpoint", f"{name}={path}"]
    options = {
        "ca": target.ca,
        "baseline": target.baseline,
        "network": target.network,
        "select": target.select,
        "declare-draft": target.declare_draft,
    }
    for name, value in options.items():
        if value is not None:
            command += [f"--{name}", str(value)]
    if target.insecure:
        command.append("--insecure")
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    last = " ".join(ended.stdout.strip().splitlines()[-3:])
    if ended.returncode == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if ended.returncode not in (0, 1, EXIT_INCONCLUSIVE):
        return Played(target.name, draft, directory, problem=last or f"ended with {ended.returncode}")
    try:
        results = load_run(directory).results
    except RunError as error:
        return Played(target.name, draft, directory, problem=last or str(error))
    return Played(target.name, draft, directory, results, ended.returncode)
