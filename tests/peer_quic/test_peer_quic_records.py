"""Event log, qlog, key log and packet capture of a connection."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from aioquic.quic.crypto import CryptoPair
from aioquic.tls import CipherSuite
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.peer import events as wire
from conformance.peer import pcapng, qlog
from conformance.peer.keylog import KeyLog
from conformance.peer.quic import QuicOptions, frames
from conformance.peer.recorder import EventLog, LogCut, event_size, json_lines
from tests.peer_quic.support import CLIENT, SERVER, Pair, received, stream_bytes


def data_event(number: int, size: int = 0) -> wire.StreamData:
    return wire.StreamData(
        time=float(number), sent=False, stream_id=number, data=bytes(size), end_stream=False
    )


def ids(events: list[wire.WireEvent]) -> list[object]:
    return [
        ("cut", event.events) if isinstance(event, LogCut) else getattr(event, "stream_id", None)
        for event in events
    ]


def test_a_log_that_is_not_full_keeps_everything() -> None:
    log = EventLog()
    for number in range(10):
        log.append(data_event(number))
    mark = log.mark()
    assert (mark, len(log), log.cut) == (10, 10, None)
    log.append(data_event(10))
    assert ids(log.since(mark)) == [10]
    assert ids(log.since(mark + 5)) == []
    assert log.of(wire.StreamData, since=9, sent=False)[0].stream_id == 9
    assert log.of(wire.StreamData, sent=True) == []
    assert log[-1] == log[10] and log[2:4] == [data_event(2), data_event(3)]


def test_a_full_log_keeps_its_beginning_and_its_newest_part_with_a_visible_cut() -> None:
    log = EventLog(limit=8)
    for number in range(20):
        log.append(data_event(number))
    assert ids(list(log)) == [0, 1, ("cut", 12), 14, 15, 16, 17, 18, 19]
    assert ids(log.since(1)) == [1, ("cut", 12), 14, 15, 16, 17, 18, 19]
    assert ids(log.since(10)) == [("cut", 12), 14, 15, 16, 17, 18, 19]
    assert ids(log.since(15)) == [15, 16, 17, 18, 19]
    assert (len(log), log.mark()) == (8, 20)


def test_a_log_is_bounded_by_bytes_too() -> None:
    log = EventLog(max_bytes=40_000)
    for number in range(50):
        log.append(data_event(number, 5000))
    kept = [event for event in log if not isinstance(event, LogCut)]
    assert sum(event_size(event) for event in kept) <= 40_000
    assert ids(kept)[0] == 0 and ids(kept)[-1] == 49
    assert log.cut is not None and log.cut.size == sum(5256 for _ in range(50 - len(kept)))


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 60), st.integers(0, 60))
def test_since_returns_what_a_plain_list_would_but_for_the_cut(limit: int, count: int, mark: int) -> None:
    log = EventLog(limit=limit)
    for number in range(count):
        log.append(data_event(number))
    whole = [event for event in log if not isinstance(event, LogCut)]
    assert len(whole) + log.dropped == count == log.mark()
    found = [event for event in log.since(mark) if not isinstance(event, LogCut)]
    assert found == [event for event in whole if event.time >= mark]


def test_json_lines_are_complete_and_cut_long_bytes() -> None:
    (line,) = json_lines([data_event(3, 1000)])
    value = json.loads(line)
    assert value["name"] == "StreamData" and value["direction"] == "received"
    assert value["data_length"] == 1000 and len(value["data"]) == 512
    log = EventLog()
    log.append(data_event(1))
    file = io.StringIO()
    log.write(file)
    assert json.loads(file.getvalue())["stream_id"] == 1


def finished_pair(**options: Any) -> Pair:
    pair = Pair(echo=True, client=options).connect()
    pair.client.send_stream(0, b"hello qlog", end_stream=True)
    pair.client.send_datagram(b"gram")
    assert pair.run(lambda: stream_bytes(pair.seen, 0) == b"hello qlog")
    pair.client.send_stream(2, b"abc")
    pair.client.reset_stream_at(2, 5, 3)
    pair.client.inject_frames(frames.max_streams(500, unidirectional=True))
    pair.settle()
    pair.client.close(0x100, reason="done")
    pair.settle()
    return pair


def test_qlog_is_a_sequence_of_records_with_frames_inside_packets() -> None:
    pair = finished_pair()
    file = io.StringIO()
    qlog.write(file, pair.seen, is_client=True, title="a test", reference=1000.0)
    texts = file.getvalue().split("\x1e")
    assert texts[0] == ""
    header, *records = [json.loads(text) for text in texts[1:]]
    assert header["qlog_version"] == "0.3" and header["qlog_format"] == "JSON-SEQ"
    assert header["trace"]["vantage_point"]["type"] == "client"
    assert header["trace"]["common_fields"]["reference_time"] == 1_000_000.0
    names = {record["name"] for record in records}
    assert names == {
        "transport:packet_sent",
        "transport:packet_received",
        "transport:parameters_set",
        "connectivity:connection_closed",
    }
    sent = [record["data"] for record in records if record["name"] == "transport:packet_sent"]
    assert sent[0]["header"] == {"packet_type": "initial", "packet_number": 0}
    flat = [frame for packet in sent for frame in packet["frames"]]
    assert {"frame_type": "stream", "stream_id": 0, "length": 10, "fin": True} in flat
    assert {"frame_type": "max_streams", "stream_type": "unidirectional", "maximum": 500} in flat
    reset = {"stream_id": 2, "error_code": 5, "final_size": 3, "reliable_size": 3}
    assert {"frame_type": "reset_stream_at", **reset} in flat
    assert flat[-1] == {
        "frame_type": "connection_close",
        "error_code": 256,
        "reason": "done",
        "error_space": "application",
    }
    acks = [frame for frame in flat if frame["frame_type"] == "ack"]
    assert acks and all(low <= high for ack in acks for low, high in ack["acked_ranges"])
    parameters = [record["data"] for record in records if record["name"] == "transport:parameters_set"]
    assert [item["owner"] for item in parameters] == ["local", "remote"]
    assert parameters[1]["initial_max_streams_uni"] == 128 and parameters[1]["reset_stream_at"] == ""


def test_qlog_of_http3_frames_and_of_what_cannot_be_parsed() -> None:
    events: list[wire.WireEvent] = [
        wire.H3Frame(time=1.0, sent=True, stream_id=0, frame_type=1, length=9, payload=b""),
        wire.H3Frame(time=1.0, sent=False, stream_id=0, frame_type=0x4B57, length=0, payload=b""),
        wire.QuicPacket(time=2.0, sent=False, packet_type="retry", packet_number=None, size=90),
        wire.QuicFrame(
            time=2.0, sent=False, frame_type=0x3F, frame_name="malformed", packet_type="1rtt",
            packet_number=1, details={},
        ),
        data_event(1),
    ]  # fmt: skip
    assert list(qlog.records(events)) == [
        {
            "time": 1000.0,
            "name": "http:frame_created",
            "data": {"stream_id": 0, "length": 9, "frame": {"frame_type": "headers"}},
        },
        {
            "time": 1000.0,
            "name": "http:frame_parsed",
            "data": {
                "stream_id": 0,
                "length": 0,
                "frame": {"frame_type": "unknown", "raw_frame_type": 0x4B57},
            },
        },
        {
            "time": 2000.0,
            "name": "transport:packet_received",
            "data": {
                "header": {"packet_type": "retry"},
                "raw": {"length": 90},
                "frames": [{"frame_type": "unknown", "raw_frame_type": 0x3F}],
            },
        },
    ]


def test_the_key_log_opens_the_captured_packets(tmp_path: Path) -> None:
    keys = KeyLog(tmp_path / "keys.log")
    capture = pcapng.PacketCapture(CLIENT)
    pair = finished_pair(keylog=keys, capture=capture)
    text = (tmp_path / "keys.log").read_text()
    assert text == keys.text()
    labels = [line.split(" ")[0] for line in keys.lines]
    assert sorted(labels) == [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "EXPORTER_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_TRAFFIC_SECRET_0",
    ]
    assert (tmp_path / "keys.log").stat().st_mode & 0o077 == 0
    secret = keys.secret("CLIENT_TRAFFIC_SECRET_0")
    assert secret is not None and keys.secret("NONE") is None
    reader = CryptoPair()
    reader.recv.setup(cipher_suite=CipherSuite.AES_128_GCM_SHA256, secret=secret, version=1)
    short = [item.data for item in capture.datagrams if item.source == CLIENT and item.data[0] & 0xC0 == 0x40]
    plain = b"".join(reader.decrypt_packet(data, 9, 0)[1] for data in short)
    assert b"hello qlog" in plain and b"gram" in plain
    assert len(received(pair.served, wire.QuicPacket)) >= len(short)


def test_only_lines_of_the_format_enter_the_key_log() -> None:
    keys = KeyLog(limit=1)
    with pytest.raises(ValueError, match="format"):
        keys("not a key log line")
    line = "CLIENT_TRAFFIC_SECRET_0 " + "00" * 32 + " " + "ab" * 32
    keys(line)
    keys(line)
    assert (keys.lines, keys.dropped) == ([line], 1)
    assert keys.secret("CLIENT_TRAFFIC_SECRET_0", "00" * 32) == b"\xab" * 32
    assert keys.secret("CLIENT_TRAFFIC_SECRET_0", "11" * 32) is None


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Split a pcapng file into its blocks (draft-ietf-opsawg-pcapng §3.1)."""
    result = []
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert length % 4 == 0 and struct.unpack_from("<I", data, length - 4) == (length,)
        result.append((kind, data[8 : length - 4]))
        data = data[length:]
    return result


def test_a_capture_has_secrets_and_packets_with_good_checksums() -> None:
    keys, capture = KeyLog(), pcapng.PacketCapture(CLIENT)
    finished_pair(keylog=keys, capture=capture)
    file = io.BytesIO()
    pcapng.write(file, capture.datagrams, key_log=keys.text(), epoch=1_700_000_000.0)
    parts = blocks(file.getvalue())
    assert [kind for kind, _ in parts[:3]] == [0x0A0D0D0A, 1, 0x0A]
    assert struct.unpack_from("<H", parts[1][1]) == (101,)
    secrets_type, size = struct.unpack_from("<II", parts[2][1])
    assert secrets_type == 0x544C534B and parts[2][1][8 : 8 + size].decode() == keys.text()
    packets = parts[3:]
    assert len(packets) == len(capture.datagrams)
    for (kind, body), datagram in zip(packets, capture.datagrams, strict=True):
        interface, high, low, captured, original = struct.unpack_from("<IIIII", body)
        assert (kind, interface) == (6, 0) and captured == original
        assert (high << 32 | low) // 1_000_000 in (1_700_000_000, 1_700_000_001, 1_700_000_002)
        packet = body[20 : 20 + captured]
        assert packet[28:] == datagram.data
        assert pcapng._checksum(packet[:20]) == 0
        pseudo = packet[12:20] + struct.pack("!II", len(packet) - 20, 17)
        assert pcapng._checksum(pseudo + packet[20:]) == 0
        assert struct.unpack_from("!HH", packet, 20) == (datagram.source[1], datagram.destination[1])


def test_ipv6_and_unnamed_addresses_in_a_capture() -> None:
    packet = pcapng.ip_packet(pcapng.Datagram(0.0, ("::1", 1, 0, 0), ("fe80::1%eth0", 2, 0, 2), b"abc"))
    assert packet[0] >> 4 == 6 and packet[6] == 17 and packet[48:] == b"abc"
    pseudo = packet[8:40] + struct.pack("!II", 11, 17)
    assert pcapng._checksum(pseudo + packet[40:]) == 0
    packet = pcapng.ip_packet(pcapng.Datagram(0.0, ("client", 1), ("::1", 2), b"abc"))
    assert packet[0] >> 4 == 4 and packet[28:] == b"abc"


def test_a_capture_is_bounded() -> None:
    capture = pcapng.PacketCapture(CLIENT, max_bytes=10)
    for _ in range(3):
        capture(0.0, True, bytes(4), SERVER)
    assert (len(capture.datagrams), capture.dropped) == (2, 1)


def test_options_are_immutable() -> None:
    with pytest.raises(AttributeError):
        QuicOptions(is_client=True).is_client = False  # type: ignore[misc]
