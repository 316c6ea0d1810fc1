"""The server host: demultiplexing, version negotiation, Retry, limits, resumption, client certificates."""

from __future__ import annotations

from pathlib import Path

import pytest
from aioquic.quic.packet import encode_quic_version_negotiation
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from conformance.peer import events as wire
from conformance.peer.quic import MemoryNetwork, QuicPeer, ServerHost, certificates
from conformance.peer.quic.options import Address
from tests.peer_quic.support import (
    CLIENT,
    SERVER,
    Pair,
    client_options,
    received,
    server_options,
    stream_bytes,
)


def long_header(version: int, size: int = 1200) -> bytes:
    """An Initial packet of some version, RFC 8999 §5.1: ids of 8 bytes, the rest zero."""
    start = b"\xc0" + version.to_bytes(4, "big") + b"\x08" + b"A" * 8 + b"\x08" + b"B" * 8
    return start.ljust(size, b"\0")


def test_many_clients_are_told_apart() -> None:
    pair = Pair(echo=True).connect()
    clients: list[tuple[QuicPeer, list[wire.WireEvent]]] = []
    for number in range(20):
        seen: list[wire.WireEvent] = []
        client = QuicPeer(client_options(), seen.append)
        address = ("192.0.2.100", 1000 + number)
        pair.network.attach(client, address)
        client.connect(SERVER, pair.network.now())
        client.send_stream(0, b"client %d" % number, end_stream=True)
        clients.append((client, seen))
    assert pair.run(lambda: all(stream_bytes(seen, 0) for _, seen in clients))
    for number, (_, seen) in enumerate(clients):
        assert stream_bytes(seen, 0) == b"client %d" % number
    assert len(pair.host.connections) == 21
    pair.host.close(0x100)
    assert pair.run(lambda: all(client.closed is not None for client, _ in clients))
    assert pair.run(lambda: not pair.host.connections)
    assert not pair.host._by_id and not pair.host._timers and not pair.host._awake


def test_a_version_that_is_not_spoken_is_negotiated() -> None:
    host = ServerHost(server_options(), lambda _peer: lambda _event: None)
    host.receive(long_header(0x1A2A3A4A), CLIENT, 0.0)
    ((answer, address),) = host.pending(0.0)
    # RFC 9000 §17.2.1: version 0, the ids swapped, then the versions
    assert address == CLIENT and answer[0] & 0x80
    assert answer[1:] == bytes(4) + b"\x08" + b"B" * 8 + b"\x08" + b"A" * 8 + b"\0\0\0\x01"
    for ignored in (
        long_header(0x1A2A3A4A, 1199),
        encode_quic_version_negotiation(b"A" * 8, b"B" * 8, [1]).ljust(1200, b"\0"),
        b"",
        b"\x40short",
    ):
        host.receive(ignored, CLIENT, 0.0)
    assert host.pending(0.0) == [] and host.connections == []


def test_answers_without_a_connection_are_bounded() -> None:
    host = ServerHost(server_options(), lambda _peer: lambda _event: None)
    for _ in range(2000):
        host.receive(long_header(0x1A2A3A4A), CLIENT, 0.0)
    assert len(host.pending(0.0)) <= 256


def test_retry_proves_the_address() -> None:
    pair = Pair(host={"retry": True}).connect()
    retries = [event for event in received(pair.seen, wire.QuicPacket) if event.packet_type == "retry"]
    assert len(retries) == 1
    assert pair.client.closed is None


def test_a_token_of_somebody_else_is_refused() -> None:
    pair = Pair(host={"retry": True}, client={"token": b"x" * 40})
    pair.client.connect(SERVER, 0.0)
    assert pair.run(lambda: pair.client.closed is not None)
    closed = pair.client.closed
    assert closed is not None and (closed.by, closed.error_code) == ("peer", 0x0B)  # INVALID_TOKEN
    assert pair.host.connections == []


def test_above_its_limit_a_host_refuses_connections() -> None:
    pair = Pair(host={"max_connections": 1}).connect()
    seen: list[wire.WireEvent] = []
    client = QuicPeer(client_options(), seen.append)
    pair.network.attach(client, ("192.0.2.9", 9))
    client.connect(SERVER, pair.network.now())
    assert pair.run(lambda: client.closed is not None)
    assert client.closed is not None and client.closed.error_code == 0x02  # CONNECTION_REFUSED
    assert pair.host.refused >= 1 and len(pair.host.connections) == 1


def test_a_client_that_moves_is_recognised_by_its_connection_id() -> None:
    pair = Pair(echo=True).connect()
    pair.network.attach(pair.client, ("203.0.113.7", 4444))
    pair.client.send_stream(0, b"from elsewhere", end_stream=True)
    assert pair.run(lambda: stream_bytes(pair.seen, 0) == b"from elsewhere")
    assert len(pair.host.connections) == 1


def test_a_ticket_resumes_the_session_and_carries_early_data() -> None:
    pair = Pair(echo=True, server={"session_tickets": True}).connect()
    pair.settle()
    (ticket, *_) = pair.client.session_tickets
    seen: list[wire.WireEvent] = []
    again = QuicPeer(client_options(session_ticket=ticket), seen.append)
    pair.network.attach(again, ("192.0.2.8", 8))
    again.connect(SERVER, pair.network.now())
    again.send_stream(0, b"early", end_stream=True)
    started = pair.network.now()
    assert pair.run(lambda: stream_bytes(seen, 0) == b"early")
    assert pair.network.now() - started < 0.0125  # one round trip
    assert again.early_data_accepted and pair.server.early_data_accepted
    types = {event.packet_type for event in seen if isinstance(event, wire.QuicPacket) and event.sent}
    assert "0rtt" in types
    # A ticket serves once: the second attempt is a full handshake, and the early data comes late.
    third_seen: list[wire.WireEvent] = []
    third = QuicPeer(client_options(session_ticket=ticket), third_seen.append)
    pair.network.attach(third, ("192.0.2.8", 9))
    third.connect(SERVER, pair.network.now())
    third.send_stream(0, b"late", end_stream=True)
    assert pair.run(lambda: stream_bytes(third_seen, 0) == b"late")
    assert not third.early_data_accepted


@pytest.mark.parametrize("session_tickets", [True, False])
def test_parameters_can_be_withdrawn_where_a_ticket_is_accepted(session_tickets: bool) -> None:
    withdrawn = frozenset({0x1D, 0x40})
    server = {"session_tickets": session_tickets, "withdrawn_transport_parameters": withdrawn}
    pair = Pair(server=server).connect()
    pair.settle()
    before = pair.client.peer_transport_parameters
    assert 0x1D in before
    again = QuicPeer(
        client_options(session_ticket=next(iter(pair.client.session_tickets), None)),
        list[wire.WireEvent]().append,
    )
    pair.network.attach(again, ("192.0.2.8", 8))
    again.connect(SERVER, pair.network.now())
    assert pair.run(lambda: again.handshake_complete)
    missing = before.keys() - again.peer_transport_parameters.keys()
    assert missing == ({0x1D} if session_tickets else set())


def test_a_client_certificate_is_sent_when_the_server_asks() -> None:
    mine = certificates.self_signed(("client.example",))
    pair = Pair(
        server={"request_client_certificate": True},
        client={"certificate": mine.certificate, "private_key": mine.private_key},
    ).connect()
    assert pair.server.peer_certificate_sha256 == mine.sha256
    without = Pair(server={"request_client_certificate": True}).connect()
    assert without.server.peer_certificate_sha256 is None


def test_certificates_are_short_lived_and_name_their_hosts() -> None:
    made = certificates.self_signed(("wt.example", "192.0.2.1"), days=14)
    lifetime = made.certificate.not_valid_after_utc - made.certificate.not_valid_before_utc
    assert lifetime.days == 14
    assert made.pem.startswith(b"-----BEGIN CERTIFICATE-----")
    assert made.private_key_pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert len(made.sha256) == 32 and certificates.cached() is certificates.cached()
    for names, days in (((), 5), (("a",), 0), (("a",), 15)):
        with pytest.raises(ValueError, match="certificate"):
            certificates.self_signed(names, days=days)


def test_certificates_can_be_read_from_files(tmp_path: Path) -> None:
    made = certificates.self_signed()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.pem)
    key.write_bytes(made.private_key_pem)
    assert certificates.load(certificate, key).sha256 == made.sha256
    other = ed25519.Ed25519PrivateKey.generate()
    formats = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key.write_bytes(other.private_bytes(*formats))
    with pytest.raises(ValueError, match="ECDSA"):
        certificates.load(certificate, key)


def test_the_network_drops_what_nobody_receives_and_keeps_time() -> None:
    network = MemoryNetwork()
    client = QuicPeer(client_options(idle_timeout=5.0), lambda _event: None)
    network.attach(client, CLIENT)
    link = network.link(client)
    client.connect(SERVER, link.now())
    assert not link.run_until(lambda: client.handshake_complete, 1.0)
    assert link.now() == 1.0
    assert link.run_until(lambda: client.closed is not None, 100.0)
    assert client.closed is not None and client.closed.by == "idle"
    link.close()
    assert not link.run_until(lambda: False, 1.0)


def test_fate_decides_about_every_datagram() -> None:
    journeys: list[tuple[Address, Address]] = []

    def fate(_data: bytes, source: Address, destination: Address, _now: float) -> tuple[float, ...]:
        journeys.append((source, destination))
        return (0.03, 0.001) if len(journeys) % 2 else (0.01,)

    pair = Pair(echo=True, fate=fate).connect()
    pair.client.send_stream(0, b"q" * 30_000, end_stream=True)
    assert pair.run(lambda: stream_bytes(pair.seen, 0) == b"q" * 30_000, 60.0)
    assert {(CLIENT, SERVER), (SERVER, CLIENT)} == set(journeys)
