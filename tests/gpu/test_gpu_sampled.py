"""On a GPU: plans that make their own pictures from a frame: parity with the CPU, time beside its warp, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from device.vision.picture import warp_rgb
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT
from engines.graph.sampling import tolerance
from engines.runner import F32, U8, DevicePicture
from engines.select import open_sampled
from engines.tensorrt.cuda import Gpu
from engines.verify.compare import cuts, difference
from tests.gpu.conftest import Made

pytestmark = pytest.mark.gpu
SFACE, YUNET = card(RECOGNISER_DEFAULT), card(DETECTOR_DEFAULT)
FRAME, DETECTED = (1080, 1920), (544, 960)
THREE = {"recogniser": (SFACE, (112, 112)), "second look": (YUNET, (128, 128)), "detector": (YUNET, DETECTED)}
ROUNDS = 100
WORKER = """
import sys
from pathlib import Path
import numpy as np
from engines.cards.catalogue import card
from engines.tensorrt.cuda import Gpu, Scratch
from engines.select import open_sampled

def told(name):
    status = Path("/proc/self/status").read_text()
    print(name, next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1], flush=True)
    sys.stdin.readline()

told("started")
gpu = Gpu()
told("context")
held, scratch = [], Scratch(gpu)
for words in sys.argv[1:]:
    name, precision, *sides = words.split(",")
    height, width, frame_height, frame_width = map(int, sides)
    one = open_sampled(
        card(name), backend="tensorrt", threads=1, precision=precision,
        frame_size=(frame_height, frame_width), shape=(height, width), scratch=scratch,
    )
    one.run(np.zeros((frame_height, frame_width, 3), np.uint8), np.eye(2, 3, dtype=np.float32)[None])
    held.append(one)
    told(f"{name}_{height}x{width}")
for one in held:
    one.close()
scratch.free()
gpu.close()
"""
"""A worker's engines in a process of its own; after each step it says its resident kB and waits for a line."""


@contextmanager
def on_the_gpu(frame: U8) -> Iterator[DevicePicture]:
    """A frame in memory of the device, finished."""
    gpu = Gpu()
    try:
        with gpu.current("making a frame"):
            buffer, stream = gpu.buffer(frame.nbytes, "pinned"), gpu.stream()
            buffer.host[:] = frame.reshape(-1)
            buffer.upload(frame.nbytes, stream)
            stream.synchronize()
            stream = None
        yield DevicePicture(buffer.device, *frame.shape[:2])
        with gpu.current("giving it back"):
            buffer.free()
    finally:
        gpu.close()


@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_frame_on_the_gpu_gets_the_answers_that_the_cpu_gives(
    made: Made, models_ready: Path, name: str, precision: str
) -> None:
    one, size = THREE[name]
    runner, plan = made(one, precision, size, frame=FRAME)
    judge = open_sampled(one, backend="onnxruntime", threads=4, frame_size=FRAME, shape=size, models=models_ready)
    limit = tolerance(one, precision)
    try:
        for frame, maps in cuts(FRAME, size, 3):
            wanted = {name: values.copy() for name, values in judge.run(frame, maps).items()}
            from_host = {name: values.copy() for name, values in runner.run(frame, maps).items()}
            with on_the_gpu(frame) as picture:
                for output, values in runner.run(picture, maps).items():
                    gap = difference(wanted[output], values)
                    assert limit.allows(gap.max_abs, gap.min_cosine), (output, gap)
                    np.testing.assert_array_equal(values, from_host[output])
        print(f"{name} {precision}: built in {plan.seconds:.0f} s, activations {runner.device_bytes / 1e6:.1f} MB")
    finally:
        judge.close()
        runner.close()


def p50_ms(call: Callable[[], object]) -> float:
    for _ in range(10):
        call()
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken)) * 1e3


@pytest.mark.parametrize("faces", [1, 4, 8])
def test_time_of_faces_cut_on_the_gpu_beside_the_cpus_warp_and_upload(made: Made, faces: int) -> None:
    """Prints; which of the two a worker should use is decided by figures of a board."""
    plain, _ = made(SFACE, "fp16")
    inside, _ = made(SFACE, "fp16", (112, 112), frame=FRAME)
    frame = cuts(FRAME, (112, 112), 1)[0][0]
    maps: F32 = np.stack(
        [np.array([[0.9, 0.1, -90.0 * n], [-0.1, 0.9, -200.0]], np.float32) for n in range(1, faces + 1)]
    )

    def warped() -> F32:
        found: F32 = plain.run(np.stack([warp_rgb(frame, one, (112, 112)) for one in maps]))["template"]
        return found

    try:
        with on_the_gpu(frame) as picture:
            host, device = p50_ms(warped), p50_ms(lambda: inside.run(picture, maps))
            alike = difference(warped(), inside.run(picture, maps)["template"])
        print(f"{faces} faces of {FRAME[0]}x{FRAME[1]}: warp and upload {host:.2f} ms, on the GPU {device:.2f} ms")
        assert alike.min_cosine > 0.99
    finally:
        plain.close()
        inside.close()


def test_time_of_a_whole_frame_beside_the_cpus_scaling_and_upload(made: Made) -> None:
    plain, _ = made(YUNET, "fp16", DETECTED)
    inside, _ = made(YUNET, "fp16", DETECTED, frame=FRAME)
    frame, whole = cuts(FRAME, DETECTED, 1)[0]
    try:
        with on_the_gpu(frame) as picture:
            host = p50_ms(lambda: plain.run(warp_rgb(frame, whole[0], DETECTED[::-1])[None]))
            device = p50_ms(lambda: inside.run(picture, whole))
        print(f"{FRAME[0]}x{FRAME[1]} at {DETECTED[0]}x{DETECTED[1]}: scale, upload {host:.2f} ms, GPU {device:.2f} ms")
        assert min(host, device) > 0
    finally:
        plain.close()
        inside.close()


def test_memory_of_a_process_with_its_context_and_a_cameras_three_plans(made: Made, models_ready: Path) -> None:
    """Prints what each step takes of the GPU's memory and of the process; on a Jetson both are the same chips."""
    wanted = []
    for one, size in THREE.values():
        made(one, "fp16", size, frame=FRAME)[0].close()
        wanted.append(",".join(map(str, (one.name, "fp16", *size, *FRAME))))
    keeper = Gpu()  # of this process: what is free is counted over all of them
    environment = {**os.environ, "LFR_CACHE": str(made.cache)}
    command = [sys.executable, "-c", WORKER, *wanted]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        steps: list[tuple[str, int, int]] = []
        try:
            while line := process.stdout.readline():
                name, resident_kb = line.split()
                with keeper.current("measuring"):
                    steps.append((name, keeper.free_bytes(), int(resident_kb)))
                process.stdin.write("\n")
                process.stdin.flush()
        finally:
            keeper.close()
    assert process.returncode == 0
    assert [name for name, _, _ in steps][:2] == ["started", "context"]
    assert len(steps) == 2 + len(THREE)
    for (_, before, before_kb), (name, after, after_kb) in pairwise(steps):
        taken, grown = (before - after) / 1e6, (after_kb - before_kb) / 1e3
        print(f"{name}: {taken:.1f} MB of the GPU's memory, {grown:.1f} MB resident")
    first, last = steps[0], steps[-1]
    print(
        f"one camera: {(first[1] - last[1]) / 1e6:.1f} MB of the GPU's memory, {last[2] / 1e3:.1f} MB resident in all"
    )
    assert last[2] > first[2]
