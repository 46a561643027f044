"""The engines of one process: opened once, each detector size when it is first needed, closed together.

1. A runner belongs to one thread (engines.runner); whoever needs a second thread asks for a second one.
2. At most KEPT_SIZES detectors stay open: a source that keeps changing its size does not fill the memory.
"""

from __future__ import annotations

from pathlib import Path

from device.errors import EngineUnavailable, UsageError
from device.vision.detector import SIZE_MULTIPLE, Detector
from device.vision.embedder import TEMPLATE_DIM, Embedder
from device.vision.refine import PATCH_PX, Refiner
from engines.cards import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, ModelCard, Role, card
from engines.errors import EnginesError, UnknownName
from engines.golden import disagreement
from engines.places import models_dir
from engines.prepare import recipe_of
from engines.runner import Runner
from engines.select import default_backend, default_precision, open_runner, precisions

DETECTOR_SCORE_MIN = 0.45  # weak detections may continue a track (ByteTrack), never start one
PATCH_SCORE_MIN = 0.3  # the second look knows where the face is
KEPT_SIZES = 4


def resolved(backend: str | None) -> str:
    """A backend as `name:precision`. None or "auto": the fastest on this machine; a bare name: its exact precision.

    Raises UsageError for a name or precision that there is not, EngineUnavailable for a runtime that is missing.
    """
    try:
        if backend in (None, "auto"):
            name = default_backend()
            return f"{name}:{default_precision(name)}"
        name, _, precision = str(backend).partition(":")
        if precision and precision not in precisions(name):
            raise UnknownName(f"precision of {name} on this machine", precision, precisions(name))
        return f"{name}:{precision or precisions(name)[0]}"
    except UnknownName as fault:
        raise UsageError(str(fault)) from fault
    except EnginesError as fault:
        raise EngineUnavailable(str(fault)) from fault


def _was_interrupted(fault: BaseException | None) -> bool:
    """Whether a Ctrl-C is at the bottom of it: a binding that is being imported turns one into an ImportError."""
    return fault is not None and (isinstance(fault, KeyboardInterrupt) or _was_interrupted(fault.__cause__))


def chosen_card(name: str | None, role: Role, models: Path | None = None) -> ModelCard:
    """The card of that name, None the default of the role.

    Raises UsageError when there is none or it is of another role or cannot be used here.
    """
    name = name or {"detector": DETECTOR_DEFAULT, "recogniser": RECOGNISER_DEFAULT}[role]
    try:
        found = card(name, models)
    except EnginesError as fault:
        raise UsageError(str(fault)) from fault
    if found.role != role:
        raise UsageError(f"{name} is a {found.role}; a {role} is needed here, see `lfr engines list`")
    if role == "recogniser" and found.input_size != (112, 112):
        raise UsageError(f"{name} takes {found.input_size} pixels; crops are aligned to 112 x 112 here")
    if role == "detector" and (found.input_size is not None or SIZE_MULTIPLE % found.multiple_of):
        raise UsageError(f"{name} must take any size that is a multiple of {SIZE_MULTIPLE}; its card says otherwise")
    return found


class EngineRoom:
    """Opens engines on one backend, written as `resolved` says. Its refiner and embedder are made once."""

    def __init__(
        self,
        backend: str | None,
        *,
        threads: int,
        models: Path | None = None,
        detector: str | None = None,
        recogniser: str | None = None,
    ) -> None:
        """`detector` and `recogniser` name cards, packaged or added; None is the default one."""
        self.backend = resolved(backend)
        self.detector_card = chosen_card(detector, "detector", models)
        self.recogniser_card = chosen_card(recogniser, "recogniser", models)
        self._threads = threads
        self._models = models
        self._detectors: dict[tuple[int, int], Runner] = {}
        self._others: dict[str, Runner] = {}
        self._refiner: Refiner | None = None
        self._embedder: Embedder | None = None

    def detector(self, height: int, width: int) -> Detector:
        """A detector of pictures of (height, width), multiples of 32; opened or taken from those that are open."""
        runner = self._detectors.pop((height, width), None) or self._open(self.detector_card, (height, width))
        self._detectors[(height, width)] = runner
        while len(self._detectors) > KEPT_SIZES:
            self._detectors.pop(next(iter(self._detectors))).close()
        return Detector(runner, score_min=DETECTOR_SCORE_MIN)

    def refiner(self) -> Refiner:
        """The second look."""
        if self._refiner is None:
            runner = self._open(self.detector_card, (PATCH_PX, PATCH_PX))
            self._others[self.detector_card.name] = runner
            self._refiner = Refiner(Detector(runner, score_min=PATCH_SCORE_MIN))
        return self._refiner

    def embedder(self) -> Embedder:
        """The recogniser."""
        if self._embedder is None:
            runner = self._open(self.recogniser_card, None)
            self._others[self.recogniser_card.name] = runner
            chosen = self.recogniser_card
            self._embedder = Embedder(runner, chosen.template_dim or TEMPLATE_DIM, chosen.lengths)
        return self._embedder

    def self_test(self) -> str:
        """How the engines of the second look and of the recogniser differ from the golden tensors; empty if not at all.

        Drawn faces only; they are overwritten by a blank. Takes four inferences.
        """
        self.refiner()
        self.embedder()
        precision = self.backend.partition(":")[2]
        folder = self._models if self._models is not None else models_dir()
        found = [
            disagreement(one, self._others[one.name], precision, recipe_of(one), folder)
            for one in (self.detector_card, self.recogniser_card)
        ]
        return "; ".join(filter(None, found))

    def drop_detectors(self) -> None:
        """Close the detectors of every size."""
        for runner in self._detectors.values():
            runner.close()
        self._detectors.clear()

    def close(self) -> None:
        """Close every runner that was opened here."""
        self.drop_detectors()
        for runner in self._others.values():
            runner.close()
        self._others.clear()

    def _open(self, model: ModelCard, shape: tuple[int, int] | None) -> Runner:
        name, _, precision = self.backend.partition(":")
        try:
            return open_runner(
                model,
                backend=name,
                threads=self._threads,
                shape=shape,
                precision=precision,
                models=self._models,
            )
        except EnginesError as fault:
            if _was_interrupted(fault):
                raise KeyboardInterrupt from fault
            raise EngineUnavailable(str(fault)) from fault
