"""Volunteers: registered with their consent, sealed for one deployment, signed with it, and gone when consent is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from device.config.deployment import DeploymentPlan
from device.config.publication import index_target, parse_index
from device.domain.recognisers import Recognisers
from device.domain.time import wall
from device.errors import BadData, RefusedByCondition, Unavailable, UsageError
from device.vision.probe import CONTEXT
from device.watchlist.sealed import unseal
from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT, ModelCard
from tests.unit.hub.publishing.conftest import Desk
from tests.unit.hub.publishing.test_list_building import SquareReader, paint
from tools.hub.cli import enrolling
from tools.hub.cli.options import now
from tools.hub.publishing import operations
from tools.hub.publishing.published_deployments import PublishedDeployments
from tools.hub.publishing.publisher import Publisher
from tools.hub.watchlist.blue_list import REFERENCE, Recogniser, build_blue_list, read_blue_list
from tools.hub.watchlist.build import read_built, write
from tools.hub.watchlist.volunteers import Consent, VolunteerRegister

MADE_WITH = Recogniser("b" * 64, "")
READ = SquareReader().read


def photo(path: Path, person: int) -> Path:
    """A picture that SquareReader sees one face in."""
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[60:120, 60:120] = (0, person * 10, 255)  # BGR
    cv2.imwrite(str(path), picture)
    return path


def consent(ref: str, hours: float = 24, **changes: Any) -> Consent:
    given = now() - timedelta(days=1)
    fields = {"ref": ref, "given_on": given.date(), "reference": f"form {ref}", "until": now() + timedelta(hours=hours)}
    return Consent(**{**fields, **changes})


@pytest.fixture
def register(desk: Desk) -> VolunteerRegister:
    made = VolunteerRegister(desk.hub)
    made.add(consent("V-1", group="glasses"), [photo(desk.root / "1.png", 3)], now(), READ)
    made.add(consent("V-2"), [photo(desk.root / "2.png", 5)], now(), READ)
    return made


@pytest.fixture
def plan_id(desk: Desk, register: VolunteerRegister) -> str:
    """A deployment with both volunteers, signed by both officers and not published."""
    plan_file = desk.plan()
    plan = DeploymentPlan.model_validate(yaml.safe_load(plan_file.read_text()))
    listed, _ = read_built(desk.built(plan_file))
    files = build_blue_list(register, plan, listed, [SquareReader()], made_with=MADE_WITH, now=now())
    write(desk.root / "blue", files)
    for officer in ("AO-1", "AO-2"):
        what = [plan_file, "--watchlist", desk.root / "list", "--blue-list", desk.root / "blue"]
        first = officer == "AO-1"
        desk.lfr("deployment", "sign", *(what if first else [plan.id]), "--hub", desk.hub, "--key", desk.key(officer))
    return plan.id


@pytest.fixture
def signed(desk: Desk, plan_id: str) -> Publisher:
    """The same, published."""
    desk.lfr("deployment", "publish", plan_id, "--hub", desk.hub)
    return Publisher(desk.hub, now)


def test_officers_sign_each_volunteer_with_hash_and_length_and_the_list_s_key_opens_them(
    desk: Desk, signed: Publisher
) -> None:
    (record,) = signed.records.running()
    deployment = signed.deployment(record)
    assert deployment.blue_list is not None
    assert deployment.watchlist.subjects == 1, "volunteers are no part of the watchlist"
    key = signed.records.content_key(record.id)
    assert key is not None
    for each in deployment.blue_list.volunteers:
        content = signed.store.target("officers", each.target)
        assert content is not None
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (each.sha256, each.bytes)
        opened = unseal(content, key)
        assert [entry.ref for entry in opened.entries] == [each.ref]
        assert b"glasses" not in content
    published = PublishedDeployments(signed)()[record.id]
    assert set(published.volunteers) == {"V-1", "V-2"}
    assert published.subjects == 1


def test_a_withdrawn_consent_is_gone_from_register_repository_and_index_and_the_envelope_stays(
    desk: Desk, signed: Publisher
) -> None:
    import pyrage

    (record,) = signed.records.running()
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    signed.issue("cam-1", record.id, recipient)
    desk.lfr("bluelist", "remove", "V-1", "--hub", desk.hub)
    assert set(VolunteerRegister(desk.hub).all()) == {"V-2"}
    assert not list((desk.hub / "volunteers").glob("V-1*"))
    assert not list(signed.store.targets.rglob("*.V-1.volunteer"))
    assert len(list(signed.store.targets.rglob("*.V-2.volunteer"))) == 1
    for device in ("cam-1", "cam-2"):
        content = signed.store.target(f"device-{device}", index_target(device))
        assert content is not None
        index = parse_index(content)
        assert index is not None
        assert index.volunteers_withdrawn == ("V-1",)
        if device == "cam-1":
            assert index.recipient == recipient
            assert index.envelope is not None
            assert signed.store.target("device-cam-1", index.envelope) is not None
    desk.lfr("bluelist", "remove", "V-1", "--hub", desk.hub, expect=64)
    signed.issue("cam-2", record.id, recipient)
    content = signed.store.target("device-cam-2", index_target("cam-2"))
    assert content is not None
    again = parse_index(content)
    assert again is not None
    assert again.volunteers_withdrawn == ("V-1",), "an envelope that is issued later brings nobody back"


def withdrawn(publisher: Publisher, device: str = "cam-1") -> tuple[str, ...]:
    """Who is off the blue list, as a device reads it."""
    content = publisher.store.target(f"device-{device}", index_target(device))
    index = None if content is None else parse_index(content)
    assert index is not None
    return index.volunteers_withdrawn


def test_a_consent_that_is_withdrawn_between_signature_and_publication_is_not_published(
    desk: Desk, plan_id: str
) -> None:
    desk.lfr("bluelist", "remove", "V-1", "--hub", desk.hub)
    desk.lfr("deployment", "publish", plan_id, "--hub", desk.hub)
    publisher = Publisher(desk.hub, now)
    assert withdrawn(publisher) == ("V-1",)
    assert not list(publisher.store.targets.rglob("*.V-1.volunteer"))
    assert set(PublishedDeployments(publisher)()[plan_id].volunteers) == {"V-2"}
    assert publisher.records.get(plan_id).refs != ()


def test_a_register_that_cannot_be_deleted_keeps_nobody_on_a_list(
    signed: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: VolunteerRegister, ref: str) -> bool:
        raise Unavailable(f"{ref} is still there")

    monkeypatch.setattr(VolunteerRegister, "remove", refuse)
    with pytest.raises(Unavailable, match="V-1 is still there"):
        operations.take_off_volunteers(signed, ["V-1"])
    assert withdrawn(signed) == ("V-1",)


def test_a_withdrawal_that_a_disk_refused_is_published_by_the_next_one(
    signed: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record,) = signed.records.running()

    def refuse(*_: Any, **__: Any) -> None:
        raise Unavailable("the disk is full")

    with monkeypatch.context() as full:
        full.setattr(signed.store, "commit", refuse)
        with pytest.raises(Unavailable):
            signed.take_off_volunteers(record.id, ["V-1"])
    assert signed.take_off_volunteers(record.id, ["V-1"]) == ("V-1",)
    assert withdrawn(signed) == ("V-1",)


def test_a_consent_that_has_ended_is_taken_off_without_anybody(desk: Desk, signed: Publisher) -> None:
    later = Publisher(desk.hub, lambda: wall(datetime.now(timezone.utc) + timedelta(hours=25)))
    assert operations.end_consents(later) == ("V-1", "V-2")
    assert VolunteerRegister(desk.hub).all() == {}
    assert not list(signed.store.targets.rglob("*.volunteer"))
    assert operations.end_consents(later) == ()


def test_a_damaged_consent_keeps_nobody_else_on_a_list(desk: Desk, signed: Publisher) -> None:
    (desk.hub / "volunteers" / "V-1" / "consent.json").write_bytes(b"{")
    assert VolunteerRegister(desk.hub).group("V-1") is None, "counting goes on"
    later = Publisher(desk.hub, lambda: wall(datetime.now(timezone.utc) + timedelta(hours=25)))
    with pytest.raises(BadData, match=r"V-1/consent\.json is damaged"):
        operations.end_consents(later)
    assert set(withdrawn(signed)) == {"V-1", "V-2"}
    assert VolunteerRegister(desk.hub).refs() == {"V-1"}


def test_an_end_deletes_the_volunteers_sealed_files(desk: Desk, signed: Publisher) -> None:
    (record,) = signed.records.running()
    desk.lfr("deployment", "end", record.id, "--hub", desk.hub)
    assert not list(signed.store.targets.rglob("*.volunteer"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ref": "Jones"}, "no name"),
        ({"ref": "V/1"}, "no name"),
        ({"until": datetime(2020, 1, 1, tzinfo=timezone.utc)}, "not have ended"),
        ({"reference": " "}, "reference"),
        ({"group": "g" * 41}, "1 to 40"),
    ],
)
def test_a_volunteer_without_a_valid_consent_is_refused(desk: Desk, changes: dict[str, Any], words: str) -> None:
    register = VolunteerRegister(desk.hub)
    with pytest.raises(UsageError, match=words):
        register.add(consent(**{"ref": "V-9", **changes}), [photo(desk.root / "9.png", 3)], now(), READ)
    assert register.all() == {}


def test_a_blue_list_of_another_list_or_that_was_changed_is_refused(desk: Desk, register: VolunteerRegister) -> None:
    plan_file = desk.plan()
    plan = DeploymentPlan.model_validate(yaml.safe_load(plan_file.read_text()))
    listed, _ = read_built(desk.built(plan_file))
    files = build_blue_list(register, plan, listed, [SquareReader()], made_with=MADE_WITH, now=now())
    write(desk.root / "blue", files)
    with pytest.raises(RefusedByCondition, match="build it again"):
        read_blue_list(desk.root / "blue", plan, "wl-other")
    (desk.root / "blue" / "V-1.volunteer").write_bytes(b"x" * 100)
    with pytest.raises(BadData, match=f"V-1 is not what {REFERENCE}"):
        read_blue_list(desk.root / "blue", plan, listed.watchlist.id)


def test_only_the_face_of_a_photo_is_kept(desk: Desk) -> None:
    """The photo shows a wall of one shade around the face: nothing of it but the face's own surroundings is left."""
    paint(desk.root / "street.png", (3, 100), shade=60)
    register = VolunteerRegister(desk.hub)
    register.add(consent("V-1"), [desk.root / "street.png"], now(), READ)
    (kept,) = register.photos("V-1")
    picture = cv2.imread(str(kept))
    side = round(60 * CONTEXT)
    assert picture is not None
    assert picture.shape[:2] == (side, side), "of 200 x 400"
    assert len(READ(np.asarray(picture[:, :, ::-1], np.uint8))) == 1


@pytest.mark.parametrize("people", [(), ((3, 100), (4, 250))], ids=["nobody", "two people"])
def test_a_photo_that_does_not_show_one_person_is_refused_and_nothing_is_kept(
    desk: Desk, people: tuple[tuple[int, int], ...]
) -> None:
    paint(desk.root / "street.png", *people)
    register = VolunteerRegister(desk.hub)
    with pytest.raises(UsageError, match=f"it shows {len(people)} faces"):
        register.add(consent("V-1"), [photo(desk.root / "1.png", 3), desk.root / "street.png"], now(), READ)
    assert not list((desk.hub / "volunteers").rglob("*"))


def test_the_command_registers_lists_and_needs_a_hub(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolling, "readers_for", lambda *_: ([], [SquareReader()]))
    face = photo(desk.root / "1.png", 3)
    until = (now() + timedelta(hours=5)).isoformat()
    common = ["--hub", desk.hub, "--photo", face, "--consent", "2026-01-02", "--reference", "form 7", "--until", until]
    desk.lfr("bluelist", "add", "V-7", *common, "--group", "hat")
    assert "V-7: consent form 7 of 2026-01-02" in desk.lfr("bluelist", "list", "--hub", desk.hub)
    stored = [file for file in (desk.hub / "volunteers").rglob("*") if file.is_file()]
    assert all(file.stat().st_mode & 0o077 == 0 for file in stored)
    desk.lfr("bluelist", "add", "Jones", *common, expect=64)


def test_a_blue_list_for_devices_with_a_pair_holds_the_pair_s_templates(
    desk: Desk, own_recogniser: ModelCard, samples: Callable[[str], list[Path]]
) -> None:
    plan = desk.plan()
    until = (now() + timedelta(hours=1)).isoformat()
    consented = ["--consent", f"{now():%Y-%m-%d}", "--reference", "form 1", "--until", until]
    face = next(path for path in samples("public") if path.name == "obama.jpg")
    desk.lfr("bluelist", "add", "V-1", "--hub", desk.hub, "--photo", face, *consented)
    listed = desk.built(plan)
    asked = ["bluelist", "build", "--hub", desk.hub, "--deployment", plan, "--watchlist", listed]
    asked += ["--backend", "onnxruntime", "--screen", own_recogniser.name, "--out"]
    desk.lfr(*asked, desk.root / "none", expect=65)
    assert "was built with recogniser bbbbbbbbbbbb…, this blue list with" in desk.said
    pair = Recognisers(card(RECOGNISER_DEFAULT), own_recogniser).source_sha256
    built = listed / "watchlist.yaml"
    built.write_text(built.read_text().replace("b" * 64, pair))
    desk.lfr(*asked, desk.root / "blue")
    assert yaml.safe_load((desk.root / "blue" / REFERENCE).read_text())["blue_list"]["recogniser"] == pair
