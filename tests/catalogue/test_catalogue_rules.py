"""Every rule of the catalogue is enforced, and the complaint names file and row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.requirements import CatalogueError, Status, coverage, read_catalogue

ROW: dict[str, object] = {
    "id": "WT-1-01",
    "section": "1",
    "level": "MUST",
    "role": "both",
    "category": "streams-uni",
    "text": "Something holds.",
    "test": "T does this -> IUT does that.",
    "testability": "wire",
    "drafts": ["16", "07"],
    "drafts_verified": True,
    "status": "planned",
}

Write = Callable[..., Path]


@dataclass(frozen=True)
class FakeCase:
    """What coverage needs of a case."""

    identifier: str
    requirements: tuple[str, ...]


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a catalogue with one row (changed as told), and more rows as text."""

    def writer(more: str = "", **changes: object) -> Path:
        row = {key: value for key, value in {**ROW, **changes}.items() if value is not None}
        lines = ["[document]", 'name = "A"', 'title = "B"', "[[requirement]]"]
        lines += [f"{key} = {toml(value)}" for key, value in row.items()]
        (tmp_path / "a.toml").write_text("\n".join(lines) + "\n" + more, encoding="utf-8")
        (tmp_path / "ambiguities.toml").write_text('[[ambiguity]]\nid = "AMB-01"\ntext = "Two readings."\n')
        return tmp_path

    return writer


def test_a_good_row_is_read(write: Write) -> None:
    (row,) = read_catalogue(write(ambiguities=["AMB-01"], not_in=["15"], limit="non_strict")).requirements
    assert row.source == "A §1"
    assert row.drafts == ("16", "07")
    assert row.status is Status.PLANNED
    assert row.binds("server")
    assert row.binds("client")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"id": "wt-1"}, "id 'wt-1' is malformed"),
        ({"section": "§1"}, "section '§1' is malformed"),
        ({"level": "SHALL"}, "level 'SHALL' is not one of MUST, SHOULD, MAY, IMPLIED"),
        ({"role": "proxy"}, "role 'proxy' is not one of"),
        ({"testability": None}, "testability None is not one of"),
        ({"text": None}, "text is missing"),
        ({"text": ""}, "text is missing"),
        ({"test": 3}, "test is missing or not a text"),
        ({"drafts": None}, "drafts is missing"),
        ({"drafts": ["15"]}, "drafts has unknown members: 15"),
        ({"drafts": ["16", "16"]}, "drafts names something twice"),
        ({"drafts": []}, "a row that holds in none of the drafts is out_of_reach"),
        ({"drafts_verified": "yes"}, "drafts_verified is missing or not a boolean"),
        ({"not_in": ["13"]}, "not_in names 13, but drafts lacks 14"),
        ({"ambiguities": ["AMB-99"]}, "ambiguities has unknown members: AMB-99"),
        ({"limit": "mild"}, "limit 'mild' is not one of"),
        ({"status": None}, "status None is not one of"),
        ({"status": "covered"}, "status covered is computed"),
        ({"status": "out_of_reach"}, "reason belongs to out_of_reach"),
        ({"reason": "because"}, "reason belongs to out_of_reach"),
        ({"testability": "untestable"}, "an untestable row is out_of_reach"),
        ({"colour": "red"}, "unknown keys: colour"),
    ],
)
def test_a_bad_row_is_refused(write: Write, changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(CatalogueError) as refusal:
        read_catalogue(write(**changes))
    assert str(refusal.value).startswith("a.toml: ")
    assert str(changes.get("id", ROW["id"])) in str(refusal.value)
    assert complaint in str(refusal.value)


def test_an_id_is_used_once(write: Write) -> None:
    directory = write()
    text = (directory / "a.toml").read_text()
    (directory / "b.toml").write_text(text)
    with pytest.raises(CatalogueError, match=r"b\.toml: WT-1-01: the ID is already used in a\.toml"):
        read_catalogue(directory)


def test_a_row_without_id_is_named_by_its_position(write: Write) -> None:
    with pytest.raises(CatalogueError, match=r"a\.toml: row 2: id is missing"):
        read_catalogue(write("[[requirement]]\n"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[document]\n",
        "requirement = 3\n[document]\n",
        "[document",
        "extra = 1\nrequirement = []\n[document]\n",
    ],
)
def test_a_bad_file_is_refused(write: Write, text: str) -> None:
    directory = write()
    (directory / "a.toml").write_text(text)
    with pytest.raises(CatalogueError, match=r"a\.toml: "):
        read_catalogue(directory)


def test_a_catalogue_without_ambiguities_is_refused(write: Write) -> None:
    directory = write()
    (directory / "ambiguities.toml").unlink()
    with pytest.raises(CatalogueError, match=r"ambiguities\.toml: "):
        read_catalogue(directory)


@given(
    value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4),
    key=st.sampled_from(sorted(ROW)),
)
def test_whatever_a_key_holds_the_reader_answers(value: object, key: str) -> None:
    from conformance.requirements.model import Document, Requirement, Row, read_requirement

    try:
        result = read_requirement(
            Row({**ROW, key: value}, "a.toml", 1), Document("A", "B", "a.toml"), frozenset()
        )
    except CatalogueError as refusal:
        assert str(refusal).startswith("a.toml: ")
    else:
        assert isinstance(result, Requirement)


def test_coverage_comes_from_the_cases(write: Write) -> None:
    rows = read_catalogue(write()).requirements
    (uncovered,) = coverage([], rows)
    assert (uncovered.status, uncovered.cases) == (Status.PLANNED, ())
    (covered,) = coverage([FakeCase("b.c", ("WT-1-01",)), FakeCase("a.c", ("WT-1-01",))], rows)
    assert (covered.status, covered.cases) == (Status.COVERED, ("a.c", "b.c"))


@pytest.mark.parametrize(
    ("requirements", "complaint"), [((), "names no requirement"), (("WT-9-99",), "is not in the catalogue")]
)
def test_a_case_names_known_requirements(write: Write, requirements: tuple[str, ...], complaint: str) -> None:
    rows = read_catalogue(write()).requirements
    with pytest.raises(CatalogueError, match=rf"case a\.b: .*{complaint}"):
        coverage([FakeCase("a.b", requirements)], rows)


def test_no_case_covers_what_is_out_of_reach(write: Write) -> None:
    rows = read_catalogue(write(status="out_of_reach", reason="Nothing shows it.")).requirements
    with pytest.raises(CatalogueError, match="declared out of reach"):
        coverage([FakeCase("a.b", ("WT-1-01",))], rows)
