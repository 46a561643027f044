"""Volunteers from the register over the officer's signature, HTTPS and a real worker to the hub's counts."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta
from pathlib import Path

import pytest

from device.enrolment.engine_photo_reader import EnginePhotoReader
from device.enrolment.model_sessions import ModelSessions
from tests.e2e.conftest import counted, final_counts
from tools.dev.clip.spec import watchlist_photos
from tools.dev.demo.processes import Processes, Running
from tools.dev.demo.run import lfr, start_hub
from tools.dev.demo.signed import build_list, make_authority, now, plan_of, publisher_of, safe
from tools.dev.demo.workspace import OFFICER, Workspace, build_hub, write_device_config
from tools.dev.samples.extract import sample_files
from tools.dev.samples.sources import PUBLIC
from tools.hub.broker.mosquitto import free_port
from tools.hub.publishing import operations
from tools.hub.publishing.signing_keys import open_key
from tools.hub.report.blue_tally import BlueTally
from tools.hub.report.tallies import Deployment
from tools.hub.watchlist.blue_list import Recogniser, build_blue_list
from tools.hub.watchlist.build import read_built, write
from tools.hub.watchlist.volunteers import Consent, VolunteerRegister

LIMIT_S = 600.0
pytestmark = pytest.mark.long


@pytest.fixture
def workspace(tmp_path: Path, clip: Path) -> Workspace:
    """A hub whose list holds somebody who is not in the clip, and whose blue list holds who is listed otherwise."""
    made = build_hub(tmp_path, free_port(), 0)
    shutil.copy(clip, made.clip)
    make_authority(made)
    photos = next(iter(watchlist_photos().values()))
    stranger = next(file for file in sample_files(PUBLIC) if file.name == "biden.jpg")
    plan = plan_of(made)
    build_list(plan, {made.entry_ref: [stranger]}, made.root / "list")
    register = VolunteerRegister(made.hub.root)
    consent = Consent(ref="V-1", given_on=now().date(), reference="form 1", until=now() + timedelta(hours=2))
    room = ModelSessions(None, threads=1)
    register.add(consent, photos, now(), EnginePhotoReader(room).read)
    made_with = Recogniser(room.recognisers.source_sha256, room.detector_card.source_sha256)
    listed, _ = read_built(made.root / "list")
    try:
        readers = [EnginePhotoReader(room)]
        write(made.root / "blue", build_blue_list(register, plan, listed, readers, made_with=made_with, now=now()))
    finally:
        room.close()
    publisher = publisher_of(made)
    change = operations.propose_deployment(publisher, plan, made.root / "list", now(), blue_folder=made.root / "blue")
    change.sign([open_key(safe(made) / "officers" / f"{OFFICER}.key")])
    operations.publish(publisher, change)
    return made


def recognitions(tally: BlueTally) -> int:
    return len(tally.waiting_seen) + tally.without_pass


def wait_for_recognition(workspace: Workspace, device: Running) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not recognitions(counted(workspace.hub.report_file).blue_list):
        device.check()
        assert time.monotonic() < deadline, device.last_lines(40)
        time.sleep(0.1)


def everybody_is_accounted_for(tally: Deployment) -> bool:
    return tally.total("faces_seen") == tally.total("discarded") + tally.total("lost")


def test_a_volunteer_in_the_clip_is_counted_at_the_hub_and_raises_no_alert(workspace: Workspace) -> None:
    with Processes(workspace.logs) as processes:
        hub = start_hub(processes, workspace, operator=True)
        write_device_config(workspace, hub.broker_port, realtime=True, repository_port=hub.repository_port)
        device = processes.start("device", [lfr(), "run", "--config", str(workspace.config)])
        wait_for_recognition(workspace, device)
        assert device.process.wait(LIMIT_S) == 0, device.last_lines()
        tally = final_counts(workspace.hub.report_file, hub, everybody_is_accounted_for)
    assert tally.alerts_received == tally.total("alerts") == 0
    assert tally.total("faces_seen") > 0
    assert not list(workspace.root.rglob("payloads/*")), "the sealed volunteer goes with the list"
