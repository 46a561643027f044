"""`lfr engines build`: TensorRT plans for this board, from prepared models. At flashing, and after upgrades.

Without `--frame` the plans take pictures that the CPU made (RTSP, recordings). With it they take a camera's whole
frames from where they lie on the GPU, and are for that size of frame alone: recogniser, second look, and detector.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from engines.cards.model_card import ModelCard
from engines.cli.compare_command import require_size
from engines.errors import BadOption
from engines.tensorrt.plans import NeededPlans, Plan, Profile

SIZES = ((352, 640), (128, 128))
"""Of the detector: a 16:9 camera searched for 32 px faces, and the second look's patch (device/vision)."""
DetectionSize = Callable[[tuple[int, int]], tuple[int, int]]
"""From a frame's size, the size that a worker detects it at: an upper floor knows that."""
REPORT_S = 1.0
STEP_WITHIN_S = 600.0
"""A build that makes no step for so long hangs; the service manager ends it."""


class Configured(Protocol):
    """What an upper floor knows of a device's configuration, and of the service manager that started this program."""

    def needed(self, config: Path) -> NeededPlans:
        """The plans that the workers of a configuration will open."""
        ...

    def report(self, text: str, within_s: float) -> None:
        """Show the progress; another report comes within these seconds, or the build hangs."""
        ...


def add_arguments(parser: argparse.ArgumentParser, size: Callable[[str], tuple[int, int]]) -> None:
    """Options of the verb. `size` parses HEIGHTxWIDTH."""
    parser.add_argument("--precision", choices=("fp32", "fp16", "int8"), default="fp16", help="(%(default)s)")
    parser.add_argument("--size", action="append", type=size, metavar="HxW", help="of the detector; may be repeated")
    parser.add_argument(
        "--frame",
        action="append",
        type=size,
        metavar="HxW",
        help="of a camera whose frames are on the GPU, such as 720x1280; may be repeated",
    )
    parser.add_argument("--batch", nargs=3, type=int, metavar=("MIN", "OPT", "MAX"), help="of the recogniser (1 2 8)")
    parser.add_argument("--time-limit", type=_seconds, default=None, metavar="S", help="for each plan (1800)")
    parser.add_argument("--force", action="store_true", help="build again although a plan fits")
    parser.add_argument("--config", type=Path, metavar="FILE", help="what this device's configuration needs, no more")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: seconds, more than 0")
    return value


def run_build(args: argparse.Namespace, chosen: Sequence[ModelCard], detection: DetectionSize | None = None) -> int:
    """Build what is missing or does not fit; one line a plan. An error ends the command; plans built before it stay."""
    from engines.places import models_dir, plans_dir
    from engines.plan_build import TIME_LIMIT_S, Order, build

    wanted = [(one, profile) for one in chosen for profile in _profiles(one, args, detection)]
    made: list[tuple[Plan, bool]] = []
    for one, profile in wanted:
        limit = args.time_limit or TIME_LIMIT_S
        order = Order(one, args.precision, profile, models_dir(), plans_dir(), limit, args.force)
        with _Line(f"{one.name} {args.precision} {_sizes_text(profile)}") as line:
            made.append(build(order, line.show))
        if not args.json:
            print(_result_line(*made[-1]))
    if args.json:
        print(json.dumps([{"built": fresh, **json.loads(plan.as_json())} for plan, fresh in made]))
    return 0


def run_configured(args: argparse.Namespace, configured: Configured) -> int:
    """Build what the configuration needs and is not there; progress goes to the service manager, one line a plan."""
    from engines.places import models_dir, plans_dir
    from engines.plan_build import TIME_LIMIT_S, Order, build
    from engines.tensorrt.used_plans import remember

    needed = configured.needed(args.config)
    precision, models = needed.backend.partition(":")[2], needed.models or models_dir()
    made: list[tuple[Plan, bool]] = []
    for number, (one, profile) in enumerate(needed.plans, 1):
        limit = args.time_limit or TIME_LIMIT_S
        order = Order(one, precision, profile, models, plans_dir(), limit, args.force)
        title = f"plan {number} of {len(needed.plans)}: {one.name} {precision} {_sizes_text(profile)}"
        show = _Report(configured, title)
        show("checked", 0, 0)
        made.append(build(order, show))
        if not args.json:
            print(_result_line(*made[-1]), flush=True)
    if made and needed.release:
        remember(plans_dir(), needed.release, (plan.key for plan, _ in made))
    fresh = sum(1 for _, built in made if built)
    text = f"{len(made)} plans for {needed.backend}: {fresh} built now, {len(made) - fresh} there already"
    text = text if needed.plans else f"no plans are needed: the backend is {needed.backend}"
    configured.report(text, STEP_WITHIN_S)
    if args.json:
        print(json.dumps([{"built": built, **json.loads(plan.as_json())} for plan, built in made]))
    else:
        print(text)
    return 0


def add_prune(parser: argparse.ArgumentParser) -> None:
    """Options of the verb `prune`."""
    parser.add_argument("--keep", action="append", required=True, metavar="VERSION", help="may be repeated")
    parser.set_defaults(run=run_prune)


def run_prune(args: argparse.Namespace) -> int:
    """Delete the plans that no release of `--keep` uses; one line a plan."""
    from engines.places import plans_dir
    from engines.tensorrt.used_plans import prune

    for name in prune(plans_dir(), args.keep):
        print(f"{name}  deleted: no release on this device uses it")
    return 0


class _Report:
    """TensorRT's phases of one plan for the service manager, at most one in REPORT_S."""

    def __init__(self, configured: Configured, title: str) -> None:
        self._configured = configured
        self._title = title
        self._phase = ""
        self._last_s = -math.inf

    def __call__(self, phase: str, done: int, of: int) -> None:
        """One step of a phase is done; `of` 0: of an unknown number."""
        now = time.monotonic()
        if phase == self._phase and now - self._last_s < REPORT_S:
            return
        self._phase, self._last_s = phase, now
        self._configured.report(f"{self._title}: {phase}{f' {done}/{of}' if of else ''}", STEP_WITHIN_S)


def _profiles(one: ModelCard, args: argparse.Namespace, detection: DetectionSize | None) -> list[Profile]:
    """The plans of a model. Raises BadOption before the first build, which takes minutes."""
    from engines.select import BATCHES

    batch = BATCHES[one.role]
    if args.batch and not 1 == args.batch[0] <= args.batch[1] <= args.batch[2]:
        said = " ".join(map(str, args.batch))
        raise BadOption(f"--batch {said}: must rise from 1, since a face often comes alone")
    if args.batch and one.role == "recogniser":
        batch = (args.batch[0], args.batch[1], args.batch[2])
    profiles = []
    for frame in args.frame or (None,):
        if frame is not None and min(frame) < 2:
            raise BadOption(
                f"--frame {frame[0]}x{frame[1]}: no camera has such frames; give height and width in pixels"
            )
        usual = SIZES if frame is None or detection is None else (detection(frame), SIZES[1])
        profiles += [Profile(*batch, *size, frame) for size in _sizes(one, args.size, usual)]
    return profiles


def _sizes(
    one: ModelCard, wanted: Sequence[tuple[int, int]] | None, usual: Sequence[tuple[int, int]]
) -> Sequence[tuple[int, int]]:
    """Heights and widths that plans of a model are built for. Raises BadOption for one that it cannot take."""
    if one.input_size is not None:
        return (one.input_size,)
    for size in wanted or ():
        require_size(one, size)
    return wanted or usual


def _result_line(plan: Plan, fresh: bool) -> str:
    key = plan.key
    what = f"built in {plan.seconds:.0f} s" if fresh else "there already"
    return (
        f"{key.card:16} {key.precision:5} {_sizes_text(key.profile)} batch {key.profile.most}  {what}; "
        f"{plan.device_bytes >> 20} MiB a context; differs from the CPU by {plan.max_abs:.2e}  "
        f"({key.gpu}, TensorRT {key.tensorrt})"
    )


def _sizes_text(profile: Profile) -> str:
    of = f" of frames {profile.frame[0]}x{profile.frame[1]}" if profile.frame is not None else ""
    return f"{profile.height}x{profile.width}{of}"


class _Line:
    """TensorRT's phases on one line of stderr; nothing before the first of them, since a build may be refused."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Any = None

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, phase: str, done: int, of: int) -> None:
        """One step of a phase is done."""
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(desc=self._title, unit="step", file=sys.stderr, leave=False)
        self._bar.set_postfix_str(f"{phase} {done}/{of}", refresh=False)
        self._bar.update()
