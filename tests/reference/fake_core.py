"""An in-process stand-in for `pywebtransport._core`: the Python layers are tested without the compiled
module.

Endpoints of one process find each other by port. Everything that one side does reaches the other at its next
`drain`: no sockets, no threads, no loss. Only the behaviour that the boundary (`_core.pyi`) promises is
modelled.
"""

from __future__ import annotations

import itertools
import socket
from collections import deque
from typing import Any

(
    CONNECTION_READY,
    CONNECTION_CLOSED,
    SESSION_REQUEST,
    SESSION_READY,
    SESSION_REJECTED,
    SESSION_DRAINING,
    SESSION_CLOSED,
    STREAM_OPENED,
    STREAM_FAILED,
    STREAM_INCOMING,
    READABLE,
    WRITABLE,
    STREAM_STOPPED,
    STREAM_FINISHED,
    DATAGRAMS,
    ANSWER,
    ENDPOINT_CLOSED,
) = range(17)

version = "fake"
MAX_DATAGRAM = 1200


class HandleError(LookupError):
    pass


class ClosedError(HandleError):
    pass


class ConfigError(ValueError):
    pass


class StreamResetError(ConnectionError):
    pass


class StreamStoppedError(ConnectionError):
    pass


class _Stream:
    """One end of a stream. `peer` is the other end once it is known there."""

    def __init__(self, session: _Session, handle: int, *, sends: bool, receives: bool) -> None:
        self.session, self.handle = session, handle
        self.sends, self.receives = sends, receives
        self.peer: _Stream | None = None
        self.data = bytearray()
        self.fin = False
        self.reset_code: int | None = None
        self.stopped: int | None = None
        self.hungry = True

    def receive(self, data: bytes, fin: bool) -> None:
        self.data += data
        self.fin |= fin
        self.wake()

    def wake(self) -> None:
        if self.hungry:
            self.hungry = False
            self.session.endpoint.put(READABLE, self.handle)


class _Session:
    def __init__(self, connection: _Connection, handle: int) -> None:
        self.connection, self.handle = connection, handle
        self.endpoint = connection.endpoint
        self.peer: _Session | None = None
        self.streams: list[_Stream] = []


class _Connection:
    def __init__(self, endpoint: Endpoint, handle: int) -> None:
        self.endpoint, self.handle = endpoint, handle
        self.peer: _Connection | None = None
        self.sessions: list[_Session] = []


_servers: dict[int, Endpoint] = {}
_ports = itertools.count(50000)


class Endpoint:
    def __init__(self, role: str, config: dict[str, Any]) -> None:
        if role == "server" and not (config.get("certificate") and config.get("private_key")):
            raise ConfigError("a server has a certificate")
        self.role, self.config = role, config
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._events: deque[tuple[Any, ...]] = deque()
        self._objects: dict[int, Any] = {}
        self._handles = itertools.count(1)
        self._closed = False
        bind = config.get("bind", [("::", 0)])
        port = bind[0][1] or next(_ports)
        if role == "server":
            if port in _servers:
                raise OSError(98, "address in use")
            _servers[port] = self
        self.local_addresses = [(host, port) for host, _ in bind]

    # Events

    def put(self, kind: int, handle: int, *details: Any) -> None:
        if not self._events:
            self._writer.send(b"x")
        self._events.append((kind, handle, *details))

    def fileno(self) -> int:
        return self._reader.fileno()

    def drain(self, limit: int = 4096) -> list[tuple[Any, ...]]:
        events = [self._events.popleft() for _ in range(min(limit, len(self._events)))]
        if not self._events and events:
            self._reader.recv(1)
        return events

    def _new(self, make: Any, *arguments: Any, **options: Any) -> Any:
        handle = next(self._handles)
        self._objects[handle] = make(*arguments, handle, **options)
        return self._objects[handle]

    def _get(self, handle: int, kind: type) -> Any:
        found = self._objects.get(handle)
        if not isinstance(found, kind):
            raise HandleError(handle)
        return found

    # Connections

    def connect(self, address: tuple[str, int], server_name: str) -> int:
        connection: _Connection = self._new(_Connection, self)
        server = _servers.get(address[1])
        if server is None:
            self.put(CONNECTION_CLOSED, connection.handle, "timeout", 0, "nobody answers")
            del self._objects[connection.handle]
            return connection.handle
        other: _Connection = server._new(_Connection, server)
        connection.peer, other.peer = other, connection
        drafts = [draft for draft in self.config["drafts"] if draft in server.config["drafts"]]
        info = {
            "remote_address": address,
            "local_ip": "127.0.0.1",
            "server_name": server_name,
            "alpn": "h3",
            "tls_cipher": "TLS13_AES_128_GCM_SHA256",
            "peer_certificates": [],
            "draft": drafts[0] if drafts else None,
            "unsupported": None,
            "peer_max_datagram_frame_size": 65535,
            "reset_stream_at": True,
            "flow_control_drafts": [],
            "peer_limits": (0, 0, 0),
        }
        self.put(CONNECTION_READY, connection.handle, info)
        server.put(CONNECTION_READY, other.handle, {**info, "remote_address": ("127.0.0.1", 1)})
        return connection.handle

    def close_connection(self, connection: int, code: int = 0x100, reason: str = "") -> None:
        self._end_connection(self._get(connection, _Connection), "local", code, reason)

    @property
    def ended(self) -> bool:
        return self._closed

    @property
    def borrows(self) -> bool:
        return False

    def stop_accepting(self) -> None:
        for port in [port for port, endpoint in _servers.items() if endpoint is self]:
            del _servers[port]

    def stats(self) -> dict[str, int]:
        return {"connections": sum(isinstance(found, _Connection) for found in self._objects.values())}

    def goaway(self, connection: int) -> None:
        for session in self._get(connection, _Connection).sessions:
            self.drain_session(session.handle)

    def _end_connection(self, connection: _Connection, source: str, code: int, reason: str) -> None:
        for session in list(connection.sessions):
            self._end_session(session, code, reason, "connection")
        self.put(CONNECTION_CLOSED, connection.handle, source, code, reason)
        self._objects.pop(connection.handle, None)
        other, connection.peer = connection.peer, None
        if other is not None:
            other.peer = None
            other.endpoint._end_connection(other, "application", code, reason)

    # Sessions

    def request_session(
        self,
        connection: int,
        authority: str,
        path: str,
        *,
        origin: str | None = None,
        headers: Any = (),
        protocols: Any = (),
    ) -> int:
        ours: _Connection = self._get(connection, _Connection)
        assert ours.peer is not None
        session: _Session = self._new(_Session, ours)
        other: _Session = ours.peer.endpoint._new(_Session, ours.peer)
        session.peer, other.peer = other, session
        ours.sessions.append(session)
        ours.peer.sessions.append(other)
        lines = [*headers, *([("origin", origin)] if origin else [])]
        request = {
            "path": path,
            "authority": authority,
            "scheme": "https",
            "origin": origin,
            "headers": lines,
            "protocols": list(protocols),
            "draft": self.config["drafts"][0],
            "early_data": False,
            "quic_stream_id": 4 * (len(ours.sessions) - 1),
        }
        other.endpoint.put(SESSION_REQUEST, other.handle, ours.peer.handle, request)
        return session.handle

    def accept_session(self, session: int, *, headers: Any = (), protocol: str | None = None) -> None:
        ours: _Session = self._get(session, _Session)
        assert ours.peer is not None
        info = {
            "status": 200,
            "headers": list(headers),
            "protocol": protocol,
            "draft": ours.peer.endpoint.config["drafts"][0],
            "quic_stream_id": 0,
        }
        self.put(SESSION_READY, session, info)
        ours.peer.endpoint.put(SESSION_READY, ours.peer.handle, info)

    def reject_session(self, session: int, *, status: int = 404, headers: Any = ()) -> None:
        ours: _Session = self._get(session, _Session)
        assert ours.peer is not None
        ours.peer.endpoint.put(SESSION_REJECTED, ours.peer.handle, status, list(headers), "")
        for side in (ours, ours.peer):
            side.connection.sessions.remove(side)
            side.endpoint._objects.pop(side.handle)

    def close_session(self, session: int, code: int = 0, reason: str = "", *, capsule: bool = True) -> None:
        ours: _Session = self._get(session, _Session)
        other = ours.peer
        self._end_session(ours, code, reason, "local")
        if other is not None:
            other.endpoint._end_session(other, code, reason, "peer")

    def _end_session(self, session: _Session, code: int, reason: str, source: str) -> None:
        if self._objects.pop(session.handle, None) is None:
            return
        session.connection.sessions.remove(session)
        for stream in session.streams:
            self._objects.pop(stream.handle, None)
        self.put(SESSION_CLOSED, session.handle, code, reason, source)

    def answer_stops_with(self, session: int, code: int | None) -> None:
        """Choose the answer to STOP_SENDING; the stand-in only checks the handle."""
        self._get(session, _Session)

    def drain_session(self, session: int) -> None:
        other = self._get(session, _Session).peer
        other.endpoint.put(SESSION_DRAINING, other.handle)

    def send_datagram(self, session: int, data: Any) -> bool:
        ours: _Session = self._get(session, _Session)
        assert ours.peer is not None
        if len(memoryview(data).cast("B")) > MAX_DATAGRAM:
            raise ValueError("too large")
        ours.peer.endpoint.put(DATAGRAMS, ours.peer.handle, [bytes(data)])
        return True

    def max_datagram_size(self, session: int) -> int:
        self._get(session, _Session)
        return MAX_DATAGRAM

    # Streams

    def defer(self, call_soon: Any) -> None:
        """Nothing is put off here."""

    def open_stream_at_once(self, session: int, bidirectional: bool) -> None:
        """Streams wait for their event here."""

    def open_stream(self, session: int, bidirectional: bool) -> int:
        ours: _Session = self._get(session, _Session)
        assert ours.peer is not None
        stream: _Stream = self._new(_Stream, ours, sends=True, receives=bidirectional)
        theirs: _Stream = ours.peer.endpoint._new(_Stream, ours.peer, sends=bidirectional, receives=True)
        stream.peer, theirs.peer = theirs, stream
        ours.streams.append(stream)
        ours.peer.streams.append(theirs)
        number = 4 * len(ours.streams)
        self.put(STREAM_OPENED, stream.handle, number)
        ours.peer.endpoint.put(STREAM_INCOMING, theirs.handle, ours.peer.handle, bidirectional, number)
        return stream.handle

    def write(self, stream: int, data: Any, fin: bool = False) -> bool:
        ours: _Stream = self._get(stream, _Stream)
        if ours.stopped is not None or not ours.sends:
            raise StreamStoppedError(ours.stopped)
        assert ours.peer is not None
        if len(ours.peer.data) > self.config["stream_write_buffer"]:
            return False
        ours.sends = not fin
        ours.peer.receive(bytes(data), fin)
        return True

    def finish(self, stream: int) -> None:
        if self._get(stream, _Stream).sends:
            self.write(stream, b"", True)

    def reset(self, stream: int, code: int = 0) -> None:
        ours: _Stream = self._get(stream, _Stream)
        ours.sends = False
        if ours.peer is not None and not ours.peer.fin:
            ours.peer.reset_code = code
            ours.peer.wake()

    def read(self, stream: int, limit: int = -1) -> bytes | None:
        ours: _Stream = self._get(stream, _Stream)
        if ours.data:
            size = len(ours.data) if limit < 0 else limit
            data = bytes(ours.data[:size])
            del ours.data[:size]
            if ours.peer is not None:
                ours.peer.session.endpoint.put(WRITABLE, ours.peer.handle)
            return data
        if ours.reset_code is not None:
            raise StreamResetError(ours.reset_code)
        if ours.fin:
            return b""
        ours.hungry = True
        return None

    def read_into(self, stream: int, buffer: Any) -> int | None:
        view = memoryview(buffer).cast("B")
        data = self.read(stream, len(view))
        if data is None:
            return None
        view[: len(data)] = data
        return len(data)

    def buffered(self, stream: int) -> int:
        return len(self._get(stream, _Stream).data)

    def stop(self, stream: int, code: int = 0) -> None:
        ours: _Stream = self._get(stream, _Stream)
        ours.data.clear()
        if ours.peer is not None and ours.peer.sends:
            ours.peer.stopped = code
            ours.peer.session.endpoint.put(STREAM_STOPPED, ours.peer.handle, code)

    def release(self, stream: int) -> None:
        self._objects.pop(stream, None)

    # Queries

    def export_keying_material(self, session: int, label: bytes, context: bytes, length: int) -> int:
        self._get(session, _Session)
        token = next(self._handles)
        self.put(ANSWER, token, (label + context + bytes(length))[:length])
        return token

    def session_limits(self, session: int) -> int:
        self._get(session, _Session)
        token = next(self._handles)
        self.put(ANSWER, token, {"peer": None, "local": None})
        return token

    def connection_stats(self, connection: int) -> int:
        self._get(connection, _Connection)
        token = next(self._handles)
        self.put(ANSWER, token, {"rtt_us": 1})
        return token

    # End

    def close(self, code: int = 0x100, reason: str = "", timeout: float = 1.0) -> None:
        if self._closed:
            return
        self._closed = True
        for connection in [item for item in self._objects.values() if isinstance(item, _Connection)]:
            self._end_connection(connection, "local", code, reason)
        for port in [port for port, server in _servers.items() if server is self]:
            del _servers[port]
        self.put(ENDPOINT_CLOSED, 0, None)

    def join(self, timeout: float | None = None) -> bool:
        self._reader.close()
        self._writer.close()
        return True
