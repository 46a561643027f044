"""`lfr evaluate DATASET`: verification and open-set identification on a data set, with intervals over people."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration.cli.operating_point_command import add_models, chosen_models, how_to_read
from engines.cli.compare_command import seed
from engines.error_text import error_text

if TYPE_CHECKING:
    from calibration.data.faces import Faces
    from calibration.data.reading import How
    from calibration.evidence.operating_point import Models

EX_OK = 0


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser("evaluate", help="what the recognition is worth on a data set in LFW's layout")
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="one folder a person, photos in it")
    parser.add_argument("--pairs", type=Path, metavar="FILE", help="LFW's pairs file: accuracy over its folds")
    parser.add_argument("--groups", type=Path, metavar="CSV", help="person,group: rates by group; none is inferred")
    parser.add_argument("--min-cell", type=_count, default=30, help="people below which a rate is withheld (30)")
    parser.add_argument("--lists", type=_sizes, help="list sizes, such as 100,400,1822 (2 to 20,000)")
    parser.add_argument("--heights", action="store_true", help="photos reduced to 32, 48, 64, 100 px as well")
    parser.add_argument("--backend", help="openvino | onnxruntime | tensorrt | NAME:PRECISION | auto (default: auto)")
    add_models(parser)
    parser.add_argument("--seed", type=seed, default=0, help="of every random draw (0)")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="report.html and pictures (needs matplotlib)")
    parser.add_argument("--no-cache", action="store_true", help="keep no templates, not even encrypted for a day")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Read, measure, print; progress and remarks go to stderr."""
    from calibration.data.faces import scan
    from calibration.data.pairs import read_pairs, verified
    from calibration.data.reading import read_sets
    from calibration.report.evaluation import SIZES, evaluate
    from calibration.report.evaluation_tables import as_text, tables
    from device.edges.sandbox.hardening import forbid_dumps
    from device.enrolment.model_sessions import resolved

    models = chosen_models(args)
    forbid_dumps()  # templates of people are in this process
    groups = None if args.groups is None else read_groups(args.groups)
    pairs = None if args.pairs is None else read_pairs(args.pairs, {photo.name for photo in scan(args.dataset)[0]})
    if args.report is not None:
        _require_report(args.report)
    with ExitStack() as kept:
        how = how_to_read(args, resolved(args.backend), kept)
        faces = read_sets([args.dataset], how)
        _remark(faces)
        if groups is not None:
            _remark_groups(groups, faces)
        document = {"made_at": f"{datetime.now(timezone.utc):%Y-%m-%d}", "engine": _engine(how.backend, models)}
        document |= evaluate(
            faces,
            reduced=_reduced(args.dataset, faces, how) if args.heights else None,
            groups=groups,
            min_cell=args.min_cell,
            sizes=args.lists or SIZES,
            seed=args.seed,
        )
    if pairs is not None:
        document["pairs"] = verified(pairs, faces)
    if args.report is not None:
        _report(document, args.report)
    print(json.dumps(document) if args.json else "\n\n".join(as_text(table) for table in tables(document)))
    return EX_OK


def read_groups(path: Path) -> dict[str, str]:
    """Group by person from a CSV with the columns person and group. Raises EvidenceUnusable."""
    from device.errors import EvidenceUnusable

    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError) as fault:
        raise EvidenceUnusable(f"{path}: cannot be read as CSV: {error_text(fault)}") from fault
    except csv.Error as fault:
        raise EvidenceUnusable(f"{path}: a CSV with the columns person and group is needed, not this") from fault
    if not rows or not {"person", "group"} <= set(rows[0]):
        raise EvidenceUnusable(f"{path}: a CSV with the columns person and group is needed, and at least one row")
    groups: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        person, group = (row["person"] or "").strip(), (row["group"] or "").strip()
        if not person or not group:
            raise EvidenceUnusable(f"{path}, line {number}: a person and a group are needed")
        if groups.setdefault(person, group) != group:
            raise EvidenceUnusable(f"{path}, line {number}: a person in two groups; name the group of each once")
    return groups


def _reduced(dataset: Path, faces: Faces, how: How) -> Any:
    """A function from height to templates of the same photos, made small, of people who have two."""
    import numpy as np

    from calibration.data.faces import scan
    from calibration.data.packed import unpacked
    from calibration.data.reading import outcomes_of

    wanted = {faces.files[row] for rows in faces.rows() if len(rows) >= 2 for row in rows}
    photos = [photo for photo in scan(dataset)[0] if photo.name in wanted]

    def at(height: int) -> Any:
        found = outcomes_of(photos, how, height)
        empty = np.zeros(faces.templates.shape[1], np.float32)
        made = [found[name].template if name in found else None for name in faces.files]
        return np.stack([empty if packed is None else unpacked(packed).look for packed in made])

    return at


def _engine(backend: str, models: Models) -> dict[str, str]:
    return {
        "backend": backend,
        "recogniser": models.recogniser.name,
        "recogniser_sha256": models.recogniser.source_sha256,
        "detector": models.detector.name,
        "detector_sha256": models.detector.source_sha256,
    }


def _remark(faces: Faces) -> None:
    for note in faces.notes:
        print(f"note: {note}", file=sys.stderr)
    for name, reason in faces.rejected:
        print(f"left out: {name}: {reason}", file=sys.stderr)


def _remark_groups(groups: dict[str, str], faces: Faces) -> None:
    strangers = len(set(groups) - set(faces.people))
    if strangers:
        print(f"note: {strangers} of {len(groups)} people of the groups file are not in the data set", file=sys.stderr)


def _require_report(folder: Path) -> None:
    """Check that the report can be drawn and written, before anything is measured. Raises Unavailable."""
    from calibration.report.output_paths import require_place
    from calibration.report.plots import require_matplotlib

    require_matplotlib()
    require_place(folder, "--report")


def _report(document: dict[str, Any], folder: Path) -> None:
    from calibration.report.page import page
    from calibration.report.plots import draw

    pictures = draw(document, folder)
    (folder / "report.html").write_text(page(document, pictures), encoding="utf-8")
    print(f"report: {folder / 'report.html'}", file=sys.stderr)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text}: at least 2 people")
    return int(text)


def _sizes(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    values = sorted({int(part) for part in parts if part.isascii() and part.isdigit()})
    if not all(part.isascii() and part.isdigit() for part in parts) or values[0] < 2 or values[-1] > 20_000:
        raise argparse.ArgumentTypeError(f"{text}: list sizes from 2 to 20000, separated by commas")
    return tuple(values)
