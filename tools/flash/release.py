"""Make a release: a finished slot in one file, for boards of one target; `lfr hub software publish` offers it.

The environment is written as for a kit (wheelhouse.py), with the place that it will have on the board; units and
prepared models lie beside it, so that code and models change together (engines/places.py). Nothing of it is run here,
so a release for aarch64 is made on x86-64.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from shutil import copyfile

from device.config.release import MANIFEST, bundle_target
from device.errors import Unavailable, UsageError
from tools.dev.gate.locked import ROOT
from tools.flash.kit import UNIT_FILES, fill_models, fill_wheels
from tools.flash.plan import SLOTS, slot_manifest
from tools.flash.targets import Target
from tools.flash.wheelhouse import make_environment

LEVEL = 6  # of gzip: wheels are compressed likewise


def make_release(target: Target, wheels: Sequence[Path], out: Path, now: datetime) -> Path:
    """Write the release of this checkout into the folder `out`; its file.

    wheels  built once elsewhere (systemd-python, pycuda), beside those of the lock
    """
    version = metadata.version("lfr-edge")
    file = out / Path(bundle_target(f"{target.release.name}-{target.machine}", version)).name
    if file.exists():
        raise UsageError(f"{file} is there already; a release's content never changes: raise the version")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        kept, slot = Path(scratch) / "wheels", Path(scratch) / "slot"
        fill_wheels(target, wheels, kept)
        make_environment(target, sorted(kept.glob("*.whl")), slot, f"{SLOTS}/{version}")
        fill_models(slot / "models")
        (slot / "systemd").mkdir()
        for name in UNIT_FILES:
            copyfile(ROOT / "systemd" / name, slot / "systemd" / name)
        pack(slot, target, version, file, now)
    return file


def pack(slot: Path, target: Target, version: str, file: Path, now: datetime) -> None:
    """One file of a slot's folder: the manifest first, then everything in order of its name."""
    paths = [path for path in sorted(slot.rglob("*")) if path.name != MANIFEST and "__pycache__" not in path.parts]
    size = sum(path.stat().st_size for path in paths if path.is_file() and not path.is_symlink())
    stated = slot_manifest(target, version, now.isoformat(timespec="seconds"), size + (1 << 20))
    fresh = file.with_name(f".{file.name}.new")
    try:
        with gzip.open(fresh, "wb", LEVEL) as stream, tarfile.open(fileobj=stream, mode="w|") as archive:
            first = tarfile.TarInfo(MANIFEST)
            first.size = len(stated)
            archive.addfile(first, io.BytesIO(stated))
            for path in paths:
                archive.add(path, path.relative_to(slot).as_posix(), recursive=False, filter=_plain)
        fresh.replace(file)
    except OSError as fault:
        fresh.unlink(missing_ok=True)
        raise Unavailable(f"{file} cannot be written: {fault.strerror or fault}; make room there") from fault


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the owner and the times of the machine that made it."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = "root"
    return entry
