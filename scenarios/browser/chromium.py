"""Headless Chromium, driven by the DevTools protocol over a pair of pipes: one JSON object per message, ended
by a zero byte. No port is opened and nothing beside the browser itself is needed."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL: Final = "apt-get install chromium"
FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-default-apps",
    "--disable-dev-shm-usage", "--mute-audio", "--remote-debugging-pipe",
    # Without this rule it looks up outside hosts at each start.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]",
)  # fmt: skip
# The browser reads commands from descriptor 3 and writes answers to 4. This program puts them there, by way
# of descriptors that are neither, and becomes the browser.
LAUNCHER: Final = """
import fcntl, os, sys
high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for number, place in zip(high, (3, 4)):
    os.dup2(number, place)
    os.close(number)
os.execv(sys.argv[3], sys.argv[3:])
"""
START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 5.0
MAX_MESSAGE: Final = 16 * 1024 * 1024


class BrowserMissing(Exception):
    """There is no Chromium; the text says how to get it."""


class BrowserFailed(Exception):
    """The browser ended, or did not answer in time; the text says which."""


def find() -> str:
    """Return the path of Chromium; raises BrowserMissing."""
    for name in PROGRAMS:
        path = shutil.which(name)
        if path is not None:
            return path
    raise BrowserMissing(f"Chromium is not installed; install with {INSTALL}")


class Chromium:
    """A running browser with one page; use as a context manager.

    Raises BrowserMissing where there is none, BrowserFailed where it does not start.
    """

    def __init__(self, *features: str) -> None:
        self._features = features
        self._number = 0
        self._buffer = b""
        self._session = ""

    def __enter__(self) -> Chromium:
        """Start the browser and open a page."""
        program = find()
        self._profile = tempfile.TemporaryDirectory(prefix="wt-browser-", ignore_cleanup_errors=True)
        commands, self._write = os.pipe()
        self._read, answers = os.pipe()
        command = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(commands), str(answers), program, *FLAGS]
        if self._features:
            command.append(f"--enable-features={','.join(self._features)}")
        command += [f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(commands, answers),
            start_new_session=True,
        )
        os.close(commands)
        os.close(answers)
        try:
            target = self.call("Target.createTarget", {"url": "about:blank"}, START_TIMEOUT)["targetId"]
            attached = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
            self._session = attached["sessionId"]
            self.call("Page.enable")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the browser."""
        self.stop()

    def version(self) -> str:
        """Return name and version of the browser."""
        return str(self.call("Browser.getVersion")["product"])

    def load(self, url: str, timeout: float = 10.0) -> None:
        """Load a page anew, which also forgets that connections failed before."""
        deadline = time.monotonic() + timeout
        self._send("Page.navigate", {"url": url})
        while self._receive(deadline).get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, expression: str, timeout: float = 20.0) -> Any:
        """Return the value of a JavaScript expression, a promise awaited; BrowserFailed where it throws."""
        parameters = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        result = self.call("Runtime.evaluate", parameters, timeout)
        problem = result.get("exceptionDetails")
        if problem is not None:
            text = problem.get("exception", {}).get("description") or problem.get("text", "")
            raise BrowserFailed(f"the page failed: {text[:300]}")
        return result["result"].get("value")

    def call(
        self, method: str, parameters: Mapping[str, Any] | None = None, timeout: float = 10.0
    ) -> dict[str, Any]:
        """Call a method of the DevTools protocol and return its result; raises BrowserFailed."""
        deadline = time.monotonic() + timeout
        number = self._send(method, parameters or {})
        while True:
            message = self._receive(deadline)
            if message.get("id") != number:
                continue
            if "error" in message:
                raise BrowserFailed(f"{method}: {message['error'].get('message', 'failed')}")
            result = message["result"]
            assert isinstance(result, dict)
            return result

    def stop(self) -> None:
        """Ask the browser to end, then make it; remove its profile."""
        try:
            self._session = ""
            self._send("Browser.close", {})
            self._process.wait(STOP_TIMEOUT)
        except (BrowserFailed, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)
        self._profile.cleanup()

    def _send(self, method: str, parameters: Mapping[str, Any]) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": dict(parameters)}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\x00"
        try:
            while data:
                data = data[os.write(self._write, data) :]
        except BrokenPipeError:
            raise BrowserFailed("the browser has ended") from None
        return self._number

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\x00" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                raise BrowserFailed("the browser did not answer in time")
            data = os.read(self._read, 65536)
            if not data:
                raise BrowserFailed("the browser has ended")
            self._buffer += data
            if len(self._buffer) > MAX_MESSAGE:
                raise BrowserFailed("the browser sent a message that is too long")
        text, _, self._buffer = self._buffer.partition(b"\x00")
        message = json.loads(text)
        assert isinstance(message, dict)
        return message
