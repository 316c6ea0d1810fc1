"""The list of targets: what is accepted, and which complaint names what."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.matrix.targets import SHIPPED, InvalidTargets, read_targets

VALID = '[[target]]\nname = "a"\nurl = "https://127.0.0.1:4433/"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "targets.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_list_that_is_shipped() -> None:
    names = [target.name for target in read_targets(SHIPPED)]
    assert names == ["model", "reference", "webtransport-go", "wtransport"]


def test_all_keys(tmp_path: Path) -> None:
    more = (
        'drafts = ["16"]\nca = "ca.pem"\ninsecure = false\nendpoints = { close = "/c" }\nnetwork = "wifi:1"\n'
    )
    (target,) = read_targets(write(tmp_path, VALID + more))
    assert target.drafts == ("16",)
    assert target.ca == tmp_path / "ca.pem"
    assert target.endpoints == {"close": "/c"}
    assert target.network == "wifi:1"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected tables"),
        ("target = 1", "expected tables"),
        ("= 1", "is not TOML"),
        ('[[target]]\nurl = "x"', "needs a name"),
        ('[[target]]\nname = "../a"\nurl = "x"', "needs a name"),
        ('[[target]]\nname = "a"', "exactly one of url, peer, embedded"),
        (VALID + 'peer = "wtransport"', "exactly one of"),
        ('[[target]]\nname = "a"\npeer = "x"', "peer 'x' is unknown"),
        ('[[target]]\nname = "a"\nembedded = "x"', "embedded 'x' is unknown"),
        (VALID + 'drafts = ["99"]', "drafts '99' is unknown"),
        (VALID + "insecure = 1", "insecure has the wrong type"),
        (VALID + "colour = 1", "there is no key 'colour'"),
        (VALID + "endpoints = { a = 1 }", "endpoints are paths"),
        (VALID + VALID, "occurs twice"),
    ],
)
def test_complaints(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InvalidTargets, match=complaint):
        read_targets(write(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidTargets, match="cannot read"):
        read_targets(tmp_path / "none.toml")
