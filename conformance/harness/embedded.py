"""Servers of our own that a run starts for itself: the model server and the reference server.

They are started as processes over their public commands, on a free port of the loopback interface,
with a fresh certificate that the run trusts by file. They end when their standard input does, so that
none is left behind by a run that was killed. Nothing of the suite imports the reference.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from conformance.options import UserError
from conformance.peer.quic.certificates import self_signed

START_TIMEOUT = 20.0
STOP_TIMEOUT = 5.0

# Paths of the endpoint contract (docs/endpoints.md) that both servers have.
CONTRACT_PATHS: Mapping[str, str] = {
    **{
        name: f"/{name}"
        for name in (
            "observe", "close", "drain", "reject", "origin", "push", "reset", "protocols", "exporter",
            "stats", "status", "http",
        )
    },
    "baton": "/webtransport/devious-baton",
}  # fmt: skip
MODULES: Mapping[str, str] = {"model": "conformance.peer.model", "reference": "pywebtransport.interop"}


class EmbeddedFailed(UserError):
    """The embedded server did not start; the text says why and what to do."""


def default_server() -> str:
    """Return the server that a run without URL uses: the reference where it is installed, else the model."""
    try:
        found = importlib.util.find_spec("pywebtransport") is not None and (
            importlib.util.find_spec(MODULES["reference"]) is not None
        )
    except ImportError:
        found = False
    return "reference" if found else "model"


@dataclass
class Embedded:
    """A server process; use as a context manager."""

    name: str
    drafts: str | None = None
    extra: Iterable[str] = ()
    url: str = ""
    ca_file: Path | None = None
    _process: subprocess.Popen[str] | None = None
    _directory: tempfile.TemporaryDirectory[str] | None = None
    _reader: threading.Thread | None = None
    _output: list[str] = field(default_factory=list)

    def __enter__(self) -> Embedded:
        self._directory = tempfile.TemporaryDirectory(prefix="wtconform-")
        folder = Path(self._directory.name)
        certificate = self_signed()
        self.ca_file = folder / "certificate.pem"
        key_file = folder / "key.pem"
        self.ca_file.write_bytes(certificate.pem)
        key_file.write_bytes(certificate.private_key_pem)
        command = [sys.executable, "-m", MODULES[self.name], "--host", "127.0.0.1", "--port", "0"]
        command += ["--cert", str(self.ca_file), "--key", str(key_file), "--until-eof"]
        if self.drafts:
            command += ["--drafts", self.drafts]
        command += self.extra
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            self.url = self._wait_until_listening()
        except EmbeddedFailed:
            self.__exit__(None, None, None)
            raise
        return self

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        """Tell whether the process still runs."""
        return self._process is not None and self._process.poll() is None

    def _wait_until_listening(self) -> str:
        assert self._process is not None and self._process.stdout is not None
        ready = threading.Event()
        address: list[str] = []

        def read() -> None:
            assert self._process is not None and self._process.stdout is not None
            for line in self._process.stdout:
                self._output.append(line)
                del self._output[:-200]
                if line.startswith("listening on ") and not address:
                    address.append(line.split()[2])
                    ready.set()
            ready.set()

        self._reader = threading.Thread(target=read, name=f"{self.name}-output", daemon=True)
        self._reader.start()
        if not ready.wait(START_TIMEOUT) or not address:
            tail = "".join(self._output[-5:]).strip() or "it printed nothing"
            raise EmbeddedFailed(f"the embedded {self.name} server did not start: {tail}")
        return address[0].rstrip("/") + "/echo"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._reader is not None:
                self._reader.join(STOP_TIMEOUT)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        if self._directory is not None:
            self._directory.cleanup()
