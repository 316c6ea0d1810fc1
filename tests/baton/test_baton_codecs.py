"""Message and query of the Devious Baton protocol; golden bytes are derived from the text of the draft."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.peer.baton.message import Message, MessageReader, encode_message, read_message
from conformance.peer.baton.query import Parameters, Refusal, allowed_answers, read_query

# §4.3: padding length (variable-length integer), so many bytes of padding, one byte of value.
GOLDEN = [
    (b"\x00\x07", Message(7, 0)),
    (b"\x03abc\xff", Message(255, 3)),
    (b"\x40\x02xx\x00", Message(0, 2)),
    (b"\x40\x40" + bytes(64) + b"\x2a", Message(42, 64)),
    (b"\xc0\x00\x00\x00\x00\x00\x00\x01\x99\x01", Message(1, 1)),
]


@pytest.mark.parametrize(("data", "message"), GOLDEN)
def test_messages_are_read_from_their_bytes(data: bytes, message: Message) -> None:
    assert read_message(data).message == message


@given(
    value=st.integers(0, 255),
    padding=st.binary(max_size=300),
    length_bytes=st.sampled_from([None, 4, 8]),
    trailing=st.binary(max_size=5),
    cuts=st.lists(st.integers(0, 320), max_size=6),
)
def test_any_pieces_of_a_message_give_the_message(
    value: int, padding: bytes, length_bytes: int | None, trailing: bytes, cuts: list[int]
) -> None:
    data = encode_message(value, padding, length_bytes=length_bytes) + trailing
    reader = MessageReader()
    positions = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found = [reader.feed(data[a:b]) for a, b in itertools.pairwise(positions)]
    assert [message for message in found if message] == [Message(value, len(padding))]
    assert (reader.trailing, reader.received) == (len(trailing), len(data))


@given(value=st.integers(0, 255), padding=st.binary(max_size=100), data=st.data())
def test_no_part_of_a_message_is_a_message(value: int, padding: bytes, data: st.DataObject) -> None:
    whole = encode_message(value, padding)
    assert read_message(whole[: data.draw(st.integers(0, len(whole) - 1))]).message is None


@given(st.binary(max_size=50))
def test_any_bytes_can_be_read(data: bytes) -> None:
    reader = read_message(data)
    assert reader.received == len(data)


def test_a_huge_padding_length_costs_nothing() -> None:
    reader = MessageReader()
    assert reader.feed(b"\xff" * 8 + bytes(1000)) is None
    assert len(reader._head) < 8


@pytest.mark.parametrize("value", [-1, 256])
def test_a_value_is_one_byte(value: int) -> None:
    with pytest.raises(OverflowError):
        encode_message(value)


# query -> what is read, and how a server may answer (§3.1, AMB-30)
QUERIES = [
    ("", Parameters(), "accept"),
    ("version=0&baton=250&count=1", Parameters(baton=250), "accept"),
    ("?baton=1", Parameters(baton=1), "accept"),
    ("baton=255", Parameters(baton=255), "accept"),
    ("version=1", Refusal("version", "DB-3-03"), "refuse"),
    ("version=99", Refusal("version", "DB-3-03"), "refuse"),
    ("version=abc", Refusal("version", "DB-3-03"), "refuse"),
    ("version=-1&count=3", Refusal("version", "DB-3-03"), "refuse"),
    ("version=", Refusal("version", "DB-3-03"), "accept refuse"),
    ("version=00", Parameters(), "accept refuse"),
    ("baton=0", Refusal("baton", "DB-3-04"), "refuse"),
    ("baton=256", Refusal("baton", "DB-3-04"), "refuse"),
    ("baton=-1", Refusal("baton", "DB-3-04"), "refuse"),
    ("baton=x", Refusal("baton", "DB-3-04"), "refuse"),
    ("baton=1.5", Refusal("baton", "DB-3-04"), "refuse"),
    ("baton=٣", Refusal("baton", "DB-3-04"), "refuse"),
    ("baton=" + "9" * 5000, Refusal("baton", "DB-3-04"), "refuse"),
    ("baton=256&unknown=1", Refusal("baton", "DB-3-04"), "refuse"),
    ("baton=007", Parameters(baton=7), "accept refuse"),
    ("baton=7&baton=8", Parameters(baton=7), "accept"),
    ("baton=7&baton=300", Parameters(baton=7), "accept refuse"),
    ("count=3", Parameters(count=3), "accept refuse"),
    ("count=100000", Refusal("count", "DB-3-05"), "accept refuse"),
    ("count=0", Refusal("count", "DB-3-05"), "accept refuse"),
    ("count=-1", Refusal("count", "DB-3-05"), "accept refuse"),
    ("count=x", Refusal("count", "DB-3-05"), "accept refuse"),
    ("unknown=1", Parameters(), "accept refuse"),
]


@pytest.mark.parametrize(("query", "expected", "answers"), QUERIES)
def test_queries_are_read_and_judged(query: str, expected: Parameters | Refusal, answers: str) -> None:
    assert read_query(query) == expected
    assert allowed_answers(query) == set(answers.split())


@given(
    st.text(max_size=40) | st.lists(st.tuples(st.sampled_from(["version", "baton", "count", "x"]), st.text()))
)
def test_what_is_read_is_one_of_the_allowed_answers(query: str | list[tuple[str, str]]) -> None:
    answer = "refuse" if isinstance(read_query(query), Refusal) else "accept"
    assert answer in allowed_answers(query)


@given(baton=st.none() | st.integers(1, 255), count=st.integers(1, 256))
def test_the_path_of_parameters_is_read_back(baton: int | None, count: int) -> None:
    parameters = Parameters(baton=baton, count=count)
    path, _, query = parameters.path().partition("?")
    assert path == "/webtransport/devious-baton"
    assert read_query(query) == parameters
