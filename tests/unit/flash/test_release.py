"""`lfr flash release`: what is packed is what a device unpacks, and the manifest is true of it."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from device.config.release import STATE, version_key
from device.errors import BadData
from device.update.unpack import manifest_of, unpack
from tools.flash.plan import ENABLED, UNITS
from tools.flash.release import pack
from tools.flash.targets import Target, release_named

TARGET = Target(release_named("debian-12"), "x86_64")
NOW = datetime(2026, 11, 30, tzinfo=timezone.utc)


@pytest.fixture
def slot(tmp_path: Path) -> Path:
    """A slot in small."""
    place = tmp_path / "slot"
    for folder in ("bin", "lib/python3.11/site-packages/__pycache__", "systemd"):
        (place / folder).mkdir(parents=True)
    (place / "bin/python3.11").symlink_to("/usr/bin/python3.11")
    (place / "bin/python").symlink_to("python3.11")
    (place / "bin/lfr").write_text("#!/opt/lfr/slots/0.3.0/bin/python -I\n")
    (place / "bin/lfr").chmod(0o755)
    (place / "lib/python3.11/site-packages/one.py").write_text("VALUE = 1\n")
    (place / "lib/python3.11/site-packages/__pycache__/one.cpython-312.pyc").write_bytes(b"of another Python")
    return place


def test_a_packed_slot_unpacks_to_the_same_files(slot: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "0.3.0.tar.gz", tmp_path / "out"
    pack(slot, TARGET, "0.3.0", file, NOW)
    stated = manifest_of(file)
    assert (stated.version, stated.target, stated.python) == ("0.3.0", "debian-12-x86_64", "3.11")
    assert stated.state == STATE
    out.mkdir()
    unpack(file, out, stated.unpacked_bytes)
    assert str((out / "bin/python").readlink()) == "python3.11"
    assert str((out / "bin/python3.11").readlink()) == "/usr/bin/python3.11"
    assert (out / "bin/lfr").stat().st_mode & 0o777 == 0o755
    assert (out / "lib/python3.11/site-packages/one.py").read_text() == "VALUE = 1\n"
    assert not list(out.rglob("*.pyc")), "compiled on the board, by its own Python"


def test_the_manifest_links_every_unit_that_flash_installs(slot: Path, tmp_path: Path) -> None:
    pack(slot, TARGET, "0.3.0", tmp_path / "a.tar.gz", NOW)
    links = manifest_of(tmp_path / "a.tar.gz").links
    assert set(UNITS.values()) <= set(links)
    assert links["/etc/systemd/system/lfr.service"] == "/opt/lfr/current/systemd/lfr.service"
    assert links["/etc/systemd/system/lfr-update.timer"] == "/opt/lfr/committed/systemd/lfr-update.timer"
    assert len([place for place in links if ".wants/" in place]) == len(ENABLED)


def test_a_slot_is_not_unpacked_beyond_what_it_states(slot: Path, tmp_path: Path) -> None:
    pack(slot, TARGET, "0.3.0", tmp_path / "a.tar.gz", NOW)
    (tmp_path / "out").mkdir()
    with pytest.raises(BadData, match="more than the 30 bytes"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out", 30)


def test_the_same_slot_gives_the_same_bytes_but_for_the_time_of_packing(slot: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pack(slot, TARGET, "0.3.0", tmp_path / f"{name}.tar.gz", NOW)
    import gzip

    first, second = (gzip.decompress((tmp_path / f"{name}.tar.gz").read_bytes()) for name in ("a", "b"))
    assert first == second


@pytest.mark.parametrize(("earlier", "later"), [("0.9.2", "0.10.0"), ("0.2", "0.2.1"), ("1.0.0", "1.0.0.1")])
def test_versions_are_ordered_by_their_numbers(earlier: str, later: str) -> None:
    assert version_key(earlier) < version_key(later)
    assert version_key("0.2") == version_key("0.2.0")
