"""An update that brings other models, or another TensorRT: both releases find their plans until one of them goes.

What the updater does around it (build, swap, go back, power cuts) is in tests/unit/update.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from engines import manifest
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT
from engines.cli.build_command import run_configured, run_prune
from engines.errors import PlanRefused
from engines.places import models_dir, own_models_dir, plans_dir
from engines.select import BATCHES, open_runner
from engines.tensorrt.plans import NeededPlans, Profile
from tests.device_apis import emulated_tensorrt

YUNET = card(DETECTOR_DEFAULT)
SIZE = (96, 160)
FIRST, SECOND = "0.2.0", "0.3.0"


class Configured:
    """A release's program on this device."""

    def __init__(self, release: str, models: Path) -> None:
        self._needed = NeededPlans("tensorrt:fp32", ((YUNET, Profile(*BATCHES[YUNET.role], *SIZE)),), models, release)

    def needed(self, config: Path) -> NeededPlans:
        return self._needed

    def report(self, text: str, within_s: float) -> None:
        del text, within_s


def built(release: str, models: Path) -> None:
    words = argparse.Namespace(config=Path("device.yaml"), time_limit=None, force=False, json=False)
    assert run_configured(words, Configured(release, models)) == 0


def pruned(*keep: str) -> None:
    assert run_prune(argparse.Namespace(keep=list(keep))) == 0


def opens(models: Path) -> None:
    open_runner(YUNET, backend="tensorrt", threads=1, shape=SIZE, models=models).close()


@pytest.fixture
def others(models_ready: Path, tmp_path: Path) -> Path:
    """Models of the next release: the same network, in a file of other bytes."""
    folder = tmp_path / "others"
    folder.mkdir()
    path, entry = manifest.verified(YUNET, models_ready)
    network = onnx.load(path)
    network.doc_string = "of the next release"
    onnx.save(network, folder / path.name)
    known = replace(entry, sha256=manifest.sha256_of(folder / path.name))
    manifest.write(folder, manifest.with_entry({}, YUNET, "fp32", known))
    return folder


def test_plans_of_other_models_are_built_beside_those_in_use(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, others: Path
) -> None:
    built(FIRST, models_ready)
    with pytest.raises(PlanRefused, match="model sha256"):
        opens(others)
    built(SECOND, others)
    opens(others)
    opens(models_ready)
    pruned(FIRST, SECOND)
    opens(others)
    opens(models_ready)
    pruned(SECOND)
    opens(others)
    with pytest.raises(PlanRefused):
        opens(models_ready)
    assert len(list(plans_dir().glob("*.plan"))) == 1


def test_plans_of_another_tensorrt_are_built_beside_those_in_use(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its program came by apt: going back gives the old plans."""
    built(FIRST, models_ready)
    with monkeypatch.context() as upgraded:
        upgraded.setattr(sys.modules["tensorrt"], "__version__", "10.13.3.9")
        built(SECOND, models_ready)
        opens(models_ready)
    opens(models_ready)
    assert len(list(plans_dir().glob("*.plan"))) == 2


def test_nothing_is_deleted_while_the_plans_of_a_kept_release_are_unknown(
    trt: emulated_tensorrt.Behaviour, models_ready: Path, others: Path
) -> None:
    built(FIRST, models_ready)
    shutil.rmtree(plans_dir() / "used")  # of a program that kept no lists
    built(SECOND, others)
    pruned(FIRST, SECOND)
    opens(models_ready)
    opens(others)


def test_a_plan_with_the_name_of_an_older_program_is_found_and_kept(
    trt: emulated_tensorrt.Behaviour, models_ready: Path
) -> None:
    built(FIRST, models_ready)
    for path in [*plans_dir().glob("*.plan"), *plans_dir().glob("*.json")]:
        path.rename(path.with_name("yunet-2023mar.fp32.96x160" + path.suffix))
    opens(models_ready)
    pruned(FIRST)
    opens(models_ready)


def test_models_that_a_release_brought_are_used_unless_custom_ones_were_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path / "cache"))
    slot = tmp_path / "opt" / "slots" / SECOND
    (slot / "models").mkdir(parents=True)
    (tmp_path / "opt" / "current").symlink_to(f"slots/{SECOND}")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "opt" / "current"))
    assert models_dir() == own_models_dir() == tmp_path / "cache" / "models"
    (slot / "models" / "manifest.json").write_text(json.dumps({}))
    assert models_dir() == slot / "models", "by the slot's own name: a swap changes nothing for a program that runs"
    (tmp_path / "cache" / "models" / "cards").mkdir(parents=True)
    (tmp_path / "cache" / "models" / "cards" / "own.yaml").touch()
    assert models_dir() == own_models_dir()
