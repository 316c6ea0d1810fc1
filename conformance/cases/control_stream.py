"""The control stream and SETTINGS (RFC 9114 §6.2, §7.2.4, RFC 9297 §2.1.1)."""

from __future__ import annotations

from conformance.harness.case import SINCE_07, case
from conformance.harness.run import Run
from conformance.harness.vocabulary import OPAQUE, TRAP
from conformance.peer.codepoints import FrameType, Setting, StreamType, reserved
from conformance.peer.drafts import Draft
from conformance.peer.h3frames import frame, goaway_frame
from conformance.peer.settings import encode_settings
from conformance.peer.varint import varint

STREAM_CREATION_ERROR = 0x0103
CLOSED_CRITICAL_STREAM = 0x0104
FRAME_UNEXPECTED = 0x0105
FRAME_ERROR = 0x0106
ID_ERROR = 0x0108
SETTINGS_ERROR = 0x0109
MISSING_SETTINGS = 0x010A


@case(
    "control-stream.first-frame",
    "H3-6.2.1-01",
    negative=True,
    witness="RFC 9114 §6.2.1: H3_MISSING_SETTINGS",
    version=2,
)
def first_frame(run: Run) -> None:
    """A control stream that begins with another frame than SETTINGS is a connection error.

    RFC 9114 §6.2.1: H3_MISSING_SETTINGS. The twin sends the same MAX_PUSH_ID behind SETTINGS.
    """
    permission = frame(FrameType.MAX_PUSH_ID, varint(0))
    run.attempt(run.options(before_settings=run.vary(good=b"", bad=permission)))
    if run.twin:
        run.control.send(permission)
    run.expect("H3-6.2.1-01", "connection-error", code=MISSING_SETTINGS)


@case(
    "control-stream.second-control-stream",
    "H3-6.2.1-02",
    negative=True,
    witness="RFC 9114 §6.2.1: H3_STREAM_CREATION_ERROR",
)
def second_control_stream(run: Run) -> None:
    """A second control stream is a connection error of type H3_STREAM_CREATION_ERROR.

    RFC 9114 §6.2.1. The twin opens a stream of a reserved type with the same bytes.
    """
    session = run.establish()
    stream_type = run.vary(good=reserved(0), bad=int(StreamType.CONTROL))
    run.peer.open_uni(varint(stream_type) + encode_settings(()))
    run.expect("H3-6.2.1-02", "connection-error", code=STREAM_CREATION_ERROR, session=session)


@case(
    "control-stream.closed",
    "H3-6.2.1-03",
    variants={"fin": "fin", "reset": "reset"},
    negative=True,
    witness="RFC 9114 §6.2.1: H3_CLOSED_CRITICAL_STREAM",
)
def closed(run: Run) -> None:
    """Closing the control stream is a connection error of type H3_CLOSED_CRITICAL_STREAM.

    RFC 9114 §6.2.1. The twin closes a stream of a reserved type in the same way.
    """
    session = run.establish()
    other = run.peer.open_uni(varint(reserved(0)))
    stream = run.vary(good=other, bad=run.control)
    if run.variant == "fin":
        stream.finish()
    else:
        stream.reset(0x0100)
    run.expect("H3-6.2.1-03", "connection-error", code=CLOSED_CRITICAL_STREAM, session=session)


@case("control-stream.stopped", "H3-6.2.1-04", witness="AMB-33")
def stopped(run: Run) -> None:
    """STOP_SENDING on the target's control stream: which side closes first is open.

    RFC 9114 §6.2.1; recorded only.
    """
    session = run.establish()
    frames = run.control_frames()
    run.need(bool(frames), "no control stream of the target was seen")
    run.peer.quic.stop_sending(frames[0].stream_id, 0x0100)
    run.expect("H3-6.2.1-04", "any", session=session)


@case(
    "control-stream.push-stream",
    "H3-6.2.2-01",
    negative=True,
    witness="RFC 9114 §6.2.2: only servers can push",
)
def push_stream(run: Run) -> None:
    """A push stream opened by a client is a connection error of type H3_STREAM_CREATION_ERROR.

    RFC 9114 §6.2.2. The twin opens a stream of a reserved type.
    """
    session = run.establish()
    stream_type = run.vary(good=reserved(0), bad=int(StreamType.PUSH))
    run.peer.open_uni(varint(stream_type) + varint(0))
    run.expect("H3-6.2.2-01", "connection-error", code=STREAM_CREATION_ERROR, session=session)


@case(
    "control-stream.wrong-frame",
    "H3-7.2-01",
    variants={"data": FrameType.DATA, "headers": FrameType.HEADERS},
    negative=True,
    witness="RFC 9114 §7.2.1, §7.2.2: H3_FRAME_UNEXPECTED",
)
def wrong_frame(run: Run) -> None:
    """DATA and HEADERS on the control stream are connection errors of type H3_FRAME_UNEXPECTED.

    RFC 9114 §7.2.1, §7.2.2. The twin sends a reserved frame type.
    """
    session = run.establish()
    frame_type = run.vary(good=reserved(2), bad=int(run.variant))
    run.control.send(frame(frame_type, b"\x00\x00"))
    run.expect("H3-7.2-01", "connection-error", code=FRAME_UNEXPECTED, session=session)


@case(
    "control-stream.push-promise",
    "H3-7.2-03",
    negative=True,
    witness="RFC 9114 §7.2.5: a server MUST treat it as H3_FRAME_UNEXPECTED",
    version=2,
)
def push_promise(run: Run) -> None:
    """PUSH_PROMISE from a client is a connection error of type H3_FRAME_UNEXPECTED.

    RFC 9114 §7.2.5.
    """
    session = run.establish()
    frame_type = run.vary(good=reserved(2), bad=int(FrameType.PUSH_PROMISE))
    run.control.send(frame(frame_type, OPAQUE))
    run.expect("H3-7.2-03", "connection-error", code=FRAME_UNEXPECTED, session=session)


@case(
    "control-stream.http2-frame",
    "H3-7.2-09",
    variants={"priority": 0x02, "ping": 0x06, "window-update": 0x08, "continuation": 0x09},
    negative=True,
    witness="RFC 9114 §7.2.8: MUST be treated as H3_FRAME_UNEXPECTED",
    version=2,
)
def http2_frame(run: Run) -> None:
    """Frame types that only HTTP/2 uses are a connection error of type H3_FRAME_UNEXPECTED.

    RFC 9114 §7.2.8.
    """
    session = run.establish()
    frame_type = run.vary(good=reserved(2), bad=run.variant)
    run.control.send(frame(frame_type, OPAQUE))
    run.expect("H3-7.2-09", "connection-error", code=FRAME_UNEXPECTED, session=session)


@case(
    "control-stream.unknown-frame",
    "H3-9-01",
    "H3-7.2-10",
    variants={"reserved": reserved(6), "unassigned": 0x3FFF77},
    witness="RFC 9114 §9: implementations MUST ignore unknown or unsupported values",
)
def unknown_frame(run: Run) -> None:
    """A frame of an unknown type on the control stream is skipped with its payload.

    RFC 9114 §7.2.8, §9. The payload would be DATA or SETTINGS if it were parsed.
    """
    session = run.establish()
    run.control.send(frame(run.variant, TRAP))
    run.expect("H3-9-01", "tolerated", session=session, also=("H3-7.2-10",))


@case(
    "control-stream.goaway", "WT-4.7-02", witness="RFC 9114 §5.2, §7.2.6: both sides send GOAWAY", version=2
)
def goaway(run: Run) -> None:
    """A GOAWAY from the client is legal and aborts no running session.

    draft-16 §4.7, RFC 9114 §5.2: clients send it to stop pushes; twice the same identifier is no increase. It
    is also a signal to applications to initiate shutdown, so that they may end their sessions gracefully.
    """
    session = run.establish()
    run.control.send(goaway_frame(0))
    run.control.send(goaway_frame(0))
    run.expect("WT-4.7-02", "goes-on-or-ends", session=session)


@case(
    "control-stream.settings-twice",
    "H3-7.2.4-01",
    negative=True,
    witness="RFC 9114 §7.2.4: H3_FRAME_UNEXPECTED",
)
def settings_twice(run: Run) -> None:
    """A second SETTINGS frame is a connection error of type H3_FRAME_UNEXPECTED.

    RFC 9114 §7.2.4.
    """
    session = run.establish()
    frame_type = run.vary(good=reserved(2), bad=int(FrameType.SETTINGS))
    run.control.send(frame(frame_type, b""))
    run.expect("H3-7.2.4-01", "connection-error", code=FRAME_UNEXPECTED, session=session)


@case(
    "control-stream.http2-setting",
    "H3-7.2.4-04",
    variants={
        "enable-push": 0x02,
        "max-concurrent-streams": 0x03,
        "initial-window-size": 0x04,
        "max-frame-size": 0x05,
    },
    negative=True,
    witness="RFC 9114 §7.2.4.1: H3_SETTINGS_ERROR",
)
def http2_setting(run: Run) -> None:
    """Settings that only HTTP/2 uses are a connection error of type H3_SETTINGS_ERROR.

    RFC 9114 §7.2.4.1. The twin sends a reserved identifier.
    """
    identifier = run.vary(good=reserved(4), bad=run.variant)
    run.attempt(run.options(extra_settings=((identifier, 0),)))
    run.expect("H3-7.2.4-04", "connection-error", code=SETTINGS_ERROR)


@case(
    "control-stream.setting-twice", "H3-7.2.4-02", witness="RFC 9114 §7.2.4: MAY treat as H3_SETTINGS_ERROR"
)
def setting_twice(run: Run) -> None:
    """An identifier that occurs twice in SETTINGS may be an error.

    RFC 9114 §7.2.4 (MAY); recorded only.
    """
    run.attempt(run.options(extra_settings=((int(Setting.H3_DATAGRAM), 1),)))
    run.expect("H3-7.2.4-02", "any")


@case(
    "control-stream.h3-datagram-value",
    "HD-2.1.1-01",
    drafts=SINCE_07,
    negative=True,
    witness="RFC 9297 §2.1.1: neither 0 nor 1",
)
def h3_datagram_value(run: Run) -> None:
    """SETTINGS_H3_DATAGRAM with another value than 0 and 1 is a connection error.

    RFC 9297 §2.1.1: H3_SETTINGS_ERROR. The twin sends 1.
    """
    value = run.vary(good=1, bad=2)
    run.attempt(run.options(replace_settings={Setting.H3_DATAGRAM: value}))
    run.expect("HD-2.1.1-01", "connection-error", code=SETTINGS_ERROR)


@case(
    "control-stream.settings-cut",
    "H3-7.1-01",
    "H3-10-01",
    negative=True,
    witness="RFC 9114 §7.1: H3_FRAME_ERROR",
)
def settings_cut(run: Run) -> None:
    """SETTINGS that end inside of a pair are a connection error of type H3_FRAME_ERROR.

    RFC 9114 §7.1, §10.8. The twin has the value that is missing.
    """
    payload = varint(reserved(4)) + run.vary(good=b"\x00", bad=b"")
    peer = run.attempt(run.options(send_settings=False))
    entries = encode_settings(peer.settings())
    body = entries[1 + (1 << (entries[1] >> 6)) :] + payload
    run.control.send(frame(FrameType.SETTINGS, body))
    run.expect("H3-7.1-01", "connection-error", code=FRAME_ERROR, also=("H3-10-01",))


@case(
    "control-stream.frame-length",
    "H3-7.1-01",
    variants={"surplus": b"\x00\x00", "missing": b"\x40", "empty": b""},
    negative=True,
    witness="RFC 9114 §7.1: additional bytes, or a payload that ends before the identified fields",
)
def frame_length(run: Run) -> None:
    """A GOAWAY frame with surplus or missing bytes is a connection error of type H3_FRAME_ERROR.

    RFC 9114 §7.1. The twin has exactly one integer.
    """
    session = run.establish()
    payload = run.vary(good=b"\x00", bad=run.variant)
    run.control.send(frame(FrameType.GOAWAY, payload))
    # An application may end its sessions when the client goes away (draft-16 §4.7).
    run.expect("H3-7.1-01", "connection-error", code=FRAME_ERROR, session=session, twin="goes-on-or-ends")


@case("control-stream.goaway-grows", "H3-5.2-04", negative=True, witness="RFC 9114 §5.2: H3_ID_ERROR")
def goaway_grows(run: Run) -> None:
    """A GOAWAY with a larger identifier than the one before is a connection error of type H3_ID_ERROR.

    RFC 9114 §5.2. From a client the identifiers are push IDs; the twin lowers it.
    """
    session = run.establish()
    run.control.send(goaway_frame(8))
    run.control.send(goaway_frame(run.vary(good=4, bad=12)))
    run.expect("H3-5.2-04", "connection-error", code=ID_ERROR, session=session, twin="goes-on-or-ends")


@case(
    "control-stream.max-push-id-shrinks", "H3-7.2-06", negative=True, witness="RFC 9114 §7.2.7: H3_ID_ERROR"
)
def max_push_id_shrinks(run: Run) -> None:
    """A MAX_PUSH_ID smaller than the one before is a connection error of type H3_ID_ERROR.

    RFC 9114 §7.2.7. The twin raises it.
    """
    session = run.establish()
    run.control.send(frame(FrameType.MAX_PUSH_ID, varint(5)))
    run.control.send(frame(FrameType.MAX_PUSH_ID, varint(run.vary(good=7, bad=3))))
    run.expect("H3-7.2-06", "connection-error", code=ID_ERROR, session=session)


@case("control-stream.cancel-push", "H3-7.2-07", negative=True, witness="RFC 9114 §7.2.3: H3_ID_ERROR")
def cancel_push(run: Run) -> None:
    """CANCEL_PUSH for a push that was never allowed is a connection error of type H3_ID_ERROR.

    RFC 9114 §7.2.3: a push ID greater than currently allowed. The twin sends a reserved frame type.
    """
    session = run.establish()
    frame_type = run.vary(good=reserved(2), bad=int(FrameType.CANCEL_PUSH))
    run.control.send(frame(frame_type, varint(3)))
    run.expect("H3-7.2-07", "connection-error", code=ID_ERROR, session=session)


@case(
    "control-stream.priority-update-id",
    "PRI-7-02",
    witness="RFC 9218 §7.2, binding only where it is implemented",
)
def priority_update_id(run: Run) -> None:
    """A PRIORITY_UPDATE that names no request stream is an error where RFC 9218 is implemented.

    RFC 9218 §7.2; skipped as an unknown frame elsewhere, so it is recorded only.
    """
    session = run.establish()
    run.control.send(frame(FrameType.PRIORITY_UPDATE_REQUEST, varint(1) + b"u=1"))
    run.expect("PRI-7-02", "any", session=session)


@case("control-stream.connect-protocol-value", "XC-02", witness="RFC 8441 §3: 0 or 1; a server ignores it")
def connect_protocol_value(run: Run) -> None:
    """SETTINGS_ENABLE_CONNECT_PROTOCOL of a client with another value than 0 and 1.

    RFC 8441 §3 forbids to send it, but names no reaction, so it is recorded only.
    """
    run.attempt(run.options(replace_settings={Setting.ENABLE_CONNECT_PROTOCOL: 2}))
    run.expect("XC-02", "any")


@case(
    "control-stream.enable-webtransport-value",
    "WTV-02-01",
    drafts=(Draft.D02,),
    negative=True,
    witness="draft-02 §3.1: any other value is H3_SETTINGS_ERROR",
)
def enable_webtransport_value(run: Run) -> None:
    """SETTINGS_ENABLE_WEBTRANSPORT of -02 with another value than 0 and 1 is a connection error.

    draft-02 §3.1: H3_SETTINGS_ERROR. The twin sends 1.
    """
    value = run.vary(good=1, bad=2)
    run.attempt(run.options(replace_settings={Setting.ENABLE_WEBTRANSPORT_D02: value}))
    run.expect("WTV-02-01", "connection-error", code=SETTINGS_ERROR)
