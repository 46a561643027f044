"""Models of one's own: a card and a file that fit are enough; a wrong card is refused with the reason."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx.reference import ReferenceEvaluator

from engines import manifest
from engines.cards.catalogue import card, cards
from engines.cards.custom_card import read
from engines.cards.model_card import (
    DETECTOR_DEFAULT,
    RECOGNISER_DEFAULT,
    SCREEN_0095,
    YUNET_OUTPUTS,
    Lengths,
    ModelCard,
)
from engines.cli.commands import register
from engines.cli.listing import describe, lines
from engines.errors import BadCard, BadModel, ModelMismatch, UnknownName
from engines.graph.custom_graph import own_graph
from engines.graph.onnx_graph import Graph, Node, Value, load, save
from engines.prepare.custom_models import add
from engines.prepare.fetch import weights_of
from engines.prepare.prepare import prepare, recipe_of
from engines.select import open_runner
from engines.verify import golden
from engines.verify.compare import difference
from engines.verify.synthetic_faces import crop


@pytest.fixture
def added(own_models: ModuleType, tmp_path: Path) -> tuple[ModelCard, Path]:
    models = tmp_path / "models"
    written, file = own_models.recogniser(tmp_path)
    return add(written, file, models), models


def test_an_added_model_has_a_card_golden_tensors_and_runs(added: tuple[ModelCard, Path]) -> None:
    one, models = added
    assert card("tiny", models) == one
    assert [each.name for each in cards(models)] == [DETECTOR_DEFAULT, RECOGNISER_DEFAULT, SCREEN_0095, "tiny"]
    for precision in ("fp32", "fp16"):
        prepare(one, weights_of(one), models, precision=precision)
        runner = open_runner(one, backend="onnxruntime", threads=1, precision=precision, models=models)
        assert runner.run(crop(112, 1))["template"].shape == (1, 64)
        assert golden.disagreement(one, runner, precision, recipe_of(one), models) == ""
        runner.close()


def test_pixels_are_normalised_and_channels_turned_as_the_card_says(own_models: ModuleType, tmp_path: Path) -> None:
    _, file = own_models.recogniser(tmp_path)
    values = {}
    for channels, mean, scale in (("RGB", 127.5, 127.5), ("BGR", [0, 10, 20], [255, 200, 100])):
        written = own_models.write_card(tmp_path, file, input={"channels": channels, "mean": mean, "scale": scale})
        one = read(written, file)
        prepare(one, file, tmp_path / channels)
        runner = open_runner(one, backend="onnxruntime", threads=1, models=tmp_path / channels)
        values[channels] = np.array(runner.run(crop(112, 1))["template"])
        runner.close()
        picture = crop(112, 1).astype(np.float64)[..., :: -1 if channels == "BGR" else 1]
        inside = ((picture - np.array(mean)) / np.array(scale)).transpose(0, 3, 1, 2).astype(np.float32)
        (wanted,) = ReferenceEvaluator(str(file)).run(None, {"data": inside})
        assert difference(wanted, values[channels]).max_abs < 1e-4
    assert difference(values["RGB"], values["BGR"]).max_abs > 0.01


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize(
    ("mean", "scale"), [([0.0] * 3, [1.0] * 3), ([127.5] * 3, [128.0] * 3), ([1.0, 0.0, 3.0], [1.0, 2.0, 1.0])]
)
def test_in_every_layout_the_file_gets_the_numbers_that_its_card_promises(
    own_models: ModuleType, tmp_path: Path, layout: str, channels: str, mean: list[float], scale: list[float]
) -> None:
    _, file = own_models.recogniser(tmp_path)
    wanted = {"layout": layout, "channels": channels, "mean": mean, "scale": scale}
    graph = Graph({}, [Node("Flatten", ["data"], ["fc1"])], ["fc1"])
    inputs, outputs = own_graph(graph, read(own_models.write_card(tmp_path, file, input=wanted), file))
    save(graph, tmp_path / "front.onnx", inputs, outputs)
    picture = np.random.default_rng(3).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    (got,) = ReferenceEvaluator(str(tmp_path / "front.onnx")).run(None, {inputs[0].name: picture})
    shown = (picture[..., :: -1 if channels == "BGR" else 1] - np.array(mean)) / np.array(scale)
    np.testing.assert_allclose(
        got, (shown.transpose(0, 3, 1, 2) if layout == "NCHW" else shown).reshape(2, -1), rtol=1e-6, atol=1e-6
    )


def _quality(poor: float) -> dict[str, Any]:
    return {"poor_length": poor, "good_length": 30, "source": "made in a test"}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another file": ({"sha256": "0" * 64}, "sha256: the file's is"),
    "template length": ({"template_dim": 128}, r"template_dim: the card says \(1, 128\), the file gives \(1, 64\)"),
    "no such output": ({"outputs": {"template": "fc2"}}, "no output 'fc2'; it has fc1"),
    "no such input": ({"input": {"name": "picture"}}, "input.name: the file has no input 'picture'; it has data"),
    "layout": ({"input": {"layout": "NHWC"}}, "not NHWC"),
    "size": ({"input": {"size": [96, 112]}}, "not NCHW"),
    "normalisation": ({"input": {"mean": 0, "scale": 0.001}}, "check input.mean, input.scale"),
    "everybody is noise": ({"quality": _quality(20.0)}, "drawn face's template has length 11.8.*leave `quality` out"),
    "nothing is noise": ({"quality": _quality(5.0)}, "picture without a face has length 9.3.*leave `quality` out"),
    "a packaged name": ({"name": RECOGNISER_DEFAULT}, "is a packaged model"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_card_that_does_not_fit_its_file_is_refused_with_the_reason(
    own_models: ModuleType, tmp_path: Path, case: str
) -> None:
    changes, words = WRONG[case]
    _, file = own_models.recogniser(tmp_path)
    with pytest.raises(BadCard, match=words) as fault:
        add(own_models.write_card(tmp_path, file, **changes), file, tmp_path / "models")
    assert fault.value.exit_status == 65
    assert not (tmp_path / "models").exists()


def test_a_card_may_say_what_the_length_of_a_template_means(
    added: tuple[ModelCard, Path], own_models: ModuleType, tmp_path: Path
) -> None:
    silent, models = added
    assert silent.lengths is None, "where the card says nothing, nothing is assumed"
    _, file = own_models.recogniser(tmp_path, name="scaled")
    one = add(own_models.write_card(tmp_path, file, name="scaled", quality=_quality(10.0)), file, models)
    assert one.lengths == Lengths(10.0, 30.0, "made in a test")
    reported = "\n".join(lines(describe(models)))
    assert "quality        length 10 noise, 30 good; made in a test" in reported
    assert "quality        from geometry and detection alone (the length of a template is not calibrated)" in reported
    assert "quality        length 8.5 noise, 12 good; measured 2026-11-23, 150 people of LFW" in reported


@pytest.mark.parametrize(
    ("quality", "words"),
    [
        ("good", "must be a mapping with poor_length, good_length, source"),
        ({"poor_length": 3, "good_length": 3, "source": "x"}, "quality.good_length: must be more than"),
        ({"poor_length": -1, "good_length": 3, "source": "x"}, "quality.poor_length: must be a number from 1e-06"),
        ({"poor_length": 1, "good_length": 3}, "quality.source: missing"),
        ({"poor": 1, "good_length": 3, "source": "x"}, "quality.poor: unknown key; .* 'poor_length'"),
    ],
)
def test_a_quality_that_makes_no_scale_is_refused(
    own_models: ModuleType, tmp_path: Path, quality: Any, words: str
) -> None:
    _, file = own_models.recogniser(tmp_path)
    with pytest.raises(BadCard, match=words):
        read(own_models.write_card(tmp_path, file, quality=quality), file)


def test_all_errors_of_a_card_are_reported_together(own_models: ModuleType, tmp_path: Path) -> None:
    _, file = own_models.recogniser(tmp_path)
    changes: dict[str, Any] = {
        "licence": None,
        "sha256": "short",
        "template_dim": "many",
        "colour": 1,
        "tolerances": {"int3": {}},
    }
    wrong = own_models.write_card(tmp_path, file, input={"mean": "x", "scale": 0, "size": [1]}, **changes)
    with pytest.raises(BadCard) as fault:
        read(wrong, file)
    reported = "\n".join(fault.value.problems)
    for words in (
        "licence: missing",
        "sha256: must be 64 hex digits",
        "template_dim: must be a whole number",
        "colour: unknown key; the nearest valid key is",
        "tolerances.int3: unknown key; the nearest valid key is 'int8'",
        "input.mean: must be a number or three",
        "input.scale: must be a number or three, one a channel, above 0; found 0",
        "input.size: must be [height, width]",
    ):
        assert words in reported


@pytest.mark.parametrize("text", ["", "- a list", "{", "a: b: c"])
def test_what_is_no_card_at_all_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(BadCard):
        read(tmp_path / "c.yaml", tmp_path / "m.onnx")


def test_an_example_holds_a_card_to_its_word(own_models: ModuleType, tmp_path: Path) -> None:
    good, file = own_models.recogniser(tmp_path)
    one = add(good, file, tmp_path / "models")
    prepare(one, file, tmp_path / "models")
    runner = open_runner(one, backend="onnxruntime", threads=1, models=tmp_path / "models")
    np.save(tmp_path / "p.npy", crop(112, 1))
    np.save(tmp_path / "t.npy", runner.run(crop(112, 1))["template"])
    runner.close()
    example = {"picture": "p.npy", "output": "t.npy"}
    assert add(own_models.write_card(tmp_path, file, example=example), file, tmp_path / "again").name == "tiny"
    turned = own_models.write_card(tmp_path, file, example=example, input={"channels": "BGR"})
    with pytest.raises(BadCard, match=r"example: template differs.*check input\.mean"):
        add(turned, file, tmp_path / "never")


@pytest.mark.parametrize("content", [b"", b"no model", "cut"])
def test_a_file_that_is_corrupt_or_cut_off_is_refused(
    own_models: ModuleType, tmp_path: Path, content: bytes | str
) -> None:
    _, file = own_models.recogniser(tmp_path)
    file.write_bytes(file.read_bytes()[:-300] if isinstance(content, str) else content)
    with pytest.raises((BadModel, BadCard)):
        add(own_models.write_card(tmp_path, file), file, tmp_path / "models")


def test_a_network_that_answers_with_nan_is_refused(own_models: ModuleType, tmp_path: Path) -> None:
    graph = Graph(
        {"fc": np.full((64, 147), np.nan, np.float32)},
        [
            Node("AveragePool", ["data"], ["blocks"], {"kernel_shape": [16, 16], "strides": [16, 16]}),
            Node("Flatten", ["blocks"], ["flat"]),
            Node("Gemm", ["flat", "fc"], ["fc1"], {"transB": 1}),
        ],
        ["fc1"],
    )
    file = tmp_path / "nan.onnx"
    save(graph, file, [Value("data", np.float32, (1, 3, 112, 112))], [Value("fc1", np.float32, (1, 64))])
    with pytest.raises(BadCard, match="NaN"):
        add(own_models.write_card(tmp_path, file), file, tmp_path / "models")


def test_a_network_that_the_reference_cannot_run_is_refused_and_not_added(
    own_models: ModuleType, tmp_path: Path
) -> None:
    _, file = own_models.recogniser(tmp_path, dim=128)
    graph = load(file)
    graph.constants["rows"] = np.arange(64, dtype=np.int64)[None]
    graph.nodes.append(Node("GatherElements", ["fc1", "rows"], ["some"], {"axis": 1}))
    graph.outputs = ["some"]
    save(graph, file, [Value("data", np.float32, (1, 3, 112, 112))], [Value("some", np.float32, (1, 64))])
    written = own_models.write_card(tmp_path, file, outputs={"template": "some"})
    with pytest.raises(BadModel, match=r"reference evaluator.*cannot run it.*export it with other operators"):
        add(written, file, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_an_added_file_that_changed_since_is_not_prepared(added: tuple[ModelCard, Path]) -> None:
    models = added[1]
    with (models / "cards" / "tiny.onnx").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(ModelMismatch):
        weights_of(card("tiny", models))


def test_a_name_that_is_no_name_reaches_no_file(added: tuple[ModelCard, Path]) -> None:
    for name in ("../tiny", "tiny.yaml", "", "TINY"):
        with pytest.raises(UnknownName, match="tiny"):
            card(name, added[1])


def test_of_many_names_the_nearest_is_suggested(own_models: ModuleType, models_ready: Path, tmp_path: Path) -> None:
    written, file = own_models.detector(tmp_path, models_ready / "yunet-2023mar.onnx")
    text = yaml.safe_load(written.read_text())
    text["outputs"] = {name: name for name in YUNET_OUTPUTS}
    written.write_text(yaml.safe_dump(text))
    model = onnx.load(file)
    many = [onnx.helper.make_tensor_value_info(name, 1, None) for name in ("conf_8", "conf_16", "bbox_8", "kps_8")]
    model.graph.output.extend(many)
    onnx.save(model, file)
    text["sha256"] = manifest.sha256_of(file)
    written.write_text(yaml.safe_dump(text))
    with pytest.raises(BadCard) as refused:
        add(written, file, tmp_path / "models")
    assert "  outputs.bbox_16: the file has no output 'bbox_16'; of its 7 the nearest is 'bbox_8'" in str(refused.value)


def test_inputs_that_no_operator_reads_are_no_inputs(own_models: ModuleType, tmp_path: Path) -> None:
    _, file = own_models.recogniser(tmp_path)
    model = onnx.load(file)
    model.graph.input.extend([onnx.helper.make_tensor_value_info(f"stale_{n}", 1, [64]) for n in range(30)])
    onnx.save(model, file)
    assert add(own_models.write_card(tmp_path, file), file, tmp_path / "models").name == "tiny"


def test_without_an_example_it_says_what_was_not_checked(
    own_models: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path / "cache"))
    written, file = own_models.recogniser(tmp_path)
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())

    def added() -> tuple[bool, str]:
        args = parser.parse_args(["engines", "add", str(written), str(file), "--json"])
        assert args.run(args) == 0
        printed = capsys.readouterr()
        return json.loads(printed.out)["example_checked"], printed.err

    held, printed = added()
    assert not held
    assert "not checked: whether input.mean, input.scale" in printed
    picture = np.full((1, 112, 112, 3), 90, np.uint8)
    np.save(tmp_path / "p.npy", picture)
    runner = open_runner(card("tiny"), backend="onnxruntime", threads=1)
    np.save(tmp_path / "t.npy", runner.run(picture)["template"])
    runner.close()
    own_models.write_card(tmp_path, file, example={"picture": "p.npy", "output": "t.npy"})
    assert added() == (True, "")


def test_the_command_adds_lists_and_prepares(
    own_models: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path / "cache"))
    written, file = own_models.recogniser(tmp_path, dim=512)
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())

    def lfr(*words: str) -> Any:
        args = parser.parse_args(["engines", *words, "--json"])
        assert args.run(args) == 0
        return json.loads(capsys.readouterr().out)

    assert set(lfr("add", str(written), str(file))["prepared"]) == {"fp32", "fp16"}
    row = next(row for row in lfr("list")["models"] if row["name"] == "tiny")
    assert (row["template_dim"], row["licence"], row["package"]) == (512, "CC0-1.0", "tiny.onnx")
    assert {p["precision"]: p["state"] for p in row["precisions"]}["fp16"] == "prepared"
    assert yaml.safe_load((tmp_path / "cache/models/cards/tiny.yaml").read_text())["template_dim"] == 512
    assert manifest.read(tmp_path / "cache/models")["tiny"]["fp32"].recipe == "own/2"


def test_a_card_damaged_since_it_was_added_hides_none_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path))
    kept = tmp_path / "models" / "cards" / "tiny.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text("garbage")
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    args = parser.parse_args(["engines", "list", "--json"])
    assert args.run(args) == 65
    printed = capsys.readouterr()
    assert [row["name"] for row in json.loads(printed.out)["models"]] == [
        DETECTOR_DEFAULT,
        RECOGNISER_DEFAULT,
        SCREEN_0095,
    ]
    assert str(kept) in printed.err
    assert "remove its file" in printed.err
    with pytest.raises(BadCard):
        cards()
