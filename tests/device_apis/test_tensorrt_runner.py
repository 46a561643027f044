"""Builder and runner on the emulated TensorRT and the fake driver: life cycle, plans, batches, addresses, failures.

Parity here says that shapes, bytes and addresses are right; what kernels round is for tests/gpu.
"""

from __future__ import annotations

import ctypes
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device.cli.main import main
from device.enrolment.model_sessions import ModelSessions
from device.errors import EngineUnavailable
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, ModelCard
from engines.errors import BadInput, BadOutput, BuildFailed, EngineFailed, EngineMissing, PlanRefused
from engines.places import plans_dir
from engines.plan_build import Order, build
from engines.runner import Runner
from engines.select import BATCHES, default_backend, open_runner
from engines.tensorrt import plans
from engines.tensorrt.cuda import MEMORIES, Gpu, Memory
from engines.tensorrt.plans import Profile
from engines.tensorrt.runner import TensorRtRunner
from engines.verify.compare import difference, synthetic
from tests.device_apis import emulated_tensorrt

SFACE, YUNET = card(RECOGNISER_DEFAULT), card(DETECTOR_DEFAULT)
SIZE = (96, 160)


def quiet(phase: str, done: int, of: int) -> None:
    del phase, done, of


def order(one: ModelCard, models: Path, **changes: Any) -> Order:
    height, width = one.input_size or SIZE
    wanted = Order(one, "fp32", Profile(*BATCHES[one.role], height, width), models, plans_dir())
    return replace(wanted, **changes)


def opened(one: ModelCard, models: Path) -> Runner:
    return open_runner(one, backend="tensorrt", threads=1, shape=one.input_size or SIZE, models=models)


def direct(one: ModelCard, models: Path, **options: Any) -> TensorRtRunner:
    """A runner with options that a device does not choose."""
    plan, _ = build(order(one, models), quiet)
    content, _ = plans.load(plans_dir(), plan.key)
    return TensorRtRunner(one, content, plan, Gpu(), **options)


@pytest.mark.parametrize("one", [YUNET, SFACE], ids=["detector", "recogniser"])
def test_a_plan_is_built_checked_kept_and_opened(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, one: ModelCard
) -> None:
    reported: list[tuple[str, int, int]] = []
    plan, fresh = build(order(one, models_ready), lambda phase, done, of: reported.append((phase, done, of)))
    assert fresh
    assert reported == [("Building engine", step, 3) for step in (1, 2, 3)]
    assert (plan.key.tensorrt, plan.key.gpu, plan.key.capability) == ("10.3.0", "Fake Orin", "8.7")
    assert plan.device_bytes == 1 << 20
    assert plan.max_abs <= one.tolerances["fp32"].max_abs
    again, fresh = build(order(one, models_ready), quiet)
    assert (again, fresh) == (plan, False)
    pictures = synthetic(one.input_size or SIZE, seed=5)
    cpu = open_runner(one, backend="onnxruntime", threads=1, shape=one.input_size or SIZE, models=models_ready)
    gpu = opened(one, models_ready)
    for picture in pictures:
        exact = {name: values.copy() for name, values in cpu.run(picture).items()}
        for name, values in gpu.run(picture).items():
            gap = difference(exact[name], values)
            assert one.tolerances["fp32"].allows(gap.max_abs, gap.min_cosine), name
    gpu.close()
    cpu.close()


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("graph", [False, True], ids=["launched", "recorded"])
def test_every_batch_size_gives_what_its_pictures_give_alone(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, memory: Memory, graph: bool
) -> None:
    runner = direct(SFACE, models_ready, memory=memory, graph=graph)
    pictures = np.concatenate([*synthetic((112, 112), seed=6), *synthetic((112, 112), seed=7)])
    alone = np.concatenate([runner.run(pictures[i : i + 1])["template"].copy() for i in range(len(pictures))])
    for count in (2, 8, 5, 2, 1, 12):  # twelve are more than the plan's eight
        together = runner.run(pictures[:count])["template"]
        assert together.shape == (count, 128)
        np.testing.assert_allclose(together, alone[:count], rtol=0, atol=1e-4)
    runner.close()


def test_a_recording_is_launched_again_and_not_made_again(trt: emulated_tensorrt.Behaviour, models_ready: Path) -> None:
    runner = direct(SFACE, models_ready, graph=True)
    picture = synthetic((112, 112), seed=8)[2]
    before = trt.executions
    for _ in range(4):
        runner.run(picture)
    assert trt.executions - before == 4
    runner.close()


def test_no_picture_stays_in_the_input_after_a_call(trt: emulated_tensorrt.Behaviour, models_ready: Path) -> None:
    runner = direct(SFACE, models_ready)
    runner.run(np.full((8, 112, 112, 3), 7, np.uint8))
    entry = runner._plan._buffers["crops"]
    assert not entry.host.any()
    assert not any((ctypes.c_uint8 * entry.nbytes).from_address(entry.device))
    runner.close()


def test_nothing_is_opened_without_a_plan_and_the_command_is_named(
    trt: emulated_tensorrt.Behaviour, models_ready: Path
) -> None:
    with pytest.raises(PlanRefused, match="run `lfr engines build --model sface-2021dec --precision fp32`") as refused:
        opened(SFACE, models_ready)
    assert refused.value.exit_status == 69


def test_a_worker_that_lacks_a_camera_s_size_names_the_command_that_builds_it(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plans_dir().parent.mkdir(parents=True)
    (plans_dir().parent / "models").symlink_to(models_ready)
    room = ModelSessions("tensorrt:fp32", threads=1)
    asked: dict[str, Callable[[], Any]] = {
        f"--model {DETECTOR_DEFAULT} --precision fp32 --size 96x160": lambda: room.detector(*SIZE),
        f"--model {DETECTOR_DEFAULT} --precision fp32 --size 128x128": room.refiner,
        f"--model {RECOGNISER_DEFAULT} --precision fp32": room.embedder,
    }
    for options, open_one in asked.items():
        with pytest.raises(EngineUnavailable, match="no TensorRT plan") as refused:
            open_one()
        message = re.search("run `lfr (.*)`$", str(refused.value))
        assert message is not None
        assert message[1] == f"engines build {options}"
        before = len(list(plans_dir().glob("*.plan")))
        assert main(message[1].split()) == 0
        assert len(list(plans_dir().glob("*.plan"))) == before + 1
        open_one()
    assert "built in" in capsys.readouterr().out
    room.close()


def changed(field: str, value: str) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = next(folder.glob("yunet*.json"))
        document = json.loads(file.read_text())
        document["key"][field] = value
        file.write_text(json.dumps(document))

    return change


def truncated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = next(folder.glob("yunet*.plan"))
    file.write_bytes(file.read_bytes()[:-100])


def without_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    next(folder.glob("yunet*.plan")).unlink()


def garbled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    next(folder.glob("yunet*.json")).write_text("{")


def another_gpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LFR_FAKE_CUDA_NAME", "Fake Thor")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (changed("tensorrt", "10.2.0"), "tensorrt 10.2.0, not 10.3.0"),
        (changed("model_sha256", "0" * 64), "model sha256 0000"),
        (changed("capability", "7.2"), "capability 7.2, not 8.7"),
        (changed("precision", "fp16"), "precision fp16, not fp32"),
        (another_gpu, "gpu Fake Orin, not Fake Thor"),
        (truncated, "damaged or changed"),
        (without_file, "No such file"),
        (garbled, "not a readable description"),
    ],
)
def test_a_foreign_stale_or_damaged_plan_is_never_loaded_and_built_anew(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, monkeypatch: pytest.MonkeyPatch, break_it: Any, message: str
) -> None:
    build(order(YUNET, models_ready), quiet)
    break_it(plans_dir(), monkeypatch)
    with pytest.raises(PlanRefused, match=message):
        opened(YUNET, models_ready)
    _, fresh = build(order(YUNET, models_ready), quiet)
    assert fresh
    opened(YUNET, models_ready).close()


def test_a_plan_for_smaller_batches_is_built_anew(trt: emulated_tensorrt.Behaviour, models_ready: Path) -> None:
    build(order(SFACE, models_ready, profile=Profile(1, 1, 1, 112, 112)), quiet)
    with pytest.raises(PlanRefused, match=r"1 to 1 pictures of 112x112, not 1 to 8"):
        opened(SFACE, models_ready)
    assert build(order(SFACE, models_ready), quiet)[1]


def test_a_plan_that_differs_from_the_cpu_is_not_kept_and_the_good_one_stays(
    trt: emulated_tensorrt.Behaviour, models_ready: Path
) -> None:
    trt.drift = 0.5
    with pytest.raises(BuildFailed, match="differs from the CPU in template"):
        build(order(SFACE, models_ready), quiet)
    assert not [path for path in plans_dir().iterdir() if path.name != plans.TIMING_CACHE]
    trt.drift = 0.0
    good, _ = build(order(SFACE, models_ready), quiet)
    trt.drift = 0.5
    with pytest.raises(BuildFailed, match="differs from the CPU in template"):
        build(order(SFACE, models_ready, force=True), quiet)
    assert plans.load(plans_dir(), good.key)[1] == good


def test_a_build_that_tensorrt_refuses_gives_the_reason_and_leaves_nothing(
    trt: emulated_tensorrt.Behaviour, models_ready: Path
) -> None:
    trt.refuses = "Requested amount of GPU memory (1073741824 bytes) could not be allocated"
    with pytest.raises(BuildFailed, match=r"could not be allocated; close other programs.*--batch"):
        build(order(SFACE, models_ready), quiet)
    assert not list(plans_dir().iterdir())


def test_a_build_that_takes_too_long_is_ended(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("engines.plan_build.time.monotonic", lambda: now[0])
    trt.steps = 1000

    def slowly() -> None:
        now[0] += 1.0

    trt.on_step = slowly
    done: list[int] = []
    with pytest.raises(BuildFailed, match="not built within 5 s"):
        build(order(SFACE, models_ready, time_limit_s=5.0), lambda phase, step, of: done.append(step))
    assert done[-1] == 6
    assert not list(plans_dir().iterdir())


def test_a_file_that_tensorrt_cannot_read_is_named(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, tmp_path: Path
) -> None:
    from engines import manifest

    broken = tmp_path / "models"
    broken.mkdir()
    path, entry = manifest.verified(SFACE, models_ready)
    content = path.read_bytes()[:5000]
    (broken / path.name).write_bytes(content)
    known = replace(entry, sha256=manifest.sha256_of(broken / path.name))
    manifest.write(broken, manifest.with_entry({}, SFACE, "fp32", known))
    with pytest.raises(BuildFailed, match=r"cannot read sface-2021dec.onnx.*prepare --force"):
        build(order(SFACE, broken), quiet)


def test_the_timing_cache_is_kept_between_builds(trt: emulated_tensorrt.Behaviour, models_ready: Path) -> None:
    build(order(SFACE, models_ready), quiet)
    assert (plans_dir() / plans.TIMING_CACHE).read_bytes() == b"timings"


def test_timings_of_another_tensorrt_are_begun_anew(trt: emulated_tensorrt.Behaviour, models_ready: Path) -> None:
    plans_dir().mkdir(parents=True)
    (plans_dir() / plans.TIMING_CACHE).write_bytes(b"of another version")
    build(order(SFACE, models_ready), quiet)
    assert (plans_dir() / plans.TIMING_CACHE).read_bytes() == b"timings"


def test_ctrl_c_stops_the_build_first_and_is_raised_when_tensorrt_has_returned(
    trt: emulated_tensorrt.Behaviour, models_ready: Path
) -> None:
    steps: list[int] = []

    def interrupted(phase: str, done: int, of: int) -> None:
        steps.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(order(SFACE, models_ready), interrupted)
    assert steps == [1]
    assert not list(plans_dir().iterdir())


def test_the_check_looks_at_a_full_batch_too(trt: emulated_tensorrt.Behaviour, models_ready: Path) -> None:
    trt.drift_of_last_row = 0.5
    with pytest.raises(BuildFailed, match="differs from the CPU in template"):
        build(order(SFACE, models_ready), quiet)


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("execution_fails", True, EngineFailed, "start the worker again"),
        ("not_a_number", True, BadOutput, "NaN or infinity"),
    ],
)
def test_an_error_in_a_call_is_reported(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, field: str, value: bool, error: type[Exception], message: str
) -> None:
    runner = direct(SFACE, models_ready)
    setattr(trt, field, value)
    with pytest.raises(error, match=message):
        runner.run(np.zeros((1, 112, 112, 3), np.uint8))
    setattr(trt, field, False)
    assert runner.run(np.zeros((1, 112, 112, 3), np.uint8))["template"].shape == (1, 128)
    runner.close()


def test_no_memory_for_a_context_gives_everything_back(trt: emulated_tensorrt.Behaviour, models_ready: Path) -> None:
    build(order(SFACE, models_ready), quiet)
    trt.context_fits = False
    with pytest.raises(EngineFailed, match="run fewer cameras"):
        opened(SFACE, models_ready)


def test_a_gpu_that_is_too_small_gives_everything_back(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(order(YUNET, models_ready), quiet)
    monkeypatch.setenv("LFR_FAKE_CUDA_MB", "0")
    with pytest.raises(EngineFailed, match="out of memory"):
        opened(YUNET, models_ready)


def test_another_thread_may_not_run_it(trt: emulated_tensorrt.Behaviour, models_ready: Path) -> None:
    runner, message = direct(SFACE, models_ready), []

    def elsewhere() -> None:
        with pytest.raises(BadInput, match="belongs to another thread") as refused:
            runner.run(np.zeros((1, 112, 112, 3), np.uint8))
        message.append(refused.value)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(30)
    assert message
    runner.close()


def test_a_closed_runner_runs_nothing(trt: emulated_tensorrt.Behaviour, models_ready: Path) -> None:
    runner = direct(SFACE, models_ready)
    runner.close()
    runner.close()
    with pytest.raises(BadInput, match="is closed"):
        runner.run(np.zeros((1, 112, 112, 3), np.uint8))


def test_a_tensorrt_that_is_too_old_is_refused(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorrt

    monkeypatch.setattr(tensorrt, "__version__", "8.6.1")
    with pytest.raises(EngineFailed, match=r"8.6.1 is older than 10.3"):
        opened(SFACE, models_ready)


def test_the_driver_is_asked_before_tensorrt_is_touched(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LFR_FAKE_CUDA_DEVICES", "0")
    monkeypatch.setattr("engines.tensorrt.api.bindings", lambda: pytest.fail("TensorRT was touched"))
    with pytest.raises(EngineFailed, match="finds no GPU"):
        opened(SFACE, models_ready)


def test_without_tensorrt_nothing_else_is_used_in_its_place(driver: ctypes.CDLL, models_ready: Path) -> None:
    with pytest.raises(EngineMissing, match="tensorrt runtime is not installed"):
        opened(SFACE, models_ready)
    assert default_backend() != "tensorrt"
