"""The engines of one process: opened once, each detector size when it is first needed, closed together.

1. A runner belongs to one thread (engines.runner); a second thread needs a runner of its own. On a GPU all of
   them belong to one thread (`one_thread`).
2. At most KEPT_SIZES detectors stay open: a source that keeps changing its size does not fill the memory.
3. On a GPU this object holds the device's context, and the memory that its engines share in turn, from its first
   engine to `close`. Engines that read frames on the GPU are made for one size of frame, which is known once the camera
   is open: until then engines that take arrays verify GPU, runtime and models; they are closed when the others are
   open. Those must agree with the golden tensors, too, before they get a face.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from device.domain.recognisers import Recognisers
from device.errors import EngineUnavailable, UsageError
from device.vision.align import Alignment
from device.vision.detector import SIZE_MULTIPLE, DetectionSize, Detector
from device.vision.embedder import Embedder
from device.vision.face_front_end import FaceFrontEnd, HostFrontEnd
from device.vision.face_front_end_sampled import SampledFrontEnd, SampledRunners
from device.vision.pair import ScreenList
from device.vision.refine import PATCH_PX, Refiner
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, ModelCard, Role
from engines.errors import EnginesError, UnknownName
from engines.graph.sampling import Pasted
from engines.places import models_dir
from engines.prepare.prepare import recipe_of
from engines.runner import Runner, SampledRunner
from engines.select import (
    GPU_BACKEND,
    default_backend,
    default_precision,
    open_runner,
    open_sampled,
    precisions,
)
from engines.verify.golden import disagreement

if TYPE_CHECKING:
    from engines.tensorrt.cuda import Gpu, Scratch

Opened = TypeVar("Opened")

DETECTOR_SCORE_MIN = 0.45  # weak detections may continue a track (ByteTrack), never start one
PATCH_SCORE_MIN = 0.3  # the second look knows the face's position
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
    """Whether a Ctrl-C caused it: an import of a binding turns one into an ImportError."""
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
    if role == "recogniser" and found.input_size != (112, 112) and found.points is None:
        raise UsageError(
            f"{name} takes {found.input_size} pixels and its card does not say where the five landmarks lie in them; "
            "without that, crops are aligned to 112 x 112"
        )
    if role == "detector" and (found.input_size is not None or SIZE_MULTIPLE % found.multiple_of):
        raise UsageError(f"{name} must take any size that is a multiple of {SIZE_MULTIPLE}; its card says otherwise")
    return found


def chosen_recognisers(recogniser: str | None, screen: str | None, models: Path | None = None) -> Recognisers:
    """One recogniser, or a pair when `screen` names one.

    Raises UsageError as `chosen_card` does, and for a pair of a model with itself.
    """
    main = chosen_card(recogniser, "recogniser", models)
    if screen is None:
        return Recognisers(main)
    other = chosen_card(screen, "recogniser", models)
    if other.source_sha256 == main.source_sha256:
        raise UsageError(f"the screen and the recogniser are both {main.name}: a pair is of two different recognisers")
    return Recognisers(main, other)


class ModelSessions:
    """Opens engines on one backend, written as `resolved` says. Its refiner and embedder are made once."""

    def __init__(
        self,
        backend: str | None,
        *,
        threads: int,
        models: Path | None = None,
        detector: str | None = None,
        recogniser: str | None = None,
        screen: str | None = None,
    ) -> None:
        """`detector` and `recogniser` name cards, packaged or added; None is the default one. `screen`: none."""
        self.backend = resolved(backend)
        self.detector_card = chosen_card(detector, "detector", models)
        self.recognisers = chosen_recognisers(recogniser, screen, models)
        self._threads = threads
        self._models = models
        self._detectors: dict[tuple[int, int], Runner] = {}
        self._others: dict[str, Runner] = {}
        self._refiner: Refiner | None = None
        self._embedders: dict[str, Embedder] = {}
        self._sampled: SampledRunners | None = None
        self._gpu: Gpu | None = None
        self._scratch: Scratch | None = None

    @property
    def one_thread(self) -> bool:
        """Whether everything here must run in the thread that opened it (a GPU)."""
        return self.backend.partition(":")[0] == GPU_BACKEND

    @property
    def gpu_free_bytes(self) -> int | None:
        """Free memory of the GPU, all programs together; None without one. Call it in the owner's thread."""
        if self._gpu is None:
            return None
        with self._gpu.current("asking for free memory"):
            return self._gpu.free_bytes()

    def front_end(self, min_face_px: float, *, packed: bool = False, listed: ScreenList | None = None) -> FaceFrontEnd:
        """The front end of a camera's pipeline.

        packed  its frames are RGB that the GPU can read: on a GPU the networks read them there (rule 3)
        listed  the list that a pair's screen is compared with; None: no gate
        """
        if packed and self.one_thread:
            return self.sampled_front_end(min_face_px, listed=listed)
        return HostFrontEnd(
            self.detector,
            self.refiner(),
            self.embedders(),
            recognisers=self.recognisers,
            min_face_px=min_face_px,
            listed=listed,
        )

    def sampled_front_end(self, min_face_px: float, *, listed: ScreenList | None = None) -> SampledFrontEnd:
        """The front end whose networks make their own pictures from packed frames."""
        return SampledFrontEnd(
            self._open_sampled,
            on_gpu=self.one_thread,
            min_face_px=min_face_px,
            recognisers=self.recognisers,
            listed=listed,
        )

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
        """The recogniser; of a pair the main one."""
        return self.embedders()[self.recognisers.main.name]

    def embedders(self) -> Mapping[str, Embedder]:
        """The recognisers by name of their card."""
        for chosen in self.recognisers.cards:
            if chosen.name not in self._embedders:
                runner = self._open(chosen, None)
                self._others[chosen.name] = runner
                self._embedders[chosen.name] = Embedder(
                    runner, chosen.length_of_template, chosen.lengths, Alignment.of(chosen)
                )
        return self._embedders

    def self_test(self) -> str:
        """How the second look's and each recogniser's engine differ from the golden tensors; empty when not.

        Synthetic faces only; they are overwritten by a blank. Takes two inferences of each.
        """
        self.refiner()
        self.embedders()
        recognisers = {one.name: self._others[one.name] for one in self.recognisers.cards}
        return self._disagreement(self._others[self.detector_card.name], recognisers)

    def _disagreement(self, second_look: Runner, recognisers: Mapping[str, Runner]) -> str:
        precision = self.backend.partition(":")[2]
        folder = self._models if self._models is not None else models_dir()
        pairs = [(self.detector_card, second_look)]
        pairs += [(one, recognisers[one.name]) for one in self.recognisers.cards]
        found = [disagreement(one, runner, precision, recipe_of(one), folder) for one, runner in pairs]
        return "; ".join(filter(None, found))

    def drop_detectors(self) -> None:
        """Close the detectors of every size."""
        for runner in self._detectors.values():
            runner.close()
        self._detectors.clear()

    def close(self) -> None:
        """Close every runner that was opened here, and release the GPU."""
        with ExitStack() as ending:  # last in, first out; one that fails does not keep the others open
            if self._gpu is not None:
                ending.callback(self._gpu.close)
            if self._scratch is not None:
                ending.callback(self._scratch.free)
            if self._sampled is not None:
                ending.callback(self._sampled.close)
            ending.callback(self._close_others)
            ending.callback(self.drop_detectors)
        self._gpu = self._scratch = self._sampled = None

    def _close_others(self) -> None:
        """Close the engines of the second look and of the recogniser that take arrays."""
        self._refiner = None
        self._embedders = {}
        for runner in self._others.values():
            runner.close()
        self._others.clear()

    def _open(self, model: ModelCard, shape: tuple[int, int] | None) -> Runner:
        name, _, precision = self.backend.partition(":")
        return self._opened(
            lambda: open_runner(
                model,
                backend=name,
                threads=self._threads,
                shape=shape,
                precision=precision,
                models=self._models,
                scratch=self._scratch,
            )
        )

    def _open_sampled(self, frame_size: tuple[int, int], fit: DetectionSize) -> SampledRunners:
        """Engines that read frames on the GPU (rule 3). EngineUnavailable, also when golden tensors disagree."""
        name, _, precision = self.backend.partition(":")
        last, self._sampled = self._sampled, None
        if last is not None:
            last.close()

        with ExitStack() as failing:

            def opened(model: ModelCard, shape: tuple[int, int] | None = None) -> SampledRunner:
                runner = self._opened(
                    lambda: open_sampled(
                        model,
                        backend=name,
                        threads=self._threads,
                        frame_size=frame_size,
                        shape=shape,
                        precision=precision,
                        models=self._models,
                        scratch=self._scratch,
                    )
                )
                failing.callback(runner.close)
                return runner

            sampled = SampledRunners(
                detector=opened(self.detector_card, (fit.height, fit.width)),
                second_look=opened(self.detector_card, (PATCH_PX, PATCH_PX)),
                recognisers={one.name: opened(one) for one in self.recognisers.cards},
                fit=fit,
                score_min=DETECTOR_SCORE_MIN,
                patch_score_min=PATCH_SCORE_MIN,
            )
            pasted = {name: Pasted(runner) for name, runner in sampled.recognisers.items()}
            wrong = self._disagreement(Pasted(sampled.second_look), pasted)
            if wrong:
                size = f"{frame_size[0]}x{frame_size[1]}"
                raise EngineUnavailable(f"engines for frames of {size} are wrong: {wrong}; run `lfr engines build`")
            failing.pop_all()
        self._sampled = sampled
        self._close_others()
        return sampled

    def _opened(self, opening: Callable[[], Opened]) -> Opened:
        """An engine, with its errors translated; the GPU's context before the first one (rule 3)."""
        try:
            if self.one_thread and self._gpu is None:
                from engines.tensorrt.cuda import Gpu, Scratch

                self._gpu = Gpu()
                self._scratch = Scratch(self._gpu)
            return opening()
        except EnginesError as fault:
            if _was_interrupted(fault):
                raise KeyboardInterrupt from fault
            raise EngineUnavailable(str(fault)) from fault
