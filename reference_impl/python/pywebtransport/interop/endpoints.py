"""The endpoints of the contract (docs/endpoints.md), but `observe` and `baton`."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import Any, ClassVar, Final

from pywebtransport.exceptions import DatagramError, SessionError, StreamError
from pywebtransport.framework.middleware import MiddlewareRejected, field_value
from pywebtransport.interop.hub import DRAFT_NAMES, Hub
from pywebtransport.interop.query import MAX_BYTES, BadParameter, Query, pattern
from pywebtransport.interop.service import Service
from pywebtransport.session import WebTransportSession
from pywebtransport.stream import WebTransportReceiveStream, WebTransportSendStream, WebTransportStream
from pywebtransport.types import Headers

DEFAULT_BYTES: Final = 16
_MAX_LABEL: Final = 255


class Stats(Service):
    """Describes this session and its connection."""

    name: ClassVar[str] = "stats"

    async def answer(self) -> Any:
        session, connection = self.session, self.session.connection
        facts = await session.diagnostics()
        info = connection.info
        quic = await connection.stats() or {}
        return {
            "sessions": connection.sessions_total,
            "streams_uni_received": facts.peer_streams_uni_opened,
            "streams_bidi_received": facts.peer_streams_bidi_opened,
            "bytes_received": facts.local_data_received,
            "bytes_sent": facts.local_data_sent,
            "datagrams_received": facts.datagrams_received,
            "datagrams_sent": facts.datagrams_sent,
            "draft": DRAFT_NAMES.get(session.draft),
            "protocol": session.wt_protocol,
            "flow_control": facts.flow_control_negotiated,
            "alpn": info.get("alpn"),
            "cipher": info.get("tls_cipher"),
            "server_name": info.get("server_name"),
            "peer_max_datagram_frame_size": info.get("peer_max_datagram_frame_size"),
            "reset_stream_at": info.get("reset_stream_at"),
            "max_datagram_size": session.max_datagram_size,
            "settings": _sides(quic, "settings"),
            "transport_parameters": _sides(quic, "transport_parameters"),
            "quic": quic,
        }


class Status(Service):
    """Describes the server."""

    name: ClassVar[str] = "status"

    async def answer(self) -> Any:
        return self.hub.status(self.session.draft)


class Close(Service):
    """Ends the session after a time, or after the first stream."""

    name: ClassVar[str] = "close"

    def __init__(self, session: WebTransportSession, query: Query, hub: Hub) -> None:
        super().__init__(session, query, hub)
        self._code = query.code()
        self._reason = query.text("reason")
        self._repeat = query.number("repeat", 1)
        self._after = query.milliseconds("after_ms")
        self._on = query.text("on", "time")
        if self._on not in ("time", "stream"):
            raise BadParameter(f"on={self._on[:40]!r} is neither time nor stream")
        self._uni, self._bidi = query.number("uni"), query.number("bidi")
        self._fin = query.flag("fin")
        self._connection = query.flag("connection")

    async def act(self) -> None:
        for _ in range(self._uni):
            await (await self.session.create_unidirectional_stream()).write(data=pattern(DEFAULT_BYTES))
        for _ in range(self._bidi):
            await (await self.session.create_bidirectional_stream()).write(data=pattern(DEFAULT_BYTES))
        if self._on == "stream":
            await self.touched.wait()
        await asyncio.sleep(self._after)
        if self._fin:
            await self.session.finish()
        else:
            await self.session.close(error_code=self._code, reason=self._reason * self._repeat)
        if self._connection:
            await self.session.connection.close()


class Drain(Service):
    """Announces the end of the session or of the connection, and goes on."""

    name: ClassVar[str] = "drain"

    def __init__(self, session: WebTransportSession, query: Query, hub: Hub) -> None:
        super().__init__(session, query, hub)
        self._after = query.milliseconds("after_ms")
        self._goaway = query.flag("goaway")

    async def act(self) -> None:
        await asyncio.sleep(self._after)
        if self._goaway:
            await self.session.connection.drain()
        else:
            await self.session.drain()


class Reject(Service):
    """Refuses."""

    name: ClassVar[str] = "reject"

    def __init__(self, session: WebTransportSession, query: Query, hub: Hub) -> None:
        super().__init__(session, query, hub)
        self._status = query.number("status", HTTPStatus.FORBIDDEN, low=300, high=599)
        self._location = query.optional("location")
        self.accept_after += query.milliseconds("after_ms")

    async def admit(self) -> None:
        headers: Headers = {} if self._location is None else {"location": self._location}
        raise MiddlewareRejected(status_code=self._status, headers=headers)


class Origin(Service):
    """Refuses the origins that are not in its list."""

    name: ClassVar[str] = "origin"

    async def admit(self) -> None:
        origin = field_value(self.session.headers, "origin")
        if origin is not None and origin not in self.query.all("allow"):
            raise MiddlewareRejected(status_code=HTTPStatus.FORBIDDEN)


class Push(Service):
    """Opens streams and sends datagrams."""

    name: ClassVar[str] = "push"

    def __init__(self, session: WebTransportSession, query: Query, hub: Hub) -> None:
        super().__init__(session, query, hub)
        self._uni, self._bidi = query.number("uni"), query.number("bidi")
        self._bytes = query.number("bytes", DEFAULT_BYTES, high=MAX_BYTES)
        self._fin = query.flag("fin", default=True)
        self._datagrams = query.number("datagrams")
        self._datagram_bytes = query.number("datagram_bytes", DEFAULT_BYTES, high=MAX_BYTES)
        self._interval = query.milliseconds("interval_ms")
        self._after = query.milliseconds("after_ms")

    async def act(self) -> None:
        await asyncio.sleep(self._after)
        self.spawn(self._send_datagrams())
        for _ in range(self._uni):
            self.spawn(self._push(await self.session.create_unidirectional_stream()))
        for _ in range(self._bidi):
            stream = await self.session.create_bidirectional_stream()
            self.spawn(self._push(stream))
            self.spawn(_discard(stream))

    async def _push(self, stream: WebTransportStream | WebTransportSendStream) -> None:
        await stream.write_all(data=pattern(self._bytes), end_stream=self._fin)

    async def _send_datagrams(self) -> None:
        for number in range(self._datagrams):
            if number:
                await asyncio.sleep(self._interval)
            try:
                await self.session.send_datagram(data=pattern(self._datagram_bytes))
            except DatagramError:
                return


class Reset(Service):
    """Resets streams, its own and those of the client."""

    name: ClassVar[str] = "reset"

    def __init__(self, session: WebTransportSession, query: Query, hub: Hub) -> None:
        super().__init__(session, query, hub)
        self._code = query.code()
        self._uni, self._bidi = query.number("uni"), query.number("bidi")
        self._bytes = query.number("bytes", DEFAULT_BYTES, high=MAX_BYTES)
        self._stop = query.flag("stop")

    async def act(self) -> None:
        for _ in range(self._uni):
            sender = await self.session.create_unidirectional_stream()
            await sender.write_all(data=pattern(self._bytes))
            await sender.reset(error_code=self._code)
        for _ in range(self._bidi):
            stream = await self.session.create_bidirectional_stream()
            await stream.write_all(data=pattern(self._bytes))
            await self._abandon(stream)

    async def on_bidi(self, stream: WebTransportStream) -> None:
        with contextlib.suppress(StreamError):
            await stream.read()
        await self._abandon(stream)

    async def on_uni(self, stream: WebTransportReceiveStream) -> None:
        await stream.read()
        await stream.stop_receiving(error_code=self._code)

    async def _abandon(self, stream: WebTransportStream) -> None:
        await stream.reset(error_code=self._code)
        if self._stop:
            await stream.stop_receiving(error_code=self._code)


class Protocols(Service):
    """Selects an application protocol."""

    name: ClassVar[str] = "protocols"

    def __init__(self, session: WebTransportSession, query: Query, hub: Hub) -> None:
        super().__init__(session, query, hub)
        self._supported = query.all("supports")
        self._required = query.flag("required")

    async def admit(self) -> None:
        offered = self.session.wt_available_protocols or []
        usable = [name for name in offered if not self._supported or name in self._supported]
        if usable:
            self.session.wt_protocol = usable[0]
        elif self._required:
            raise MiddlewareRejected(status_code=HTTPStatus.BAD_REQUEST)

    async def answer(self) -> Any:
        return {"offered": self.session.wt_available_protocols, "selected": self.session.wt_protocol}


class Exporter(Service):
    """Answers with keying material of the session."""

    name: ClassVar[str] = "exporter"

    def __init__(self, session: WebTransportSession, query: Query, hub: Hub) -> None:
        super().__init__(session, query, hub)
        self._label = query.text("label")
        self._context = query.octets("context") or b""
        self._length = query.number("length", 32, low=1, high=255)
        if len(self._label.encode()) > _MAX_LABEL or len(self._context) > _MAX_LABEL:
            raise BadParameter("label and context have at most 255 bytes")

    async def answer(self) -> Any:
        try:
            material = await self.session.export_keying_material(
                label=self._label, context=self._context, length=self._length
            )
        except SessionError:
            return {"keying_material": None}
        return {"keying_material": material.hex()}


def _sides(quic: dict[str, Any], name: str) -> dict[str, Any]:
    """Takes what both sides said out of the figures of a connection."""
    return {"local": quic.pop(name, None), "peer": quic.pop(f"peer_{name}", None)}


async def _discard(stream: WebTransportStream | WebTransportReceiveStream) -> None:
    while await stream.read():
        pass
