"""Stats and status: JSON about session and server, valid by the published schemas (docs/endpoints.md)."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema

from conformance.harness.case import case
from conformance.harness.run import Run
from conformance.peer.session import Session

WITNESS = "schemas of docs/endpoints.md"


def schema(name: str) -> Any:
    """Return the published schema of an endpoint's answer."""
    return json.loads(files("scenarios.schemas").joinpath(f"{name}.schema.json").read_text(encoding="utf-8"))


def query(run: Run, session: Session) -> tuple[Any, str]:
    """Ask on a stream that is finished empty; return the parsed answer and what is wrong with it."""
    stream = session.open_bidi(b"", end_stream=True)
    run.peer.wait(lambda: stream.done)
    try:
        return json.loads(
            stream.received.decode("utf-8")
        ), "" if stream.ended else "the answer was not finished"
    except ValueError as error:
        return None, f"the answer is not JSON: {error}"


def problems(name: str, value: Any) -> list[str]:
    """Return what an answer breaks of its schema, in a stable order."""
    validator = jsonschema.Draft202012Validator(schema(name))
    return sorted(f"{error.json_path}: {error.message}"[:200] for error in validator.iter_errors(value))


@case(
    "scenario-endpoints.valid",
    "OV-4.3-04",
    "OV-4.3-05",
    needs=("stats", "status"),
    variants={"stats": "stats", "status": "status"},
    witness=WITNESS,
)
def valid(run: Run) -> None:
    """The answer is a JSON object that satisfies the published schema.

    docs/endpoints.md; overview-13 §4.3: a stream opened by the client is answered and finished.
    """
    session = run.establish(run.endpoint(run.variant))
    value, trouble = query(run, session)
    run.check("OV-4.3-05", "trouble with the answer", "==", "", trouble)
    run.check("OV-4.3-04", "violations of the schema", "==", [], problems(run.variant, value))


@case("scenario-endpoints.counts", "WT-4.2-05", "WT-4.3-18", needs=("stats",), witness=WITNESS)
def counts(run: Run) -> None:
    """Stats count what the session did: streams by kind, body bytes without headers.

    docs/endpoints.md; draft-16 §4.2, §4.3: an empty stream is a stream, a header is no body.
    """
    session = run.establish(run.endpoint("stats"))
    before, _ = query(run, session)
    session.open_uni(b"0123456789", end_stream=True)
    stream = session.open_bidi(b"0123456789", end_stream=True)
    run.peer.wait(lambda: stream.done and any(item.done for item in session.incoming_uni))
    after, _ = query(run, session)
    members = ("streams_uni_received", "streams_bidi_received", "bytes_received")
    if isinstance(before, dict) and isinstance(after, dict):
        grown = {name: after.get(name, 0) - before.get(name, 0) for name in members}
    else:
        grown = {}
    expected = {"streams_uni_received": 1, "streams_bidi_received": 2, "bytes_received": 20}
    run.check("WT-4.2-05", "growth of the counts", "==", expected, grown, also=("WT-4.3-18",))
