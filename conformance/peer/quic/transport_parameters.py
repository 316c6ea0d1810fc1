"""Transport parameters as they stand on the wire (RFC 9000 §18): unknown ones, order and bytes kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from aioquic.buffer import encode_uint_var

from conformance.peer.quic.compat import Buffer, BufferReadError

NAMES: Mapping[int, str] = {
    0x00: "original_destination_connection_id",
    0x01: "max_idle_timeout",
    0x02: "stateless_reset_token",
    0x03: "max_udp_payload_size",
    0x04: "initial_max_data",
    0x05: "initial_max_stream_data_bidi_local",
    0x06: "initial_max_stream_data_bidi_remote",
    0x07: "initial_max_stream_data_uni",
    0x08: "initial_max_streams_bidi",
    0x09: "initial_max_streams_uni",
    0x0A: "ack_delay_exponent",
    0x0B: "max_ack_delay",
    0x0C: "disable_active_migration",
    0x0D: "preferred_address",
    0x0E: "active_connection_id_limit",
    0x0F: "initial_source_connection_id",
    0x10: "retry_source_connection_id",
    0x11: "version_information",
    0x1D: "reset_stream_at",
    0x20: "max_datagram_frame_size",
    0x17F7586D2CB571: "reset_stream_at_07",
}
# Those whose value is one variable-length integer.
INTEGERS = frozenset((0x01, *range(0x03, 0x0C), 0x0E, 0x20))


class MalformedParameters(ValueError):
    """The transport parameters extension cannot be parsed."""


def parse(data: bytes) -> list[tuple[int, bytes]]:
    """Return identifiers and raw values in the order of the wire, duplicates kept.

    Raises MalformedParameters where a length runs past the end.
    """
    buffer = Buffer(data=data)
    result: list[tuple[int, bytes]] = []
    try:
        while not buffer.eof():
            identifier = buffer.pull_uint_var()
            result.append((identifier, buffer.pull_bytes(buffer.pull_uint_var())))
    except BufferReadError as error:
        raise MalformedParameters("transport parameters are cut short") from error
    return result


def encode(parameters: Iterable[tuple[int, bytes]]) -> bytes:
    """Encode parameters in the given order; nothing is checked, duplicates are written as given."""
    return b"".join(
        encode_uint_var(identifier) + encode_uint_var(len(value)) + value for identifier, value in parameters
    )


def amend(data: bytes, *, extra: Mapping[int, bytes], omitted: Collection[int]) -> bytes:
    """Return ``data`` without the ``omitted`` parameters and with ``extra`` ones replaced or appended."""
    present = parse(data)
    result = [(key, extra.get(key, value)) for key, value in present if key not in omitted]
    known = {key for key, _ in present}
    result += [(key, value) for key, value in extra.items() if key not in known]
    return encode(result)


def integer(value: bytes) -> int | None:
    """Return the value of an integer parameter, or None where it is not exactly one varint."""
    buffer = Buffer(data=value)
    try:
        number = buffer.pull_uint_var()
    except BufferReadError:
        return None
    return number if buffer.eof() else None
