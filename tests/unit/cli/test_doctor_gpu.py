"""What the doctor says of a GPU: absent on a desk is fine, on a board a warning; plans are held against the board."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from device.cli.doctor import gpu as gpu_checks
from device.cli.doctor.gpu import Here, gpu, plans
from engines import manifest
from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT
from engines.places import models_dir, plans_dir
from engines.tensorrt.plans import Plan, PlanKey, Profile, description_file, plan_file

ORIN = Here("Orin", "8.7", 8_000_000_000, "10.3.0")
SFACE = card(RECOGNISER_DEFAULT)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan of 8 bytes that was built on an Orin from a model whose manifest entry is here."""
    monkeypatch.setenv("LFR_CACHE", str(tmp_path))
    models_dir().mkdir()
    plans_dir().mkdir()
    entry = manifest.Prepared(SFACE.file_name(), "ab" * 32, "cd" * 32, "sface/2")
    manifest.write(models_dir(), {SFACE.name: {"fp32": entry}})
    key = PlanKey(SFACE.name, "fp32", "ab" * 32, "10.3.0", "Orin", "8.7", Profile(1, 2, 8, 112, 112))
    plan = Plan(key, hashlib.sha256(b"the plan").hexdigest(), 2_000_000, "2026-11-24T00:00:00Z", 9.0, 1e-4)
    plan_file(plans_dir(), key).write_bytes(b"the plan")
    description_file(plans_dir(), key).write_text(plan.as_json())
    return plan


def test_a_plan_that_would_be_loaded_is_ok(built: Plan) -> None:
    (line,) = plans(ORIN, "warn")
    assert (line.level, line.text) == ("ok", "batch 1 to 8, 2.0 MB a context")


@pytest.mark.parametrize("here", [None, Here(fault="no driver"), replace(ORIN, tensorrt=None)])
def test_a_plan_without_a_gpu_to_run_it_is_a_warning(built: Plan, here: Here | None) -> None:
    (line,) = plans(here, "ok")
    assert (line.level, line.text) == ("warn", "there is no GPU with TensorRT to run it on")


def test_every_reason_not_to_load_a_plan_is_named(built: Plan) -> None:
    manifest.write(models_dir(), {})
    plan_file(plans_dir(), built.key).write_bytes(b"the pla")
    (line,) = plans(replace(ORIN, tensorrt="11.4.0.106"), "warn")
    assert line.level == "warn"
    assert line.text == (
        "built for Orin (8.7) and TensorRT 10.3.0; its prepared model has changed; "
        "its file is missing, damaged or changed"
    )
    assert line.remedy == "lfr engines build --model sface-2021dec --precision fp32"


def test_a_description_that_cannot_be_read_is_a_line_of_its_own(built: Plan) -> None:
    (plans_dir() / "other.json").write_text("{")
    lines = list(plans(ORIN, "warn"))
    assert [line.level for line in lines] == ["warn", "ok"] or [line.level for line in lines] == ["ok", "warn"]
    assert any("not a readable description" in line.text for line in lines)


def test_absence_is_fine_on_a_desk_and_a_warning_on_a_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LFR_CACHE", str(tmp_path))
    monkeypatch.setattr("device.cli.doctor.gpu.util.find_spec", lambda name: None)
    desk = {line.name: line.level for line in gpu(tmp_path / "none")}
    assert desk == dict.fromkeys(("tensorrt", "pycuda", "cuda", "plans", "jetson_utils"), "ok")
    board = tmp_path / "compatible"
    board.write_text("nvidia,tegra234")
    assert {line.name: line.level for line in gpu(board)} == dict.fromkeys(desk, "warn")


def test_a_library_that_ends_the_process_by_a_signal_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device.cli.doctor.gpu.util.find_spec", lambda name: object())
    monkeypatch.setattr(gpu_checks, "TRIAL", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    here = gpu_checks._here()
    assert here is not None
    assert here.gpu is None
    assert "ended with status -11" in here.fault
