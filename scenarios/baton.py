"""Devious Baton: parameters, messages, transitions, datagrams and normal ends.

Sections are those of draft-frindell-webtrans-devious-baton-00. Whatever it leaves open (AMB-30) is
tolerated by the checker or only recorded.
"""

from __future__ import annotations

from conformance.harness.case import case
from conformance.harness.run import Run
from conformance.peer.baton import (
    PATH,
    MessageReader,
    OpenStream,
    Reply,
    SessionError,
    encode_message,
)
from conformance.peer.streams import Stream
from scenarios.baton_play import WITNESS, await_close, opened, play, start

INVALID_VERSION = {"unknown": "99", "no-number": "abc", "negative": "-1"}
INVALID_BATON = {"zero": "0", "too-large": "256", "negative": "-1", "no-number": "x"}
# A count that nobody is expected to serve, and the streams that this side allows for it.
HUGE_COUNT = 100_000
ALLOWED_STREAMS = 100


def first_value(stream: Stream) -> int | None:
    """Return the value of the message on a stream, None where it is incomplete."""
    message = MessageReader().feed(stream.body)
    return message.value if message is not None else None


# --- parameters ---


@case("scenario-baton.path", "DB-3-01", needs=("baton",), witness=WITNESS)
def path(run: Run) -> None:
    """The endpoint is at /webtransport/devious-baton, for interoperability.

    §3; RECOMMENDED, so that another path is non-strict.
    """
    run.endpoint("baton")
    run.connect()
    request = run.request(f"{PATH}?baton=255")
    run.expect("DB-3-01", "established", stream=request)


@case("scenario-baton.defaults", "DB-3-02", "DB-4.1-01", needs=("baton",), witness=WITNESS)
def defaults(run: Run) -> None:
    """Without parameters: one baton with an initial value of 1 to 255.

    §3.1, §4.1.
    """
    player = start(run)
    opened(run, player)
    run.peer.fence()
    streams = player.session.incoming_uni
    run.check("DB-3-02", "unidirectional streams of the target", "==", 1, len(streams))
    value = first_value(streams[0]) if streams else None
    valid = value is not None and 1 <= value <= 255
    run.check("DB-3-02", "an initial value of 1 to 255", "is", True, valid)
    play(run, player)


@case(
    "scenario-baton.named",
    "DB-3-02",
    "DB-4.1-01",
    needs=("baton",),
    variants={"version": (None, 1), "baton": (250, 1), "count": (None, 3), "both": (253, 3)},
    witness=WITNESS,
)
def named(run: Run) -> None:
    """The parameters version, baton and count are followed.

    §3.1, §4.1: as many streams as asked for, each with one message of the initial value and FIN.
    """
    baton, count = run.variant
    player = start(run, baton=baton, count=count, version=0)
    opened(run, player, count)
    run.peer.fence()
    streams = player.session.incoming_uni
    run.check("DB-3-02", "unidirectional streams of the target", "==", count, len(streams))
    values = sorted({value for stream in streams if (value := first_value(stream)) is not None})
    if baton is not None:
        run.check("DB-3-02", "initial values", "==", [baton], values)
    play(run, player)


def _refused(run: Run, requirement: str, name: str, good: str) -> None:
    run.connect()
    text = run.vary(good=good, bad=run.variant)
    request = run.request(run.endpoint("baton", **{name: text}))
    run.expect(requirement, "rejected-not-2xx", stream=request, twin="established")
    run.check(requirement, "hundreds of the status", "==", 4, (request.status or 0) // 100)


@case(
    "scenario-baton.version", "DB-3-03", needs=("baton",), negative=True, variants=INVALID_VERSION,
    witness=WITNESS,
)  # fmt: skip
def version(run: Run) -> None:
    """A version that is invalid or not supported is refused with a 4xx status.

    §3.1; the twin asks for version 0.
    """
    _refused(run, "DB-3-03", "version", "0")


@case(
    "scenario-baton.value", "DB-3-04", needs=("baton",), negative=True, variants=INVALID_BATON,
    witness=WITNESS,
)  # fmt: skip
def value(run: Run) -> None:
    """An initial value that is no integer of 1 to 255 is refused with a 4xx status.

    §3.1; the twin asks for 250.
    """
    _refused(run, "DB-3-04", "baton", "250")


@case("scenario-baton.count-huge", "DB-3-05", needs=("baton",), witness=WITNESS)
def count_huge(run: Run) -> None:
    """More batons than the server can send are refused with 4xx, or all streams that are allowed get one.

    §3.1, §4.1: who accepts them runs out of stream credit, which is DA_YAMN.
    """
    run.connect(run.options(max_streams_uni=ALLOWED_STREAMS, raise_limits=False))
    request = run.request(run.endpoint("baton", count=HUGE_COUNT, baton=255))
    run.peer.wait(lambda: request.answered)
    outcome = f"status {request.status}"
    if request.established:
        run.peer.wait(lambda: request.closed_by_peer)
        message = request.close_message
        outcome = "accepted, and not served"
        if message is not None and message.code == SessionError.DA_YAMN:
            outcome = "DA_YAMN"
    elif request.status is not None and 400 <= request.status < 500:
        outcome = "refused with 4xx"
    run.check("DB-3-05", "outcome", "in", ["refused with 4xx", "DA_YAMN"], outcome)


@case(
    "scenario-baton.count-invalid",
    "DB-3-05",
    needs=("baton",),
    variants={"zero": "0", "negative": "-1", "no-number": "x"},
    witness=WITNESS,
)
def count_invalid(run: Run) -> None:
    """A count that is no positive integer: the draft says nothing about it, so the answer is recorded.

    §3.1; AMB-30.
    """
    run.connect()
    request = run.request(run.endpoint("baton", count=run.variant, baton=255))
    run.peer.wait(lambda: request.answered)
    run.informational(
        "DB-3-05", f"hundreds of the status for count={run.variant}", (request.status or 0) // 100
    )


# --- messages ---


@case(
    "scenario-baton.padding",
    "DB-4.3-01",
    "DB-4.2-01",
    "DB-4.4-01",
    needs=("baton",),
    variants={"none": 0, "one": 1, "63": 63, "64": 64, "20000": 20000},
    witness=WITNESS,
)
def padding(run: Run) -> None:
    """Padding of any length and content changes nothing; datagrams about the values stay small.

    §4.3, §4.4.
    """
    noise = bytes((7 * position + 1) & 0xFF for position in range(run.variant))

    def noisy(_ordinal: int, move: OpenStream | Reply) -> bytes:
        return encode_message(move.value, noise)

    play(run, start(run, baton=244, rewrite=noisy))


@case("scenario-baton.long-length", "DB-4.3-01", needs=("baton",), witness="RFC 9000 §16")
def long_length(run: Run) -> None:
    """A padding length in a longer encoding than needed is the same length.

    §4.3: a variable-length integer, for which RFC 9000 §16 allows every encoding.
    """

    def long(ordinal: int, move: OpenStream | Reply) -> bytes:
        return encode_message(move.value, bytes(3), length_bytes=(2, 4, 8)[ordinal % 3])

    play(run, start(run, baton=244, rewrite=long))


@case("scenario-baton.in-pieces", "DB-4.3-01", needs=("baton",), witness=WITNESS)
def in_pieces(run: Run) -> None:
    """A message that arrives byte by byte is the same message.

    §4.3; streams have no message boundaries.
    """
    player = start(run, baton=255)
    opened(run, player)
    stream = player.session.open_bidi()
    for octet in encode_message(0, b"ab"):
        stream.send(bytes([octet]))
        run.flush()
    stream.finish()
    run.check("DB-4.3-01", "end of the session", "==", "closed without a code", await_close(run, player))


@case("scenario-baton.trailing", "DB-4.3-02", needs=("baton",), witness=WITNESS)
def trailing(run: Run) -> None:
    """Bytes behind the value are not defined: ignored, BRUH or SUS is recorded.

    §4.3; AMB-30.
    """

    def longer(_ordinal: int, move: OpenStream | Reply) -> bytes:
        return encode_message(move.value) + b"more"

    player = start(run, baton=250, rewrite=longer)
    player.play()
    run.informational("DB-4.3-02", "end of a session with bytes behind each value", await_close(run, player))


# --- transitions ---


@case(
    "scenario-baton.relay",
    "DB-4.2-01",
    "DB-4.2-02",
    "DB-4.2-03",
    "DB-4.5-01",
    needs=("baton",),
    variants={"from-1": 1, "from-250": 250, "from-253": 253, "from-254": 254, "from-255": 255},
    witness=WITNESS,
)
def relay(run: Run) -> None:
    """Each value goes on incremented, with FIN, on the stream that the last one asks for, until 0.

    §4.2: uni, bidi, reply, uni, …; §4.5: then the session is closed without error.
    """
    player = start(run, baton=run.variant)
    play(run, player)
    run.check("DB-4.2-01", "messages both ways", "==", 257 - run.variant, player.messages)


@case("scenario-baton.finishes", "DB-4.2-02", needs=("baton",), witness=WITNESS)
def finishes(run: Run) -> None:
    """FIN follows each message at once, on each of the three kinds of streams.

    §4.2, while the session is open: its end would end the streams, too.
    """
    player = start(run, baton=9)
    session = player.session
    opened(run, player)
    first = run.first_of(session, "uni")
    reply = session.open_bidi(encode_message(10), end_stream=True)
    run.peer.wait(lambda: reply.done)
    session.open_uni(encode_message(12), end_stream=True)
    run.peer.wait(lambda: any(stream.done for stream in session.incoming_bidi))
    streams = [first, reply, run.first_of(session, "bidi")]
    finished = [stream is not None and stream.ended for stream in streams]
    run.check("DB-4.2-02", "FIN on uni, reply, bidi", "==", [True] * 3, finished)


@case(
    "scenario-baton.several",
    "DB-4.1-01",
    "DB-4.2-01",
    "DB-4.2-03",
    "DB-4.5-01",
    needs=("baton",),
    variants={"2": 2, "5": 5, "16": 16},
    witness=WITNESS,
)
def several(run: Run) -> None:
    """Several batons at once do not disturb each other.

    §4.1, §4.2.
    """
    player = start(run, baton=230, count=run.variant)
    play(run, player)
    run.check("DB-4.2-01", "messages both ways", "==", 27 * run.variant, player.messages)


@case("scenario-baton.countdown", "DB-4.5-01", "DB-4.2-04", needs=("baton",), witness=WITNESS)
def countdown(run: Run) -> None:
    """A 0 ends one baton, and the last one ends the session.

    §4.2, §4.5: the session with two batons lives on after the first 0.
    """
    player = start(run, baton=255, count=2)
    opened(run, player, 2)
    player.session.open_bidi(encode_message(0), end_stream=True)
    run.peer.fence()
    lives = not player.session.closed_by_peer
    run.check("DB-4.5-01", "open with one active baton", "is", True, lives)
    player.session.open_bidi(encode_message(0), end_stream=True)
    end = await_close(run, player)
    run.check("DB-4.5-01", "end of the session", "==", "closed without a code", end)
    run.informational("DB-4.2-04", "open after the first 0, then", [lives, end])


# --- datagrams ---


@case("scenario-baton.datagrams", "DB-4.4-03", "DB-4.4-01", needs=("baton",), witness=WITNESS)
def datagrams(run: Run) -> None:
    """The target sends a datagram for each value = 0 modulo 7 that it gets, and none for others.

    §4.4. Datagrams may be lost, but not all of them on a connection on which others pass.
    """
    run.need_echo("datagram")
    player = start(run, baton=6)
    play(run, player)
    run.check("DB-4.4-03", "datagrams came", "is", True, bool(player.session.datagrams))


@case("scenario-baton.waits", "DB-4.2-07", needs=("baton",), witness=WITNESS)
def waits(run: Run) -> None:
    """With credit for a part of a message that part is sent, and the rest when credit comes.

    §4.2. The credit for streams that the target opens both ways ends one byte before the value.
    """
    judge_credit(run, grant=True)


@case("scenario-baton.stalls", "DB-4.2-08", needs=("baton",), witness=WITNESS, slow=True)
def stalls(run: Run) -> None:
    """Credit that never comes may end in BORED: what the target does in 15 seconds is recorded.

    §4.2; how long is too long is not said.
    """
    judge_credit(run, grant=False)


# initial_max_stream_data_bidi_remote, and MAX_STREAM_DATA (RFC 9000 §18.2, §19.10).
BIDI_REMOTE = 0x06
MAX_STREAM_DATA = b"\x11"
PATIENCE = 15.0


def judge_credit(run: Run, *, grant: bool) -> None:
    """Hold back the last byte of a message on a bidirectional stream of the target, then grant it or not."""
    # Type and session ID of the stream, padding length: 4 bytes, as the first session has the ID 0.
    allowed = 4
    run.connect(run.options(extra_transport_parameters={BIDI_REMOTE: bytes([allowed])}))
    player = start(run, baton=3)
    opened(run, player)
    session = player.session
    first = session.open_bidi(encode_message(4), end_stream=True)
    run.peer.wait(lambda: first.done)
    session.open_uni(encode_message(6), end_stream=True)

    # Where the header is encoded longer than needed, none of the message fits into the credit.
    def within_credit() -> int:
        return sum(len(event.data) for event in run.stream_data() if event.stream_id == 1)

    run.peer.wait(lambda: within_credit() >= allowed)
    if not grant:
        end = await_close(run, player, PATIENCE)
        run.informational("DB-4.2-08", "end of a session without credit", end)
        return
    run.check("DB-4.2-07", "bytes sent within the credit", "==", allowed, within_credit())
    # 16383 bytes: the padding of the target's message is its own choice.
    run.peer.quic.inject_frames(MAX_STREAM_DATA + b"\x01\x7f\xff")
    run.peer.wait(lambda: any(stream.done for stream in session.incoming_bidi))
    stream = run.first_of(session, "bidi")
    run.check("DB-4.2-07", "value once credit came", "==", 7, first_value(stream) if stream else None)
