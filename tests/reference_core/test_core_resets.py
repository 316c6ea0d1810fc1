"""What the compiled core sends and takes when a stream is reset once it is opened (draft-16 §4.4)."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from conformance.peer.errorcodes import to_http
from conformance.peer.events import QuicFrame, WireEvent
from conformance.peer.model import ModelServer
from conformance.peer.quic.options import Address
from conformance.peer.quic.udp import serve_forever

from .support import DEADLINE, Side, core, pair

BODY = b"before the reset"


class Listener:
    """The model server in a thread, and the frames that it received."""

    def __init__(self) -> None:
        self.frames: list[QuicFrame] = []
        self.address: Address = ("", 0)
        self._resets = threading.Semaphore(0)
        self._bound = threading.Event()
        self._stop = threading.Event()
        server = ModelServer(handler=self._take)
        self._thread = threading.Thread(
            target=serve_forever, args=(server, self._stop), kwargs={"ready": self._ready}
        )

    def _ready(self, address: Address) -> None:
        self.address = address
        self._bound.set()

    def _take(self, event: WireEvent) -> None:
        if isinstance(event, QuicFrame) and not event.sent:
            self.frames.append(event)
            if event.frame_name == "reset_stream_at":
                self._resets.release()

    def start(self) -> None:
        self._thread.start()
        assert self._bound.wait(DEADLINE)

    def reset(self) -> None:
        """Wait for one RESET_STREAM_AT."""
        assert self._resets.acquire(timeout=DEADLINE)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(DEADLINE)


@pytest.fixture
def listener() -> Iterator[Listener]:
    result = Listener()
    result.start()
    yield result
    result.stop()


@pytest.mark.parametrize("body", [b"", BODY])
def test_header_and_reset_are_on_the_wire(listener: Listener, body: bytes) -> None:
    """The header is sent, and RESET_STREAM_AT covers it and no more."""
    client = Side("client", bind=[("127.0.0.1", 0)], verify="none")
    try:
        connection = client.endpoint.connect(listener.address, "localhost")
        session = client.endpoint.request_session(connection, "localhost", "/echo")
        client.expect(core.SESSION_READY)
        stream = client.endpoint.open_stream(session, False)
        if body:
            client.endpoint.write(stream, body)
        client.endpoint.reset(stream, 0x1E)
        listener.reset()
    finally:
        client.endpoint.close(timeout=0.2)
        assert client.endpoint.join(DEADLINE)
    reset = next(frame.details for frame in listener.frames if frame.frame_name == "reset_stream_at")
    sent = [
        frame.details
        for frame in listener.frames
        if frame.frame_name == "stream" and frame.details["stream_id"] == reset["stream_id"]
    ]
    # Type 0x54 in two bytes and session 0 (draft-16 §4.2); an absent offset is 0 (RFC 9000 §19.8)
    header = b"\x40\x54\x00"
    assert sent[0].get("offset", 0) == 0
    assert (header + body).startswith(bytes(sent[0]["stream_data"]))
    assert bytes(sent[0]["stream_data"]).startswith(header)
    assert reset["reliable_size"] == len(header)
    assert reset["final_size"] == len(header + body)
    assert reset["application_protocol_error_code"] == to_http(0x1E)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_streams_that_are_reset_at_once_reach_the_application(bidirectional: bool) -> None:
    with pair() as both:
        for code in range(40):
            stream = both.client.endpoint.open_stream(both.session, bidirectional)
            both.client.endpoint.reset(stream, code)
        for _ in range(40):
            there = both.server.expect(core.STREAM_INCOMING)[1]
            with pytest.raises(core.StreamResetError) as reset:
                both.server.read_all(there)
            assert reset.value.args[0] in range(40)
            both.server.endpoint.release(there)


@pytest.mark.parametrize("server_first", [True, False])
def test_both_sides_stop_a_stream(server_first: bool) -> None:
    """Nothing of the stream is left when both resets are through; the application is told all the same."""
    with pair() as both:
        stream = both.client.endpoint.open_stream(both.session, True)
        both.client.endpoint.write(stream, b"x")
        there = both.server.expect(core.STREAM_INCOMING)[1]
        stops = [(both.server, there, 5), (both.client, stream, 9)]
        for side, handle, code in stops if server_first else reversed(stops):
            side.endpoint.stop(handle, code)
        assert both.server.expect(core.STREAM_STOPPED) == (core.STREAM_STOPPED, there, 9)
        assert both.client.expect(core.STREAM_STOPPED) == (core.STREAM_STOPPED, stream, 5)


def test_a_stop_behind_the_end_reaches_the_application() -> None:
    """RFC 9000 §3.5: as long as the end is not acknowledged, the peer may not have read all."""
    with pair() as both:
        stream = both.client.endpoint.open_stream(both.session, True)
        both.client.endpoint.write(stream, b"x")
        there = both.server.expect(core.STREAM_INCOMING)[1]
        # More than the client's window takes: the end cannot be acknowledged before the stop
        both.server.endpoint.write(there, bytes(8 << 20), fin=True)
        both.client.endpoint.stop(stream, 9)
        assert both.server.expect(core.STREAM_STOPPED) == (core.STREAM_STOPPED, there, 9)
