"""Codec properties: the inputs of both sides, and where the core is built, that both read the same."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from conformance.peer.varint import read_varint
from fuzz.codec_run import PORTION, CodecRun, run_codecs
from fuzz.codecs import PROPERTIES, CodecHost, HostFailed, compare, find_host, inputs, mutated

COUNT = 20_000


def test_every_codec_gets_inputs_and_takes_them() -> None:
    counts: Counter[str] = Counter()
    for chosen, payload in inputs(random.Random(1), 3000):
        counts[chosen.name] += 1
        result = chosen.python(payload)
        assert result is None or len(result) == 1
    assert set(counts) == {item.name for item in PROPERTIES}


def test_the_seed_decides() -> None:
    first, second = (list(inputs(random.Random(5), 200)) for _ in range(2))
    assert first == second


def test_mutations_change_little() -> None:
    source = random.Random(2)
    data = bytes(range(32))
    assert all(len(mutated(source, data)) <= 2 * len(data) for _ in range(200))
    assert any(read_varint(mutated(source, b"\xff" * 8)) is None for _ in range(50))
    assert isinstance(mutated(source, b""), bytes)


needs_host = pytest.mark.skipif(find_host() is None, reason="wt-codec-host is not built (cargo build)")


@needs_host
def test_both_read_the_same() -> None:
    binary = find_host()
    assert binary is not None
    with CodecHost(binary) as host:
        assert [str(item) for item in compare(host, 9, COUNT)] == []


@needs_host
def test_a_host_that_ends_is_noticed() -> None:
    binary = find_host()
    assert binary is not None
    with CodecHost(binary) as host:
        assert host.run([(1, b"\x05")]) == [{"ok": {"length": 1, "value": 5}}]
        assert host._process is not None
        host._process.kill()
        host._process.wait()
        with pytest.raises(HostFailed):
            host.run([(1, b"\x05")])


@needs_host
def test_a_run_ends_with_its_time() -> None:
    binary = find_host()
    assert binary is not None
    times = iter((0.0, 1.0, 60.0))
    result = run_codecs(binary, 3, 30.0, lambda: next(times))
    assert result.inputs == 2 * PORTION and result.faults == 0
    assert result.lines() == [f"codecs: {result.inputs} inputs in 60 s, {result.inputs} a minute"]


def test_a_host_that_fails_is_a_fault(tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    host.chmod(0o755)
    result = run_codecs(host, 3, 30.0)
    assert result.faults == 1 and result.lines()[-1].startswith("FAILURE  the host ")
    assert CodecRun().faults == 0
