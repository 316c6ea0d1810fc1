"""The endpoint `observe`: what the application sees, so that it can be compared with what was on the wire."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from pywebtransport.connection import request_protocol
from pywebtransport.events import Event
from pywebtransport.exceptions import StreamError
from pywebtransport.framework.middleware import field_value
from pywebtransport.interop.hub import MAX_RECORDED_BYTES, Hub, Records
from pywebtransport.interop.query import BadParameter, Query
from pywebtransport.interop.service import Service, application_code, encode, end_like
from pywebtransport.session import WebTransportSession
from pywebtransport.stream import WebTransportReceiveStream, WebTransportSendStream, WebTransportStream
from pywebtransport.types import EventType

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Observe(Service):
    """Records a session under `id`, or answers with the records of `read`."""

    name: ClassVar[str] = "observe"

    def __init__(self, session: WebTransportSession, query: Query, hub: Hub) -> None:
        super().__init__(session, query, hub)
        self._id = _identifier(query, "id")
        self._read = _identifier(query, "read")
        self._echo = query.flag("echo")
        self._select = query.optional("select")
        self._records = Records() if self._id is None else hub.records(self._id)
        self._number = 0
        self._streams = 0
        self._bytes_left = MAX_RECORDED_BYTES

    async def admit(self) -> None:
        offered = self.session.wt_available_protocols
        if self._select is not None and offered and self._select in offered:
            self.session.wt_protocol = self._select

    async def answer(self) -> Any:
        return None if self._read is None else self.hub.recorded(self._read)

    async def run(self) -> None:
        headers = self.session.headers
        lines = headers.items() if isinstance(headers, dict) else headers
        pairs = [(_text(name), _text(value)) for name, value in lines]
        self._number = self._records.begin_session()
        self._record(
            "session",
            protocol=request_protocol(self.session.draft),
            authority=field_value(headers, ":authority"),
            path=self.session.path,
            origin=field_value(headers, "origin"),
            headers=[[name, value] for name, value in pairs if not name.startswith(":")],
            offered_protocols=self.session.wt_available_protocols,
            selected_protocol=self.session.wt_protocol,
        )
        self.session.events.on(event_type=EventType.SESSION_DRAINING, handler=self._on_draining)
        try:
            await super().run()
        finally:
            self._record_end()

    def on_datagram(self, data: bytes) -> None:
        self._record("datagram", length=len(data), **self._body(data))
        if self._echo:
            super().on_datagram(data)

    async def on_bidi(self, stream: WebTransportStream) -> None:
        number = self._begin("bidi")

        async def stopped(event: Event) -> None:
            code = (event.data or {})["error_code"]
            self._record("stop", stream=number, code=code)
            if self._echo:
                await stream.stop_receiving(error_code=code or 0)

        stream.events.on(event_type=EventType.STOP_SENDING_RECEIVED, handler=stopped)
        try:
            carried = await self._copy(number, stream, stream if self._echo else None)
        except StreamError as error:
            if self._echo:
                await end_like(stream, error)
            return
        if not carried and self._read is not None:
            await stream.write_all(data=encode(await self.answer()), end_stream=True)
        elif self._echo:
            await stream.write(data=b"", end_stream=True)

    async def on_uni(self, stream: WebTransportReceiveStream) -> None:
        number = self._begin("uni")
        back = await self.session.create_unidirectional_stream() if self._echo else None
        try:
            await self._copy(number, stream, back)
            if back is not None:
                await back.write(data=b"", end_stream=True)
        except StreamError as error:
            if back is not None and back.can_write:
                await back.reset(error_code=application_code(error))

    async def _copy(
        self,
        number: int,
        stream: WebTransportStream | WebTransportReceiveStream,
        back: WebTransportStream | WebTransportSendStream | None,
    ) -> bool:
        """Record a stream to its end; returns whether it carried a byte."""
        carried = False
        try:
            while data := await stream.read():
                carried = True
                self._record("data", stream=number, length=len(data), **self._body(data))
                if back is not None:
                    await back.write(data=data)
        except StreamError as error:
            if error.details.get("reset"):
                self._record("reset", stream=number, code=error.details["application_code"])
            raise
        self._record("fin", stream=number)
        return carried

    def _begin(self, kind: str) -> int:
        number = self._streams
        self._streams += 1
        self._record("stream", stream=number, kind=kind, initiator="client")
        return number

    def _body(self, data: bytes) -> dict[str, str]:
        if len(data) > self._bytes_left:
            return {}
        self._bytes_left -= len(data)
        return {"data": data.hex()}

    def _record(self, event: str, **members: Any) -> None:
        if self._id is not None:
            self._records.add(event, self._number, **members)

    def _on_draining(self, event: Event) -> None:
        self._record("draining")

    def _record_end(self) -> None:
        clean = self.session.close_source in ("peer", "local")
        code, reason = (self.session.close_code, self.session.close_reason) if clean else (None, None)
        self._record("closed", code=code, reason=reason, clean=clean)


def _identifier(query: Query, name: str) -> str | None:
    value = query.optional(name)
    if value is not None and _ID.fullmatch(value) is None:
        raise BadParameter(f"{name} is not 1 to 64 characters of A-Z a-z 0-9 . _ -")
    return value


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
