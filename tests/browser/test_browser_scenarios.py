"""Headless Chromium against the model server: one browser for all scenarios."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from reports.verdict import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_OK, Verdict
from scenarios.browser.__main__ import embedded_site
from scenarios.browser.chromium import BrowserFailed, BrowserMissing, Chromium, find
from scenarios.browser.page import Page
from scenarios.browser.scenarios import SCENARIOS, Result, Site, exit_code, run


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Result]]:
    try:
        find()
    except BrowserMissing as reason:
        pytest.skip(str(reason))
    with ExitStack() as stack:
        browser = stack.enter_context(Chromium())
        page = stack.enter_context(Page())
        with pytest.raises(BrowserFailed, match="nonsense"):
            browser.evaluate("nonsense()")
        yield {item.scenario: item for item in run(embedded_site("model", stack), browser, page)}


@pytest.mark.parametrize("name", [scenario.name for scenario in SCENARIOS])
def test_the_browser_as_client(name: str, results: dict[str, Result]) -> None:
    assert results[name] == Result(name, Verdict.PASS, "as expected")


def test_names_are_unique() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_without_a_browser_the_reason_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BrowserMissing, match="apt-get install chromium"):
        find()


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([Verdict.PASS, Verdict.UNSUPPORTED], EXIT_OK),
        ([Verdict.PASS, Verdict.FAIL], EXIT_FAIL),
        ([Verdict.UNSUPPORTED], EXIT_INCONCLUSIVE),
    ],
)
def test_exit_codes(verdicts: list[Verdict], code: int) -> None:
    assert exit_code([Result("x", verdict, "") for verdict in verdicts]) == code


def test_endpoints_keep_the_host_of_the_url() -> None:
    site = Site("https://127.0.0.1:4433/echo")
    assert site.endpoint("close", code=7, reason="é") == "https://127.0.0.1:4433/close?code=7&reason=%C3%A9"
