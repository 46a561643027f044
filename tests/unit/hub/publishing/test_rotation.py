"""Keys change hands: officers, the root, the hub's own; a device that was away follows, one that was lost is out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest
from tuf.api.exceptions import RepositoryError

from device.errors import ConfigError, RefusedByCondition, Unavailable, UsageError
from tests.unit.hub.publishing.site_of_authority import Site
from tools.hub.publishing.ceremony import Ceremony, change_officers, delegations, officer_key, rotate_root
from tools.hub.publishing.signing_keys import make_key, open_key, read_passphrase


def new_officer(folder: Path, name: str) -> dict[str, Any]:
    make_key(folder, name)
    return dict([officer_key(folder / f"{name}.pub")])


def test_a_lost_officer_key_is_replaced_while_a_deployment_runs(make_site: Callable[..., Site], tmp_path: Path) -> None:
    site = make_site(officers=("AO-1", "AO-2", "AO-3"), threshold=2)
    site.deployed()
    device = site.reader()
    before = device.active()
    add = new_officer(tmp_path / "home", "AO-3")
    change = change_officers(site.publisher, site.ceremony, site.clock(), add=add, remove=["AO-3"])
    with pytest.raises(RefusedByCondition, match="0 of the 2"):
        site.publisher.publish(change)
    assert device.index() == before, "nothing changes before the officers of then have signed"
    change.sign([open_key(site.key("AO-1")), open_key(tmp_path / "home" / "AO-3.key")])
    site.publisher.publish(change)
    assert device.index() == before
    assert device.get(before.deployment) is not None
    late = site.proposed(id="d-2", devices=["cam-1"], watchlist={**site.document()["watchlist"], "id": "wl-2"})
    late.sign([open_key(site.key("AO-3"))])
    assert late.signed_by(site.publisher.targets())[0] == (), "the lost key counts no more"


def test_one_person_cannot_hold_two_of_the_officers_keys(site: Site, tmp_path: Path) -> None:
    add = new_officer(tmp_path / "home", "AO-1")
    with pytest.raises(UsageError, match="one person counts twice"):
        change_officers(site.publisher, site.ceremony, site.clock(), add=add, remove=[])
    with pytest.raises(UsageError, match="no officer AO-9"):
        change_officers(site.publisher, site.ceremony, site.clock(), add={}, remove=["AO-9"])
    with pytest.raises(UsageError, match="cannot be met"):
        change_officers(site.publisher, site.ceremony, site.clock(), add={}, remove=["AO-1"])


def test_a_threshold_is_raised_by_those_who_then_must_sign(site: Site, tmp_path: Path) -> None:
    add = new_officer(tmp_path / "home", "AO-2")
    change = change_officers(site.publisher, site.ceremony, site.clock(), add=add, remove=[], threshold=2)
    change.sign([open_key(site.key("AO-1")), open_key(tmp_path / "home" / "AO-2.key")])
    site.publisher.publish(change)
    with pytest.raises(RefusedByCondition, match="1 of the 2"):
        site.publish(site.proposed(), "AO-1")


def test_the_root_is_rotated_and_a_device_that_was_away_follows_through_every_version(
    make_site: Callable[..., Site],
) -> None:
    site = make_site(root_keys=3, root_threshold=2)
    away = site.reader()
    assert away.index() is None
    site.deployed()
    for _ in range(2):
        rotate_root(site.publisher, site.ceremony, site.clock(), new_keys=3, threshold=2)
    rotate_root(site.publisher, site.ceremony, site.clock(), new_keys=1, threshold=1, targets_key=True, hub_key=True)
    assert site.publisher.store.root_role().signed.version == 4
    index = away.active()
    assert index is not None
    assert away.get(index.deployment) is not None
    assert site.publisher.issue("cam-1", "d-1", str(pyrage.x25519.Identity.generate().to_public()))
    assert away.active().envelope is not None
    assert site.reader("cam-2").index() is not None, "a new device starts from the new root"


def test_a_root_without_its_old_threshold_is_not_made(make_site: Callable[..., Site]) -> None:
    site = make_site(root_keys=3, root_threshold=2)
    for name in ("root-1.key", "root-2.key"):
        (site.ceremony.folder / name).unlink()
    with pytest.raises(RefusedByCondition, match="1 of the 2 root keys"):
        rotate_root(site.publisher, site.ceremony, site.clock(), new_keys=1, threshold=1)
    assert site.publisher.store.root_role().signed.version == 1


def test_a_device_of_another_root_takes_nothing(make_site: Callable[..., Site], tmp_path: Path) -> None:
    site = make_site()
    other = type(site)(tmp_path / "elsewhere")
    site.deployed()
    stranger = site.reader()
    stranger.root = other.reader().root
    with pytest.raises(RepositoryError):
        stranger.index()


def test_a_lost_device_gets_no_key_again_and_the_others_go_on(site: Site) -> None:
    site.deployed()
    mine = str(pyrage.x25519.Identity.generate().to_public())
    for name in site.devices:
        site.publisher.issue(name, "d-1", mine)
    site.publisher.revoke("cam-2")
    assert site.reader("cam-2").index() is None
    assert list(site.publisher.store.targets.glob("devices/cam-2/*.envelope")) == []
    with pytest.raises(RefusedByCondition, match="cam-2 was revoked"):
        site.publisher.issue("cam-2", "d-1", mine)
    assert site.reader("cam-1").active().envelope is not None
    left = delegations(site.publisher, site.ceremony, site.clock(), devices=["cam-1"])
    site.publisher.change_delegations(left)
    assert site.reader("cam-2").get("devices/cam-2/index.json") is None
    assert site.reader("cam-1").active().envelope is not None


def test_a_device_is_added_by_a_holder_of_the_targets_key(site: Site) -> None:
    more = delegations(site.publisher, site.ceremony, site.clock(), devices=["cam-1", "cam-2", "cam-3"])
    site.publisher.change_delegations(more)
    assert site.reader("cam-3").index() is None
    site.deployed(devices=["cam-3"])
    assert site.reader("cam-3").index() is not None
    assert site.reader("cam-1").index() is None


def test_delegations_that_a_stranger_signed_are_not_published(site: Site, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger", "targets")
    forged = delegations(site.publisher, Ceremony(tmp_path / "stranger"), site.clock(), devices=["cam-9"])
    with pytest.raises(RefusedByCondition, match="not signed by the root's targets key"):
        site.publisher.change_delegations(forged)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700 | 0o011])
def test_a_key_or_a_passphrase_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    make_key(tmp_path, "AO-1")
    (tmp_path / "phrase").write_text("correct horse\n")
    for file, opens in ((tmp_path / "AO-1.key", open_key), (tmp_path / "phrase", read_passphrase)):
        file.chmod(mode)
        with pytest.raises(ConfigError, match=f"chmod 600 {file}"):
            opens(file)
        file.chmod(0o400)
        assert opens(file)


def test_key_files_are_private_protected_and_never_overwritten(tmp_path: Path) -> None:
    make_key(tmp_path, "AO-1", b"correct horse")
    assert (tmp_path / "AO-1.key").stat().st_mode & 0o077 == 0
    assert open_key(tmp_path / "AO-1.key", b"correct horse").public_key.keyid
    with pytest.raises(ConfigError, match="passphrase"):
        open_key(tmp_path / "AO-1.key")
    with pytest.raises(ConfigError, match="does not open"):
        open_key(tmp_path / "AO-1.key", b"wrong")
    with pytest.raises(UsageError, match="never overwritten"):
        make_key(tmp_path, "AO-1")
    with pytest.raises(Unavailable, match="insert the medium"):
        open_key(tmp_path / "nobody.key")
    (tmp_path / "phrase").write_text("\n")
    (tmp_path / "phrase").chmod(0o600)
    with pytest.raises(ConfigError, match="first line is empty"):
        read_passphrase(tmp_path / "phrase")
    with pytest.raises(ConfigError, match="private half stays"):
        officer_key(tmp_path / "AO-1.key")
