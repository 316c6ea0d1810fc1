"""Echoes: what a target that echoes owes for finished streams. A constant prefix of an echo is fine."""

from __future__ import annotations

from conformance.harness.target import Capabilities
from conformance.peer.client import Peer
from conformance.peer.session import Session
from conformance.peer.streams import Stream
from fuzz.model import SessionModel
from fuzz.sending import Sender
from fuzz.violations import Violation

# Seconds for echoes before a fence decides; patient: before they are missing for good.
QUICK = 0.1
PATIENT = 3.0
PROBE = b"probe"


class Echoes:
    """The echoes of one session."""

    def __init__(
        self, peer: Peer, session: Session, sender: Sender, model: SessionModel, known: Capabilities
    ) -> None:
        self._peer = peer
        self._session = session
        self._sender = sender
        self._model = model
        self._known = known
        self._probe: Stream | None = None
        self._taken: set[int] = set()

    def add_probe(self) -> None:
        """Open a stream of the executor's own: its echo shows that the session still works."""
        if self._known.echo_bidi and self._model.left("bidi") >= self._reserve and self._model.echoes_fit():
            self._probe = self._session.open_bidi(PROBE, end_stream=True)
            self._model.opened["bidi"] += 1
            self._model.body_bytes += len(PROBE)

    def classes(self) -> dict[str, str]:
        """Return how the finished streams of each kind came back: all, some aborted, or not."""
        counts = {"echo_bidi": [0, 0], "echo_uni": [0, 0]}
        for name, state in self._model.streams.items():
            if state.finished and state.bidi:
                stream = self._sender.streams[name]
                counts["echo_bidi"][0] += 1
                counts["echo_bidi"][1] += stream.ended
            counts["echo_uni"][0] += state.finished and not state.bidi
        counts["echo_uni"][1] = sum(item.ended for item in self._session.incoming_uni)
        return {kind: "all" if back >= sent else "not all" for kind, (sent, back) in counts.items()}

    @property
    def _reserve(self) -> int:
        return 1 if self._model.facts.flow_control else 0

    def collect(self, *, patient: bool) -> Violation | None:
        """Wait for what is due; return a violation where it stays out or differs."""
        bidi, uni = self._due()
        if not bidi and not uni and self._probe is None:
            return None

        def arrived() -> bool:
            if self._peer.closed is not None or self._session.closed_by_peer:
                return True
            if not all(stream.done for stream, _ in bidi) or (
                self._probe is not None and not self._probe.done
            ):
                return False
            return len(self._finished_uni()) >= len(uni) and not self._unmatched(uni)[0]

        window = max(PATIENT, 20 * self._peer.rtt) if patient else max(QUICK, 8 * self._peer.rtt)
        if not self._peer.wait(arrived, window):
            self._peer.fence(self._session, echo=self._known.echo_bidi and self._probe is None)
        if self._peer.closed is not None or self._session.closed_by_peer:
            return None
        if self._probe is not None and self._probe.done:
            self._probe = None
        for name in self._model.due_echoes():
            self._model.streams[name].judged = False
        return self._compare_bidi(bidi) or self._compare_uni(uni)

    def _due(self) -> tuple[list[tuple[Stream, bytes]], list[bytes]]:
        bidi: list[tuple[Stream, bytes]] = []
        uni: list[bytes] = []
        if not self._model.echoes_fit():
            return bidi, uni
        for name in self._model.due_echoes():
            state = self._model.streams[name]
            if state.bidi and self._known.echo_bidi:
                bidi.append((self._sender.streams[name], bytes(state.sent)))
            elif not state.bidi and self._known.echo_uni:
                uni.append(bytes(state.sent))
        return bidi, sorted(uni, key=len, reverse=True)

    def _compare_bidi(self, due: list[tuple[Stream, bytes]]) -> Violation | None:
        if self._probe is not None:
            return Violation("hang", "echo-missing", "bidi", "the session does not echo any more")
        for stream, sent in due:
            if stream.reset_event is not None or stream.stop_event is not None:
                continue
            if not stream.ended:
                return Violation("hang", "echo-missing", "bidi", f"{len(sent)} bytes did not come back")
            if not stream.received.endswith(sent):
                return Violation("model", "echo-differs", "bidi", f"{len(sent)} bytes came back changed")
        return None

    def _finished_uni(self) -> list[Stream]:
        return [item for item in self._session.incoming_uni if item.ended and item.id not in self._taken]

    def _unmatched(self, due: list[bytes]) -> tuple[list[bytes], list[Stream]]:
        """Return which bodies did not come back, and which streams came back with something else."""
        left = sorted(self._finished_uni(), key=lambda item: item.received_length)
        missing = []
        for sent in due:
            match = next((item for item in left if item.body.endswith(sent)), None)
            if match is None:
                missing.append(sent)
            else:
                left.remove(match)
        return missing, left

    def _compare_uni(self, due: list[bytes]) -> Violation | None:
        missing, others = self._unmatched(due)
        excused = sum(item.reset_event is not None for item in self._session.incoming_uni)
        spare = {item.id for item in others}
        self._taken.update(item.id for item in self._finished_uni() if item.id not in spare or not missing)
        if len(missing) <= excused:
            return None
        if others:
            return Violation("model", "echo-differs", "uni", f"{len(missing[0])} bytes came back changed")
        return Violation("hang", "echo-missing", "uni", f"{len(missing)} of {len(due)} did not come back")
