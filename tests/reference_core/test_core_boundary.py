"""The boundary between Python and the compiled core: buffers, errors, threads, the stub."""

from __future__ import annotations

import array
import asyncio
import hashlib
import ssl
import subprocess
import sys
import threading
from typing import Any

import pytest

from .support import DEADLINE, Side, core, pair

SERVER = {"bind": [("127.0.0.1", 0)]}


def test_stub_agrees_with_the_binary() -> None:
    pytest.importorskip("mypy.stubtest")
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "pywebtransport._core"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_cannot_change_is_referenced_and_the_rest_is_copied_once() -> None:
    with pair() as both:
        data = bytes(range(256)) * 400
        stream = both.client.endpoint.open_stream(both.session, False)
        before = sys.getrefcount(data)
        # More than the peer takes in flight, so that some of it is still held
        both.client.endpoint.write(stream, data)
        both.client.endpoint.write(stream, memoryview(data)[1:-1])
        assert sys.getrefcount(data) > before
        changing = bytearray(b"x" * 5000)
        both.client.endpoint.write(stream, changing)
        changing[:] = b"y" * 5000
        changing.extend(b"not exported any more")
        both.client.endpoint.write(stream, array.array("H", [0x4141] * 3), fin=True)
        there = both.server.expect(core.STREAM_INCOMING)[1]
        assert both.server.read_all(there) == data + data[1:-1] + b"x" * 5000 + b"A" * 6


def test_read_into_fills_the_callers_buffer() -> None:
    with pair() as both:
        stream = both.client.endpoint.open_stream(both.session, False)
        both.client.endpoint.write(stream, b"0123456789", fin=True)
        there = both.server.expect(core.STREAM_INCOMING)[1]
        both.server.expect(core.READABLE)
        target = bytearray(4)
        assert both.server.endpoint.read_into(there, memoryview(target)[1:]) == 3
        assert target == b"\x00012"
        assert both.server.endpoint.buffered(there) == 7
        assert both.server.read(there, 5) == b"34567"
        with pytest.raises(BufferError):
            both.server.endpoint.read_into(there, b"read-only")
        assert both.server.read(there) == b"89"
        assert both.server.read(there) == b""
        with pytest.raises(core.HandleError):
            both.server.endpoint.read(there)


def test_objects_without_a_buffer_are_refused() -> None:
    with pair() as both:
        stream = both.client.endpoint.open_stream(both.session, True)
        for wrong in ("text", 5, None, memoryview(b"abcd")[::2]):
            with pytest.raises((TypeError, BufferError)):
                both.client.endpoint.write(stream, wrong)
            with pytest.raises((TypeError, BufferError)):
                both.client.endpoint.send_datagram(both.session, wrong)


def test_resets_and_stops_are_exceptions_with_the_code() -> None:
    with pair() as both:
        stream = both.client.endpoint.open_stream(both.session, True)
        both.client.endpoint.write(stream, b"x")
        there = both.server.expect(core.STREAM_INCOMING)[1]
        both.server.endpoint.stop(there, 9)
        assert both.client.expect(core.STREAM_STOPPED) == (core.STREAM_STOPPED, stream, 9)
        with pytest.raises(core.StreamStoppedError) as stopped:
            both.client.endpoint.write(stream, b"y")
        assert stopped.value.args == (9,)
        both.server.endpoint.reset(there, 2**32 - 1)
        with pytest.raises(core.StreamResetError) as reset:
            both.client.read(stream)
        assert reset.value.args == (2**32 - 1,)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"unknown": 1}, "unknown"),
        ({"idle_timeout": -1.0}, "idle_timeout"),
        ({"idle_timeout": "long"}, "idle_timeout"),
        ({"verify": "maybe"}, "none, optional, required"),
        ({"drafts": [5]}, "drafts"),
        ({"drafts": []}, "drafts"),
        ({"event_queue": 0}, "event_queue"),
        ({"event_queue": -1}, "event_queue"),
        ({"initial_mtu": 1000}, "initial_mtu"),
        ({"bind": [("localhost", 0)]}, "localhost"),
        ({"certificate": "path"}, "certificate"),
        ({"certificate": b"none"}, "certificate"),
        ({"certificate_hashes": [b"short"]}, "certificate_hashes"),
        ({1: 2}, "strings"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_named(config: dict[Any, Any], named: str) -> None:
    with pytest.raises(core.ConfigError, match=named):
        core.Endpoint("client", config)


def test_arguments_that_cannot_be_sent_are_refused() -> None:
    with pair() as both:
        endpoint = both.client.endpoint
        for call in (
            lambda: endpoint.close_session(both.session, 2**32),
            lambda: endpoint.close_session(both.session, 0, "x" * 1025),
            lambda: endpoint.close_session(both.session, 1, capsule=False),
            lambda: endpoint.export_keying_material(both.session, b"x" * 256, b"", 32),
            lambda: endpoint.export_keying_material(both.session, b"x", b"", 0),
            lambda: endpoint.send_datagram(both.session, bytes(60_000)),
            lambda: endpoint.request_session(both.connection, "a", "/", headers=[("x", "\u20ac")]),
            lambda: both.server.endpoint.reject_session(both.server_session, status=200),
        ):
            with pytest.raises(ValueError, match=r"\w"):
                call()
        for call in (
            lambda: endpoint.open_stream(10**9, True),
            lambda: endpoint.write(10**9, b"x"),
            lambda: endpoint.goaway(10**9),
        ):
            with pytest.raises(core.HandleError):
                call()
        with pytest.raises(LookupError):
            endpoint.reset(10**9)
        endpoint.release(10**9)


def test_a_closed_endpoint_says_so_once_and_refuses() -> None:
    side = Side("client", bind=[("127.0.0.1", 0)])
    side.endpoint.close()
    assert side.endpoint.join(DEADLINE)
    assert side.expect(core.ENDPOINT_CLOSED) == (core.ENDPOINT_CLOSED, 0, None)
    assert side.endpoint.drain() == []
    with pytest.raises(core.ClosedError):
        side.endpoint.connect(("127.0.0.1", 1), "localhost")
    side.endpoint.close()


def test_waiting_leaves_other_threads_running() -> None:
    side = Side("client", bind=[("127.0.0.1", 0)])
    waiting = threading.Thread(target=lambda: side.endpoint.wait(DEADLINE))
    waiting.start()
    # Would not come here before the deadline if `wait` kept the interpreter to itself
    side.endpoint.close()
    waiting.join()
    assert side.endpoint.join(DEADLINE)


def test_certificates() -> None:
    certificate, key = core.generate_self_signed("example.org")
    assert b"PRIVATE KEY" in key
    der = ssl.PEM_cert_to_DER_cert(certificate.decode())
    assert core.certificate_hash(certificate) == hashlib.sha256(der).digest()
    with pytest.raises(core.ConfigError):
        core.certificate_hash(b"nothing")


def test_one_wake_up_of_the_event_loop_per_batch() -> None:
    with pair() as both:
        calls = 0
        received: list[bytes] = []

        async def main() -> None:
            nonlocal calls
            loop = asyncio.get_running_loop()
            done = loop.create_future()

            def on_readable() -> None:
                nonlocal calls
                calls += 1
                for event in both.server.endpoint.drain():
                    if event[0] == core.DATAGRAMS:
                        received.extend(event[2])
                        if b"last" in received and not done.done():
                            done.set_result(None)

            for number in range(20):
                both.client.endpoint.send_datagram(both.session, str(number).encode())
            both.client.endpoint.send_datagram(both.session, b"last")
            loop.add_reader(both.server.endpoint.fileno(), on_readable)
            async with asyncio.timeout(DEADLINE):
                await done
            loop.remove_reader(both.server.endpoint.fileno())

        asyncio.run(main())
        assert received == [str(number).encode() for number in range(20)] + [b"last"]
        assert calls <= len(received) + 1


def test_streams_at_once_are_as_many_as_the_peer_allows_and_know_their_ids() -> None:
    with pair({"initial_max_streams_uni": 6}) as both:
        endpoint, session = both.client.endpoint, both.session
        assert endpoint.open_stream_at_once(session, False) is None, "nothing is known as yet"
        first = endpoint.open_stream(session, False)
        number = both.client.expect(core.STREAM_OPENED)[2]
        opened = [first]
        # Each is seen by the I/O thread, which says so by its ID, before the next is asked for
        while (at_once := endpoint.open_stream_at_once(session, False)) is not None:
            opened.append(at_once[0])
            number += 4
            assert at_once[1]() == number
            both.client.answer(endpoint.connection_stats(both.connection))
        assert len(opened) == 6
        assert not both.client.events[core.STREAM_OPENED]
        for stream in opened:
            assert endpoint.write(stream, b"x", True)
            assert both.server.read_all(both.server.expect(core.STREAM_INCOMING)[1]) == b"x"
        assert at_once is None
        endpoint.open_stream(session, False)
        assert both.client.expect(core.STREAM_OPENED)[2] == number + 4


def test_what_is_put_off_is_done_with_the_flush() -> None:
    later: list[Any] = []
    with pair() as both:
        both.client.endpoint.defer(later.append)
        stream = both.client.endpoint.open_stream(both.session, True)
        both.client.endpoint.write(stream, b"put off", True)
        assert len(later) == 1
        later.pop()()
        assert both.server.read_all(both.server.expect(core.STREAM_INCOMING)[1]) == b"put off"
        stream = both.client.endpoint.open_stream(both.session, True)
        both.client.endpoint.write(stream, bytes(1 << 16), True)
        assert len(both.server.read_all(both.server.expect(core.STREAM_INCOMING)[1])) == 1 << 16


def test_without_an_event_loop_nothing_is_put_off() -> None:
    def closed(_: Any) -> None:
        raise RuntimeError("the loop is closed")

    with pair() as both:
        both.client.endpoint.defer(closed)
        stream = both.client.endpoint.open_stream(both.session, True)
        both.client.endpoint.write(stream, b"at once", True)
        assert both.server.read_all(both.server.expect(core.STREAM_INCOMING)[1]) == b"at once"
