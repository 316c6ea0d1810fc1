"""One violation for each rule of the model server: how a client breaks it.

A provocation gets a connected peer and returns the stream on which a reaction that is not one of the
connection shows, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from conformance.peer import capsules, qpack
from conformance.peer.client import Peer
from conformance.peer.codepoints import CapsuleType, FrameType, Setting, StreamType
from conformance.peer.drafts import Draft
from conformance.peer.h3frames import data_frame, frame, goaway_frame, headers_frame
from conformance.peer.qpack import Field
from conformance.peer.settings import encode_settings
from conformance.peer.streams import Stream
from conformance.peer.varint import varint
from conformance.peer.wtheaders import bidi_header, uni_header

Provocation: TypeAlias = Callable[[Peer], Stream | None]
LIMITS = (100, 100, 1_000_000)


@dataclass(frozen=True)
class Violation:
    """How to break a rule: in which draft, with which options of the peer."""

    provoke: Provocation
    draft: Draft = Draft.D16
    options: Mapping[str, Any] = field(default_factory=dict)
    # Whether the rest of the connection still works where the rule was taken away.
    skippable: bool = True


def on_control(data: bytes) -> Provocation:
    def provoke(peer: Peer) -> None:
        assert peer.control is not None
        peer.control.send(data)

    return provoke


def uni(data: bytes, *, end: bool = False) -> Provocation:
    return lambda peer: peer.open_uni(data, end_stream=end)


def bidi(data: bytes, *, end: bool = False) -> Provocation:
    return lambda peer: peer.open_bidi(data, end_stream=end)


def on_session(data: bytes, *, path: str = "/echo") -> Provocation:
    def provoke(peer: Peer) -> Stream:
        session = peer.establish(path)
        session.send(data)
        return session

    return provoke


def with_capsule(capsule_type: int, value: bytes = b"") -> Provocation:
    return on_session(data_frame(capsules.capsule(capsule_type, value)))


def session_fields(
    *, replace: Mapping[bytes, bytes | None] | None = None, extra: tuple[Field, ...] = ()
) -> Provocation:
    return lambda peer: peer.request_session(peer.connect_request_fields(replace=replace, extra=extra))


def session_at(path: str, *extra: Field) -> Provocation:
    return lambda peer: peer.request_session(peer.connect_request_fields(path, extra=extra))


def raw_request(fields: list[Field], *, then: bytes = b"", end: bool = False) -> Provocation:
    def provoke(peer: Peer) -> Stream:
        stream = peer.send_request(fields)
        stream.send(then, end_stream=end)
        return stream

    return provoke


GET: list[Field] = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"localhost"),
    (b":path", b"/http"),
]
SECTION = headers_frame(qpack.encode_literal(GET))


def second_session(peer: Peer) -> Stream:
    peer.establish()
    return peer.request_session(peer.connect_request_fields())


def ninth_session(peer: Peer) -> Stream:
    for _ in range(8):
        peer.establish()
    return peer.request_session(peer.connect_request_fields())


def close_control(peer: Peer) -> None:
    assert peer.control is not None
    peer.control.finish()


def close_encoder(peer: Peer) -> None:
    assert peer.encoder_stream is not None
    peer.encoder_stream.reset(0x0100)


def on_encoder(data: bytes) -> Provocation:
    def provoke(peer: Peer) -> None:
        assert peer.encoder_stream is not None
        peer.encoder_stream.send(data)

    return provoke


def on_decoder(data: bytes) -> Provocation:
    def provoke(peer: Peer) -> None:
        assert peer.decoder_stream is not None
        peer.decoder_stream.send(data)

    return provoke


def after_goaway(peer: Peer) -> Stream:
    session = peer.establish("/drain?goaway=1")
    assert peer.wait(lambda: bool(peer.goaways))
    assert session.established
    return peer.request_session(peer.connect_request_fields())


def early_flood(peer: Peer) -> Stream:
    session = peer.request_session(peer.connect_request_fields("/echo?accept_after_ms=1000"))
    session.send(data_frame(bytes(65537)))
    return session


def large_section(peer: Peer) -> Stream:
    return peer.request_session(peer.connect_request_fields(extra=[(b"x", bytes([65]) * 20000)]))


def reserved_on_refused(peer: Peer) -> Stream:
    session = peer.request_session(peer.connect_request_fields("/reject"))
    assert peer.wait(lambda: session.answered)
    return peer.open_bidi(bidi_header(session.id) + b"x")


def on_plain_request(peer: Peer) -> Stream:
    request = peer.send_request([*GET[:3], (b":path", b"/http?after_ms=2000")], end_stream=True)
    peer.wait(peer.quic.acked)
    return peer.open_bidi(bidi_header(request.id) + b"x")


def on_ended(peer: Peer) -> Stream:
    session = peer.establish()
    session.close()
    assert peer.wait(lambda: session.ended)
    return peer.open_bidi(bidi_header(session.id) + b"x")


def many_orphans(peer: Peer) -> Stream:
    streams = [peer.open_bidi(bidi_header(400) + b"x") for _ in range(17)]
    return streams[-1]


def datagram_of_request(peer: Peer) -> Stream:
    request = peer.send_request([*GET[:3], (b":path", b"/http?after_ms=2000")], end_stream=True)
    peer.wait(peer.quic.acked)
    peer.send_datagram_raw(varint(request.id // 4) + b"x")
    return request


def datagram_of_ended(peer: Peer) -> None:
    session = peer.establish()
    session.close()
    assert peer.wait(lambda: session.ended)
    session.send_datagram(b"late")


def raw_datagrams(data: bytes, count: int = 1) -> Provocation:
    def provoke(peer: Peer) -> None:
        for _ in range(count):
            peer.send_datagram_raw(data)

    return provoke


def too_many(kind: str) -> Provocation:
    def provoke(peer: Peer) -> Stream:
        session = peer.establish()
        for _ in range(17):
            if kind == "uni":
                session.open_uni(b"x")
            else:
                session.open_bidi(b"x")
        return session

    return provoke


def too_much_data(peer: Peer) -> Stream:
    session = peer.establish()
    session.open_uni(bytes(10241))
    return session


def limits(kind: CapsuleType, *values: int) -> Provocation:
    return on_session(data_frame(b"".join(capsules.limit_capsule(kind, value) for value in values)))


def truncated_capsule(peer: Peer) -> Stream:
    session = peer.establish()
    session.send(data_frame(b"\x68\x43\x07\x00"), end_stream=True)
    return session


def truncated_frame(peer: Peer) -> Stream:
    stream = peer.establish()
    stream.send(frame(FrameType.DATA, b"x", declared_length=10), end_stream=True)
    return stream


D02, D07, D14 = Draft.D02, Draft.D07, Draft.D14
FLOW = {"flow_control": LIMITS}

VIOLATIONS: Mapping[str, Violation] = {
    "reset-stream-at-value": Violation(
        lambda peer: None, options={"quic": {"extra_transport_parameters": {0x1D: b"\x00"}}}
    ),
    "control-stream-duplicate": Violation(uni(varint(StreamType.CONTROL)), skippable=False),
    "control-stream-closed": Violation(close_control),
    "control-first-frame": Violation(lambda peer: None, options={"before_settings": goaway_frame(0)}),
    "control-frame-unexpected": Violation(on_control(data_frame(b"x"))),
    "control-push-promise": Violation(on_control(frame(FrameType.PUSH_PROMISE, b"\x00"))),
    "control-http2-frame": Violation(on_control(frame(0x06, bytes(8)))),
    "control-frame-malformed": Violation(on_control(frame(FrameType.GOAWAY, b"\x00\x00"))),
    "control-frame-oversized": Violation(on_control(frame(FrameType.GOAWAY, b"", declared_length=20000))),
    "control-wt-stream": Violation(on_control(bidi_header(0))),
    "settings-repeated": Violation(on_control(encode_settings([]))),
    "settings-malformed": Violation(
        on_control(frame(FrameType.SETTINGS, b"\x33")), options={"send_settings": False}, skippable=False
    ),
    "settings-duplicate": Violation(lambda peer: None, options={"extra_settings": ((0x33, 1),)}),
    "settings-http2": Violation(lambda peer: None, options={"extra_settings": ((0x02, 1),)}),
    "settings-h3-datagram": Violation(
        lambda peer: None, options={"replace_settings": {0x33: 2}}, skippable=False
    ),
    "settings-connect-protocol": Violation(lambda peer: None, options={"extra_settings": ((0x08, 2),)}),
    "settings-webtransport": Violation(
        lambda peer: None,
        draft=D02,
        options={"replace_settings": {Setting.ENABLE_WEBTRANSPORT_D02: 2}},
    ),
    "goaway-grows": Violation(on_control(goaway_frame(8) + goaway_frame(12))),
    "max-push-id-shrinks": Violation(
        on_control(frame(FrameType.MAX_PUSH_ID, b"\x05") + frame(FrameType.MAX_PUSH_ID, b"\x03"))
    ),
    "cancel-push-unknown": Violation(on_control(frame(FrameType.CANCEL_PUSH, b"\x00"))),
    "priority-update-id": Violation(on_control(frame(FrameType.PRIORITY_UPDATE_REQUEST, b"\x01u=1"))),
    "push-stream": Violation(uni(varint(StreamType.PUSH) + b"\x00")),
    "unknown-uni-stream": Violation(uni(varint(0x21) + b"x")),
    "qpack-stream-duplicate": Violation(uni(varint(StreamType.QPACK_ENCODER))),
    "qpack-stream-closed": Violation(close_encoder),
    "qpack-field-section": Violation(
        bidi(headers_frame(qpack.section_prefix() + qpack.indexed_static(99))), skippable=False
    ),
    "qpack-encoder-stream": Violation(on_encoder(qpack.set_capacity(4097)), skippable=False),
    "qpack-decoder-stream": Violation(on_decoder(qpack.insert_count_increment(0)), skippable=False),
    "data-before-headers": Violation(bidi(data_frame(b"x"))),
    "request-control-frame": Violation(on_session(goaway_frame(0))),
    "request-push-promise": Violation(on_session(frame(FrameType.PUSH_PROMISE, b"\x00"))),
    "request-http2-frame": Violation(on_session(frame(0x09))),
    "request-priority-update": Violation(bidi(frame(FrameType.PRIORITY_UPDATE_REQUEST, b"\x00"))),
    "request-frames-after-trailers": Violation(
        raw_request(GET, then=headers_frame(qpack.encode_literal([(b"a", b"b")])) + data_frame(b"x"))
    ),
    "connect-headers-again": Violation(on_session(headers_frame(qpack.encode_literal([(b"a", b"b")])))),
    "request-wt-stream": Violation(bidi(frame(0x21) + bidi_header(0))),
    "connect-wt-stream": Violation(on_session(bidi_header(0))),
    "frame-truncated": Violation(truncated_frame),
    "request-incomplete": Violation(bidi(b"", end=True)),
    "request-oversized": Violation(large_section),
    "early-data-oversized": Violation(early_flood),
    "request-after-goaway": Violation(after_goaway, options=FLOW),
    "field-name-uppercase": Violation(session_fields(extra=((b"Foo", b"x"),))),
    "field-name-invalid": Violation(session_fields(extra=((b"f oo", b"x"),))),
    "field-value-invalid": Violation(session_fields(extra=((b"foo", b"a\x00b"),))),
    "field-connection-specific": Violation(session_fields(extra=((b"connection", b"keep-alive"),))),
    "field-te": Violation(session_fields(extra=((b"te", b"gzip"),))),
    "pseudo-unknown": Violation(raw_request([*GET, (b":foo", b"x")])),
    "pseudo-after-field": Violation(session_fields(extra=((b":path", b"/echo"),))),
    "pseudo-duplicate": Violation(raw_request([*GET, (b":path", b"/http")])),
    "pseudo-missing": Violation(session_fields(replace={b":scheme": None})),
    "pseudo-in-trailers": Violation(
        raw_request(GET, then=headers_frame(qpack.encode_literal([(b":path", b"/")])))
    ),
    "authority-empty": Violation(session_fields(replace={b":authority": b""})),
    "authority-host-differ": Violation(session_fields(extra=((b"host", b"other.example"),))),
    "path-empty": Violation(session_fields(replace={b":path": b""})),
    "connect-with-scheme-or-path": Violation(session_fields(replace={b":protocol": None})),
    "protocol-without-connect": Violation(session_fields(replace={b":method": b"GET"})),
    "scheme-not-https": Violation(session_fields(replace={b":scheme": b"http"})),
    "capsule-content-field": Violation(session_fields(extra=((b"content-length", b"0"),))),
    "content-length-differs": Violation(
        raw_request([*GET, (b"content-length", b"5")], then=data_frame(b"x"), end=True)
    ),
    "client-h3-datagram": Violation(session_fields(), options={"replace_settings": {0x33: None}}),
    "client-quic-datagram": Violation(session_fields(), options={"quic": {"max_datagram_frame_size": None}}),
    "client-reset-stream-at": Violation(session_fields(), options={"quic": {"reset_stream_at": ()}}),
    "no-common-draft": Violation(
        session_fields(), options={"replace_settings": {Setting.WT_ENABLED_D16: None}}
    ),
    "protocol-unsupported": Violation(session_fields(replace={b":protocol": b"no-such-proto"})),
    "connect-unsupported": Violation(
        raw_request([(b":method", b"CONNECT"), (b":authority", b"localhost:1")])
    ),
    "resource-unknown": Violation(session_at("/nothing/here")),
    "query-invalid": Violation(session_at("/close?code=x")),
    "origin-forbidden": Violation(
        session_at("/origin?allow=https%3A%2F%2Fgood.example", (b"origin", b"https://evil.example"))
    ),
    "session-not-pooled": Violation(second_session),
    "sessions-exhausted": Violation(ninth_session, options=FLOW),
    "uni-session-id": Violation(uni(uni_header(1))),
    "bidi-session-id": Violation(bidi(bidi_header(2))),
    "uni-header-truncated": Violation(uni(b"\x40\x54", end=True)),
    "bidi-header-truncated": Violation(bidi(b"\x40\x41", end=True)),
    "stream-buffer-full": Violation(many_orphans),
    "stream-of-refused-session": Violation(reserved_on_refused),
    "stream-of-plain-request": Violation(on_plain_request),
    "stream-of-ended-session": Violation(on_ended),
    "datagram-truncated": Violation(raw_datagrams(b"\x40")),
    "datagram-quarter-id": Violation(raw_datagrams(varint(1 << 60)), skippable=False),
    "datagram-beyond-limit": Violation(raw_datagrams(varint(1 << 30))),
    "datagram-of-plain-request": Violation(datagram_of_request),
    "datagram-buffer-full": Violation(raw_datagrams(varint(100) + b"x", 33)),
    "datagram-of-ended-session": Violation(datagram_of_ended),
    "capsule-truncated": Violation(truncated_capsule),
    "close-too-short": Violation(with_capsule(CapsuleType.WT_CLOSE_SESSION, bytes(3))),
    "close-message-too-long": Violation(with_capsule(CapsuleType.WT_CLOSE_SESSION, bytes(4 + 1025))),
    "close-message-not-utf8": Violation(with_capsule(CapsuleType.WT_CLOSE_SESSION, bytes(4) + b"\xff\xfe")),
    "data-after-close": Violation(
        on_session(data_frame(capsules.close_capsule(0)) + data_frame(b"\x21\x00"))
    ),
    "drain-with-value": Violation(with_capsule(CapsuleType.WT_DRAIN_SESSION, b"x")),
    "limit-capsule-malformed": Violation(with_capsule(CapsuleType.WT_MAX_DATA), options=FLOW),
    "streams-uni-exceeded": Violation(too_many("uni"), options=FLOW),
    "streams-bidi-exceeded": Violation(too_many("bidi"), options=FLOW),
    "data-exceeded": Violation(too_much_data, options=FLOW),
    "max-streams-shrinks": Violation(limits(CapsuleType.WT_MAX_STREAMS_UNI, 200, 150), options=FLOW),
    "max-streams-equal": Violation(limits(CapsuleType.WT_MAX_STREAMS_BIDI, 200, 200), options=FLOW),
    "max-data-shrinks": Violation(limits(CapsuleType.WT_MAX_DATA, 1 << 30, 1 << 29), options=FLOW),
    "max-data-equal": Violation(limits(CapsuleType.WT_MAX_DATA, 1 << 30, 1 << 30), options=FLOW),
    "max-streams-excessive": Violation(limits(CapsuleType.WT_MAX_STREAMS_UNI, (1 << 60) + 1), options=FLOW),
    "streams-blocked-excessive": Violation(
        limits(CapsuleType.WT_STREAMS_BLOCKED_UNI, (1 << 60) + 1), options=FLOW
    ),
    "max-stream-data-prohibited": Violation(with_capsule(CapsuleType.WT_MAX_STREAM_DATA, b"\x00\x00")),
    "stream-data-blocked-prohibited": Violation(
        with_capsule(CapsuleType.WT_STREAM_DATA_BLOCKED, b"\x00\x00")
    ),
}
