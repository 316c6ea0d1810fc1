"""What the browser does with a server, and what has to come out of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from reports.verdict import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_OK, Verdict
from scenarios.browser.chromium import BrowserFailed, Chromium
from scenarios.browser.page import Page

# Default paths of the endpoints (docs/endpoints.md).
DEFAULT_PATHS: Final[Mapping[str, str]] = {
    "close": "/close",
    "observe": "/observe",
    "baton": "/webtransport/devious-baton",
}


@dataclass(frozen=True, slots=True)
class Site:
    """A server: the URL of its echo endpoint, the hash of its certificate (hexadecimal; empty: trusted
    by the browser anyway), and the paths of its endpoints."""

    url: str
    certificate_hash: str = ""
    endpoints: Mapping[str, str] = field(default_factory=lambda: DEFAULT_PATHS)

    def endpoint(self, name: str, **query: object) -> str:
        """Return the URL of an endpoint; KeyError where the site has none."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc, self.endpoints[name], urlencode(query), ""))


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict of one scenario, and why."""

    scenario: str
    verdict: Verdict
    reason: str


# Returns the parameters of the play from a site.
Ask = Callable[[Site], list[Any]]
# Returns what is wrong with an answer of the page, empty text where nothing is.
Judge = Callable[[dict[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One play of the page."""

    name: str
    play: str
    ask: Ask
    judge: Judge
    needs: str | None = None


def _echo(kind: str, length: int) -> Scenario:
    def judge(answer: dict[str, Any]) -> str:
        sent, received = answer["sent"], answer["received"]
        # A constant prefix of the answer is fine (docs/endpoints.md).
        if received.endswith(sent) and (sent or not received):
            return ""
        return f"{len(received) // 2} bytes came back for {len(sent) // 2}, and they are not the same"

    return Scenario(f"echo-{kind}.{length}", kind, lambda site: [site.url, length], judge)


def _equal(expected: Mapping[str, Any]) -> Judge:
    return lambda answer: "" if answer == expected else f"observed {json.dumps(answer)[:200]}"


def _closed_by_server(code: int, reason: str) -> Scenario:
    return Scenario(
        f"close-by-server.{code}",
        "closedByServer",
        lambda site: [site.endpoint("close", code=code, reason=reason)],
        _equal({"code": code, "reason": reason}),
        needs="close",
    )


def _closed_by_page(code: int, reason: str) -> Scenario:
    def ask(site: Site) -> list[Any]:
        name = secrets.token_hex(8)
        return [site.endpoint("observe", id=name), site.endpoint("observe", read=name), code, reason]

    judge = _equal({"code": code, "reason": reason})
    return Scenario(f"close-by-page.{code}", "closedByPage", ask, judge, needs="observe")


def _baton(first: int, count: int) -> Scenario:
    values = [value for value in range(first, 257) for _ in range(count)]
    received = sorted(value % 256 for index, value in enumerate(values) if (index // count) % 2 == 0)
    sent = sorted(value % 256 for index, value in enumerate(values) if (index // count) % 2 == 1)

    def judge(answer: dict[str, Any]) -> str:
        if answer["received"] != received or answer["sent"] != sent:
            return f"the server sent {answer['received']}, expected {received}"[:300]
        end = answer["end"]
        if 0 in sent and end != {"code": 0, "reason": ""}:
            return f"after its last 0 the server ended the session so: {json.dumps(end)}"
        return ""

    return Scenario(
        f"baton.{first}x{count}",
        "baton",
        lambda site: [site.endpoint("baton", baton=first, count=count), count],
        judge,
        needs="baton",
    )


SCENARIOS: Final[Sequence[Scenario]] = (
    *(_echo("bidi", length) for length in (0, 1, 1000, 100_000)),
    *(_echo("uni", length) for length in (0, 1000, 100_000)),
    *(_echo("datagram", length) for length in (1, 1000)),
    *(_closed_by_server(code, reason) for code, reason in ((0, ""), (7, "bye"), (0xFFFFFFFF, "é €"))),
    *(_closed_by_page(code, reason) for code, reason in ((0, ""), (7, "bye"), (0xFFFFFFFF, "é €"))),
    *(_baton(first, count) for first, count in ((255, 1), (254, 1), (244, 1), (245, 3))),
)


def run(site: Site, browser: Chromium, page: Page) -> list[Result]:
    """Play all scenarios; each has a page of its own, since failed attempts throttle a page."""
    return [_run(scenario, site, browser, page) for scenario in SCENARIOS]


def _run(scenario: Scenario, site: Site, browser: Chromium, page: Page) -> Result:
    if scenario.needs is not None and scenario.needs not in site.endpoints:
        reason = f"the server has no endpoint {scenario.needs!r}"
        return Result(scenario.name, Verdict.UNSUPPORTED, reason)
    url, *rest = scenario.ask(site)
    arguments = ", ".join(json.dumps(item) for item in (scenario.play, url, site.certificate_hash, *rest))
    try:
        browser.load(page.url)
        answer = browser.evaluate(f"play({arguments})")
    except BrowserFailed as error:
        return Result(scenario.name, Verdict.FAIL, str(error))
    problem = scenario.judge(answer)
    verdict = Verdict.FAIL if problem else Verdict.PASS
    return Result(scenario.name, verdict, problem or "as expected")


def exit_code(results: Sequence[Result]) -> int:
    """Return 0 for at least one pass and no fail, 1 for a fail, 3 where nothing was shown."""
    verdicts = {result.verdict for result in results}
    if Verdict.FAIL in verdicts:
        return EXIT_FAIL
    return EXIT_OK if Verdict.PASS in verdicts else EXIT_INCONCLUSIVE
