"""Finding the target: addresses and paths are tried in turn, and every failure has its sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.harness import reach as module
from conformance.harness.embedded import Embedded
from conformance.harness.probe import ProbeFailed
from conformance.harness.process import ProcessWatch, resident
from conformance.harness.reach import addresses, check_disruption, reach
from conformance.harness.setup import check, endpoint_of, make_target, select
from conformance.options import InvalidOption, RunOptions
from conformance.peer.drafts import DRAFTS
from conformance.peer.model import Behaviour, ModelServer
from tests.cli.hostile import served


def options(url: str, **more: object) -> RunOptions:
    return RunOptions(target=url, insecure=True, **more)


def test_the_second_address_of_a_host_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(ModelServer()) as port:
        # ::1 refuses: the server listens on 127.0.0.1 only.
        monkeypatch.setattr(module, "addresses", lambda given: ["::1", "127.0.0.1"])
        found, target = reach(options(f"https://localhost:{port}/"))
    assert found.address == "127.0.0.1"
    assert target.capabilities.drafts == frozenset(DRAFTS)
    assert target.path == "/echo"
    assert target.loopback


class _EchoAtRoot(Behaviour):
    """A server whose only endpoint is its root, and that is an echo."""

    def resource(self, path: str) -> str:
        """Serve ``/`` with the echo."""
        return "/echo" if path == "/" else "/nothing"


def test_the_root_is_tried_where_there_is_no_echo() -> None:
    with served(ModelServer(_EchoAtRoot())) as port:
        found, target = reach(options(f"https://127.0.0.1:{port}"))
        assert (found.path, target.path) == ("/", "/")
        assert target.capabilities.echo_bidi
        with pytest.raises(ProbeFailed, match="refused a session at /other"):
            reach(options(f"https://127.0.0.1:{port}/other"))


def test_a_refusal_is_noticed_at_every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setattr(module, "addresses", lambda given: ["127.0.0.1", "127.0.0.2"])
    with pytest.raises(ProbeFailed, match="nothing listens on that port") as caught:
        reach(options(f"https://localhost:{port}/"))
    assert caught.value.reason_class == "unreachable"


def test_numeric_addresses_need_no_name_server() -> None:
    assert addresses(options("https://[::1]:4433/")) == ["::1"]
    assert addresses(options("https://example.com/", connect_to="127.0.0.1:4433")) == ["127.0.0.1"]
    assert endpoint_of(options("https://example.com/")) == ("example.com", 443)
    assert endpoint_of(options("https://example.com/", connect_to="[::1]:4433")) == ("::1", 4433)


def test_disruption_of_other_machines_has_to_be_allowed() -> None:
    # An address of the documentation range (RFC 5737); nothing is sent to it.
    far = options("https://example.com/", address="192.0.2.1")
    with pytest.raises(InvalidOption, match=r"--allow-disruptive example\.com"):
        check_disruption(far, "fuzzing")
    check_disruption(options("https://example.com/", address="127.0.0.1"), "fuzzing")
    far.allow_disruptive = "example.com"
    check_disruption(far, "fuzzing")
    assert not make_target(far).loopback


def test_client_command_and_client_role_are_refused() -> None:
    for given in (options("https://localhost/", role="client"), RunOptions(client_command="x {url}")):
        with pytest.raises(InvalidOption, match="no cases for clients"):
            check(given)


def test_shards_share_the_cases() -> None:
    from conformance.harness.case import load_cases

    cases = load_cases()
    whole = select(cases, DRAFTS[:1], options("https://localhost/"))
    parts = [select(cases, DRAFTS[:1], options("https://localhost/", shard=f"{i}/3")) for i in (1, 2, 3)]
    assert sorted(item.case.identifier for part in parts for item in part) == sorted(
        item.case.identifier for item in whole
    )


def test_process_of_the_target() -> None:
    assert (resident(os.getpid()) or 0) > 1_000_000
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        watch = ProcessWatch(process.pid)
        watch.sample()
        assert watch.as_json()["alive"] is True
        assert watch.notes() == []
        process.kill()
    watch.sample()
    assert watch.as_json()["alive"] is False
    assert str(process.pid) in watch.notes()[0]
    with pytest.raises(InvalidOption, match="no such process"):
        ProcessWatch(process.pid)


def test_embedded_server_says_why_it_does_not_start(tmp_path: Path) -> None:
    from conformance.harness.embedded import EmbeddedFailed

    with pytest.raises(EmbeddedFailed, match="did not start"), Embedded("model", extra=("--nonsense",)):
        pass
