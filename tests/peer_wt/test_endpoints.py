"""The endpoints of docs/endpoints.md on the model server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.peer import errorcodes
from conformance.peer.client import Peer
from conformance.peer.codepoints import H3
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.events import DatagramFrame
from conformance.peer.model.applications import pattern
from conformance.peer.model.endpoints import ENDPOINTS
from conformance.peer.model.sfields import bare_string, parse_string_list
from conformance.peer.options import SessionRefused
from conformance.peer.session import Session
from conformance.peer.streams import RequestStream
from tests.peer_wt.support import World

DOCUMENT = Path(__file__).parents[2] / "docs" / "endpoints.md"


@pytest.fixture
def peer() -> Peer:
    return World().connect()


def ask(session: Session) -> bytes:
    stream = session.open_bidi(end_stream=True)
    assert session.peer.wait(lambda: stream.ended)
    return stream.received


def ask_json(session: Session) -> Any:
    return json.loads(ask(session))


def records(world_peer: Peer, name: str) -> list[dict[str, Any]]:
    reader = world_peer.establish(f"/observe?read={name}")
    lines = ask(reader).decode().splitlines()
    reader.close()
    world_peer.wait(lambda: reader.ended)
    return [json.loads(line) for line in lines]


def test_document_names_all_endpoints() -> None:
    text = DOCUMENT.read_text()
    assert all(f"`{name}`" in text for name in ENDPOINTS)


@pytest.mark.parametrize("draft", DRAFTS)
def test_observe(draft: Draft) -> None:
    world = World(drafts=[draft])
    peer = world.connect(draft, origin="https://a.example")
    session = peer.establish("/observe?id=X", extra=[(b"x-mark", b"1")])
    uni = session.open_uni(b"ab")
    bidi = session.open_bidi(b"c", end_stream=True)
    peer.wait(peer.quic.acked)
    uni.reset_with(200)
    bidi.stop(errorcodes.to_http(33))
    session.send_datagram(b"d")
    peer.wait(peer.quic.acked)
    session.close(5, "née".encode())
    assert peer.wait(lambda: session.ended)
    found = records(world.connect(draft), "X")
    assert [record["seq"] for record in found] == list(range(len(found)))
    first = found[0]
    assert first["event"] == "session"
    assert first["origin"] == "https://a.example"
    assert ["x-mark", "1"] in first["headers"]
    assert first["protocol"].encode() == peer.facts.protocol
    by_event = {record["event"]: record for record in found}
    assert {record["kind"] for record in found if record["event"] == "stream"} == {"uni", "bidi"}
    assert (
        b"".join(bytes.fromhex(r["data"]) for r in found if r["event"] == "data" and r["stream"] == 0)
        == b"ab"
    )
    assert by_event["reset"]["code"] == 200
    assert by_event["stop"]["code"] == 33
    assert by_event["datagram"]["data"] == b"d".hex()
    assert (by_event["closed"]["code"], by_event["closed"]["reason"]) == (5, "née")


def test_observe_fin_and_abrupt_end(peer: Peer) -> None:
    finished = peer.establish("/observe?id=f")
    finished.finish()
    peer.wait(lambda: finished.ended)
    broken = peer.establish("/observe?id=b")
    broken.reset(H3.REQUEST_CANCELLED)
    peer.wait(lambda: broken.done)
    last = {name: records(peer, name)[-1] for name in ("f", "b")}
    assert (last["f"]["code"], last["f"]["reason"], last["f"]["clean"]) == (0, "", True)
    assert (last["b"]["code"], last["b"]["reason"], last["b"]["clean"]) == (None, None, False)


def test_codes_without_application_meaning(peer: Peer) -> None:
    session = peer.establish("/observe?id=n")
    stream = session.open_uni(b"x")
    peer.wait(peer.quic.acked)
    stream.reset_at(H3.REQUEST_CANCELLED)
    peer.wait(peer.quic.acked)
    session.close()
    peer.wait(lambda: session.ended)
    assert [r["code"] for r in records(peer, "n") if r["event"] == "reset"] == [None]


def test_draining_is_seen_for_capsule_and_goaway(peer: Peer) -> None:
    session = peer.establish("/observe?id=g")
    session.drain()
    assert peer.control is not None
    peer.control.send(b"\x07\x01\x00")
    peer.wait(peer.quic.acked)
    session.close()
    peer.wait(lambda: session.ended)
    assert [r["event"] for r in records(peer, "g")] == ["session", "draining", "draining", "closed"]


def test_observe_with_echo(peer: Peer) -> None:
    session = peer.establish("/observe?id=e&echo=1")
    assert peer.fence(session).held


@pytest.mark.parametrize("path", ["/observe", "/observe?id=a%20b", "/close?code=4294967296", "/push?uni=-1"])
def test_invalid_parameters(peer: Peer, path: str) -> None:
    with pytest.raises(SessionRefused) as caught:
        peer.establish(path)
    assert caught.value.status == 400


def test_stats(peer: Peer) -> None:
    session = peer.establish("/stats")
    session.open_uni(b"12345", end_stream=True)
    session.send_datagram(b"x")
    assert peer.wait(lambda: bool(session.datagrams) and bool(session.incoming) and session.incoming[0].ended)
    assert ask_json(session) == {
        "sessions": 1,
        "streams_uni_received": 1,
        "streams_bidi_received": 1,
        "bytes_received": 5,
        "bytes_sent": 5,
        "datagrams_received": 1,
        "datagrams_sent": 1,
    }


def test_status(peer: Peer) -> None:
    answer = ask_json(peer.establish("/status"))
    assert answer["status"] == "ok"
    assert answer["draft"] == "16"
    assert answer["drafts"] == ["16", "14", "07", "02"]
    assert answer["endpoints"]["echo"] == "/echo"


def test_exporter_separates_sessions() -> None:
    peer = World().connect(flow_control=(100, 100, 100000))
    outputs = []
    for _ in range(2):
        session = peer.establish("/exporter?label=a&context=0102&length=16")
        context = session.id.to_bytes(8, "big") + b"\x01a\x02\x01\x02"
        outputs.append(ask_json(session)["keying_material"])
        assert outputs[-1] == peer.quic.exporter("EXPORTER-WebTransport", context, 16).hex()
    assert outputs[0] != outputs[1]


def test_exporter_without_context(peer: Peer) -> None:
    session = peer.establish("/exporter")
    expected = peer.quic.exporter("EXPORTER-WebTransport", bytes(10), 32).hex()
    assert ask_json(session) == {"keying_material": expected}


@pytest.mark.parametrize(
    ("lines", "query", "selected"),
    [
        ([b'"a", "b"'], "", b'"a"'),
        ([b'"a", "b"'], "?supports=b", b'"b"'),
        ([b'"a"', b'"b"'], "?supports=b", b'"b"'),
        ([b'"a";q=0.1;x'], "?supports=a", b'"a"'),
        ([b'"a\\"b"'], "?supports=a%22b", b'"a\\"b"'),
        ([b'"A"'], "?supports=a", None),
        ([b'"a", b'], "", None),
        ([b'"a", '], "", None),
        ([], "", None),
    ],
)
def test_protocols(peer: Peer, lines: list[bytes], query: str, selected: bytes | None) -> None:
    extra = [(b"wt-available-protocols", line) for line in lines]
    session = peer.establish(f"/protocols{query}", extra=extra)
    assert session.field(b"wt-protocol") == selected


def test_required_protocol(peer: Peer) -> None:
    with pytest.raises(SessionRefused) as caught:
        peer.establish("/protocols?required=1")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "line",
    [
        b'"a"',
        b'"a" , "b"',
        b' "a"\t,\t"b"',
        b'"a"\t',
        b'"a"; x \t',
        b'"a" ',
        b'"a";x=1;y="z";z=tok;b=?1;d=@1;s=:YQ==:;e=1.5',
        b'"\\\\"',
        b"",
    ],
)
def test_string_lists(line: bytes) -> None:
    assert parse_string_list([line]) is not None


@pytest.mark.parametrize(
    "line",
    [
        *(b"a", b'"a", ("b")', b'"a", 1', b'"a", ?1', b'"a", :YQ==:', b'"a", @1', b'"a', b'"a" "b"', b'"a",'),
        *(b'"\xc3\xa9"', b'"a\\n"', b'"a";', b',"a"', b'\t"a"', b'"a",\t', b'"a";x=', b'"a";X=1', b'%"a"'),
    ],
)
def test_what_is_no_string_list(line: bytes) -> None:
    assert parse_string_list([line]) is None


def test_bare_string() -> None:
    assert bare_string('a"\\') == b'"a\\"\\\\"'
    with pytest.raises(ValueError):
        bare_string("é")


def test_reject(peer: Peer) -> None:
    session = peer.request_session(peer.connect_request_fields("/reject?status=302&location=/echo"))
    assert peer.wait(lambda: session.ended)
    assert (session.status, session.field(b"location")) == (302, b"/echo")
    assert session.field(b"capsule-protocol") is None


def test_origin(peer: Peer) -> None:
    path = "/origin?allow=https%3A%2F%2Fgood.example"
    good = peer.establish(path, extra=[(b"origin", b"https://good.example")])
    good.close()
    peer.wait(lambda: good.ended)
    assert peer.establish(path).established


def test_push(peer: Peer) -> None:
    session = peer.establish("/push?uni=2&bidi=1&bytes=300&datagrams=3&interval_ms=10&datagram_bytes=5")
    assert peer.wait(lambda: len(session.datagrams) == 3 and len(session.incoming) == 3)
    assert session.datagrams == [pattern(5)] * 3
    assert [stream.body for stream in session.incoming] == [pattern(300)] * 3
    assert session.incoming_bidi[0].received[:3].hex() == "404100"


def test_push_drops_datagrams_that_are_too_long(peer: Peer) -> None:
    session = peer.establish("/push?datagrams=1&datagram_bytes=60000&uni=1")
    assert peer.wait(lambda: bool(session.incoming))
    assert session.datagrams == []


def test_datagrams_respect_the_limit_of_the_client() -> None:
    peer = World().connect(quic={"max_datagram_frame_size": 100})
    session = peer.establish("/push?datagrams=1&datagram_bytes=97")
    again = peer.establish
    assert peer.fence(session, echo=False).held
    assert session.datagrams == []
    session.close()
    peer.wait(lambda: session.ended)
    fits = again("/push?datagrams=1&datagram_bytes=96")
    assert peer.wait(lambda: bool(fits.datagrams))
    assert len(peer.events.of(DatagramFrame, sent=False)) == 1


@pytest.mark.parametrize("draft", DRAFTS)
def test_reset(draft: Draft) -> None:
    peer = World(drafts=[draft]).connect(draft)
    session = peer.establish("/reset?code=30&uni=1&bidi=1&stop=1&bytes=20")
    mine, uni = session.open_bidi(b"x"), session.open_uni(b"x")
    assert peer.wait(lambda: len(session.incoming) == 2 and all(s.done for s in session.incoming))
    assert peer.wait(lambda: mine.done and uni.stop_event is not None)
    events = [s.reset_event for s in (*session.incoming, mine)]
    assert {event.error_code for event in events if event} == {0x52E4A40FA8FA}
    reliable = 3 if draft in (Draft.D16, Draft.D14) else None
    assert [event.reliable_size for event in events if event] == [reliable, reliable, None]
    assert uni.stop_event is not None
    assert uni.stop_event.error_code == 0x52E4A40FA8FA


def request(peer: Peer, method: bytes, path: bytes) -> RequestStream:
    fields = [(b":method", method), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", path)]
    stream = peer.send_request(fields, end_stream=True)
    assert peer.wait(lambda: stream.ended)
    return stream


def test_http(peer: Peer) -> None:
    assert request(peer, b"GET", b"/http?bytes=20&after_ms=10").frames[-1].payload == pattern(20)
    assert request(peer, b"HEAD", b"/http").status == 200
    assert request(peer, b"POST", b"/http").status == 405
    assert request(peer, b"GET", b"/").status == 404
    assert request(peer, b"GET", b"/http?bytes=x").status == 400
