"""Mutation of a recorded run: what a client sent, dropped, doubled, reordered, split, corrupted, spliced.

The recording is the event stream of a connection (``events.ndjson``, evidence, the wire log of a finding, or
the events of a live peer). Nothing is known about what the result means, so any reaction is allowed; the
target has to survive it, and to serve others all the while.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from conformance.harness.sanity import Sanity
from conformance.harness.target import Target
from conformance.peer.client import Peer
from conformance.peer.drafts import Draft
from conformance.peer.options import ConnectFailed
from conformance.peer.quic import StreamNotWritable
from conformance.peer.streams import Stream
from conformance.peer.wtheaders import is_server_initiated, is_unidirectional
from fuzz import operations as op
from fuzz.violations import TargetGone, Violation

RAW: Final = op.Connect(raw=True)
# First bytes where variable-length integers change their length (RFC 9000 §16).
_EDGES: Final = (0, 0x3F, 0x40, 0x7F, 0x80, 0xC0, 0xFF)
MAX_MUTATIONS: Final = 4
# Seconds for the target to acknowledge what was sent, or to close the connection.
PATIENCE: Final = 2.0


def recorded(events: Iterable[Mapping[str, Any]]) -> op.Script:
    """Return what the client of a recording sent as a script; events of other kinds are left out."""
    steps: list[op.Operation] = [RAW]
    for event in events:
        if event.get("direction") != "sent":
            continue
        data = bytes.fromhex(str(event.get("data", "")))
        stream_id = event.get("stream_id")
        if event.get("name") == "DatagramFrame":
            steps.append(op.RawDatagram(data))
        elif event.get("name") == "StreamData" and isinstance(stream_id, int):
            fin = bool(event.get("end_stream"))
            own = not is_server_initiated(stream_id)
            if own:
                steps.append(op.RawStream(stream_id, is_unidirectional(stream_id), data, fin))
    return tuple(steps)


# --- the mutations: (source of chance, steps, another recording) -> steps ---

_Steps = list[op.Operation]


def _drop(source: random.Random, steps: _Steps, other: _Steps) -> _Steps:
    position = source.randrange(len(steps))
    return steps[:position] + steps[position + source.randint(1, 3) :]


def _duplicate(source: random.Random, steps: _Steps, other: _Steps) -> _Steps:
    position = source.randrange(len(steps))
    return steps[:position] + [steps[position]] * source.randint(2, 5) + steps[position + 1 :]


def _reorder(source: random.Random, steps: _Steps, other: _Steps) -> _Steps:
    changed = list(steps)
    changed.insert(source.randrange(len(steps)), changed.pop(source.randrange(len(steps))))
    return changed


def _split(source: random.Random, steps: _Steps, other: _Steps) -> _Steps:
    position = source.randrange(len(steps))
    step = steps[position]
    if not isinstance(step, op.RawStream) or len(step.data) < 2:
        return steps
    cut = source.randrange(1, len(step.data))
    parts: _Steps = [replace(step, data=step.data[:cut], fin=False), op.Fence()]
    return [*steps[:position], *parts, replace(step, data=step.data[cut:]), *steps[position + 1 :]]


def _corrupt(source: random.Random, steps: _Steps, other: _Steps) -> _Steps:
    position = source.randrange(len(steps))
    step = steps[position]
    if not isinstance(step, op.RawStream | op.RawDatagram) or not step.data:
        return steps
    data = bytearray(step.data)
    for _ in range(source.randint(1, 3)):
        data[source.randrange(len(data))] = source.choice(
            (0, 0x3F, 0x40, 0x7F, 0x80, 0xC0, 0xFF, source.randrange(256))
        )
    return [*steps[:position], replace(step, data=bytes(data)), *steps[position + 1 :]]


def _splice(source: random.Random, steps: _Steps, other: _Steps) -> _Steps:
    start = source.randrange(len(other))
    position = source.randrange(len(steps) + 1)
    return steps[:position] + other[start : start + source.randint(1, 6)] + steps[position:]


MUTATIONS: Final[Mapping[str, Callable[[random.Random, _Steps, _Steps], _Steps]]] = {
    "drop": _drop,
    "duplicate": _duplicate,
    "reorder": _reorder,
    "split": _split,
    "corrupt": _corrupt,
    "splice": _splice,
}


def mutated(seed: int, script: op.Script, other: op.Script | None = None) -> op.Script:
    """Return a recording with up to four mutations; ``other`` is what is spliced in (default: itself)."""
    source = random.Random(seed)
    steps = [item for item in script if not isinstance(item, op.Connect)]
    donor = [item for item in other or script if not isinstance(item, op.Connect)]
    for _ in range(source.randint(1, MAX_MUTATIONS)):
        if steps and donor:
            steps = MUTATIONS[source.choice(sorted(MUTATIONS))](source, steps, donor)
    return (RAW, *steps)


# --- playing ---


def play_raw(target: Target, draft: Draft, script: op.Script) -> Violation | None:
    """Play a raw script on a connection of its own; return what the target did not survive.

    Raises TargetGone where there is no connection to begin with.
    """
    options = replace(target.options, start_h3=False)
    try:
        peer = target.connect(draft, options)
    except ConnectFailed as error:
        raise TargetGone(f"no connection: {error}") from None
    try:
        _send(peer, script)
        peer.wait(peer.quic.acked, PATIENCE)
        silent = peer.closed is None and not peer.quic.acked()
        idle = peer.closed is not None and peer.closed.by == "idle"
    finally:
        peer.close()
    problem = Sanity(target).exchange(draft)
    if problem is not None:
        return Violation("crash", "sanity", "gone", f"the target does not serve any more: {problem}")
    if silent or idle:
        return Violation("hang", "not-acknowledged", "silence", "what was sent was not acknowledged")
    return None


def _send(peer: Peer, script: op.Script) -> None:
    streams: dict[int, Stream] = {}
    for item in script:
        if peer.closed is not None:
            return
        match item:
            case op.RawStream():
                stream = streams.get(item.stream)
                if stream is None:
                    stream = streams[item.stream] = (peer.open_uni if item.uni else peer.open_bidi)()
                try:
                    stream.send(item.data, end_stream=item.fin)
                except StreamNotWritable:
                    continue
            case op.RawDatagram():
                peer.send_datagram_raw(item.data)
            case op.Fence():
                peer.link.run_until(lambda: True, 0.0)
            case _:
                continue
