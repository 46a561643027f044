"""`make_site(**how)` gives a Site: a hub with keys, officers and devices, and python-tuf's own client to read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from device.cli.main import main
from device.config.deployment import DeploymentPlan
from tests.unit.hub.publishing.site_of_authority import Site
from tools.hub.watchlist import build as building
from tools.hub.watchlist.people import Person, Photo


@pytest.fixture
def make_site(tmp_path: Path) -> Callable[..., Site]:
    """Builder of a Site in this test's folder."""
    return lambda **how: Site(tmp_path, **how)


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """One officer, two devices, mode test."""
    return make_site()


Typed = pytest.CaptureFixture[str]
PLAN = ["--controller", "C", "--purpose", "p", "--legal-basis", "l", "--place", "x", "--zone", "north-gate"]


class Desk:
    """A hub and an officer's safe, and the commands over them."""

    def __init__(self, root: Path, capsys: Typed) -> None:
        self.root, self._capsys = root, capsys
        self.hub, self.safe = root / "hub", root / "safe"

    def lfr(self, *words: object, expect: int = 0) -> Any:
        """Run a command; its JSON if it printed any, else its text. What it printed on stderr is in `said`."""
        status = main([str(word) for word in words])
        out, self.said = self._capsys.readouterr()
        assert status == expect, f"{words}: {status}\n{self.said}"
        return json.loads(out) if out.startswith("{") else out

    def key(self, officer: str) -> Path:
        return self.safe / "officers" / f"{officer}.key"

    def plan(self, name: str = "plan.yaml", *more: object) -> Path:
        file = self.root / name
        common = ["--hub", self.hub, "--authorising-officer", "AO-1", "--category", "missing=R3:0.02", *PLAN]
        self.lfr("deployment", "new", file, *common, *more)
        return file

    def built(self, plan: Path, name: str = "list", shade: int = 90) -> Path:
        """A list of one synthetic person, sealed as `watchlist build` seals it; the photo is of one shade."""
        import cv2
        import numpy as np

        photo = self.root / "photo.png"
        cv2.imwrite(str(photo), np.full((40, 40, 3), shade, np.uint8))
        person = Person("e-1", "missing", False, "", (Photo(photo, "photo.png", "records", None, None),))
        row = np.ones((1, 128), np.float32) / np.sqrt(np.float32(128))
        entry = building.member_of(person, row, person.photos[0], None)
        from tools.hub.cli.options import now

        read = DeploymentPlan.model_validate(yaml.safe_load(plan.read_text()))
        building.write(self.root / name, building.files_of([entry], read, building.MadeWith("b" * 64), now()))
        return self.root / name


@pytest.fixture
def desk(tmp_path: Path, capsys: Typed) -> Desk:
    desk = Desk(tmp_path, capsys)
    desk.lfr("hub", "init", desk.hub, "--site", "north", "--device", "cam-1", "--device", "cam-2", "--mode", "test")
    officers = ["--officer", "AO-1", "--officer", "AO-2", "--officer", "AO-3", "--threshold", 2]
    desk.lfr("authority", "init", "--hub", desk.hub, "--ceremony", desk.safe, *officers)
    return desk
