"""How each operation is sent by the malleable peer; nothing here waits or judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from conformance.peer.capsules import capsule
from conformance.peer.client import Peer
from conformance.peer.codepoints import CapsuleType
from conformance.peer.h3frames import data_frame, frame
from conformance.peer.quic import StreamNotWritable
from conformance.peer.session import Session
from conformance.peer.streams import Stream
from conformance.peer.varint import varint
from conformance.peer.wtheaders import bidi_header, uni_header
from fuzz import operations as op
from fuzz.model import LIMIT_CAPSULES, SessionModel
from fuzz.requests import REQUESTS


class Sender:
    """Sends operations on one session; remembers which QUIC stream a name stands for."""

    def __init__(self, peer: Peer, session: Session, model: SessionModel) -> None:
        self.peer = peer
        self.session = session
        self.model = model
        self.streams: dict[int, Stream] = {}
        self.request: Stream | None = None

    def send(self, operation: op.Operation) -> None:
        """Send an operation; one that QUIC does not allow any more has no effect."""
        sender = _SENDERS.get(type(operation))
        if sender is None:
            return
        try:
            sender(self, operation)
        except StreamNotWritable:
            return

    def finish(self) -> None:
        """End this side of the CONNECT stream, if it is still open."""
        if not self.session.finished:
            self.send(op.EndConnect("fin"))

    def flush(self) -> None:
        """Let what is queued leave in packets of its own."""
        self.peer.link.run_until(lambda: True, 0.0)

    def pieces(self, data: bytes, count: int, send: Callable[[bytes, bool], None], fin: bool) -> None:
        """Send bytes in pieces of equal length, each in packets of its own."""
        count = max(1, min(count, len(data)))
        edges = [len(data) * number // count for number in range(count + 1)]
        for number in range(count):
            last = number == count - 1
            send(data[edges[number] : edges[number + 1]], fin and last)
            if not last:
                self.flush()


def _open_stream(sender: Sender, item: op.OpenStream) -> None:
    session_id = sender.session.id + item.session_offset
    length = item.id_length
    header = (bidi_header if item.bidi else uni_header)(session_id, id_length=length)
    stream = (sender.peer.open_bidi if item.bidi else sender.peer.open_uni)()
    stream.header_length = len(header)
    sender.streams[item.stream] = stream
    sender.pieces(header + item.data, item.pieces, stream.send, item.fin)


def _send(sender: Sender, item: op.Send) -> None:
    sender.pieces(item.data, item.pieces, sender.streams[item.stream].send, item.fin)


def _reset(sender: Sender, item: op.Reset) -> None:
    sender.streams[item.stream].reset(item.code)


def _reset_at(sender: Sender, item: op.ResetAt) -> None:
    stream = sender.streams[item.stream]
    stream.reset_at(item.code, min(stream.header_length + item.extra, stream.sent_length))


def _stop(sender: Sender, item: op.Stop) -> None:
    sender.streams[item.stream].stop(item.code)


def _datagram(sender: Sender, item: op.Datagram) -> None:
    sender.session.send_datagram(item.data)


def _raw_datagram(sender: Sender, item: op.RawDatagram) -> None:
    sender.peer.send_datagram_raw(item.data)


def _capsule(sender: Sender, item: op.Capsule) -> None:
    whole = capsule(item.type, item.value, declared_length=len(item.value) + item.missing)
    fin = item.fin or item.missing > 0
    sender.pieces(whole, item.pieces, lambda data, last: sender.session.send(data_frame(data), last), fin)


def _limit(sender: Sender, item: op.Limit) -> None:
    sender.session.send_capsule(LIMIT_CAPSULES[item.kind, item.blocked], varint(item.value))


def _overrun(sender: Sender, item: op.Overrun) -> None:
    """Use what is left of the limit and more, on streams that stay open so that no credit comes back."""
    if item.kind == "data":
        sender.session.open_uni(bytes(sender.model.overrun))
        return
    for _ in range(sender.model.overrun):
        if item.kind == "uni":
            sender.session.open_uni()
        else:
            sender.session.open_bidi()


def _close(sender: Sender, item: op.Close) -> None:
    sender.session.close(item.code, item.reason, end_stream=item.fin)


def _drain(sender: Sender, item: op.Drain) -> None:
    sender.session.send_capsule(CapsuleType.WT_DRAIN_SESSION)


def _end_connect(sender: Sender, item: op.EndConnect) -> None:
    _end(sender.session, item.how, item.code)


def _end(stream: Stream, how: str, code: int) -> None:
    match how:
        case "fin":
            stream.finish()
        case "reset":
            stream.reset(code)
        case _:
            stream.stop(code)


def _frame(sender: Sender, item: op.Frame) -> None:
    data = frame(item.type, item.payload, declared_length=len(item.payload) + item.missing)
    place: Stream | None = sender.session if item.place == "connect" else sender.peer.control
    if place is not None:
        place.send(data, end_stream=item.missing > 0)


def _other_uni(sender: Sender, item: op.OtherUni) -> None:
    sender.peer.open_uni(varint(item.type) + item.data, end_stream=item.fin)


def _end_critical(sender: Sender, item: op.EndCritical) -> None:
    peer = sender.peer
    streams = {"control": peer.control, "encoder": peer.encoder_stream, "decoder": peer.decoder_stream}
    stream = streams[item.which]
    if stream is not None:
        _end(stream, "reset" if item.how == "stop" else item.how, 0x0100)


def _request(sender: Sender, item: op.Request) -> None:
    fields = REQUESTS[item.variant].change(sender.peer.connect_request_fields())
    sender.request = sender.peer.send_request(fields, end_stream=item.variant == "get")


def _raw_stream(sender: Sender, item: op.RawStream) -> None:
    stream = sender.streams.get(item.stream)
    if stream is None:
        stream = (sender.peer.open_uni if item.uni else sender.peer.open_bidi)()
        sender.streams[item.stream] = stream
    stream.send(item.data, end_stream=item.fin)


_Send: TypeAlias = Callable[[Sender, Any], None]
_SENDERS: Final[Mapping[type[op.Operation], _Send]] = {
    op.OpenStream: _open_stream,
    op.Send: _send,
    op.Reset: _reset,
    op.ResetAt: _reset_at,
    op.Stop: _stop,
    op.Datagram: _datagram,
    op.RawDatagram: _raw_datagram,
    op.Capsule: _capsule,
    op.Limit: _limit,
    op.Overrun: _overrun,
    op.Close: _close,
    op.Drain: _drain,
    op.EndConnect: _end_connect,
    op.Frame: _frame,
    op.OtherUni: _other_uni,
    op.EndCritical: _end_critical,
    op.Request: _request,
    op.RawStream: _raw_stream,
}
