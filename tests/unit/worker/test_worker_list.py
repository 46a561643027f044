"""The worker's list as the deployment rules it: withdrawn entries, categories and their thresholds, incomplete
entries, a recogniser without evidence.

Uses the process and the deployment of test_worker_main.py.
"""

from __future__ import annotations

import importlib.util
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyrage
import pytest
from msgspec import structs

from device.domain.finding import Mode
from device.watchlist.folder import enrol
from device.watchlist.sealed import compose, seal
from device.wire.link import CandidateRaised, Finished, Hello, Stop, WatchlistLoaded, Withdraw, Withdrawn
from device.worker.engine_room import EngineRoom
from device.worker.photos import EnginePhotoReader
from engines.cards import ModelCard
from engines.places import models_dir
from tools.clip.spec import write_watchlist

_NAME = "lfr_test_worker_process"
_SPEC = importlib.util.spec_from_file_location(_NAME, Path(__file__).parent / "test_worker_main.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_process: Any = importlib.util.module_from_spec(_SPEC)
sys.modules[_NAME] = _process
_SPEC.loader.exec_module(_process)

deployment = _process.deployment
worker = _process.worker


@pytest.fixture
def listed(deployment: Any) -> str:
    """The reference of the one person on the list: the folder's name."""
    (folder,) = (path.name for path in (deployment.place / "watchlist").iterdir() if path.is_dir())
    return folder


def test_an_entry_withdrawn_before_the_start_is_never_raised(worker: Any, deployment: Any, listed: str) -> None:
    worker.send(_process.changed(deployment.task, withdrawn=(listed, "e-unknown")))
    assert worker.to_the_end() == 0
    assert worker.of(CandidateRaised) == []
    assert [message.entries for message in worker.of(Withdrawn)] == [1]
    assert worker.of(WatchlistLoaded)[0].subjects == 1
    (finished,) = worker.of(Finished)
    assert finished.counters.faces_seen == finished.counters.discarded > 0


def test_an_entry_withdrawn_while_the_worker_starts_is_never_raised(worker: Any, deployment: Any, listed: str) -> None:
    worker.send(deployment.task)
    worker.send(Withdraw(refs=(listed,)))
    assert worker.to_the_end() == 0
    assert worker.of(CandidateRaised) == []
    assert [message.entries for message in worker.of(Withdrawn)] == [1]


def test_a_category_may_ask_for_more_than_the_threshold(worker: Any, deployment: Any) -> None:
    worker.send(_process.changed(deployment.task, categories={"missing": 0.02}))
    assert worker.to_the_end() == 0
    (loaded,) = worker.of(WatchlistLoaded)
    assert loaded.incomplete == 0
    raised = [message.candidate for message in worker.of(CandidateRaised)]
    assert raised
    for candidate in raised:
        assert candidate.threshold == pytest.approx(loaded.threshold + 0.02)
        assert candidate.margin == pytest.approx(candidate.score - candidate.threshold)
        assert candidate.score >= candidate.threshold


def test_an_entry_of_no_category_of_the_deployment_is_told(worker: Any, deployment: Any) -> None:
    worker.send(_process.changed(deployment.task, categories={"wanted": 0.0}))
    assert worker.until(WatchlistLoaded).incomplete == 1
    worker.send(Stop(reason="over"))
    worker.until(Finished)


def test_a_recogniser_of_ones_own_without_evidence_opens_no_camera_and_says_why(
    own_recogniser: ModelCard, tmp_path: Path, deployment: Any
) -> None:
    room = EngineRoom("onnxruntime", threads=1, recogniser="tiny")
    reader = EnginePhotoReader(room)
    enrolment = enrol(write_watchlist(tmp_path / "watchlist"), [reader], progress=False)
    reader.close()
    room.close()
    listed = compose(
        enrolment,
        watchlist_id="wl-1",
        deployment_id="test-1",
        mode=Mode.TEST,
        created_at=datetime(2026, 11, 24, tzinfo=timezone.utc),
        recogniser_sha256=own_recogniser.source_sha256,
        category="missing",
        image_source="custody",
    )
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "list.age").write_bytes(seal(listed, [str(identity.to_public())]))
    vision = structs.replace(
        deployment.task.vision, backend="onnxruntime", recogniser="tiny", models_dir=str(models_dir())
    )
    one = _process.Supervised(tmp_path)
    try:
        one.send(
            _process.changed(
                deployment.task, vision=vision, watchlist=str(tmp_path / "list.age"), identity=str(identity)
            )
        )
        loaded = one.until(WatchlistLoaded)
        assert "no evidence ships for recogniser 'tiny'" in loaded.outside_evidence
        assert "lfr calibrate operating-point --recogniser NAME" in loaded.outside_evidence
        assert loaded.threshold_source.startswith("provisional")
        (hello,) = one.of(Hello)
        assert (hello.recogniser, hello.recogniser_sha256) == ("tiny", own_recogniser.source_sha256)
        one.send(Stop(reason="over"))
        assert one.until(Finished).counters.frames == 0
    finally:
        one.close()
