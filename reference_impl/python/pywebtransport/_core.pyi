"""The compiled core: QUIC, HTTP/3 and WebTransport on one I/O thread per endpoint.

**Threads.** An :class:`Endpoint` owns one I/O thread (sockets, timers, QUIC, the WebTransport state
machine). Methods may be called from any thread, return at once and never block on the network; the I/O
thread never takes the GIL.

**Events.** The I/O thread puts events into a bounded lock-free queue and makes :meth:`Endpoint.fileno`
readable once per batch::

    loop.add_reader(endpoint.fileno(), lambda: dispatch(endpoint.drain()))

:meth:`Endpoint.drain` returns tuples ``(kind, handle, *details)``, listed at the constants below. If the
queue is full, the I/O thread stops reading from the network until it is drained (datagrams are dropped and
counted).

**Handles.** Connections, sessions and streams are positive integers, unique for the life of the endpoint and
never reused. A call with a handle that is gone raises :class:`HandleError`.

**Reading.** ``READABLE`` is a hint, :meth:`Endpoint.read` is the truth: it returns what has arrived as one
``bytes`` object (copied once, from the packets into it), ``None`` if nothing has, ``b""`` at the end of the
stream, or raises :class:`StreamResetError`. ``READABLE`` is announced once after each ``None`` (and once
when the stream appears). QUIC flow control credit is given for what was read, not for what was received.

**Writing.** :meth:`Endpoint.write` takes any object with the buffer protocol. ``bytes`` and read-only
contiguous views of them are referenced, not copied; what could still change is copied once. It returns
``False``, and takes nothing, while more than ``stream_write_buffer`` bytes wait; ``WRITABLE`` is announced
once thereafter.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Self, TypedDict, final, type_check_only

from typing_extensions import Buffer

__all__ = [
    "ANSWER",
    "CONNECTION_CLOSED",
    "CONNECTION_READY",
    "DATAGRAMS",
    "ENDPOINT_CLOSED",
    "READABLE",
    "SESSION_CLOSED",
    "SESSION_DRAINING",
    "SESSION_READY",
    "SESSION_REJECTED",
    "SESSION_REQUEST",
    "STREAM_FAILED",
    "STREAM_FINISHED",
    "STREAM_INCOMING",
    "STREAM_OPENED",
    "STREAM_STOPPED",
    "WRITABLE",
    "ClosedError",
    "ConfigError",
    "Endpoint",
    "HandleError",
    "StreamResetError",
    "StreamStoppedError",
    "certificate_hash",
    "generate_self_signed",
    "version",
]

_Headers = Sequence[tuple[str, str]]
"""Field lines in order: lower-case name, value. Values hold octets as latin-1."""

# --- Kinds of events: (kind, handle, *details) --------------------------------------------------------------

CONNECTION_READY: Final[int]
"""``(kind, connection, info: ConnectionInfo)``. The handshake is complete and the peer's SETTINGS have
arrived. On a client, :meth:`Endpoint.request_session` may be called before; the request is then kept."""
CONNECTION_CLOSED: Final[int]
"""``(kind, connection, source: str, code: int, reason: str)``. The last event of a connection; all of its
sessions and streams have ended, with their own events before. ``source``: ``"local"``, ``"application"``
(peer, HTTP/3 code), ``"transport"`` (peer, QUIC code), ``"timeout"``, ``"reset"`` (stateless), ``"tls"``
(handshake failed, code 0x100 + alert), ``"version"``, ``"refused"``, ``"error"`` (a rule of the protocol was
broken by the peer: we closed with ``code``)."""
SESSION_REQUEST: Final[int]
"""``(kind, session, connection, request: SessionRequest)``. Server: a peer wants a session; answer with
:meth:`Endpoint.accept_session` or :meth:`Endpoint.reject_session`."""
SESSION_READY: Final[int]
"""``(kind, session, info: SessionInfo)``. Client: accepted with a 2xx status. Server: the answer was sent."""
SESSION_REJECTED: Final[int]
"""``(kind, session, status: int, headers: list[tuple[str, str]], reason: str)``. Client: the last event of
the session. Status 0: no answer, ``reason`` says why (for example WebTransport is not supported by the
peer)."""
SESSION_DRAINING: Final[int]
"""``(kind, session)``. The peer asks to finish (WT_DRAIN_SESSION or GOAWAY)."""
SESSION_CLOSED: Final[int]
"""``(kind, session, code: int, reason: str, source: str)``. The last event of the session. ``source``:
``"peer"`` (WT_CLOSE_SESSION or clean end), ``"local"``, ``"reset"`` (CONNECT stream reset, ``code`` is the
HTTP/3 code), ``"connection"`` (the connection ended), ``"error"`` (session error found here, ``code`` is the
HTTP/3 code)."""
STREAM_OPENED: Final[int]
"""``(kind, stream, quic_stream_id: int)``. A stream of :meth:`Endpoint.open_stream` got its place within the
limits of the peer. Data may be written before."""
STREAM_FAILED: Final[int]
"""``(kind, stream, reason: str)``. A stream of :meth:`Endpoint.open_stream` can't be had (its session has
ended)."""
STREAM_INCOMING: Final[int]
"""``(kind, stream, session, bidirectional: bool, quic_stream_id: int)``. Opened by the peer."""
READABLE: Final[int]
"""``(kind, stream)``. :meth:`Endpoint.read` will not return ``None``."""
WRITABLE: Final[int]
"""``(kind, stream)``. :meth:`Endpoint.write` will not return ``False``."""
STREAM_STOPPED: Final[int]
"""``(kind, stream, code: int | None)``. STOP_SENDING: the peer takes no more; writing raises
:class:`StreamStoppedError`. ``None``: the code has no counterpart in the application's 32 bits."""
STREAM_FINISHED: Final[int]
"""``(kind, stream)``. Everything up to the FIN was acknowledged by the peer; only after
:meth:`Endpoint.watch_finished`."""
DATAGRAMS: Final[int]
"""``(kind, session, list[bytes])``. In order of arrival."""
ANSWER: Final[int]
"""``(kind, token, result)``. To a query such as :meth:`Endpoint.export_keying_material`. ``None``: failed or
gone."""
ENDPOINT_CLOSED: Final[int]
"""``(kind, 0, error: str | None)``. The last event of all; the I/O thread has ended. ``error``: the message
of an internal failure (a panic is caught and shown here, never swallowed)."""

# --- Data ---------------------------------------------------------------------------------------------------

_Draft = Literal[16, 14, 7, 2]
"""Which code points are in use: 16 stands for -15/-16, 14 for -13/-14."""

@type_check_only
class ConnectionInfo(TypedDict):
    remote_address: tuple[str, int]
    local_ip: str | None
    """Address of this side, where the system tells"""
    server_name: str | None
    alpn: str
    tls_cipher: str | None
    """Name of the TLS cipher suite (RFC 8446 §B.4)"""
    peer_certificates: list[bytes]
    """Chain of the peer in DER, leaf first; empty where it sent none"""
    draft: int | None
    """The draft in use; ``None``: no WebTransport"""
    unsupported: str | None
    """Client: what the server lacks, so that every session is rejected"""
    peer_max_datagram_frame_size: int | None
    reset_stream_at: bool
    """The peer accepts RESET_STREAM_AT"""
    flow_control_drafts: list[int]
    """Drafts in which session flow control is in force"""
    peer_limits: tuple[int, int, int]
    """What the peer's SETTINGS allow a session: body bytes, bidirectional and unidirectional streams"""

@type_check_only
class SessionRequest(TypedDict):
    path: str
    """With query"""
    authority: str
    scheme: str
    origin: str | None
    headers: list[tuple[str, str]]
    """Without the pseudo-headers"""
    protocols: list[str]
    """WT-Available-Protocols, best first; empty where absent or unusable"""
    draft: int
    early_data: bool
    """Arrived in 0-RTT; told after the handshake"""
    quic_stream_id: int

@type_check_only
class SessionInfo(TypedDict):
    status: int
    headers: list[tuple[str, str]]
    protocol: str | None
    """WT-Protocol"""
    draft: int
    quic_stream_id: int
    """The session ID"""

@type_check_only
class SessionLimits(TypedDict):
    """Body bytes, bidirectional and unidirectional streams; ``None``: no flow control is in force."""

    peer: tuple[int, int, int] | None
    local: tuple[int, int, int] | None

@type_check_only
class ConnectionStats(TypedDict):
    rtt_us: int
    cwnd: int
    mtu: int
    bytes_sent: int
    bytes_received: int
    datagrams_sent: int
    """UDP datagrams"""
    datagrams_received: int
    packets_sent: int
    packets_lost: int
    congestion_events: int
    frames_sent: dict[str, int]
    """By name as in RFC 9000, for example ``"RESET_STREAM_AT"``"""
    frames_received: dict[str, int]
    settings: dict[str, int]
    """SETTINGS of this side, by name without ``SETTINGS_``, defaults included"""
    peer_settings: dict[str, int] | None
    """Of those known here; ``None``: they have not arrived"""
    transport_parameters: dict[str, int]
    """The main ones of this side, under the names of RFC 9000 §18.2"""
    peer_transport_parameters: dict[str, int]
    """Numbers and flags (0, 1), defaults included"""

@type_check_only
class EndpointStats(TypedDict):
    connections: int
    connections_total: int
    handshakes_refused: int
    retries_sent: int
    sessions: int
    streams: int
    """QUIC streams that are not over in every respect, those of HTTP/3 included"""
    stream_handles: int
    """Streams that have not been read to the end, ended or released"""
    events_queued: int
    datagrams_dropped: int
    """Application datagrams that were dropped because a queue was full, or the peer takes none"""
    send_errors: int
    application_rounds: int
    """UDP sends that the system refused; to QUIC they are losses"""

class HandleError(LookupError):
    """The connection, session or stream is gone."""

class ClosedError(HandleError):
    """The endpoint has been closed, or its thread has failed: with it all handles are gone."""

class ConfigError(ValueError):
    """A configuration value is missing, unknown, of the wrong type or out of range; or a certificate is
    unusable."""

class StreamResetError(ConnectionError):
    """The peer has reset the stream; what it sent reliably before was read. ``args[0]``: the code
    (0..2**32-1), or ``None`` if the reset has no counterpart in the application's code space."""

class StreamStoppedError(ConnectionError):
    """The stream takes no more data: STOP_SENDING by the peer (``args[0]``: code or ``None``), or finished
    or reset before."""

# --- The endpoint -------------------------------------------------------------------------------------------

@final
class Endpoint:
    def __new__(cls, role: Literal["server", "client"], config: dict[str, Any]) -> Self:
        """Bind the sockets and start the I/O thread.

        Keys of ``config``, all optional but ``certificate`` and ``private_key`` of a server (times in
        seconds as ``float``, sizes in bytes, unknown keys are an error):

        * ``bind``: list of ``(ip, port)``, one socket each. Default: client ``[("::", 0)]`` (dual stack,
          else IPv4); server ``[("::", 4433)]``. ``"::"`` is dual stack. If the first has port 0, the others
          use the port it got.
        * ``certificate``, ``private_key``: PEM as ``bytes``. A client may have them too.
        * ``ca``: PEM as ``bytes``. Default: of the system (client), none (server).
        * ``verify``: ``"required"`` (default of a client), ``"none"`` (default of a server), ``"optional"``
          (server).
        * ``certificate_hashes``: list of SHA-256 digests; the client accepts exactly such leaves instead of
          ``ca``.
        * ``alpn``: list of ``str``, default ``["h3"]``.
        * ``keylog_file``: path; NSS key log is appended. Default: the environment's ``SSLKEYLOGFILE``.
        * ``early_data``: ``bool``, take 0-RTT (server only), default ``False``. What comes in it is told
          once the handshake is complete (RFC 8470 §3).
        * ``qlog``: ``(folder, max_files, max_file_size)``: a trace of each connection in files of their own,
          of which the newest are kept; what exceeds the size is left out. Default: none.
        * ``drafts``: subset of ``[16, 14, 7, 2]``, default all; on a client in order of preference.
        * ``reset_stream_at``: code points of the transport parameter to send: ``"both"`` (default),
          ``"new"`` (0x1d), ``"old"`` (0x17f7586d2cb571), ``"none"``.
        * QUIC: ``idle_timeout`` (30.0; 0: none), ``keep_alive`` (0: none), ``handshake_timeout`` (10.0; on a
          server, the client's SETTINGS included), ``first_request_timeout`` (server; 0: none),
          ``stream_receive_window``, ``receive_window``, ``send_window``, ``max_bidi_streams``,
          ``max_uni_streams`` (limits for the peer at a time), ``max_datagram_frame_size`` (65535),
          ``datagram_send_buffer``, ``datagram_receive_buffer``, ``initial_mtu`` (1200..), ``max_mtu``,
          ``congestion`` (``"cubic"``, ``"newreno"``, ``"bbr"``), ``gso`` (``bool``).
        * HTTP/3: ``max_field_section_size``, ``max_settings_size``, ``max_ignored_elements`` (frames,
          capsules and streams without effect in a row, until H3_EXCESSIVE_LOAD), ``grease`` (``bool``),
          ``qpack_max_table_capacity`` and ``qpack_blocked_streams`` (RFC 9204 §5),
          ``qpack_encoder_capacity`` (up to which the peer's table is used).
        * WebTransport (draft-16 §5, §4.6): ``max_sessions`` (per connection), ``initial_max_data``,
          ``initial_max_streams_bidi``, ``initial_max_streams_uni`` (0 for all three: no session flow
          control), ``max_data_window`` (up to which the window of ``initial_max_data`` grows for a peer
          that is held up by it, 16 MiB), ``max_buffered_streams``, ``max_buffered_datagrams`` (of a
          connection, before their session is known), ``max_early_capsule_bytes`` (of a CONNECT stream that
          is not answered), ``max_datagram_capsule`` (longer ones are skipped), ``max_remembered_sessions``
          (ended ones, for WT_SESSION_GONE).
        * Limits: ``max_connections`` (server, 10000), ``max_handshakes`` (under way, 512) and
          ``max_handshakes_per_address`` (256), from which on Retry is demanded (0: always), ``event_queue``
          (slots, 8192), ``command_queue`` (slots, 4096), ``stream_read_buffer``, ``stream_write_buffer``,
          ``max_datagrams_queued`` (per connection, received and not drained), ``max_opening_streams`` (per
          connection, waiting for the peer's limits), ``max_pending_streams`` (of the peer's, per
          connection, that have not been read to the end, ended or released; at least as many as QUIC allows
          at a time; further ones are left to QUIC).

        :raises ConfigError: see there.
        :raises OSError: a socket can't be bound.
        """

    @property
    def local_addresses(self) -> list[tuple[str, int]]: ...
    @property
    def ended(self) -> bool:
        """The I/O thread has ended; ENDPOINT_CLOSED may not have been drained yet."""

    @property
    def borrows(self) -> bool:
        """The sockets are lent to the application: single packets wake it."""

    def fileno(self) -> int:
        """Readable when :meth:`drain` has something."""

    def drain(self, limit: int = 4096) -> list[tuple[Any, ...]]:
        """Up to ``limit`` events, without waiting; :meth:`fileno` stays readable if there are more."""

    def wait(self, timeout: float | None = None) -> bool:
        """Block without the GIL until there are events. For callers without an event loop. ``False``: timed
        out."""
    def defer(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        """From now on what is done with streams and datagrams wakes the I/O thread once for many.

        At the first, ``call_soon`` is called with a function to be called soon. Methods may then be called
        only where ``call_soon`` may. Once only.
        """
    # Connections
    def connect(self, address: tuple[str, int], server_name: str) -> int:
        """Client: start a connection to an IP literal; ``server_name`` is verified and sent as SNI.

        :return: its handle; CONNECTION_READY or CONNECTION_CLOSED follows.
        """

    def close_connection(self, connection: int, code: int = 0x100, reason: str = "") -> None:
        """CONNECTION_CLOSE with an HTTP/3 code (RFC 9114 §8.1). With H3_NO_ERROR (0x100) its sessions are
        closed first, and their ends given up to a second to arrive (draft-16 §6); else at once."""

    def goaway(self, connection: int) -> None:
        """GOAWAY (RFC 9114 §5.2) and WT_DRAIN_SESSION on each session: finish what there is, begin nothing
        new."""
    def stop_accepting(self) -> None:
        """Server: refuse new connections from now on (CONNECTION_REFUSED). Those there are go on."""
    # Sessions
    def request_session(
        self,
        connection: int,
        authority: str,
        path: str,
        *,
        origin: str | None = None,
        headers: _Headers = (),
        protocols: Sequence[str] = (),
        require_protocol: bool = False,
    ) -> int:
        """Client: extended CONNECT (draft-16 §3.2). ``require_protocol``: close the session with
        WT_ALPN_ERROR if the server chooses none of ``protocols``.

        :return: its handle; SESSION_READY or SESSION_REJECTED follows.
        """

    def accept_session(self, session: int, *, headers: _Headers = (), protocol: str | None = None) -> None:
        """Server: accept a SESSION_REQUEST with status 200. ``protocol`` has to be one of its ``protocols``,
        else nothing is sent."""

    def reject_session(self, session: int, *, status: int = 404, headers: _Headers = ()) -> None:
        """Server: answer a SESSION_REQUEST with a status of 300 to 599. The handle is gone."""

    def close_session(self, session: int, code: int = 0, reason: str = "", *, capsule: bool = True) -> None:
        """WT_CLOSE_SESSION (draft-16 §6). All streams of the session end; SESSION_CLOSED follows.

        Code 0 without reason is sent as the mere end of the CONNECT stream, which means the same. Without
        ``capsule`` nothing else is allowed.

        :raises ValueError: ``code`` exceeds 32 bits or ``reason`` exceeds 1024 bytes of UTF-8, or either is
            given without ``capsule``.
        """

    def drain_session(self, session: int) -> None:
        """WT_DRAIN_SESSION (draft-16 §4.7)."""

    def answer_stops_with(self, session: int, code: int | None) -> None:
        """Application code of the resets that answer the peer's STOP_SENDING from now on (RFC 9000 §3.5).

        ``None`` copies the peer's code, which is the default.
        """

    def send_datagram(self, session: int, data: Buffer) -> bool:
        """Queue a datagram.

        :return: ``False`` if it is dropped since too much is queued (congestion).
        :raises ValueError: it exceeds :meth:`max_datagram_size`.
        """

    def max_datagram_size(self, session: int) -> int:
        """Largest payload that fits at present; 0 if the peer takes none."""
    # Streams
    def open_stream(self, session: int, bidirectional: bool) -> int:
        """:return: its handle, at once; STREAM_OPENED or STREAM_FAILED follows."""

    def open_stream_at_once(
        self, session: int, bidirectional: bool
    ) -> tuple[int, Callable[[], int | None]] | None:
        """As :meth:`open_stream` if the stream need not wait for the peer's limits, which no event says then;
        ``None``: it would have to, or that is not known.

        :return: its handle, and a function that gives its QUIC stream ID. It waits, without the GIL, for the
            I/O thread to come to it (microseconds). ``None``: there won't be one.
        """

    def write(self, stream: int, data: Buffer, fin: bool = False) -> bool:
        """Take all of ``data``, with ``fin`` as the end of the stream, or nothing.

        :return: ``False`` if it has to wait for WRITABLE.
        :raises StreamStoppedError: see there.
        """

    def finish(self, stream: int) -> None:
        """End the sending direction after what was written. No error if it has ended already."""

    def watch_finished(self, stream: int) -> bool:
        """Ask for STREAM_FINISHED; to be called before the end is written. ``True``: finished already."""

    def reset(self, stream: int, code: int = 0) -> None:
        """Abandon the sending direction. ``code`` (32 bits) is mapped as in draft-16 §4.4; the stream's
        header remains reliable (RESET_STREAM_AT) where the peer supports it."""

    def read(self, stream: int, limit: int = -1) -> bytes | None:
        """Up to ``limit`` bytes; see "Reading" above.

        :raises StreamResetError: see there.
        """

    def read_into(self, stream: int, buffer: Buffer) -> int | None:
        """As :meth:`read`, into a writable contiguous buffer. :return: the number of bytes, 0 at the end, or
        ``None``."""

    def read_views(self, stream: int, limit: int = -1) -> list[memoryview] | None:
        """As :meth:`read`, without a copy. :return: read-only views of the packets' memory, in their
        order, none at the end, or ``None``."""

    def buffered(self, stream: int) -> int:
        """Bytes that :meth:`read` would return now."""

    def stop(self, stream: int, code: int = 0) -> None:
        """STOP_SENDING: abandon the receiving direction and what is buffered of it."""

    def release(self, stream: int) -> None:
        """Forget the handle: resets (code 0) and stops what has not ended. Never raises. Handles of streams
        whose both directions ended, and were read to the end, are forgotten by themselves."""
    # Queries; each returns the token of its ANSWER
    def export_keying_material(self, session: int, label: bytes, context: bytes, length: int) -> int:
        """TLS exporter bound to the session (draft-16 §4.8). ANSWER: ``bytes``.

        :raises ValueError: ``label`` or ``context`` exceeds 255 bytes.
        """

    def session_limits(self, session: int) -> int:
        """ANSWER: SessionLimits, at this moment."""

    def connection_stats(self, connection: int) -> int:
        """ANSWER: ConnectionStats."""

    def stats(self) -> EndpointStats:
        """Without a query."""
    # End
    def close(self, code: int = 0x100, reason: str = "", timeout: float = 1.0) -> None:
        """Close all sessions, then all connections, and end the thread, within ``timeout`` if the peers do
        not answer; ENDPOINT_CLOSED follows. Idempotent. Does not wait: use :meth:`join`. Dropping the last
        reference does the same."""

    def join(self, timeout: float | None = None) -> bool:
        """Wait without the GIL for the thread to end. ``False``: timed out."""

def generate_self_signed(hostname: str, days: int = 10) -> tuple[bytes, bytes]:
    """An ECDSA P-256 certificate for ``hostname`` (and, for ``localhost``, both loopback addresses), valid
    for at most 14 days as browsers demand for ``serverCertificateHashes``. :return: certificate and private
    key, both PEM."""

def certificate_hash(certificate: bytes) -> bytes:
    """SHA-256 over the DER of the first certificate of a PEM."""

version: Final[str]
