"""Devious Baton: every session error and stream error, provoked where the draft lets a client provoke it.

Sections are those of draft-frindell-webtrans-devious-baton-00.
"""

from __future__ import annotations

from conformance.harness.case import SINCE_14, case
from conformance.harness.run import Run
from conformance.harness.target import Unsupported
from conformance.peer.baton import OpenStream, Options, Reply, SessionError, StreamError, encode_message
from conformance.peer.errorcodes import from_http, to_http
from conformance.peer.events import StopSending, StreamReset
from scenarios.baton_play import WITNESS, Player, await_close, close_code, judge, opened, play, start

# Three unidirectional streams are those of HTTP/3 itself (RFC 9114 §6.2, RFC 9204 §4.2).
H3_STREAMS = 3
PLENTY = 100
PATIENCE = 15.0
# A datagram may be lost: it is sent so often, with this pause in seconds.
ATTEMPTS = 20
PAUSE = 0.1

# Bytes in the place of a message that declare more padding than follows, or nothing at all.
INCOMPLETE = {
    "empty": b"",
    "length-only": b"\x05",
    "padding-cut": b"\x0a\x00\x00\x00",
    "no-value": b"\x02\x00\x00",
    "length-cut": b"\x40",
}


def _ends_with(run: Run, player: Player, requirement: str, code: SessionError) -> None:
    """Demand that the target closes with the code; in the twin that the batons run to their end."""
    play(run, player)
    if not run.twin:
        seen = close_code(player)
        run.check(requirement, "code of the close message", "==", int(code), seen, also=("DB-4.5-02",))


# --- DA_YAMN ---


@case(
    "scenario-baton.no-stream-to-start", "DB-4.1-02", "DB-4.5-02", needs=("baton",), negative=True,
    witness=WITNESS,
)  # fmt: skip
def no_stream_to_start(run: Run) -> None:
    """Without credit for the initial streams the session ends with DA_YAMN.

    §4.1: this side allows as many streams as HTTP/3 has, and asks for one baton more than that.
    """
    limit = run.vary(good=PLENTY, bad=H3_STREAMS)
    run.connect(run.options(max_streams_uni=limit, raise_limits=False))
    player = start(run, baton=255, count=H3_STREAMS + 1)
    if not run.twin:
        player.checker.we_grant_no_stream()
        end = await_close(run, player)
        run.check("DB-4.1-02", "end of the session", "==", "closed with code 1", end, also=("DB-4.5-02",))
        return
    play(run, player)


@case(
    "scenario-baton.no-stream-to-answer",
    "DB-4.2-06",
    "DB-4.5-02",
    needs=("baton",),
    negative=True,
    witness=WITNESS,
)
def no_stream_to_answer(run: Run) -> None:
    """Without credit for the bidirectional stream that a message asks for, the session ends with DA_YAMN.

    §4.2: the target's third message goes out on a bidirectional stream of its own.
    """
    limit = run.vary(good=PLENTY, bad=0)
    run.connect(run.options(max_streams_bidi=limit, raise_limits=False))
    player = start(run, baton=250)
    if run.twin:
        play(run, player)
        return
    player.play()
    end = await_close(run, player)
    run.check("DB-4.2-06", "end of the session", "==", "closed with code 1", end, also=("DB-4.5-02",))


# --- BRUH ---


def _spoiling(run: Run, player_ordinal: int) -> Player:
    """Start a session in which one message of this side is replaced by the bytes of the variant."""

    def spoil(ordinal: int, move: OpenStream | Reply) -> bytes:
        whole = encode_message(move.value)
        return run.vary(good=whole, bad=run.variant) if ordinal == player_ordinal else whole

    return start(run, baton=250, rewrite=spoil)


@case(
    "scenario-baton.incomplete-bidi", "DB-4.6-01", "DB-4.5-02", needs=("baton",), negative=True,
    variants=INCOMPLETE, witness=WITNESS,
)  # fmt: skip
def incomplete_bidi(run: Run) -> None:
    """An incomplete message on a bidirectional stream that is finished ends the session with BRUH.

    §4.6; the twin sends a whole message in its place.
    """
    _ends_with(run, _spoiling(run, 0), "DB-4.6-01", SessionError.BRUH)


@case(
    "scenario-baton.incomplete-uni", "DB-4.6-01", "DB-4.5-02", needs=("baton",), negative=True,
    variants=INCOMPLETE, witness=WITNESS,
)  # fmt: skip
def incomplete_uni(run: Run) -> None:
    """An incomplete message on a unidirectional stream that is finished ends the session with BRUH.

    §4.6; the twin sends a whole message in its place.
    """
    _ends_with(run, _spoiling(run, 1), "DB-4.6-01", SessionError.BRUH)


@case(
    "scenario-baton.incomplete-datagram", "DB-4.6-01", "DB-4.5-02", needs=("baton",), negative=True,
    variants=INCOMPLETE, witness=WITNESS,
)  # fmt: skip
def incomplete_datagram(run: Run) -> None:
    """An incomplete message in a datagram ends the session with BRUH.

    §4.6; the twin sends a whole message in its place.
    """
    run.need_echo("datagram")
    player = start(run, baton=250)
    opened(run, player)
    payload = run.vary(good=encode_message(251), bad=run.variant)
    for _ in range(1 if run.twin else ATTEMPTS):
        player.checker.we_sent_datagram(payload)
        player.session.send_datagram(payload)
        if run.peer.wait(lambda: player.session.closed_by_peer, PAUSE) or run.peer.closed is not None:
            break
    if run.twin:
        play(run, player)
        return
    end = await_close(run, player)
    run.check("DB-4.6-01", "end of the session", "==", "closed with code 2", end, also=("DB-4.5-02",))


# --- SUS, BORED ---


@case("scenario-baton.unexpected", "DB-4.2-05", needs=("baton",), negative=True, witness=WITNESS)
def unexpected(run: Run) -> None:
    """A value that was not to come may end the session with SUS, or is played on.

    §4.2, MAY: what the target does is recorded; any other end is a fault.
    """

    def wrong(ordinal: int, move: OpenStream | Reply) -> bytes:
        return encode_message(run.vary(good=move.value, bad=move.value + 2) if ordinal == 0 else move.value)

    options = Options(unexpected_value="continue")
    player = start(run, options, rewrite=wrong, baton=248)
    player.play()
    if run.twin:
        judge(run, player)
        return
    end = await_close(run, player, 0.0)
    run.informational("DB-4.2-05", "end of the session", end)
    allowed = ["closed with code 3", "closed without a code"]
    run.check("DB-4.2-05", "end of the session", "in", allowed, end, broken="fail")


@case("scenario-baton.silence", "DB-4.6-05", needs=("baton",), witness=WITNESS, slow=True)
def silence(run: Run) -> None:
    """A client that never answers may be left with BORED: what the target does in 15 seconds is recorded.

    §4.6, MAY.
    """
    player = start(run, baton=250)
    opened(run, player)
    run.informational("DB-4.6-05", "end of the session", await_close(run, player, PATIENCE))


# --- stream errors ---


@case(
    "scenario-baton.aborted",
    "DB-4.6-03",
    needs=("baton",),
    variants={"stop": "stop", "reset": "reset"},
    witness=WITNESS,
)
def aborted(run: Run) -> None:
    """A stream that this side stops or resets before the target answered is reset with WHATEVER.

    §4.6: this side has sent the length of a message only, so the target cannot have finished the stream.
    """
    player = start(run, baton=250, count=2)
    opened(run, player, 2)
    stream = player.session.open_bidi(b"\x05")
    # An abort that overtakes the header of its stream meets a stream of no session yet.
    run.peer.wait(run.peer.quic.acked)
    run.peer.fence()
    if run.variant == "stop":
        stream.stop(to_http(StreamError.IDC))
    else:
        stream.reset_with(StreamError.I_LIED)
    run.peer.wait(lambda: stream.reset_event is not None)
    event = stream.reset_event
    code = from_http(event.error_code) if event is not None else None
    run.check("DB-4.6-03", "code of the target's reset", "==", int(StreamError.WHATEVER), code)


@case(
    "scenario-baton.given-up",
    "DB-4.5-03",
    "DB-4.5-01",
    needs=("baton",),
    drafts=SINCE_14,
    variants={"first-of-1": (1, 0), "first-of-3": (3, 0), "later": (3, 4)},
    witness=WITNESS,
)
def given_up(run: Run) -> None:
    """A baton whose message is reset counts as ended; the others go on.

    §4.5, §4.6: the session ends without error once the rest is over. In older drafts a reset can take the
    header of the stream with it, and then nobody knows whose baton it was.
    """
    count, ordinal = run.variant
    player = start(run, Options(lies=frozenset({ordinal})), leaves_end=True, baton=245, count=count)
    play(run, player)
    end = await_close(run, player, 0.0)
    run.check("DB-4.5-03", "end of the session", "==", "closed without a code", end)


def _codes(run: Run, kind: type[StopSending] | type[StreamReset]) -> list[int]:
    """Return the application codes that came in frames of a kind; the end of a session has none."""
    codes = [from_http(event.error_code) for event in run.peer.events.of(kind, sent=False)]
    return [code for code in codes if code is not None]


@case("scenario-baton.disinterest", "DB-4.6-02", needs=("baton",), witness=WITNESS)
def disinterest(run: Run) -> None:
    """Where the target stops a stream, it does so with IDC.

    §4.6; asked for by a test switch of the endpoint (docs/endpoints.md), for the first stream of this side.
    Its message is begun only: a stream that has arrived as a whole needs no STOP_SENDING (RFC 9000 §3.5).
    """
    player = start(run, baton=250, count=2, disinterest=0)
    opened(run, player, 2)
    stream = player.session.open_bidi(b"\x05")
    run.peer.wait(lambda: stream.stop_event is not None)
    stops = _codes(run, StopSending)
    if not stops:
        raise Unsupported("cooperation", "the endpoint stopped no stream with disinterest=0")
    run.check("DB-4.6-02", "codes of STOP_SENDING", "==", [int(StreamError.IDC)], stops)


@case("scenario-baton.lie", "DB-4.6-04", needs=("baton",), witness=WITNESS)
def lie(run: Run) -> None:
    """Where the target resets a stream by itself, it does so with I_LIED.

    §4.6; asked for by a test switch of the endpoint (docs/endpoints.md), for its first message on a stream of
    this side: what is reset at once on a stream of its own might lose the header of the session.
    """
    player = start(run, baton=250, count=2, lies=2)
    player.play()
    resets = _codes(run, StreamReset)
    if not resets:
        raise Unsupported("cooperation", "the endpoint reset no stream with lies=2")
    run.check("DB-4.6-04", "codes of RESET_STREAM", "==", [int(StreamError.I_LIED)], resets)
    judge(run, player)
