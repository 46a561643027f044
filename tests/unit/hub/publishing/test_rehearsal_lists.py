"""A rehearsal list: kept once, copied for tests and demonstrations, refused in operation, gone at its end."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from device.config.deployment import RehearsalReference, parse_signed
from device.config.publication import index_target, parse_index
from device.domain.finding import Mode
from device.domain.time import wall
from device.errors import BadData, RefusedByCondition, Unavailable, UsageError, WatchlistUnusable
from device.watchlist.sealed import require_mode, seal, unseal
from tests.unit.hub.publishing.conftest import Desk
from tests.unit.hub.publishing.site_of_authority import Site
from tests.unit.hub.publishing.test_list_building import SquareReader, paint
from tools.hub.cli import rehearsal_commands
from tools.hub.cli.options import now
from tools.hub.publishing import operations, rehearsals
from tools.hub.publishing.publisher import Publisher
from tools.hub.storage.folder import HubFolder
from tools.hub.watchlist.build import CONTENT, read_built
from tools.hub.watchlist.photos import open_at_hub
from tools.hub.watchlist.rehearsal import DAYS_MOST, RehearsalLists

pytestmark = pytest.mark.slow
TWO = "entry_ref,photo,category,image_source,label\ns-1,a.png,missing,staff,Desk one\ns-2,b.png,missing,staff,\n"


@pytest.fixture(autouse=True)
def square_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def readers(*_: object) -> Iterator[list[SquareReader]]:
        yield [SquareReader()]

    monkeypatch.setattr(rehearsal_commands, "readers_of", readers)


def people(folder: Path, text: str = TWO) -> Path:
    paint(folder / "a.png", (1, 100))
    paint(folder / "b.png", (2, 100))
    (folder / "staff.csv").write_text(text)
    return folder / "staff.csv"


def in_days(days: float) -> str:
    return (datetime.now(timezone.utc) + timedelta(days=days)).isoformat()


def keep(desk: Desk, *more: object, name: str = "staff", days: float = 7, text: str = TWO, expect: int = 0) -> Any:
    about = ["--hub", desk.hub, "--owner", "CID-4", "--consent", "forms 12-13", "--until", in_days(days)]
    return desk.lfr("watchlist", "keep", name, people(desk.root, text), *about, *more, expect=expect)


def copy(desk: Desk, plan: Path, out: str, *, expect: int = 0) -> Path:
    what = ["--rehearsal", "staff", "--hub", desk.hub, "--deployment", plan, "--out", desk.root / out]
    desk.lfr("watchlist", "build", *what, expect=expect)
    return desk.root / out


def id_of(plan: Path) -> str:
    return str(yaml.safe_load(plan.read_text())["id"])


def signed(desk: Desk, plan: Path, listed: Path) -> str:
    keys = ["--key", desk.key("AO-1"), "--key", desk.key("AO-2")]
    desk.lfr("deployment", "sign", plan, "--watchlist", listed, "--hub", desk.hub, *keys)
    return id_of(plan)


def published(desk: Desk, plan: Path, listed: Path) -> str:
    name = signed(desk, plan, listed)
    desk.lfr("deployment", "publish", name, "--hub", desk.hub)
    return name


def opened(desk: Desk, listed: Path) -> Any:
    """A built copy as a device opens it."""
    built, payload = read_built(listed)
    secret = HubFolder(desk.hub).keys.secret(built.deployment_id)
    assert secret is not None
    return unseal(payload, open_at_hub((listed / CONTENT).read_bytes(), secret, "key").decode())


def test_one_list_serves_several_deployments_each_with_a_sealed_copy_of_its_own(desk: Desk) -> None:
    keep(desk)
    first, second = desk.plan("one.yaml"), desk.plan("two.yaml")
    one, two = copy(desk, first, "one"), copy(desk, second, "two")
    assert opened(desk, one).entries == opened(desk, two).entries
    assert opened(desk, one).rehearsal == "staff"
    assert read_built(one)[0].content_recipient != read_built(two)[0].content_recipient
    name = published(desk, first, one)
    publisher = Publisher(desk.hub, now)
    document = publisher.deployment(publisher.records.get(name))
    assert document.watchlist.rehearsal == read_built(one)[0].watchlist.rehearsal
    assert HubFolder(desk.hub).settings().entries["s-1"].label == "Desk one"
    desk.lfr("deployment", "end", name, "--hub", desk.hub)
    published(desk, second, two)
    assert "a copy of rehearsal list staff, which ends at" in desk.said
    (kept,) = desk.lfr("watchlist", "kept", "--hub", desk.hub, "--json")["rehearsal_lists"]
    assert kept["copied_for"] == [name, id_of(second)]


def test_nothing_of_a_person_lies_in_the_hub_s_folder_in_the_clear(desk: Desk) -> None:
    keep(desk)
    lists = RehearsalLists(desk.hub)
    members = lists.copy_for("staff", "d-1", now())[1]
    files = [file for file in desk.hub.rglob("*") if file.is_file()]
    content = b"".join(file.read_bytes() for file in files)
    for secret in (b"s-1", b"Desk one", members[0].sealed.templates[:64], members[0].on_page.photo[:64]):
        assert secret not in content
    assert all(file.stat().st_mode & 0o077 == 0 for file in files if "rehearsal" in str(file))


@pytest.mark.parametrize("ended_by", ["its time", "a kill"])
def test_its_end_ends_every_deployment_with_a_copy_and_leaves_no_key(desk: Desk, ended_by: str) -> None:
    keep(desk)
    running, waiting, planned = (desk.plan(f"{name}.yaml") for name in ("running", "waiting", "planned"))
    other = desk.plan("other.yaml")
    name = published(desk, running, copy(desk, running, "one"))
    held_back = signed(desk, waiting, copy(desk, waiting, "two"))
    copy(desk, planned, "three")
    lists, publisher, later = RehearsalLists(desk.hub), Publisher(desk.hub, now), now()
    if ended_by == "its time":
        later = wall(lists.get("staff").until)
        assert rehearsals.end_rehearsals(publisher, wall(later - timedelta(seconds=1))) == []
        rehearsals.end_rehearsals(publisher, later)
    else:
        lists.keys.drop("staff")  # the first step; the program was killed after it
        desk.lfr("deployment", "list", "--hub", desk.hub)
    assert publisher.records.running() == ()
    assert HubFolder(desk.hub).reference("s-1") is None
    keys = HubFolder(desk.hub).keys.deployments()
    assert set(keys) == {id_of(other)}, "of other deployments alone"
    assert publisher.records.content_key(name) is None
    assert not (publisher.places.pending / held_back).exists()
    assert lists.names() == ()
    assert not list((desk.hub / "rehearsals").rglob("*"))
    content = publisher.store.target("device-cam-1", index_target("cam-1"))
    assert content is not None
    assert parse_index(content) is None, "devices end it too"
    assert rehearsals.end_rehearsals(publisher, later) == []


def test_an_end_that_a_disk_interrupts_goes_on_at_the_next_command(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(desk)
    plan = desk.plan()
    published(desk, plan, copy(desk, plan, "one"))
    publisher = Publisher(desk.hub, now)

    def fails(*_: object) -> None:
        raise Unavailable("disk")

    with monkeypatch.context() as broken:
        broken.setattr(operations, "end", fails)
        with pytest.raises(Unavailable, match="disk"):
            rehearsals.end_rehearsal(publisher, "staff")
    assert RehearsalLists(desk.hub).keys.secret("staff") is None, "the key went first"
    assert len(publisher.records.running()) == 1
    assert any("staff" in line for line in rehearsals.end_rehearsals(publisher))
    assert publisher.records.running() == ()


def test_a_copy_cannot_be_signed_or_published_once_its_list_is_gone(desk: Desk) -> None:
    keep(desk)
    plan = desk.plan()
    listed = copy(desk, plan, "one")
    secret = (desk.hub / "keys" / f"deployment-{id_of(plan)}.txt").read_bytes()
    desk.lfr("watchlist", "forget", "staff", "--hub", desk.hub)
    (desk.hub / "keys" / f"deployment-{id_of(plan)}.txt").write_bytes(secret)  # from somebody's copy
    desk.lfr("deployment", "sign", plan, "--watchlist", listed, "--hub", desk.hub, "--key", desk.key("AO-1"), expect=77)
    assert "rehearsal list staff" in desk.said


@pytest.mark.parametrize(
    ("more", "days", "text", "status", "said"),
    [
        ([], DAYS_MOST + 1, TWO, 77, f"at most {DAYS_MOST} days"),
        ([], -1, TWO, 77, "must be ahead"),
        (["--owner", "Smith"], 7, TWO, 64, "no name"),
        (["--consent", " "], 7, TWO, 64, "written consent"),
        ([], 7, "entry_ref,photo,category,image_source,under_18,rationale\ns-1,a.png,x,y,yes,z\n", 77, "under 18"),
    ],
)
def test_a_list_needs_an_owner_consent_a_near_end_and_adults(
    desk: Desk, more: list[str], days: float, text: str, status: int, said: str
) -> None:
    keep(desk, *more, days=days, text=text, expect=status)
    assert said in desk.said
    assert RehearsalLists(desk.hub).names() == ()


def test_eleven_people_are_no_rehearsal_list(desk: Desk) -> None:
    keep(desk)
    lists = RehearsalLists(desk.hub)
    rehearsal, (one, _) = lists.copy_for("staff", "d-1", now())
    many = [
        msgspec.structs.replace(one, sealed=msgspec.structs.replace(one.sealed, ref=f"s-{number}"))
        for number in range(11)
    ]
    with pytest.raises(RefusedByCondition, match="11 people"):
        lists.keep(msgspec.structs.replace(rehearsal, name="more"), many, now())


def test_a_name_is_used_once_at_a_time_and_an_unknown_one_is_named(desk: Desk) -> None:
    keep(desk)
    keep(desk, expect=64)
    assert "watchlist forget staff" in desk.said
    desk.lfr("watchlist", "forget", "other", "--hub", desk.hub, expect=64)
    assert "there: staff" in desk.said
    with pytest.raises(UsageError):
        RehearsalLists(desk.hub).get("../keys")


def test_a_plan_that_ends_after_the_list_gets_no_copy(desk: Desk) -> None:
    keep(desk, days=0.1)
    plan = desk.plan("plan.yaml", "--end", in_days(0.2))
    copy(desk, plan, "one", expect=77)
    assert "later than the end of rehearsal list staff" in desk.said
    assert RehearsalLists(desk.hub).get("staff").copied_for == ()


def test_an_operational_hub_keeps_none_and_an_operational_plan_gets_no_copy(desk: Desk) -> None:
    keep(desk)
    plan = desk.plan()
    document = yaml.safe_load(plan.read_text())
    plan.write_text(yaml.safe_dump({**document, "mode": "operational"}))
    copy(desk, plan, "one", expect=77)
    assert "an operational deployment takes none" in desk.said
    file = desk.hub / "console.yaml"
    file.write_text(file.read_text().replace("mode: test", "mode: operational"))
    keep(desk, name="more", expect=77)
    assert "operational hub" in desk.said


def test_device_and_worker_refuse_a_copy_in_operation(desk: Desk, tmp_path: Path) -> None:
    reference = RehearsalReference(name="staff", until=now() + timedelta(days=1)).model_dump(mode="json")
    document = Site(tmp_path / "other").document()
    document["watchlist"]["rehearsal"] = reference
    assert parse_signed(yaml.safe_dump(document).encode(), "d").watchlist.rehearsal is not None
    with pytest.raises(BadData, match="an operational deployment takes none"):
        parse_signed(yaml.safe_dump({**document, "mode": "operational"}).encode(), "d")
    document["watchlist"]["rehearsal"] = {**reference, "until": (now() + timedelta(minutes=5)).isoformat()}
    with pytest.raises(BadData, match="later than the end of rehearsal list"):
        parse_signed(yaml.safe_dump(document).encode(), "d")
    keep(desk)
    listed = opened(desk, copy(desk, desk.plan(), "one"))
    with pytest.raises(WatchlistUnusable, match="sealed for test use, the deployment is operational"):
        require_mode(listed, Mode.OPERATIONAL)
    require_mode(listed, Mode.TEST)
    with pytest.raises(WatchlistUnusable, match="rehearsal list"):
        seal(
            msgspec.structs.replace(listed, mode=Mode.OPERATIONAL),
            [read_built(desk.root / "one")[0].content_recipient or ""],
        )


def test_a_document_without_a_copy_names_none_so_that_older_devices_read_it(desk: Desk) -> None:
    plan = desk.plan()
    name = signed(desk, plan, desk.built(plan))
    (document,) = (Publisher(desk.hub, now).places.pending / name / "files" / "deployments").glob("*.yaml")
    assert "rehearsal" not in document.read_text()


def test_a_damaged_list_is_deleted_with_the_deployments_that_say_they_have_it(desk: Desk) -> None:
    keep(desk)
    plan = desk.plan()
    name = signed(desk, plan, copy(desk, plan, "one"))
    (desk.hub / "rehearsals" / "staff" / "rehearsal.json").write_text("{")
    desk.lfr("watchlist", "kept", "--hub", desk.hub)
    assert RehearsalLists(desk.hub).names() == ()
    assert not (Publisher(desk.hub, now).places.pending / name).exists()


@pytest.mark.parametrize(("asked", "answer"), [("desk ONE", "kept"), ("Desk two", "nothing")])
def test_a_persons_request_finds_a_rehearsal_list_that_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, asked: str, answer: str
) -> None:
    keep(desk)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{asked}\n"))
    words = ["--case", "C-1", "--by", "DPO-1", "--label", "--json"]
    found = desk.lfr("subject-request", desk.hub, *words)
    assert found["answer"] == answer
    assert [each["name"] for each in found["rehearsals"]] == (["staff"] if answer == "kept" else [])
