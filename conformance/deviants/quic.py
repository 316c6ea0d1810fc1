"""Deviants whose fault sits in QUIC: frames that are taken, refused or sent against the texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from conformance.deviants.definition import deviant, override
from conformance.deviants.negotiation import quic
from conformance.peer.codepoints import Quic
from conformance.peer.drafts import Draft
from conformance.peer.model import Behaviour
from conformance.peer.model.engine import Connection
from conformance.peer.quic.frames import Frame
from conformance.peer.quic.options import RESET_STREAM_AT_PARAMETERS, Objection

SINCE_14 = (Draft.D16, Draft.D14)

RESET_STREAM: Final = 0x04
STOP_SENDING: Final = 0x05
RESET_STREAM_AT: Final = 0x24
DATAGRAM_WITHOUT_LENGTH: Final = 0x30
STREAM: Final = range(0x08, 0x10)

FLOW_CONTROL_ERROR: Final = 0x03
STREAM_LIMIT_ERROR: Final = 0x04
STREAM_STATE_ERROR: Final = 0x05
FINAL_SIZE_ERROR: Final = 0x06
FRAME_ENCODING_ERROR: Final = 0x07


def ignore(behaviour: Behaviour, code: int, *frame_types: int) -> None:
    """Do not raise a connection error because of these frames."""
    quic(behaviour, ignored_errors=frozenset((code, frame_type) for frame_type in frame_types))


def refuse(behaviour: Behaviour, make: Callable[[], Callable[[Frame], bool]]) -> None:
    """Close the connection because of a frame for which the function, made for each connection, holds."""

    def objection() -> Objection:
        wrong = make()
        return lambda frame: int(Quic.PROTOCOL_VIOLATION) if wrong(frame) else None

    quic(behaviour, objection=objection)


# --- errors that are overlooked ---


@deviant("frames.reliable-above-final", "RSR-4-02", drafts=SINCE_14)
def reliable_above_final(behaviour: Behaviour) -> None:
    """Overlooks a Reliable Size above the Final Size (reliable-stream-reset-10 §4)."""
    ignore(behaviour, FRAME_ENCODING_ERROR, RESET_STREAM_AT)


@deviant("frames.final-beyond-credit", "RSR-4-04", drafts=SINCE_14)
def final_beyond_credit(behaviour: Behaviour) -> None:
    """Overlooks a Final Size beyond its credit (reliable-stream-reset-10 §4)."""
    ignore(behaviour, FLOW_CONTROL_ERROR, RESET_STREAM_AT)


@deviant("frames.changed-final-size", "RSR-5.2-05", drafts=SINCE_14)
def changed_final_size(behaviour: Behaviour) -> None:
    """Overlooks that a second RESET_STREAM_AT changes the Final Size (reliable-stream-reset-10 §5.2)."""
    ignore(behaviour, FINAL_SIZE_ERROR, RESET_STREAM_AT)


@deviant("frames.changed-code", "RSR-5.2-04", drafts=SINCE_14)
def changed_code(behaviour: Behaviour) -> None:
    """Overlooks that a second RESET_STREAM_AT changes the code (reliable-stream-reset-10 §5.2)."""
    ignore(behaviour, STREAM_STATE_ERROR, RESET_STREAM_AT)


@deviant("frames.stop-receive-only", "Q-05")
def stop_receive_only(behaviour: Behaviour) -> None:
    """Overlooks STOP_SENDING for a stream that it only receives on (RFC 9000 §19.5)."""
    ignore(behaviour, STREAM_STATE_ERROR, STOP_SENDING)


@deviant("frames.data-behind-fin", "Q-07")
def data_behind_fin(behaviour: Behaviour) -> None:
    """Overlooks bytes behind the final size of a stream (RFC 9000 §4.5)."""
    ignore(behaviour, FINAL_SIZE_ERROR, *STREAM)


@deviant("frames.stream-send-only", "Q-03")
def stream_send_only(behaviour: Behaviour) -> None:
    """Overlooks STREAM for a stream that it only sends on (RFC 9000 §19.8)."""
    ignore(behaviour, STREAM_STATE_ERROR, *STREAM)


@deviant("frames.reset-send-only", "Q-04")
def reset_send_only(behaviour: Behaviour) -> None:
    """Overlooks RESET_STREAM for a stream that it only sends on (RFC 9000 §19.4)."""
    ignore(behaviour, STREAM_STATE_ERROR, RESET_STREAM)


@deviant("frames.streams-beyond-limit", "Q-06")
def streams_beyond_limit(behaviour: Behaviour) -> None:
    """Overlooks streams beyond its limit (RFC 9000 §4.6)."""
    ignore(behaviour, STREAM_LIMIT_ERROR, *STREAM)


@deviant("frames.stop-unanswered", "Q-01", "Q-02", "RSR-5.4-01", "H3-6.2.1-04", "WT-6-07")
def stop_unanswered(behaviour: Behaviour) -> None:
    """Does not answer STOP_SENDING (RFC 9000 §3.5)."""
    quic(behaviour, answers_stop_sending=False)


# --- frames that are refused ---


@deviant("frames.reliable-zero", "RSR-5-03", drafts=SINCE_14)
def reliable_zero(behaviour: Behaviour) -> None:
    """Refuses a Reliable Size of 0 (reliable-stream-reset-10 §5)."""
    refuse(behaviour, lambda: lambda frame: frame.details.get("reliable_size") == 0)


@deviant("frames.reliable-all", "RSR-5-04", "RSR-5-05", drafts=SINCE_14)
def reliable_all(behaviour: Behaviour) -> None:
    """Refuses a Reliable Size that is the Final Size (reliable-stream-reset-10 §4, §5)."""

    def wrong(frame: Frame) -> bool:
        size = frame.details.get("reliable_size")
        return bool(size) and size == frame.details["final_size"]

    refuse(behaviour, lambda: wrong)


@deviant(
    "frames.reliable-part", "RSR-5-04", "RSR-5-05", "RSR-5.1-01", "RSR-5.2-01", "RSR-5.2-03", drafts=SINCE_14
)
def reliable_part(behaviour: Behaviour) -> None:
    """Refuses a Reliable Size below the Final Size (reliable-stream-reset-10 §4, §5)."""

    def wrong(frame: Frame) -> bool:
        size, final = frame.details.get("reliable_size"), frame.details.get("final_size")
        return isinstance(size, int) and isinstance(final, int) and 0 < size < final

    refuse(behaviour, lambda: wrong)


@deviant("frames.reset-overtakes", "RSR-5-05", "RSR-5-03", drafts=SINCE_14)
def reset_overtakes(behaviour: Behaviour) -> None:
    """Refuses RESET_STREAM_AT ahead of any byte of the stream (reliable-stream-reset-10 §5)."""

    def make() -> Callable[[Frame], bool]:
        begun: set[object] = set()

        def wrong(frame: Frame) -> bool:
            if frame.frame_type in STREAM:
                begun.add(frame.details["stream_id"])
            return frame.frame_type == RESET_STREAM_AT and frame.details["stream_id"] not in begun

        return wrong

    refuse(behaviour, make)


@deviant("frames.second-reset", "RSR-5.2-01", "RSR-5.2-03", drafts=SINCE_14)
def second_reset(behaviour: Behaviour) -> None:
    """Refuses a second RESET_STREAM_AT with another Reliable Size (reliable-stream-reset-10 §5.2)."""

    def make() -> Callable[[Frame], bool]:
        seen: dict[object, object] = {}

        def wrong(frame: Frame) -> bool:
            if frame.frame_type != RESET_STREAM_AT:
                return False
            size = frame.details["reliable_size"]
            return seen.setdefault(frame.details["stream_id"], size) != size

        return wrong

    refuse(behaviour, make)


@deviant("frames.reset-behind-fin", "RSR-5.1-01", drafts=SINCE_14)
def reset_behind_fin(behaviour: Behaviour) -> None:
    """Refuses RESET_STREAM_AT behind a FIN (reliable-stream-reset-10 §5.1)."""

    def make() -> Callable[[Frame], bool]:
        finished: set[object] = set()

        def wrong(frame: Frame) -> bool:
            if frame.details.get("fin"):
                finished.add(frame.details["stream_id"])
            return frame.frame_type == RESET_STREAM_AT and frame.details["stream_id"] in finished

        return wrong

    refuse(behaviour, make)


@deviant("frames.datagram-without-length", "QD-4-01")
def datagram_without_length(behaviour: Behaviour) -> None:
    """Refuses DATAGRAM frames without a length (RFC 9221 §4)."""
    refuse(behaviour, lambda: lambda frame: frame.frame_type == DATAGRAM_WITHOUT_LENGTH)


# --- frames that are sent ---


@deviant("frames.unadvertised", "RSR-3-03", "Q-09", drafts=SINCE_14)
def unadvertised(behaviour: Behaviour) -> None:
    """Sends RESET_STREAM_AT to clients that did not announce it (reliable-stream-reset-10 §3)."""

    def connected(_original: object, connection: Connection) -> None:
        if not set(RESET_STREAM_AT_PARAMETERS) & connection.quic.peer_transport_parameters.keys():
            stream_id = connection.quic.next_stream_id(unidirectional=True)
            connection.send(stream_id, b"\x21")
            connection.reset(stream_id, 0x0100, reliable_size=1)

    override(behaviour, "connected", connected)
