"""aioquic's events in the vocabulary of the peer's wire events."""

from __future__ import annotations

from aioquic.quic import events

from conformance.peer import events as wire
from conformance.peer.quic.engine import Engine
from conformance.peer.quic.streams import ResetReceived


def wire_event(engine: Engine, event: events.QuicEvent | wire.WireEvent) -> wire.WireEvent | None:
    """Return the wire event for an event of ``engine``; None where it is none of the wire's business."""
    now = engine.now
    match event:
        case wire.WireEvent():
            return event
        case events.StreamDataReceived(data=data, end_stream=end, stream_id=stream_id):
            return wire.StreamData(time=now, sent=False, stream_id=stream_id, data=data, end_stream=end)
        case events.DatagramFrameReceived(data=data):
            return wire.DatagramFrame(time=now, sent=False, data=data)
        case ResetReceived(error_code=code, stream_id=stream_id):
            return wire.StreamReset(
                time=now,
                sent=False,
                stream_id=stream_id,
                error_code=code,
                final_size=event.final_size,
                reliable_size=event.reliable_size,
            )
        case events.StopSendingReceived(error_code=code, stream_id=stream_id):
            return wire.StopSending(time=now, sent=False, stream_id=stream_id, error_code=code)
        case events.HandshakeCompleted():
            schedule = engine.tls.key_schedule
            return wire.HandshakeCompleted(
                time=now,
                sent=False,
                alpn=event.alpn_protocol,
                version=engine._version or 0,
                cipher=schedule.cipher_suite.name if schedule is not None else "",
                early_data_accepted=event.early_data_accepted,
            )
    return None
