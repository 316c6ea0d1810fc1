"""The display of ``wtconform run``: progress while it runs, the table of verdicts at the end.

pytest's own reporter is kept (plugins rely on it), but writes nowhere unless pytest itself has to say
something: usage errors and collection errors.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter
from rich.console import Console

from reports.model import CaseResult
from reports.render.terminal import LiveProgress, print_report


class Display:
    """A pytest plugin that shows the run."""

    def __init__(self) -> None:
        self.interrupted = False
        self.console = Console(file=sys.stdout, soft_wrap=True)
        self._quiet = io.StringIO()
        self._live: LiveProgress | None = None
        self._side: Any = None

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Silence pytest's reporter and listen to the recorder."""
        self._side = config.pluginmanager.get_plugin("wtconform-run")
        standard = config.pluginmanager.get_plugin("terminalreporter")
        if self._side is None or standard is None:
            return
        config.pluginmanager.unregister(standard)
        config.pluginmanager.register(TerminalReporter(config, self._quiet), "terminalreporter")
        target = self._side.target
        drafts = ", ".join(dict.fromkeys(item.draft.value for item in self._side.selections))
        offered = ", ".join(sorted(target.capabilities.drafts, reverse=True))
        self.console.print(
            f"{len(self._side.selections)} cases against {target.name} · draft {drafts}"
            f" · it offers {offered}",
            markup=False,
            highlight=False,
        )
        self._live = LiveProgress(len(self._side.selections), self.console)
        self._live.__enter__()
        self._side.recorder.listen(self)

    def add(self, case: CaseResult) -> None:
        """Show a finished case."""
        if self._live is not None:
            self._live.add(case)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note that the user ended the run; ``pytest.exit`` comes here, too."""
        self.interrupted = excinfo.errisinstance(KeyboardInterrupt)

    def pytest_unconfigure(self) -> None:
        """Print the report."""
        if self._live is None:
            return
        self._live.__exit__(None, None, None)
        results = self._side.recorder.results
        if results is None:
            self.console.print(self._quiet.getvalue(), markup=False, highlight=False)
            return
        print_report(results, self.console)
        for line in self._side.recorder.closing_lines():
            self.console.print(line, markup=False, highlight=False)
        for note in results["meta"].get("notes", ()):
            self.console.print(f"note: {note}", markup=False, highlight=False)
