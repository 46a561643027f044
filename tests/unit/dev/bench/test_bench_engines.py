"""`lfr bench engines` over runners of given abilities: what is measured, left out and reported."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from device.errors import UsageError
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, ModelCard
from engines.errors import EngineFailed, PlanRefused
from engines.runner import F32, U8
from tools.dev.bench import engines as bench
from tools.dev.bench.commands import register, run_bench, run_engines
from tools.dev.bench.engines import BATCHES, groups, measure, render

pytestmark = pytest.mark.slow

DRAWN = bench._pictures
MACHINE: dict[str, Any] = {"date": "2026-11-24", "cpu": "a CPU", "load_1min": 0.5}


class Opened:
    """Runners that were opened: engine and batch of each, what they were shown, how many are open at once."""

    def __init__(self, refuses: str = "") -> None:
        self.opened: list[tuple[str, str, int]] = []
        self.shown: set[tuple[int, ...]] = set()
        self.now = self.most = 0
        self._refuses = refuses

    def __call__(
        self, one: ModelCard, *, backend: str, precision: str, threads: int, shape: tuple[int, int], at_once: int
    ) -> OpenedRunner:
        if backend == self._refuses:
            raise PlanRefused("no plan; run `lfr engines build`")
        self.opened.append((one.name, f"{backend}:{precision}", at_once))
        return OpenedRunner(self, at_once)


class OpenedRunner:
    backend = "opened"

    def __init__(self, all_of_them: Opened, at_once: int) -> None:
        self._all, self._at_once = all_of_them, at_once
        self._all.now += 1
        self._all.most = max(self._all.most, self._all.now)

    def run(self, batch: U8) -> Mapping[str, F32]:
        assert len(batch) == self._at_once
        self._all.shown.add(batch.shape[1:])
        return {"template": np.zeros((len(batch), 128), np.float32)}

    def close(self) -> None:
        self._all.now -= 1


@cache
def pictures(name: str, count: int) -> U8:
    """The bench's pictures for a model, drawn once for all tests."""
    return DRAWN(card(name), count)


@pytest.fixture(autouse=True)
def two_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One CPU runtime with three precisions, one GPU with two and no exact one."""
    offers = {"onnxruntime": ("fp32", "int8", "bf16-emulated"), "tensorrt": ("fp16",)}
    monkeypatch.setattr(bench, "_pictures", lambda one, count: pictures(one.name, count))
    monkeypatch.setattr(bench, "installed", lambda name: name in offers)
    monkeypatch.setattr(bench, "precisions", lambda name: offers[name])


def measured(opener: Opened) -> dict[str, Any]:
    return {"machine": MACHINE, **measure(1, 2, lambda: None, opener)}


def test_every_precision_and_batch_of_every_runtime_is_measured_and_closed() -> None:
    opener, ticks = Opened(), []
    reported = measure(1, 2, lambda: ticks.append(1), opener)
    engines = ("onnxruntime:fp32", "onnxruntime:int8", "tensorrt:fp16")
    both = (DETECTOR_DEFAULT, RECOGNISER_DEFAULT)
    assert [(r["model"], r["engine"]) for r in reported["precisions"]] == [(m, e) for m in both for e in engines]
    assert [(r["engine"], r["batch"]) for r in reported["batches"]] == [(e, b) for e in engines for b in BATCHES]
    assert opener.shown == {(352, 640, 3), (112, 112, 3)}
    assert (opener.now, opener.most) == (0, len(BATCHES))
    assert len(ticks) == 2 * groups() == 2 * (2 + 3)
    assert reported["left_out"] == {}


def test_a_ratio_needs_an_exact_one_of_the_same_runtime() -> None:
    reported = measure(1, 2, lambda: None, Opened())
    speeds = {row["engine"]: row["speed"] for row in reported["precisions"]}
    assert speeds["onnxruntime:fp32"] == {"median": 1, "low": 1, "high": 1}
    assert speeds["onnxruntime:int8"]["median"] > 0
    assert speeds["tensorrt:fp16"] is None
    assert {row["speed"]["median"] for row in reported["batches"] if row["batch"] == 1} == {1}


def test_what_cannot_be_opened_is_left_out_with_its_reason() -> None:
    result = measured(Opened(refuses="tensorrt"))
    assert {row["engine"].partition(":")[0] for row in result["precisions"]} == {"onnxruntime"}
    text = render(result)
    assert f"left out: {RECOGNISER_DEFAULT} tensorrt:fp16 batch 8: no plan" in text
    assert f"left out: {DETECTOR_DEFAULT} tensorrt:fp16: no plan" in text


def test_the_table_has_a_line_for_each_row_and_fits_a_terminal() -> None:
    lines = render(measured(Opened())).splitlines()
    assert lines[0] == "2026-11-24 · a CPU · load before 0.5"
    assert len([line for line in lines if line.startswith((DETECTOR_DEFAULT, RECOGNISER_DEFAULT))]) == 6 + 12
    assert sum(line.endswith("   -") for line in lines) == 2
    assert max(map(len, lines)) <= 120


def test_one_round_has_no_spread_and_is_marked() -> None:
    reported = {"machine": MACHINE, **measure(1, 1, lambda: None, Opened())}
    speeds = [row["speed"] for row in reported["precisions"] if row["speed"] is not None]
    assert {(speed["low"], speed["high"]) for speed in speeds} == {(None, None)}
    text = render(reported)
    assert "1 thread(s), one round: no spread" in text
    assert " to " not in text.replace(MACHINE["date"], "")


def lfr(*words: str) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    args = parser.parse_args(["bench", *words])
    return int(args.run(args))


def test_the_command_prints_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    opener = Opened()
    monkeypatch.setattr(bench, "measure", lambda threads, rounds, tick: measure(threads, rounds, tick, opener))
    assert lfr("engines", "--rounds", "1", "--json") == 0
    reported = json.loads(capsys.readouterr().out)
    assert (reported["rounds"], reported["threads"], len(reported["precisions"])) == (1, 1, 6)
    assert reported["machine"]["cpu"]


def test_the_whole_bench_needs_no_part() -> None:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    assert parser.parse_args(["bench", "--no-latency"]).run is run_bench
    assert parser.parse_args(["bench", "engines"]).run is run_engines


def test_nothing_to_open_is_an_error_and_so_are_impossible_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_pictures", lambda one, count: pictures(one.name, count))
    monkeypatch.setattr(bench, "installed", lambda name: False)
    with pytest.raises(EngineFailed, match="none is installed"):
        lfr("engines")
    with pytest.raises(UsageError):
        lfr("engines", "--rounds", "0")
