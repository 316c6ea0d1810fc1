"""RESET_STREAM_AT in both directions (draft-ietf-quic-reliable-stream-reset-10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.peer import events as wire
from conformance.peer.quic import StreamNotWritable, frames
from conformance.peer.quic.options import Address
from tests.peer_quic.support import CLIENT, Pair, frame_names, received, sent, stream_bytes

Fate = Callable[[bytes, Address, Address, float], Sequence[float]]


def of_stream(pair: Pair) -> list[tuple[str, object]]:
    """Return what the server saw of the stream's data and end, in order."""
    result: list[tuple[str, object]] = []
    for event in pair.served:
        if isinstance(event, wire.StreamData) and not event.sent:
            result.append(("end" if event.end_stream else "data", event.data))
        elif isinstance(event, wire.StreamReset) and not event.sent:
            result.append(("reset", (event.error_code, event.final_size, event.reliable_size)))
    return result


def lose_packets(numbers: Sequence[int]) -> Fate:
    """Lose the given packets (counted from 0) of the client."""
    count = iter(range(1_000_000))

    def fate(_data: bytes, source: Address, _destination: Address, _now: float) -> Sequence[float]:
        return () if source == CLIENT and next(count) in numbers else (0.005,)

    return fate


def test_both_code_points_are_announced_with_empty_values() -> None:
    pair = Pair().connect()
    for peer in (pair.client, pair.server):
        assert peer.peer_transport_parameters[0x1D] == b""
        assert peer.peer_transport_parameters[0x17F7586D2CB571] == b""


def test_data_below_the_reliable_size_is_delivered_before_the_reset() -> None:
    pair = Pair().connect()
    pair.client.send_stream(2, b"header")
    pair.client.reset_stream_at(2, 0x52E4, 6)
    (event,) = sent(pair.seen, wire.StreamReset)
    assert (event.final_size, event.reliable_size) == (6, 6)
    assert pair.run(pair.client.acked)
    assert of_stream(pair) == [("data", b"header"), ("reset", (0x52E4, 6, 6))]
    assert "reset_stream_at" in frame_names(pair.seen, are_sent=True)
    assert "reset_stream" not in frame_names(pair.seen, are_sent=True)


def test_data_that_was_not_sent_yet_is_cut_at_the_reliable_size() -> None:
    pair = Pair().connect()
    pair.client.send_stream(2, b"header and body", end_stream=True)
    pair.client.reset_stream_at(2, 9, 6)
    assert pair.run(pair.client.acked)
    assert of_stream(pair) == [("data", b"header"), ("reset", (9, 6, 6))]


def test_after_a_fin_was_sent_the_final_size_stays() -> None:
    pair = Pair().connect()
    pair.network.fate = lambda _data, source, *_rest: () if source == CLIENT else (0.005,)
    pair.client.send_stream(2, b"header and body", end_stream=True)
    pair.settle(0.001)
    pair.client.reset_stream_at(2, 9, 6)
    pair.settle(0.001)
    pair.network.fate = None
    assert pair.run(pair.client.acked)
    assert of_stream(pair) == [("data", b"header"), ("reset", (9, 15, 6))]


def test_nothing_reliable_is_a_plain_reset_in_another_frame() -> None:
    pair = Pair().connect()
    pair.client.send_stream(2, b"abc")
    pair.client.reset_stream_at(2, 1, 0)
    assert pair.run(pair.client.acked)
    assert of_stream(pair) == [("reset", (1, 0, 0))]


@pytest.mark.parametrize("first_lost", [0, 1, 2, 3])
def test_what_is_lost_is_sent_again(first_lost: int) -> None:
    pair = Pair().connect()
    pair.network.fate = lose_packets(range(first_lost, first_lost + 3))
    data = bytes(range(256)) * 16
    pair.client.send_stream(2, data)
    pair.client.reset_stream_at(2, 7, 3000)
    assert pair.run(pair.client.acked, 30.0)
    assert stream_bytes(pair.served, 2) == data[:3000]
    assert of_stream(pair)[-1] == ("reset", (7, 3000, 3000))


def test_data_above_the_reliable_size_is_not_sent_again() -> None:
    pair = Pair().connect()
    data = b"x" * 3000
    pair.network.fate = lambda _data, source, *_rest: () if source == CLIENT else (0.005,)
    pair.client.send_stream(2, data)
    pair.settle(0.001)
    pair.client.reset_stream_at(2, 7, 10)
    pair.settle(0.001)
    pair.network.fate = None
    assert pair.run(pair.client.acked, 30.0)
    assert of_stream(pair) == [("data", b"x" * 10), ("reset", (7, 3000, 10))]


def test_the_reliable_size_may_shrink_but_not_grow() -> None:
    pair = Pair().connect()
    pair.client.send_stream(2, b"0123456789")
    pair.settle(0.001)
    pair.client.reset_stream_at(2, 7, 8)
    with pytest.raises(StreamNotWritable):
        pair.client.reset_stream_at(2, 7, 9)
    with pytest.raises(StreamNotWritable):
        pair.client.send_stream(2, b"more")
    pair.client.reset_stream_at(2, 7, 4)
    pair.client.reset_stream(2, 99)  # a plain reset, with the error code that must not change
    pair.client.reset_stream(2, 98)
    pair.client.reset_stream_at(2, 98, 0)  # without effect
    reported = [(event.error_code, event.reliable_size) for event in sent(pair.seen, wire.StreamReset)]
    assert reported == [(7, 8), (7, 4), (7, None)]
    assert pair.run(pair.client.acked)
    assert of_stream(pair) == [("data", b"0123456789"), ("reset", (7, 10, None))]


def test_more_than_was_written_cannot_be_promised() -> None:
    pair = Pair().connect()
    pair.client.send_stream(2, b"abc")
    with pytest.raises(StreamNotWritable):
        pair.client.reset_stream_at(2, 7, 4)


def test_the_frame_waits_for_flow_control_credit() -> None:
    pair = Pair(server={"max_stream_data": 1000}).connect()
    pair.client.send_stream(2, b"x" * 5000)
    pair.client.reset_stream_at(2, 7, 4000)
    assert pair.run(pair.client.acked)
    assert pair.server.closed is None
    assert len(stream_bytes(pair.served, 2)) == 4000


def test_stop_sending_after_the_reset_is_answered_with_a_plain_one() -> None:
    pair = Pair(server={"max_stream_data": 1000, "raise_limits": False}).connect()
    pair.client.send_stream(0, b"x" * 5000)
    pair.client.reset_stream_at(0, 7, 4000)  # never completes: the credit ends at 1000
    assert pair.run(lambda: len(stream_bytes(pair.served, 0)) == 1000)
    pair.server.stop_sending(0, 3)
    assert pair.run(lambda: bool(received(pair.served, wire.StreamReset)))
    assert of_stream(pair)[-1] == ("reset", (7, 1000, None))
    assert pair.run(pair.client.acked)


def test_finished_streams_are_forgotten_on_both_sides() -> None:
    pair = Pair().connect()
    for _ in range(5):
        stream = pair.client.next_stream_id(unidirectional=True)
        pair.client.send_stream(stream, b"header")
        pair.client.reset_stream_at(stream, 7, 6)
    assert pair.run(pair.client.acked)
    pair.client.send_ping()
    pair.server.send_ping()
    pair.settle()
    assert not pair.client._engine._streams and not pair.server._engine._streams


# --- frames made by hand, in every order ---


def stream_frames(order: Sequence[bytes]) -> Pair:
    pair = Pair().connect()
    for payload in order:
        pair.client.inject_frames(payload)
    pair.settle(0.5)
    return pair


def test_a_reset_before_its_data_waits_for_it() -> None:
    pair = stream_frames(
        [
            frames.reset_stream_at(2, 5, 10, 6),
            frames.stream(2, b"der!", offset=3),
            frames.stream(2, b"hea"),
            frames.stream(2, b"late", offset=6),
        ]
    )
    assert of_stream(pair) == [("data", b"header!"), ("reset", (5, 10, 6))]


def test_a_fin_beside_the_reset_is_still_an_abrupt_end() -> None:
    pair = stream_frames([frames.reset_stream_at(2, 5, 6, 6), frames.stream(2, b"header", fin=True)])
    assert of_stream(pair) == [("data", b"header"), ("reset", (5, 6, 6))]


def test_a_growing_reliable_size_is_ignored_and_a_smaller_one_counts() -> None:
    pair = stream_frames(
        [
            frames.reset_stream_at(2, 5, 10, 6),
            frames.reset_stream_at(2, 5, 10, 8),
            frames.stream(2, b"abc"),
            frames.reset_stream_at(2, 5, 10, 3),
        ]
    )
    assert of_stream(pair) == [("data", b"abc"), ("reset", (5, 10, 3))]


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ([frames.reset_stream_at(2, 5, 5, 6)], 0x07),  # §4: FRAME_ENCODING_ERROR
        ([frames.reset_stream_at(2, 5, 10, 6), frames.reset_stream_at(2, 6, 10, 3)], 0x05),  # §5.2
        ([frames.reset_stream_at(2, 5, 10, 6), frames.reset_stream_at(2, 5, 11, 3)], 0x06),  # §5.2
        ([frames.reset_stream_at(2, 5, 10, 6), frames.reset_stream(2, 6, 10)], 0x05),
        ([frames.reset_stream_at(2, 5, 10, 6), frames.stream(2, b"abc", offset=8)], 0x06),
        ([frames.stream(2, b"abc", offset=8), frames.reset_stream_at(2, 5, 10, 6)], 0x06),
        ([frames.reset_stream_at(2, 5, 2**40, 6)], 0x03),  # §4: FLOW_CONTROL_ERROR
        ([frames.reset_stream_at(3, 5, 0, 0)], 0x05),  # a stream that only the server sends on
        ([frames.reset_stream_at(2**40 + 2, 5, 0, 0)], 0x04),  # STREAM_LIMIT_ERROR
    ],
)
def test_violations_close_the_connection(order: list[bytes], code: int) -> None:
    closed = stream_frames(order).server.closed
    assert closed is not None and (closed.by, closed.error_code) == ("local", code)


def test_the_frame_is_unknown_where_it_was_not_announced() -> None:
    pair = Pair(server={"reset_stream_at": ()}).connect()
    assert 0x1D not in pair.client.peer_transport_parameters
    pair.client.send_stream(2, b"abc")
    pair.client.reset_stream_at(2, 1, 3)
    pair.settle()
    assert pair.server.closed is not None and pair.server.closed.error_code == 0x07


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 6000),
    st.integers(0, 6000),
    st.sets(st.integers(0, 12), max_size=6),
    st.booleans(),
    st.booleans(),
)
def test_under_any_loss_the_reliable_part_arrives(
    written: int, reliable: int, lost: set[int], sent_first: bool, fin: bool
) -> None:
    reliable = min(reliable, written)
    pair = Pair().connect()
    pair.network.fate = lose_packets(tuple(lost))
    data = bytes(index % 251 for index in range(written))
    pair.client.send_stream(2, data, end_stream=fin)
    if sent_first:
        pair.settle(0.002)
    pair.client.reset_stream_at(2, 7, reliable)
    assert pair.run(pair.client.acked, 120.0)
    pair.settle(0.1)
    arrived = stream_bytes(pair.served, 2)
    assert arrived == data[: len(arrived)] and len(arrived) >= reliable
    ends = [what for what in of_stream(pair) if what[0] != "data"]
    assert len(ends) == 1 and (ends[0][0] == "reset" or (fin and sent_first and len(arrived) == written))
    assert pair.server.closed is None
