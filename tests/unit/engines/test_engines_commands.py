"""`lfr engines …` as a person or a script calls it, and the comparison behind it."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from engines import plan_build
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, ModelCard
from engines.cli.build_command import STEP_WITHIN_S, Configured, _Line
from engines.cli.commands import register
from engines.cli.compare_command import NOT_MEASURED, Change, Changes, FacesMeasure, Shown, _changed
from engines.errors import BadOption, BadPictures, EnginesError, UnknownName
from engines.places import plans_dir
from engines.runner import F32, U8
from engines.tensorrt.plans import NeededPlans, Plan, PlanKey, Profile, plan_file, store
from engines.verify import compare as comparing


class FakeRunner:
    """Gives each picture's mean colour as its template, plus a given error."""

    def __init__(self, backend: str, error: float) -> None:
        self.backend = backend
        self.closed = False
        self._error = error

    def run(self, batch: U8) -> Mapping[str, F32]:
        template = np.zeros((len(batch), 128), np.float32)
        template[:, :3] = batch.mean(axis=(1, 2)) + 1
        template[:, 0] += self._error
        return {"template": template}

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def runners(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeRunner]:
    made = {"openvino": FakeRunner("openvino", 0.0), "onnxruntime": FakeRunner("onnxruntime", 0.0)}

    def open_fake(card: ModelCard, *, backend: str, threads: int, shape: tuple[int, int], precision: str) -> FakeRunner:
        return made[backend]

    monkeypatch.setattr(comparing, "open_runner", open_fake)
    return made


class MeasuredFaces:
    """A FacesMeasure of nobody: grey crops, and rates that are made up."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def shown(self, dataset: Path) -> Shown:
        return Shown(2, [np.full((1, 112, 112, 3), grey, np.uint8) for grey in (90, 160)], ())

    def changes(self, dataset: Path, first: str, second: str, chosen: Sequence[ModelCard]) -> Changes:
        self.asked.append((first, second))
        return Changes(dataset.name, 9, 18, 1, 0, (Change(0.001, 100, 0.95, 0.94, -1.0, -2.5, 0.25, 18, 288),))


def lfr(*words: str, faces: FacesMeasure | None = None, configured: Configured | None = None) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers(), faces, configured=configured)
    args = parser.parse_args(["engines", *words])
    return int(args.run(args))


def test_two_runtimes_that_agree_end_with_0_and_are_closed(
    runners: dict[str, FakeRunner], capsys: pytest.CaptureFixture[str]
) -> None:
    assert lfr("compare", "openvino", "onnxruntime", "--model", RECOGNISER_DEFAULT, "--rounds", "2", "--json") == 0
    told = json.loads(capsys.readouterr().out)["comparisons"][0]
    assert told["agrees"]
    assert told["outputs"]["template"]["max_abs"] == 0
    assert set(told["latency"]) == {"openvino", "onnxruntime"}
    assert all(runner.closed for runner in runners.values())


def test_two_runtimes_that_differ_end_with_70(
    runners: dict[str, FakeRunner], capsys: pytest.CaptureFixture[str]
) -> None:
    runners["onnxruntime"] = FakeRunner("onnxruntime", 0.5)
    assert lfr("compare", "openvino", "onnxruntime", "--model", RECOGNISER_DEFAULT, "--rounds", "2") == 70
    assert "DIFFER" in capsys.readouterr().out


def test_templates_of_drawn_faces_alone_can_break_the_agreement(
    runners: dict[str, FakeRunner], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("compare", "openvino", "onnxruntime", "--model", RECOGNISER_DEFAULT, "--rounds", "1", "--json")
    monkeypatch.setattr(comparing, "LEAST_COSINE", 1.1)
    assert lfr(*words) == 70
    (told,) = json.loads(capsys.readouterr().out)["comparisons"][0]["templates"]
    assert (told["faces"], told["count"], told["least"]) == ("drawn", 8, pytest.approx(1))


def test_without_a_data_set_it_says_that_nothing_was_measured(
    runners: dict[str, FakeRunner], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("compare", "openvino", "onnxruntime", "--model", RECOGNISER_DEFAULT, "--rounds", "1")
    assert lfr(*words) == 0
    assert NOT_MEASURED in capsys.readouterr().out
    assert lfr(*words, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["faces"], told["not_measured"]) == (None, NOT_MEASURED)


def test_a_data_set_adds_real_faces_and_the_change_in_rates(
    runners: dict[str, FakeRunner], capsys: pytest.CaptureFixture[str]
) -> None:
    measure = MeasuredFaces()
    words = ("compare", "openvino", "onnxruntime:fp16", "--model", RECOGNISER_DEFAULT, "--rounds", "1")
    assert lfr(*words, "--faces", "people", faces=measure) == 0
    assert measure.asked == [("openvino:fp32", "onnxruntime:fp16")]
    out = capsys.readouterr().out
    assert "2 real faces: template cosine least 1.000000" in out
    assert "-1.00 (-2.50 to +0.25)" in out
    assert "without a template: 0 photos in openvino only, 1 in onnxruntime:fp16 only" in out
    assert NOT_MEASURED not in out
    assert lfr(*words, "--faces", "people", "--json", faces=measure) == 0
    told = json.loads(capsys.readouterr().out)["faces"]
    assert (told["data"], told["rates"][0]["points"], told["only_first"]) == ("people", -1.0, 1)


@pytest.mark.parametrize(("people", "told"), [(60, False), (250, False), (400, True), (1200, True)])
def test_a_rate_that_so_few_people_cannot_tell_is_marked(people: int, told: bool) -> None:
    rate = Change(0.001, 100, 0.9, 0.9, 0.0, 0.0, 0.0, 10, 1000)
    changes = Changes("people", people, 2 * people, 0, 0, (rate,))
    assert changes.tells(rate) is told
    table = "\n".join(_changed(changes, ("a", "b")))
    assert ("too few people" in table) is not told


@pytest.mark.parametrize("names", [("fp32", "fp32"), ("onnxruntime", "fp32"), ("bf16", "openvino:bf16")])
def test_a_thing_is_not_compared_with_itself(names: tuple[str, str]) -> None:
    with pytest.raises(BadOption, match="the same"):
        lfr("compare", *names)


def test_own_pictures_are_compared_as_well(
    runners: dict[str, FakeRunner], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "crops.npy", np.zeros((3, 112, 112, 3), np.uint8))
    words = ["compare", "openvino", "onnxruntime", "--rounds", "1", "--inputs", str(tmp_path / "crops.npy")]
    assert lfr(*words, "--model", RECOGNISER_DEFAULT) == 0
    timed = [line for line in capsys.readouterr().out.splitlines() if " ms" in line]
    assert [line.endswith("one round: no spread") for line in timed] == [True, True]
    with pytest.raises(UnknownName, match="--inputs"):
        lfr(*words)


@pytest.mark.parametrize("array", [np.zeros((2, 8, 8, 3), np.uint8), np.zeros((1, 112, 112, 3), np.float32)])
def test_pictures_that_do_not_fit_are_refused_with_the_shape_wanted(tmp_path: Path, array: U8) -> None:
    path = tmp_path / "crops.npy"
    np.save(path, array)
    with pytest.raises(BadPictures, match=r"must hold \(N, 112, 112, 3\) uint8 RGB") as fault:
        comparing.from_file(path, (112, 112))
    assert fault.value.exit_status == 65


@pytest.mark.parametrize(
    ("content", "says"), [(b"no array", "not a .npy file"), (b"", "empty, or cut off"), (None, "no such file")]
)
def test_pictures_that_cannot_be_read_are_refused_with_a_message(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "crops.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadPictures, match=f"{path}: .*{says}") as fault:
        comparing.from_file(path, (112, 112))
    assert "Errno" not in str(fault.value)


def test_synthetic_pictures_depend_on_the_seed_alone() -> None:
    one, again, other = (comparing.synthetic((32, 64), seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert {picture.shape for picture in one} == {(1, 32, 64, 3)}


def test_difference_of_opposite_templates_is_minus_one() -> None:
    one = np.array([[3.0, 4.0]], np.float32)
    assert comparing.difference(one, -one) == comparing.Difference(8.0, -1.0)
    assert comparing.difference(one * 0, one * 0).min_cosine == 1.0


def test_list_says_of_every_model_whether_it_is_ready(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path))
    assert lfr("list", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["state"] for row in told["models"]} == {"missing"}
    assert sum(row["default"] for row in told["backends"]) == 1
    assert lfr("list") == 0
    assert card(RECOGNISER_DEFAULT).licence in capsys.readouterr().out


def test_list_names_the_plans_that_are_whole_and_what_they_take(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path))
    digest = hashlib.sha256(b"a plan").hexdigest()
    for frame in (None, (1080, 1920)):
        profile = Profile(1, 2, 8, 112, 112, frame)
        key = PlanKey(RECOGNISER_DEFAULT, "fp16", "ab" * 32, "10.3.0", "Orin", "8.7", profile, 1 if frame else 0)
        staged = tmp_path / "staged"
        staged.write_bytes(b"a plan")
        store(plans_dir(), key, staged, Plan(key, digest, 1 << 20, "2026-11-24T00:00:00Z", 9.0, 1e-3))
    plan_file(plans_dir(), key).with_name("other.json").write_text("{")
    assert lfr("list", "--json") == 0
    told = json.loads(capsys.readouterr().out)["plans"]
    assert [(row["frame"], row["batch"]) for row in told] == [(None, [1, 2, 8]), ([1080, 1920], [1, 2, 8])]
    assert lfr("list") == 0
    assert "fp16 112x112 of frames 1080x1920, batch 1 to 8; Orin, TensorRT 10.3.0" in capsys.readouterr().out
    plan_file(plans_dir(), key).write_bytes(b"a pla")
    assert lfr("list", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["plans"]) == 1


def test_a_wide_tolerance_is_shown_with_the_one_for_faces(capsys: pytest.CaptureFixture[str]) -> None:
    assert lfr("list") == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("int8 ")]
    assert any("a cosine of 0.3; drawn faces' templates a cosine of 0.98" in line for line in said)


def test_a_build_that_is_refused_draws_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadOption), _Line("a model"):
        raise BadOption("refused")
    assert capsys.readouterr().err == ""
    with _Line("a model") as line:
        line.show("Building engine", 1, 3)
        line.show("Building engine", 2, 3)
    assert "a model" in capsys.readouterr().err


def test_a_frame_that_no_camera_has_is_refused_before_anything_is_built() -> None:
    with pytest.raises(BadOption, match="--frame 0x640: no camera has such frames"):
        lfr("build", "--frame", "0x640")


@pytest.mark.parametrize("words", [["--threads", "0"], ["--size", "big"], ["--rounds", "x"]])
def test_impossible_options_are_usage_errors(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        lfr("compare", "openvino", "onnxruntime", *words)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_limit_that_is_none_is_a_usage_error(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        lfr("build", "--time-limit", seconds)
    assert f"{seconds}: seconds, more than 0" in capsys.readouterr().err


@pytest.mark.parametrize("batch", [("2", "4", "8"), ("0", "1", "8"), ("1", "8", "4"), ("1", "0", "8")])
def test_a_plan_that_cannot_take_one_face_is_refused_before_anything_is_built(
    batch: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path))
    with pytest.raises(BadOption, match=f"--batch {' '.join(batch)}: must rise from 1") as refused:
        lfr("build", "--batch", *batch)
    assert refused.value.exit_status == 64
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", [("build",), ("compare", "fp32", "fp16")])
def test_a_size_that_the_detector_does_not_take_is_a_usage_error(verb: tuple[str, ...]) -> None:
    with pytest.raises(BadOption, match=r"--size 100x640: .* must be multiples of 32") as refused:
        lfr(*verb, "--model", DETECTOR_DEFAULT, "--size", "100x640")
    assert refused.value.exit_status == 64


def test_every_error_has_an_exit_status_of_the_table() -> None:
    assert {kind.exit_status for kind in EnginesError.__subclasses__()} <= {64, 65, 69, 70}


class OneConfiguration:
    """A Configured with given plans; keeps what it reports."""

    def __init__(self, needed: NeededPlans) -> None:
        self._needed = needed
        self.reports: list[str] = []

    def needed(self, config: Path) -> NeededPlans:
        return self._needed

    def report(self, text: str, within_s: float) -> None:
        assert within_s == STEP_WITHIN_S
        self.reports.append(text)


def test_a_configuration_on_a_cpu_needs_no_plans_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    configured = OneConfiguration(NeededPlans("openvino:bf16"))
    assert lfr("build", "--config", "device.yaml", configured=configured) == 0
    assert configured.reports == ["no plans are needed: the backend is openvino:bf16"]
    assert capsys.readouterr().out == "no plans are needed: the backend is openvino:bf16\n"


def test_the_plans_of_a_configuration_are_built_with_their_progress_for_the_service_manager(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recogniser, detector = card(RECOGNISER_DEFAULT), card(DETECTOR_DEFAULT)
    profiles = Profile(1, 2, 8, 112, 112), Profile(1, 1, 1, 128, 128)
    orders = []

    def build(order: plan_build.Order, progress: plan_build.Progress) -> tuple[Plan, bool]:
        orders.append(order)
        fresh = order.card is recogniser
        for step in range(40 if fresh else 0):
            progress("Tactic Selection", step, 40)
        key = PlanKey(order.card.name, order.precision, "", "10.3.0", "Orin", "8.7", order.profile)
        return Plan(key, "", 1 << 20, "", 60.0, 0.001), fresh

    monkeypatch.setattr(plan_build, "build", build)
    needed = NeededPlans("tensorrt:fp16", ((recogniser, profiles[0]), (detector, profiles[1])), tmp_path)
    configured = OneConfiguration(needed)
    assert lfr("build", "--config", "device.yaml", configured=configured) == 0
    assert [(o.card.name, o.precision, o.profile, o.models) for o in orders] == [
        (RECOGNISER_DEFAULT, "fp16", profiles[0], tmp_path),
        (DETECTOR_DEFAULT, "fp16", profiles[1], tmp_path),
    ]
    assert configured.reports == [
        f"plan 1 of 2: {RECOGNISER_DEFAULT} fp16 112x112: checked",
        f"plan 1 of 2: {RECOGNISER_DEFAULT} fp16 112x112: Tactic Selection 0/40",
        f"plan 2 of 2: {DETECTOR_DEFAULT} fp16 128x128: checked",
        "2 plans for tensorrt:fp16: 1 built now, 1 there already",
    ]
    assert "built in 60 s" in capsys.readouterr().out


def test_a_configuration_and_a_model_together_are_refused() -> None:
    with pytest.raises(BadOption, match="--config states which plans"):
        lfr("build", "--config", "f", "--model", RECOGNISER_DEFAULT, configured=OneConfiguration(NeededPlans("x")))
