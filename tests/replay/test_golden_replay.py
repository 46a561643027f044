"""A drawn clip goes in, every decision comes out, compared with the committed log: golden/walk.json.

After a change that is meant, `pytest tests/replay/test_golden_replay.py --update REASON` writes the log again; the
reason, the date and the clip's digest are stored in it. Tolerances: golden_log.py.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from device.recognition.replay import Request, replay
from tests.replay.golden_log import Log, Recorder, differences, written
from tools.dev.clip.make import ready_clip
from tools.dev.clip.spec import DEFAULT_SCENE, ClipSpec, Passer
from tools.dev.samples.extract import distinct_avatars

pytestmark = pytest.mark.slow
GOLDEN = Path(__file__).parent / "golden" / "walk.json"
BACKEND = "onnxruntime:fp32"
THRESHOLD = 0.45
"""Given, so that new evidence changes no golden log."""
LISTED, OTHER = "listed", "elsewhere"
"""Entries: one who walks by, and one who does not."""


def spec(samples: Callable[[str], list[Path]]) -> ClipSpec:
    """5 s at 640x360: a listed person among some others; the photo in the clip is not the enrolled one."""
    public = {path.name: path for path in samples("public")}
    scene = next(path for path in samples("scenes") if path.name == DEFAULT_SCENE)
    return ClipSpec(
        seed=11,
        seconds=5.0,
        width=640,
        height=360,
        in_view=(2, 4),
        face_px=(50.0, 110.0),
        noise=2.0,
        accessories=0.0,
        scene=scene,
        listed=(Passer(LISTED, public["obama2.jpg"], listed=True, start_s=0.4),),
        crowd=tuple(Passer(path.stem, path) for path in distinct_avatars()[:10]),
    )


@pytest.fixture(scope="module")
def recorded(
    samples: Callable[[str], list[Path]], models_ready: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Log]:
    """The clip's digest, and the log of its replay in this process with one thread."""
    made, folder = spec(samples), tmp_path_factory.mktemp("golden")
    public = {path.name: path for path in samples("public")}
    for entry, photo in ((LISTED, public["obama.jpg"]), (OTHER, distinct_avatars()[-1])):
        (folder / "list" / entry).mkdir(parents=True)
        shutil.copy(photo, folder / "list" / entry / f"1{photo.suffix}")
    recorder = Recorder()
    report = replay(
        Request(
            source=str(ready_clip(made)[0]),
            watchlist=folder / "list",
            backend=BACKEND,
            threshold=THRESHOLD,
            config=folder / "no-device.yaml",
        ),
        cache=None,
        progress=lambda decoded, frames: None,
        talk=False,
        observer=recorder,
    )
    return identity(made), recorder.log(report)


def identity(made: ClipSpec) -> str:
    """Digest of what the clip is drawn from, the same in every folder: photos count by name."""
    text = json.dumps(asdict(made), default=lambda value: value.name if isinstance(value, Path) else str(value))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def golden() -> tuple[dict[str, Any], Log]:
    """What the file says of itself, and its rows."""
    rows = json.loads(GOLDEN.read_text())
    return rows.pop("about"), rows


def test_every_decision_is_as_in_the_golden_log(recorded: tuple[str, Log], update: str | None) -> None:
    digest, found = recorded
    if update is not None:
        date = datetime.now(timezone.utc).date().isoformat()
        about = {"reason": update, "date": date, "clip": digest, "backend": BACKEND, "threshold": THRESHOLD}
        GOLDEN.write_text(written(about, found))
    about, wanted = golden()
    assert about["clip"] == digest, "the clip's spec or FORMAT changed: --update REASON"
    assert list(differences(wanted, found)) == []


def test_the_golden_log_is_not_empty() -> None:
    about, wanted = golden()
    assert about["reason"].strip()
    assert {row["entry"] for row in wanted["alerts"]} == {LISTED}
    assert len(wanted["passages"]) > 3
    joined = {row["later"] for row in wanted["joins"]}
    assert joined <= {row["passage"] for row in wanted["passages"] if row["ended"] is None}
    assert len({row["outcome"] for row in wanted["looks"]}) >= 1
    assert any(row["stated"] for row in wanted["decisions"])


@pytest.mark.parametrize(
    ("kind", "key", "change", "differs"),
    [
        ("looks", "score", 0.009, False),
        ("looks", "score", 0.011, True),
        ("alerts", "frame", 1, False),
        ("alerts", "frame", 2, True),
        ("alerts", "entry", "-other", True),
        ("looks", "outcome", "-other", True),
        ("tracks", "track", 1, True),
    ],
)
def test_a_changed_decision_is_noticed_and_a_small_step_is_not(kind: str, key: str, change: Any, differs: bool) -> None:
    _, wanted = golden()
    found = copy.deepcopy(wanted)
    row = next(row for row in found[kind] if row[key] is not None)
    row[key] += change
    assert bool(list(differences(wanted, found))) == differs


@pytest.mark.parametrize("kind", ["looks", "alerts", "passages"])
def test_a_missing_row_is_noticed(kind: str) -> None:
    _, wanted = golden()
    found = copy.deepcopy(wanted)
    found[kind].pop()
    assert f"{kind}: {len(found[kind])} rows, not {len(wanted[kind])}" in list(differences(wanted, found))


def test_no_picture_and_no_template_is_in_the_file() -> None:
    _, wanted = golden()
    values = [value for rows in wanted.values() for row in rows for value in row.values()]
    assert all(value is None or isinstance(value, bool | int | float | str) for value in values)
    assert max(len(value) for value in values if isinstance(value, str)) < 80
