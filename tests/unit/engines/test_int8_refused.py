"""int8 whose cost is too high, or unknown, is opened and built by nobody; the reason and fp16 are named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from device.enrolment.model_sessions import ModelSessions
from device.errors import EngineUnavailable
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, SCREEN_0095, ModelCard
from engines.errors import PrecisionRefused
from engines.graph import calibration_table as tables
from engines.graph.calibration_table import Table
from engines.plan_build import Order, build
from engines.prepare.fetch import weights_of
from engines.prepare.prepare import preparable, prepare, recipe_of
from engines.select import BACKENDS, open_runner, precisions
from engines.tensorrt.plans import Profile

SFACE = card(RECOGNISER_DEFAULT)
SIZES = {RECOGNISER_DEFAULT: None, DETECTOR_DEFAULT: (128, 128)}


def shipped() -> Table:
    found = tables.find(SFACE.name)
    assert found is not None
    return found


def costly(table: Table) -> Table:
    assert table.cost is not None
    return replace(table, cost=replace(table.cost, points=0.62, low=-1.4, high=1.41))


def unmeasured(table: Table) -> Table:
    return replace(table, cost=None)


def another(table: Table) -> Table:
    return replace(table, ranges={name: most * 1.01 for name, most in table.ranges.items()})


REFUSED = [
    (costly, r"costs 0.62 points of TPIR at FPIR 0.1% \(95 %: -1.40 to 1.41\), the limit is 0.5; use fp16"),
    (unmeasured, "was not measured; run `lfr calibrate int8 DATASET`; use fp16"),
    (another, "with another table than the one here; run `lfr engines prepare --precision int8`"),
]


@pytest.fixture
def int8_models(models_ready: Path, tmp_path: Path) -> Path:
    """A models folder in which both packaged models are prepared in int8 with the tables that ship."""
    folder = tmp_path / "models"
    shutil.copytree(models_ready, folder)
    for name in SIZES:
        prepare(card(name), weights_of(card(name)), folder, precision="int8")
    return folder


def with_table(folder: Path, change: Callable[[Table], Table]) -> Path:
    (folder / tables.file_name(SFACE.name)).write_text(change(shipped()).as_json())
    return folder


@pytest.mark.parametrize("backend", [name for name in BACKENDS if "int8" in precisions(name)])
@pytest.mark.parametrize(("change", "says"), REFUSED)
def test_no_runtime_opens_it_and_the_reason_is_given(
    int8_models: Path, change: Callable[[Table], Table], says: str, backend: str
) -> None:
    folder = with_table(int8_models, change)
    with pytest.raises(PrecisionRefused, match=says) as refused:
        open_runner(SFACE, backend=backend, threads=1, precision="int8", models=folder)
    assert refused.value.exit_status == 64
    if backend == "onnxruntime":
        open_runner(SFACE, backend=backend, threads=1, precision="fp16", models=folder).close()


@pytest.mark.parametrize(("change", "says"), REFUSED)
def test_a_worker_set_to_it_is_refused_with_the_reason(
    int8_models: Path, change: Callable[[Table], Table], says: str
) -> None:
    room = ModelSessions("onnxruntime:int8", threads=1, models=with_table(int8_models, change))
    with pytest.raises(EngineUnavailable, match=says):
        room.self_test()
    room.close()


@pytest.mark.parametrize(("change", "says"), REFUSED)
def test_no_plan_is_built_of_it(int8_models: Path, tmp_path: Path, change: Callable[[Table], Table], says: str) -> None:
    order = Order(SFACE, "int8", Profile(1, 2, 8, 112, 112), with_table(int8_models, change), tmp_path / "plans")
    with pytest.raises(PrecisionRefused, match=says):
        build(order, lambda phase, done, of: None)
    assert not (tmp_path / "plans").exists()


def test_a_table_that_is_gone_lets_nothing_be_opened(
    int8_models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tables, "PACKAGED", tmp_path / "none")
    with pytest.raises(PrecisionRefused, match="so its cost in accuracy is not known; use fp16"):
        open_runner(SFACE, backend="onnxruntime", threads=1, precision="int8", models=int8_models)


@pytest.mark.parametrize("one", [card(name) for name in SIZES], ids=lambda one: one.role)
def test_with_the_tables_that_ship_it_opens(int8_models: Path, one: ModelCard) -> None:
    verdict = json.loads((tables.PACKAGED / tables.file_name(one.name)).read_text())["cost"]["points"]
    assert verdict <= tables.COST_LIMIT_POINTS
    shape = SIZES[one.name]
    open_runner(one, backend="onnxruntime", threads=1, shape=shape, precision="int8", models=int8_models).close()


@pytest.mark.parametrize("name", [*SIZES, SCREEN_0095])
def test_the_table_that_ships_is_of_the_card_s_weights_and_recipe_and_may_be_used(name: str, tmp_path: Path) -> None:
    table = tables.find(name)
    assert table is not None
    assert (table.source_sha256, table.recipe) == (card(name).source_sha256, recipe_of(card(name)))
    assert preparable(card(name), tmp_path) == ("fp32", "fp16", "int8")
