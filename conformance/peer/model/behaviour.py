"""Everything that the model server decides and shows on the wire, apart from the rules, as hooks.

The engine asks a ``Behaviour`` before it sends anything. Each method gives the answer of a server that
follows the drafts to the letter; a deviant replaces methods in a subclass or on the instance, or sets the
attributes below ``__init__``, and changes rows of ``rules``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from conformance.peer import capsules
from conformance.peer.codepoints import MAX_CLOSE_MESSAGE, CapsuleType, StreamType
from conformance.peer.datagrams import datagram
from conformance.peer.drafts import DRAFTS, Draft, DraftFacts, newest, offered_drafts
from conformance.peer.errorcodes import from_http, to_http
from conformance.peer.model.baton_endpoint import BatonBehaviour
from conformance.peer.model.permissions import PERMISSIONS
from conformance.peer.model.rules import RuleTable
from conformance.peer.model.sfields import bare_string, parse_string_list
from conformance.peer.qpack import Field, SectionEncoder
from conformance.peer.settings import Entries, FlowControl, encode_settings, server_settings
from conformance.peer.varint import varint
from conformance.peer.wtheaders import bidi_header, uni_header

if TYPE_CHECKING:
    from conformance.peer.model.application import Application
    from conformance.peer.model.engine import Connection
    from conformance.peer.model.sessions import Session
    from conformance.peer.model.streams import WtStream

LimitKind = Literal["uni", "bidi", "data"]

# A client that allows more than this gets sections without dynamic references, or fewer that may be blocked.
MAX_TABLE_CAPACITY = 65536
MAX_BLOCKED_STREAMS = 1024

MAX_STREAMS_CAPSULE = {"uni": CapsuleType.WT_MAX_STREAMS_UNI, "bidi": CapsuleType.WT_MAX_STREAMS_BIDI}
STREAMS_BLOCKED_CAPSULE = {
    "uni": CapsuleType.WT_STREAMS_BLOCKED_UNI,
    "bidi": CapsuleType.WT_STREAMS_BLOCKED_BIDI,
}


class Behaviour:
    """The decisions of a server that conforms to the drafts that it offers."""

    def __init__(self, drafts: Sequence[Draft] = DRAFTS) -> None:
        self.rules = RuleTable(PERMISSIONS)
        self.drafts = tuple(draft for draft in DRAFTS if draft in drafts)
        # Initial limits of a session, and how long credit for consumed data and closed streams is gathered
        # before it is given back (seconds; long enough that a flight that overruns a limit is noticed).
        self.flow_control: FlowControl | None = FlowControl(streams_uni=16, streams_bidi=16, data=10240)
        self.credit_delay = 0.01
        # Concurrent sessions where they can share a connection; the value of the settings that count them.
        self.max_sessions = 8
        # What is kept for sessions that are not known yet (draft-16 §4.6).
        self.max_buffered_streams = 16
        self.max_buffered_bytes = 256 * 1024
        self.max_buffered_datagrams = 32
        # Early bytes of a CONNECT stream, before the response (draft-16 §3.2).
        self.max_early_bytes = 64 * 1024
        # Seconds from a valid session request to its acceptance, beside what the endpoint asks for.
        self.accept_delay = 0.0
        # Dynamic table for what the client encodes (RFC 9204 §5).
        self.table_capacity = 4096
        self.blocked_streams = 16
        self.max_field_section = 16384
        self.baton = BatonBehaviour()
        # Seconds that a graceful shutdown waits for the client to close its sessions (draft-16 §6).
        self.shutdown_timeout = 3.0

    # --- connection ---

    def quic_options(self) -> Mapping[str, Any]:
        """Return fields of QuicOptions to replace: transport parameters, limits, session tickets."""
        return {"session_tickets": True}

    def settings(self) -> Entries:
        """Return the SETTINGS entries (draft-16 §3.1; one WebTransport setting for each draft, §7.1)."""
        entries = server_settings(
            self.drafts,
            self.flow_control,
            sessions=self.max_sessions,
            table_capacity=self.table_capacity,
            blocked_streams=self.blocked_streams,
        )
        return (*entries, (0x06, self.max_field_section))

    def control_stream(self) -> bytes:
        """Return the first bytes of the control stream: type and SETTINGS (RFC 9114 §6.2.1)."""
        return varint(StreamType.CONTROL) + encode_settings(self.settings())

    def resumed_control_stream(self) -> bytes:
        """Return the same where early data was accepted: nothing is lowered then (RFC 9114 §7.2.4.2)."""
        return self.control_stream()

    def qpack_streams(self) -> tuple[bytes, bytes]:
        """Return the first bytes of encoder and decoder stream; empty bytes leave one out."""
        return varint(StreamType.QPACK_ENCODER), varint(StreamType.QPACK_DECODER)

    def settings_unprompted(self) -> bool:
        """Tell whether the own streams are opened without waiting for the client (RFC 9114 §7.2.4.2)."""
        return True

    def connected(self, connection: Connection) -> None:
        """Do more once the own critical streams are open: nothing is due then."""

    def select_draft(self, client_settings: Mapping[int, int]) -> Draft | None:
        """Return the newest draft that both sides offer (draft-16 §7.1)."""
        return newest(offered_drafts(client_settings) & frozenset(self.drafts))

    def waits_for_settings(self) -> bool:
        """Tell whether session requests wait for the client's SETTINGS (draft-16 §3.1)."""
        return True

    def waits_for_handshake(self) -> bool:
        """Tell whether requests in early data wait for the end of the handshake (RFC 8470 §3)."""
        return True

    def goaway_identifier(self, next_request: int) -> int:
        """Return the GOAWAY identifier: the first request stream that is not served (RFC 9114 §5.2)."""
        return next_request

    # --- requests ---

    def response_fields(
        self, status: int, facts: DraftFacts | None, extra: Sequence[Field] = ()
    ) -> list[Field]:
        """Return the fields of a response; ``facts`` of the draft where a session is accepted."""
        marks = facts.response_marks if facts is not None and 200 <= status < 300 else ()
        allow = [(b"allow", b"GET, HEAD")] if status == 405 else []
        return [(b":status", b"%d" % status), *allow, *marks, *extra]

    def section_encoder(self, max_table_capacity: int, blocked_streams: int) -> SectionEncoder | None:
        """Return an encoder within the client's SETTINGS; None: the static table alone (RFC 9204 §2.1)."""
        if not 0 < max_table_capacity <= MAX_TABLE_CAPACITY:
            return None
        return SectionEncoder(
            max_table_capacity=max_table_capacity, blocked_streams=min(blocked_streams, MAX_BLOCKED_STREAMS)
        )

    def field_section(self, section: bytes) -> bytes:
        """Return an encoded field section for the decoder: the one that arrived (RFC 9204 §4.5).

        Raises QpackError to object to it.
        """
        return section

    def encoder_instructions(self, data: bytes) -> bytes:
        """Return the bytes of the client's encoder stream for the table: those that arrived (RFC 9204 §4.3).

        Raises QpackError to object to them.
        """
        return data

    def decoder_instructions(self, instructions: bytes) -> bytes:
        """Return what the decoder sends: acknowledgments and cancellations that are due (RFC 9204 §4.4)."""
        return instructions

    def resource(self, path: str) -> str:
        """Return the path of the resource that a request names."""
        return path

    def offered_protocols(self, lines: Sequence[bytes]) -> list[str] | None:
        """Return what the lines of WT-Available-Protocols offer, None to ignore the field (draft-16 §3.3)."""
        return parse_string_list(lines)

    def select_protocol(self, offered: Sequence[str], supported: Sequence[str] | None) -> str | None:
        """Return the first offered protocol that is supported (None supports all), draft-16 §3.3."""
        return next((name for name in offered if supported is None or name in supported), None)

    def protocol_field(self, selected: str) -> bytes:
        """Return the value of WT-Protocol: an sf-string (draft-16 §3.3)."""
        return bare_string(selected)

    def flow_control_enabled(self, facts: DraftFacts, client: Mapping[int, int]) -> bool:
        """Tell whether both sides declared to use flow control (draft-16 §5.1, draft-14 §5.1)."""
        own = dict(self.settings())
        return all(_declares_flow_control(facts, settings) for settings in (own, client))

    # --- streams and datagrams ---

    def stream_header(self, session_id: int, *, unidirectional: bool) -> bytes:
        """Return the header of a stream that this side opens (draft-16 §4.2, §4.3)."""
        return uni_header(session_id) if unidirectional else bidi_header(session_id)

    def body(self, stream: WtStream, data: bytes) -> bytes:
        """Return the body bytes for the application: those that arrived."""
        return data

    def ends_after_client(self, stream: WtStream) -> bool:
        """Tell whether a bidirectional echo is finished once the client has finished (RFC 9000 §3)."""
        return True

    def datagram_payload(self, payload: bytes) -> bytes:
        """Return the datagram payload for the application: the one that arrived (draft-16 §4.5)."""
        return payload

    def datagram(self, session_id: int, payload: bytes) -> bytes:
        """Return the content of the DATAGRAM frame (RFC 9297 §2.1)."""
        return datagram(session_id, payload)

    def map_error_code(self, code: int) -> int:
        """Map an application code for RESET_STREAM and STOP_SENDING (draft-16 §4.4)."""
        return to_http(code)

    def unmap_error_code(self, code: int, facts: DraftFacts) -> int | None:
        """Map a received code for the application; None: no application code (draft-16 §4.4)."""
        return from_http(code, last=facts.last_application_code)

    def reliable_size(self, header_length: int, facts: DraftFacts) -> int | None:
        """Return the Reliable Size of a reset; None: plain RESET_STREAM (draft-16 §4.4)."""
        return header_length if facts.reset_stream_at and header_length else None

    def session_gone_code(self, facts: DraftFacts) -> int:
        """Return the code for the streams of an ended session (draft-16 §6)."""
        return facts.session_gone_code

    def resets_on_session_end(self, session: Session) -> bool:
        """Tell whether send parts are reset when the session ends (draft-16 §6)."""
        return True

    def stops_on_session_end(self, session: Session) -> bool:
        """Tell whether receive parts are stopped when the session ends (draft-16 §6)."""
        return True

    def may_send(self, session: Session) -> bool:
        """Tell whether streams may be opened and datagrams sent: until the session ends (draft-16 §6)."""
        return session.open

    # --- capsules ---

    def close_message(self, message: str) -> bytes:
        """Return the bytes of a close message, cut at a character boundary (draft-16 §6)."""
        return message.encode()[:MAX_CLOSE_MESSAGE].decode(errors="ignore").encode()

    def close_capsule(self, code: int, message: str) -> bytes:
        """Return the WT_CLOSE_SESSION capsule (draft-16 §6)."""
        return capsules.close_capsule(code, self.close_message(message))

    def finishes_after_close(self) -> bool:
        """Tell whether FIN follows the own WT_CLOSE_SESSION at once (draft-16 §6)."""
        return True

    def answers_close(self) -> bool:
        """Tell whether the CONNECT stream is finished when the client closed the session (draft-16 §6)."""
        return True

    def stops_after_close(self) -> int | None:
        """Return the code of a STOP_SENDING behind the own close capsule, None for none (draft-16 §6)."""
        return None

    def session_accepted(self, session: Session) -> None:
        """Do more once a session is established: nothing is due then."""

    def application(self, application: Application) -> Application:
        """Return what runs in a session: what its endpoint chose (docs/endpoints.md)."""
        return application

    def session_over(self, connection: Connection) -> None:
        """Do more once a session has ended: the connection is left alone (draft-16 §6)."""

    def reported_close(self, code: int, reason: str) -> tuple[int, str]:
        """Return code and reason of the client's close for the application (draft-16 §6)."""
        return code, reason

    def drain_capsule(self) -> bytes:
        """Return the WT_DRAIN_SESSION capsule (draft-16 §4.7)."""
        return capsules.drain_capsule()

    def limit_capsule(self, kind: LimitKind, limit: int) -> bytes:
        """Return the capsule that raises a limit of the client (draft-16 §5.6.2, §5.6.4)."""
        capsule_type = CapsuleType.WT_MAX_DATA if kind == "data" else MAX_STREAMS_CAPSULE[kind]
        return capsules.limit_capsule(capsule_type, limit)

    def blocked_capsule(self, kind: LimitKind, limit: int) -> bytes:
        """Return the capsule that reports a reached limit of the client; empty for none (§5.6.3)."""
        capsule_type = CapsuleType.WT_DATA_BLOCKED if kind == "data" else STREAMS_BLOCKED_CAPSULE[kind]
        return capsules.limit_capsule(capsule_type, limit)

    def raised_limit(self, kind: LimitKind, used: int, limit: int, initial: int) -> int | None:
        """Return the new limit once ``used`` of it is given back, None for no update (draft-16 §5.6)."""
        return used + initial if limit - used <= initial // 2 else None

    def respects_limit(self, kind: LimitKind) -> bool:
        """Tell whether the client's limit is observed when sending (draft-16 §5.6.2, §5.6.4)."""
        return True

    # --- exporter ---

    def exporter_label(self) -> str:
        """Return the TLS exporter label (draft-16 §4.8)."""
        return "EXPORTER-WebTransport"

    def exporter_context(self, session_id: int, label: bytes, context: bytes) -> bytes:
        """Return the serialized WebTransport Exporter Context (draft-16 §4.8)."""
        return (
            session_id.to_bytes(8, "big")
            + len(label).to_bytes(1, "big")
            + label
            + len(context).to_bytes(1, "big")
            + context
        )


def _declares_flow_control(facts: DraftFacts, settings: Mapping[int, int]) -> bool:
    if facts.flow_control == "none":
        return False
    initial = any(settings.get(identifier, 0) for identifier, _ in FlowControl(0, 0, 0).entries())
    return initial or (facts.flow_control == "sessions" and settings.get(facts.setting, 0) > 1)
