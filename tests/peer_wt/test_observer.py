"""The HTTP/3 observer takes anything, in any portions, and its bounds hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conformance.peer import qpack
from conformance.peer.capsules import MAX_CAPSULE_VALUE, capsule, close_capsule
from conformance.peer.events import (
    Capsule,
    FieldSection,
    Goaway,
    H3Frame,
    Malformed,
    Settings,
    StreamData,
    StreamReset,
    UniStreamType,
    WireEvent,
    WtStream,
    WtStreamData,
)
from conformance.peer.h3 import MAX_DATA_IN_LOG, H3Observer
from conformance.peer.h3frames import data_frame, frame, goaway_frame, headers_frame
from conformance.peer.settings import encode_settings

CONNECT = [(b":method", b"CONNECT"), (b":protocol", b"webtransport-h3"), (b":path", b"/")]
REQUEST = headers_frame(qpack.encode_literal(CONNECT))
OK = headers_frame(qpack.encode_static([(b":status", b"200")]))
REFUSED = headers_frame(qpack.encode_static([(b":status", b"404")]))


class Watch:
    """An observer of a client's connection with what it reported."""

    def __init__(self) -> None:
        self.events: list[WireEvent] = []
        self.observer = H3Observer(self.events.append, is_client=True)

    def feed(
        self, stream_id: int, data: bytes, *, sent: bool, end: bool = False, portion: int = 1000
    ) -> None:
        portions = [data[at : at + portion] for at in range(0, len(data), portion)] or [b""]
        for index, part in enumerate(portions):
            last = end and index == len(portions) - 1
            self.observer.observe(
                StreamData(time=0.0, sent=sent, stream_id=stream_id, data=part, end_stream=last)
            )

    def kinds(self) -> list[type[WireEvent]]:
        return [type(event) for event in self.events]


def test_session_with_capsules_both_ways() -> None:
    for portion in (1, 2, 1000):
        watch = Watch()
        watch.feed(
            0, REQUEST + data_frame(b"\x68") + data_frame(b"\x43\x04" + bytes(4)), sent=True, portion=portion
        )
        watch.feed(0, OK + data_frame(close_capsule(1, b"x")), sent=False, end=True, portion=portion)
        found = [event for event in watch.events if isinstance(event, Capsule)]
        assert [(event.sent, event.value) for event in found] == [(True, bytes(4)), (False, b"\0\0\0\1x")]
        assert Malformed not in watch.kinds()


def test_content_of_a_refusal_is_no_capsule() -> None:
    watch = Watch()
    watch.feed(0, REQUEST, sent=True)
    watch.feed(0, REFUSED + data_frame(b"\x00\x01x"), sent=False)
    assert Capsule not in watch.kinds()


def test_control_stream() -> None:
    watch = Watch()
    watch.feed(3, b"\x00" + encode_settings([(0x33, 1), (0x33, 1)]) + goaway_frame(4), sent=False, portion=1)
    assert watch.kinds() == [UniStreamType, H3Frame, Settings, H3Frame, Goaway]
    settings = watch.events[2]
    assert isinstance(settings, Settings)
    assert settings.entries == ((0x33, 1), (0x33, 1))


def test_webtransport_streams() -> None:
    watch = Watch()
    watch.feed(4, bytes.fromhex("8000004100") + b"ab", sent=True, end=True)
    watch.feed(4, b"cd", sent=False, end=True)
    watch.feed(1, bytes.fromhex("404100") + b"ef", sent=False)
    watch.feed(1, b"gh", sent=True)
    headers = [event for event in watch.events if isinstance(event, WtStream)]
    assert [(event.stream_id, event.header_length) for event in headers] == [(4, 5), (1, 3)]
    data = [event for event in watch.events if isinstance(event, WtStreamData)]
    assert [(event.sent, event.data, event.end_stream) for event in data] == [
        (True, b"ab", False),
        (True, b"", True),
        (False, b"cd", False),
        (False, b"", True),
        (False, b"ef", False),
        (True, b"gh", False),
    ]


def test_a_reset_of_one_direction_leaves_the_other_a_webtransport_stream() -> None:
    watch = Watch()
    watch.feed(0, REQUEST, sent=True)
    watch.feed(4, b"\x40\x41\x00ping", sent=True)
    watch.observer.observe(
        StreamReset(time=0.0, sent=True, stream_id=4, error_code=7, final_size=7, reliable_size=None)
    )
    watch.feed(4, b"\x01\x02\x03\x04", sent=False)
    bodies = [event.data for event in watch.events if isinstance(event, WtStreamData) and not event.sent]
    assert bodies == [b"\x01\x02\x03\x04"]
    assert Malformed not in watch.kinds()


def test_long_items_are_counted_and_cut() -> None:
    watch = Watch()
    watch.feed(0, REQUEST + data_frame(capsule(0x17, bytes(200_000))), sent=True)
    frame_event = next(e for e in watch.events if isinstance(e, H3Frame) and e.frame_type == 0)
    assert frame_event.length > 200_000
    assert len(frame_event.payload) == MAX_DATA_IN_LOG
    found = next(event for event in watch.events if isinstance(event, Capsule))
    assert len(found.value) == MAX_CAPSULE_VALUE


def test_malformed_input_is_reported() -> None:
    watch = Watch()
    watch.feed(0, headers_frame(qpack.section_prefix() + qpack.indexed_static(99)), sent=False)
    watch.feed(3, b"\x00" + frame(0x04, b"\x33") + frame(0x07, b"\x00\x00"), sent=False)
    watch.feed(4, frame(0, b"x", declared_length=9), sent=False, end=True)
    watch.feed(7, b"\x40\x54", sent=False, end=True)
    assert watch.kinds().count(Malformed) == 5


@given(
    st.lists(st.tuples(st.integers(0, 15), st.booleans(), st.binary(max_size=60), st.booleans()), max_size=8)
)
def test_anything_goes(parts: list[tuple[int, bool, bytes, bool]]) -> None:
    watch = Watch()
    for stream_id, sent, data, end in parts:
        watch.feed(stream_id, data, sent=sent, end=end, portion=7)
    assert all(not isinstance(event, FieldSection) or event.fields is not None for event in watch.events)
