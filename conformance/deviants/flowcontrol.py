"""Deviants of session flow control (draft-16 §5)."""

from __future__ import annotations

from conformance.deviants.definition import deviant, override
from conformance.peer.drafts import Draft
from conformance.peer.model import Behaviour
from conformance.peer.model.streams import WtStream

SINCE_14 = (Draft.D16, Draft.D14)
DEFAULT_LIMIT = 64 * 1024


@deviant("flow-control.data-not-counted", "WT-5.6.4-02", "WT-5.4-02", drafts=SINCE_14)
def data_not_counted(behaviour: Behaviour) -> None:
    """Takes body bytes beyond its limit, without raising it (draft-16 §5.6.4)."""
    behaviour.rules.skip("data-exceeded")
    override(behaviour, "raised_limit", lambda _original, _kind, _used, _limit, _initial: None)


@deviant(
    "flow-control.too-many-streams",
    "WT-5.6.2-04",
    "WT-5.6.2-05",
    "WT-5.5-01",
    "WT-5.5-02",
    drafts=SINCE_14,
)
def too_many_streams(behaviour: Behaviour) -> None:
    """Opens more streams than the client permits (draft-16 §5.6.2)."""
    override(behaviour, "respects_limit", lambda _original, kind: kind == "data")


@deviant("flow-control.too-much-data", "WT-5.6.4-01", "WT-5.5-03", "WT-5.4-01", drafts=SINCE_14)
def too_much_data(behaviour: Behaviour) -> None:
    """Sends more body bytes than the client permits (draft-16 §5.6.4)."""
    override(behaviour, "respects_limit", lambda _original, kind: kind != "data")


@deviant("flow-control.default-limit", "WT-5.1-08", drafts=SINCE_14)
def default_limit(behaviour: Behaviour) -> None:
    """Applies a limit of its own where flow control is off (draft-16 §5.1)."""

    def body(_original: object, stream: WtStream, data: bytes) -> bytes:
        session = stream.session
        off = session is not None and not session.flow.enabled
        return data[: max(0, DEFAULT_LIMIT - stream.received + len(data))] if off else data

    override(behaviour, "body", body)
