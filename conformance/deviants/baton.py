"""Deviants of the Devious Baton endpoint (draft-frindell-webtrans-devious-baton-00)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from conformance.deviants.baton_faults import edit, play_with, reading
from conformance.deviants.definition import deviant, override
from conformance.peer.baton import (
    PATH,
    BatonMachine,
    CloseSession,
    Message,
    Move,
    OpenStream,
    Options,
    Parameters,
    Reply,
    ResetStream,
    SendDatagram,
    SessionError,
    StopStream,
    Stream,
    StreamError,
    encode_message,
)
from conformance.peer.model import Behaviour
from conformance.peer.model.baton_endpoint import BatonBehaviour

# What plays a baton to its end shows by its end that nothing was missing.
_PLAYED = ("DB-4.2-01", "DB-4.5-01")
_STARTED = ("DB-4.1-01", "DB-4.2-01")
MAX_BATON = 255


# --- parameters ---


@deviant("baton.elsewhere", "DB-3-01")
def elsewhere(behaviour: Behaviour) -> None:
    """Does not know the recommended path (§3)."""

    def resource(original: Callable[[str], str], path: str) -> str:
        return original("/nothing" if path == PATH else path)

    override(behaviour, "resource", resource)


@deviant("baton.any-version", "DB-3-03")
def any_version(behaviour: Behaviour) -> None:
    """Does not look at the version (§3.1)."""

    def change(values: dict[str, str]) -> None:
        values.pop("version", None)

    reading(behaviour, change)


@deviant("baton.any-value", "DB-3-04")
def any_value(behaviour: Behaviour) -> None:
    """Takes an invalid initial value for none (§3.1)."""

    def change(values: dict[str, str]) -> None:
        if not (values.get("baton", "").isdigit() and 0 < int(values["baton"]) <= MAX_BATON):
            values.pop("baton", None)

    reading(behaviour, change)


@deviant("baton.server-error", "DB-3-03", "DB-3-04", "DB-3-05")
def server_error(behaviour: Behaviour) -> None:
    """Refuses invalid parameters with 500 (§3.1)."""
    behaviour.baton.refusal_status = 500


@deviant("baton.count-capped", "DB-3-05")
def count_capped(behaviour: Behaviour) -> None:
    """Serves as many batons as it can where it is asked for more (§3.1)."""

    def change(values: dict[str, str]) -> None:
        if values.get("count", "").isdigit() and int(values["count"]) > behaviour.baton.capacity:
            values["count"] = "1"

    reading(behaviour, change)


@deviant("baton.two-by-default", "DB-3-02", *_PLAYED)
def two_by_default(behaviour: Behaviour) -> None:
    """Plays two batons where the request names no number (§3.1)."""

    class Doubling(BatonBehaviour):
        def machine(self, parameters: Parameters, options: Options) -> BatonMachine:
            count = 2 if parameters.count == 1 and parameters.baton is None else parameters.count
            return super().machine(replace(parameters, count=count), options)

    behaviour.baton = Doubling()


@deviant("baton.version-only", "DB-3-02", *_STARTED, "DB-4.5-01")
def version_only(behaviour: Behaviour) -> None:
    """Reads no other parameter where there is a version (§3.1)."""

    def change(values: dict[str, str]) -> None:
        if "version" in values:
            values.pop("baton", None)
            values.pop("count", None)

    reading(behaviour, change)


# --- messages and transitions ---


@deviant("baton.one-short", *_STARTED, "DB-3-02", "DB-4.5-01", "DB-4.5-03", "DB-4.1-02", "DB-4.5-02")
def one_short(behaviour: Behaviour) -> None:
    """Starts one baton less than several that it was asked for (§4.1)."""

    class Short(BatonMachine):
        def start(self) -> list[Move]:
            moves = super().start()
            return moves[1:] or moves

    play_with(behaviour, Short)


@deviant(
    "baton.plus-two", "DB-3-02", *_PLAYED, "DB-4.2-03", "DB-4.2-05", "DB-4.5-02", "DB-4.3-01", "DB-4.4-03"
)
def plus_two(behaviour: Behaviour) -> None:
    """Answers 252 with 254 (§4.2)."""

    def change(_machine: BatonMachine, move: Move) -> list[Move]:
        if isinstance(move, OpenStream | Reply) and move.value == MAX_BATON - 2:
            return [replace(move, value=move.value + 1, data=encode_message(move.value + 1))]
        return [move]

    edit(behaviour, change)


@deviant("baton.unfinished", "DB-4.2-02")
def unfinished(behaviour: Behaviour) -> None:
    """Leaves the streams of its answers open (§4.2)."""

    def change(_machine: BatonMachine, move: Move) -> list[Move]:
        return [replace(move, finish=False)] if isinstance(move, Reply) else [move]

    edit(behaviour, change)


@deviant("baton.wrong-stream", "DB-4.2-03", "DB-4.2-02", *_PLAYED)
def wrong_stream(behaviour: Behaviour) -> None:
    """Answers on a new unidirectional stream instead of the bidirectional one of the client (§4.2)."""

    def change(_machine: BatonMachine, move: Move) -> list[Move]:
        if not isinstance(move, Reply):
            return [move]
        stream = Stream(bidirectional=False, own=True, send_closed=True, receive_closed=True)
        return [OpenStream(stream, move.value, move.data, move.finish)]

    edit(behaviour, change)


@deviant("baton.padding-limit", "DB-4.3-01", "DB-4.2-01", "DB-4.4-01", "DB-4.6-01")
def padding_limit(behaviour: Behaviour) -> None:
    """Takes a message with 64 bytes of padding or more for malformed (§4.3)."""
    _refusing(behaviour, lambda message: message.padding_length >= 64)


@deviant("baton.no-padding", "DB-4.3-01", "DB-4.2-01", "DB-4.4-01", "DB-4.6-01")
def no_padding(behaviour: Behaviour) -> None:
    """Takes a message with padding for malformed (§4.3)."""
    _refusing(behaviour, lambda message: message.padding_length > 0)


def _refusing(behaviour: Behaviour, bad: Callable[[Message], bool]) -> None:
    class Refusing(BatonMachine):
        def _process(self, message: Message, stream: Stream) -> list[Move]:
            return self._fail(SessionError.BRUH) if bad(message) else super()._process(message, stream)

    play_with(behaviour, Refusing)


@deviant("baton.strict-end", "DB-4.3-02")
def strict_end(behaviour: Behaviour) -> None:
    """Ends a session with BRUH where bytes follow the value (§4.3)."""
    play_with(behaviour, BatonMachine, trailing_bytes="bruh")


@deviant("baton.unsuspecting", "DB-4.2-05")
def unsuspecting(behaviour: Behaviour) -> None:
    """Plays on with values that were not to come (§4.2)."""
    play_with(behaviour, BatonMachine, unexpected_value="continue")


@deviant("baton.gives-up-credit", "DB-4.2-07")
def gives_up_credit(behaviour: Behaviour) -> None:
    """Leaves out the message with value 7 on a stream of its own, as if for want of credit (§4.2)."""

    def change(_machine: BatonMachine, move: Move) -> list[Move]:
        if isinstance(move, OpenStream) and move.stream.bidirectional and move.value == 7:
            return [replace(move, data=b"", finish=False)]
        return [move]

    edit(behaviour, change)


# --- datagrams ---


@deviant("baton.no-datagrams", "DB-4.4-03")
def no_datagrams(behaviour: Behaviour) -> None:
    """Sends no datagrams (§4.4)."""
    edit(behaviour, lambda _machine, move: [] if isinstance(move, SendDatagram) else [move])


@deviant("baton.datagrams-of-client", "DB-4.4-03")
def datagrams_of_client(behaviour: Behaviour) -> None:
    """Sends datagrams for the values for which a client does (§4.4)."""

    class Swapped(BatonMachine):
        def _datagrams(self, message: Message) -> list[Move]:
            if message.value % 7 != 1:
                return []
            return [SendDatagram(message.value, encode_message(message.value))]

    play_with(behaviour, Swapped)


@deviant("baton.cut-datagrams", "DB-4.4-01", "DB-4.4-03", *_PLAYED)
def cut_datagrams(behaviour: Behaviour) -> None:
    """Sends datagrams that end before the value (§4.4)."""

    def change(_machine: BatonMachine, move: Move) -> list[Move]:
        return [replace(move, data=move.data[:-1])] if isinstance(move, SendDatagram) else [move]

    edit(behaviour, change)


# --- ends ---


def _closing(behaviour: Behaviour, codes: dict[SessionError | None, SessionError | None]) -> None:
    """Let the endpoint close with other codes."""

    def change(_machine: BatonMachine, move: Move) -> list[Move]:
        if isinstance(move, CloseSession) and move.code in codes:
            return [CloseSession(codes[move.code])]
        return [move]

    edit(behaviour, change)


@deviant(
    "baton.end-is-error",
    "DB-4.5-01",
    "DB-4.5-02",
    "DB-4.6-05",
    "DB-4.5-03",
    "DB-4.3-01",
    "DB-4.3-02",
    "DB-4.2-04",
)
def end_is_error(behaviour: Behaviour) -> None:
    """Closes with BORED when the last baton is over (§4.5)."""
    _closing(behaviour, {None: SessionError.BORED})


@deviant("baton.never-ends", "DB-4.5-01", "DB-4.5-03", "DB-4.3-01", "DB-4.3-02", "DB-4.2-04")
def never_ends(behaviour: Behaviour) -> None:
    """Does not close the session when the last baton is over (§4.5)."""

    class Endless(BatonMachine):
        def _finish(self) -> list[Move]:
            return []

    play_with(behaviour, Endless)


@deviant("baton.early-end", "DB-4.5-01", "DB-4.2-04", "DB-4.1-01", "DB-4.2-01", "DB-4.5-03")
def early_end(behaviour: Behaviour) -> None:
    """Closes the session when the first of several batons is over (§4.5)."""

    class Early(BatonMachine):
        def _finish(self) -> list[Move]:
            return self._fail(None)

    play_with(behaviour, Early)


@deviant("baton.reset-goes-on", "DB-4.5-03", "DB-4.5-01")
def reset_goes_on(behaviour: Behaviour) -> None:
    """Does not count a baton whose message was reset as ended (§4.5)."""

    class Hopeful(BatonMachine):
        def reset(self, stream: Stream) -> list[Move]:
            return [move for move in super().reset(stream) if not isinstance(move, CloseSession)]

        def _end_baton(self, stream: Stream) -> list[Move]:
            return [] if stream.reader.message is None else super()._end_baton(stream)

    play_with(behaviour, Hopeful)


# --- errors ---


@deviant("baton.quiet-da-yamn", "DB-4.1-02", "DB-4.2-06", "DB-4.5-02", "DB-3-05")
def quiet_da_yamn(behaviour: Behaviour) -> None:
    """Closes without error where it may open no stream (§4.1, §4.2)."""
    _closing(behaviour, {SessionError.DA_YAMN: None})


@deviant("baton.bruh-is-sus", "DB-4.6-01", "DB-4.5-02")
def bruh_is_sus(behaviour: Behaviour) -> None:
    """Closes with SUS where a message is incomplete (§4.6)."""
    _closing(behaviour, {SessionError.BRUH: SessionError.SUS})


@deviant("baton.error-by-fin", "DB-4.6-01", "DB-4.5-02")
def error_by_fin(behaviour: Behaviour) -> None:
    """Ends the session by FIN where a message is incomplete (§4.5)."""
    _closing(behaviour, {SessionError.BRUH: None})


@deviant("baton.patient", "DB-4.6-05", "DB-4.2-08")
def patient(behaviour: Behaviour) -> None:
    """Waits for a message, or for credit, as long as the client does (§4.2, §4.6)."""
    behaviour.baton.bored_after = 3600.0


@deviant("baton.stop-code", "DB-4.6-02")
def stop_code(behaviour: Behaviour) -> None:
    """Stops streams with I_LIED (§4.6)."""

    def change(_machine: BatonMachine, move: Move) -> list[Move]:
        return [replace(move, code=StreamError.I_LIED)] if isinstance(move, StopStream) else [move]

    edit(behaviour, change)


@deviant("baton.reset-codes", "DB-4.6-04", "DB-4.6-03")
def reset_codes(behaviour: Behaviour) -> None:
    """Resets streams by itself with WHATEVER, and with I_LIED where it was asked to (§4.6)."""
    swapped = {StreamError.WHATEVER: StreamError.I_LIED, StreamError.I_LIED: StreamError.WHATEVER}

    def change(_machine: BatonMachine, move: Move) -> list[Move]:
        return [replace(move, code=swapped[move.code])] if isinstance(move, ResetStream) else [move]

    edit(behaviour, change)


@deviant("baton.reset-unanswered", "DB-4.6-03")
def reset_unanswered(behaviour: Behaviour) -> None:
    """Does not reset its side of a stream that the client reset (§4.6)."""

    class Silent(BatonMachine):
        def reset(self, stream: Stream) -> list[Move]:
            return [move for move in super().reset(stream) if not isinstance(move, ResetStream)]

    play_with(behaviour, Silent)


@deviant("baton.stop-answer", "DB-4.6-03")
def stop_answer(behaviour: Behaviour) -> None:
    """Answers STOP_SENDING with I_LIED (§4.6)."""

    def mapped(original: Callable[[int], int], code: int) -> int:
        return original(StreamError.I_LIED if code == StreamError.WHATEVER else code)

    override(behaviour, "map_error_code", mapped)
