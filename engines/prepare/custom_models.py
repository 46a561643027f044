"""`lfr engines add CARD.yaml MODEL.onnx`: a custom model, accepted only after it was run.

1. The card is read; all problems are reported together.
2. The file is compared with it: hash, input (name, type, layout, size), outputs.
3. It is prepared and run on synthetic faces (engines.verify.synthetic_faces), and the outputs are compared with the
   card: shape, finite numbers; a detector must find the faces, a recogniser must tell one face that was moved a pixel
   from another face, and `quality` must fit faces and a picture without one. Wrong channels or normalisation fail here
   when they ruin the model; a card with an `example` is compared with that, which detects them all.
4. Only then card, file and golden tensors (of onnx's reference evaluator) are added to the models folder.
"""

from __future__ import annotations

import difflib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engines import manifest
from engines.cards.catalogue import cards_dir
from engines.cards.custom_card import read
from engines.cards.model_card import YUNET_OUTPUTS, FileSource, Lengths, ModelCard
from engines.error_text import error_text
from engines.errors import BadCard, BadModel, CacheUnwritable, EnginesError
from engines.graph.onnx_graph import read_model
from engines.places import placing, writing
from engines.prepare.prepare import prepare, recipe_of
from engines.runner import F32, Runner
from engines.select import open_runner
from engines.verify import golden
from engines.verify.compare import DETECTOR_SIZE, difference
from engines.verify.synthetic_faces import crowd, draw, finished, texture

TOLD_APART = 0.05
"""Least by which a moved face must be more alike than another face (SFace: .1 and more; a ruined one: about 0)."""
FAR_PX = 0.25
"""Most that a found face's middle may be from the drawn one's, as a part of its size."""


def add(card_file: Path, model: Path, models: Path) -> ModelCard:
    """Check and install; returns the card as it stands in `models`. Raises BadCard, BadModel, CacheUnwritable."""
    card = read(card_file, model)
    problems = _of_the_file(card)
    if problems:
        raise BadCard(str(card_file), tuple(problems))
    with _scratch() as folder:
        entry = prepare(card, model, folder)
        problems = _of_the_answers(card, folder, card_file)
        if problems:
            raise BadCard(str(card_file), tuple(problems))
        tensors = golden.make(card, folder / card.file_name(), recipe_of(card), entry.source_sha256)
    kept = cards_dir(models)
    # The card is written last: it makes the model known.
    places = (kept / f"{card.name}.onnx", models / golden.file_name(card.name), kept / f"{card.name}.yaml")
    with writing(kept), placing(*places) as (file, answers, written):
        shutil.copyfile(model, file)
        answers.write_bytes(golden.as_bytes(tensors))
        shutil.copyfile(card_file, written)
    return replace(card, source=FileSource(kept / f"{card.name}.onnx", card.source_sha256))


@contextmanager
def _scratch() -> Iterator[Path]:
    """A temporary folder to try the model in; its errors are about TMPDIR."""
    place = Path(tempfile.gettempdir())
    try:
        made = tempfile.TemporaryDirectory(prefix="lfr-add-")
    except OSError as fault:
        raise CacheUnwritable(place, fault.strerror or str(fault), "TMPDIR") from fault
    with made as folder:
        try:
            yield Path(folder)
        except CacheUnwritable as fault:
            raise CacheUnwritable(place, fault.reason, "TMPDIR") from fault


def _of_the_file(card: ModelCard) -> list[str]:
    """Compare the file with the card (rule 2)."""
    own, source = card.own, card.source
    if own is None or not isinstance(source, FileSource):
        return ["not the card of an added model"]
    if not source.path.is_file():
        return [f"{source.path}: no such file"]
    problems = []
    found = manifest.sha256_of(source.path)
    if found != card.source_sha256:
        problems.append(f"sha256: the file's is {found}")
    graph = read_model(source.path).graph
    constants, read = {one.name for one in graph.initializer}, {name for node in graph.node for name in node.input}
    inputs = {one.name: one for one in graph.input if one.name in read - constants}
    if own.name not in inputs:
        problems.append(f"input.name: the file has no input {own.name!r}{_nearest(own.name, list(inputs))}")
    elif len(inputs) != 1:
        problems.append(f"input: the file has {len(inputs)} inputs; {own.name} alone can be given to it")
    else:
        problems += _of_the_input(card, inputs[own.name].type.tensor_type)
    outputs = [one.name for one in graph.output]
    problems += [
        f"outputs.{ours}: the file has no output {theirs!r}{_nearest(theirs, outputs)}"
        for ours, theirs in own.outputs.items()
        if theirs not in outputs
    ]
    return problems


def _nearest(name: str, there: list[str]) -> str:
    """The file's own names for a message: all of a few, else the most similar."""
    if len(there) <= 3:
        return f"; it has {', '.join(there) or 'none'}"
    return f"; of its {len(there)} the nearest is {difflib.get_close_matches(name, there, n=1, cutoff=0.0)[0]!r}"


def _of_the_input(card: ModelCard, kind: Any) -> list[str]:
    """The declared type and shape of the file's input against the card; a dimension without a value fits any."""
    own = card.own
    if own is None:
        return []
    if kind.elem_type != 1:
        return [f"input: the file's must be float32; its ONNX type is {kind.elem_type}"]
    shape = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    if len(shape) != 4:
        return [f"input: the file's must have four dimensions; it has {len(shape)}"]
    sides = card.input_size or (None, None)
    wanted = (1, 3, *sides) if own.layout == "NCHW" else (1, *sides, 3)
    wrong = [
        index
        for index, (a, b) in enumerate(zip(shape, wanted, strict=True))
        if a is not None and b is not None and a != b
    ]
    fixed = card.input_size is None and any(shape[own.layout.index(axis)] is not None for axis in "HW")
    said = ", ".join("any" if side is None else str(side) for side in shape)
    problems = [f"input: the file's shape is ({said}), which is not {own.layout} of {wanted}"] if wrong else []
    return problems + ([f"input.size: the file's is fixed ({said}); the card must name it"] if fixed else [])


def _of_the_answers(card: ModelCard, folder: Path, card_file: Path) -> list[str]:
    """Run it on synthetic faces (rule 3)."""
    size = card.input_size or tuple(-(-side // card.multiple_of) * card.multiple_of for side in DETECTOR_SIZE)
    try:
        runner = open_runner(card, backend="onnxruntime", threads=1, shape=(size[0], size[1]), models=folder)
    except EnginesError as fault:
        return [f"the file does not load: {fault}"]
    try:
        problems = (
            _of_a_detector(runner, (size[0], size[1])) if card.role == "detector" else _of_a_recogniser(card, runner)
        )
        return problems or _of_the_example(card, runner, card_file)
    except (EnginesError, BadModel) as fault:
        return [f"the file does not run as the card says: {fault}"]
    finally:
        runner.close()


def _of_a_recogniser(card: ModelCard, runner: Runner) -> list[str]:
    side = min(card.input_size or (112, 112))
    scale = side / 112
    templates, lengths = [], []
    for kind in (0, 3):
        for shift in (0.0, 1.0):
            moved = draw(texture(side, side), ((56.0 + shift) * scale, 62.0 * scale), 104.0 * scale, kind)
            raw = np.array(runner.run(finished(moved))["template"])
            if raw.shape != (1, card.template_dim):
                return [f"template_dim: the card says (1, {card.template_dim}), the file gives {raw.shape}"]
            lengths.append(float(np.linalg.norm(raw)))
            templates.append(raw[0] / max(lengths[-1], 1e-9))
    noise = np.array(runner.run(finished(texture(side, side)))["template"][0])
    length = float(np.linalg.norm(noise))
    noise /= max(length, 1e-9)
    same = min(float(templates[0] @ templates[1]), float(templates[2] @ templates[3]))
    other = max(float(templates[0] @ templates[2]), float(templates[0] @ noise), float(templates[2] @ noise))
    if same - other < TOLD_APART:
        return [
            f"the model cannot tell drawn faces apart: one moved by a pixel has cosine {same:.3f}, others {other:.3f}; "
            "check input.mean, input.scale, input.channels and input.layout"
        ]
    return _of_the_lengths(card.lengths, min(lengths), length)


def _of_the_lengths(said: Lengths | None, faces: float, none: float) -> list[str]:
    """The card's `quality` against the raw lengths of synthetic faces (the shortest) and of a picture without one."""
    if said is None or none < said.poor <= faces:
        return []
    what = (
        f"a drawn face's template has length {faces:.4g}: it would count as noise, and so would every face"
        if faces < said.poor
        else f"a picture without a face has length {none:.4g}: nothing would ever count as noise"
    )
    return [
        f"quality.poor_length: the card says {said.poor:g}, but {what}; correct it, or leave `quality` out: then the "
        "length says nothing and quality is geometry's and the detector's alone"
    ]


def _of_a_detector(runner: Runner, size: tuple[int, int]) -> list[str]:
    outputs = {name: np.array(values) for name, values in runner.run(crowd(size, (0, 1))).items()}
    if set(outputs) == set(YUNET_OUTPUTS):
        score = max(float(np.sqrt(np.abs(outputs[f"cls_{s}"] * outputs[f"obj_{s}"])).max()) for s in (8, 16, 32))
        return [] if score > 0.5 else [f"no drawn face is found (best score {score:.2f}); check input.mean and scale"]
    many = outputs["scores"].shape[1] if outputs["scores"].ndim == 2 else -1
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = (
        ("scores", (1, many)),
        ("boxes", (1, many, 4)),
        ("points", (1, many, 10)),
    )
    for name, wanted in shapes:
        if outputs[name].shape != wanted:
            return [
                f"outputs.{name}: has shape {outputs[name].shape}, (1, M{wanted[2:] and f', {wanted[2]}'}) is needed"
            ]
    if not many:
        return ["outputs: nothing is found in a picture of two drawn faces; check input.mean, scale and channels"]
    best = int(outputs["scores"][0].argmax())
    box = outputs["boxes"][0, best]
    height, width = size
    tall = min(width / 2, height)
    middles = [(width / 4, height * 0.5), (width * 0.75, height * 0.54)]
    near = min(float(np.hypot((box[0] + box[2]) / 2 - x, (box[1] + box[3]) / 2 - y)) for x, y in middles)
    if not 0 <= outputs["scores"][0, best] <= 1.001 or near > FAR_PX * tall or not 0.2 < (box[3] - box[1]) / tall < 2:
        return [
            f"the best box, {np.round(box, 1).tolist()}, is on no drawn face (score {outputs['scores'][0, best]:.2f}): "
            "boxes must be left, top, right, bottom in pixels of the input, scores 0..1; check mean and scale, too"
        ]
    return []


def example_of(card_file: Path) -> dict[str, str] | None:
    """Names of the example's picture and output in a readable card; None without."""
    import yaml

    found: dict[str, str] | None = yaml.safe_load(card_file.read_text(encoding="utf-8")).get("example")
    return found


def _of_the_example(card: ModelCard, runner: Runner, card_file: Path) -> list[str]:
    example = example_of(card_file)
    if example is None:
        return []
    try:
        picture, wanted = (
            np.load(card_file.parent / example[key], allow_pickle=False) for key in ("picture", "output")
        )
    except (OSError, EOFError, ValueError) as fault:
        named = f"{example['picture']}, {example['output']}"
        return [f"example: {named}: cannot be read beside the card ({error_text(fault)}); save each with numpy.save"]
    first = next(iter(card.outputs))
    got: F32 = np.array(runner.run(picture)[first])
    if got.shape != wanted.shape:
        return [f"example.output: has shape {wanted.shape}, the file gives {got.shape}"]
    gap = difference(wanted, got)
    if not card.tolerances["fp32"].allows(gap.max_abs, gap.min_cosine):
        return [
            f"example: {first} differs by {gap.max_abs:.3g}, cosine {gap.min_cosine:.5f}; "
            "check input.mean, input.scale, input.channels and input.layout"
        ]
    return []
