"""The one table of symptoms: complete, and printed where it is promised."""

from __future__ import annotations

from device.domain.camera_fault import FAULTS, CameraFault
from device.domain.conditions import ConditionName
from device.supervisor.conditions import symptoms
from device.supervisor.conditions.evaluation import evaluate, failing
from device.supervisor.conditions.snapshot import Snapshot
from device.supervisor.conditions.symptoms import CAMERA_CAUSES, CONDITIONS, HEALTH, Health, Row


def test_every_condition_every_fault_and_every_symptom_has_its_row() -> None:
    assert set(CONDITIONS) == set(ConditionName)
    assert set(HEALTH) == set(Health)
    assert set(CAMERA_CAUSES) == set(CameraFault)
    for row in (*CONDITIONS.values(), *HEALTH.values()):
        assert row.symptom
        assert row.cause
        assert row.remedy
        assert "|" not in f"{row.symptom}{row.cause}{row.remedy}", "it is a cell of a table"


def test_a_failing_condition_says_its_rows_symptom_and_remedy() -> None:
    wrong = failing(evaluate(Snapshot(stop="the STOP button is pressed")))
    assert len(wrong) >= 5
    for one in wrong:
        row = CONDITIONS[one.condition.name]
        assert one.text.startswith(row.symptom)
        assert one.text.endswith(f"; {row.remedy}")


def test_the_page_has_the_table_as_it_is() -> None:
    page = symptoms.PAGE.read_text(encoding="utf-8")
    assert symptoms.with_section(page) == page, "python -m device.supervisor.conditions.symptoms"
    assert symptoms.section() in page
    for row in (*CONDITIONS.values(), *HEALTH.values(), *map(as_row, CameraFault)):
        assert f"| {row.symptom} | {row.cause} | {row.remedy} |" in page


def as_row(fault: CameraFault) -> Row:
    return Row(FAULTS[fault].text, CAMERA_CAUSES[fault], FAULTS[fault].remedy)
