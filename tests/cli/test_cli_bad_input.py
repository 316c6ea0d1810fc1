"""Targets that cannot be judged: a sentence that says what to do, exit code 3, and all reports."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from conformance.harness.embedded import Embedded
from tests.cli import hostile
from tests.cli.command import Finished, bare_pytest, judge, wtconform

# A target that stays silent is given up after this many seconds.
TIMEOUT = "2"


def free_port() -> int:
    """Return a UDP port on which nothing listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def nothing_ran(done: Finished, *words: str) -> None:
    """Check what every run that could not begin leaves behind."""
    assert done.code == 3, done.text
    for word in words:
        assert word in done.text
        assert word in done.notes
    assert "Traceback" not in done.text
    assert done.complete()
    assert done.results["cases"] == []


def test_unknown_host(tmp_path: Path) -> None:
    nothing_ran(
        judge(tmp_path, "https://no-such-host.invalid/"), "no-such-host.invalid", "is it spelled right?"
    )


def test_wrong_port(tmp_path: Path) -> None:
    # The deadline is longer than the patience of this test: the refusal itself has to end the run.
    done = judge(tmp_path, f"https://127.0.0.1:{free_port()}/", "--connect-timeout", "600")
    nothing_ran(done, "nothing listens on that port", "does the server run?")


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        (lambda: hostile.bound(None), "is it the right UDP port"),
        (lambda: hostile.bound(hostile.GARBAGE), "is it the right UDP port"),
        (lambda: hostile.served(hostile.stalling()), "no SETTINGS frame"),
        (lambda: hostile.served(hostile.babbling()), "is no HTTP/3 server"),
        (lambda: hostile.served(hostile.without_webtransport()), "enable WebTransport in the server"),
    ],
    ids=["silent", "garbage", "stalls", "babbles", "no-webtransport"],
)
def test_hostile_server(
    server: Callable[[], AbstractContextManager[int]], sentence: str, tmp_path: Path
) -> None:
    with server() as port:
        done = judge(tmp_path, f"https://127.0.0.1:{port}/", "--insecure", "--connect-timeout", TIMEOUT)
    nothing_ran(done, sentence)


def test_untrusted_certificate(model: Embedded, tmp_path: Path) -> None:
    nothing_ran(judge(tmp_path, model.url), "--ca FILE", "--insecure")


def test_certificate_for_another_host(model: Embedded, tmp_path: Path) -> None:
    address = model.url.removeprefix("https://").partition("/")[0]
    done = judge(tmp_path, "https://example.com/", "--connect-to", address, "--ca", str(model.ca_file))
    nothing_ran(done, "example.com", "--insecure")


def test_path_without_endpoint(model: Embedded, tmp_path: Path) -> None:
    url = model.url.replace("/echo", "/nothing-here")
    nothing_ran(judge(tmp_path, url, "--insecure"), "refused a session at /nothing-here", "405")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["run", "--bogus"], "--bogus"),
        (["run", "ftp://localhost/"], "ftp://localhost/"),
        (["run", "https://[::1/"], "https://[::1/"),
        (["run", "https://localhost:99999/"], "99999"),
        (["run", "model", "--endpoint", "foo"], "--endpoint"),
        (["run", "model", "--endpoint", "observe=x"], "slash"),
        (["run", "model", "--endpoint", "nothing=/x"], "nothing"),
        (["run", "model", "--shard", "5/4"], "--shard"),
        (["run", "model", "--select", "no.such"], "no.such"),
        (["run", "model", "--ca", "missing.pem"], "missing.pem"),
        (["run", "model", "--client-cert", "missing.pem"], "missing.pem"),
        (["run", "model", "--baseline", "missing.toml"], "missing.toml"),
        (["run", "model", "--header", "nonsense"], "--header"),
        (["run", "model", "--connect-to", "nowhere"], "--connect-to"),
        (["run", "model", "--network", "perfect"], "--network"),
        (["run", "model", "--target-pid", "99999999"], "--target-pid"),
        (["run", "model", "--drafts", "99"], "99"),
        (["run", "model", "--role", "client"], "--role client"),
        (["run", "model", "-n", "many"], "-n"),
        (["run", "model", "--out", "/dev/null/x"], "/dev/null/x"),
        (["replay", "missing.json"], "missing.json"),
        (["report", "missing"], "missing"),
        (["diff", "missing", "missing"], "missing"),
        (["explain", "WT-99-99"], "WT-99-99"),
        (["nonsense"], "nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_usage_error_is_one_line(
    arguments: list[str], word: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # In this process, to be quick: `main` is all that the console script calls.
    from conformance.cli import main

    assert main(arguments) == 2
    lines = [line for line in "".join(capfd.readouterr()).splitlines() if line.strip()]
    assert len(lines) == 1, lines
    assert word in lines[0]


def test_usage_error_of_the_command_line(tmp_path: Path) -> None:
    done = wtconform(tmp_path, "run", "ftp://localhost/")
    assert done.code == 2
    assert done.out == ""
    assert done.err.count("\n") == 1
    # Nothing was started, so no reports of an earlier run were touched.
    assert list(tmp_path.iterdir()) == []


def test_draft_that_is_not_offered(tmp_path: Path) -> None:
    done = judge(tmp_path, "model", "--drafts", "07", "--draft", "16")
    assert done.code == 2
    assert "offers 07" in done.err


def test_bare_pytest_says_the_same(tmp_path: Path) -> None:
    unreachable = bare_pytest(tmp_path, "--target", f"https://127.0.0.1:{free_port()}/")
    assert unreachable.code == 3, unreachable.text
    assert "nothing listens on that port" in unreachable.text
    assert unreachable.complete()
    assert bare_pytest(tmp_path, "--target", "ftp://localhost/").code == 4


def test_a_campaign_needs_more_than_one_connection(tmp_path: Path) -> None:
    done = wtconform(tmp_path, "fuzz", "model", "--max-connections", "2", "--max-time", "1s")
    assert done.code == 2
    assert "--max-connections 2: a campaign needs 3" in done.err
