"""models: list, fetch, prepare, add, compare, build

This floor adds to `lfr engines` what `engines` cannot know: how to measure faces (`compare A B --faces DATASET`), at
what size a worker detects a camera's frames (`build --frame`), which plans a configuration needs (`build --config`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from engines.cards.model_card import ModelCard
from engines.cli import commands as engines_commands
from engines.cli.compare_command import Changes, Shown
from engines.tensorrt.plans import NeededPlans


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun `engines`."""
    engines_commands.register(commands, _Late(), _detection_size, _OfDevice())


def _detection_size(frame: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the picture in which a frame of (height, width) is searched for faces of the least size."""
    from device.domain.operating_point import MIN_FACE_PX
    from device.vision.detector import DetectionSize

    fit = DetectionSize.for_frame(frame[1], frame[0], min_face_px=MIN_FACE_PX)
    return fit.height, fit.width


class _Late:
    """A FacesMeasure that is imported when it is used."""

    def shown(self, dataset: Path) -> Shown:
        from calibration.evidence.compare_faces import FacesOfDataset

        return FacesOfDataset().shown(dataset)

    def changes(self, dataset: Path, first: str, second: str, chosen: Sequence[ModelCard]) -> Changes:
        from calibration.evidence.compare_faces import FacesOfDataset

        return FacesOfDataset().changes(dataset, first, second, chosen)


class _OfDevice:
    """A Configured over the device's own configuration and service manager; imported when it is used."""

    def needed(self, config: Path) -> NeededPlans:
        from device.config.loader import load_config
        from device.recognition.plans_needed import needed_plans

        return replace(needed_plans(load_config(config)), release=metadata.version("lfr-edge"))

    def report(self, text: str, within_s: float) -> None:
        from device.edges.service.systemd import service_manager

        manager = service_manager()
        manager.status(text)
        manager.extend_start(within_s)
