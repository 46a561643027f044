"""The hub's key of a deployment dies with it: what was built for it cannot be opened afterwards from any copy."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyrage
import pytest
import yaml

from device.domain.time import WallTime, wall
from device.errors import BadData, RefusedByCondition, UsageError
from tests.unit.hub.publishing.conftest import Desk
from tools.hub.publishing import operations, pending_changes
from tools.hub.publishing.publisher import Publisher
from tools.hub.storage.folder import HubFolder
from tools.hub.storage.probes import JPEG_START, ProbeOpener

pytestmark = pytest.mark.slow


@dataclass
class Signed:
    """A deployment whose change waits with both signatures; its built folder and a probe that somebody kept."""

    desk: Any
    id: str
    listed: Path
    probe: bytes

    def opens(self) -> list[str]:
        """What of it opens at the hub."""
        hub = HubFolder(self.desk.hub)
        found = []
        with contextlib.suppress(RefusedByCondition):
            found += [f"photo {entry.ref}" for entry in operations.photos_of(hub, self.listed).entries]
        with contextlib.suppress(BadData):
            found += ["probe"] if ProbeOpener(hub.keys).open(self.probe) else []
        return found

    def lfr(self, *words: object, expect: int = 0) -> Any:
        return self.desk.lfr(*words, "--hub", self.desk.hub, expect=expect)


@pytest.fixture
def signed(desk: Desk) -> Callable[..., Signed]:
    def make(name: str = "plan.yaml", *more: object) -> Signed:
        plan = desk.plan(name, *more)
        document = yaml.safe_load(plan.read_text())
        listed = desk.built(plan, f"list-{document['id']}")
        keys = ["--key", desk.key("AO-1"), "--key", desk.key("AO-2")]
        desk.lfr("deployment", "sign", plan, "--watchlist", listed, "--hub", desk.hub, *keys)
        recipient = pyrage.x25519.Recipient.from_str(document["hub_recipient"])
        return Signed(desk, document["id"], listed, pyrage.encrypt(JPEG_START + b"a face", [recipient]))

    return make


def later(hub: Path, **ahead: float) -> Publisher:
    """The same hub, its clock ahead."""

    def now() -> WallTime:
        return wall(datetime.now(timezone.utc) + timedelta(**ahead))

    return Publisher(hub, now)


BOTH = ["photo e-1", "probe"]


def test_a_kept_folder_and_its_probes_open_nowhere_after_the_end(signed: Callable[..., Signed]) -> None:
    one = signed()
    assert one.opens() == BOTH
    one.lfr("deployment", "publish", one.id)
    assert one.opens() == BOTH, "while it runs probes must open"
    one.lfr("deployment", "end", one.id)
    assert one.opens() == []
    one.lfr("watchlist", "verify", one.listed, expect=77)
    assert "this hub has no key for it" in one.desk.said
    left = [p for p in one.desk.hub.rglob("*") if p.is_file() and b"AGE-SECRET-KEY-1" in p.read_bytes()]
    assert left == []


def test_the_key_goes_before_anything_else_and_is_overwritten(
    signed: Callable[..., Signed], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = signed()
    one.lfr("deployment", "publish", one.id)
    key = one.desk.hub / "keys" / f"deployment-{one.id}.txt"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    os.link(key, one.desk.root / "block")  # stands for the place on the disk
    (one.desk.hub / "keys" / "hub.key").rename(one.desk.root / "hub.key")
    one.lfr("deployment", "end", one.id, expect=69)
    assert not key.exists(), "the end was cut short right after it, and it is gone"
    assert set((one.desk.root / "block").read_bytes()) == {0}
    assert one.opens() == []
    (one.desk.root / "hub.key").rename(one.desk.hub / "keys" / "hub.key")
    one.lfr("deployment", "end", one.id)


def test_each_deployment_has_a_key_of_its_own_and_one_end_leaves_the_other(signed: Callable[..., Signed]) -> None:
    one, other = signed("one.yaml", "--device", "cam-1"), signed("other.yaml", "--device", "cam-2")
    one.lfr("deployment", "publish", one.id)
    one.lfr("deployment", "publish", other.id, expect=77)
    assert "made upon an older publication" in one.lfr("deployment", "list")
    one.lfr("deployment", "end", one.id)
    assert (one.opens(), other.opens()) == ([], BOTH)


def test_a_hub_that_was_down_opens_what_comes_after_its_restart(signed: Callable[..., Signed]) -> None:
    one = signed()
    one.lfr("deployment", "publish", one.id)
    fresh = ProbeOpener(HubFolder(one.desk.hub).keys)  # a new process: nothing but the folder
    assert fresh.open(one.probe).startswith(JPEG_START)
    operations.end(later(one.desk.hub), one.id)
    with pytest.raises(BadData, match="has ended here"):
        fresh.open(one.probe)


def test_a_window_that_is_over_takes_the_key_though_nobody_ended_it(signed: Callable[..., Signed]) -> None:
    one = signed()
    one.lfr("deployment", "publish", one.id)
    hub = later(one.desk.hub, hours=8, minutes=1)
    assert [record.id for record in hub.expired()] == [one.id]
    assert one.opens() == BOTH
    assert len(pending_changes.sweep(hub)) == 1, "any command does it, though no hub runs"
    assert one.opens() == []
    for record in hub.expired():
        operations.end(hub, record.id)
    assert one.opens() == []


def test_taking_everybody_off_the_list_ends_the_deployment(signed: Callable[..., Signed]) -> None:
    one = signed()
    one.lfr("deployment", "publish", one.id)
    keys = ["--key", one.desk.key("AO-2"), "--key", one.desk.key("AO-3")]
    one.lfr("watchlist", "withdraw", "e-1", *keys)
    assert "that list is then empty" in one.desk.said
    assert later(one.desk.hub).records.running() == ()
    assert one.opens() == []


def test_a_discarded_change_takes_photos_and_key_with_it(signed: Callable[..., Signed]) -> None:
    one = signed()
    pending = one.desk.hub / "authority" / "pending" / one.id
    one.lfr("deployment", "discard", one.id, "--dry-run")
    assert pending.exists()
    assert one.opens() == BOTH
    one.lfr("deployment", "discard", one.id)
    assert not pending.exists()
    assert one.opens() == []
    one.lfr("deployment", "publish", one.id, expect=64)
    keys = ["--key", one.desk.key("AO-1")]
    plan = one.desk.root / "plan.yaml"
    one.lfr("deployment", "sign", plan, "--watchlist", one.listed, *keys, expect=77)
    assert "make a new plan" in one.desk.said
    assert list(pending.parent.iterdir()) == []


def test_a_plan_without_a_list_is_discarded_too_and_a_dry_run_makes_no_key(desk: Desk) -> None:
    plan = desk.plan("p.yaml", "--id", "d-7")
    desk.plan("q.yaml", "--id", "d-8", "--dry-run")
    assert list(desk.lfr("deployment", "list", "--hub", desk.hub, "--json")["planned"]) == ["d-7"]
    again = desk.plan("again.yaml", "--id", "d-7")
    assert again.read_bytes() != b""
    recipients = {yaml.safe_load(file.read_text())["hub_recipient"] for file in (plan, again)}
    assert len(recipients) == 1, "a plan that is written twice keeps the key that lists were built for"
    desk.lfr("deployment", "discard", "d-7", "--hub", desk.hub)
    assert HubFolder(desk.hub).keys.deployments() == ()


@pytest.mark.parametrize(("ahead", "goes"), [({"hours": 7}, False), ({"hours": 8, "minutes": 1}, True)])
def test_a_change_waits_no_longer_than_its_window(
    signed: Callable[..., Signed], ahead: dict[str, float], goes: bool
) -> None:
    one = signed()
    output = pending_changes.sweep(later(one.desk.hub, **ahead))
    assert bool(output) is goes
    assert one.opens() == ([] if goes else BOTH)
    assert (one.desk.hub / "authority" / "pending" / one.id).exists() is not goes


def test_a_change_waits_no_longer_than_a_device_would_take_its_list(signed: Callable[..., Signed]) -> None:
    end = datetime.now(timezone.utc) + timedelta(days=3)
    one = signed("long.yaml", "--end", end.isoformat(timespec="seconds"))
    assert pending_changes.sweep(later(one.desk.hub, hours=23)) == []
    late = later(one.desk.hub, hours=25)
    with pytest.raises(RefusedByCondition, match="waited until"):
        operations.publish(late, pending_changes.pending(late, one.id))
    assert len(pending_changes.sweep(late)) == 2
    assert one.opens() == []


def test_a_plan_that_nobody_signed_for_loses_its_key_with_its_window(desk: Desk) -> None:
    desk.plan("p.yaml", "--id", "d-7")
    assert pending_changes.sweep(later(desk.hub, hours=7)) == []
    assert pending_changes.sweep(later(desk.hub, hours=9)) != []
    assert HubFolder(desk.hub).keys.deployments() == ()


def test_a_damaged_change_goes_after_a_day(signed: Callable[..., Signed]) -> None:
    one = signed()
    (one.desk.hub / "authority" / "pending" / one.id / "change.json").write_text("{")
    assert "damaged" in one.lfr("deployment", "list")
    assert pending_changes.sweep(later(one.desk.hub, hours=23)) == []
    assert pending_changes.sweep(later(one.desk.hub, hours=25)) != []
    assert one.opens() == []


@pytest.mark.parametrize("name", ["../../trust", "..", "a/b", ".hidden", ""])
def test_nothing_outside_of_what_waits_is_taken_for_a_change(signed: Callable[..., Signed], name: str) -> None:
    one = signed()
    before = sorted(p for p in one.desk.hub.rglob("*"))
    for verb in ("publish", "discard"):
        one.lfr("deployment", verb, name, expect=64)
    assert "1 to 64 letters" in one.desk.said
    assert sorted(p for p in one.desk.hub.rglob("*")) == before


def test_the_list_shows_what_waits_and_until_when(signed: Callable[..., Signed]) -> None:
    one = signed()
    [row] = one.lfr("deployment", "list", "--json")["pending"]
    assert (row["name"], row["signed"], row["needed"], row["stale"]) == (one.id, 2, 2, False)
    assert row["expires"] > datetime.now(timezone.utc).isoformat()
    assert f"waiting: {one.id}" in one.lfr("deployment", "list")


def test_a_publication_that_was_cut_short_keeps_its_key_when_its_change_goes(signed: Callable[..., Signed]) -> None:
    one = signed()
    kept = one.desk.root / "kept"
    pending = one.desk.hub / "authority" / "pending" / one.id
    shutil.copytree(pending, kept)
    one.lfr("deployment", "publish", one.id)
    shutil.copytree(kept, pending)  # as a power cut after the publication and before the deletion leaves it
    one.lfr("deployment", "discard", one.id)
    assert one.opens() == BOTH, "it runs: its probes must open"


def test_a_used_id_is_refused_when_it_is_planned_again(signed: Callable[..., Signed]) -> None:
    one = signed()
    one.lfr("deployment", "publish", one.id)
    one.lfr("deployment", "end", one.id)
    with pytest.raises(AssertionError, match="64"):
        one.desk.plan("again.yaml", "--id", one.id)
    assert "used once" in one.desk.said
    assert HubFolder(one.desk.hub).keys.deployments() == ()


def test_a_change_that_is_not_there_is_named_with_those_that_are(signed: Callable[..., Signed]) -> None:
    one = signed()
    with pytest.raises(UsageError, match=one.id):
        pending_changes.pending(later(one.desk.hub), "nothing")
