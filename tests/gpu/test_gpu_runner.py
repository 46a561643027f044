"""On a GPU: parity with the CPU, both kinds of memory, CUDA graphs, time, memory."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, ModelCard
from engines.runner import U8
from engines.select import open_runner
from engines.tensorrt.cuda import MEMORIES, Gpu, Memory
from engines.tensorrt.runner import TensorRtRunner
from engines.verify.compare import difference, synthetic
from tests.gpu.conftest import Made

pytestmark = pytest.mark.gpu
SFACE, YUNET = card(RECOGNISER_DEFAULT), card(DETECTOR_DEFAULT)
BOTH = pytest.mark.parametrize("one", [YUNET, SFACE], ids=["detector", "recogniser"])
ROUNDS = 200


def size_of(runner: TensorRtRunner) -> tuple[int, int]:
    height, width = runner._size
    return height, width


def exact(one: ModelCard, models: Path, size: tuple[int, int], pictures: list[U8]) -> list[dict[str, np.ndarray]]:
    cpu = open_runner(one, backend="onnxruntime", threads=1, shape=size, models=models)
    try:
        return [{name: values.copy() for name, values in cpu.run(picture).items()} for picture in pictures]
    finally:
        cpu.close()


def times_ms(runner: TensorRtRunner, batch: U8) -> np.ndarray:
    """p50 and p99 of a call, copies included, after warming up."""
    for _ in range(20):
        runner.run(batch)
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        runner.run(batch)
        taken.append((time.perf_counter() - started) * 1e3)
    return np.percentile(taken, [50, 99])


@BOTH
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_precision_is_within_its_cards_tolerance_of_the_cpu(
    made: Made, models_ready: Path, one: ModelCard, precision: str
) -> None:
    runner, plan = made(one, precision)
    try:
        size = size_of(runner)
        pictures = synthetic(size, seed=11)
        limit = one.tolerances[precision]
        for picture, wanted in zip(pictures, exact(one, models_ready, size, pictures), strict=True):
            for name, values in runner.run(picture).items():
                gap = difference(wanted[name], values)
                assert limit.allows(gap.max_abs, gap.min_cosine), (name, gap)
        p50, p99 = times_ms(runner, pictures[2])
        took = f"built in {plan.seconds:.0f} s, p50 {p50:.2f} ms, p99 {p99:.2f} ms"
        print(f"{one.name} {precision} {size[0]}x{size[1]}: {took}, activations {runner.device_bytes / 1e6:.1f} MB")
    finally:
        runner.close()


def test_every_row_of_every_batch_is_the_template_of_its_own_picture(made: Made) -> None:
    runner, plan = made(SFACE)
    try:
        most = plan.key.profile.most
        pictures = synthetic((112, 112), seed=12)
        pictures = [pictures[n % len(pictures)] for n in range(most + 3)]
        alone = [runner.run(picture)["template"][0].copy() for picture in pictures]
        for count in (1, 2, most, most + 3):
            found = runner.run(np.concatenate(pictures[:count]))["template"]
            for row in range(count):
                assert difference(alone[row], found[row]).min_cosine > 0.99999
        for count in (1, 2, most):
            p50, _ = times_ms(runner, np.concatenate(pictures[:count]))
            print(f"{SFACE.name} fp32 batch {count}: p50 {p50:.2f} ms, {p50 / count:.2f} ms a face")
    finally:
        runner.close()


@BOTH
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("graph", [False, True], ids=["launched", "recorded"])
def test_memory_and_graphs_change_the_time_and_not_the_answer(
    made: Made, one: ModelCard, memory: Memory, graph: bool
) -> None:
    plain, _ = made(one, "fp16")
    other, _ = made(one, "fp16", memory=memory, graph=graph)
    try:
        for picture in synthetic(size_of(plain), seed=13):
            wanted = {name: values.copy() for name, values in plain.run(picture).items()}
            for _ in range(3):
                for name, values in other.run(picture).items():
                    np.testing.assert_allclose(values, wanted[name], atol=1e-3, err_msg=name)
        p50, p99 = times_ms(other, synthetic(size_of(plain), seed=13)[2])
        how = "recorded" if graph else "launched"
        print(f"{one.name} fp16 {memory} {how}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    finally:
        other.close()
        plain.close()


def test_what_a_runner_takes_comes_back_when_it_closes(made: Made) -> None:
    keeper = Gpu()
    try:
        made(SFACE, "fp16")[0].close()  # libraries and kernels are loaded once and stay
        with keeper.current("measuring"):
            before = keeper.free_bytes()
        runner, _ = made(SFACE, "fp16")
        runner.run(synthetic((112, 112), seed=15)[0])
        with keeper.current("measuring"):
            taken = before - keeper.free_bytes()
        runner.close()
        with keeper.current("measuring"):
            left = before - keeper.free_bytes()
        print(f"{SFACE.name} fp16: a runner takes {taken / 1e6:.1f} MB beside the CUDA context")
        assert left <= max(taken // 10, 4 << 20)
    finally:
        keeper.close()
