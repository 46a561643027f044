"""One self-contained page of an evaluation: tables, pictures, limits as text. No script, no faces, no names."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from calibration.evidence.operating_point import LIMITS
from calibration.report.evaluation_tables import MARK, TOO_FEW, Table, tables

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2733}"
    "table{border-collapse:collapse;margin:.5rem 0}"
    "td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #d8dee5}"
    "th{font-weight:600}.mark{color:#8a4b00;font-style:italic}.note{color:#5b6b7b;font-size:.9rem}img{max-width:100%}"
)


def page(document: dict[str, Any], pictures: Mapping[str, Path]) -> str:
    """HTML text."""
    data, engine = document["data"], document["engine"]
    facts = (
        f"{data['people']:,} people, {data['photos']:,} photographs, {data['people_with_two_photos']:,} "
        f"people with two or more. {sum(data['rejected'].values())} photographs left out. "
        f"Engine: {engine['recogniser']} ({engine['recogniser_sha256'][:12]}…), "
        f"{engine['backend']}. {document['made_at']}."
    )
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Evaluation</title>",
        f"<style>{_STYLE}</style><h1>What the recognition is worth on this data</h1><p>{escape(facts)}</p>",
        *(_table(table) for table in tables(document)),
        *(_picture(name, path) for name, path in pictures.items()),
        "<h2>Limits</h2><ul>",
        *(f"<li>{escape(sentence)}</li>" for sentence in LIMITS),
        "</ul></html>",
    ]
    return "\n".join(parts) + "\n"


def _table(table: Table) -> str:
    head = _cells(table.head, "th")
    rows = "\n".join(f"<tr>{_cells(row, 'td')}</tr>" for row in table.rows)
    note = f"<p class=note>{escape(table.note)}</p>" if table.note else ""
    return f"<h2>{escape(table.title)}</h2>\n<table><tr>{head}</tr>\n{rows}</table>{note}"


def _cells(cells: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}{' class=mark' if cell in (MARK, TOO_FEW) else ''}>{escape(cell)}</{tag}>" for cell in cells)


def _picture(name: str, path: Path) -> str:
    encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<p><img alt="{escape(name.replace("_", " "))}" src="data:image/png;base64,{encoded}"></p>'
