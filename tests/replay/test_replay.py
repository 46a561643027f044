"""`lfr replay` as people run it: the contract of its output, every kind of recording and watchlist, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from engines.places import CACHE_VARIABLE, cache_dir
from tools.clip.make import ready_clip
from tools.clip.spec import DEFAULT_SCENE, ClipSpec, Passer
from tools.samples.extract import distinct_avatars

WITHIN_S = 60.0
STOPS_WITHIN_S = 5.0
PERSON = "Zoë Ñandú"

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


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, models_ready: Path) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def lfr(desk: Desk) -> Iterator[ManyRuns]:
    runs = ManyRuns(desk)
    yield runs
    runs.close()


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def short_list(tmp_path_factory: pytest.TempPathFactory, samples: Callable[[str], list[Path]]) -> Path:
    folder = tmp_path_factory.mktemp("short") / "list"
    (folder / PERSON).mkdir(parents=True)
    photo = next(path for path in samples("public") if path.name == "obama.jpg")
    (folder / PERSON / "1.jpg").write_bytes(photo.read_bytes())
    return folder


@pytest.fixture(scope="module")
def first(desk: Desk, walk: Path, odd_list: Path) -> Ended:
    """The first run: nothing is cached yet. Its output's encoding is one that has no letters but ASCII's."""
    return desk.run(walk, "--watchlist", odd_list, "--json", PYTHONIOENCODING="ascii")


# ── the contract of the output ────────────────────────────────────────────────────────────────────────────────────────
NUMBER_OR_NULL = (float, int, type(None))
CONTRACT: dict[str, Any] = {
    "mode": str,
    "frames": int,
    "seconds": float,
    "fps": float,
    "faces_seen": int,
    "templates": int,
    "threshold": float,
    "threshold_source": str,
    "watchlist": {
        "subjects": int,
        "images": int,
        "rejected": [{"file": str, "reason": str}],
        "warnings": [{"file": str, "reason": str}],
    },
    "alerts": [{"entry": str, "score": float, "frame": int, "t_ms": float, "track": int}],
    "stages_ms": {
        stage: {"p50": NUMBER_OR_NULL, "p95": NUMBER_OR_NULL, "n": int}
        for stage in ("decode", "detect", "track", "align", "embed", "match")
    },
    "backend": str,
    "peak_rss_mb": int,
}
BESIDE_THE_CONTRACT = {"counters", "source"}
"""For whoever tunes the product; nobody may rely on them."""


def misfits(found: Any, wanted: Any, path: str) -> Iterator[str]:
    """Where a report is not of the contract's shape."""
    if isinstance(wanted, dict):
        if set(found) != set(wanted):
            yield f"{path}: {sorted(set(found) ^ set(wanted))}"
        for key in set(found) & set(wanted):
            yield from misfits(found[key], wanted[key], f"{path}.{key}")
    elif isinstance(wanted, list):
        for n, each in enumerate(found):
            yield from misfits(each, wanted[0], f"{path}[{n}]")
    elif type(found) not in (wanted if isinstance(wanted, tuple) else (wanted,)):
        yield f"{path}: {found!r} is no {wanted}"


def test_one_json_object_of_the_contracts_shape_and_nothing_else_on_stdout(first: Ended) -> None:
    report = first.report
    assert first.out.count("\n") == 1
    assert set(report) - set(CONTRACT) == BESIDE_THE_CONTRACT
    assert list(misfits({key: report[key] for key in CONTRACT}, CONTRACT, "report")) == []
    assert report["alerts"]
    assert report["watchlist"]["rejected"]
    assert report["watchlist"]["warnings"]


def test_the_figures_of_a_report_agree_with_one_another(first: Ended) -> None:
    report = first.report
    assert report["mode"] == "test"
    assert report["frames"] == report["stages_ms"]["decode"]["n"] == 80
    assert report["fps"] == pytest.approx(report["frames"] / report["seconds"], rel=0.01)
    assert report["templates"] == report["stages_ms"]["embed"]["n"]
    assert 50 < report["peak_rss_mb"] < 400
    assert report["counters"]["discarded"] + report["counters"]["alerted"] == report["faces_seen"]
    assert len(report["alerts"]) == report["counters"]["alerted"]
    assert report["threshold"] == 0.458
    assert report["threshold_source"].startswith("provisional")
    for row in report["stages_ms"].values():
        assert 0 <= row["p50"] <= row["p95"]


def test_the_listed_person_is_found_once_when_he_is_there(first: Ended, walk: Path) -> None:
    """Under his folder's own name, spaces, accents and all, though the terminal knows ASCII only."""
    (alert,) = first.report["alerts"]
    truth = json.loads(walk.with_suffix(".truth.json").read_text())
    (passage,) = [each for each in truth["passages"] if each["listed"]]
    assert alert["entry"] == PERSON
    assert passage["first"] <= alert["frame"] <= passage["last"]
    assert alert["t_ms"] == pytest.approx(alert["frame"] * 40.0)
    assert alert["score"] >= 0.458


def test_progress_is_told_on_stderr_and_the_end_only_once(first: Ended) -> None:
    assert first.err.count("frame 80 of 80") == 1


# ── the watchlist folder ──────────────────────────────────────────────────────────────────────────────────────────────
def reasons(ended: Ended, kind: str, file: str) -> str:
    return "; ".join(row["reason"] for row in ended.report["watchlist"][kind] if row["file"] == file)


def test_whoever_can_be_enrolled_is(first: Ended) -> None:
    assert (first.report["watchlist"]["subjects"], first.report["watchlist"]["images"]) == (5, 5)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("tiny/1.png", "small"),
        ("blurred/1.png", "blurred"),
        ("nobody/wall.jpg", "no face"),
        ("unreadable/text.jpg", "not a picture"),
        ("unreadable/cut.jpg", "cut off"),
    ],
)
def test_what_cannot_be_enrolled_is_rejected_with_its_reason(file: str, reason: str, first: Ended) -> None:
    assert reason in reasons(first, "rejected", file)
    assert len(first.report["watchlist"]["rejected"]) == 5


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (f"{PERSON}/the same again.jpg", "the same photo"),
        ("double one/photo.jpg", "also listed as double two"),
        ("double two/photo.jpg", "also listed as double one"),
        ("double one", "looks like the same person as double two"),
        ("group/three.png", "3 faces found: the most central one"),
        ("group", "looks like the same person as middle"),
        ("tiny", "not listed"),
        ("empty", "empty"),
        ("readme.txt", "passed over"),
    ],
)
def test_what_is_enrolled_with_doubts_is_warned_of(file: str, reason: str, first: Ended) -> None:
    assert reason in reasons(first, "warnings", file)


def test_a_list_without_one_usable_photo_is_bad_data(lfr: ManyRuns, walk: Path, tmp_path: Path) -> None:
    (tmp_path / "list" / "ann").mkdir(parents=True)
    (tmp_path / "list" / "ann" / "1.jpg").write_text("no picture")
    ended = lfr(walk, "--watchlist", tmp_path / "list", "--json")
    assert (ended.status, ended.out) == (65, "")
    assert "ann/1.jpg" in ended.err


@pytest.mark.parametrize("kind", ["missing", "a file", "without folders"])
def test_what_is_no_watchlist_is_bad_data(kind: str, lfr: ManyRuns, walk: Path, tmp_path: Path) -> None:
    place = tmp_path / "list"
    if kind == "a file":
        place.write_text("")
    elif kind == "without folders":
        place.mkdir()
    ended = lfr(walk, "--watchlist", place, "--json")
    assert (ended.status, ended.out) == (65, "")
    assert str(place) in ended.err


# ── sources ───────────────────────────────────────────────────────────────────────────────────────────────────────────
BAD = ("empty", "text", "noise", "truncated_without_index", "zero_frames", "audio_only")


@pytest.mark.parametrize("builder", BAD)
def test_a_file_without_pictures_is_bad_data(
    builder: str, lfr: ManyRuns, videos: ModuleType, short_list: Path, tmp_path: Path
) -> None:
    source = getattr(videos, builder)(tmp_path / "clip.mp4")
    ended = lfr(source, "--watchlist", short_list, "--json")
    assert (ended.status, ended.out) == (65, "")
    assert str(source) in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "source", ["missing.mp4", "nothing-inside", "rtsp://127.0.0.1:9/s", "v4l2:///dev/video0", "csi://0", "/dev/null"]
)
def test_what_is_no_recording_is_bad_data(source: str, lfr: ManyRuns, short_list: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing-inside").mkdir()
    (tmp_path / "nothing-inside" / "notes.txt").write_text("no picture")
    given = source if ":" in source else str(tmp_path / source)
    ended = lfr(given, "--watchlist", short_list, "--json")
    assert (ended.status, ended.out) == (65, "")
    assert given in ended.err


def test_a_broken_picture_among_pictures_is_bad_data_and_named(
    lfr: ManyRuns, videos: ModuleType, short_list: Path, tmp_path: Path
) -> None:
    source = videos.image_among_images_broken(tmp_path / "pictures")
    ended = lfr(source, "--watchlist", short_list, "--json")
    assert (ended.status, ended.out) == (65, "")
    assert "frame_6.jpg" in ended.err


def test_a_bad_source_is_told_by_the_real_command_too(desk: Desk, short_list: Path) -> None:
    ended = desk.run("no such clip.mp4", "--watchlist", short_list, "--json")
    assert (ended.status, ended.out) == (65, "")
    assert ended.err.startswith("lfr: no such clip.mp4: no such file")


@pytest.mark.parametrize(
    ("builder", "frames", "size", "note"),
    [
        ("variable_rate", 25, (320, 240), ""),
        ("rotated_by_flag", 25, (240, 320), "rotat"),
        ("portrait", 25, (240, 320), ""),
        ("ten_bit", 25, (320, 240), "10"),
        ("interlaced", 25, (320, 240), "interlaced"),
        ("full_chroma", 25, (320, 240), ""),
        ("wide_pixels", 25, (320, 240), ""),
        ("odd_size", 25, (321, 241), ""),
        ("grey", 25, (320, 240), ""),
        ("tiny", 25, (16, 16), ""),
        ("one_frame", 1, (320, 240), ""),
        ("late_start", 25, (320, 240), ""),
        ("size_change", 25, (320, 240), ""),
        ("size_change_raw", 25, (320, 240), ""),
        ("numbered_images", 12, (320, 240), "25 Hz assumed"),
        ("images_of_two_sizes", 12, (320, 240), ""),
    ],
)
def test_odd_recordings_are_replayed_with_every_frame_counted(
    builder: str,
    frames: int,
    size: tuple[int, int],
    note: str,
    lfr: ManyRuns,
    videos: ModuleType,
    short_list: Path,
    tmp_path: Path,
) -> None:
    source = getattr(videos, builder)(tmp_path / ("pictures" if "images" in builder else "clip.mp4"))
    report = lfr(source, "--watchlist", short_list, "--json").report
    assert report["frames"] == frames
    assert (report["source"]["width"], report["source"]["height"]) == size
    assert note in "; ".join(report["source"]["notes"])
    assert report["alerts"] == []
    assert report["faces_seen"] == 0


@pytest.mark.parametrize(("builder", "least"), [("truncated_in_pictures", 10), ("damaged_in_the_middle", 20)])
def test_a_damaged_recording_is_replayed_as_far_as_it_goes_and_says_so(
    builder: str, least: int, lfr: ManyRuns, videos: ModuleType, short_list: Path, tmp_path: Path
) -> None:
    report = lfr(getattr(videos, builder)(tmp_path / "clip.mp4"), "--watchlist", short_list, "--json").report
    assert least < report["frames"] < 50
    assert report["source"]["notes"]


# ── options ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_both_runtimes_find_the_same_people(first: Ended, lfr: ManyRuns, walk: Path, short_list: Path) -> None:
    portable = lfr(walk, "--watchlist", short_list, "--json", "--backend", "onnxruntime").report
    assert portable["backend"] == "onnxruntime:fp32"
    assert [row["entry"] for row in portable["alerts"]] == [row["entry"] for row in first.report["alerts"]]
    assert portable["alerts"][0]["score"] == pytest.approx(first.report["alerts"][0]["score"], abs=0.05)


def test_a_threshold_that_is_given_is_the_one_that_decides(lfr: ManyRuns, walk: Path, short_list: Path) -> None:
    report = lfr(walk, "--watchlist", short_list, "--json", "--threshold", "0.95").report
    assert (report["threshold"], report["alerts"]) == (0.95, [])
    assert "command line" in report["threshold_source"]


@pytest.mark.parametrize("given", ["1.2", "-1.01", "nan", "much", ""])
def test_a_threshold_that_is_no_cosine_is_a_usage_error(
    given: str, lfr: ManyRuns, walk: Path, short_list: Path
) -> None:
    ended = lfr(walk, "--watchlist", short_list, "--json", f"--threshold={given}")
    assert (ended.status, ended.out) == (64, "")
    assert "threshold" in ended.err


def test_a_missing_watchlist_is_a_usage_error(lfr: ManyRuns, walk: Path) -> None:
    assert lfr(walk, "--json").status == 64


def test_a_backend_that_there_is_not_is_unavailable_and_not_replaced(
    lfr: ManyRuns, walk: Path, short_list: Path
) -> None:
    ended = lfr(walk, "--watchlist", short_list, "--json", "--backend", "tensorflow")
    assert (ended.status, ended.out) == (69, "")
    assert "openvino" in ended.err


def test_without_json_it_is_a_table_for_people(lfr: ManyRuns, walk: Path, short_list: Path) -> None:
    ended = lfr(walk, "--watchlist", short_list, "--quiet")
    assert ended.status == 0
    assert "1 possible match(es)" in ended.out
    assert PERSON in ended.out
    assert "frame" not in ended.err


# ── what is left behind ───────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def second(desk: Desk, first: Ended, walk: Path, odd_list: Path) -> Ended:
    """The same once more, with the cache of the first."""
    assert first.status == 0
    return desk.run(walk, "--watchlist", odd_list, "--json")


def test_nothing_is_written_anywhere_but_the_cache(desk: Desk, second: Ended) -> None:
    assert second.status == 0
    assert set(desk.files()) == {"xdg/lfr/templates.sqlite", "xdg/lfr/templates.sqlite.salt"}


def test_a_second_run_says_the_same_from_the_cache(first: Ended, second: Ended) -> None:
    for key in ("watchlist", "alerts", "frames", "faces_seen", "templates", "threshold", "backend"):
        assert second.report[key] == first.report[key]


def test_the_cache_holds_no_template_in_the_clear(desk: Desk, first: Ended, short_list: Path) -> None:
    """The enrolled template, made here once more, is looked for in four-number pieces; so are names and photos."""
    from device.watchlist.folder import enrol
    from device.worker.engine_room import EngineRoom
    from device.worker.photos import EnginePhotoReader

    room = EngineRoom(None, threads=1)
    entry = enrol(short_list, [EnginePhotoReader(room)], progress=False).entries[0]
    room.close()
    kept = b"".join(path.read_bytes() for path in desk.cache.rglob("*") if path.is_file())
    assert len(kept) > 5 * 1024
    row = entry.templates.astype("<f4").tobytes()
    assert not any(row[n : n + 16] in kept for n in range(0, len(row), 16))
    photo = (short_list / PERSON / "1.jpg").read_bytes()
    for secret in (photo[:64], photo[-64:], PERSON.encode(), b"a photo.jpg", b"face too"):
        assert secret not in kept


def test_a_cache_that_cannot_be_written_is_gone_without_and_warned_of(
    tmp_path: Path, walk: Path, short_list: Path, models_ready: Path
) -> None:
    """A file stands where the cache's folder should be: that stops root as well."""
    desk = Desk(tmp_path / "desk")
    desk.cache.write_text("in the way")
    ended = desk.run(walk, "--watchlist", short_list, "--json")
    assert [row["entry"] for row in ended.report["alerts"]] == [PERSON]
    assert "template cache" in ended.err
    assert set(desk.files()) == {"xdg"}


def test_no_cache_means_none(tmp_path: Path, walk: Path, short_list: Path, models_ready: Path) -> None:
    desk = Desk(tmp_path / "desk")
    assert desk.run(walk, "--watchlist", short_list, "--json", "--no-cache", "--quiet").status == 0
    assert desk.files() == {}


@pytest.mark.parametrize("moment", ["enrolling", "frame "])
def test_ctrl_c_ends_it_quickly_with_130_and_leaves_nothing(
    moment: str, tmp_path: Path, clip: Path, short_list: Path
) -> None:
    desk = Desk(tmp_path / "desk")
    with desk.start(clip, "--watchlist", short_list, "--json") as process:
        assert process.stderr is not None
        said = ""
        while moment not in said:
            said += process.stderr.read(1)
        since = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WITHIN_S)
        took = time.monotonic() - since
    assert process.returncode == 130, said + err
    assert took < STOPS_WITHIN_S
    assert out == ""
    assert "Traceback" not in said + err
    assert set(desk.files()) <= {"xdg/lfr/templates.sqlite", "xdg/lfr/templates.sqlite.salt"}
