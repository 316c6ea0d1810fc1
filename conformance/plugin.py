"""The pytest plugin: cases as pytest items, against the target that ``--target`` names.

Without ``--target`` (and without explicit paths into the suite) the plugin does nothing. With it,
``conformance/cases`` and ``scenarios`` are collected, each case in each chosen draft is one item, and a
case runs in the set-up phase of its item, so that one that cannot be judged is an error and never a pass.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from conformance.access import approach, validate
from conformance.harness.case import Case, cases_of, load_cases
from conformance.harness.embedded import EmbeddedFailed
from conformance.harness.gate import Gate
from conformance.harness.presence import Presence
from conformance.harness.probe import ProbeFailed
from conformance.harness.process import ProcessWatch
from conformance.harness.results import assemble
from conformance.harness.runner import Player
from conformance.harness.setup import (
    Selection,
    capabilities_from_json,
    capabilities_json,
    choose_drafts,
    make_target,
    may_disrupt,
    select,
)
from conformance.harness.target import Target
from conformance.options import KINDS, InvalidOption, RunOptions, describe
from conformance.recording import Recorder, read_spool, stored_target, write_spool
from reports.baseline import BaselineError
from reports.files import RunError
from reports.verdict import EXIT_INCONCLUSIVE, Verdict

ROOT = Path(__file__).resolve().parent.parent
CASE_FOLDERS = (ROOT / "conformance" / "cases", ROOT / "scenarios")
PROPERTY = "wtconform"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of a run (conformance/options.py)."""
    group = parser.getgroup("wtconform", "WebTransport conformance")
    defaults = RunOptions()
    for name, description in describe():
        flag = ("--" if description.pop("bare", False) else "--wt-") + name.replace("_", "-")
        default = getattr(defaults, name)
        arguments: dict[str, Any] = {"dest": f"wt_{name}", "help": description["help"], "default": default}
        if isinstance(default, bool):
            arguments["action"] = "store_true"
        elif isinstance(default, list):
            arguments |= {"action": "append", "metavar": description.get("metavar")}
        elif "choices" in description:
            arguments["choices"] = description["choices"]
        else:
            arguments |= {
                "type": KINDS.get(name, str),
                "metavar": description.get("metavar", name.upper()),
            }
        group.addoption(flag, **arguments)


def options_of(config: pytest.Config) -> RunOptions:
    """Return the options of a run."""
    values = {name: config.getoption(f"wt_{name}") for name, _ in describe()}
    return RunOptions(**values)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the target, in the controller; workers get what it found."""
    config.addinivalue_line("markers", "disruptive: floods or exhausts the target; runs alone and last")
    options = options_of(config)
    if options.target is None:
        return
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args[:] = [str(folder) for folder in CASE_FOLDERS]
    worker = getattr(config, "workerinput", None)
    try:
        plugin = WorkerSide(config, worker) if worker is not None else ControllerSide(config, options)
    except (InvalidOption, RunError, BaselineError) as error:
        raise pytest.UsageError(str(error)) from None
    except (ProbeFailed, EmbeddedFailed) as error:
        pytest.exit(f"{error}\nreports: {options.out / 'index.html'}", returncode=EXIT_INCONCLUSIVE)
    config.pluginmanager.register(plugin, "wtconform-run")


class RunSide:
    """What controller and workers have in common: collecting and playing."""

    target: Target
    options: RunOptions
    selections: list[Selection]
    gate: Gate
    presence: Presence
    spool: Path

    def arguments(self) -> list[str]:
        """Return how the target is named on a command line that repeats a case."""
        raise NotImplementedError

    def described(self) -> dict[str, Any]:
        """Return the target as a replay file names it."""
        raise NotImplementedError

    @pytest.hookimpl
    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Collect the modules of cases."""
        if file_path.suffix == ".py" and file_path.parent in CASE_FOLDERS and file_path.stem != "__init__":
            module: CaseModule = CaseModule.from_parent(parent, path=file_path, side=self)
            return module
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Play disruptive cases last."""
        items.sort(key=lambda item: item.get_closest_marker("disruptive") is not None)


@pytest.fixture(scope="session")
def wt_player(pytestconfig: pytest.Config) -> Player:
    """The player of this process."""
    side = _side(pytestconfig)
    return Player(side.target, gate=side.gate, presence=side.presence)


@pytest.fixture
def wt_case(wt_player: Player, request: pytest.FixtureRequest) -> str | None:
    """Play the case of the item; return why it failed, None where it did not."""
    side = _side(request.config)
    selection: Selection = request.node.selection
    outcome = wt_player.play(selection.case, selection.draft)
    result, evidence, replay = assemble(
        outcome,
        arguments=side.arguments(),
        target=side.described(),
        directory=side.options.out,
        traces=side.options.evidence == "full",
    )
    path = write_spool(side.spool, result, evidence, replay)
    request.node.user_properties.append((PROPERTY, str(path)))
    if request.config.pluginmanager.hasplugin("allure_listener"):
        from reports.render import allure  # only where allure-pytest is active

        allure.report(result, evidence)
    again = f"\nreplay: {result['replay']}"
    match outcome.judgement.verdict:
        case Verdict.UNSUPPORTED:
            pytest.skip(outcome.judgement.reason)
        case Verdict.INCONCLUSIVE:
            pytest.fail(f"inconclusive: {outcome.judgement.reason}{again}", pytrace=False)
        case Verdict.FAIL:
            return f"{outcome.judgement.reason}{again}"
        case Verdict.NON_STRICT if side.options.strict:
            return f"non-strict: {outcome.judgement.reason}{again}"
    return None


def _side(config: pytest.Config) -> RunSide:
    side = config.pluginmanager.get_plugin("wtconform-run")
    assert isinstance(side, RunSide)
    return side


class CaseModule(pytest.Module):
    """A module of cases; imported by its name in the package, not by its path."""

    side: RunSide

    def __init__(self, *, side: RunSide, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.side = side

    def _getobj(self) -> Any:
        return importlib.import_module(
            f"{self.path.parent.relative_to(ROOT).as_posix().replace('/', '.')}.{self.path.stem}"
        )

    def collect(self) -> Iterator[pytest.Item]:
        """Return an item for each selected case and draft."""
        names = {case.identifier for case in cases_of(self.obj.__name__)}
        for selection in self.side.selections:
            if selection.case.identifier in names:
                name = f"{selection.case.identifier}[{selection.draft}]"
                yield CaseItem.from_parent(
                    self, name=name, callobj=_body(selection.case), selection=selection
                )


class CaseItem(pytest.Function):
    """A case in one draft."""

    def __init__(self, *, selection: Selection, **arguments: Any) -> None:
        self.selection = selection
        super().__init__(**arguments)
        if selection.case.disruptive:
            self.add_marker(pytest.mark.disruptive)


def _body(case: Case) -> Any:
    def body(wt_case: str | None) -> None:
        if wt_case is not None:
            pytest.fail(wt_case, pytrace=False)

    body.__doc__ = case.description
    return body


class WorkerSide(RunSide):
    """A worker of pytest-xdist."""

    def __init__(self, config: pytest.Config, given: dict[str, Any]) -> None:
        handed = given["wtconform"]
        given = {
            name: Path(value) if KINDS.get(name) is Path else value
            for name, value in handed["options"].items()
        }
        self.options = RunOptions(**{**vars(options_of(config)), **given})
        self._arguments = list(handed["arguments"])
        self._described = dict(handed["described"])
        self.target = make_target(self.options).with_capabilities(
            capabilities_from_json(handed["capabilities"])
        )
        self.selections = _selections([Selected(*item) for item in handed["selections"]])
        self.spool = Path(handed["spool"])
        self.gate = Gate(self.spool / "gate")
        self.presence = Presence(self.spool / "presence")

    def arguments(self) -> list[str]:
        """Return how the controller's command line named the target."""
        return self._arguments

    def described(self) -> dict[str, Any]:
        """Return the target as the controller knows it."""
        return self._described


class Selected(tuple[str, str]):
    """Identifier and draft of a selected case, as it travels to a worker."""

    __slots__ = ()

    def __new__(cls, identifier: str, draft: str) -> Selected:
        """Make the pair."""
        return super().__new__(cls, (identifier, draft))


def _selections(handed: Iterable[Selected]) -> list[Selection]:
    from conformance.peer.drafts import Draft

    cases = {case.identifier: case for case in load_cases()}
    return [Selection(cases[identifier], Draft(draft)) for identifier, draft in handed]


class ControllerSide(RunSide):
    """The process that the user started: probes, hands out, records, reports."""

    def __init__(self, config: pytest.Config, options: RunOptions) -> None:
        self.config = config
        validate(options)
        self.stack = ExitStack()
        try:
            try:
                self.options, self.target = approach(options, self.stack)
            except (ProbeFailed, EmbeddedFailed) as error:
                with closing(Recorder(options, options)) as recorder:
                    recorder.finish_unreachable(str(error))
                raise
            drafts = choose_drafts(options.draft, self.target.capabilities.drafts, self.target.name)
            self.selections = select(load_cases(), drafts, options)
            pid = self.options.target_pid
            self.process = ProcessWatch(pid) if pid is not None else None
            self.recorder = self.stack.enter_context(closing(Recorder(options, self.options)))
        except BaseException:
            self.stack.close()
            raise
        self._leave_out_disruptive()
        self.spool = self.recorder.spool
        distributed = config.getoption("numprocesses", None)
        self.gate = Gate(self.spool / "gate" if distributed else None)
        self.presence = Presence(self.spool / "presence")
        self.recorder.begin(self.selections)

    def _leave_out_disruptive(self) -> None:
        disruptive = [item for item in self.selections if item.case.disruptive]
        if disruptive and not may_disrupt(self.target, self.options):
            self.selections = [item for item in self.selections if not item.case.disruptive]
            self.recorder.notes.append(
                f"{len(disruptive)} disruptive cases were left out, since the target is not on this machine "
                "(--allow-disruptive HOST plays them)"
            )

    def arguments(self) -> list[str]:
        """Return how the user named the target."""
        return self.recorder.arguments

    def described(self) -> dict[str, Any]:
        """Return the target as the user named it."""
        return stored_target(self.recorder.given)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand a worker what this process found."""
        changed = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(self.options).items()
            if value is not None
        }
        node.workerinput["wtconform"] = {
            "options": changed,
            "arguments": self.arguments(),
            "described": self.described(),
            "capabilities": capabilities_json(self.target.capabilities),
            "selections": [(item.case.identifier, item.draft.value) for item in self.selections],
            "spool": str(self.spool),
        }

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record each case once, as soon as it is there."""
        if report.when == "setup":
            for name, value in report.user_properties:
                if name == PROPERTY:
                    self.recorder.add(*read_spool(Path(str(value))))
                    if self.process is not None:
                        self.process.sample()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Write all reports, whatever ended the run, and set the exit status."""
        try:
            return (yield)
        finally:
            interrupted = session.exitstatus == pytest.ExitCode.INTERRUPTED
            code = self._finish(interrupted)
            if session.exitstatus in (
                pytest.ExitCode.OK,
                pytest.ExitCode.TESTS_FAILED,
                pytest.ExitCode.NO_TESTS_COLLECTED,
            ):
                session.exitstatus = code

    def _finish(self, interrupted: bool) -> int:
        meta: dict[str, Any] = {}
        self.recorder.notes += self.presence.notes()
        if self.process is not None:
            self.process.sample()
            meta["process"] = self.process.as_json()
            self.recorder.notes += self.process.notes()
        return self.recorder.finish(interrupted=interrupted, **meta)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say where the reports are."""
        for line in self.recorder.closing_lines():
            terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        """Stop the embedded server."""
        self.stack.close()
