"""Logs of the server: one record a line, as JSON objects with stable keys or as text.

What came off the wire may be anything: control characters and whatever is not ASCII are escaped, and every
value is bounded, so that a peer can neither forge a line nor fill a disk with one.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")
KEYS: Final = ("time", "level", "logger", "event", "message")
"""Every JSON object begins with these; the facts of the event follow, and `exception` where there is one."""
MAX_VALUE: Final = 256
"""Characters of a value that are kept."""
_MAX_MESSAGE: Final = 2048
_MAX_EXCEPTION: Final = 16_384

_logger: Final = logging.getLogger("pywebtransport.interop")


def tell(event: str, message: str, /, *, level: int = logging.INFO, **facts: object) -> None:
    """Log an event of the server.

    Args:
        event: its name, one of those in the README of the reference.
        message: a sentence without facts.
        level: as in `logging`.
        facts: what there is to know, by stable names; numbers, flags, `None`, anything else as text.
    """
    _logger.log(level, message, extra={"event": event, "facts": facts})


def tells(level: int = logging.INFO) -> bool:
    """Whether events of a level are logged at all."""
    return _logger.isEnabledFor(level)


def bounded(value: object, limit: int = MAX_VALUE) -> object:
    """A value as JSON has it; text is cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


class _Lines(logging.Formatter):
    def facts(self, record: logging.LogRecord) -> dict[str, object]:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        message = record.getMessage()
        heads = (
            time.replace("+00:00", "Z"),
            record.levelname.lower(),
            record.name,
            getattr(record, "event", "log"),
            message,
        )
        facts: dict[str, object] = dict(zip(KEYS, heads, strict=True))
        facts["message"] = bounded(message, _MAX_MESSAGE)
        facts.update({key: bounded(value) for key, value in getattr(record, "facts", {}).items()})
        if record.exc_info:
            facts["exception"] = bounded(self.formatException(record.exc_info), _MAX_EXCEPTION)
        return facts


class JsonLines(_Lines):
    """One JSON object a line (https://jsonlines.org), ASCII only."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return json.dumps(self.facts(record), allow_nan=False, default=str)


class TextLines(_Lines):
    """`time level event: message key=value…`, ASCII only."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        facts = self.facts(record)
        time, level, name, event, message = (facts.pop(key) for key in KEYS)
        what = name if event == "log" else event
        pairs = "".join(f" {key}={json.dumps(value)}" for key, value in facts.items())
        # Escapes as in JSON, but without the quotation marks
        return f"{time} {level} {what}: {json.dumps(message)[1:-1]}{pairs}"


def begin(*, form: str, level: str, stream: TextIO | None = None) -> None:
    """Log from now on, to standard error by default."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
