"""The table of foreign peers: consistent with the files beside it, and honest about what is missing."""

from __future__ import annotations

import re
import sys

import pytest
from click.testing import CliRunner

from scenarios.peers import __main__ as command
from scenarios.peers import registry
from scenarios.peers.registry import PEERS, ForeignPeer, MissingToolchain, Tool
from scenarios.peers.serving import PeerServer, StartFailed

ABSENT = Tool("no-such-compiler", ("no-such-compiler", "--version"), (1, 0), "the archive")
TOO_OLD = Tool(sys.executable, (sys.executable, "--version"), (99, 0), "the archive")


@pytest.mark.parametrize("peer", PEERS.values(), ids=lambda peer: peer.name)
def test_the_versions_of_the_table_are_those_that_are_locked(peer: ForeignPeer) -> None:
    library, version = peer.library.rsplit(" ", 1)
    if peer.language == "Go":
        locked = (registry.HERE / peer.folder / "go.sum").read_text()
        assert f"{library} v{version} " in locked
    else:
        locked = (registry.HERE / "Cargo.lock").read_text()
        assert re.search(rf'name = "{library}"\nversion = "{re.escape(version)}"', locked)


@pytest.mark.parametrize("peer", PEERS.values(), ids=lambda peer: peer.name)
def test_endpoints_of_the_table_are_served_by_the_source(peer: ForeignPeer) -> None:
    folder = registry.HERE / peer.folder
    source = "".join(path.read_text() for path in (*folder.glob("*.go"), *folder.glob("src/*.rs")))
    assert [name for name in peer.endpoints if f'"/{name}"' not in source] == []


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        (ABSENT, "Missing toolchain: no-such-compiler 1.0 or newer, install with the archive"),
        (TOO_OLD, r"Missing toolchain: .* 99\.0 or newer \(found Python .*\), install with the archive"),
    ],
)
def test_an_unusable_tool_is_named_with_the_remedy(tool: Tool, reason: str) -> None:
    assert re.fullmatch(reason, tool.problem() or "")


def test_a_build_without_toolchain_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = PEERS["wtransport"]
    monkeypatch.setattr(registry.CARGO.__class__, "problem", lambda self: "Missing toolchain: cargo")
    with pytest.raises(MissingToolchain, match="cargo"):
        peer.build()


def test_the_build_command_skips_what_has_no_toolchain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tool, "problem", lambda self: "Missing toolchain: x, install with y")
    result = CliRunner().invoke(command.main, ["build"])
    assert result.exit_code == 0
    assert result.output.count("skipped. Missing toolchain: x, install with y") == len(PEERS)
    named = CliRunner().invoke(command.main, ["build", "wtransport"])
    assert named.exit_code == 1
    assert "Missing toolchain" in named.output


def test_the_table_is_printed() -> None:
    output = CliRunner().invoke(command.main, ["list"]).output
    assert all(name in output for name in PEERS)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_server_is_ready_when_it_says_so_and_gone_afterwards() -> None:
    code = "import time; print('listening on https://127.0.0.1:1/', flush=True); time.sleep(60)"
    with PeerServer(python(code)) as server:
        assert server.url == "https://127.0.0.1:1/"
        assert server.pid > 0
    with pytest.raises(StartFailed, match="not started"):
        _ = server.pid


@pytest.mark.parametrize(("code", "said"), [("print('hello')", "'hello'"), ("raise SystemExit(3)", "''")])
def test_a_server_that_does_not_get_ready_is_reported(code: str, said: str) -> None:
    with (
        pytest.raises(StartFailed, match=f"said {said} instead of 'listening on URL'"),
        PeerServer(python(code)),
    ):
        pytest.fail("entered")
