"""The dynamic tables of the model server, both ways (RFC 9204 §2), seen by a client on the wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.peer import qpack
from conformance.peer.client import Peer
from conformance.peer.codepoints import H3, Setting, StreamType
from conformance.peer.drafts import Draft
from conformance.peer.events import FieldSection, H3Frame, UniStreamType
from conformance.peer.model import Behaviour
from conformance.peer.qpack_streams import Instruction, decoder_instructions, encoder_instructions
from conformance.peer.streams import RequestStream
from tests.peer_wt.support import World

UNKNOWN = "/nowhere"
READ = {
    StreamType.QPACK_ENCODER: encoder_instructions,
    StreamType.QPACK_DECODER: decoder_instructions,
}


def allowing(capacity: int, blocked_streams: int, behaviour: Behaviour | None = None) -> Peer:
    settings = {
        int(Setting.QPACK_MAX_TABLE_CAPACITY): capacity,
        int(Setting.QPACK_BLOCKED_STREAMS): blocked_streams,
    }
    return World(behaviour).connect(replace_settings=settings)


def refused(peer: Peer) -> RequestStream:
    """A request for a resource that does not exist: the response has fields beside its status."""
    request = peer.request_session(peer.connect_request_fields(UNKNOWN))
    assert peer.wait(lambda: request.answered)
    assert request.fields == ((b":status", b"405"), (b"allow", b"GET, HEAD"))
    return request


def instructions(peer: Peer, stream_type: StreamType) -> list[Instruction]:
    (stream_id,) = [
        event.stream_id
        for event in peer.events.of(UniStreamType, sent=False)
        if event.stream_type == stream_type
    ]
    return READ[stream_type](peer.streams[stream_id].received[1:])


def risked(peer: Peer) -> int:
    frames = [event for event in peer.events.of(H3Frame, sent=False) if event.frame_type == 1]
    assert len(frames) == len(peer.events.of(FieldSection, sent=False))
    return sum(frame.payload[0] != 0 for frame in frames)


@pytest.mark.parametrize("blocked_streams", [0, 1, 2])
def test_responses_risk_as_many_blocked_streams_as_the_client_allows(blocked_streams: int) -> None:
    peer = allowing(4096, blocked_streams)
    for _ in range(6):
        refused(peer)
    assert risked(peer) == blocked_streams
    assert [item.kind for item in instructions(peer, StreamType.QPACK_ENCODER)][:2] == ["capacity", "insert"]


def test_responses_refer_to_what_was_acknowledged() -> None:
    peer = allowing(4096, 0)
    refused(peer)
    refused(peer)
    inserted = [item for item in instructions(peer, StreamType.QPACK_ENCODER) if item.kind == "insert"]
    assert peer.decoder_stream is not None
    peer.decoder_stream.send(qpack.insert_count_increment(len(inserted)))
    assert peer.wait(peer.quic.acked)
    refused(peer)
    assert risked(peer) == 1


@pytest.mark.parametrize("capacity", [0, 1 << 40])
def test_a_client_without_a_table_or_with_a_huge_one_gets_static_references_only(capacity: int) -> None:
    peer = allowing(capacity, 16)
    for _ in range(4):
        refused(peer)
    assert risked(peer) == 0
    assert instructions(peer, StreamType.QPACK_ENCODER) == []


@pytest.mark.parametrize("capacity", [0, 4096])
@pytest.mark.parametrize("instruction", [qpack.section_acknowledgment(0), qpack.insert_count_increment(0)])
def test_what_the_encoder_has_not_sent_is_not_acknowledged(capacity: int, instruction: bytes) -> None:
    peer = allowing(capacity, 16)
    refused(peer)
    assert peer.decoder_stream is not None
    peer.decoder_stream.send(instruction)
    assert peer.wait(lambda: peer.closed is not None)
    assert peer.closed is not None and peer.closed.error_code == H3.QPACK_DECODER_STREAM_ERROR


def test_hooks_see_the_instructions_of_both_sides() -> None:
    """What is on its way to the table, and what is due to be reported."""
    seen: list[bytes] = []

    def noting(original: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        def note(data: bytes) -> bytes:
            seen.append(data)
            return original(data)

        return note

    behaviour = Behaviour()
    behaviour.encoder_instructions = noting(behaviour.encoder_instructions)  # type: ignore[method-assign]
    behaviour.decoder_instructions = noting(behaviour.decoder_instructions)  # type: ignore[method-assign]
    peer = World(behaviour).connect(Draft.D16)
    entry = qpack.set_capacity(220) + qpack.insert_literal(b"x-name", b"value")
    assert peer.encoder_stream is not None
    peer.encoder_stream.send(entry)
    assert peer.wait(peer.quic.acked)
    lines = b"".join(qpack.literal(name, value) for name, value in peer.connect_request_fields())
    section = qpack.section_prefix(2) + lines + qpack.indexed_dynamic(0)
    session = peer.request_session([], encoder=lambda _: section)
    assert peer.wait(lambda: session.established)
    assert seen == [entry, qpack.section_acknowledgment(session.id)]
    assert [item.encoded for item in instructions(peer, StreamType.QPACK_DECODER)] == seen[1:]
