"""The commands, as somebody would type them: a plan, signatures in two places, publication, a stick, an end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pyrage
import pytest
import yaml

from tests.unit.hub.publishing.conftest import Desk
from tools.hub.cli.options import now
from tools.hub.publishing import operations
from tools.hub.publishing.envelope_issuer import Issuer
from tools.hub.publishing.publisher import Publisher
from tools.hub.publishing.signing_keys import open_key


def test_two_of_three_officers_one_of_them_elsewhere_publish_a_deployment(desk: Desk) -> None:
    plan = desk.plan()
    listed = desk.built(plan)
    name = yaml.safe_load(plan.read_text())["id"]
    signed = desk.lfr(
        "deployment", "sign", plan, "--watchlist", listed, "--hub", desk.hub, "--key", desk.key("AO-2"), "--json"
    )
    assert (signed["signed"], signed["needed"]) == (1, 2)
    assert "purpose: p" in desk.said
    assert "threshold offset +0.02" in desk.said
    desk.lfr("deployment", "publish", name, "--hub", desk.hub, expect=77)
    import shutil

    copy = shutil.copytree(signed["folder"], desk.root / "stick")
    desk.lfr("deployment", "sign", copy, "--key", desk.key("AO-1"))
    publish = ["deployment", "publish", name, "--hub", desk.hub, "--signed", copy, "--usb", desk.root / "usb"]
    desk.lfr(*publish, "--dry-run")
    assert not (desk.root / "usb").exists()
    desk.lfr("deployment", "publish", name, "--hub", desk.hub, expect=77)
    desk.lfr(*publish)
    assert (desk.root / "usb" / "metadata" / "timestamp.json").exists()
    assert (desk.hub / "references" / "e-1.jpg").exists()
    [row] = desk.lfr("deployment", "list", "--hub", desk.hub, "--json")["deployments"]
    assert (row["id"], row["running"]) == (name, True)
    gone = desk.lfr("deployment", "end", name, "--hub", desk.hub, "--dry-run")
    assert gone == ""
    assert (desk.hub / "references" / "e-1.jpg").exists(), "a dry run does nothing"
    assert desk.lfr("deployment", "end", name, "--hub", desk.hub, "--json")["ended"] == name
    assert not (desk.hub / "references" / "e-1.jpg").exists()
    assert not list((desk.hub / "keys").glob("content-*"))
    assert not list((desk.hub / "repository" / "targets").rglob("*.payload"))


def test_a_withdrawal_takes_the_photo_and_waits_for_nobody_once_signed(desk: Desk) -> None:
    plan = desk.plan()
    desk.lfr(
        "deployment",
        "sign",
        plan,
        "--watchlist",
        desk.built(plan),
        "--hub",
        desk.hub,
        "--key",
        desk.key("AO-1"),
        "--key",
        desk.key("AO-2"),
    )
    name = yaml.safe_load(plan.read_text())["id"]
    desk.lfr("deployment", "publish", name, "--hub", desk.hub)
    keys = ["--key", desk.key("AO-2"), "--key", desk.key("AO-3")]
    desk.lfr("watchlist", "withdraw", "e-9", "--hub", desk.hub, *keys, expect=64)
    desk.lfr("watchlist", "withdraw", "e-1", "--hub", desk.hub, "--key", desk.key("AO-3"), expect=77)
    assert (desk.hub / "references" / "e-1.jpg").exists()
    assert desk.lfr("watchlist", "withdraw", "e-1", "--hub", desk.hub, *keys, "--json")["total"] == 1
    assert not (desk.hub / "references" / "e-1.jpg").exists()
    assert "e-1" not in (desk.hub / "entries.json").read_text()


@pytest.mark.parametrize("interrupted", ["a withdrawal", "an end"])
@pytest.mark.parametrize("by", ["the next command", "the running hub"])
def test_an_erasure_at_the_hub_that_a_kill_prevented_is_finished(desk: Desk, interrupted: str, by: str) -> None:
    plan = desk.plan()
    keys = ["--key", desk.key("AO-1"), "--key", desk.key("AO-2")]
    desk.lfr("deployment", "sign", plan, "--watchlist", desk.built(plan), "--hub", desk.hub, *keys)
    name = yaml.safe_load(plan.read_text())["id"]
    desk.lfr("deployment", "publish", name, "--hub", desk.hub)
    publisher = Publisher(desk.hub, now)
    if interrupted == "an end":
        publisher.end(name)
    else:
        change = operations.propose_withdrawal(publisher, name, ["e-1"], now())
        change.sign(open_key(desk.key(officer)) for officer in ("AO-1", "AO-2"))
        publisher.publish(change)
    assert (desk.hub / "references" / "e-1.jpg").exists(), "the program was killed here"
    if by == "the next command":
        desk.lfr("deployment", "list", "--hub", desk.hub)
    else:
        asyncio.run(Issuer(publisher, lambda: frozenset(), Silent()).look(0.0))
    assert not (desk.hub / "references" / "e-1.jpg").exists()
    assert "e-1" not in (desk.hub / "entries.json").read_text()
    assert publisher.records.running() == (), "nobody is left on its list"
    assert operations.finish_erasures(publisher) == []


class Silent:
    def command(self, device: str, name: str) -> None:
        """No device is there."""


def test_a_built_list_is_inspected_and_verified_where_it_can_be_opened(desk: Desk) -> None:
    plan = desk.plan()
    listed = desk.built(plan)
    assert "entries" not in desk.lfr("watchlist", "inspect", listed, "--json")
    [entry] = desk.lfr("watchlist", "inspect", listed, "--hub", desk.hub, "--json")["entries"]
    assert (entry["ref"], entry["category"], entry["image_source"]) == ("e-1", "missing", "records")
    checks = desk.lfr("watchlist", "verify", listed, "--hub", desk.hub, "--deployment", plan, "--json")["checks"]
    assert len(checks) == 5
    desk.lfr("watchlist", "verify", listed, "--hub", desk.hub, "--deployment", desk.plan("other.yaml"), expect=77)
    sealed = (listed / "content.age").read_bytes()
    (listed / "content.age").write_bytes(sealed[:-1])
    desk.lfr("watchlist", "verify", listed, "--hub", desk.hub, expect=65)


def test_a_plan_lists_everything_it_lacks_and_takes_over_an_earlier_one(desk: Desk) -> None:
    desk.lfr("deployment", "new", desk.root / "bare.yaml", "--hub", desk.hub, expect=78)
    for missing in ("controller: missing", "purpose: missing", "categories: missing", "authorising_officer: missing"):
        assert missing in desk.said
    first = desk.plan()
    desk.lfr("deployment", "new", first, "--hub", desk.hub, expect=64)
    second = desk.root / "second.yaml"
    desk.lfr(
        "deployment", "new", second, "--hub", desk.hub, "--from", first, "--place", "elsewhere", "--device", "cam-2"
    )
    old, new = (yaml.safe_load(file.read_text()) for file in (first, second))
    assert (new["purpose"], new["place"], new["devices"]) == (old["purpose"], "elsewhere", ["cam-2"])
    assert new["id"] != old["id"]
    desk.lfr("deployment", "new", desk.root / "x.yaml", "--hub", desk.hub, "--start", "2026-11-24T09:00", expect=64)
    desk.lfr("deployment", "new", desk.root / "x.yaml", "--hub", desk.hub, "--category", "missing", expect=64)


def test_a_plan_that_could_never_be_published_is_refused_before_anybody_signs_and_leaves_nothing(desk: Desk) -> None:
    new = ["deployment", "new", desk.root / "x.yaml", "--hub", desk.hub, "--from", desk.plan()]
    keys = sorted((desk.hub / "keys").iterdir())
    desk.lfr(*new, "--authorising-officer", "AO-9", expect=77)
    assert "officers are AO-1, AO-2, AO-3" in desk.said
    desk.lfr(*new, "--device", "cam-9", expect=77)
    assert "cam-9" in desk.said
    desk.lfr(*new, "--category", "missing=R3", "--category", "missing=R1", expect=64)
    assert "given twice" in desk.said
    new[2] = desk.root / "plan.yaml" / "x.yaml"  # below a file
    desk.lfr(*new, expect=69)
    assert sorted((desk.hub / "keys").iterdir()) == keys
    assert not (desk.root / "x.yaml").exists()


def test_a_revoked_device_has_no_certificate_topic_name_or_delegation(desk: Desk) -> None:
    from cryptography import x509

    lost = x509.load_pem_x509_certificate((desk.hub / "devices" / "cam-2.pem").read_bytes()).serial_number
    result = desk.lfr("device", "revoke", "cam-2", "--hub", desk.hub, "--ceremony", desk.safe, "--json")
    assert result == {"revoked": "cam-2", "delegated": False}
    revoked = [row.serial_number for row in x509.load_pem_x509_crl((desk.hub / "crl.pem").read_bytes())]
    assert revoked == [lost]
    assert "cam-2" not in (desk.hub / "acl").read_text()
    assert "crlfile" in (desk.hub / "mosquitto.conf").read_text()
    desk.lfr("hub", "init", desk.hub, "--site", "north", "--device", "cam-2", expect=64)
    assert "another name" in desk.said
    desk.lfr("device", "revoke", "cam-9", "--hub", desk.hub, expect=64)
    status = desk.lfr("authority", "status", "--hub", desk.hub, "--json")
    assert (status["devices"], status["revoked"]) == (["cam-1"], ["cam-2"])


def test_a_new_device_is_delegated_to_and_an_officer_replaced_by_commands(desk: Desk) -> None:
    desk.lfr("hub", "init", desk.hub, "--site", "north", "--device", "cam-3", "--mode", "test")
    desk.lfr("authority", "devices", "--hub", desk.hub, "--ceremony", desk.safe)
    desk.lfr("authority", "key", "AO-4", "--out", desk.root / "home")
    where = ["--hub", desk.hub, "--ceremony", desk.safe]
    desk.lfr("authority", "officers", *where, "--add", desk.root / "home" / "AO-4.pub", "--remove", "AO-3")
    new = desk.root / "home" / "AO-4.key"
    desk.lfr("deployment", "sign", "officers", "--hub", desk.hub, "--key", desk.key("AO-1"), "--key", new)
    desk.lfr("deployment", "publish", "officers", "--hub", desk.hub)
    desk.lfr("authority", "root", *where, "--hub-key", "--targets-key", "--root-keys", 2, "--root-threshold", 2)
    status = desk.lfr("authority", "status", "--hub", desk.hub, "--json")
    assert status["officers"] == ["AO-1", "AO-2", "AO-4"]
    assert status["devices"] == ["cam-1", "cam-2", "cam-3"]
    assert status["roles"]["root"]["version"] == 2
    assert not any(role["expired"] for role in status["roles"].values())


def test_offline_keys_are_refused_inside_the_hub(desk: Desk) -> None:
    desk.lfr("authority", "init", "--hub", desk.hub, "--ceremony", desk.hub / "safe", "--officer", "A", expect=64)
    inside = desk.hub / "AO-1.key"
    inside.write_bytes(desk.key("AO-1").read_bytes())
    desk.lfr("watchlist", "withdraw", "e-1", "--hub", desk.hub, "--deployment", "d", "--key", inside, expect=64)
    assert "must stay off the hub" in desk.said


def test_the_content_key_of_a_list_opens_at_its_own_hub_alone(desk: Desk, tmp_path: Path) -> None:
    listed = desk.built(desk.plan())
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt((listed / "content.age").read_bytes(), [pyrage.x25519.Identity.generate()])


def test_a_key_that_is_no_officers_signs_nothing(desk: Desk) -> None:
    plan = desk.plan()
    sign = ["deployment", "sign", plan, "--watchlist", desk.built(plan), "--hub", desk.hub, "--key"]
    desk.lfr(*sign, desk.safe / "targets.key", expect=77)
    assert "no officer's; officers are AO-1, AO-2, AO-3" in desk.said
    assert desk.lfr(*sign, desk.key("AO-3"), "--json")["signed"] == 1


def test_an_end_lists_what_it_cannot_erase(desk: Desk) -> None:
    plan = desk.plan()
    keys = ["--key", desk.key("AO-1"), "--key", desk.key("AO-2")]
    desk.lfr("deployment", "sign", plan, "--watchlist", desk.built(plan), "--hub", desk.hub, *keys)
    name = yaml.safe_load(plan.read_text())["id"]
    desk.lfr("deployment", "publish", name, "--hub", desk.hub)
    desk.lfr("deployment", "end", name, "--hub", desk.hub)
    assert "delete them" in desk.said
