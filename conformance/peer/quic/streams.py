"""Send and receive part of a stream with RESET_STREAM_AT (draft-ietf-quic-reliable-stream-reset-10).

The draft treats RESET_STREAM_AT like a FIN (§5.3): the frame tells how much of the stream is
delivered, and the stream goes on until that much has arrived. So the parts of aioquic are extended,
not replaced: below the reliable size data is sent, lost, sent again and delivered as ever.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from aioquic.quic import events
from aioquic.quic.connection import QuicConnectionError
from aioquic.quic.packet import QuicErrorCode, QuicStreamFrame
from aioquic.quic.packet_builder import QuicDeliveryState
from aioquic.quic.stream import FinalSizeError, QuicStream, QuicStreamReceiver, QuicStreamSender

RESET_STREAM_AT = 0x24


@dataclass
class ResetReceived(events.StreamReset):
    """A reset with its sizes; ``reliable_size`` is None for a plain RESET_STREAM."""

    final_size: int = 0
    reliable_size: int | None = None


class ReliableReceiver(QuicStreamReceiver):
    """Receive part: a reset is reported once all data below the reliable size is delivered."""

    def __init__(self, stream_id: int, *, readable: bool, late: deque[events.QuicEvent]) -> None:
        super().__init__(stream_id, readable)
        self._late = late
        self._reset: ResetReceived | None = None

    def handle_reset(
        self, *, final_size: int, error_code: int = QuicErrorCode.NO_ERROR
    ) -> events.StreamReset | None:
        """Take a RESET_STREAM frame: as RESET_STREAM_AT with nothing reliable (§5.2)."""
        return self.handle_reset_at(final_size=final_size, error_code=error_code, reliable_size=None)

    def handle_reset_at(
        self, *, final_size: int, error_code: int, reliable_size: int | None
    ) -> events.StreamReset | None:
        """Take a reset; return the event where nothing has to be waited for.

        Raises FinalSizeError where the final size changes, QuicConnectionError (STREAM_STATE_ERROR)
        where the error code does (§5.2).
        """
        if self._final_size is not None and final_size != self._final_size:
            raise FinalSizeError("Cannot change final size")
        if final_size < self.highest_offset:
            raise FinalSizeError("Data received beyond final size")
        if self._reset is not None and error_code != self._reset.error_code:
            raise QuicConnectionError(
                error_code=QuicErrorCode.STREAM_STATE_ERROR,
                frame_type=RESET_STREAM_AT,
                reason_phrase="Cannot change the error code of a reset",
            )
        self.highest_offset = final_size
        if self.is_finished:
            return None
        if self._reset is not None and (reliable_size or 0) >= (self._reset.reliable_size or 0):
            return None  # A reliable size that grows is ignored (§5.2): packets were reordered.
        self._final_size = final_size
        self._reset = ResetReceived(
            stream_id=self._stream_id or 0,
            error_code=error_code,
            final_size=final_size,
            reliable_size=reliable_size,
        )
        return self._report() if self._buffer_start >= (reliable_size or 0) else None

    def handle_frame(self, frame: QuicStreamFrame) -> events.StreamDataReceived | None:
        """Take a STREAM frame; a reset that waited for its data follows the data as a late event."""
        waiting = self._reset is not None and not self.is_finished
        event = super().handle_frame(frame)
        if not waiting or self._reset is None:
            return event
        if self._buffer_start >= (self._reset.reliable_size or 0):
            self._late.append(self._report())
        if event is not None:
            event.end_stream = False  # An abrupt end, also where every byte arrived (§1).
            return event if event.data else None
        return None

    def _report(self) -> ResetReceived:
        assert self._reset is not None
        self.is_finished = True
        return self._reset


class ReliableSender(QuicStreamSender):
    """Send part: after a reset at N, bytes below N are still sent and retransmitted."""

    def __init__(self, stream_id: int, *, writable: bool) -> None:
        super().__init__(stream_id, writable)
        self.reliable_size: int | None = None
        self.stopped = False  # STOP_SENDING was received: nobody reads what is written.
        self.reset_at_code = 0
        self._reset_at_acked = False
        self._fin_sent = False

    @property
    def reset_code(self) -> int | None:
        """Error code of a plain RESET_STREAM; None without one."""
        return self._reset_error_code

    @property
    def reset_by_frame_at(self) -> bool:
        """Tell whether the pending reset goes out as RESET_STREAM_AT."""
        return self.reliable_size is not None and self._reset_error_code is None

    @property
    def has_unsent(self) -> bool:
        """Tell whether anything waits to be sent, or to be sent again."""
        return self.reset_pending or (
            self._reset_error_code is None and (len(self._pending) > 0 or self._pending_eof)
        )

    def reset_at(self, error_code: int, reliable_size: int) -> None:
        """Reset, with delivery of the first ``reliable_size`` bytes.

        Raises ValueError where more is promised than was written, or than by an earlier reset (§5.2).
        """
        limit = self._buffer_stop if self.reliable_size is None else self.reliable_size
        if not 0 <= reliable_size <= limit:
            raise ValueError("the reliable size exceeds what was written or promised before")
        if self.reliable_size is None:
            self.reset_at_code = error_code
        self.reliable_size = reliable_size
        self._reset_at_acked = False
        if reliable_size < self._buffer_stop:
            self._pending.subtract(reliable_size, self._buffer_stop)
        self._pending_eof = False
        if not self._fin_sent:
            self._buffer_fin = None
        self.buffer_is_empty = len(self._pending) == 0
        # The final size is subject to flow control (§4). Waiting until the reliable part was sent
        # once makes the frame's final size one that the credit already covers.
        self.reset_pending = self.highest_offset >= reliable_size

    def reset(self, error_code: int) -> None:
        """Reset at once; after reset_at() its error code stays, which must not change (§5.2)."""
        super().reset(error_code if self.reliable_size is None else self.reset_at_code)

    def change_reset_code(self, error_code: int) -> None:
        """Give a RESET_STREAM that was not sent yet another error code; not after reset_at() (§5.2)."""
        if self.reset_pending and self.reliable_size is None:
            self._reset_error_code = error_code

    def write(self, data: bytes, end_stream: bool = False) -> None:
        """Append data. Raises RuntimeError after the end or a reset of the stream."""
        if self.reliable_size is not None:
            raise RuntimeError("Cannot send data after the stream was reset")
        super().write(data, end_stream)

    def get_frame(self, max_size: int, max_offset: int | None = None) -> QuicStreamFrame | None:
        """Return the next STREAM frame to send, if any."""
        before = self.highest_offset
        frame = super().get_frame(max_size, max_offset)
        if frame is not None and frame.fin:
            self._fin_sent = True
        if self.reliable_size is not None and before < self.reliable_size <= self.highest_offset:
            self.reset_pending = True
        return frame

    def get_reset_at_frame(self) -> tuple[int, int, int]:
        """Return error code, final size and reliable size of the RESET_STREAM_AT frame to send."""
        assert self.reliable_size is not None
        self.reset_pending = False
        return self.reset_at_code, self.highest_offset, self.reliable_size

    def on_data_delivery(self, delivery: QuicDeliveryState, start: int, stop: int, fin: bool) -> None:
        """Take the fate of a STREAM frame: below the reliable size, lost data is sent again (§5)."""
        if not self.reset_by_frame_at:
            super().on_data_delivery(delivery, start, stop, fin)
        elif delivery is QuicDeliveryState.ACKED:
            super().on_data_delivery(delivery, start, stop, fin)
            self._finish_if_delivered()
        else:
            stop = min(stop, self.reliable_size or 0)
            if stop > start:
                self.buffer_is_empty = False
                self._pending.add(start, stop)

    def on_reset_at_delivery(self, delivery: QuicDeliveryState, reliable_size: int) -> None:
        """Take the fate of a RESET_STREAM_AT frame; only the smallest one counts (§5.2)."""
        if reliable_size != self.reliable_size or not self.reset_by_frame_at:
            return
        if delivery is QuicDeliveryState.ACKED:
            self._reset_at_acked = True
            self._finish_if_delivered()
        elif not self.is_finished:
            self.reset_pending = True

    def _finish_if_delivered(self) -> None:
        if self._reset_at_acked and self._buffer_start >= (self.reliable_size or 0):
            self.is_finished = True


class NumberedStream(QuicStream):
    """A stream that hashes as its number.

    aioquic decides the order of service with sets of streams; the order would else depend on memory
    addresses, and no two runs were the same.
    """

    def __hash__(self) -> int:
        return self.stream_id or 0


class StreamTable(dict[int, QuicStream]):
    """The streams of a connection; each one gets the two parts above when it is put in."""

    def __init__(self, late: deque[events.QuicEvent]) -> None:
        super().__init__()
        self._late = late

    def __setitem__(self, stream_id: int, stream: QuicStream) -> None:
        stream.__class__ = NumberedStream
        stream.sender = ReliableSender(stream_id, writable=not stream.sender.is_finished)
        stream.receiver = ReliableReceiver(
            stream_id, readable=not stream.receiver.is_finished, late=self._late
        )
        super().__setitem__(stream_id, stream)


class UnopenedStreams:
    """Own streams below the highest one used (RFC 9000 §2.1: open) on which nothing was sent yet.

    Kept as ranges: a case may use stream 2^62-4 first.
    """

    def __init__(self) -> None:
        self._gaps: list[range] = []

    def __contains__(self, stream_id: int) -> bool:
        return any(stream_id in item for item in self._gaps)

    def add(self, start: int, stop: int) -> None:
        """Add the stream ids from ``start`` to below ``stop``, of one type (in steps of four)."""
        if start < stop:
            self._gaps.append(range(start, stop, 4))

    def discard(self, stream_id: int) -> None:
        """Remove a stream id, where it is in."""
        for index, item in enumerate(self._gaps):
            if stream_id in item:
                parts = (range(item.start, stream_id, 4), range(stream_id + 4, item.stop, 4))
                self._gaps[index : index + 1] = [part for part in parts if part]
                return
