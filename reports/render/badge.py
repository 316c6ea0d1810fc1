"""A badge: one SVG with the outcome of a run, self-contained."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

from reports.escaping import one_line
from reports.model import Results
from reports.verdict import EXIT_FAIL, EXIT_OK, exit_code

LABEL = "WebTransport"
COLOURS: Mapping[int, str] = {EXIT_OK: "#2e7d32", EXIT_FAIL: "#c62828"}
UNSURE = "#6d6d6d"
# Advance of one character of Verdana 11 px, a little generous so that no text touches the edge.
CHARACTER = 7.0


def render_badge(results: Results) -> str:
    """Return the badge of a run: how many cases passed, of those that were judged."""
    summary = results["summary"]
    judged = sum(count for verdict, count in summary.items() if verdict != "unsupported")
    strict = bool(results["meta"].get("strict"))
    code = exit_code(summary, strict=strict)
    text = one_line(f"draft {results['meta']['draft']}: {summary['pass']}/{judged}", 40)
    if summary["fail"]:
        text += f", {summary['fail']} failed"
    return _svg(text, COLOURS.get(code, UNSURE))


def _svg(text: str, colour: str) -> str:
    left, right = (round(len(part) * CHARACTER + 12) for part in (LABEL, text))
    width = left + right
    shown, title = escape(text), escape(f"{LABEL}: {text}", {'"': "&quot;"})
    clip = f'<clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath>'
    style = 'fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" '
        f'aria-label="{title}"><title>{title}</title>{clip}'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>'
        f'<g {style}><text x="{left / 2}" y="14">{LABEL}</text>'
        f'<text x="{left + right / 2}" y="14">{shown}</text></g></svg>\n'
    )
