"""`lfr engines build`: builds a TensorRT plan for this board from a prepared file, and verifies it before it is used.

prepared file, with a frame's sampling in front if requested → parse → profile → build (progress, time limit)
→ against the CPU, within the card's tolerance → flushed, then in place

1. Networks are strongly typed: the precision is the file's. TF32 is switched off, so that fp32 is fp32.
2. A plan whose outputs differ from the CPU's by more than the card allows, or whose build is interrupted, is not kept;
   a plan that was verified before and still fits this board stays.
3. Timings of kernels are kept in a cache beside the plans: the second build of a board is the quick one.
4. One build at a time: it needs the whole GPU.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from engines import manifest
from engines.cards.model_card import ModelCard
from engines.errors import BuildFailed, PlanRefused
from engines.graph import calibration_table as tables
from engines.graph.sampling import Pasted, sampled, tolerance
from engines.places import placing, writing
from engines.runner import U8, Runner
from engines.select import open_runner, open_sampled
from engines.tensorrt import plans
from engines.tensorrt.api import bindings, logger, monitor, version
from engines.tensorrt.cuda import Gpu
from engines.tensorrt.plans import Plan, PlanKey, Profile
from engines.tensorrt.runner import TensorRtRunner, TensorRtSampled
from engines.verify.agreement import LEAST_COSINE, drawn_faces, templates
from engines.verify.compare import Difference, cuts, differences, synthetic

WORKSPACE_BYTES = 1 << 30
"""Scratch memory that a kernel may ask for; a Jetson shares it with everything else."""
TIME_LIMIT_S = 1800.0

HELP = "close other programs on the GPU, or build for a smaller batch (--batch)"
REFERENCE = "onnxruntime"
"""The portable runtime judges: it is on every board, and it computes the exact file."""

Progress = Callable[[str, int, int], None]
"""Phase, steps done, steps in all."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to build. `models` and `folder`: where prepared files are and where plans go."""

    card: ModelCard
    precision: str
    profile: Profile
    models: Path
    folder: Path
    time_limit_s: float = TIME_LIMIT_S
    force: bool = False


def build(order: Order, progress: Progress) -> tuple[Plan, bool]:
    """The plan, and whether it was built now; one that fits is kept unless `force`.

    Raises ModelMissing, ModelMismatch, PrecisionRefused, EngineMissing, EngineFailed, BuildFailed, CacheUnwritable.
    """
    path, entry = manifest.verified(order.card, order.models, order.precision)
    if order.precision == "int8":
        tables.require_allowed(order.card.name, entry.recipe, order.models)
    gpu = Gpu()
    try:
        trt = bindings()
        key = PlanKey.of(order.card, order.precision, entry.sha256, version(trt), gpu.facts, order.profile)
        if not order.force:
            try:
                return plans.load(order.folder, key)[1], False
            except PlanRefused:
                pass  # missing, stale, foreign or damaged: built anew
        with writing(order.folder), gpu.current(f"building {order.card.name}"):
            started = time.monotonic()
            content = _serialised(trt, path.name, _network(order, path), order, progress)
        seconds = time.monotonic() - started
    finally:
        gpu.close()
    return _kept(order, key, content, seconds), True


def _network(order: Order, prepared: Path) -> bytes:
    """The ONNX file that the plan is made from."""
    profile = order.profile
    if profile.frame is None:
        return prepared.read_bytes()
    return sampled(order.card, prepared, profile.frame, (profile.height, profile.width))


def _serialised(trt: Any, name: str, model: bytes, order: Order, progress: Progress) -> bytes:
    """Parse and build. Raises BuildFailed with TensorRT's message."""
    said: list[str] = []
    log = logger(trt, said)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        errors = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise BuildFailed(f"TensorRT cannot read {name}: {errors}; run `lfr engines prepare --force`")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    wanted = order.profile
    for entry in wanted.entries(order.card):
        if entry.batched:
            profile.set_shape(entry.name, *(entry.shape(n) for n in (wanted.least, wanted.best, wanted.most)))
    config.add_optimization_profile(profile)
    timings = order.folder / plans.TIMING_CACHE
    known = timings.read_bytes() if timings.is_file() else b""
    if not config.set_timing_cache(config.create_timing_cache(known), False):
        config.set_timing_cache(config.create_timing_cache(b""), False)  # of another TensorRT or GPU: begin a new one
    watch = _Deadline(order.time_limit_s, progress)
    config.progress_monitor = monitor(trt, watch.step)
    content = builder.build_serialized_network(network, config)
    if watch.interrupted:
        raise KeyboardInterrupt
    if content is None:
        raise BuildFailed(watch.verdict(order) or f"TensorRT could not build {name}: {'; '.join(said[-3:])}; {HELP}")
    fresh = config.get_timing_cache()
    if fresh is not None:
        _replace(timings, bytes(fresh.serialize()))
    return bytes(content)


class _Deadline:
    """Passes progress on, and ends a build that takes too long.

    TensorRT calls it from inside: an exception there would end the process, so Ctrl-C is recorded and the build stops.
    """

    def __init__(self, limit_s: float, progress: Progress) -> None:
        self._until = time.monotonic() + limit_s
        self._progress = progress
        self._late = False
        self.interrupted = False

    def step(self, phase: str, done: int, of: int) -> bool:
        """Whether to continue."""
        try:
            self._progress(phase, done, of)
            self._late = self._late or time.monotonic() > self._until
        except KeyboardInterrupt:
            self.interrupted = True
        return not (self._late or self.interrupted)

    def verdict(self, order: Order) -> str:
        """Why it ended, if this ended it."""
        if not self._late:
            return ""
        return (
            f"{order.card.name} was not built within {order.time_limit_s:.0f} s; its kernels' timings so far are lost: "
            "give --time-limit more, and nothing else on the board"
        )


def _kept(order: Order, key: PlanKey, content: bytes, seconds: float) -> Plan:
    """Verify the fresh plan, then put it in its place (rule 2)."""
    built_at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    plan = Plan(key, hashlib.sha256(content).hexdigest(), 0, built_at, round(seconds, 1), 0.0)
    staged = order.folder / f".{key.stem}.{os.getpid()}.plan"
    with writing(order.folder):
        try:
            plan = _checked(order, content, plan)
            _replace(staged, content)
            plans.store(order.folder, key, staged, plan)
        finally:
            staged.unlink(missing_ok=True)
    return plan


def _checked(order: Order, content: bytes, plan: Plan) -> Plan:
    """Run it beside the CPU on synthetic pictures or frames, alone and in a full batch, and on synthetic faces.

    Raises BuildFailed when they differ by more than the card allows, or templates of synthetic faces differ.
    """
    card, limit = order.card, order.card.tolerances[order.precision]
    if order.profile.frame is not None:
        limit = tolerance(card, order.precision)
    with ExitStack() as ending:
        compared = _given_pictures if order.profile.frame is None else _given_frames
        worst, exact, fresh, device_bytes = compared(order, content, plan, ending)
        faces = drawn_faces((order.profile.height, order.profile.width)) if card.role == "recogniser" else []
        alike = templates(exact, fresh, faces, "drawn").least if faces else 1.0
    bad = [name for name, gap in worst.items() if not limit.allows(gap.max_abs, gap.min_cosine)]
    remedy = "it is not kept. Build another precision, and report TensorRT's version"
    if bad:
        gap = worst[bad[0]]
        raise BuildFailed(
            f"the plan of {card.name} {order.precision} differs from the CPU in {', '.join(bad)} "
            f"(largest {gap.max_abs:.3g}, cosine {gap.min_cosine:.5f}; allowed {limit.max_abs:.3g}, "
            f"{limit.min_cosine}); {remedy}"
        )
    if not alike >= LEAST_COSINE:
        raise BuildFailed(
            f"the plan of {card.name} {order.precision} turns a drawn face's template away from the CPU's: cosine "
            f"{alike:.4f}, at least {LEAST_COSINE} is needed; {remedy}"
        )
    return replace(plan, device_bytes=device_bytes, max_abs=max(gap.max_abs for gap in worst.values()))


Compared = tuple[dict[str, Difference], Runner, Runner, int]
"""The worst differences, both sides as they take drawn faces, and what the plan takes of the GPU's memory."""


def _given_pictures(order: Order, content: bytes, plan: Plan, ending: ExitStack) -> Compared:
    size = (order.profile.height, order.profile.width)
    exact = open_runner(order.card, backend=REFERENCE, threads=1, shape=size, models=order.models)
    ending.callback(exact.close)
    fresh = TensorRtRunner(order.card, content, plan, Gpu())
    ending.callback(fresh.close)
    worst = differences(order.card, exact.run, fresh.run, _trials(size, order.profile.most))
    return worst, exact, fresh, fresh.device_bytes


def _given_frames(order: Order, content: bytes, plan: Plan, ending: ExitStack) -> Compared:
    card, frame, size = order.card, order.profile.frame or (0, 0), (order.profile.height, order.profile.width)
    exact = open_sampled(card, backend=REFERENCE, threads=1, frame_size=frame, shape=size, models=order.models)
    ending.callback(exact.close)
    fresh = TensorRtSampled(card, content, plan, Gpu(), scratch=None)
    ending.callback(fresh.close)
    trials = cuts(frame, size, order.profile.most)
    worst = differences(card, lambda one: exact.run(*one), lambda one: fresh.run(*one), trials)
    return worst, Pasted(exact), Pasted(fresh), fresh.device_bytes


def _trials(size: tuple[int, int], most: int) -> list[U8]:
    """Pictures alone, and a full batch, whose kernels may be different ones."""
    alone = synthetic(size, seed=0)
    return [*alone, np.concatenate([alone[n % len(alone)] for n in range(most)])] if most > 1 else alone


def _replace(path: Path, content: bytes) -> None:
    """Write whole, flushed to the disk before it takes its name."""
    with placing(path) as (staged,), staged.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
