"""What ``wtconform run`` and its options do, and what a run leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.deviants import all_deviants
from conformance.harness.embedded import Embedded
from conformance.peer.drafts import DRAFTS
from conformance.peer.model import ModelServer
from conformance.peer.quic import Host
from tests.cli.command import ONE_CASE, Finished, bare_pytest, judge, wtconform
from tests.cli.hostile import served

SHOULD_CASE = "negotiation.client-without-reset-stream-at"


def deviant(identifier: str) -> Host:
    """Return a server with this fault."""
    (found,) = (item for item in all_deviants() if item.id == identifier)
    return ModelServer(found.behaviour(DRAFTS), DRAFTS)


def evidence(done: Finished, case: dict[str, Any]) -> dict[str, Any]:
    """Return the evidence of a case."""
    value = json.loads((done.folder / "out" / case["evidence"]).read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def test_options_of_the_connection(model: Embedded, tmp_path: Path) -> None:
    port = model.url.removeprefix("https://127.0.0.1:").partition("/")[0]
    done = judge(
        tmp_path,
        f"https://localhost:{port}",
        *("--ca", str(model.ca_file), "--declare-draft", "16", "--target-pid", str(model.pid)),
        *("--header", "X-Probe: seven", "--origin", "https://probe.example", "--evidence", "full"),
        select="streams-uni.echo,negotiation.wt-setting",
    )
    assert done.code == 0, done.text
    assert done.complete()
    process = done.results["meta"]["process"]
    assert process["alive"] is True
    assert process["memory_peak"] >= process["memory_first"] > 0
    (case,) = (case for case in done.results["cases"] if case["id"] == "streams-uni.echo")
    assert "--declare-draft 16" in case["replay"]
    logs = evidence(done, case)["connections"]
    text = json.dumps(logs)
    for field in (b"x-probe", b"seven", b"https://probe.example", b"webtransport-conformance"):
        assert field.decode() in text or field.hex() in text
    for log in logs:
        keys = (done.folder / "out" / log["keylog"]).read_text(encoding="ascii")
        assert "CLIENT_TRAFFIC_SECRET_0" in keys
        trace = (done.folder / "out" / log["qlog"]).read_text(encoding="utf-8").split("\x1e")[1:]
        assert json.loads(trace[0])["qlog_version"] == "0.3"
        assert any(json.loads(record).get("name") == "transport:packet_received" for record in trace[1:])


def test_ipv6_and_the_default_path(tmp_path: Path) -> None:
    with served(ModelServer(), "::1") as port:
        done = judge(tmp_path, f"https://[::1]:{port}/", "--insecure")
    assert done.code == 0, done.text
    assert done.results["summary"]["pass"] == 1


def test_connect_to(model: Embedded, tmp_path: Path) -> None:
    address = model.url.removeprefix("https://").partition("/")[0]
    done = judge(tmp_path, "https://localhost/echo", "--connect-to", address, "--ca", str(model.ca_file))
    assert done.code == 0, done.text
    assert done.results["meta"]["target"] == "https://localhost/echo"


def test_should_counts_under_strict(tmp_path: Path) -> None:
    with served(deviant("skip.client-reset-stream-at")) as port:
        arguments = (f"https://127.0.0.1:{port}/", "--insecure", "--declare-draft", "16")
        lenient = judge(tmp_path, *arguments, select=SHOULD_CASE)
        (case,) = lenient.results["cases"]
        assert (lenient.code, case["verdict"]) == (3, "non_strict"), "one non-strict case, no pass"
        strict = judge(tmp_path, *arguments, "--strict", select=f"{SHOULD_CASE},{ONE_CASE}")
    assert strict.code == 1
    assert strict.results["meta"]["strict"] is True


def test_known_failure(tmp_path: Path) -> None:
    with served(deviant("settings.no-h3-datagram")) as port:
        arguments = (f"https://127.0.0.1:{port}/", "--insecure")
        select = f"negotiation.h3-datagram,{ONE_CASE}"
        plain = judge(tmp_path, *arguments, select=select)
        assert plain.code == 1, plain.text
        (case,) = (case for case in plain.results["cases"] if case["verdict"] == "fail")
        assert {"qlog", "keylog"} <= evidence(plain, case)["connections"][0].keys()
        (passed,) = (case for case in plain.results["cases"] if case["verdict"] == "pass")
        assert not {"qlog", "keylog"} & evidence(plain, passed)["connections"][0].keys()
        entry = f'[[known]]\ncase = "{case["id"]}"\nsignature = "{case["signature"]}"\nreason = "reported"\n'
        (tmp_path / "known.toml").write_text(entry + "expires = 2999-01-01\n", encoding="utf-8")
        known = judge(tmp_path, *arguments, "--baseline", "known.toml", select=select)
        assert known.code == 0, known.text
        (tmp_path / "known.toml").write_text(entry + "expires = 2020-01-01\n", encoding="utf-8")
        expired = judge(tmp_path, *arguments, "--baseline", "known.toml", select=select)
    assert expired.code == 1
    assert "expired" in expired.out


def test_network_profile(tmp_path: Path) -> None:
    done = judge(tmp_path, "model", "--network", "mobile:7", select="streams-bidi.echo")
    assert done.code == 0, done.text
    assert done.results["meta"]["network"] == "mobile:7"
    (case,) = done.results["cases"]
    assert "--network mobile:7" in case["replay"]
    # A round trip of the profile takes 50 ms, one of the loopback interface far less than one.
    assert case["duration_s"] > 0.1


def test_folders_of_the_user_do_not_disturb(model: Embedded, tmp_path: Path) -> None:
    for name in ("reports", "conformance", "scenarios"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_text("raise SystemExit('conftest')\n", encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n", encoding="utf-8")
    (tmp_path / "reports" / "mine.txt").write_text("mine", encoding="utf-8")
    done = wtconform(
        tmp_path, "run", model.url, "--insecure", "--select", ONE_CASE, "-n", "2", "--alluredir", "allure"
    )
    assert done.code == 0, done.text
    assert (tmp_path / "reports" / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert (tmp_path / "reports" / "out" / "index.html").exists()
    assert list((tmp_path / "allure").glob("*-result.json"))


@pytest.mark.parametrize(
    ("fault", "workers", "code"),
    [(None, "0", 0), ("settings.no-h3-datagram", "auto", 1)],
    ids=["sound", "faulty"],
)
def test_bare_pytest(fault: str | None, workers: str, code: int, tmp_path: Path) -> None:
    with served(ModelServer() if fault is None else deviant(fault)) as port:
        done = bare_pytest(
            tmp_path,
            *("--target", f"https://127.0.0.1:{port}/", "--wt-insecure", "-n", workers),
            *("--wt-select", "negotiation.h3-datagram", "--alluredir", str(tmp_path / "allure")),
        )
    assert done.code == code, done.text
    assert done.complete()
    (path,) = (tmp_path / "allure").glob("*-result.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["status"] == ("passed" if code == 0 else "failed")
    labels = {label["name"]: label["value"] for label in result["labels"]}
    assert labels["feature"] == "negotiation"
    containers = "".join(
        path.read_text(encoding="utf-8") for path in (tmp_path / "allure").glob("*-container.json")
    )
    for attachment in ("verdict", "replay", "records", "wire log: case"):
        assert f'"name": "{attachment}"' in containers


def test_bounds_of_the_load(model: Embedded, tmp_path: Path) -> None:
    done = wtconform(
        tmp_path,
        *("run", model.url, "--ca", str(model.ca_file), "--rate", "50", "--max-connections", "2"),
        *("--select", f"{ONE_CASE},scenario-sessions.connections", "--out", "out"),
    )
    assert done.code == 0, done.text
    verdicts = {case["id"]: (case["verdict"], case["reason"]) for case in done.results["cases"]}
    assert verdicts[ONE_CASE][0] == "pass"
    verdict, reason = verdicts["scenario-sessions.connections"]
    assert verdict == "unsupported" and "--max-connections: 2 connections are open" in reason


@pytest.mark.parametrize(("option", "value"), [("--rate", "0"), ("--max-connections", "1")])
def test_bounds_that_allow_nothing_are_refused(tmp_path: Path, option: str, value: str) -> None:
    done = judge(tmp_path, "model", option, value)
    assert done.code == 2
    assert f"{option} {value}: " in done.err
    assert len(done.err.splitlines()) == 1
