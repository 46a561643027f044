"""An evaluation as tables: one shape for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MARK = "extrapolated"
TOO_FEW = "too few people for this rate: do not quote it"


@dataclass(frozen=True, slots=True)
class Table:
    """Cells are ready to print; `note` stands below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables(document: dict[str, Any]) -> list[Table]:
    """All tables of an evaluation, in reading order."""
    made = [_verification(document["verification"]), _identification(document["identification"])]
    if "pairs" in document:
        made.append(_pairs(document["pairs"]))
    made.append(_photos(document["photos"]))
    if "heights" in document:
        made.append(_heights(document["heights"]))
    if "groups" in document:
        made.append(_groups(document["groups"]))
    return made


def as_text(table: Table) -> str:
    """For a terminal."""
    widths = [max(len(row[k]) for row in (table.head, *table.rows)) for k in range(len(table.head))]
    lines = [table.title, "  " + "  ".join(cell.rjust(w) for cell, w in zip(table.head, widths, strict=True))]
    lines += ["  " + "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in table.rows]
    return "\n".join((*lines, *([f"  {table.note}"] if table.note else [])))


def _verification(found: dict[str, Any]) -> Table:
    rows = tuple(
        (f"{r['false_match_rate']:g}", f"{r['threshold']:.3f}", _percent(r), "" if r["told"] else TOO_FEW)
        for r in found["rows"]
    )
    return Table(
        "Verification: one photo against one photo",
        ("false match rate", "threshold", "accepted (95 %)", ""),
        rows,
        f"{found['people']} people with two photos or more",
    )


def _identification(found: Sequence[dict[str, Any]]) -> Table:
    rows = []
    for r in found:
        if "withheld" in r:
            rows.append((f"{r['subjects']:,}", "-", "-", "not told", MARK))
            continue
        threshold = f"{r['threshold']:.3f} ({r['threshold_low']:.3f} to {r['threshold_high']:.3f})"
        mark = MARK if r["extrapolated"] else "" if r["told"] else TOO_FEW
        rows.append((f"{r['subjects']:,}", f"{r['limit'] * 1000:g}", threshold, _percent(r["found"]), mark))
    return Table(
        "Identification: one photo listed, one look",
        ("people listed", "false alerts in 1,000", "threshold (95 %)", "found (95 %)", ""),
        tuple(rows),
        "Intervals draw people. Rows share their people: they are not independent of one another."
        + next((f" Not told: {r['withheld']}." for r in found if "withheld" in r), ""),
    )


def _pairs(found: dict[str, Any]) -> Table:
    row = (f"{found['folds']}", f"{found['pairs']}", f"{found['missing']}", f"{found['accuracy']:.2%}")
    return Table("Pairs file", ("folds", "pairs", "not in the data", "accuracy"), ((*row[:3], _plus(found, row[3])),))


def _plus(found: dict[str, Any], accuracy: str) -> str:
    return f"{accuracy} ± {found['standard_error']:.2%}"


def _photos(found: dict[str, Any]) -> Table:
    rows = tuple(
        (
            f"{r['listed_photos']}",
            f"{r['looks']}",
            f"{r['limit'] * 1000:g}",
            f"{r['threshold']:.3f}",
            _percent(r["found"]),
        )
        for r in found["rows"]
    )
    people = found.get("withheld") or f"the same {found.get('people')} people are looked for in every row"
    listed = f" ({found['rows'][0]['subjects']} people listed)" if found["rows"] else ""
    return Table(
        f"Photos listed, looks fused{listed}",
        ("photos", "looks", "false alerts in 1,000", "threshold", "found (95 %)"),
        rows,
        people,
    )


def _heights(found: dict[str, Any]) -> Table:
    rows = tuple(
        (
            "as it is" if r["face_height_px"] is None else f"{r['face_height_px']} px",
            _cell(r["false_alerts"], thousand=True),
            _cell(r["found"]),
        )
        for r in found["rows"]
    )
    return Table(
        f"Face height ({found['subjects']} listed, threshold {found['threshold']:.3f})",
        ("face height", "false alerts in 1,000 (95 %)", "found (95 %)"),
        rows,
        "Photos reduced to that height, not video; the device does not search below 32 px.",
    )


def _groups(found: dict[str, Any]) -> Table:
    rows = tuple((r["group"], _cell(r["false_alerts"], thousand=True), _cell(r["found"])) for r in found["rows"])
    return Table(
        f"Groups as the file names them ({found['subjects']} listed, threshold {found['threshold']:.3f} for all)",
        ("group", "false alerts in 1,000 (95 %)", "found (95 %)"),
        rows,
        f"{found['people_without_group']} people are in no group; no group was inferred. "
        f"Fewer than {found['min_cell']} people are withheld.",
    )


def _percent(share: dict[str, float]) -> str:
    return f"{share['share']:.1%} ({share['low']:.1%} to {share['high']:.1%})"


def _cell(cell: dict[str, Any], *, thousand: bool = False) -> str:
    if "withheld" in cell:
        return f"withheld: {cell['withheld']}"
    if thousand:
        return f"{cell['share'] * 1000:.2f} ({cell['low'] * 1000:.2f} to {cell['high'] * 1000:.2f}), n={cell['people']}"
    return f"{_percent(cell)}, n={cell['people']}"
