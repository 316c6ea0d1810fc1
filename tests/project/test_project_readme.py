"""What the pages promise exists: targets, commands, options, files."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_SCREEN = 30
PAGES = ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")


@cache
def help_of(*command: str) -> str:
    """Return the help of ``wtconform`` or of one of its subcommands."""
    program = [sys.executable, "-c", "from conformance.cli import main; main()", *command, "--help"]
    return subprocess.run(program, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def code(text: str) -> list[str]:
    """Return the lines of all code blocks and all inline code of a page."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()] + inline


def commands() -> list[list[str]]:
    """Return subcommand and options of each ``wtconform`` line of the README."""
    lines = [
        line.partition("wtconform ")[2].split()
        for line in code(README)
        if re.search(r"(^|/)wtconform ", line)
    ]
    return [[words[0], *(word for word in words if word.startswith("--"))] for words in lines if words]


def test_the_first_screen_says_what_to_type() -> None:
    screen = "\n".join(README.splitlines()[:FIRST_SCREEN])
    for command in ("make certify", "make test", "wtconform run https://HOST:PORT/"):
        assert command in screen


def test_commands_of_the_readme_exist() -> None:
    assert len(commands()) >= 10
    for command, *options in commands():
        text = help_of(command)
        assert not [option for option in options if option not in text], command


def test_targets_of_the_pages_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for line in code((ROOT / page).read_text(encoding="utf-8")):
            match = re.match(r"make ([a-z]+)", line)
            assert match is None or re.search(rf"^{match[1]}:", makefile, re.MULTILINE), f"{page}: {line}"


def test_files_of_the_pages_exist() -> None:
    for page in PAGES:
        for line in code((ROOT / page).read_text(encoding="utf-8")):
            if re.fullmatch(
                r"(conformance|docs|reports|reference_impl|scenarios|fuzz|tests|requirements)/[\w./-]+", line
            ):
                generated = line.startswith("reports/out")
                assert generated or (ROOT / line).exists(), f"{page}: {line}"


def test_verdicts_of_the_readme_are_those_of_the_reports() -> None:
    from reports.verdict import Verdict

    table = re.findall(r"^\| ([a-z-]+) \|", README, re.MULTILINE)
    assert [verdict.label for verdict in Verdict] == [
        name for name in table if name not in ("verdict", "file")
    ]


def test_exit_codes_of_the_readme_are_those_of_the_reports() -> None:
    from reports import verdict

    codes = (
        verdict.EXIT_OK,
        verdict.EXIT_FAIL,
        verdict.EXIT_USAGE,
        verdict.EXIT_INCONCLUSIVE,
        verdict.EXIT_INTERRUPTED,
    )
    assert [int(code) for code in re.findall(r"\*\*(\d+)\*\*", README)] == list(codes)
