"""QPACK of the core against ls-qpack: each reads what the other writes, in any order of arrival."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import pylsqpack
import pytest

from fuzz.codecs import CodecHost, find_host

OPERATION: Final = 15
SEEDS: Final = 60
STREAMS: Final = tuple(range(0, 24, 4))
NAMES: Final = (
    b"x-name",
    b":authority",
    b"a",
    b"cookie",
    b"a-name-that-fills-the-table",
    b"origin",
    b":path",
)
VALUES: Final = (b"", b"/", b"value", b"https://example.com", bytes(range(0x21, 0x7F)))

Field = tuple[bytes, bytes]

pytestmark = pytest.mark.skipif(find_host() is None, reason="wt-codec-host is not built (cargo build)")


class Core:
    """Encoder and decoder of the core, which the host plays again from the start at each step."""

    def __init__(self, host: CodecHost, capacity: int, blocked: int) -> None:
        self._host = host
        self._script: dict[str, Any] = {"capacity": capacity, "blocked": blocked, "steps": []}

    def do(self, *step: object) -> Any:
        """Take a step and return its result; see the host's operation 15."""
        self._script["steps"].append(step)
        (result,) = self._host.run([(OPERATION, json.dumps(self._script).encode())])
        last = result["ok"][-1]
        assert not (isinstance(last, dict) and "error" in last), last
        return last


@pytest.fixture
def host() -> Iterator[CodecHost]:
    """The codecs of the core."""
    binary = find_host()
    assert binary is not None
    with CodecHost(binary) as running:
        yield running


def some_fields(source: random.Random) -> list[Field]:
    return [(source.choice(NAMES), source.choice(VALUES)) for _ in range(source.randrange(1, 5))]


def in_hex(fields: list[Field]) -> list[list[str]]:
    return [[name.hex(), value.hex()] for name, value in fields]


def limits(source: random.Random) -> tuple[int, int]:
    return source.choice((0, 64, 150, 400, 4096)), source.choice((0, 1, 3, 16))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_ls_qpack_reads_what_the_core_writes(host: CodecHost, seed: int) -> None:
    source = random.Random(seed)
    capacity, blocked = limits(source)
    core, decoder = Core(host, capacity, blocked), pylsqpack.Decoder(capacity, blocked)
    to_decoder, to_core = bytearray(), bytearray()
    sections: deque[tuple[int, bytes, list[Field]]] = deque()
    waiting: dict[int, list[Field]] = {}
    delivered = 0

    def deliver_instructions(size: int) -> None:
        nonlocal delivered
        for stream in decoder.feed_encoder(bytes(to_decoder[:size])):
            answer, fields = decoder.resume_header(stream)
            to_core.extend(answer)
            assert fields == waiting.pop(stream)
            delivered += 1
        del to_decoder[:size]

    def deliver_section() -> None:
        nonlocal delivered
        stream, section, expected = sections.popleft()
        if stream in waiting:
            sections.append((stream, section, expected))
            return
        try:
            answer, fields = decoder.feed_header(stream, section)
        except pylsqpack.StreamBlocked:
            waiting[stream] = expected
            return
        to_core.extend(answer)
        assert fields == expected
        delivered += 1

    sent = 0
    for _ in range(40):
        match source.randrange(5):
            case 0 | 1:
                fields, stream = some_fields(source), source.choice(STREAMS)
                # One section of a stream at a time, so that a rotation of the queue keeps their order.
                if stream in waiting or any(item[0] == stream for item in sections):
                    continue
                instructions, section = core.do("encode", stream, in_hex(fields))
                to_decoder.extend(bytes.fromhex(instructions))
                sections.append((stream, bytes.fromhex(section), fields))
                sent += 1
            case 2 if sections:
                sections.rotate(source.randrange(len(sections)))
                deliver_section()
            case 3:
                deliver_instructions(source.randrange(1, 40))
            case 4 if to_core:
                size = source.randrange(1, len(to_core) + 1)
                core.do("feed_decoder", bytes(to_core[:size]).hex())
                del to_core[:size]
    deliver_instructions(len(to_decoder))
    while sections:
        deliver_section()
    assert delivered == sent and not waiting


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_core_reads_what_ls_qpack_writes(host: CodecHost, seed: int) -> None:
    source = random.Random(seed)
    capacity, blocked = limits(source)
    core, encoder = Core(host, capacity, blocked), pylsqpack.Encoder()
    to_core = bytearray(encoder.apply_settings(capacity, blocked))
    to_encoder = bytearray()
    sections: dict[int, deque[tuple[bytes, list[Field]]]] = {}
    waiting: dict[int, tuple[bytes, list[Field]]] = {}
    delivered = sent = 0

    def decode(stream: int, section: bytes, expected: list[Field]) -> None:
        nonlocal delivered
        fields = core.do("decode", stream, section.hex())
        if fields is None:
            waiting[stream] = section, expected
            assert len(waiting) <= blocked
            return
        assert fields == in_hex(expected)
        delivered += 1

    def deliver_instructions(size: int) -> None:
        for stream in core.do("feed_encoder", bytes(to_core[:size]).hex()):
            decode(stream, *waiting.pop(stream))
        del to_core[:size]

    def deliver_section(stream: int) -> None:
        if stream not in waiting and sections.get(stream):
            decode(stream, *sections[stream].popleft())

    for _ in range(40):
        match source.randrange(5):
            case 0 | 1:
                fields, stream = some_fields(source), source.choice(STREAMS)
                instructions, section = encoder.encode(stream, fields)
                to_core.extend(instructions)
                sections.setdefault(stream, deque()).append((section, fields))
                sent += 1
            case 2:
                deliver_section(source.choice(STREAMS))
            case 3:
                deliver_instructions(source.randrange(1, 40))
            case 4:
                to_encoder.extend(bytes.fromhex(core.do("answer")))
                size = source.randrange(len(to_encoder) + 1)
                encoder.feed_decoder(bytes(to_encoder[:size]))
                del to_encoder[:size]
    deliver_instructions(len(to_core))
    for stream in STREAMS:
        while sections.get(stream):
            deliver_section(stream)
    encoder.feed_decoder(bytes(to_encoder) + bytes.fromhex(core.do("answer")))
    assert delivered == sent and not waiting


def test_cancelled_streams_are_forgotten(host: CodecHost) -> None:
    """RFC 9204 §2.2.2.2: the references of a blocked stream that is given up, in both directions."""
    fields = [(b"x-name", b"value"), (b"origin", b"https://example.com")]
    core, decoder = Core(host, 400, 4), pylsqpack.Decoder(400, 4)
    core.do("encode", 0, in_hex(fields))
    instructions, section = core.do("encode", 4, in_hex(fields))
    with pytest.raises(pylsqpack.StreamBlocked):
        decoder.feed_header(4, bytes.fromhex(section))
    core.do("feed_decoder", decoder.cancel_stream(4).hex())
    assert decoder.feed_encoder(bytes.fromhex(instructions)) == []
    _, section = core.do("encode", 8, in_hex(fields))
    answer, decoded = decoder.feed_header(8, bytes.fromhex(section))
    assert decoded == fields
    core.do("feed_decoder", answer.hex())
