"""Plans that make their own pictures, on the emulated TensorRT and the fake driver: built, checked, opened, run.

Parity here says that shapes, bytes and addresses are right; what kernels round is for tests/gpu.
"""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device.cli.main import main
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, ModelCard
from engines.errors import BadInput, BadOutput, BuildFailed, EngineFailed, PlanRefused
from engines.graph.sampling import VERSION
from engines.places import plans_dir
from engines.plan_build import Order, build
from engines.runner import F32, U8, DevicePicture, SampledRunner
from engines.select import BATCHES, open_sampled
from engines.tensorrt import plans
from engines.tensorrt.cuda import Gpu, Scratch
from engines.tensorrt.plans import Profile
from engines.tensorrt.runner import TensorRtSampled
from engines.verify.compare import cuts, difference
from tests.device_apis import emulated_tensorrt

SFACE, YUNET = card(RECOGNISER_DEFAULT), card(DETECTOR_DEFAULT)
FRAME, PICTURE = (120, 200), (96, 160)
MIDDLE: F32 = np.array([[[1, 0, -40], [0, 1, -4]]], np.float32)
KINDS = pytest.mark.parametrize(
    ("one", "size"), [(SFACE, (112, 112)), (YUNET, (128, 128)), (YUNET, PICTURE)], ids=["crops", "patches", "whole"]
)


def order(one: ModelCard, size: tuple[int, int], models: Path, precision: str = "fp32") -> Order:
    return Order(one, precision, Profile(*BATCHES[one.role], *size, FRAME), models, plans_dir())


def opened(backend: str, one: ModelCard, size: tuple[int, int], models: Path, precision: str = "fp32") -> SampledRunner:
    return open_sampled(
        one, backend=backend, threads=1, frame_size=FRAME, shape=size, precision=precision, models=models
    )


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("built") / "plans"


@pytest.fixture
def sface(trt: object, models_ready: Path, built_once: Path) -> SampledRunner:
    """A recogniser on a plan that was built once for all tests here."""
    if built_once.is_dir():
        shutil.copytree(built_once, plans_dir())
    _, fresh = build(order(SFACE, (112, 112), models_ready), lambda *_: None)
    if fresh:
        shutil.copytree(plans_dir(), built_once)
    return opened("tensorrt", SFACE, (112, 112), models_ready)


@pytest.fixture
def picture() -> U8:
    """A frame with edges, at an address that a test knows."""
    return cuts(FRAME, (112, 112), 1)[0][0]


def held(runner: SampledRunner, name: str) -> bytes:
    """What lies on the fake device in an input's own buffer; nothing where it has none."""
    assert isinstance(runner, TensorRtSampled)
    buffer = runner._plan._buffers.get(name)
    return b"" if buffer is None else bytes((ctypes.c_uint8 * buffer.nbytes).from_address(buffer.device))


@KINDS
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_plan_for_a_camera_s_frames_answers_as_onnx_runtime_does(
    trt: object, models_ready: Path, one: ModelCard, size: tuple[int, int], precision: str
) -> None:
    plan, fresh = build(order(one, size, models_ready, precision), lambda *_: None)
    assert (fresh, plan.key.profile.frame, plan.key.sampling) == (True, FRAME, VERSION)
    assert build(order(one, size, models_ready, precision), lambda *_: None) == (plan, False)
    cpu, gpu = (opened(name, one, size, models_ready, precision) for name in ("onnxruntime", "tensorrt"))
    limit = one.tolerances["fp32"]  # the emulator computes what the other computes
    for frame, maps in cuts(FRAME, size, 3):
        wanted = {name: values.copy() for name, values in cpu.run(frame, maps).items()}
        on_device = DevicePicture(frame.ctypes.data, *FRAME)
        for given in (frame, on_device):
            for name, values in gpu.run(given, maps).items():
                assert values.shape == wanted[name].shape
                gap = difference(wanted[name], values)
                assert limit.allows(gap.max_abs, gap.min_cosine), (name, gap)
    gpu.close()
    cpu.close()


def test_more_faces_than_the_plan_takes_are_run_in_parts_over_one_frame(sface: SampledRunner, picture: U8) -> None:
    maps = np.concatenate([MIDDLE + np.array([[0, 0, n], [0, 0, -n]], np.float32) for n in range(11)])
    alone = np.concatenate([sface.run(picture, one[None])["template"].copy() for one in maps])
    for count in (2, 8, 11, 1):
        found = sface.run(DevicePicture(picture.ctypes.data, *FRAME), maps[:count])["template"]
        assert found.shape == (count, 128)
        np.testing.assert_allclose(found, alone[:count], rtol=0, atol=1e-4)
    sface.close()


def test_a_frame_on_the_gpu_is_read_where_it_lies_and_never_copied(sface: SampledRunner, picture: U8) -> None:
    wanted = sface.run(DevicePicture(picture.ctypes.data, *FRAME), MIDDLE)["template"].copy()
    assert held(sface, "frame") == b""  # no memory of ours was made for one
    moved = np.ascontiguousarray(picture[::-1])
    other = sface.run(DevicePicture(moved.ctypes.data, *FRAME), MIDDLE)["template"].copy()
    assert difference(wanted, other).min_cosine < 0.999
    np.testing.assert_array_equal(sface.run(picture, MIDDLE)["template"], wanted)
    again = sface.run(DevicePicture(moved.ctypes.data, *FRAME), MIDDLE)["template"]
    np.testing.assert_array_equal(again, other)  # not the address of the copy that came between
    sface.close()


def test_neither_frame_nor_maps_stay_after_a_call(
    trt: emulated_tensorrt.Behaviour, sface: SampledRunner, picture: U8
) -> None:
    runner = sface
    seen: list[bool] = []
    trt.on_execution = lambda: seen.extend(any(held(runner, name)) for name in ("frame", "maps"))
    runner.run(picture, MIDDLE)
    assert seen == [True, True]  # they were there
    assert held(runner, "frame") == b""  # its memory was given back; that memory is overwritten first: cuda, rule 4
    assert len(held(runner, "maps")) == 8 * 40
    assert not any(held(runner, "maps"))
    trt.execution_fails = True
    with pytest.raises(EngineFailed, match="start the worker again"):
        runner.run(picture, MIDDLE)
    assert held(runner, "frame") == b""
    assert not any(held(runner, "maps"))
    runner.close()


def at(address: int, nbytes: int) -> bytes:
    return bytes((ctypes.c_uint8 * nbytes).from_address(address))


def test_networks_of_one_thread_compute_in_one_memory_that_grows_and_is_overwritten(
    trt: emulated_tensorrt.Behaviour, driver: ctypes.CDLL, models_ready: Path, picture: U8
) -> None:
    kinds = ((YUNET, (128, 128)), (YUNET, PICTURE))
    for one, size in kinds:
        build(order(one, size, models_ready), lambda *_: None)
    alone = [opened("tensorrt", one, size, models_ready) for one, size in kinds]
    wanted = [{n: v.copy() for n, v in runner.run(picture, MIDDLE).items()} for runner in alone]
    apart = driver.fake_used_bytes()
    for runner in alone:
        runner.close()
    gpu = Gpu()
    scratch, shared = Scratch(gpu), []
    for (one, size), needed in zip(kinds, (1 << 20, 3 << 20), strict=True):
        trt.device_bytes = needed  # the second needs more: the memory is made anew, elsewhere
        shared.append(
            open_sampled(
                one,
                backend="tensorrt",
                threads=1,
                frame_size=FRAME,
                shape=size,
                models=models_ready,
                scratch=scratch,
            )
        )
        shared[-1].run(picture, MIDDLE)  # the first has computed in what is given back when the second opens
    for _ in range(2):
        for runner, answers in zip(shared, wanted, strict=True):
            for name, values in runner.run(picture, MIDDLE).items():
                np.testing.assert_array_equal(values, answers[name])
    assert scratch.nbytes == 3 << 20
    assert driver.fake_used_bytes() == apart - 2 * (1 << 20) + (3 << 20)
    address = scratch.reserve(1)
    assert any(at(address, scratch.nbytes))  # the frame was there
    shared[0].close()
    assert not any(at(address, scratch.nbytes))
    shared[1].close()
    scratch.free()
    scratch.free()
    gpu.close()


BAD = {
    "no number": (DevicePicture(4096, *FRAME), MIDDLE * np.float32(np.nan), "drop such a face"),
    "flat map": (DevicePicture(4096, *FRAME), MIDDLE * 0, "drop such a face"),
    "turned frame": (DevicePicture(4096, *FRAME[::-1]), MIDDLE, "on the GPU is 200x120, .* frames of 120x200"),
    "no address": (DevicePicture(0, *FRAME), MIDDLE, "no address 0"),
    "cut frame": (np.zeros((119, 200, 3), np.uint8), MIDDLE, r"must be \(120, 200, 3\) uint8"),
    "other type": (np.zeros((*FRAME, 3), np.float32), MIDDLE, "not .* float32"),
}


@pytest.mark.parametrize("wrong", BAD.values(), ids=BAD)
def test_what_is_no_frame_or_no_map_never_reaches_the_gpu(
    trt: emulated_tensorrt.Behaviour, sface: SampledRunner, picture: U8, wrong: tuple[U8 | DevicePicture, F32, str]
) -> None:
    before = trt.executions
    with pytest.raises(BadInput, match=wrong[2]):
        sface.run(wrong[0], wrong[1])
    assert trt.executions == before
    assert sface.run(picture, MIDDLE)["template"].shape == (1, 128)
    sface.close()


def test_another_thread_may_not_run_it_and_a_closed_one_runs_nothing(sface: SampledRunner, picture: U8) -> None:
    message: list[str] = []

    def elsewhere() -> None:
        with pytest.raises(BadInput, match="belongs to another thread") as refused:
            sface.run(picture, MIDDLE)
        message.append(str(refused.value))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(30)
    assert message
    sface.close()
    sface.close()
    with pytest.raises(BadInput, match="is closed"):
        sface.run(picture, MIDDLE)


def test_answers_that_are_no_numbers_are_refused(
    trt: emulated_tensorrt.Behaviour, sface: SampledRunner, picture: U8
) -> None:
    trt.not_a_number = True
    with pytest.raises(BadOutput, match="NaN or infinity"):
        sface.run(picture, MIDDLE)
    sface.close()


def older(document: dict[str, Any]) -> None:
    document["key"]["sampling"] = 0


def of_another_camera(document: dict[str, Any]) -> None:
    document["key"]["profile"]["frame"] = [1080, 1920]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (older, f"sampling 0, not {VERSION}"),
        (of_another_camera, "frames of 1080x1920, not 1 to 1 pictures of 128x128 of frames"),
    ],
)
def test_a_plan_of_other_frames_or_of_an_older_sampling_is_not_loaded(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    plan, _ = build(order(YUNET, (128, 128), models_ready), lambda *_: None)
    file = plans.description_file(plans_dir(), plan.key)
    assert file.name.startswith("yunet-2023mar.fp32.128x128.of.120x200.")
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    with pytest.raises(PlanRefused, match=message):
        opened("tensorrt", YUNET, (128, 128), models_ready)
    assert build(order(YUNET, (128, 128), models_ready), lambda *_: None)[1]
    opened("tensorrt", YUNET, (128, 128), models_ready).close()


@pytest.mark.parametrize(
    ("one", "size", "fault"), [(YUNET, (128, 128), "drift"), (SFACE, (112, 112), "drift_of_last_row")]
)
def test_a_plan_that_differs_from_the_cpu_is_not_kept(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, one: ModelCard, size: tuple[int, int], fault: str
) -> None:
    setattr(trt, fault, 0.5)
    with pytest.raises(BuildFailed, match="differs from the CPU in "):
        build(order(one, size, models_ready), lambda *_: None)
    assert not list(plans_dir().glob("*.plan"))


def test_a_plan_that_turns_faces_away_is_not_kept_however_loose_its_precision(
    trt: emulated_tensorrt.Behaviour, models_ready: Path
) -> None:
    trt.drift = 0.5  # int8 may differ by 1.5 on noise, and does on blanks
    with pytest.raises(BuildFailed, match=r"turns a drawn face's template away .* at least 0.98 is needed"):
        build(order(SFACE, (112, 112), models_ready, "int8"), lambda *_: None)
    assert not list(plans_dir().glob("*.plan"))


@KINDS
def test_a_worker_that_lacks_a_camera_s_plan_names_the_command_that_builds_it(
    trt: emulated_tensorrt.Behaviour,
    models_ready: Path,
    capsys: pytest.CaptureFixture[str],
    one: ModelCard,
    size: tuple[int, int],
) -> None:
    plans_dir().parent.mkdir(parents=True)
    (plans_dir().parent / "models").symlink_to(models_ready)
    with pytest.raises(PlanRefused, match="no TensorRT plan") as refused:
        opened("tensorrt", one, size, models_ready)
    message = re.search("run `lfr (.*)`$", str(refused.value))
    assert message is not None
    assert message[1].endswith("--frame 120x200")
    assert main(message[1].split()) == 0
    assert len(list(plans_dir().glob("*.plan"))) == 1
    opened("tensorrt", one, size, models_ready).close()
    assert "of frames 120x200" in capsys.readouterr().out
