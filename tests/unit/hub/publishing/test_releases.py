"""`lfr hub software publish`: who may sign, what is refused, and that a device's own check takes what is published."""

from __future__ import annotations

import io
import tarfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from device.config.release import STATE, ReleaseManifest, text_of
from device.domain.time import wall
from device.errors import RefusedByCondition
from device.sync.release_chain import signed_release

TARGET = "debian-12-x86_64"


def bundle(folder: Path, version: str, content: bytes = b"x") -> Path:
    """A file as `lfr flash release` makes it, with one file in it."""
    stated = ReleaseManifest(
        format=1, version=version, target=TARGET, python="3.11", made="2026-11-30", state=STATE, unpacked_bytes=1000
    )
    file = folder / f"{TARGET}-{version}.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for name, data in (("release.json", text_of(stated)), ("lib/one", content)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return file


def key(desk: Any, name: str) -> Path:
    desk.lfr("authority", "key", name, "--out", desk.safe / "software")
    return Path(desk.safe / "software" / f"{name}.key")


def delegate(desk: Any, *names: str, threshold: int = 1) -> None:
    keys = [word for name in names for word in ("--key", desk.safe / "software" / f"{name}.pub")]
    options = ("--hub", desk.hub, "--ceremony", desk.safe, "--threshold", threshold)
    desk.lfr("authority", "releases", *options, *keys)


def as_a_device(desk: Any) -> Any:
    root = (desk.hub / "trust" / "test" / "root.json").read_bytes()
    return signed_release(desk.hub / "repository", root, TARGET, wall(datetime.now(timezone.utc)), {})


def test_a_release_that_was_published_is_what_a_device_verifies(desk: Any, tmp_path: Path) -> None:
    signer = key(desk, "R-1")
    delegate(desk, "R-1")
    file = bundle(tmp_path, "0.3.0")
    said = desk.lfr("hub", "software", "publish", desk.hub, file, "--key", signer, "--json")
    assert said["releases"] == [{"version": "0.3.0", "target": TARGET}]
    found = as_a_device(desk)
    assert found.index.version == "0.3.0"
    found.copy(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == file.read_bytes()


def test_a_later_release_replaces_it_and_an_older_one_is_refused(desk: Any, tmp_path: Path) -> None:
    signer = key(desk, "R-1")
    delegate(desk, "R-1")
    for version, status in (("0.3.0", 0), ("0.10.0", 0), ("0.9.0", 77)):
        desk.lfr("hub", "software", "publish", desk.hub, bundle(tmp_path, version), "--key", signer, expect=status)
    assert as_a_device(desk).index.version == "0.10.0"
    files = [path.name for path in (desk.hub / "repository/targets/releases").iterdir()]
    assert len(files) == 2, files


def test_the_same_version_with_another_content_is_refused(desk: Any, tmp_path: Path) -> None:
    signer = key(desk, "R-1")
    delegate(desk, "R-1")
    publish = ("hub", "software", "publish", desk.hub)
    desk.lfr(*publish, bundle(tmp_path, "0.3.0"), "--key", signer)
    desk.lfr(*publish, bundle(tmp_path, "0.3.0", b"other"), "--key", signer, expect=77)
    assert "never changes" in desk.said


def test_nobody_signs_releases_until_the_targets_key_says_who(desk: Any, tmp_path: Path) -> None:
    signer = key(desk, "R-1")
    desk.lfr("hub", "software", "publish", desk.hub, bundle(tmp_path, "0.3.0"), "--key", signer, expect=77)
    with pytest.raises(RefusedByCondition):
        as_a_device(desk)


def test_neither_an_officer_nor_the_hub_nor_too_few_keys_publish_one(desk: Any, tmp_path: Path) -> None:
    first, second = key(desk, "R-1"), key(desk, "R-2")
    delegate(desk, "R-1", "R-2", threshold=2)
    file = bundle(tmp_path, "0.3.0")
    publish = ("hub", "software", "publish", desk.hub, file)
    desk.lfr(*publish, "--key", desk.key("AO-1"), expect=77)
    desk.lfr(*publish, "--key", first, expect=77)
    assert "1 of 2" in desk.said
    desk.lfr(*publish, "--key", first, "--key", second)
    assert as_a_device(desk).index.version == "0.3.0"


def test_who_signs_releases_stays_when_officers_and_devices_change(desk: Any, tmp_path: Path) -> None:
    signer = key(desk, "R-1")
    delegate(desk, "R-1")
    desk.lfr("authority", "devices", "--hub", desk.hub, "--ceremony", desk.safe)
    desk.lfr("hub", "software", "publish", desk.hub, bundle(tmp_path, "0.3.0"), "--key", signer)
    desk.lfr("authority", "root", "--hub", desk.hub, "--ceremony", desk.safe)
    assert as_a_device(desk).index.version == "0.3.0"


def test_what_is_no_release_is_refused(desk: Any, tmp_path: Path) -> None:
    signer = key(desk, "R-1")
    delegate(desk, "R-1")
    (tmp_path / "other.tar.gz").write_bytes(b"no archive")
    desk.lfr("hub", "software", "publish", desk.hub, tmp_path / "other.tar.gz", "--key", signer, expect=65)


def test_deployments_go_on_beside_releases(site: Any, tmp_path: Path) -> None:
    """An older device, and one that asks for no release, reads the repository as before."""
    from tools.hub.publishing.ceremony import delegations
    from tools.hub.publishing.releases import publish_releases, read_bundle
    from tools.hub.publishing.roles import Holders
    from tools.hub.publishing.signing_keys import make_key, open_key

    public = make_key(tmp_path / "software", "R-1")
    signed = delegations(site.publisher, site.ceremony, site.clock(), releases=Holders((public,), 1))
    site.publisher.change_delegations(signed)
    publish_releases(
        site.publisher, [read_bundle(bundle(tmp_path, "0.3.0"))], [open_key(tmp_path / "software/R-1.key")]
    )
    record = site.deployed()
    assert site.reader().active().deployment.endswith(f"{record.stem}.yaml")
