"""All cases against servers that take choices, on the in-memory link."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from conformance.deviants.choices.definition import Choice
from conformance.harness.case import Case
from conformance.harness.inmemory import memory_target
from conformance.harness.probe import probe
from conformance.harness.runner import Player
from conformance.peer.drafts import DRAFTS, Draft
from conformance.peer.model import Behaviour, ModelServer
from reports.verdict import Verdict

FINE = (Verdict.PASS, Verdict.INFORMATIONAL)
# What becomes of a case that a choice leaves without its subject, or whose SHOULD it goes against.
EXCUSED = (Verdict.UNSUPPORTED, Verdict.NON_STRICT)


def objections(
    choices: Sequence[Choice], cases: Iterable[Case], draft: Draft, drafts: Sequence[Draft] = DRAFTS
) -> Iterator[str]:
    """Play the cases of a draft against one server that takes all of the choices and offers ``drafts``.

    Yields a line for each case that finds fault with a choice or is not able to judge it, except for those
    that a choice leaves without their subject.
    """
    behaviour = Behaviour(tuple(drafts))
    for item in choices:
        item.apply(behaviour)
    target = memory_target("choices", lambda: ModelServer(behaviour, tuple(drafts)))
    target = target.with_capabilities(probe(target))
    player = Player(target, clock=time.process_time, second_runs=False)
    without = tuple(prefix for item in choices for prefix in item.without)
    for case in cases:
        if draft not in case.drafts or case.slow:
            continue
        judged = player.play(case, draft).judgement
        excused = judged.verdict in EXCUSED and case.identifier.startswith(without)
        if judged.verdict not in FINE and not excused:
            yield f"{case.identifier} in draft {draft}: {judged.verdict.value}: {judged.reason}"
