"""The engines of a device whose detector alone is quantised by a table: to measure what that costs."""

from __future__ import annotations

from pathlib import Path

from calibration.int8_graphs import THREADS
from device.worker.engine_room import EngineRoom
from engines.cards import ModelCard, card
from engines.graph import save
from engines.prepare import rewritten
from engines.quantise import to_int8
from engines.runner import Runner
from engines.runners.onnxruntime import OnnxRuntimeRunner
from engines.table import Table


class QuantisedEyes(EngineRoom):
    """An exact EngineRoom on ONNX Runtime in which `table` quantises its one model. `folder` holds the int8 file."""

    def __init__(self, table: Table, weights: Path, folder: Path, models: Path) -> None:
        super().__init__("onnxruntime:fp32", threads=THREADS, models=models)
        self._table = table
        self._file = folder / "eyes.onnx"
        graph, inputs, outputs = rewritten(card(table.card), weights)
        to_int8(graph, table)
        save(graph, self._file, inputs, outputs)

    def _open(self, model: ModelCard, shape: tuple[int, int] | None) -> Runner:
        if model.name != self._table.card:
            return super()._open(model, shape)
        return OnnxRuntimeRunner(model, self._file, threads=THREADS, shape=shape)
