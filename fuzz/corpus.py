"""``python -m fuzz.corpus DIRECTORY``: inputs for coverage-guided fuzzing of the Rust core, one file each.

There is a directory for each target of ``reference_impl/fuzz``. The inputs are those with which the codecs of
both sides are compared, the SETTINGS of all drafts, and sessions put together from them, in the layouts
that ``wt-fuzz-host`` documents (operations 2 to 5, 9, 16, and ``scenario``).
"""

from __future__ import annotations

import argparse
import hashlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from conformance.peer.codepoints import FrameType, StreamType
from conformance.peer.drafts import FACTS, Draft
from conformance.peer.h3frames import frame
from conformance.peer.qpack import encode_static
from conformance.peer.settings import FlowControl, client_settings, encode_settings, server_settings
from conformance.peer.varint import varint
from fuzz.codecs import PROPERTIES, mutated

# Properties of the codecs whose inputs are those of a target, too.
_SAME_LAYOUT: Final = ("frames", "capsules", "fields")
_CLIENT, _SERVER = 0, 1
_SESSION: Final = 0
# First bytes of a scenario: role, how far it is, with wide and with narrow limits.
_STARTS: Final = tuple(
    role | start << 1 | limits << 3 for role in (0, 1) for start in (0, 1, 2) for limits in (0, 1)
)
_LONGEST: Final = 255


def inputs(source: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Make pairs of a target's name and an input."""
    vectors = {item.name: item for item in PROPERTIES if item.name in _SAME_LAYOUT}
    for _ in range(count):
        name, item = source.choice(list(vectors.items()))
        data = item.make(source)
        yield name, item.head + data
        yield "settings", bytes([source.choice((_CLIENT, _SERVER))]) + _settings(source)
        yield "streams", _stream(source, data)
        yield "machine", _scenario(source)
        yield "compression", _compression(source)


def _compression(source: random.Random) -> bytes:
    """Return limits of a table, then 15 bytes for each section, of fields and instructions, repeated."""
    parts = (b"abc" * 5, b"\x3f\x45\x41a\x01b\x41c\x01d".ljust(15, b"\0"), source.randbytes(15))
    sections = (source.randbytes(1) + source.choice(parts) for _ in range(source.randrange(2, 12)))
    return source.randbytes(1) + b"".join(sections)


def _entries(source: random.Random) -> tuple[tuple[int, int], ...]:
    drafts = source.sample(list(Draft), k=source.randint(1, len(Draft)))
    limits = FlowControl(*(source.choice((None, 0, 1, 100, 1 << 20)) for _ in range(3)))
    return source.choice((client_settings, server_settings))(drafts, limits)


def _settings(source: random.Random) -> bytes:
    """Return the payload of a SETTINGS frame, sometimes a wrong one."""
    data = b"".join(varint(identifier) + varint(value) for identifier, value in _entries(source))
    return mutated(source, data) if source.random() < 0.5 else data


def _stream(source: random.Random, data: bytes) -> bytes:
    """Return role, stream ID, end and bytes of a stream, with a type in front or none."""
    head = source.choice((b"", varint(0x41) + varint(_SESSION), varint(0x54) + varint(_SESSION), varint(0)))
    role, fin, number = source.choice((0, 1)), source.choice((0, 1)), source.randrange(16)
    return bytes([role]) + number.to_bytes(8, "big") + bytes([fin]) + head + data


# --- sessions, as operations of `scenario` ---


def _data(stream: int, data: bytes, *, fin: bool = False) -> bytes:
    """Return operations that carry bytes of a stream."""
    parts = [data[at : at + _LONGEST] for at in range(0, len(data), _LONGEST)] or [b""]
    ends = [False] * (len(parts) - 1) + [fin]
    return b"".join(
        bytes([7 if end else 0, stream, len(part)]) + part for part, end in zip(parts, ends, strict=True)
    )


def _request(source: random.Random, draft: Draft) -> bytes:
    fields = [
        (b":method", b"CONNECT"),
        (b":protocol", FACTS[draft].protocol),
        (b":scheme", b"https"),
        (b":authority", b"localhost"),
        (b":path", b"/"),
    ]
    if source.random() < 0.5:
        fields.append((b"wt-available-protocols", b'"a", "b"'))
    return frame(FrameType.HEADERS, encode_static(fields))


def _scenario(source: random.Random) -> bytes:
    """Return a session from its SETTINGS to its end, with more or less of what may happen in it."""
    start = source.choice(_STARTS)
    server, fresh, established = start & 1 == 1, start & 4 == 4, start & 6 == 2
    steps = [bytes([start])]
    if fresh:
        control = 2 if server else 3
        steps.append(_data(control, varint(StreamType.CONTROL) + encode_settings(_entries(source))))
    if not established:
        steps += _opening(source, server=server)
    steps += source.sample(_happenings(source, server=server), k=source.randint(1, 6))
    steps.append(source.choice((_data(_SESSION, b"", fin=True), bytes([15, _SESSION, 0, 7]), bytes([17]))))
    return b"".join(steps)


def _opening(source: random.Random, *, server: bool) -> list[bytes]:
    draft = source.choice(list(Draft))
    if server:
        return [_data(_SESSION, _request(source, draft)), bytes([source.choice((12, 12, 13)), _SESSION])]
    answer = frame(FrameType.HEADERS, encode_static([(b":status", source.choice((b"200", b"404")))]))
    return [bytes([14, _SESSION]), _data(_SESSION, answer)]


def _happenings(source: random.Random, *, server: bool) -> Sequence[bytes]:
    """Return what may happen in a session; the streams are the peer's unless they are opened here."""
    capsules = next(item for item in PROPERTIES if item.name == "capsules")
    bidi, uni, own = (4, 6, 1) if server else (1, 7, 4)
    code = (0x52E4A40FA8DB + source.randrange(64)).to_bytes(8, "big")
    return (
        *(_data(_SESSION, frame(FrameType.DATA, capsules.make(source))) for _ in range(3)),
        _data(bidi, varint(0x41) + varint(_SESSION) + b"body", fin=source.random() < 0.5),
        _data(uni, varint(0x54) + varint(_SESSION) + b"body", fin=source.random() < 0.5),
        bytes([8, bidi]) + code,
        bytes([9, uni]) + code + b"\0\3",
        bytes([10, own]) + code,
        bytes([11, 5]) + varint(_SESSION // 4) + b"data",
        bytes([16, _SESSION]),
        bytes([18, _SESSION, own]),
        bytes([19, own, 0, 200]),
        bytes([20, own, 21, bidi]),
        bytes([22, bidi, 23, own]),
        _data(2 if server else 3, frame(FrameType.GOAWAY, varint(source.randrange(0, 16, 4)))),
    )


def write(directory: Path, seed: int, count: int) -> int:
    """Write the inputs, each by the hash of its bytes so that it is there once; return how many there are."""
    written = set()
    for name, data in inputs(random.Random(seed), count):
        target = directory / name
        target.mkdir(parents=True, exist_ok=True)
        path = target / hashlib.sha256(data).hexdigest()[:32]
        path.write_bytes(data)
        written.add(path)
    return len(written)


def main(arguments: list[str] | None = None) -> int:
    """Write the inputs; exit code 0."""
    parser = argparse.ArgumentParser(
        prog="python -m fuzz.corpus", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("directory", type=Path, help="where the directories of the targets are")
    parser.add_argument("--seed", type=int, default=1, help="of all choices (default: 1)")
    parser.add_argument(
        "--count", type=int, default=300, help="of inputs for each target, about (default: 300)"
    )
    given = parser.parse_args(arguments)
    print(f"{write(given.directory, given.seed, given.count)} inputs in {given.directory}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
