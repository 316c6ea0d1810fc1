"""What takes the bytes of one stream; the receiver of a stream changes as more of it is known."""

from __future__ import annotations

from typing import Final, Protocol


class Receiver(Protocol):
    """Takes what arrives on one stream."""

    def data(self, data: bytes) -> None:
        """Take bytes, in order."""

    def end(self) -> None:
        """Take the FIN."""

    def reset(self, code: int, final_size: int) -> None:
        """Take RESET_STREAM or RESET_STREAM_AT, after the reliable bytes."""

    def stop(self, code: int) -> None:
        """Take STOP_SENDING; QUIC has reset the send part already, with the same code."""


class Discard:
    """Receiver of a stream that is of no interest any more."""

    def data(self, data: bytes) -> None:
        """Drop the bytes."""

    def end(self) -> None:
        """Do nothing."""

    def reset(self, code: int, final_size: int) -> None:
        """Do nothing."""

    def stop(self, code: int) -> None:
        """Do nothing."""


DISCARD: Final = Discard()
