"""The benchmark on aioquic's own HTTP/3 layer. Arguments and output as `pywebtransport_peer.py`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import sys
from collections import defaultdict
from typing import Any

import wire
from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.asyncio import serve as listen
from aioquic.h3.connection import H3_ALPN, FrameType, H3Connection
from aioquic.h3.events import DatagramReceived, HeadersReceived, WebTransportStreamDataReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent

HIGH_WATER = 4 << 20


class Server(QuicConnectionProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._http = H3Connection(self._quic, enable_webtransport=True)
        self._datagrams = 0
        self._bodies: dict[int, bytearray] = defaultdict(bytearray)
        self._swallowed: dict[int, int] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        for item in self._http.handle_event(event):
            if isinstance(item, HeadersReceived):
                self._http.send_headers(item.stream_id, [(b":status", b"200")])
            elif isinstance(item, DatagramReceived):
                self._datagrams += 1
                if item.data[:1] == b"e":
                    self._http.send_datagram(item.stream_id, item.data)
            elif isinstance(item, WebTransportStreamDataReceived):
                self._stream(item.stream_id, item.data, item.stream_ended)
        self.transmit()

    def _stream(self, stream_id: int, data: bytes, ended: bool) -> None:
        if stream_id in self._swallowed or (not self._bodies[stream_id] and data[:1] == b"s"):
            self._bodies.pop(stream_id, None)
            self._swallowed[stream_id] = self._swallowed.get(stream_id, -1) + len(data)
            if ended:
                answer = self._swallowed.pop(stream_id).to_bytes(8, "big")
                self._quic.send_stream_data(stream_id, answer, end_stream=True)
            return
        body = self._bodies[stream_id]
        body += data
        if body[:1] == b"d" and len(body) == 9:
            size = int.from_bytes(self._bodies.pop(stream_id)[1:], "big")
            self._quic.send_stream_data(stream_id, bytes(size), end_stream=True)
        elif ended:
            answer = wire.answer_of(bytes(self._bodies.pop(stream_id)), self._datagrams)
            self._quic.send_stream_data(stream_id, answer or b"", end_stream=True)


class Client(QuicConnectionProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._http = H3Connection(self._quic, enable_webtransport=True)
        self._waiting: dict[int, tuple[list[bytes], asyncio.Future[bytes]]] = {}
        self._echoes: asyncio.Queue[bytes] = asyncio.Queue()
        self._accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._session_id = 0

    async def establish(self, port: int) -> None:
        self._session_id = self._quic.get_next_available_stream_id()
        headers = {
            ":method": "CONNECT",
            ":scheme": "https",
            ":authority": f"127.0.0.1:{port}",
            ":path": "/",
            ":protocol": "webtransport",
            "sec-webtransport-http3-draft02": "1",
        }
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._http.send_headers(self._session_id, lines)
        self.transmit()
        await self._accepted

    def quic_event_received(self, event: QuicEvent) -> None:
        for item in self._http.handle_event(event):
            if isinstance(item, HeadersReceived) and not self._accepted.done():
                self._accepted.set_result(None)
            elif isinstance(item, DatagramReceived):
                self._echoes.put_nowait(item.data)
            elif isinstance(item, WebTransportStreamDataReceived) and item.stream_id in self._waiting:
                chunks, future = self._waiting[item.stream_id]
                chunks.append(item.data)
                if item.stream_ended and not future.done():
                    future.set_result(b"".join(chunks))

    async def request(self, data: bytes, more: int = 0) -> bytes:
        stream_id = self._http.create_webtransport_stream(self._session_id)
        # Without this aioquic takes the answer for HTTP/3 frames.
        with self._http._get_or_create_stream(stream_id) as stream:
            stream.frame_type, stream.session_id = FrameType.WEBTRANSPORT_STREAM, self._session_id
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[stream_id] = ([], future)
        self._quic.send_stream_data(stream_id, data, end_stream=not more)
        if more:
            self._quic.send_stream_data(stream_id, bytes(more), end_stream=True)
        self.transmit()
        try:
            return await future
        finally:
            del self._waiting[stream_id]

    async def upload(self, size: int) -> bytes:
        return await self.request(b"s", size)

    async def download(self, size: int) -> int:
        stream_id_data = b"d" + size.to_bytes(8, "big")
        return len(await self.request(stream_id_data))

    async def round_trip(self, data: bytes) -> bytes | None:
        self.send_datagram(data)
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(1):
                return await self._echoes.get()
        return None

    async def send_datagrams(self, data: bytes, count: int) -> None:
        for _ in range(count):
            self._http.send_datagram(self._session_id, data)
        self.transmit()

    async def end(self) -> None:
        self.close()

    def send_datagram(self, data: bytes) -> None:
        self._http.send_datagram(self._session_id, data)
        self.transmit()


def configuration(is_client: bool) -> QuicConfiguration:
    result = QuicConfiguration(
        is_client=is_client, alpn_protocols=H3_ALPN, max_datagram_frame_size=65536, verify_mode=ssl.CERT_NONE
    )
    result.max_data, result.max_stream_data = 16 << 20, HIGH_WATER
    return result


async def serve(port: int, cert: str, key: str) -> None:
    settings = configuration(False)
    settings.load_cert_chain(cert, key)
    await listen("127.0.0.1", port, configuration=settings, create_protocol=Server)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def measure(port: int, workload: str, amount: int) -> None:
    async with contextlib.AsyncExitStack() as connections:

        async def establish() -> Client:
            context = connect("127.0.0.1", port, configuration=configuration(True), create_protocol=Client)
            protocol = await connections.enter_async_context(context)
            assert isinstance(protocol, Client)
            await protocol.establish(port)
            return protocol

        await wire.run(establish, workload, amount)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    role, port, *rest = sys.argv[1:]
    if role == "server":
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(int(port), rest[0], rest[1]))
    else:
        asyncio.run(measure(int(port), rest[0], int(rest[1])))
