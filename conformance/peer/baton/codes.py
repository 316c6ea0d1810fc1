"""Numbers and names of the Devious Baton protocol, version 0."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

PATH: Final = "/webtransport/devious-baton"
VERSION: Final = 0


class SessionError(IntEnum):
    """Codes of the close capsule (§4.6.2)."""

    DA_YAMN = 0x01  # insufficient stream credit to continue the protocol
    BRUH = 0x02  # received a malformed message
    SUS = 0x03  # received an unexpected message
    BORED = 0x04  # got tired of waiting for the next message


class StreamError(IntEnum):
    """Codes of RESET_STREAM and STOP_SENDING, as application codes (§4.6.1)."""

    IDC = 0x01  # I don't care about this stream: every STOP_SENDING
    WHATEVER = 0x02  # the peer asked for this: the answer to a stop or a reset
    I_LIED = 0x03  # a spontaneous reset
