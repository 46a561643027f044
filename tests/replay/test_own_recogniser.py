"""A recogniser of one's own, from its card and file to a possible match: every step by its command, none by default.

Its output is of length 1 whatever it is shown, so that a scale of another recogniser would find nobody.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType

import pyrage
import pytest
import yaml

from calibration.data import reading
from calibration.data.faces import Faces
from calibration.data.reading import How
from device.cli.main import main
from device.domain.finding import Mode
from device.errors import WatchlistUnusable
from device.recognition.operating_point import Terms, engine_of, known_evidence, operating_point
from device.watchlist.sealed import require_models, unseal
from device.wire.link import (
    PROTOCOL,
    Assignment,
    CameraAssignment,
    CandidateRaised,
    Finished,
    Hello,
    VisionAssignment,
    WatchlistLoaded,
)
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT
from engines.places import CACHE_VARIABLE, models_dir
from tests.replay.conftest import Desk
from tests.unit.calibration.synthetic import people
from tools.dev.proof.worker import WorkerProcess
from tools.hub.watchlist.build import CONTENT, PAYLOAD
from tools.hub.watchlist.photos import open_at_hub

NAME = "unit-length"
ENTRY = "e-1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def added(cache_beside: Callable[[Path], Path], own_models: ModuleType, place: Path) -> Iterator[str]:
    """Hash of the recogniser that `lfr engines add` took, into a cache of these tests."""
    cache = cache_beside(place / "cache")
    written, file = own_models.normalising(place, cache / "models" / f"{RECOGNISER_DEFAULT}.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(cache))
        assert main(["engines", "add", str(written), str(file)]) == 0
        assert card(NAME).lengths is None
        yield card(NAME).source_sha256


@pytest.fixture(scope="module")
def evidence(added: str, place: Path) -> tuple[Path, Path]:
    """What `lfr calibrate operating-point` signs for it, and the folder of keys.

    The strangers do not exist: no package holds the hundreds of people that it takes. A tenth of the replicates and a
    third of the draws save time.
    """

    def read(folders: Sequence[Path], how: How, *, merged: bool, left_out: frozenset[str]) -> Faces:
        assert (merged, left_out) == (False, frozenset())
        assert how.recogniser == NAME
        return people(620, 3, noise=0.5, seed=2, dimensions=64)

    key, keys, out = place / "key", place / "keys", place / "evidence.json"
    keys.mkdir()
    assert main(["calibrate", "key", str(key)]) == 0
    shutil.copy(f"{key}.pub.pem", keys)
    words = ["--key", str(key), "--out", str(out), "--backend", "onnxruntime:fp32", "--no-cache", "--recogniser", NAME]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "read_sets", read)
        patch.setattr("calibration.evidence.operating_point.SHIPPED_REPLICATES", 50)
        patch.setattr("calibration.statistics.tail._DRAWS", 8)
        assert main(["calibrate", "operating-point", str(place), *words]) == 0
    return out, keys


@pytest.fixture(scope="module")
def built(added: str, short_list: Path, place: Path) -> tuple[Path, str]:
    """What `lfr watchlist build --recogniser` made for a deployment, and the identity that opens it."""
    (person,) = short_list.iterdir()
    shutil.copytree(person, place / "people" / ENTRY)
    hub, now = pyrage.x25519.Identity.generate(), datetime.now(timezone.utc)
    words = ("controller", "owner", "authorising_officer", "purpose", "legal_basis", "place")
    plan = dict.fromkeys(words, "stated") | {
        "id": "d-1",
        "mode": "test",
        "zones": ["north-gate"],
        "devices": ["cam-1"],
        "window": {"start": now - timedelta(minutes=5), "end": now + timedelta(hours=2)},
        "categories": {"missing": {"response_code": "R3"}},
        "max_watchlist_size": 10,
        "hub_recipient": str(hub.to_public()),
        "notice": {"en": "n", "cy": "n"},
    }
    (place / "plan.yaml").write_text(yaml.safe_dump(plan))
    folders = [str(place / "people"), "--deployment", str(place / "plan.yaml"), "--out", str(place / "list")]
    output = ["--category", "missing", "--image-source", "custody", "--backend", "onnxruntime", "--recogniser", NAME]
    assert main(["watchlist", "build", *folders, *output]) == 0
    return place / "list", open_at_hub((place / "list" / CONTENT).read_bytes(), str(hub), "key").decode()


@pytest.mark.long
def test_the_list_states_it_and_no_device_with_another_takes_the_list(
    added: str, built: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, identity = built
    again = ["watchlist", "build", str(folder.parent / "people"), "--deployment", str(folder.parent / "plan.yaml")]
    output = ["--category", "missing", "--image-source", "custody", "--backend", "onnxruntime", "--dry-run", "--json"]
    assert main([*again, "--out", str(folder.parent / "none"), *output, "--recogniser", added]) == 0
    reported = capsys.readouterr()
    assert json.loads(reported.out)["recogniser"] == {"name": NAME, "sha256": added}
    assert (
        "devices arm with this list only where vision.recogniser names it and vision.evidence covers it" in reported.err
    )
    assert main([*again, "--out", str(folder.parent / "none"), *output, "--recogniser", "d" * 64]) == 64
    assert f"no model of this machine, which has {RECOGNISER_DEFAULT} (" in capsys.readouterr().err
    assert main(["watchlist", "inspect", str(folder)]) == 0
    assert f"templates of recogniser {added}" in capsys.readouterr().out
    listed = unseal((folder / PAYLOAD).read_bytes(), identity)
    detector, default = card(DETECTOR_DEFAULT).source_sha256, card(RECOGNISER_DEFAULT).source_sha256
    require_models(listed, detector, added)
    with pytest.raises(WatchlistUnusable, match=r"made with recogniser .*build the watchlist again"):
        require_models(listed, detector, default)
    with pytest.raises(WatchlistUnusable, match=r"made with detector .*lfr watchlist build --detector"):
        require_models(listed, "d" * 64, added)


@pytest.mark.long
def test_its_evidence_is_written_under_its_own_hash_and_no_other_engine_may_use_it(
    added: str, evidence: tuple[Path, Path]
) -> None:
    artefact, keys = evidence
    written = json.loads(artefact.read_text())
    assert (written["recogniser"], written["recogniser_sha256"]) == (NAME, added)
    assert written["id"].startswith(f"{NAME}/")
    detector, terms = card(DETECTOR_DEFAULT), Terms(evidence=artefact, keys=keys)
    ours, theirs = (
        operating_point([1] * 200, known_evidence(engine_of(detector, one, "any:fp32"), terms), terms)
        for one in (card(NAME), card(RECOGNISER_DEFAULT))
    )
    assert (ours.problem, ours.source.startswith(f"evidence {NAME}/")) == ("", True)
    assert "is for recogniser" in theirs.problem
    assert theirs.predicted is None


def test_a_replay_finds_the_listed_person_with_a_threshold_from_its_own_evidence(
    evidence: tuple[Path, Path], desk: Desk, walk: Path, short_list: Path
) -> None:
    artefact, keys = evidence
    words = ["--watchlist", short_list, "--json", "--backend", "onnxruntime", "--recogniser", NAME, "--quiet"]
    ended = desk.run(walk, *words, "--evidence", artefact, "--evidence-keys", keys)
    report = ended.report
    assert ended.err == ""
    assert report["threshold_source"].startswith(f"evidence {NAME}/")
    assert report["operating_point"]["outside_evidence"] == ""
    assert [alert["entry"] for alert in report["alerts"]] == [next(short_list.iterdir()).name]


def test_a_worker_finds_him_on_the_built_list_with_that_evidence(
    added: str, evidence: tuple[Path, Path], built: tuple[Path, str], walk: Path, tmp_path: Path
) -> None:
    artefact, keys = evidence
    folder, identity = built
    task = Assignment(
        protocol=PROTOCOL,
        mode=Mode.TEST,
        deployment_id="d-1",
        camera=CameraAssignment(
            camera_id="front", source=str(walk), pace="full", zone=((0, 0), (1, 0), (1, 1), (0, 1))
        ),
        vision=VisionAssignment(
            backend="onnxruntime",
            min_face_px=32.0,
            threshold=None,
            models_dir=str(models_dir()),
            recogniser=NAME,
            evidence=str(artefact),
            evidence_keys=str(keys),
        ),
        watchlist=str(folder / PAYLOAD),
        identity=identity,
        hub_recipient=str(pyrage.x25519.Identity.generate().to_public()),
    )
    with WorkerProcess(tmp_path) as worker:
        worker.send(task)
        assert worker.to_the_end() == 0
        (hello,), (loaded,) = worker.of(Hello), worker.of(WatchlistLoaded)
        assert (hello.recogniser_sha256, hello.self_test) == (added, "")
        assert (loaded.outside_evidence, loaded.threshold_source.startswith(f"evidence {NAME}/")) == ("", True)
        assert {message.candidate.entry_ref for message in worker.of(CandidateRaised)} == {ENTRY}
        assert worker.of(Finished)[0].counters.alerted == 1


def test_evidence_that_was_named_and_does_not_hold_ends_the_replay_before_it_begins(
    evidence: tuple[Path, Path], desk: Desk, walk: Path, short_list: Path, tmp_path: Path
) -> None:
    artefact, keys = evidence
    changed = tmp_path / "changed.json"
    document = json.loads(artefact.read_text())
    document["precisions"][0]["largest_list"] += 1
    changed.write_text(json.dumps(document))
    words = [walk, "--watchlist", short_list, "--json", "--backend", "onnxruntime", "--quiet"]
    for more, says in (
        (["--recogniser", NAME, "--evidence", changed, "--evidence-keys", keys], "changed after it was signed"),
        (["--recogniser", NAME, "--evidence", artefact], "which is not trusted here"),
        (["--evidence", artefact, "--evidence-keys", keys], f"evidence {NAME}"),
        (["--evidence", tmp_path / "none.json"], "none.json"),
    ):
        ended = desk.run(*words, *more)
        assert (ended.status, ended.out) == (65, ""), more
        assert says in ended.err
