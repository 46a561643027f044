"""`lfr engines compare A B`: two runtimes or precisions side by side. 70 when they differ by more than a card allows.

The effect on recognition is measured on a data set of faces by a floor above this one: the engines do not read photos.
Without a data set it is not measured, and the command says so.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engines.cards.catalogue import cards
from engines.cards.model_card import ModelCard
from engines.errors import BadInput, BadOption, UnknownName
from engines.select import BACKENDS

if TYPE_CHECKING:
    from engines.runner import U8
    from engines.verify.compare import Comparison

EX_OK, EX_INTERNAL = 0, 70
NOT_MEASURED = "the change in TPIR was not measured: name a data set of faces with --faces"


@dataclass(frozen=True, slots=True)
class Shown:
    """Photos of real people as inputs of the networks, of `people` different ones.

    crops    (1, 112, 112, 3) each, as for the recogniser;  squares  (n, n, 3) each, for the detector
    """

    people: int
    crops: Sequence[U8]
    squares: Sequence[U8]


@dataclass(frozen=True, slots=True)
class Change:
    """People found (TPIR) by A and by B, each at its own threshold for `fpir` on a list of `listed`; shares.

    points, low, high  B less A in percentage points, with the 95 % interval over people
    mated, unmated     ordered pairs of photos of one person and of two
    """

    fpir: float
    listed: int
    first: float
    second: float
    points: float
    low: float
    high: float
    mated: int
    unmated: int


@dataclass(frozen=True, slots=True)
class Changes:
    """The change of recognition on one data set, detector and recogniser together.

    only_first, only_second   photos of which one side alone made a template: to the other a miss
    """

    data: str
    people: int
    photos: int
    only_first: int
    only_second: int
    rates: tuple[Change, ...]

    def tells(self, rate: Change) -> bool:
        """Whether the data set has enough people for so small a rate: one pair of strangers must not exceed it."""
        return one_pair(self.people, rate.listed) <= rate.fpir


def one_pair(people: int, listed: int) -> float:
    """False alerts a face with `listed` of `people` listed when two people of all alert as one another, one way."""
    return (1 - (1 - 1 / max(people - 1, 1)) ** listed) / max(people, 1)


class FacesMeasure(Protocol):
    """The interface of an upper floor that measures a data set of faces; A and B are `backend:precision`."""

    def shown(self, dataset: Path) -> Shown: ...

    def changes(self, dataset: Path, first: str, second: str, chosen: Sequence[ModelCard]) -> Changes: ...


def add_arguments(
    parser: argparse.ArgumentParser,
    count: Callable[[str], int],
    size: Callable[[str], tuple[int, int]],
    with_faces: bool,
) -> None:
    """Options of the verb."""
    parser.add_argument(
        "first",
        metavar="A",
        help=f"one of {', '.join(BACKENDS)}; a precision (fp32, fp16, int8); or both, as openvino:bf16",
    )
    parser.add_argument("second", metavar="B", help="another")
    parser.add_argument("--threads", type=count, default=1, help="inference threads of each (1)")
    parser.add_argument("--rounds", type=count, default=40, help="timed calls of each (40)")
    parser.add_argument("--seed", type=seed, default=0, help="of the synthetic pictures (0)")
    parser.add_argument("--size", type=size, metavar="HxW", help="of the detector's frames (352x640)")
    parser.add_argument("--inputs", type=Path, metavar="FILE.npy", help="(N, H, W, 3) uint8 RGB as well; one --model")
    if with_faces:
        parser.add_argument(
            "--faces",
            type=Path,
            metavar="DATASET",
            help="LFW's layout: real faces as well, and the change in TPIR at FPIR 1 %% and 0.1 %%",
        )


def seed(text: str) -> int:
    """A seed of random draws: a whole number, 0 or more. Raises ArgumentTypeError otherwise."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text}: a whole number, 0 or more")
    return int(text)


def require_size(one: ModelCard, size: tuple[int, int]) -> None:
    """BadOption for a height and width of `--size` that a model cannot take."""
    from engines.runner import check_shape

    try:
        check_shape(one, size)
    except BadInput as fault:
        raise BadOption(f"--size {size[0]}x{size[1]}: {fault}") from fault


def run_compare(args: argparse.Namespace, chosen: Sequence[ModelCard], faces: FacesMeasure | None) -> int:
    """Compare on each model; then, with a data set, the effect on recognition."""
    from engines.verify.agreement import tiled
    from engines.verify.compare import DETECTOR_SIZE, compare, drawn, from_file, parts, synthetic

    names = (args.first, args.second)
    if parts(args.first) == parts(args.second):
        raise BadOption(f"{args.first} and {args.second} are the same: name two runtimes or precisions to compare")
    if args.inputs is not None and len(args.model or ()) != 1:
        raise UnknownName("model for --inputs", " ".join(args.model or ["all"]), tuple(one.name for one in cards()))
    for one in chosen if args.size is not None else ():
        if one.input_size is None:
            require_size(one, args.size)
    dataset: Path | None = getattr(args, "faces", None)
    real = faces.shown(dataset) if faces is not None and dataset is not None else Shown(0, (), ())
    results = []
    for one in chosen:
        size = one.input_size or args.size or DETECTOR_SIZE
        inputs = (
            synthetic(size, args.seed)
            + drawn(one, size)
            + (from_file(args.inputs, size) if args.inputs is not None else [])
        )
        shown = tiled(real.squares, size) if one.role == "detector" else real.crops
        results.append(compare(one, names, inputs, threads=args.threads, rounds=args.rounds, real=shown))
        if not args.json:
            print("\n".join(_lines(results[-1], names)), flush=True)
    changes = None
    if faces is not None and dataset is not None:
        first, second = (":".join(parts(name)) for name in names)
        changes = faces.changes(dataset, first, second, chosen if args.model else ())
    if args.json:
        told = {"faces": _as_json(changes)} if changes is not None else {"faces": None, "not_measured": NOT_MEASURED}
        print(json.dumps({"comparisons": [result.as_json() for result in results], **told}))
    else:
        print("\n".join(_changed(changes, names)) if changes is not None else NOT_MEASURED)
    return EX_OK if all(result.agrees for result in results) else EX_INTERNAL


def _lines(result: Comparison, names: Sequence[str]) -> Iterator[str]:
    """One model's table."""
    height, width = result.size
    first, second = names
    yield f"{result.model}  {height}x{width}  {result.threads} thread(s)  {result.inputs} inputs"
    for name, gap in result.outputs.items():
        yield f"  {name:10} max abs {gap.max_abs:.2e}   least cosine {gap.min_cosine:.8f}"
    for found in result.boxes:
        yield (
            f"  {found.faces} faces, {found.pictures} pictures: {found.both} found by both, "
            f"{found.only_first} by {first} only, {found.only_second} by {second} only"
        )
        if found.least_iou is not None:
            yield f"  {'':10} boxes' IoU least {found.least_iou:.4f}   mean {found.mean_iou:.4f}"
    for alike in result.templates:
        yield f"  {alike.count} {alike.faces} faces: template cosine least {alike.least:.6f}   mean {alike.mean:.6f}"
    for name, spent in result.latency.items():
        more = "one round: no spread" if spent.rounds == 1 else f"median {spent.median_ms:7.2f} ms"
        yield f"  {name:18} min {spent.min_ms:7.2f} ms   {more}"
    yield f"  {'agree within the card' if result.agrees else 'DIFFER by more than the card allows'}"


def _as_json(changes: Changes) -> dict[str, Any]:
    """Plain values; `told` states whether there were enough people for a rate."""
    rates = [{**asdict(one), "told": changes.tells(one)} for one in changes.rates]
    return {**asdict(changes), "rates": rates}


def _changed(changes: Changes, names: Sequence[str]) -> Iterator[str]:
    """The table of a data set."""
    first, second = names
    yield (
        f"{changes.data}: {changes.people} people, {changes.photos} photos, {changes.rates[0].mated} mated and "
        f"{changes.rates[0].unmated} other pairs; detector and recogniser together, each side at its own threshold"
    )
    yield f"  without a template: {changes.only_second} photos in {first} only, {changes.only_first} in {second} only"
    yield f"  {'FPIR':>6}  {'listed':>6}  {first:>18}  {second:>18}  {'change, points (95 %)':>28}"
    for one in changes.rates:
        yield (
            f"  {one.fpir:6.1%}  {one.listed:6}  {one.first:18.2%}  {one.second:18.2%}  "
            f"{f'{one.points:+.2f} ({one.low:+.2f} to {one.high:+.2f})':>28}"
            f"{'' if changes.tells(one) else '  too few people for this rate: do not quote it'}"
        )
