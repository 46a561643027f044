"""Calibration tables: the ranges that int8 files are made with. Data only; no face is in them.

A table is made from real faces by `lfr calibrate int8` and is shipped as JSON in `engines/graph/tables`; a custom
model has its table beside its card. It belongs to one file of weights and one recipe: another preparation needs another
table.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engines.errors import BadTable, PrecisionRefused

FORMAT = 1
PACKAGED = Path(__file__).parent / "tables"
COST_LIMIT_POINTS = 0.5
"""Most that int8 may cost in TPIR at FPIR 0.1 %, percentage points; beyond it fp16 is to be used."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What int8 costs against fp32, measured: `points` of TPIR at one FPIR, `low` and `high` its 95 % interval.

    listed, mated, unmated  size of the list; ordered pairs of photos of one person and of two
    """

    fpir: float
    tpir_fp32: float
    tpir_int8: float
    points: float
    low: float
    high: float
    listed: int
    mated: int
    unmated: int

    @property
    def allowed(self) -> bool:
        """Whether int8 may be used for this role."""
        return self.points <= COST_LIMIT_POINTS

    @property
    def words(self) -> str:
        """The cost for a person."""
        return (
            f"costs {self.points:.2f} points of TPIR at FPIR {self.fpir:.1%} (95 %: {self.low:.2f} to {self.high:.2f})"
        )


@dataclass(frozen=True, slots=True)
class Table:
    """One model's calibration.

    factors     what each channel of a tensor is divided by first, by tensor name (engines.graph.equalise)
    ranges      largest magnitude that int8 represents, by tensor name, after that
    excluded    layers, by output name, that stay float32: the most sensitive ones by measurement
    method      how the ranges were chosen, such as "percentile 99.99" or "entropy"
    provenance  data, number of pictures and people, date, hash of the pictures, software
    cost        None until it was measured
    """

    card: str
    source_sha256: str
    recipe: str
    method: str
    factors: dict[str, tuple[float, ...]]
    ranges: dict[str, float]
    excluded: tuple[str, ...]
    provenance: dict[str, Any]
    cost: Cost | None = None

    @property
    def digest(self) -> str:
        """Hash of everything that changes an int8 file: neither provenance nor cost does."""
        numbers = [sorted(self.factors.items()), sorted(self.ranges.items())]
        content = [self.card, self.source_sha256, self.recipe, *numbers, sorted(self.excluded)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def as_json(self) -> str:
        """The file's text: a line for each tensor's factors, so that a change can be read."""
        plain = {"format": FORMAT, **asdict(self), "factors": None}
        rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in self.factors.items())
        factors = f"{{\n{rows}\n }}" if rows else "{}"
        return json.dumps(plain, indent=1).replace('"factors": null', f'"factors": {factors}') + "\n"


def read(path: Path) -> Table:
    """A table file. Raises BadTable with the problem."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("format") != FORMAT:
            raise BadTable(f"{path}: a calibration table of another format; run `lfr calibrate int8` again")
        cost = document.pop("cost")
        document["excluded"] = tuple(document["excluded"])
        document["factors"] = {str(name): tuple(map(float, row)) for name, row in document["factors"].items()}
        document["ranges"] = {str(name): float(most) for name, most in document["ranges"].items()}
        table = Table(**document, cost=None if cost is None else Cost(**cost))
    except OSError as fault:
        raise BadTable(f"{path}: cannot be read ({fault.strerror}); run `lfr calibrate int8`") from fault
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise BadTable(f"{path}: not a calibration table ({fault}); run `lfr calibrate int8`") from fault
    numbers = {**{name: (most,) for name, most in table.ranges.items()}, **table.factors}
    bad = [name for name, row in numbers.items() if not all(0 < value < float("inf") for value in row)]
    if bad:
        raise BadTable(f"{path}: numbers of {bad[0]} must be positive and finite; run `lfr calibrate int8` again")
    return table


def file_name(card: str) -> str:
    """File name of a card's table."""
    return f"{card}.int8.json"


def find(card: str, *folders: Path) -> Table | None:
    """The card's table: in the first of `folders` that has one, else the packaged one; None when there is none."""
    for folder in (*folders, PACKAGED):
        path = folder / file_name(card)
        if path.is_file():
            return read(path)
    return None


def require_allowed(card: str, recipe: str, *folders: Path) -> None:
    """Refuse an int8 file unless the cost of this very table was measured and is within the limit.

    recipe  of the prepared file, from its manifest entry: it ends with the table's digest
    Raises PrecisionRefused with the reason, BadTable.
    """
    table = find(card, *folders)
    if table is None:
        raise PrecisionRefused(card, "there is no calibration table, so its cost in accuracy is not known")
    if not recipe.endswith(f" {table.digest[:16]}"):
        raise PrecisionRefused(
            card, "its file was made with another table than the one here; run `lfr engines prepare --precision int8`"
        )
    cost = table.cost
    if cost is None:
        raise PrecisionRefused(card, "what it costs was not measured; run `lfr calibrate int8 DATASET`")
    if not cost.allowed:
        raise PrecisionRefused(card, f"it {cost.words}, the limit is {COST_LIMIT_POINTS}")
