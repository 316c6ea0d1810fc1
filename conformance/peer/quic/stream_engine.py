"""aioquic's QuicConnection with RESET_STREAM_AT and with own streams in any order.

The private attributes of aioquic that are used here, and in the other modules of this package, are
listed in ``compat.py`` and checked when the package is imported.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import cast

from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import EPOCHS, QuicConnection, QuicConnectionError, QuicReceiveContext
from aioquic.quic.packet import QuicErrorCode
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import FinalSizeError, QuicStream
from aioquic.tls import Epoch

from conformance.peer import events as wire
from conformance.peer.quic import compat, frames
from conformance.peer.quic.compat import Buffer
from conformance.peer.quic.injection import InjectionQueue
from conformance.peer.quic.options import ConnectionContext, QuicOptions
from conformance.peer.quic.streams import (
    RESET_STREAM_AT,
    ReliableReceiver,
    ReliableSender,
    StreamTable,
    UnopenedStreams,
)

compat.check()

# What aioquic warns of is in the wire events; without a handler it would go to standard error.
logging.getLogger("quic").addHandler(logging.NullHandler())

# Room for the type and four variable-length integers.
RESET_STREAM_AT_CAPACITY = 1 + 4 * 8


class StreamEngine(QuicConnection):
    """The stream layer of a connection.

    Wire events are put into the same queue as aioquic's own events, so that ``next_event`` returns all
    of them in the order in which they happened.
    """

    def __init__(
        self, options: QuicOptions, configuration: QuicConfiguration, context: ConnectionContext
    ) -> None:
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=context.original_destination_connection_id,
            retry_source_connection_id=context.retry_source_connection_id,
            session_ticket_fetcher=context.session_ticket_fetcher,
            session_ticket_handler=context.session_ticket_handler,
        )
        self.options = options
        self.now = 0.0
        # Chooses the error code of the answer to STOP_SENDING from stream id and received code.
        self.stop_answer: Callable[[int, int], int] | None = None
        self.injections = {epoch: InjectionQueue() for epoch in Epoch}
        self._late_events: deque[events.QuicEvent] = deque()
        self._skipped = UnopenedStreams()
        self._streams = StreamTable(self._late_events)
        for limit, value in (
            (self._local_max_streams_bidi, options.max_streams_bidi),
            (self._local_max_streams_uni, options.max_streams_uni),
        ):
            limit.value = limit.sent = value
        if options.max_stream_data_uni is not None:
            self._local_max_stream_data_uni = options.max_stream_data_uni
        if options.reset_stream_at:
            handlers = getattr(self, compat.FRAME_HANDLERS)
            handlers[RESET_STREAM_AT] = (self._handle_reset_stream_at_frame, EPOCHS("01"))

    def emit(self, event: wire.WireEvent) -> None:
        """Queue a wire event behind everything that happened so far."""
        self._events.append(cast(events.QuicEvent, event))

    def stream_credit(self, *, unidirectional: bool) -> int:
        """Return how many more own streams of this kind the other side allows now."""
        if unidirectional:
            return max(0, self._remote_max_streams_uni - self._local_next_stream_id_uni // 4)
        return max(0, self._remote_max_streams_bidi - self._local_next_stream_id_bidi // 4)

    def blocked_streams(self) -> frozenset[int]:
        """Return the own streams that were opened and wait for the other side to allow them."""
        blocked = (*self._streams_blocked_uni, *self._streams_blocked_bidi)
        return frozenset(stream.stream_id for stream in blocked if stream.stream_id is not None)

    def _stream_is_discarded(self, stream_id: int) -> bool:
        return stream_id not in self._skipped and super()._stream_is_discarded(stream_id)

    def _get_or_create_stream_for_send(self, stream_id: int) -> QuicStream:
        """Open an own stream in any order: the lower-numbered ones are open too, and usable later."""
        if stream_id in self._streams:
            return super()._get_or_create_stream_for_send(stream_id)
        next_bidi, next_uni = self._local_next_stream_id_bidi, self._local_next_stream_id_uni
        stream = super()._get_or_create_stream_for_send(stream_id)
        self._skipped.discard(stream_id)
        first_unopened = next_uni if stream_id & 2 else next_bidi
        self._skipped.add(first_unopened, stream_id)
        self._local_next_stream_id_bidi = max(next_bidi, self._local_next_stream_id_bidi)
        self._local_next_stream_id_uni = max(next_uni, self._local_next_stream_id_uni)
        for blocked in (self._streams_blocked_bidi, self._streams_blocked_uni):
            blocked.sort(key=lambda item: item.stream_id or 0)
        return stream

    def _get_or_create_stream(self, frame_type: int, stream_id: int) -> QuicStream:
        if stream_id in self._skipped:
            return self._get_or_create_stream_for_send(stream_id)
        return super()._get_or_create_stream(frame_type, stream_id)

    def _handle_stream_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        super()._handle_stream_frame(context, frame_type, buf)
        while self._late_events:
            self._events.append(self._late_events.popleft())

    def _handle_stop_sending_frame(self, context: QuicReceiveContext, frame_type: int, buf: Buffer) -> None:
        """Let aioquic answer with RESET_STREAM (RFC 9000 §3.5), and report that."""
        start = buf.tell()
        stream_id, code = buf.pull_uint_var(), buf.pull_uint_var()
        if not self.options.answers_stop_sending:
            self._assert_stream_can_send(frame_type, stream_id)
            return
        buf.seek(start)
        known = self._streams.get(stream_id)
        reset_before = known is not None and cast(ReliableSender, known.sender).reset_code is not None
        super()._handle_stop_sending_frame(context, frame_type, buf)
        stream = self._streams[stream_id]
        sender = cast(ReliableSender, stream.sender)
        sender.stopped = True
        if sender.reset_code is not None and not reset_before:
            if self.stop_answer is not None:
                sender.change_reset_code(self.stop_answer(stream_id, code))
            self.emit(
                wire.StreamReset(
                    time=self.now,
                    sent=True,
                    stream_id=stream_id,
                    error_code=sender.reset_code,
                    final_size=sender.highest_offset,
                    reliable_size=None,
                )
            )

    def _handle_reset_stream_at_frame(
        self, context: QuicReceiveContext, frame_type: int, buf: Buffer
    ) -> None:
        """Handle RESET_STREAM_AT (draft-ietf-quic-reliable-stream-reset-10 §4)."""
        stream_id = buf.pull_uint_var()
        error_code = buf.pull_uint_var()
        final_size = buf.pull_uint_var()
        reliable_size = buf.pull_uint_var()
        if reliable_size > final_size:
            raise QuicConnectionError(
                QuicErrorCode.FRAME_ENCODING_ERROR, frame_type, "Reliable Size exceeds Final Size"
            )
        self._assert_stream_can_receive(frame_type, stream_id)
        stream = self._get_or_create_stream(frame_type, stream_id)
        newly_received = max(0, final_size - stream.receiver.highest_offset)
        if (
            final_size > stream.max_stream_data_local
            or self._local_max_data.used + newly_received > self._local_max_data.value
        ):
            raise QuicConnectionError(
                QuicErrorCode.FLOW_CONTROL_ERROR, frame_type, "Over stream or connection data limit"
            )
        receiver = cast(ReliableReceiver, stream.receiver)
        try:
            event = receiver.handle_reset_at(
                error_code=error_code, final_size=final_size, reliable_size=reliable_size
            )
        except FinalSizeError as error:
            raise QuicConnectionError(QuicErrorCode.FINAL_SIZE_ERROR, frame_type, str(error)) from error
        if event is not None:
            self._events.append(event)
        self._local_max_data.used += newly_received

    def _write_reset_stream_frame(self, builder: QuicPacketBuilder, stream: QuicStream) -> None:
        sender = cast(ReliableSender, stream.sender)
        if not sender.reset_by_frame_at:
            super()._write_reset_stream_frame(builder, stream)
            return
        buffer = builder.start_frame(
            RESET_STREAM_AT,
            capacity=RESET_STREAM_AT_CAPACITY,
            handler=sender.on_reset_at_delivery,
            handler_args=(sender.reliable_size,),
        )
        buffer.push_uint_var(stream.stream_id or 0)
        for value in sender.get_reset_at_frame():
            buffer.push_uint_var(value)

    def has_unsent_stream_data(self) -> bool:
        """Tell whether a stream has data, an end or a reset that was not sent, or has to be sent again."""
        return any(cast(ReliableSender, stream.sender).has_unsent for stream in self._streams.values())

    def all_acknowledged(self) -> bool:
        """Tell whether nothing ack-eliciting of the application waits to be sent or acknowledged."""
        if Epoch.ONE_RTT not in self._spaces:
            return False
        return not (
            self._spaces[Epoch.ONE_RTT].ack_eliciting_in_flight
            or self._datagrams_pending
            or self._ping_pending
            or any(len(queue) for queue in self.injections.values())
            or any(stream.receiver.stop_pending for stream in self._streams.values())
            or self.has_unsent_stream_data()
        )

    def _write_connection_limits(self, builder: QuicPacketBuilder, space: QuicPacketSpace) -> None:
        if self.options.raise_limits:
            super()._write_connection_limits(builder, space)

    def _write_stream_limits(
        self, builder: QuicPacketBuilder, space: QuicPacketSpace, stream: QuicStream
    ) -> None:
        if self.options.raise_limits:
            super()._write_stream_limits(builder, space, stream)

    def note_injected(self, frame: frames.Frame) -> None:
        """Count what a raw frame changes in the state that both sides keep: open streams and credit."""
        stream_id, data = frame.details.get("stream_id"), frame.details.get("stream_data")
        if not isinstance(stream_id, int) or stream_id % 2 == self._is_client:
            return
        if stream_id not in self._streams and not self._stream_is_discarded(stream_id):
            self._get_or_create_stream_for_send(stream_id)
        if isinstance(data, bytes):
            self._remote_max_data_used += len(data)
