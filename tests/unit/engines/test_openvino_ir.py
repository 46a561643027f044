"""OpenVINO IR as the same prepared ONNX: what OpenVINO computes from it, and what is refused."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from device.enrolment.model_sessions import ModelSessions
from device.errors import EngineUnavailable
from engines.cards.catalogue import card
from engines.cards.model_card import SCREEN_0095
from engines.cli import commands
from engines.errors import BadModel, BadOption, FetchFailed, PublishedMismatch, WeightsMissing
from engines.graph import openvino_ir
from engines.prepare import published
from engines.prepare.fetch import weights_of
from engines.prepare.prepare import prepare, recipe_of
from engines.select import open_runner
from engines.verify.golden import read as golden_tensors
from tests.unit.engines.ir_models import DIM, SIDE, card_of, written


def openvino_answer(xml: Path, bgr: np.ndarray) -> np.ndarray:
    """The IR itself in OpenVINO, fp32."""
    import openvino

    core = openvino.Core()
    network = core.compile_model(core.read_model(str(xml)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(network(bgr)[0]).reshape(-1)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_prepared_file_answers_as_the_ir_does(backend: str, tmp_path: Path) -> None:
    xml = written(tmp_path)
    one = card_of(xml)
    entry = prepare(one, xml, tmp_path / "models")
    assert entry.source_sha256 == one.source_sha256
    runner = open_runner(one, backend=backend, threads=1, models=tmp_path / "models")
    rgb = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    ours = np.array(runner.run(rgb)["template"][0], np.float64)
    bgr = np.ascontiguousarray(rgb[..., ::-1].transpose(0, 3, 1, 2)).astype(np.float32)
    theirs = openvino_answer(xml, bgr).astype(np.float64)
    assert ours.shape == (DIM,)
    assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) >= 0.9999999
    wrong = openvino_answer(xml, np.ascontiguousarray(bgr[:, ::-1])).astype(np.float64)
    assert ours @ wrong / np.linalg.norm(ours) / np.linalg.norm(wrong) < 0.9999


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[: len(text) // 2], "cut off"),
        (lambda text: text.replace('type="Sigmoid"', 'type="HSwish"'), "operator HSwish"),
        (lambda text: text.replace('version="11"', 'version="7"'), "version 10 or 11"),
        (lambda text: text.replace('element_type="f16"', 'element_type="u4"', 1), "u4"),
        (lambda text: text.replace('auto_pad="explicit"', 'auto_pad="same_upper"', 1), "explicit padding"),
        (lambda text: text.replace('shape="4, 3, 3, 3"', 'shape="4, 3, 3, 5"'), "does not have"),
        (lambda text: text.replace("<edge ", "<edgy ", 3), "damaged OpenVINO IR"),
        (lambda text: '<!DOCTYPE net [<!ENTITY a "b">]>' + text, "DTD"),
        (lambda text: text.replace('type="Result"', 'type="Sink"'), "one input and one output"),
    ],
)
def test_a_damaged_ir_is_refused_with_what_is_wrong(change: Callable[[str], str], words: str, tmp_path: Path) -> None:
    xml = written(tmp_path)
    before = xml.read_text()
    xml.write_text(change(before))
    assert xml.read_text() != before
    with pytest.raises(BadModel, match=words) as fault:
        openvino_ir.load(xml)
    assert "--from FOLDER" in str(fault.value)


def test_weights_that_were_cut_off_or_are_missing_are_refused(tmp_path: Path) -> None:
    xml = written(tmp_path)
    binary = xml.with_suffix(".bin")
    content = binary.read_bytes()
    binary.write_bytes(content[:-2])
    with pytest.raises(BadModel, match="cut off"):
        openvino_ir.load(xml)
    binary.write_bytes(b"\xff" * len(content))
    with pytest.raises(BadModel, match="NaN or infinity"):
        openvino_ir.load(xml)
    binary.unlink()
    with pytest.raises(BadModel, match="cannot be read"):
        openvino_ir.load(xml)


def test_an_ir_of_other_sizes_than_the_card_says_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    xml = written(tmp_path)
    with pytest.raises(BadModel, match="while the card"):
        prepare(replace(card_of(xml), template_dim=DIM + 1), xml, tmp_path / "models")


def test_the_packaged_card_states_colour_template_size_and_publisher() -> None:
    one = card(SCREEN_0095)
    assert (one.channels, one.input_size, one.template_dim) == ("BGR", (128, 128), 256)
    assert one.points is not None
    assert len(one.points) == 5
    assert one.optional
    assert published.source_of(one).address.startswith("https://")
    golden = golden_tensors(one)
    assert (golden.source_sha256, golden.recipe) == (one.source_sha256, recipe_of(one))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_published_files_come_from_a_folder_or_from_the_address_and_nothing_is_fetched_unasked(
    cache: Path, tmp_path: Path
) -> None:
    xml = written(tmp_path / "theirs" / "FP16")
    one = card_of(xml)
    with pytest.raises(WeightsMissing, match="--from FOLDER"):
        weights_of(one)
    path = published.fetch(one, folder=tmp_path / "theirs")
    assert path.read_bytes() == xml.read_bytes()
    assert weights_of(one) == path
    path.unlink()
    asked: list[str] = []

    def download(address: str, most: int) -> bytes:
        asked.append(address)
        return (xml.parent / address.rpartition("/")[2]).read_bytes()

    assert published.fetch(one, download=download) == path
    assert asked == ["https://publisher.invalid/tiny/tiny.xml", "https://publisher.invalid/tiny/tiny.bin"]
    asked.clear()
    published.fetch(one, download=download)
    assert not asked


def test_a_published_file_of_another_release_is_refused_and_none_is_kept(cache: Path, tmp_path: Path) -> None:
    xml = written(tmp_path / "theirs")
    one = card_of(xml)
    xml.with_suffix(".bin").write_bytes(b"another release")
    with pytest.raises(PublishedMismatch, match="another release"):
        published.fetch(one, folder=tmp_path / "theirs")
    assert not list(cache.rglob("tiny*"))
    with pytest.raises(FetchFailed, match="holds no"):
        published.fetch(one, folder=cache.parent / "theirs" / "deeper")


def test_a_published_file_that_was_damaged_here_is_not_used(cache: Path, tmp_path: Path) -> None:
    one = card_of(written(tmp_path / "theirs"))
    path = published.fetch(one, folder=tmp_path / "theirs")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PublishedMismatch):
        weights_of(one)
    published.fetch(one, folder=tmp_path / "theirs")
    assert weights_of(one) == path


def test_a_publisher_is_asked_by_https_alone(cache: Path, tmp_path: Path) -> None:
    one = card_of(written(tmp_path / "theirs"), address="http://publisher.invalid/tiny")
    with pytest.raises(FetchFailed, match="only https"):
        published.fetch(one)


def test_a_packaged_model_has_no_publisher() -> None:
    with pytest.raises(BadOption, match="does not come as files of a publisher"):
        published.fetch(card("sface-2021dec"))


def lfr(*words: str) -> int:
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    args = parser.parse_args(["engines", *words])
    return int(args.run(args))


def test_the_command_fetches_by_name_from_a_folder_and_refuses_a_folder_for_anything_else(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    xml = written(tmp_path / "theirs")
    one = card_of(xml)
    monkeypatch.setattr(commands, "card", lambda name: one if name == one.name else card(name))
    with pytest.raises(FetchFailed, match=r"holds no tiny\.xml, nor does a folder in it"):
        lfr("fetch", one.name, "--from", str(tmp_path / "empty"))
    assert lfr("fetch", one.name, "--from", str(tmp_path / "theirs"), "--json") == 0
    fetched = Path(json.loads(capsys.readouterr().out)[one.name])
    assert fetched.read_bytes() == xml.read_bytes()
    for words in ([], ["sface-2021dec"], [one.name, "sface-2021dec"]):
        with pytest.raises(BadOption, match="--from takes files of a publisher: name the model"):
            lfr("fetch", *words, "--from", str(tmp_path / "theirs"))


@pytest.mark.slow
def test_a_published_model_that_is_not_here_is_named_with_the_command_that_fetches_it(
    models_ready: Path, tmp_path: Path
) -> None:
    """As vision.screen, by a worker, a replay and `lfr doctor --self-test`, which open the same sessions."""
    for name in ("sface-2021dec", "yunet-2023mar"):
        (tmp_path / f"{name}.onnx").symlink_to(models_ready / f"{name}.onnx")
    (tmp_path / "manifest.json").symlink_to(models_ready / "manifest.json")
    sessions = ModelSessions("onnxruntime:fp32", threads=1, models=tmp_path, screen=SCREEN_0095)
    remedy = rf"no such prepared model; run `lfr engines fetch {SCREEN_0095}`, then `lfr engines prepare`"
    with pytest.raises(EngineUnavailable, match=remedy):
        sessions.self_test()
    sessions.close()
    alone = ModelSessions("onnxruntime:fp32", threads=1, models=tmp_path)
    assert alone.self_test() == "", "SFace alone runs without it"
    alone.close()
