"""A release for aarch64, made on this machine from the lock's wheels: every program in it is for that processor.

The wheels are fetched once (132 MB, `.cache/flash`). Nothing of the release is run; test_flash_arm64.py runs such an
environment under emulation.
"""

from __future__ import annotations

import struct
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import pytest

from device.config.release import MANIFEST, STATE, bundle_target
from device.update.unpack import manifest_of, unpack
from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT
from engines.manifest import verified
from tools.flash.release import make_release
from tools.flash.targets import MACHINES, Target, release_named

pytestmark = pytest.mark.system
TARGET = Target(release_named("debian-12"), "aarch64")
VERSION = metadata.version("lfr-edge")


def machine_of(file: Path) -> int | None:
    """e_machine of an ELF file (elf(5)); None for any other."""
    with file.open("rb") as content:
        head = content.read(20)
    return struct.unpack("<H", head[18:20])[0] if head[:4] == b"\x7fELF" and len(head) == 20 else None


def test_a_release_for_aarch64_holds_its_programs_models_and_units(models_ready: Path, tmp_path: Path) -> None:
    file = make_release(TARGET, [], tmp_path / "out", datetime.now(timezone.utc))
    assert file.name == Path(bundle_target("debian-12-aarch64", VERSION)).name
    stated, slot = manifest_of(file), tmp_path / "slot"
    assert (stated.version, stated.target, stated.python, stated.state) == (VERSION, "debian-12-aarch64", "3.11", STATE)
    slot.mkdir()
    unpack(file, slot, stated.unpacked_bytes)
    assert (slot / MANIFEST).is_file()
    found = [machine_of(path) for path in slot.rglob("*") if path.is_file() and not path.is_symlink()]
    programs = [machine for machine in found if machine is not None]
    assert len(programs) > 50
    assert set(programs) == {MACHINES["aarch64"]}
    assert (slot / "bin/lfr").read_text().startswith(f"#!/opt/lfr/slots/{VERSION}/bin/python -I\n")
    site = slot / "lib/python3.11/site-packages"
    assert {"device", "engines", "numpy", "onnxruntime"} <= {path.name for path in site.iterdir()}
    for name in (DETECTOR_DEFAULT, RECOGNISER_DEFAULT):
        assert verified(card(name), slot / "models")[0].is_file()
    for inside, to in stated.links.items():
        if "/current/" in to or "/committed/" in to:
            assert (slot / "systemd" / Path(to).name).is_file(), inside
