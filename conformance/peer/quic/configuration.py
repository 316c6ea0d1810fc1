"""Options of a connection in the form that aioquic takes."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TextIO, cast

from aioquic.quic.configuration import QuicConfiguration

from conformance.peer.quic.options import QuicOptions


class _KeyLogFile:
    """The file-like object that aioquic writes key log lines to."""

    def __init__(self, sink: Callable[[str], None]) -> None:
        self._sink = sink

    def write(self, text: str) -> int:
        self._sink(text.rstrip("\n"))
        return len(text)

    def flush(self) -> None:
        """Nothing is buffered."""


def configuration_of(options: QuicOptions) -> QuicConfiguration:
    """Return the options of a connection in aioquic's form."""
    return QuicConfiguration(
        alpn_protocols=list(options.alpn) or None,
        cadata=options.ca_data,
        cafile=options.ca_file,
        certificate=options.certificate,
        certificate_chain=list(options.certificate_chain),
        idle_timeout=options.idle_timeout,
        is_client=options.is_client,
        max_data=options.max_data,
        max_datagram_frame_size=options.max_datagram_frame_size,
        max_datagram_size=options.max_datagram_size,
        max_stream_data=options.max_stream_data,
        private_key=options.private_key,
        secrets_log_file=cast(TextIO, _KeyLogFile(options.keylog)) if options.keylog else None,
        server_name=options.server_name,
        session_ticket=options.session_ticket,
        supported_versions=list(options.versions),
        token=options.token,
        verify_mode=ssl.CERT_NONE if options.insecure or not options.is_client else ssl.CERT_REQUIRED,
    )
