"""models: list, fetch, prepare, add, compare, build

This floor adds to `lfr engines` what it alone can measure: `compare A B --faces DATASET`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from engines import commands as engines_commands
from engines.cards import ModelCard
from engines.commands_compare import Changes, Shown


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun `engines`."""
    engines_commands.register(commands, _Late())


class _Late:
    """A FacesMeasure that is imported when it is asked for."""

    def shown(self, dataset: Path) -> Shown:
        from calibration.compare_faces import FacesOfDataset

        return FacesOfDataset().shown(dataset)

    def changes(self, dataset: Path, first: str, second: str, chosen: Sequence[ModelCard]) -> Changes:
        from calibration.compare_faces import FacesOfDataset

        return FacesOfDataset().changes(dataset, first, second, chosen)
