"""The blue list in a real worker over the demonstration's clip: alerts are the same, volunteers are reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pyrage
import pytest

from device.enrolment.model_sessions import chosen_recognisers
from device.watchlist.sealed import seal, unseal
from device.wire.link import CandidateRaised, Finished, JournalLine, VolunteerRecognised, WithdrawVolunteers
from engines.cards.model_card import ModelCard
from tests.pair_evidence import signed_for
from tools.dev.proof.worker import Given, WorkerProcess, given

pytestmark = pytest.mark.long


def volunteer(owner: Given, folder: Path, ref: str) -> str:
    """The listed person of the clip once more, as a volunteer of this name."""
    task = owner.task
    listed = unseal(Path(task.watchlist).read_bytes(), task.identity)
    key = pyrage.x25519.Identity.from_str(task.identity)
    entry = msgspec.structs.replace(listed.entries[0], ref=ref, category="volunteer")
    file = folder / f"{ref}.volunteer"
    file.write_bytes(seal(msgspec.structs.replace(listed, entries=(entry,)), [str(key.to_public())]))
    return str(file)


def played(folder: Path, owner: Given, *messages: Any, **changes: Any) -> WorkerProcess:
    with WorkerProcess(folder) as worker:
        worker.send(msgspec.structs.replace(owner.task, **changes))
        for message in messages:
            worker.send(message)
        assert worker.to_the_end() == 0
    return worker


def alerts(worker: WorkerProcess) -> list[Any]:
    """What was raised, without what reads the clock."""
    return [
        msgspec.structs.replace(message.candidate, capture_to_decision_ms=0.0, decoded_ns=0)
        for message in worker.of(CandidateRaised)
    ]


def test_alerts_and_counts_of_the_clip_are_the_same_with_and_without_a_blue_list(
    tmp_path: Path, deployment: Given
) -> None:
    without = played(tmp_path, deployment)
    files = (volunteer(deployment, tmp_path, "V-1"), str(tmp_path / "missing.volunteer"))
    beside = played(tmp_path, deployment, volunteers=files)
    assert alerts(without)
    assert alerts(beside) == alerts(without)
    assert beside.of(Finished)[0].counters == without.of(Finished)[0].counters
    assert any("blue list: 1 of 2 volunteers" in line.text for line in beside.of(JournalLine))


def test_a_volunteer_who_is_not_sought_is_reported_without_an_alert_and_one_taken_off_is_not(
    tmp_path: Path, deployment: Given
) -> None:
    (sought,) = {
        entry.ref for entry in unseal(Path(deployment.task.watchlist).read_bytes(), deployment.task.identity).entries
    }
    changes = {"withdrawn": (sought,), "volunteers": (volunteer(deployment, tmp_path, "V-1"),)}
    found = played(tmp_path, deployment, **changes)
    assert {message.finding.ref for message in found.of(VolunteerRecognised)} == {"V-1"}
    assert found.of(CandidateRaised) == []
    counters = found.of(Finished)[0].counters
    assert (counters.alerted, counters.discarded) == (0, counters.faces_seen)
    gone = played(tmp_path, deployment, WithdrawVolunteers(refs=("V-1",)), **changes)
    assert gone.of(VolunteerRecognised) == []


def test_a_worker_with_a_pair_reports_volunteers_of_the_pair_and_leaves_out_those_of_one_recogniser(
    tmp_path: Path, clip: Path, deployment: Given, screening_recogniser: ModelCard
) -> None:
    pair = given(tmp_path, str(clip), pace="full", backend="onnxruntime:fp32", screen=screening_recogniser.name)
    pair = replace(pair, task=msgspec.structs.replace(pair.task, vision=with_evidence(pair, tmp_path)))
    other = volunteer(deployment, tmp_path, "V-2")
    entry = unseal(Path(pair.task.watchlist).read_bytes(), pair.task.identity).entries[0].ref
    files = (volunteer(pair, tmp_path, "V-1"), other)
    found = played(tmp_path, pair, volunteers=files, withdrawn=(entry,))
    assert {message.finding.ref for message in found.of(VolunteerRecognised)} == {"V-1"}
    assert found.of(CandidateRaised) == []
    assert any("blue list: 1 of 2 volunteers" in line.text for line in found.of(JournalLine))


def with_evidence(owner: Given, folder: Path) -> Any:
    """The assignment's part that names evidence for SFace behind the added recogniser."""
    file, keys = signed_for(chosen_recognisers(None, owner.task.vision.screen), folder / "evidence")
    return msgspec.structs.replace(owner.task.vision, evidence=str(file), evidence_keys=str(keys))
