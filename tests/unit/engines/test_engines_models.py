"""Cards, places, the manifest, preparation: what vouches for a model file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from engines import manifest, places
from engines.cards.catalogue import card, cards
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, PackageSource, Tolerance
from engines.errors import BadModel, CacheUnwritable, ModelMismatch, ModelMissing, UnknownName
from engines.places import cache_dir, models_dir, writing
from engines.prepare.prepare import RECIPES, prepare
from engines.select import BACKENDS, default_backend, default_precision, installed, open_runner, precisions


def test_every_card_says_where_it_comes_from_and_under_which_licence() -> None:
    for one in cards():
        assert one.licence
        assert one.training_data
        assert one.recipe in RECIPES
        assert len(one.source_sha256) == 64
        if not one.optional:
            assert isinstance(one.source, PackageSource)
            assert len(one.source.archive_sha256) == 64
        assert (one.role == "recogniser") == (one.template_dim is not None)


def test_sface_admits_that_its_training_set_is_undocumented() -> None:
    assert "undocumented" in card(RECOGNISER_DEFAULT).training_data


def test_an_unknown_card_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match=DETECTOR_DEFAULT) as fault:
        card("yunet")
    assert fault.value.exit_status == 64


def test_a_tolerance_without_cosine_looks_at_the_difference_alone() -> None:
    assert Tolerance(max_abs=1e-3, min_cosine=None).allows(1e-4, cosine=0.1)
    assert not Tolerance(max_abs=1e-3, min_cosine=0.9).allows(1e-4, cosine=0.1)
    assert not Tolerance(max_abs=1e-3, min_cosine=None).allows(float("nan"), cosine=1.0)


def test_the_cache_is_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    assert models_dir() == tmp_path / "models"
    monkeypatch.delenv("LFR_CACHE")
    assert cache_dir().name == ".cache"


def test_an_installed_program_finds_the_services_own_cache_for_any_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LFR_CACHE", raising=False)
    monkeypatch.setattr(places, "__file__", str(tmp_path / "site-packages" / "engines" / "places.py"))
    monkeypatch.setattr(places, "INSTALLED", tmp_path / "cache")
    assert cache_dir() == Path.home() / ".cache" / "lfr"
    (tmp_path / "cache").mkdir()
    assert cache_dir() == tmp_path / "cache"


def test_a_cache_that_is_a_file_is_reported_with_the_variable_to_set(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(CacheUnwritable, match="LFR_CACHE"), writing(tmp_path / "cache" / "models"):
        raise AssertionError("the block must not be entered")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A network shaped like SFace as packaged, two layers small: Conv without bias, BatchNorm, PRelu, Gemm."""
    rng = np.random.default_rng(0)
    values = {
        "w": rng.normal(size=(2, 3, 3, 3)),
        "gamma": rng.uniform(0.5, 1, 2),
        "beta": rng.normal(size=2),
        "mean": rng.normal(size=2),
        "var": rng.uniform(0.5, 1, 2),
        "slope": rng.uniform(0, 0.5, (2, 1, 1)),
        "fc": rng.normal(size=(128, 2 * 112 * 112)) * 1e-4,
        "fcb": rng.normal(size=128),
    }
    make = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            make("Conv", ["data", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            make("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["n"]),
            make("PRelu", ["n", "slope"], ["p"]),
            make("Flatten", ["p"], ["f"]),
            make("Gemm", ["f", "fc", "fcb"], ["fc1"], transB=1),
        ],
        "tiny",
        [onnx.helper.make_tensor_value_info("data", onnx.TensorProto.FLOAT, [1, 3, 112, 112])],
        [onnx.helper.make_tensor_value_info("fc1", onnx.TensorProto.FLOAT, [1, 128])],
        [onnx.numpy_helper.from_array(array.astype(np.float32), name) for name, array in values.items()],
    )
    path = tmp_path / "tiny.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_preparing_twice_writes_once_and_gives_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    one = card(RECOGNISER_DEFAULT)
    first = prepare(one, tiny, tmp_path / "a")
    written = (tmp_path / "a" / one.file_name()).stat().st_mtime_ns
    assert prepare(one, tiny, tmp_path / "a") == first
    assert (tmp_path / "a" / one.file_name()).stat().st_mtime_ns == written
    assert prepare(one, tiny, tmp_path / "b").sha256 == first.sha256
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["manifest.json", one.file_name()]


def test_a_damaged_file_is_prepared_again(tiny: Path, tmp_path: Path) -> None:
    one, models = card(RECOGNISER_DEFAULT), tmp_path / "models"
    entry = prepare(one, tiny, models)
    (models / one.file_name()).write_bytes(b"damaged")
    assert prepare(one, tiny, models) == entry
    assert manifest.verified(one, models)[1] == entry


def test_a_prepared_file_takes_uint8_pictures_and_is_of_the_promised_opset(tiny: Path, tmp_path: Path) -> None:
    one = card(RECOGNISER_DEFAULT)
    prepare(one, tiny, tmp_path)
    model = onnx.load(tmp_path / one.file_name())
    assert [i.name for i in model.graph.input] == ["crops"]
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)


def test_weights_that_are_no_yunet_are_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(BadModel):
        prepare(card(DETECTOR_DEFAULT), tiny, tmp_path / "models")
    assert not (tmp_path / "models" / "manifest.json").exists()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_changed_model_file_is_not_opened(tiny: Path, tmp_path: Path, backend: str) -> None:
    one = card(RECOGNISER_DEFAULT)
    prepare(one, tiny, tmp_path)
    with (tmp_path / one.file_name()).open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(ModelMismatch, match="lfr engines prepare --force") as fault:
        open_runner(one, backend=backend, threads=1, models=tmp_path)
    assert fault.value.exit_status == 69
    assert fault.value.wanted != fault.value.found


def test_a_model_that_was_never_prepared_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="lfr engines prepare") as fault:
        open_runner(card(RECOGNISER_DEFAULT), backend="onnxruntime", threads=1, models=tmp_path)
    assert fault.value.exit_status == 69


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1, "models": {}}', '{"format": 2, "models": {"x": {"fp32": {"file": 1}}}}']
)
def test_a_damaged_manifest_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / manifest.MANIFEST).write_text(text)
    assert manifest.read(tmp_path) == {}


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    entries = {"m": {"fp32": manifest.Prepared("m.onnx", "a" * 64, "b" * 64, "sface/2")}}
    manifest.write(tmp_path, entries)
    assert manifest.read(tmp_path) == entries
    assert json.loads((tmp_path / manifest.MANIFEST).read_text())["format"] == manifest.FORMAT


def test_an_unknown_backend_or_precision_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="openvino, onnxruntime"):
        open_runner(card(RECOGNISER_DEFAULT), backend="tensorflow", threads=1, models=tmp_path)
    with pytest.raises(UnknownName, match="fp32"):
        open_runner(card(RECOGNISER_DEFAULT), backend="openvino", threads=1, precision="int2", models=tmp_path)
    with pytest.raises(UnknownName):
        installed("caffe")


def test_bf16_is_offered_only_by_openvino_and_only_where_the_cpu_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr("engines.select.CPU_INFO", info)
    assert precisions("openvino") == ("fp32", "fp16")
    info.write_text("processor: 0\nflags : fpu avx2 avx512f\n")
    assert default_precision("openvino") == "fp32"
    info.write_text("processor: 0\nflags : fpu avx2 avx512_bf16\n")
    assert precisions("openvino") == ("fp32", "bf16", "fp16")
    assert default_precision("openvino") == "bf16"
    assert "bf16" not in precisions("onnxruntime")
    assert default_precision("onnxruntime") == "fp32"


def test_the_default_backend_is_openvino_only_where_it_is_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert default_backend() == "onnxruntime"
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert default_backend() == ("openvino" if installed("openvino") else "onnxruntime")
    monkeypatch.setattr("engines.select.find_spec", lambda name: None)
    assert default_backend() == "onnxruntime"
