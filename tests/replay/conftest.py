"""A desk to run `lfr replay` from, a clip in which a listed person walks by, watchlist folders of every kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines.places import CACHE_VARIABLE, cache_dir
from tools.dev.clip.make import ready_clip
from tools.dev.clip.spec import DEFAULT_SCENE, ClipSpec, Passer
from tools.dev.samples.extract import distinct_avatars

WITHIN_S = 300.0
PERSON = "Zoë Ñandú"
"""The listed person's folder."""

MANY = """
import contextlib, io, json, sys
from device.cli.main import main
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(json.loads(line))
        except SystemExit as ended:
            status = ended.code
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)
"""
"""Runs the command for each line of arguments: one interpreter's start instead of dozens."""


@dataclass(frozen=True)
class Ended:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        assert self.status == 0, self.err
        found: dict[str, Any] = json.loads(self.out)
        return found


class Desk:
    """A place to run `lfr` from: its own home, cache, temporary and working folder."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.cwd, self.home, self.tmp, self.cache = (place / name for name in ("cwd", "home", "tmp", "xdg"))
        for folder in (self.cwd, self.home, self.tmp):
            folder.mkdir(parents=True)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV") if name in os.environ}
        mine = {"HOME": str(self.home), "XDG_CACHE_HOME": str(self.cache), "TMPDIR": str(self.tmp)}
        return {**kept, **mine, CACHE_VARIABLE: str(cache_dir()), **more}

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "device.cli.main", "replay", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=self.cwd,
            env=self.environment(**environment),
        )

    def run(self, *arguments: object, **environment: str) -> Ended:
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(timeout=WITHIN_S)
        return Ended(process.returncode, out, err)

    def files(self) -> dict[str, int]:
        """Everything that lies here, with its size."""
        return {str(p.relative_to(self.place)): p.stat().st_size for p in self.place.rglob("*") if not p.is_dir()}


class ManyRuns:
    """The command again and again in one process; engines are opened and closed each time."""

    def __init__(self, desk: Desk) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", MANY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            cwd=desk.cwd,
            env=desk.environment(),
        )

    def __call__(self, *arguments: object) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(["replay", *map(str, arguments)]) + "\n")
        self._process.stdin.flush()
        return Ended(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate(timeout=WITHIN_S)


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory, models_ready: Path) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="session")
def lfr(desk: Desk) -> Iterator[ManyRuns]:
    runs = ManyRuns(desk)
    yield runs
    runs.close()


@pytest.fixture(scope="session")
def walk(samples: Callable[[str], list[Path]]) -> Path:
    """3.2 s at 640x360 in which the listed person walks by once, among some others."""
    public = {path.name: path for path in samples("public")}
    scene = next(path for path in samples("scenes") if path.name == DEFAULT_SCENE)
    spec = ClipSpec(
        seed=5,
        seconds=3.2,
        width=640,
        height=360,
        in_view=(1, 3),
        face_px=(60.0, 110.0),
        noise=2.0,
        accessories=0.0,
        scene=scene,
        listed=(Passer("obama", public["obama2.jpg"], listed=True, start_s=0.2),),
        crowd=tuple(Passer(path.stem, path) for path in distinct_avatars()[:8]),
    )
    return ready_clip(spec)[0]


def saved(picture: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())


@pytest.fixture(scope="session")
def odd_list(tmp_path_factory: pytest.TempPathFactory, samples: Callable[[str], list[Path]]) -> Path:
    """A watchlist folder of every kind: good, several faces, duplicates, and what must be rejected."""
    folder = tmp_path_factory.mktemp("odd") / "list"
    listed = next(path for path in samples("public") if path.name == "obama.jpg").read_bytes()
    avatars = [cv2.imread(str(path)) for path in samples("avatars")[-6:]]  # nobody of the walk
    scene = cv2.imread(str(next(path for path in samples("scenes") if "stone-texture" in path.name)))
    for name in (f"{PERSON}/a photo.jpg", f"{PERSON}/the same again.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(listed)
    for person in ("double one", "double two"):
        saved(avatars[0], folder / person / "photo.jpg")
    group = np.full((500, 900, 3), 120, np.uint8)
    for n, left in ((1, 20), (2, 330), (3, 640)):
        group[130:370, left : left + 240] = cv2.resize(avatars[n], (240, 240))
    saved(group, folder / "group" / "three.png")
    saved(avatars[2], folder / "middle" / "alone.png")
    canvas = np.full((300, 300, 3), 120, np.uint8)
    canvas[130:162, 130:162] = cv2.resize(avatars[4], (32, 32), interpolation=cv2.INTER_AREA)
    saved(canvas, folder / "tiny" / "1.png")
    saved(cv2.GaussianBlur(cv2.resize(avatars[5], (300, 300)), (0, 0), 9), folder / "blurred" / "1.png")
    saved(cv2.resize(scene, (400, 300)), folder / "nobody" / "wall.jpg")
    (folder / "unreadable").mkdir()
    (folder / "unreadable" / "text.jpg").write_text("no picture")
    (folder / "unreadable" / "cut.jpg").write_bytes(listed[: len(listed) // 2])
    (folder / "readme.txt").write_text("not in a person's folder")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture(scope="session")
def short_list(tmp_path_factory: pytest.TempPathFactory, samples: Callable[[str], list[Path]]) -> Path:
    folder = tmp_path_factory.mktemp("short") / "list"
    (folder / PERSON).mkdir(parents=True)
    photo = next(path for path in samples("public") if path.name == "obama.jpg")
    (folder / PERSON / "1.jpg").write_bytes(photo.read_bytes())
    return folder


@pytest.fixture(scope="session")
def first(desk: Desk, walk: Path, odd_list: Path) -> Ended:
    """The first run: nothing is cached yet. Its output's encoding is one that has no letters but ASCII's."""
    return desk.run(walk, "--watchlist", odd_list, "--json", PYTHONIOENCODING="ascii")


@pytest.fixture(scope="session")
def listed_name() -> str:
    """What the listed person's folder is called."""
    return PERSON


@pytest.fixture
def desk_at(models_ready: Path) -> Callable[[Path], Desk]:
    """Makes another desk."""
    return Desk
