"""The engines of one process: opened once, each detector size when it is first needed, closed together.

1. A runner belongs to one thread (engines.runner); whoever needs a second thread asks for a second one.
2. At most KEPT_SIZES detectors stay open: a source that keeps changing its size does not fill the memory.
"""

from __future__ import annotations

from pathlib import Path

from device.errors import EngineUnavailable
from device.vision.detector import Detector
from device.vision.embedder import Embedder
from device.vision.refine import PATCH_PX, Refiner
from engines.cards import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, card
from engines.errors import EnginesError
from engines.runner import Runner
from engines.select import default_backend, open_runner

DETECTOR_SCORE_MIN = 0.45  # weak detections may continue a track (ByteTrack), never start one
PATCH_SCORE_MIN = 0.3  # the second look knows where the face is
KEPT_SIZES = 4


class EngineRoom:
    """Opens engines on one backend. `backend` None or "auto": the one that measures best on this machine."""

    def __init__(self, backend: str | None, *, threads: int, models: Path | None = None) -> None:
        self.backend = default_backend() if backend in (None, "auto") else str(backend)
        self._threads = threads
        self._models = models
        self._detectors: dict[tuple[int, int], Runner] = {}
        self._others: list[Runner] = []

    def detector(self, height: int, width: int) -> Detector:
        """A detector of pictures of (height, width), multiples of 32; opened or taken from those that are open."""
        runner = self._detectors.pop((height, width), None) or self._open(DETECTOR_DEFAULT, (height, width))
        self._detectors[(height, width)] = runner
        while len(self._detectors) > KEPT_SIZES:
            self._detectors.pop(next(iter(self._detectors))).close()
        return Detector(runner, score_min=DETECTOR_SCORE_MIN)

    def refiner(self) -> Refiner:
        """A second look of its own."""
        runner = self._open(DETECTOR_DEFAULT, (PATCH_PX, PATCH_PX))
        self._others.append(runner)
        return Refiner(Detector(runner, score_min=PATCH_SCORE_MIN))

    def embedder(self) -> Embedder:
        """A recogniser of its own."""
        runner = self._open(RECOGNISER_DEFAULT, None)
        self._others.append(runner)
        return Embedder(runner)

    def close(self) -> None:
        """Close every runner that was opened here."""
        for runner in (*self._detectors.values(), *self._others):
            runner.close()
        self._detectors.clear()
        self._others.clear()

    def _open(self, model: str, shape: tuple[int, int] | None) -> Runner:
        try:
            return open_runner(
                card(model), backend=self.backend, threads=self._threads, shape=shape, models=self._models
            )
        except EnginesError as fault:
            raise EngineUnavailable(str(fault)) from fault
