"""A list for one deployment: read whole, every problem at once, sealed so that its maker cannot open it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pyrage
import pytest

from device.config.deployment import DeploymentPlan
from device.domain.sight import F32, U8
from device.enrolment.photo_reader import PhotoFace
from device.errors import BadData, RefusedByCondition, Unavailable, WatchlistUnusable
from device.vision.probe import CONTEXT
from device.watchlist.sealed import unseal
from tests.unit.hub.publishing.site_of_authority import Site
from tools.hub.watchlist.build import CONTENT, PHOTOS, BuiltList, build, read_built, require_fresh, write
from tools.hub.watchlist.people import Defaults, People, read_people
from tools.hub.watchlist.photos import chosen_face, open_at_hub, read_photos, reference_photo

RECOGNISER = "b" * 64
TODAY = date(2026, 11, 24)


class SquareReader:
    """A face is a red square; its green encodes the person, its blue the yaw in tenths."""

    blurred_below = 0.5

    def read(self, rgb: U8) -> Sequence[PhotoFace]:
        red = (rgb[:, :, 0] > 200).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(red)
        return [
            PhotoFace(
                np.array([x, y, x + w, y + h], np.float32),
                np.zeros((5, 2), np.float32),
                0.9,
                1.0,
                float(rgb[y + h // 2, x + w // 2, 2]) / 100,
            )
            for x, y, w, h, _ in stats[1:]
        ]

    def template(self, rgb: U8, face: PhotoFace) -> F32 | None:
        x, y = (int(v) + 10 for v in face.box[:2])
        return np.random.default_rng(round(int(rgb[y, x, 1]) / 10)).standard_normal(128).astype(np.float32)


def paint(path: Path, *people: tuple[int, int], side: int = 60, yaw: float = 0, shade: int = 60) -> None:
    """A PNG with a face at each (person, left)."""
    canvas = np.full((200, 400, 3), (shade, 0, 0), np.uint8)
    for person, left in people:
        canvas[50 : 50 + side, left : left + side] = (255, person * 10, round(yaw * 100))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(canvas, cv2.COLOR_RGB2BGR))


@pytest.fixture
def hub_identity() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def plan(site: Site, hub_identity: pyrage.x25519.Identity) -> DeploymentPlan:
    document = site.document(hub_recipient=str(hub_identity.to_public()))
    del document["watchlist"]
    return DeploymentPlan.model_validate(document)


def read_csv(tmp_path: Path, text: str, plan: DeploymentPlan) -> People:
    (tmp_path / "people.csv").write_text(text)
    return read_people(tmp_path / "people.csv", Defaults(), plan.categories, TODAY)


def test_a_list_opens_for_a_device_and_its_photos_for_the_hub_alone(
    tmp_path: Path, site: Site, plan: DeploymentPlan, hub_identity: pyrage.x25519.Identity
) -> None:
    paint(tmp_path / "a.png", (1, 100))
    paint(tmp_path / "b.png", (1, 200), side=80)
    paint(tmp_path / "c.png", (2, 100))
    people = read_csv(
        tmp_path,
        "entry_ref,photo,category,image_source,image_date,under_18,rationale,label,look_alike\n"
        "e-1,a.png,missing,records,2026-01-02,yes,at risk,red case 12,older brother\n"
        "e-1,b.png,missing,custody,2025-01-02,yes,at risk,red case 12,older brother\n"
        ",c.png,missing,records,2024-05-06,no,,,\n",
        plan,
    )
    assert people.problems == []
    report, files = build(people, plan, [SquareReader()], RECOGNISER, site.clock(), progress=False)
    assert files is not None
    assert (report.subjects, report.images, report.warnings) == (2, 3, [])
    write(tmp_path / "list", files)
    built, payload = read_built(tmp_path / "list")
    assert built.categories == {"missing": 2}
    hub = str(hub_identity)
    opened = unseal(payload, open_at_hub(files[CONTENT], hub, "key").decode())
    first = next(e for e in opened.entries if e.ref == "e-1")
    assert first.under_18
    assert (first.image_source, first.image_captured_on) == ("custody", date(2025, 1, 2)), "of the best photo"
    assert len(first.rows) == 2
    photos = read_photos(open_at_hub(files[PHOTOS], hub, "photos"))
    assert {e.ref for e in photos.entries} == {e.ref for e in opened.entries}
    assert next(e for e in photos.entries if e.ref == "e-1").rationale == "at risk"
    assert all(e.photo.startswith(b"\xff\xd8") for e in photos.entries)
    assert {e.label for e in photos.entries} == {"red case 12", ""}
    assert {e.look_alike for e in photos.entries} == {"older brother", ""}
    assert b"brother" not in msgspec.json.encode(opened)
    assert b"red case" not in msgspec.json.encode(opened), "a device does not get it"
    random_one = next(ref for ref in report.entries if ref != "e-1")
    assert random_one.startswith("e-")
    assert report.entries[random_one] == ["c.png"]
    clear = b"".join(files.values())
    for secret in (b"e-1", b"at risk", b"red case", b"custody", random_one.encode(), b"AGE-SECRET"):
        assert secret not in clear
    with pytest.raises(BadData, match="built for another hub"):
        open_at_hub(files[PHOTOS], str(pyrage.x25519.Identity.generate()), "photos")


def test_every_problem_of_a_csv_is_named_at_once_with_its_line(tmp_path: Path, plan: DeploymentPlan) -> None:
    people = read_csv(
        tmp_path,
        "entry_ref,photo,category,image_source,image_date,under_18,rationale,face\n"
        "John-Smith,a.png,missing,records,,,,\n"
        "e-2,a.png,wanted,records,,,,\n"
        "e-3,a.png,missing,,,,,\n"
        "e-4,a.png,missing,records,,yes,,\n"
        "e-5,a.png,missing,records,2027-01-01,,,\n"
        "e-6,a.png,missing,records,1.2.2026,perhaps,,\n"
        "e-7,a.png,missing,records,,,,7;7\n"
        "e-7,a.png,,records,,,,\n",
        plan,
    )
    reported = "\n".join(people.problems)
    for line in (
        "line 2: entry_ref 'John-Smith' must be opaque",
        "line 3: category 'wanted' is not in the deployment; it has missing",
        "line 4: image_source is missing",
        "line 5: under_18 needs a rationale",
        "line 6: image_date 2027-01-01 is in the future",
        "line 7: image_date must be YYYY-MM-DD",
        "line 7: under_18 must be yes or no",
        "line 8: face must be x;y",
        "line 9: category differs from line 8",
    ):
        assert line in reported


def test_a_reference_photo_is_the_face_alone_at_a_probes_scale_and_level() -> None:
    photo = np.full((600, 900, 3), 60, np.uint8)
    photo[200:300, 500:580] = (250, 250, 250)
    encoded = bytes(cv2.imencode(".png", photo)[1])
    eyes = np.array([[520, 230], [560, 270], [0, 0], [0, 0], [0, 0]], np.float32)
    face = PhotoFace(np.array([500, 200, 580, 300], np.float32), eyes, 0.9, 1.0, 0.0)
    whole = cv2.imdecode(np.frombuffer(reference_photo(encoded) or b"", np.uint8), cv2.IMREAD_COLOR)
    cut = cv2.imdecode(np.frombuffer(reference_photo(encoded, lambda _: face) or b"", np.uint8), cv2.IMREAD_COLOR)
    assert whole is not None
    assert whole.shape[:2] == (427, 640)
    assert cut is not None
    assert cut.shape[:2] == (round(CONTEXT * 100), round(CONTEXT * 100))
    bright = np.argwhere(cut[:, :, 0] > 180)
    assert abs(bright.mean(0) - CONTEXT * 50).max() < 3, "the face is in the middle"
    high, wide = np.ptp(bright, axis=0)
    assert high > 115, "its 100 x 80 box stands on a corner now: the eyes were 45 degrees off"
    assert wide > 115


def test_of_several_faces_the_named_one_is_cut_out_otherwise_the_most_central() -> None:
    faces = [
        PhotoFace(np.array([x, 10, x + 20, 30], np.float32), np.zeros((5, 2), np.float32), 0.9, 1.0, 0.0)
        for x in (0, 90, 180)
    ]
    assert chosen_face(faces, (200, 100), None) is faces[1]
    assert chosen_face(faces, (200, 100), (0.95, 0.2)) is faces[2]
    assert chosen_face([], (200, 100), None) is None


@pytest.mark.parametrize("column", ["label", "look_alike"])
@pytest.mark.parametrize("text", ["x" * 61, "tab\there"])
def test_a_text_of_the_card_is_one_short_line(tmp_path: Path, plan: DeploymentPlan, column: str, text: str) -> None:
    people = read_csv(
        tmp_path, f"entry_ref,photo,category,image_source,{column}\ne-1,a.png,missing,records,{text}\n", plan
    )
    assert any(f"{column} must be one line" in problem for problem in people.problems)


def test_a_column_of_names_is_refused(tmp_path: Path, plan: DeploymentPlan) -> None:
    with pytest.raises(WatchlistUnusable, match=r"unknown: name \(a list must not contain names\)"):
        read_csv(tmp_path, "name,photo,category\nx,a.png,missing\n", plan)
    with pytest.raises(WatchlistUnusable, match="nobody in it"):
        read_csv(tmp_path, "photo,category\n", plan)


def test_several_faces_are_refused_until_one_is_chosen(tmp_path: Path, site: Site, plan: DeploymentPlan) -> None:
    paint(tmp_path / "two.png", (1, 40), (2, 270))
    head = "entry_ref,photo,category,image_source,face\n"
    people = read_csv(tmp_path, f"{head}e-1,two.png,missing,records,\n", plan)
    report, files = build(people, plan, [SquareReader()], RECOGNISER, site.clock(), progress=False)
    assert files is None
    assert report.rejected == [{"file": "two.png", "reason": "2 faces found: choose one of 0.17;0.40, 0.75;0.40"}]
    assert report.problems == ["e-1: no usable photo; give a better one, or take the person off"]
    for choice in ("0.75;0.40", "0.68;0.25;0.15;0.3"):
        people = read_csv(tmp_path, f"{head}e-1,two.png,missing,records,{choice}\n", plan)
        report, files = build(people, plan, [SquareReader()], RECOGNISER, site.clock(), progress=False)
        assert files is not None
    people = read_csv(tmp_path, f"{head}e-1,two.png,missing,records,0.5;0.5\n", plan)
    report, _ = build(people, plan, [SquareReader()], RECOGNISER, site.clock(), progress=False)
    assert report.rejected[0]["reason"].startswith("no face at 0.50;0.50; faces are at")


def test_a_turned_a_small_and_a_missing_photo_are_each_rejected_with_a_reason(
    tmp_path: Path, site: Site, plan: DeploymentPlan
) -> None:
    paint(tmp_path / "turned.png", (1, 100), yaw=1.2)
    paint(tmp_path / "small.png", (1, 100), side=20)
    paint(tmp_path / "good.png", (1, 100))
    rows = "".join(f"e-1,{n}.png,missing,records\n" for n in ("turned", "small", "gone", "good"))
    people = read_csv(tmp_path, f"entry_ref,photo,category,image_source\n{rows}", plan)
    report, files = build(people, plan, [SquareReader()], RECOGNISER, site.clock(), progress=False)
    assert files is not None
    reasons = {r["file"]: r["reason"] for r in report.rejected}
    assert "turned far" in reasons["turned.png"]
    assert "too small" in reasons["small.png"]
    assert "cannot be read" in reasons["gone.png"]
    assert report.images == 1


def test_two_entries_that_look_like_one_person_are_named_in_a_warning(
    tmp_path: Path, site: Site, plan: DeploymentPlan
) -> None:
    paint(tmp_path / "a.png", (3, 100))
    paint(tmp_path / "b.png", (3, 200))
    rows = "e-1,a.png,missing,r\ne-2,b.png,missing,r\ne-3,b.png,missing,r\n"
    people = read_csv(tmp_path, f"entry_ref,photo,category,image_source\n{rows}", plan)
    report, _ = build(people, plan, [SquareReader()], RECOGNISER, site.clock(), progress=False)
    reported = [w["reason"] for w in report.warnings if "date" not in w["reason"]]
    assert any("looks like the same person as e-2" in reason for reason in reported)
    assert "the same photo is also listed as e-2" in reported


def test_a_folder_takes_defaults_and_what_each_entry_says(tmp_path: Path, plan: DeploymentPlan) -> None:
    for ref in ("e-1", "e-2"):
        paint(tmp_path / "people" / ref / "a.png", (1, 100))
    (tmp_path / "people" / "e-2" / "entry.yaml").write_text(
        "image_source: custody\nimage_date: 2026-02-03\nunder_18: true\nrationale: at risk\nfaces: {a.png: 0.3;0.4}\n"
    )
    found = read_people(tmp_path / "people", Defaults("missing", "records"), plan.categories, TODAY)
    assert found.problems == []
    one, two = found.people
    assert (one.photos[0].source, two.photos[0].source) == ("records", "custody")
    assert two.under_18
    assert two.photos[0].taken_on == date(2026, 2, 3)
    assert two.photos[0].at == (0.3, 0.4)
    hidden = read_people(tmp_path / "people", Defaults("missing", "records", True), plan.categories, TODAY)
    assert {p.ref for p in hidden.people}.isdisjoint({"e-1", "e-2"})


def test_more_people_than_were_authorised_are_no_list(tmp_path: Path, site: Site, plan: DeploymentPlan) -> None:
    rows = ""
    for person in range(3):
        paint(tmp_path / f"{person}.png", (person, 100))
        rows += f"e-{person},{person}.png,missing,records\n"
    people = read_csv(tmp_path, f"entry_ref,photo,category,image_source\n{rows}", plan)
    small = plan.model_copy(update={"max_watchlist_size": 2})
    report, files = build(people, small, [SquareReader()], RECOGNISER, site.clock(), progress=False)
    assert files is None
    assert report.problems == ["3 entries are over the 2 that the deployment authorises"]


def test_a_list_cut_off_or_of_another_deployment_is_refused(tmp_path: Path, site: Site, plan: DeploymentPlan) -> None:
    paint(tmp_path / "a.png", (1, 100))
    people = read_csv(tmp_path, "entry_ref,photo,category,image_source\ne-1,a.png,missing,records\n", plan)
    _, files = build(people, plan, [SquareReader()], RECOGNISER, site.clock(), progress=False)
    assert files is not None
    write(tmp_path / "list", files)
    built, _ = read_built(tmp_path / "list")
    with pytest.raises(Unavailable, match="not there yet"):
        write(tmp_path / "list", files)
    with pytest.raises(RefusedByCondition, match=r"built for d-1, not for d-2 \(R01\)"):
        require_fresh(built, plan.model_copy(update={"id": "d-2"}), site.clock())
    site.clock.ahead = timedelta(hours=3)
    with pytest.raises(RefusedByCondition, match="expired"):
        require_fresh(built, plan, site.clock())
    (tmp_path / "list" / "payload.age").write_bytes(files["payload.age"][:-1])
    with pytest.raises(BadData, match="cut off or changed"):
        read_built(tmp_path / "list")


def test_the_reference_holds_no_person(tmp_path: Path, site: Site, plan: DeploymentPlan) -> None:
    paint(tmp_path / "a.png", (1, 100))
    people = read_csv(tmp_path, "entry_ref,photo,category,image_source\ne-1,a.png,missing,records\n", plan)
    _, files = build(people, plan, [SquareReader()], RECOGNISER, site.clock(), progress=False)
    assert files is not None
    write(tmp_path / "list", files)
    built: BuiltList = read_built(tmp_path / "list")[0]
    assert set(built.model_dump()) == {"deployment_id", "categories", "watchlist", "content_recipient"}
    assert "e-1" not in json.dumps(built.model_dump(mode="json"))
