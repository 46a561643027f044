"""The one table of symptoms: complete, used, printed where it is promised, and the only source of remedies."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from device.domain.camera_fault import CameraFault
from device.domain.conditions import ConditionName
from device.domain.symptoms import page
from device.domain.symptoms.condition_rows import CONDITIONS
from device.domain.symptoms.names import Header, Health, OnBoard, Program, Protection, Site
from device.domain.symptoms.table import SECTIONS, advice, remedy, row_of
from device.supervisor.conditions.evaluation import evaluate, failing
from device.supervisor.conditions.snapshot import Snapshot
from device.worker import lockdown

ROOT = Path(__file__).resolve().parents[3]
ROOM = ROOT / "device" / "domain" / "symptoms"
NAMED = (Health, Program, Site, OnBoard, Header)
ROWS = [(name, row) for rows in SECTIONS.values() for name, row in rows]


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the program outside the table, by path."""
    files = [file for part in ("device", "tools") for file in (ROOT / part).rglob("*.py") if ROOM not in file.parents]
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                yield f"{path}:{node.lineno}", node


def holds_text(node: ast.AST) -> bool:
    return any(isinstance(one, ast.Constant | ast.JoinedStr) and one is not None for one in ast.walk(node))


def test_every_name_has_one_row_whose_cells_are_filled_and_no_name_is_used_twice() -> None:
    kinds = (ConditionName, CameraFault, *NAMED, Protection)
    assert [name for name, _ in ROWS if type(name) not in kinds] == []
    assert Counter(name.value for kind in kinds for name in kind) == Counter(name.value for name, _ in ROWS)
    assert max(Counter(name.value for name, _ in ROWS).values()) == 1
    for name, row in ROWS:
        assert row_of(name) == row
        assert row.symptom
        assert row.cause
        assert row.remedy
        assert "|" not in f"{row.symptom}{row.cause}{row.remedy}", "it is a cell of a table"


def test_no_two_rows_state_the_same_symptom() -> None:
    twice = [text for text, count in Counter(row.symptom for _, row in ROWS).items() if count > 1]
    assert twice == []


def test_every_finding_takes_its_remedy_from_the_table() -> None:
    """A literal, or a constant of the module, would be a second home of its wording; mypy refuses it as well."""
    found = list(calls("Finding"))
    assert len(found) > 40
    for place, call in found:
        given = call.args[3:] + [one.value for one in call.keywords if one.arg == "remedy"]
        for one in given:
            made = isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == "remedy"
            assert made or not holds_text(one), f"{place}: {ast.unparse(one)}"
            assert not (isinstance(one, ast.Name) and one.id.isupper()), f"{place}: {one.id}"
    assert list(calls("Remedy")) == [], "remedies are made by `remedy` alone"


def test_every_row_of_its_own_is_used_by_the_program() -> None:
    used = {
        (node.value.id, node.attr)
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    unused = [name for kind in NAMED for name in kind if (kind.__name__, name.name) not in used]
    assert unused == []


def test_every_remedy_gets_the_values_that_it_has_places_for() -> None:
    kinds = {kind.__name__: kind for kind in (ConditionName, CameraFault, *NAMED)}
    looked_at = 0
    for place, call in calls("remedy"):
        named = call.args[0]
        if isinstance(named, ast.Attribute) and isinstance(named.value, ast.Name) and named.value.id in kinds:
            row = row_of(kinds[named.value.id][named.attr])
            assert {one.arg for one in call.keywords} == row.places, place
            looked_at += 1
    assert looked_at > 40


def test_a_value_too_many_or_too_few_is_refused() -> None:
    assert remedy(Site.DEVICE_KEY_OPEN, file="/x/key") == "chmod 600 /x/key"
    assert remedy(Site.DEVICE_KEY_OPEN, file="/x/key").symptom == Site.DEVICE_KEY_OPEN.value
    for values in ({}, {"file": 1, "line": 2}):
        with pytest.raises(ValueError, match="places for"):
            remedy(Site.DEVICE_KEY_OPEN, **values)


def test_no_remedy_is_written_a_second_time_in_the_program() -> None:
    """Remedies of one clause are short commands that texts may name as well."""
    written = {
        node.value: path
        for path, tree in trees().items()
        if path != "device/domain/camera_fault.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    copies = {
        name.value: path
        for name, row in ROWS
        for text, path in written.items()
        if len(row.remedy) >= 30 and "{" not in row.remedy and row.remedy in text
    }
    assert copies == {}


def test_what_a_worker_asks_for_is_in_the_table() -> None:
    asked = {
        node.slice.value
        for node in ast.walk(ast.parse(Path(lockdown.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)
    }
    assert {str(name) for name in asked} < {one.key for one in Protection}


def test_a_failing_condition_says_its_rows_symptom_and_remedy() -> None:
    wrong = failing(evaluate(Snapshot(stop="the STOP button is pressed")))
    assert len(wrong) >= 5
    for one in wrong:
        row = CONDITIONS[one.condition.name]
        assert one.text.startswith(row.symptom)
        assert one.text.endswith(f"; {row.remedy}")


def test_advice_is_symptom_finding_and_remedy() -> None:
    row = row_of(Health.SUPPLY)
    assert advice(Health.SUPPLY, "under-voltage") == f"{row.symptom} (under-voltage); {row.remedy}"
    assert advice(Health.SUPPLY) == f"{row.symptom}; {row.remedy}"


def test_the_page_has_the_table_as_it_is() -> None:
    printed = page.PAGE.read_text(encoding="utf-8")
    assert page.with_section(printed) == printed, "python -m device.domain.symptoms.page"
    for name, row in ROWS:
        assert f"| {name.value} | {row.symptom} | {row.cause} | {row.printed} |" in printed
    assert "chmod 600 FILE" in printed
