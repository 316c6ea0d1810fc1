"""The HTML report: self-contained, escaped, bounded, and without errors in a real browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from reports.render.html import render_html
from reports.store import load_run

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs a headless browser: apt-get install chromium")


class Page(HTMLParser):
    """Collects tags and attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self._script: str | None = None
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self._in_script, self._script = True, dict(attrs).get("type")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append((self._script, data))


@pytest.fixture
def page(write_run: Any) -> str:
    return str((write_run() / "index.html").read_text(encoding="utf-8"))


def test_the_page_is_self_contained(page: str) -> None:
    parsed = Page(page)
    for tag, attributes in parsed.tags:
        assert "style" not in attributes, "the policy forbids inline style"
        assert not any(name.startswith("on") for name in attributes)
        assert tag not in {"iframe", "object", "embed", "img", "base", "form"}
        assert "src" not in attributes
        if tag == "link":
            assert (attributes["href"] or "").startswith("data:")
    policy = next(a["content"] for tag, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'")
    assert "unsafe" not in policy and "http" not in policy


def test_hostile_strings_are_text(page: str) -> None:
    parsed = Page(page)
    # One script of ours; all others are data.
    assert [kind for kind, _ in parsed.scripts if kind is None] == [None]
    assert "<script>alert" not in page and "<img" not in page
    assert "\x00" not in page and "\x1b" not in page and "\u202e" not in page
    assert "&lt;script&gt;alert(1)" in page
    for kind, text in parsed.scripts:
        if kind == "application/json":
            assert not re.search("[<>&]", text)
            assert isinstance(json.loads(text), list)


def test_what_a_reader_needs_is_there_without_scripts(page: str) -> None:
    for text in (
        "did not close the connection within 2 s",
        "https://datatracker.ietf.org/doc/html/draft-ietf-webtrans-http3-16#section-4",
        "wtconform run https://localhost:4433/ --select",
        "connection-error v1",
        "unwitnessed",
    ):
        assert text in page


def test_wire_logs_are_bounded_with_a_mark(
    samples: Any, monkeypatch: pytest.MonkeyPatch, write_run: Any
) -> None:
    monkeypatch.setattr("reports.render.html.MAX_ROWS_OTHER", 10)
    monkeypatch.setattr("reports.render.html.MAX_ROWS", 25)
    run = load_run(write_run())
    parsed = Page(render_html(run.results, run.evidence))
    logs = [log for kind, text in parsed.scripts if kind == "application/json" for log in json.loads(text)]
    assert sum(len(log["rows"]) for log in logs) == 25
    assert any(log["omitted"] for log in logs)
    # The evidence itself was cut at 40 of 60 events.
    assert [log["dropped"] for log in logs if log["count"] == 60] == [20]


def test_a_run_without_cases_and_without_evidence(write_run: Any, samples: Any) -> None:
    page = (write_run(chosen=[]) / "index.html").read_text(encoding="utf-8")
    assert "0 cases" in page
    run = load_run(write_run(interrupted=True))
    assert "was interrupted" in render_html(run.results, lambda case: None)


# --- in a browser ---

CLICK_EVERYTHING = """
addEventListener("load", () => {
  const click = (selector) => document.querySelectorAll(selector).forEach((element) => element.click());
  click("#unfold");
  document.querySelectorAll(".case").forEach((item) => item.dispatchEvent(new Event("toggle")));
  click(".log button"); click(".log [data-layer]"); click(".log .tools > button:first-child");
  click(".copy"); click(".tile"); click(".tile"); click("#theme");
  for (const select of document.querySelectorAll("select")) {
    select.selectedIndex = 1; select.dispatchEvent(new Event("change"));
    select.selectedIndex = 0; select.dispatchEvent(new Event("change"));
  }
  const search = document.querySelector("#search");
  search.value = "case-fail"; search.dispatchEvent(new Event("input"));
  document.documentElement.dataset.clicked = document.querySelector("#shown").textContent;
});
"""


def with_driver(page: str, driver: str) -> str:
    """Return the page with more code in its own script, and the policy's hash of it."""
    script = next(text for kind, text in Page(page).scripts if kind is None)

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    extended = script + driver
    return page.replace(script, extended).replace(digest(script), digest(extended))


def browse(path: Path, profile: Path, fragment: str = "") -> tuple[str, list[str]]:
    """Open a file in the browser; return the document after its scripts ran, and the console's lines."""
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--enable-logging=stderr", f"--user-data-dir={profile}", "--virtual-time-budget=2000", "--dump-dom",
        path.as_uri() + fragment,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@needs_chromium
def test_in_a_browser_there_is_no_console_error(page: str, tmp_path: Path) -> None:
    path = tmp_path / "clicked.html"
    path.write_text(with_driver(page, CLICK_EVERYTHING), encoding="utf-8")
    document, console = browse(path, tmp_path / "profile")
    assert console == []
    assert 'data-clicked="1 of 7"' in document
    # Six logs of twelve events and one cut to forty, without the packet that each begins with.
    assert len(re.findall('<tr class="(?:sent|received|hard)"', document)) == 6 * 11 + 39
    assert "more events were not kept" in document


@needs_chromium
def test_a_link_opens_its_case_and_draws_the_wire_log(write_run: Any, tmp_path: Path) -> None:
    document, console = browse(write_run() / "index.html", tmp_path / "profile", "#errors.hostile")
    assert console == []
    assert document.count(" open=") == 1
    assert "H3_MESSAGE_ERROR (0x10e)" in document


@needs_chromium
def test_the_console_is_really_watched(page: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.html"
    path.write_text(page.replace("</body>", "<script>nonsense(</script></body>"), encoding="utf-8")
    _, console = browse(path, tmp_path / "profile")
    assert any("Content Security Policy" in line for line in console)
