"""The one table of symptoms: conditions, camera faults, `lfr doctor`, `lfr config check` and SYMPTOMS.md print from it.

1. Every remedy that a check prints is made here, by `remedy`: same symptom, same remedy, everywhere.
2. A remedy may have places for values (`{file}`); `remedy` wants exactly those.

How do I add one? A name in names.py, a row beside its like, and `python -m device.domain.symptoms.page`, which
writes it into SYMPTOMS.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from device.domain.camera_fault import FAULTS, CameraFault
from device.domain.conditions import ConditionName
from device.domain.symptoms.board_rows import BOARD, HEADER
from device.domain.symptoms.condition_rows import DEPLOYMENT, MACHINE, OUTSIDE
from device.domain.symptoms.machine_rows import HEALTH, PROTECTIONS
from device.domain.symptoms.names import Header, Health, OnBoard, Program, Protection, Site
from device.domain.symptoms.program_rows import PROGRAM
from device.domain.symptoms.row import Remedy, Row
from device.domain.symptoms.site_rows import SITE

Symptom = ConditionName | CameraFault | Health | Program | Site | OnBoard | Header | Protection
Rows = tuple[tuple[Symptom, Row], ...]
CAMERAS: Mapping[CameraFault, Row] = {
    fault: Row(FAULTS[fault].text, FAULTS[fault].cause, FAULTS[fault].remedy) for fault in CameraFault
}
SECTIONS: Mapping[str, Rows] = {
    "Deployment": tuple(DEPLOYMENT.items()),
    "Sign, hub, STOP": tuple(OUTSIDE.items()),
    "Machine": tuple(MACHINE.items()),
    "A camera": tuple(CAMERAS.items()),
    "The machine recognises, and something is not as it should be": tuple(HEALTH.items()),
    "Configuration, certificates, keys, hub": tuple(SITE.items()),
    "The program": tuple(PROGRAM.items()),
    "The board": tuple(BOARD.items()),
    "The header's lines": tuple(HEADER.items()),
    "What a vision worker asks of the kernel": tuple(PROTECTIONS.items()),
}
"""Title on the page to its rows."""
_ROWS: Mapping[Symptom, Row] = {name: row for rows in SECTIONS.values() for name, row in rows}


def row_of(symptom: Symptom) -> Row:
    """The row of a symptom."""
    return _ROWS[symptom]


def remedy(symptom: Symptom, **values: object) -> Remedy:
    """What to do about a symptom. values: one for each place of its remedy; ValueError for any other."""
    return Remedy(row_of(symptom).filled(values), symptom.value)


def advice(symptom: Symptom, found: str = "") -> str:
    """Symptom, what was found in brackets, and remedy, as an operator reads them."""
    return f"{row_of(symptom).symptom}{f' ({found})' if found else ''}; {remedy(symptom)}"
