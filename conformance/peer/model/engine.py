"""One connection of the model server: dispatches what arrives to the part that knows what it means.

The parts: ``control`` (unidirectional streams of HTTP/3 and QPACK), ``requests`` (request streams),
``sessions`` (life of sessions), ``streams`` (WebTransport data streams), ``buffering`` (what is early),
``datagrams``, ``capsules`` and ``flowcontrol``. Each part reports violations by the name of a rule to
``Connection.violate``, the only place that reacts to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from conformance.peer.codepoints import H3, Setting, StreamType, TransportParameter
from conformance.peer.drafts import FACTS, Draft, DraftFacts
from conformance.peer.events import (
    ConnectionClosed,
    DatagramFrame,
    HandshakeCompleted,
    QuicFrame,
    StopSending,
    StreamData,
    StreamReset,
    TransportParameters,
    WireEvent,
)
from conformance.peer.h3frames import data_frame, goaway_frame, headers_frame
from conformance.peer.model.behaviour import Behaviour
from conformance.peer.model.control import ControlState, IncomingUni, OwnCriticalStream
from conformance.peer.model.datagrams import Datagrams
from conformance.peer.model.receivers import DISCARD, Receiver
from conformance.peer.model.requests import RequestStream
from conformance.peer.model.sessions import Sessions
from conformance.peer.model.streams import WtStream
from conformance.peer.qpack import Field, SectionDecoder, SectionEncoder, encode_static
from conformance.peer.quic.connection import QuicPeer
from conformance.peer.quic.options import StreamNotWritable
from conformance.peer.varint import read_whole_varint
from conformance.peer.wtheaders import is_server_initiated, is_unidirectional

if TYPE_CHECKING:
    from conformance.peer.model.server import ServerContext

MAX_STREAMS_BIDI: Final = 0x12
CRYPTO_FRAME: Final = 0x06


class Connection:
    """One client's connection; ``handle`` is the event handler of its QuicPeer."""

    def __init__(self, quic: QuicPeer, behaviour: Behaviour, server: ServerContext) -> None:
        self.quic = quic
        self.behaviour = behaviour
        self.server = server
        self.closing = False
        self.shutting_down = False
        self.client_settings: Mapping[int, int] | None = None
        self.draft: Draft | None = None
        self.next_request = 0
        self.max_requests = quic.options.max_streams_bidi
        self.goaway_identifier: int | None = None
        self.receivers: dict[int, Receiver] = {}
        self.decoder = SectionDecoder(
            max_table_capacity=behaviour.table_capacity, blocked_streams=behaviour.blocked_streams
        )
        # Encodes with the dynamic table that the client allows, None without one.
        self.encoder: SectionEncoder | None = None
        self.control = ControlState(self)
        self.sessions = Sessions(self)
        self.datagrams = Datagrams(self)
        self._waiting: list[Callable[[], None]] = []
        quic.answer_stops_with(self._stop_answer)
        self._control_id: int | None = None
        self._encoder_id: int | None = None
        self._decoder_id: int | None = None

    @property
    def facts(self) -> DraftFacts | None:
        """The facts of the negotiated draft, None before it is known or where there is none."""
        return None if self.draft is None else FACTS[self.draft]

    # --- events of the QUIC layer ---

    def handle(self, event: WireEvent) -> None:
        """Take one event; those that this side sent are of no interest."""
        if isinstance(event, ConnectionClosed):
            self.closing = True
            self.sessions.connection_lost()
            self.server.forget(self)
        if isinstance(event, QuicFrame) and event.sent and event.frame_type == MAX_STREAMS_BIDI:
            self.max_requests = int(event.details["maximum_streams"])
        if event.sent or self.closing:
            return
        match event:
            case TransportParameters():
                extension = (TransportParameter.RESET_STREAM_AT, TransportParameter.RESET_STREAM_AT_DRAFT07)
                if any(event.parameters.get(code) for code in extension):
                    self.violate("reset-stream-at-value")
            case HandshakeCompleted():
                if self.behaviour.settings_unprompted():
                    self._open_critical_streams()
                self._serve_waiting()
            case StreamData():
                receiver = self._receiver(event.stream_id)
                if event.data:
                    receiver.data(event.data)
                if event.end_stream and not self.closing:
                    self.receivers.get(event.stream_id, DISCARD).end()
            case StreamReset():
                self._receiver(event.stream_id).reset(event.error_code, event.final_size)
            case StopSending():
                self.receivers.get(event.stream_id, DISCARD).stop(event.error_code)
            case DatagramFrame():
                self.datagrams.received(event.data)

    def _receiver(self, stream_id: int) -> Receiver:
        receiver = self.receivers.get(stream_id)
        if receiver is None:
            if is_server_initiated(stream_id):
                receiver = DISCARD
            elif is_unidirectional(stream_id):
                receiver = IncomingUni(self, stream_id)
            else:
                receiver = RequestStream(self, stream_id)
            self.receivers[stream_id] = receiver
        return receiver

    def _stop_answer(self, stream_id: int, code: int) -> int:
        receiver = self.receivers.get(stream_id)
        return receiver.stop_answer(code) if isinstance(receiver, WtStream) else code

    def _open_critical_streams(self) -> None:
        behaviour, resumed = self.behaviour, self.quic.early_data_accepted
        control = behaviour.resumed_control_stream() if resumed else behaviour.control_stream()
        first_bytes = (control, *behaviour.qpack_streams())
        for index, data in enumerate(first_bytes):
            if not data:
                continue
            stream_id = self.quic.next_stream_id(unidirectional=True)
            self.send(stream_id, data)
            self.receivers[stream_id] = OwnCriticalStream(self, qpack=index > 0)
            if index == 0:
                self._control_id = stream_id
            elif index == StreamType.QPACK_ENCODER - 1:
                self._encoder_id = stream_id
            elif index == StreamType.QPACK_DECODER - 1:
                self._decoder_id = stream_id
        self.behaviour.connected(self)

    # --- sending ---

    def send(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        """Queue stream bytes; without effect on a stream that this side has ended."""
        try:
            self.quic.send_stream(stream_id, data, end_stream=end)
        except StreamNotWritable:
            return

    def send_decoder_instructions(self, instructions: bytes) -> None:
        """Queue bytes on the QPACK decoder stream (RFC 9204 §4.4)."""
        data = self.behaviour.decoder_instructions(instructions) if instructions else b""
        if data and self._decoder_id is not None:
            self.send(self._decoder_id, data)

    def headers(self, stream_id: int, fields: Sequence[Field]) -> bytes:
        """Return a HEADERS frame for a stream, once its instructions are queued (RFC 9204 §2.1)."""
        if self.encoder is None or self._encoder_id is None:
            return headers_frame(encode_static(fields))
        instructions, section = self.encoder.encode(stream_id, fields)
        self.send(self._encoder_id, instructions)
        return headers_frame(section)

    def abort_stream(self, stream_id: int, code: int, *, reliable_size: int | None = None) -> None:
        """Reset this side's send part and stop reading, as far as the stream has these parts."""
        if not is_unidirectional(stream_id) or is_server_initiated(stream_id):
            self.reset(stream_id, code, reliable_size=reliable_size)
        if not is_unidirectional(stream_id) or not is_server_initiated(stream_id):
            self.stop(stream_id, code)

    def reset(self, stream_id: int, code: int, *, reliable_size: int | None = None) -> None:
        """Reset a send part; RESET_STREAM_AT where a reliable size is given."""
        try:
            if reliable_size is None:
                self.quic.reset_stream(stream_id, code)
            else:
                self.quic.reset_stream_at(stream_id, code, reliable_size)
        except StreamNotWritable:
            return

    def stop(self, stream_id: int, code: int) -> None:
        """Send STOP_SENDING."""
        try:
            self.quic.stop_sending(stream_id, code)
        except StreamNotWritable:
            return

    @property
    def max_datagram_payload(self) -> int:
        """The longest DATAGRAM payload that the path and the client take (RFC 9221 §3); 0 for none."""
        value = self.quic.peer_transport_parameters.get(TransportParameter.MAX_DATAGRAM_FRAME_SIZE, b"\0")
        # The client's limit counts the frame type and a length of up to two bytes, too.
        return max(0, min(self.quic.max_datagram_payload, (read_whole_varint(value) or 0) - 3))

    # --- negotiation ---

    def settings_received(self, settings: Mapping[int, int]) -> None:
        """Take the client's SETTINGS: the draft is known now, requests that waited are served."""
        self.client_settings = settings
        if not self.behaviour.settings_unprompted():
            self._open_critical_streams()
        self.encoder = self.behaviour.section_encoder(
            settings.get(Setting.QPACK_MAX_TABLE_CAPACITY, 0), settings.get(Setting.QPACK_BLOCKED_STREAMS, 0)
        )
        self.draft = self.behaviour.select_draft(settings)
        self._serve_waiting()
        self.sessions.check_requirements()

    def after_settings(self, action: Callable[[], None]) -> None:
        """Run ``action`` once the client's SETTINGS are there (draft-16 §3.1, §7.1).

        A request in early data waits for the end of the handshake as well (RFC 8470 §3): CONNECT is not
        safe to be replayed (draft-16 §3.2).
        """
        self._waiting.append(action)
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        settled = self.client_settings is not None or not self.behaviour.waits_for_settings()
        if not settled or not (self.quic.handshake_complete or not self.behaviour.waits_for_handshake()):
            return
        waiting, self._waiting = self._waiting, []
        for action in waiting:
            if not self.closing:
                action()

    def requirement_violation(self) -> str | None:
        """Name the rule by which this client cannot have sessions, None if it can (draft-16 §3.1)."""
        settings = self.client_settings or {}
        parameters = self.quic.peer_transport_parameters
        datagram_size = read_whole_varint(parameters.get(TransportParameter.MAX_DATAGRAM_FRAME_SIZE, b"\0"))
        extension = (TransportParameter.RESET_STREAM_AT, TransportParameter.RESET_STREAM_AT_DRAFT07)
        broken = {
            "no-common-draft": self.draft is None,
            "client-h3-datagram": settings.get(Setting.H3_DATAGRAM) != 1,
            "client-quic-datagram": not datagram_size,
            "client-reset-stream-at": not any(code in parameters for code in extension),
        }
        return next((name for name, holds in broken.items() if holds and self.applies(name)), None)

    # --- violations ---

    def applies(self, name: str) -> bool:
        """Tell whether a rule exists in the negotiated draft and was not taken away."""
        rule = self.behaviour.rules[name]
        return rule.scope != "accept" and (self.draft is None or self.draft in rule.drafts)

    def objects(self, name: str, stream_id: int | None = None) -> bool:
        """Name input that the texts permit (``permissions.py``).

        Returns True where the behaviour forbids it and it is dealt with: only a deviant does.
        """
        return self.violate(name, stream_id)

    def violate(self, name: str, stream_id: int | None = None) -> bool:
        """React to a violation of a rule, seen on a stream.

        Returns False if there is no such rule, so that the caller goes on as if the input were valid;
        True if the input is dealt with.
        """
        if not self.applies(name):
            return False
        rule = self.behaviour.rules[name]
        self.server.note_violation(name)
        code = rule.code_in(self.draft)
        session = None if stream_id is None else self.sessions.of_stream(stream_id)
        match rule.scope:
            case "transport":
                self.closing = True
                self.quic.close(code, frame_type=CRYPTO_FRAME, reason=name)
            case "connection":
                self.close(code, name)
            case "hang":
                self.closing = True
            case "session" | "stream" | "request" if session is not None:
                session.fail(code)
            case "session" | "stream" | "request" if stream_id is not None:
                self.receivers[stream_id] = DISCARD
                self.abort_stream(stream_id, code)
                self.sessions.refused(stream_id)
            case "response" if stream_id is not None:
                self.respond(stream_id, code)
        return True

    def respond(self, stream_id: int, status: int, body: bytes = b"") -> None:
        """Answer a request finally and end its stream; streams that waited for a session are rejected."""
        response = self.headers(stream_id, self.behaviour.response_fields(status, None))
        self.send(stream_id, response + (data_frame(body) if body else b""), end=True)
        self.sessions.refused(stream_id)

    # --- the end ---

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection with an HTTP/3 code."""
        if not self.closing:
            self.closing = True
            self.quic.close(code, reason=reason)

    def go_away(self) -> None:
        """Send GOAWAY: no further requests are served, sessions go on (RFC 9114 §5.2, draft-16 §4.7)."""
        if self._control_id is not None and not self.closing:
            self.goaway_identifier = self.behaviour.goaway_identifier(self.next_request)
            self.send(self._control_id, goaway_frame(self.goaway_identifier))

    def shut_down(self) -> None:
        """Close gracefully: GOAWAY, wait until the client closed its sessions, CONNECTION_CLOSE (§6)."""
        self.go_away()
        self.shutting_down = True
        if not self.finish_shutdown():
            self.server.schedule(
                self.behaviour.shutdown_timeout, lambda: self.close(H3.NO_ERROR, "shutdown timeout")
            )

    def finish_shutdown(self) -> bool:
        """Close if a shutdown is under way and no CONNECT stream is open any more."""
        if self.shutting_down and not self.sessions.waiting_for_client():
            # The FIN of the last response is still under way: let it arrive.
            self.server.schedule(self.behaviour.credit_delay, lambda: self.close(H3.NO_ERROR))
            return True
        return False
