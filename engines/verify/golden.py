"""Golden tensors: a model's reference outputs for synthetic pictures, computed once by onnx's reference evaluator.

1. The pictures are synthetic (engines.verify.synthetic_faces): no faces of people. Their hash is stored, the pictures
   are not.
2. A model's golden file belongs to its weights and its recipe, not to a runtime or a precision; the outputs of a runner
   must lie within the card's tolerance of the runner's precision.
3. The check runs on the very runners that will be used, before the first camera picture: `lfr run` does it at start,
   and the arm condition "engine agrees with reference" reads its result.
4. Files lie in the package; those of a custom model are made by `lfr engines add` and lie beside its card.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.cards.model_card import ModelCard
from engines.errors import BadGolden, BadModel, EnginesError
from engines.runner import F32, U8, Runner, check_outputs
from engines.verify.agreement import LEAST_COSINE
from engines.verify.compare import difference
from engines.verify.synthetic_faces import crop, crowd

PACKAGED = Path(__file__).parent / "goldens"
DETECTOR_SIDE = 128
"""Pixels of a detector's golden picture: what the second look at a face takes, so that no runner is opened for this."""
_HASHES = "hashes"


@dataclass(frozen=True, slots=True)
class Golden:
    """One model's file. outputs  by name, (k, ...) float32, one row a picture."""

    source_sha256: str
    recipe: str
    pictures_sha256: str
    outputs: dict[str, F32]


def pictures(card: ModelCard) -> list[U8]:
    """The golden pictures of a model, each (1, H, W, 3)."""
    if card.role == "detector":
        size = card.input_size or (DETECTOR_SIDE, DETECTOR_SIDE)
        return [crowd(size, kinds) for kinds in ((0,), (1, 3))]
    side = min(card.input_size or (112, 112))
    return [crop(side, kind) for kind in (0, 3)]


def make(card: ModelCard, model: Path, recipe: str, source_sha256: str) -> Golden:
    """Run the prepared fp32 file on onnx's reference evaluator, which is slow and independent of the runtimes.

    Raises BadModel when the evaluator cannot run it (seen: GatherElements along more than 64 rows).
    """
    from onnx.reference import ReferenceEvaluator

    judge = ReferenceEvaluator(str(model))
    names, shown = list(card.outputs), pictures(card)
    try:
        rows = [judge.run(names, {card.input_name: picture}) for picture in shown]
    except Exception as fault:  # any exception of the operator's own numpy code
        raise BadModel(
            f"{card.name}: onnx's reference evaluator, which gives the golden tensors, cannot run it "
            f"({type(fault).__name__}: {fault}); export it with other operators"
        ) from fault
    outputs = {name: np.concatenate([row[i] for row in rows]).astype(np.float32) for i, name in enumerate(names)}
    check_outputs(card, outputs)
    return Golden(source_sha256, recipe, _digest(shown), outputs)


def as_bytes(golden: Golden) -> bytes:
    """The file: a compressed .npz without pickles."""
    hashes = np.array([golden.source_sha256, golden.recipe, golden.pictures_sha256])
    stream = io.BytesIO()
    arrays: dict[str, Any] = {_HASHES: hashes, **golden.outputs}
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def read(card: ModelCard, *folders: Path) -> Golden:
    """The golden tensors of a card, from the first folder that has them, else the package. Raises BadGolden."""
    paths = [folder / file_name(card.name) for folder in (*folders, PACKAGED)]
    path = next((one for one in paths if one.is_file()), paths[-1])
    try:
        with np.load(path, allow_pickle=False) as stored:
            source, recipe, shown = (str(text) for text in stored[_HASHES])
            return Golden(source, recipe, shown, {name: stored[name] for name in card.outputs})
    except FileNotFoundError as fault:
        raise BadGolden(f"{path}: there are no golden tensors of {card.name}; run `lfr engines add` again") from fault
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as fault:
        raise BadGolden(
            f"{path}: not the golden tensors of {card.name} ({fault}); install the package again"
        ) from fault


def file_name(card: str) -> str:
    """File name of a card's golden tensors."""
    return f"{card}.npz"


def disagreement(card: ModelCard, runner: Runner, precision: str, recipe: str, *folders: Path) -> str:
    """How a runner's outputs differ, as text; empty when it agrees. Never raises an error of engines.

    runner  for a detector, one of DETECTOR_SIDE squared
    """
    try:
        return _compared(card, runner, precision, read(card, *folders), recipe)
    except EnginesError as fault:
        return f"{card.name}: {fault}"


def _compared(card: ModelCard, runner: Runner, precision: str, golden: Golden, recipe: str) -> str:
    shown, limit = pictures(card), card.tolerances.get(precision)
    if (golden.source_sha256, golden.recipe) != (card.source_sha256, recipe):
        return f"{card.name}: the golden tensors are of other weights or of recipe {golden.recipe}, not {recipe}"
    if golden.pictures_sha256 != _digest(shown):
        return f"{card.name}: this machine draws the golden pictures otherwise; another numpy is needed"
    if limit is None:
        return f"{card.name}: its card names no tolerance for {precision}"
    for index, picture in enumerate(shown):
        for name, values in runner.run(picture).items():
            wanted = golden.outputs[name][index : index + 1]
            if values.shape != wanted.shape:
                return f"{card.name}: {name} has shape {values.shape}, the reference {wanted.shape}"
            gap = difference(wanted, values)
            alike = name != "template" or gap.min_cosine >= LEAST_COSINE
            if not alike or not limit.allows(gap.max_abs, gap.min_cosine):
                return (
                    f"{card.name} ({precision}) differs from the reference: {name} by {gap.max_abs:.3g} "
                    f"(at most {limit.max_abs:g}), cosine {gap.min_cosine:.5f}"
                )
    return ""


def _digest(shown: list[U8]) -> str:
    return hashlib.sha256(b"".join(picture.tobytes() for picture in shown)).hexdigest()
