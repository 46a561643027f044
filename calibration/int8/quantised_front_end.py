"""A device's engines with only the detector quantised by a table: to measure its cost."""

from __future__ import annotations

from pathlib import Path

from calibration.int8.graph_variants import THREADS
from device.enrolment.model_sessions import ModelSessions
from engines.cards.catalogue import card
from engines.cards.model_card import ModelCard
from engines.graph.calibration_table import Table
from engines.graph.onnx_graph import save
from engines.graph.quantise import to_int8
from engines.prepare.prepare import rewritten
from engines.runner import Runner
from engines.runners.onnxruntime import OnnxRuntimeRunner


class QuantisedFrontEnd(ModelSessions):
    """Exact ModelSessions on ONNX Runtime in which `table` quantises its one model. `folder` holds the int8 file."""

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
