"""Two deployments at one hub that list the same reference: one photo, which stays until the last of them ends."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.unit.hub.publishing.conftest import Desk


def signed(desk: Desk, device: str, *, shade: int) -> str:
    """A deployment of one device, signed and not yet published; a change is made upon what is published."""
    plan = desk.plan(f"{device}.yaml", "--device", device)
    keys = ["--key", desk.key("AO-1"), "--key", desk.key("AO-2")]
    listed = desk.built(plan, f"list-{device}", shade)
    desk.lfr("deployment", "sign", plan, "--watchlist", listed, "--hub", desk.hub, *keys)
    return str(yaml.safe_load(plan.read_text())["id"])


def published(desk: Desk, device: str) -> str:
    name = signed(desk, device, shade=90)
    desk.lfr("deployment", "publish", name, "--hub", desk.hub)
    return name


def photo(desk: Desk) -> Path:
    return desk.hub / "references" / "e-1.jpg"


def test_a_photo_stays_until_the_last_deployment_that_lists_it_ends(desk: Desk) -> None:
    names = [published(desk, device) for device in ("cam-1", "cam-2")]
    desk.lfr("deployment", "end", names[0], "--hub", desk.hub)
    assert photo(desk).exists()
    assert "e-1" in (desk.hub / "entries.json").read_text()
    desk.lfr("deployment", "end", names[1], "--hub", desk.hub)
    assert not photo(desk).exists()
    assert "e-1" not in (desk.hub / "entries.json").read_text()


def test_a_withdrawal_from_one_leaves_the_photo_that_another_needs(desk: Desk) -> None:
    names = [published(desk, device) for device in ("cam-1", "cam-2")]
    keys = ["--key", desk.key("AO-1"), "--key", desk.key("AO-2")]
    desk.lfr("watchlist", "withdraw", "e-1", "--deployment", names[0], "--hub", desk.hub, *keys)
    assert photo(desk).exists()
    rows = desk.lfr("deployment", "list", "--hub", desk.hub, "--json")["deployments"]
    assert {row["id"]: row["running"] for row in rows} == {names[0]: False, names[1]: True}


def test_another_photo_under_a_reference_in_use_is_refused_and_the_shown_one_stays(desk: Desk) -> None:
    first = published(desk, "cam-1")
    second, before = signed(desk, "cam-2", shade=200), photo(desk).read_bytes()
    desk.lfr("deployment", "publish", second, "--hub", desk.hub, expect=77)
    assert f"{first} runs and has another photo as e-1" in desk.said
    assert photo(desk).read_bytes() == before
    desk.lfr("deployment", "end", first, "--hub", desk.hub)
    assert not photo(desk).exists()
