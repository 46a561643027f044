"""The repository as python-tuf's own client sees it: published, addressed, withdrawn, ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest
from tuf.api.exceptions import RepositoryError

from device.config.deployment import parse_signed
from device.config.publication import Withdrawn, parse_withdrawn, withdrawn_text
from device.domain.time import wall
from device.errors import BadData, RefusedByCondition, UsageError
from tests.unit.hub.publishing.site_of_authority import Site
from tools.hub.publishing.change import Proposal, propose
from tools.hub.publishing.signing_keys import open_key

PAYLOAD = b"age-encryption.org/v1 noise of a sealed list"  # as in site_of_authority.py


def test_before_anything_is_published_a_device_has_an_index_of_nothing(site: Site) -> None:
    assert site.reader().index() is None


def test_what_officers_signed_reaches_a_device_whole(site: Site) -> None:
    record = site.deployed()
    device = site.reader()
    index = device.index()
    assert index is not None
    assert index.envelope is None
    content = device.get(index.deployment)
    assert content is not None
    assert parse_signed(content, index.deployment).id == record.id == "d-1"
    assert device.get(index.payload) == PAYLOAD
    assert parse_withdrawn(device.get(index.withdrawn) or b"") == Withdrawn(deployment_id="d-1")


def test_an_envelope_opens_with_the_identity_of_the_device_alone(site: Site) -> None:
    site.deployed()
    mine, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    assert site.publisher.issue("cam-1", "d-1", str(mine.to_public()))
    device = site.reader()
    index = device.index()
    assert index is not None
    assert index.recipient == str(mine.to_public())
    envelope = device.get(index.envelope or "")
    assert envelope is not None
    assert pyrage.decrypt(envelope, [mine]).decode() == str(site.content)
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(envelope, [other])


def test_a_device_that_lost_power_gets_a_new_envelope_and_the_old_one_goes(site: Site) -> None:
    site.deployed()
    first, second = (str(pyrage.x25519.Identity.generate().to_public()) for _ in range(2))
    assert site.publisher.issue("cam-1", "d-1", first)
    assert not site.publisher.issue("cam-1", "d-1", first)
    old = site.reader().index()
    assert site.publisher.issue("cam-1", "d-1", second)
    new = site.reader().index()
    assert old is not None
    assert new is not None
    assert old.envelope != new.envelope
    assert len(list(site.publisher.store.targets.glob("devices/cam-1/*.envelope"))) == 1


def test_an_end_takes_the_key_the_envelopes_the_payload_and_the_index(site: Site) -> None:
    site.deployed()
    for name in site.devices:
        site.publisher.issue(name, "d-1", str(pyrage.x25519.Identity.generate().to_public()))
    site.publisher.end("d-1")
    assert site.publisher.records.content_key("d-1") is None
    for name in site.devices:
        assert site.reader(name).index() is None
    left = [p.name for p in site.publisher.store.targets.rglob("*") if p.suffix in (".envelope", ".payload")]
    assert left == []
    with pytest.raises(RefusedByCondition, match="not published"):
        site.publisher.issue("cam-1", "d-1", str(pyrage.x25519.Identity.generate().to_public()))
    assert site.publisher.end("d-1").ended_at is not None


def test_what_has_ended_is_left_out_of_the_officers_next_word(site: Site) -> None:
    old = site.deployed()
    site.publisher.end("d-1")
    changes = {"id": "d-2", "watchlist": {**site.document()["watchlist"], "id": "wl-2"}}
    site.deployed(**changes)
    assert site.reader().get(f"deployments/{old.stem}.yaml") is None
    assert site.publisher.records.current("cam-1") is not None


def test_too_few_officers_publish_nothing(make_site: Callable[..., Site]) -> None:
    site = make_site(officers=("AO-1", "AO-2", "AO-3"), threshold=2)
    change = site.proposed()
    with pytest.raises(RefusedByCondition, match=r"signed by 1 of the 2 officers needed.*AO-2, AO-3"):
        site.publish(change, "AO-1")
    assert site.reader().index() is None
    assert site.publish(change, "AO-3") is not None
    assert site.reader().index() is not None


def test_the_officer_whom_the_document_names_must_have_signed(make_site: Callable[..., Site]) -> None:
    site = make_site(officers=("AO-1", "AO-2", "AO-3"), threshold=2)
    with pytest.raises(RefusedByCondition, match="'AO-1', who did not sign it"):
        site.publish(site.proposed(), "AO-2", "AO-3")


def test_a_stranger_s_signature_does_not_count(site: Site, tmp_path: Path) -> None:
    from tools.hub.publishing.signing_keys import make_key

    make_key(tmp_path / "stranger", "AO-1")
    change = site.proposed()
    change.sign([open_key(tmp_path / "stranger" / "AO-1.key")])
    with pytest.raises(RefusedByCondition, match="0 of the 1"):
        site.publisher.publish(change, str(site.content))


def test_a_copy_signed_elsewhere_brings_its_signature_home(make_site: Callable[..., Site], tmp_path: Path) -> None:
    import shutil

    from tools.hub.publishing.change import Change

    site = make_site(officers=("AO-1", "AO-2"), threshold=2)
    change = site.proposed()
    copy = Change(Path(shutil.copytree(change.folder, tmp_path / "stick")))
    copy.sign([open_key(site.key("AO-2"))])
    change.merge(copy)
    assert site.publish(change, "AO-1") is not None


def test_a_file_swapped_after_it_was_proposed_is_neither_signed_nor_published(site: Site) -> None:
    change = site.proposed()
    payload = next(change.folder.rglob("*.payload"))
    payload.write_bytes(b"another list")
    with pytest.raises(BadData, match="tampered"):
        change.sign([open_key(site.key("AO-1"))])


def test_a_change_made_before_another_was_published_is_made_anew(site: Site) -> None:
    late = site.proposed(id="d-2", devices=["cam-2"], watchlist={**site.document()["watchlist"], "id": "wl-2"})
    site.publish(site.proposed(devices=["cam-1"]), "AO-1")
    with pytest.raises(RefusedByCondition, match="make it anew"):
        site.publish(late, "AO-1")


def test_an_id_a_list_and_a_busy_device_are_each_refused(site: Site) -> None:
    site.deployed(devices=["cam-1"])
    with pytest.raises(RefusedByCondition, match="published before"):
        site.deployed(devices=["cam-2"])
    with pytest.raises(RefusedByCondition, match=r"wl-1 was made for deployment d-1"):
        site.deployed(id="d-2", devices=["cam-2"])
    listed = {**site.document()["watchlist"], "id": "wl-2"}
    with pytest.raises(RefusedByCondition, match=r"cam-1 is in deployment d-1"):
        site.deployed(id="d-2", watchlist=listed)


def test_a_deployment_of_another_mode_or_for_an_unknown_device_is_refused(site: Site) -> None:
    with pytest.raises(RefusedByCondition, match=r"operational.*test"):
        site.deployed(mode="operational")
    with pytest.raises(RefusedByCondition, match="cam-9"):
        site.deployed(devices=["cam-9"])


def test_withdrawn_entries_reach_a_device_that_has_the_list(site: Site) -> None:
    record = site.deployed()
    device = site.reader()
    index = device.index()
    assert index is not None
    change = propose(
        site.publisher.places.pending / "withdrawal",
        site.publisher.store,
        site.publisher.records.running(),
        Proposal(
            kind="withdrawal",
            says="e-1",
            deployment_id="d-1",
            stem=record.stem,
            add={index.withdrawn: withdrawn_text(Withdrawn(deployment_id="d-1", refs=("e-1",)))},
        ),
        site.clock(),
    )
    again = site.publish(change, "AO-1")
    assert again is not None
    assert again.withdrawn == 1
    assert parse_withdrawn(device.get(index.withdrawn) or b"").refs == ("e-1",)
    assert device.get(index.payload) == PAYLOAD


def test_what_a_clock_that_was_ahead_signed_is_signed_anew_once_the_clock_is_right(site: Site) -> None:
    site.clock.ahead = timedelta(days=40)
    site.publisher.renew(always=True)
    ahead = site.publisher.store.timestamp().signed
    site.clock.ahead = timedelta()
    assert site.publisher.renew()
    signed = site.publisher.store.timestamp().signed
    assert (signed.version, signed.expires < ahead.expires) == (ahead.version + 1, True)
    assert not site.publisher.renew()
    assert site.reader().index() is None


def test_the_hub_renews_what_is_past_half_of_its_time_and_nothing_else(site: Site) -> None:
    store = site.publisher.store
    before = store.timestamp().signed.version
    assert not site.publisher.renew()
    assert store.timestamp().signed.version == before
    site.clock.ahead = timedelta(hours=13)
    assert site.publisher.renew()
    assert store.timestamp().signed.version == before + 1
    site.clock.ahead = timedelta(days=4)
    assert site.publisher.renew()
    role = store.published("device-cam-1")
    assert role is not None
    assert role.signed.expires > site.clock() + timedelta(days=6)
    assert site.reader().index() is None


def test_a_hub_that_was_off_for_a_day_has_nothing_that_a_device_takes(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.clock.ahead = timedelta(hours=-25)
    site.publisher.renew(always=True)
    with pytest.raises(RepositoryError, match="expired"):
        site.reader().index()


def test_no_offline_key_lies_in_the_hub_and_none_may(site: Site, tmp_path: Path) -> None:
    from tools.hub.publishing.ceremony import Ceremony, NewAuthority, begin
    from tools.hub.publishing.publisher import Publisher

    there = sorted(p.name for p in site.hub.rglob("*.key"))
    assert there == ["hub.key"]
    assert (site.hub / "keys" / "hub.key").stat().st_mode & 0o077 == 0
    fresh = Publisher(tmp_path / "other", site.clock)
    with pytest.raises(UsageError, match="must stay off the hub"):
        begin(
            fresh,
            Ceremony(tmp_path / "other" / "keys"),
            NewAuthority(mode=site.mode, devices=("cam-1",), make_officers=("AO-1",)),
            wall(site.clock()),
        )


def test_old_metadata_does_not_pile_up_but_roots_stay(site: Site) -> None:
    site.deployed()
    for _ in range(5):
        site.publisher.issue("cam-1", "d-1", str(pyrage.x25519.Identity.generate().to_public()))
    names = [p.name for p in site.publisher.store.metadata.iterdir()]
    assert len([n for n in names if n.endswith(".device-cam-1.json")]) == 2
    assert "1.root.json" in names
    assert site.reader().index() is not None
