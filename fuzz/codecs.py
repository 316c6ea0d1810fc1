"""Codec properties: the same bytes into the Python peer and into the Rust core, the same result out of both.

The core's codecs run in a process of their own, ``wt-codec-host``, behind pipes. Inputs are made and
compared in batches. A difference is a fault of one of the two: the text decides of which.
"""

from __future__ import annotations

import json
import random
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from conformance.peer.capsules import capsule, capsule_parser, parse_close, parse_limit
from conformance.peer.codepoints import (
    MAX_CLOSE_MESSAGE,
    MAX_QUARTER_STREAM_ID,
    CapsuleType,
)
from conformance.peer.datagrams import parse_datagram
from conformance.peer.drafts import FACTS, Draft
from conformance.peer.errorcodes import from_http, to_http
from conformance.peer.h3frames import frame, frame_parser
from conformance.peer.model.sfields import parse_string_list
from conformance.peer.qpack import QpackError, SectionDecoder, encode_literal, encode_static
from conformance.peer.tlv import Chunk, End, Opaque, Rest, Start
from conformance.peer.varint import LENGTHS, read_varint, varint, varint_length

HOST: Final = "wt-codec-host"
BATCH: Final = 2000
_BUILDS: Final = ("release", "debug")
_ERROR: Final = {"error": True}


class HostFailed(Exception):
    """The host ended or broke the protocol: a crash of the core, with the last batch as its cause."""


def find_host() -> Path | None:
    """Return the binary of the core's codecs, None where it was not built."""
    found = shutil.which(HOST)
    if found is not None:
        return Path(found)
    target = Path(__file__).resolve().parent.parent / "reference_impl" / "target"
    return next((path for build in _BUILDS if (path := target / build / HOST).is_file()), None)


class CodecHost:
    """The process with the Rust codecs; use as a context manager."""

    def __init__(self, binary: Path) -> None:
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> CodecHost:
        self._process = subprocess.Popen([self._binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def run(self, items: Sequence[tuple[int, bytes]]) -> list[dict[str, Any]]:
        """Return the results of a batch of (operation, payload); raises HostFailed."""
        assert self._process is not None and self._process.stdin is not None
        body = b"".join(struct.pack(">BI", number, len(payload)) + payload for number, payload in items)
        try:
            self._process.stdin.write(struct.pack(">II", len(body) + 4, len(items)) + body)
            self._process.stdin.flush()
        except OSError as error:
            raise HostFailed(f"the host took no batch: {error}") from None
        answer = memoryview(self._read(struct.unpack(">I", self._read(4))[0]))
        (count,) = struct.unpack_from(">I", answer)
        results, offset = [], 4
        for _ in range(count):
            (size,) = struct.unpack_from(">I", answer, offset)
            results.append(json.loads(bytes(answer[offset + 4 : offset + 4 + size])))
            offset += 4 + size
        return results

    def _read(self, length: int) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        data = self._process.stdout.read(length)
        if len(data) != length:
            raise HostFailed(f"the host ended with status {self._process.wait()}")
        return data

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(BrokenPipeError):
                    if pipe is not None:
                        pipe.close()
            self._process.wait()


# --- the Python side: what the host says, said by the peer ---


def _varint(payload: bytes) -> Any:
    found = read_varint(payload)
    return {"incomplete": True} if found is None else {"ok": {"value": found[0], "length": found[1]}}


def _frames(payload: bytes) -> Any:
    parser = frame_parser(max_payload=1 << 30)
    frames: list[dict[str, Any]] = []
    for item in parser.feed(payload):
        match item:
            case Start():
                frames.append({"type": item.type, "length": item.length, "payload": ""})
            case Chunk():
                frames[-1]["payload"] += item.data.hex()
            case Opaque():
                frames.append({"type": item.type, "length": None, "payload": ""})
            case Rest():
                frames[-1]["payload"] = item.data.hex()
    boundary = parser.between_items
    return {"ok": {"frames": frames, "boundary": boundary and not parser.opaque}}


_LIMITS: Final[Mapping[int, dict[str, str]]] = {
    CapsuleType.WT_MAX_DATA: {"name": "MAX_DATA"},
    CapsuleType.WT_MAX_STREAMS_BIDI: {"name": "MAX_STREAMS", "dir": "bidi"},
    CapsuleType.WT_MAX_STREAMS_UNI: {"name": "MAX_STREAMS", "dir": "uni"},
    CapsuleType.WT_DATA_BLOCKED: {"name": "DATA_BLOCKED"},
    CapsuleType.WT_STREAMS_BLOCKED_BIDI: {"name": "STREAMS_BLOCKED", "dir": "bidi"},
    CapsuleType.WT_STREAMS_BLOCKED_UNI: {"name": "STREAMS_BLOCKED", "dir": "uni"},
}
_PROHIBITED: Final = (CapsuleType.WT_MAX_STREAM_DATA, CapsuleType.WT_STREAM_DATA_BLOCKED)


def _capsules(payload: bytes) -> Any:
    """Everything is known (flags 7), as in draft-16 with flow control."""
    parser = capsule_parser()
    values: list[dict[str, Any]] = []
    for item in parser.feed(payload[1:]):
        if isinstance(item, Start) and not _possible(item):
            return _ERROR
        if not isinstance(item, End):
            continue
        value = _capsule(item)
        if value is _ERROR:
            return _ERROR
        if value is not None:
            values.append(value)
    return {"ok": {"capsules": values, "boundary": parser.between_items}}


def _possible(item: Start) -> bool:
    """Tell whether a capsule may be valid by its type and length: the core does not wait for its value."""
    if item.type in _PROHIBITED:
        return False
    if item.type in _LIMITS:
        return 1 <= item.length <= max(LENGTHS)
    if item.type == CapsuleType.WT_CLOSE_SESSION:
        return 4 <= item.length <= 4 + MAX_CLOSE_MESSAGE
    return item.type != CapsuleType.WT_DRAIN_SESSION or item.length == 0


def _capsule(item: End) -> dict[str, Any] | None:
    if item.type in _PROHIBITED:
        return _ERROR
    if item.type in _LIMITS:
        limit = parse_limit(item.value)
        return _ERROR if limit is None else {**_LIMITS[item.type], "value": limit}
    match item.type:
        case CapsuleType.WT_CLOSE_SESSION:
            message = parse_close(item.value)
            if message is None or len(message.message) > MAX_CLOSE_MESSAGE or message.text is None:
                return _ERROR
            return {"name": "CLOSE_SESSION", "code": message.code, "reason": message.text}
        case CapsuleType.WT_DRAIN_SESSION:
            return _ERROR if item.length else {"name": "DRAIN_SESSION"}
        case CapsuleType.DATAGRAM:
            return {"name": "DATAGRAM", "payload": item.value.hex()}
    return None


def _fields(payload: bytes) -> Any:
    if payload[8:9] == b"\0" and payload[9:10] not in (b"", b"\0"):
        # RFC 9204 §4.5.1.2: without references any Base will do, but none below 0. The library behind the
        # peer rejects the first where no line follows and takes the second, so there is nothing to compare.
        return None
    try:
        fields, _ = SectionDecoder().decode(0, payload[8:])
    except QpackError:
        return _ERROR
    return {"ok": [[name.hex(), value.hex()] for name, value in fields]}


def _datagram(payload: bytes) -> Any:
    parsed = parse_datagram(payload)
    if parsed is None or parsed[0] > MAX_QUARTER_STREAM_ID:
        return _ERROR
    return {"ok": {"session": 4 * parsed[0], "payload": parsed[1].hex()}}


def _to_application(payload: bytes) -> Any:
    return {"ok": from_http(int.from_bytes(payload, "big"))}


def _from_application(payload: bytes) -> Any:
    code = int.from_bytes(payload[1:], "big")
    last = FACTS[Draft(f"{payload[0]:02}")].last_application_code
    return {"ok": to_http(code)} if to_http(code) <= last else _ERROR


def _protocols(payload: bytes) -> Any:
    if payload != payload.strip(b" \t"):
        return None  # no field value begins or ends with white space (RFC 9110 §5.5)
    return {"ok": parse_string_list(payload.split(b"\0")) or []}


# --- inputs ---


def _number(source: random.Random) -> int:
    """Return an integer near an edge of an encoding, or any."""
    edge = 1 << source.choice((0, 6, 8, 14, 16, 30, 32, 60, 62))
    return min(max(edge + source.randint(-2, 2), 0), (1 << 62) - 1)


def _encoded(source: random.Random, value: int | None = None) -> bytes:
    number = _number(source) if value is None else value
    shortest = varint_length(number)
    return varint(number, source.choice([item for item in LENGTHS if item >= shortest]))


def _noise(source: random.Random, longest: int = 24) -> bytes:
    return source.randbytes(source.randrange(longest))


def _some_frames(source: random.Random) -> bytes:
    kinds = (0, 1, 4, 7, 0x21, 0x41, _number(source))
    return b"".join(frame(source.choice(kinds), _noise(source)) for _ in range(source.randrange(4)))


def _some_capsules(source: random.Random) -> bytes:
    parts = []
    for _ in range(source.randrange(4)):
        kind = source.choice([*CapsuleType, 0x21, _number(source)])
        value = source.choice(
            (_noise(source), _encoded(source), b"\0\0\0\1bye", b"\0\0\0\0" + _noise(source))
        )
        parts.append(capsule(int(kind), value))
    return b"".join(parts)


def _some_fields(source: random.Random) -> bytes:
    names = (b":method", b":path", b"te", b"x-fuzz", _noise(source, 8).hex().encode() or b"n")
    values = (b"", b"GET", b"/", _noise(source))
    fields = [(source.choice(names), source.choice(values)) for _ in range(source.randrange(5))]
    return source.choice((encode_literal, encode_static))(fields)


def _some_protocols(source: random.Random) -> bytes:
    words = ('"a"', '"b c"', '"q\\"x"', "token", "1.5", "?1", ":YQ==:", '"a";p=1', '"a"; q', "(", ",", "\\")
    return source.choice((", ", ",", " ,\t")).join(source.choices(words, k=source.randrange(4))).encode()


def _code(source: random.Random) -> bytes:
    base = source.choice((0x52E4A40FA8DB, 0x52E5AC983162, _number(source)))
    return max(0, base + source.randint(-40, 40)).to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class Property:
    """One codec: the host's operation, the Python counterpart, how inputs are made."""

    name: str
    operation: int
    python: Callable[[bytes], Any]
    make: Callable[[random.Random], bytes]
    # Bytes in front of the input that stand for options; they are never mutated.
    head: bytes = b""
    mutate: bool = True


def _some_datagram(source: random.Random) -> bytes:
    return _encoded(source) + _noise(source)


def _application_code(source: random.Random) -> bytes:
    return source.randbytes(4)


def _short_code(source: random.Random) -> bytes:
    """Return one of the 8-bit codes of draft-02 §4.3."""
    return bytes(3) + source.randbytes(1)


_LARGEST: Final = (1 << 40).to_bytes(8, "big")
PROPERTIES: Final = (
    Property("varint", 1, _varint, _encoded),
    Property("frames", 2, _frames, _some_frames),
    Property("capsules", 4, _capsules, _some_capsules, b"\x07"),
    Property("fields", 5, _fields, _some_fields, _LARGEST),
    Property("datagram", 8, _datagram, _some_datagram),
    Property("to-application", 10, _to_application, _code, mutate=False),
    Property("from-application", 11, _from_application, _application_code, b"\x10", mutate=False),
    Property("from-application-02", 11, _from_application, _short_code, b"\x02", mutate=False),
    Property("protocols", 12, _protocols, _some_protocols),
)


def mutated(source: random.Random, data: bytes) -> bytes:
    """Return the bytes with one small change: a flipped bit, a cut, an insertion, a doubled part."""
    if not data:
        return _noise(source)
    position = source.randrange(len(data))
    match source.randrange(5):
        case 0:
            return data[:position]
        case 1:
            return data[:position] + _noise(source, 4) + data[position:]
        case 2:
            return data + data[position:]
        case 3:
            return data[:position] + data[position + 1 :]
        case _:
            return data[:position] + bytes([data[position] ^ 1 << source.randrange(8)]) + data[position + 1 :]


def _has_empty_name(item: Property, result: Mapping[str, Any]) -> bool:
    """The library behind the peer refuses empty names: an error of the message, not of its compression."""
    return item.name == "fields" and any(name == "" for name, _ in result.get("ok") or ())


@dataclass(frozen=True, slots=True)
class Difference:
    """An input that the two implementations read differently."""

    name: str
    payload: bytes
    python: Any
    rust: Any

    def __str__(self) -> str:
        return f"{self.name} {self.payload.hex()}: Python {self.python}, Rust {self.rust}"


def inputs(source: random.Random, count: int) -> Iterator[tuple[Property, bytes]]:
    """Make inputs: as the encoders write them, and half of them mutated."""
    for _ in range(count):
        chosen = source.choice(PROPERTIES)
        data = chosen.make(source)
        while chosen.mutate and source.random() < 0.5:
            data = mutated(source, data)
        yield chosen, chosen.head + data


def compare(host: CodecHost, seed: int, count: int) -> list[Difference]:
    """Compare ``count`` inputs; return what differs. Raises HostFailed where the host dies."""
    source = random.Random(seed)
    found: list[Difference] = []
    while count > 0:
        batch = list(inputs(source, min(BATCH, count)))
        results = host.run([(item.operation, payload) for item, payload in batch])
        for (item, payload), rust in zip(batch, results, strict=True):
            python = item.python(payload)
            if "error" in rust:
                rust = _ERROR
            if python is not None and python != rust and not _has_empty_name(item, rust):
                found.append(Difference(item.name, payload, python, rust))
        count -= len(batch)
    return found
