"""The inputs that coverage-guided fuzzing of the core begins with."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import pytest

from fuzz import corpus
from fuzz.codecs import CodecHost, find_host

ROOT = Path(__file__).resolve().parents[2]
# Operations of the host with the layouts of the targets
OPERATIONS = {
    "frames": 2,
    "settings": 3,
    "capsules": 4,
    "fields": 5,
    "streams": 9,
    "machine": 14,
    "compression": 16,
}


def test_every_target_has_inputs(tmp_path: Path) -> None:
    assert corpus.main([str(tmp_path), "--seed", "3", "--count", "40"]) == 0
    binaries = tomllib.loads((ROOT / "reference_impl/fuzz/Cargo.toml").read_text())["bin"]
    names = {binary["name"] for binary in binaries}
    assert {path.name for path in tmp_path.iterdir()} == names == set(OPERATIONS)
    for name in names:
        assert len(list((tmp_path / name).iterdir())) >= 5


def test_the_seed_decides() -> None:
    def made(seed: int) -> list[tuple[str, bytes]]:
        return list(corpus.inputs(random.Random(seed), 20))

    assert made(1) == made(1) != made(2)


def test_the_core_understands_the_layouts() -> None:
    binary = find_host()
    if binary is None:
        pytest.skip("the host of the core's codecs is not built: make peers")
    items = [(OPERATIONS[name], data) for name, data in corpus.inputs(random.Random(1), 50)]
    with CodecHost(binary) as host:
        results = host.run(items)
    assert not [result for result in results if result.get("error") == "BAD_ITEM"]
    assert sum("ok" in result for result in results) > len(items) / 2
