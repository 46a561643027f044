"""`lfr engines build`: TensorRT plans for this board, from prepared models. At flashing, and after upgrades."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from engines.cards import ModelCard
from engines.errors import BadInput, BadOption
from engines.plans import Plan

SIZES = ((352, 640), (128, 128))
"""Of the detector: a 16:9 camera searched for 32 px faces, and the second look's patch (device/vision)."""


def add_arguments(parser: argparse.ArgumentParser, size: Callable[[str], tuple[int, int]]) -> None:
    """Options of the verb. `size` parses HEIGHTxWIDTH."""
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp16", help="(%(default)s)")
    parser.add_argument("--size", action="append", type=size, metavar="HxW", help="of the detector; may be repeated")
    parser.add_argument("--batch", nargs=3, type=int, metavar=("MIN", "OPT", "MAX"), help="of the recogniser (1 2 8)")
    parser.add_argument("--time-limit", type=float, default=None, metavar="S", help="for each plan (1800)")
    parser.add_argument("--force", action="store_true", help="build again although a plan fits")


def run_build(args: argparse.Namespace, chosen: Sequence[ModelCard]) -> int:
    """Build what is not there or does not fit; one line a plan. An error ends it: what was built before stays."""
    from engines.build import TIME_LIMIT_S, Order, build
    from engines.places import models_dir, plans_dir
    from engines.plans import Profile
    from engines.select import BATCHES

    batch = tuple(args.batch) if args.batch else None
    if batch is not None and not 1 == batch[0] <= batch[1] <= batch[2]:
        raise BadOption(f"--batch {batch[0]} {batch[1]} {batch[2]}: must rise from 1, since a face often comes alone")
    made: list[tuple[Plan, bool]] = []
    sizes = [_sizes(one, args.size) for one in chosen]  # before the first build, which takes minutes
    for one, each in zip(chosen, sizes, strict=True):
        for height, width in each:
            least, best, most = batch if batch is not None and one.role == "recogniser" else BATCHES[one.role]
            limit = args.time_limit or TIME_LIMIT_S
            profile = Profile(least, best, most, height, width)
            order = Order(one, args.precision, profile, models_dir(), plans_dir(), limit, args.force)
            with _Line(f"{one.name} {args.precision} {height}x{width}") as line:
                made.append(build(order, line.show))
            if not args.json:
                print(_told(*made[-1]))
    if args.json:
        print(json.dumps([{"built": fresh, **json.loads(plan.as_json())} for plan, fresh in made]))
    return 0


def _sizes(one: ModelCard, wanted: Sequence[tuple[int, int]] | None) -> Sequence[tuple[int, int]]:
    """Heights and widths that plans of a model are built for. Raises BadOption for one that it cannot take."""
    from engines.runner import check_shape

    if one.input_size is not None:
        return (one.input_size,)
    for height, width in wanted or ():
        try:
            check_shape(one, (height, width))
        except BadInput as fault:
            raise BadOption(f"--size {height}x{width}: {fault}") from fault
    return wanted or SIZES


def _told(plan: Plan, fresh: bool) -> str:
    key = plan.key
    what = f"built in {plan.seconds:.0f} s" if fresh else "there already"
    return (
        f"{key.card:16} {key.precision:5} {key.profile.height}x{key.profile.width} batch {key.profile.most}  {what}; "
        f"{plan.device_bytes >> 20} MiB a context; differs from the CPU by {plan.max_abs:.2e}  "
        f"({key.gpu}, TensorRT {key.tensorrt})"
    )


class _Line:
    """TensorRT's phases on one line of stderr."""

    def __init__(self, title: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(desc=title, unit="step", file=sys.stderr, leave=False)

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *raised: object) -> None:
        self._bar.close()

    def show(self, phase: str, done: int, of: int) -> None:
        """One step of a phase is done."""
        self._bar.set_postfix_str(f"{phase} {done}/{of}", refresh=False)
        self._bar.update()
