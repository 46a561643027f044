"""The content of `lfr engines list`: every card in full, each of its precisions with state, every runtime and plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engines import manifest
from engines.cards.catalogue import readable_cards
from engines.cards.model_card import FILE_PRECISIONS, FileSource, ModelCard, PackageSource, PublishedSource
from engines.errors import BadTable, ModelMismatch, ModelMissing
from engines.graph import calibration_table as tables
from engines.places import models_dir, plans_dir
from engines.select import BACKENDS, default_backend, installed, precisions
from engines.tensorrt.plans import plans
from engines.verify.agreement import LEAST_COSINE


def describe(models: Path | None = None) -> dict[str, Any]:
    """Plain values: `models`, `damaged` cards as text, `backends` and `plans`."""
    folder = models if models is not None else models_dir()
    found, damaged = readable_cards(folder)
    return {
        "models": [_model(one, folder) for one in found],
        "damaged": [f"{fault}\n  {fault.remedy}" for fault in damaged],
        "backends": [_backend(name) for name in BACKENDS],
        "plans": _plans(plans_dir()),
    }


def _model(one: ModelCard, models: Path) -> dict[str, Any]:
    return {
        "name": one.name,
        "role": one.role,
        "state": state(one, models, "fp32"),
        "licence": one.licence,
        "origin": one.origin,
        "training_data": one.training_data,
        "package": _carrier(one.source),
        "optional": one.optional,
        "sha256": one.source_sha256,
        "input": {
            "name": one.input_name,
            "shape": f"(N, {_side(one, 0)}, {_side(one, 1)}, 3) uint8 RGB",
            "normalisation": one.normalisation,
        },
        "outputs": dict(one.outputs),
        "template_dim": one.template_dim,
        "quality": (
            {"poor_length": one.lengths.poor, "good_length": one.lengths.good, "source": one.lengths.source}
            if one.lengths is not None
            else None
        ),
        "precisions": [_precision(one, models, precision) for precision in FILE_PRECISIONS],
        "int8": _calibration(one, models),
    }


def _carrier(source: PackageSource | FileSource | PublishedSource) -> str:
    """The origin of the weights: a package, a publisher's address, or the file that was added."""
    if isinstance(source, PackageSource):
        return f"{source.package}=={source.version}"
    return source.address if isinstance(source, PublishedSource) else source.path.name


def _side(one: ModelCard, axis: int) -> str:
    return str(one.input_size[axis]) if one.input_size else f"{'HW'[axis]} (a multiple of {one.multiple_of})"


def _precision(one: ModelCard, models: Path, precision: str) -> dict[str, Any]:
    entry = manifest.read(models).get(one.name, {}).get(precision)
    limit = one.tolerances.get(precision)
    return {
        "precision": precision,
        "state": state(one, models, precision),
        "sha256": entry.sha256 if entry is not None else None,
        "recipe": entry.recipe if entry is not None else None,
        "tolerance": None if limit is None else {"max_abs": limit.max_abs, "min_cosine": limit.min_cosine},
    }


def state(one: ModelCard, models: Path, precision: str) -> str:
    """prepared, missing, or changed since it was prepared."""
    try:
        manifest.verified(one, models, precision)
    except ModelMissing:
        return "missing"
    except ModelMismatch:
        return "changed"
    return "prepared"


def _calibration(one: ModelCard, models: Path) -> dict[str, Any]:
    """The state of int8 for this model: its table, its cost, and whether it may be used."""
    try:
        table = tables.find(one.name, models)
    except BadTable as fault:
        return {"verdict": "unusable", "reason": str(fault)}
    if table is None:
        return {"verdict": "not calibrated", "reason": "run `lfr calibrate int8`"}
    found = {"method": table.method, "excluded": list(table.excluded), "provenance": table.provenance}
    if table.cost is None:
        return {"verdict": "refused", "reason": "its cost was not measured", **found}
    cost = {"points": table.cost.points, "low": table.cost.low, "high": table.cost.high, "fpir": table.cost.fpir}
    if table.cost.allowed:
        return {"verdict": "allowed", "reason": table.cost.words, "cost": cost, **found}
    words = f"{table.cost.words}, more than {tables.COST_LIMIT_POINTS}: use fp16"
    return {"verdict": "refused", "reason": words, "cost": cost, **found}


def _backend(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "installed": installed(name),
        "default": name == default_backend(),
        "precisions": list(precisions(name)),
    }


def _of_quality(row: dict[str, Any]) -> list[str]:
    if row["role"] != "recogniser":
        return []
    said = row["quality"]
    if said is None:
        return ["  quality        from geometry and detection alone (the length of a template is not calibrated)"]
    return [f"  quality        length {said['poor_length']:g} noise, {said['good_length']:g} good; {said['source']}"]


def _within(role: str, limit: dict[str, Any] | None) -> str:
    """Tolerances of a precision against fp32: on blank pictures and noise, and the deciding one, on synthetic faces."""
    if limit is None:
        return ""
    cosine = "" if limit["min_cosine"] is None else f" and a cosine of {limit['min_cosine']:g}"
    loose = role == "recogniser" and (limit["min_cosine"] or 0) < LEAST_COSINE
    faces = f"; drawn faces' templates a cosine of {LEAST_COSINE:g}" if loose else ""
    return f"  to fp32: on noise and blanks within {limit['max_abs']:g}{cosine}{faces}"


def _plans(folder: Path) -> list[dict[str, Any]]:
    """TensorRT plans whose files are whole; `lfr doctor` checks whether they fit this board."""
    return [
        {
            "model": one.key.card,
            "precision": one.key.precision,
            "size": [one.key.profile.height, one.key.profile.width],
            "frame": list(one.key.profile.frame) if one.key.profile.frame is not None else None,
            "batch": [one.key.profile.least, one.key.profile.best, one.key.profile.most],
            "gpu": one.key.gpu,
            "tensorrt": one.key.tensorrt,
            "device_bytes": one.device_bytes,
            "built_at": one.built_at,
            "max_abs": one.max_abs,
        }
        for one in plans(folder)
    ]


def _of_plan(row: dict[str, Any]) -> str:
    frame = f" of frames {row['frame'][0]}x{row['frame'][1]}" if row["frame"] else ""
    return (
        f"{row['model']:16} {'plan':11} {row['precision']} {row['size'][0]}x{row['size'][1]}{frame}, "
        f"batch {row['batch'][0]} to {row['batch'][2]}; {row['gpu']}, TensorRT {row['tensorrt']}, {row['built_at']}"
    )


def lines(told: dict[str, Any]) -> list[str]:
    """The listing for a person."""
    out = []
    for row in told["models"]:
        out += [
            f"{row['name']:16} {row['role']:11} {row['licence']}",
            f"  origin         {row['origin']}",
            f"  training data  {row['training_data']}",
            f"  weights        {row['package']}  sha256 {row['sha256']}",
            f"  input          {row['input']['name']} {row['input']['shape']}; {row['input']['normalisation']}",
            *(f"  output         {name}: {text}" for name, text in row["outputs"].items()),
            *_of_quality(row),
            f"  int8           {row['int8']['verdict']}: {row['int8']['reason']}",
        ]
        for each in row["precisions"]:
            digest = f"  sha256 {each['sha256'][:12]}…" if each["sha256"] else ""
            out.append(f"  {each['precision']:14} {each['state']:9}{digest}{_within(row['role'], each['tolerance'])}")
    for entry in told["backends"]:
        words = [word for word in ("installed", "default") if entry[word]] or ["not installed"]
        out.append(f"{entry['name']:16} {'runtime':11} {', '.join(words)}; {', '.join(entry['precisions'])}")
    return out + [_of_plan(row) for row in told["plans"]]
