"""Variants of one model's graph, written to a temporary folder and opened on ONNX Runtime: to look inside or to try."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from engines.cards.model_card import ModelCard
from engines.graph.calibration_table import Table
from engines.graph.onnx_graph import Graph, Value, save
from engines.graph.quantise import quantised_layers, to_int8
from engines.prepare.prepare import rewritten
from engines.runner import Runner
from engines.runners.onnxruntime import OnnxRuntimeRunner

THREADS = 2


class Variants:
    """One model: its exact graph, and runners of changed ones. Files are gone when the `opened` block ends."""

    def __init__(self, card: ModelCard, weights: Path, folder: Path, shape: tuple[int, int] | None) -> None:
        self.card = card
        self.weights = weights
        self._folder = folder
        self._shape = shape
        self._numbers = itertools.count()

    def graph(self) -> Graph:
        """A fresh copy of the exact graph."""
        return rewritten(self.card, self.weights)[0]

    def layers(self) -> list[str]:
        """What may be quantised, by output name."""
        return [node.outputs[0] for node in quantised_layers(self.graph())]

    @contextmanager
    def runner(self, change: Callable[[Graph], None], watched: Sequence[str] = ()) -> Iterator[Runner]:
        """A runner of the graph after `change`, which also gives the tensors `watched`, inputs of Conv and Gemm."""
        graph, inputs, outputs = rewritten(self.card, self.weights)
        change(graph)
        rank = {node.inputs[0]: 2 if node.op == "Gemm" else 4 for node in graph.nodes if node.op in ("Conv", "Gemm")}
        graph.outputs = [*graph.outputs, *watched]
        path = self._folder / f"{next(self._numbers)}.onnx"
        save(graph, path, inputs, [*outputs, *(Value(name, np.float32, (None,) * rank[name]) for name in watched)])
        card = replace(self.card, outputs={**self.card.outputs, **dict.fromkeys(watched, "an inner tensor")})
        runner = OnnxRuntimeRunner(card, path, threads=THREADS, shape=self._shape)
        path.unlink()
        try:
            yield runner
        finally:
            runner.close()

    @contextmanager
    def quantised(self, table: Table) -> Iterator[Runner]:
        """A runner of the int8 graph that `table` makes."""
        with self.runner(lambda graph: to_int8(graph, table)) as runner:
            yield runner


@contextmanager
def opened(card: ModelCard, weights: Path, shape: tuple[int, int] | None) -> Iterator[Variants]:
    """Variants of a model; `shape` is that of the pictures of a detector."""
    with tempfile.TemporaryDirectory(prefix="lfr-int8-") as folder:
        yield Variants(card, weights, Path(folder), shape)
