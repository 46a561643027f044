"""Make a kit: one folder, for a stick, that makes devices of boards without a network.

manifest.json manifest.sig ca.pem          what is in it, signed (manifest.py)
wheels/ packages/ models/ systemd/ trust/  the same for every board
devices/<serial>/                          device.yaml, bundle.json, files/
requests/ certificates/                    exchange with the hub, empty at first
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path

from device.domain.finding import Mode
from device.edges.gpio.jetson_header import ORIN_NANO_NX
from device.errors import BadData, ConfigError, UsageError
from engines.places import cache_dir, models_dir
from tools.dev.gate.locked import ROOT
from tools.flash.fleet import AUTHORITY, BOARDS, CERTIFICATE, KEY, Fleet, FleetDevice, check, rendered
from tools.flash.manifest import EXCHANGE, authority_code, sha256_of, write_manifest
from tools.flash.pinmux import compiled, overlay
from tools.flash.targets import Target, release_named
from tools.flash.wheelhouse import build_own, download, requirements, selected, unpacked_bytes
from tools.hub.pki.certificate_authority import open_authority
from tools.hub.storage.folder import HubFolder

UNIT_FILES = (
    "lfr.target",
    "lfr.service",
    "lfr-engines.service",
    "lfr-selftest.service",
    "lfr-failed.service",
    "lfr-erase.service",
    "lfr-erase.timer",
    "lfr-first-boot.service",
    "lfr-update.service",
    "lfr-update.timer",
    "lfr-identity.conf",
    "lfr-watchdog.conf",
    "lfr.sysusers.conf",
    "lfr.tmpfiles.conf",
    "60-lfr-gpio.rules",
    "lfr.catalog",
)
MARGIN = 1.5
"""Room on the card by what the files take: byte-compiled copies, the state's reserve."""
HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Given:
    """What a kit is made of. wheels: built once elsewhere; packages: a folder of .deb files, or None."""

    fleet: Fleet
    fleet_folder: Path
    hub: HubFolder
    wheels: tuple[Path, ...] = ()
    packages: Path | None = None


def make_kit(given: Given, out: Path, now: datetime) -> str:
    """Write the kit to `out`, which must be empty or absent; the authority code for paper."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not empty: name a new folder, or the root of an empty stick")
    settings = given.hub.settings()
    if not settings.broker_port or not settings.repository_port:
        problem = "broker_port and repository_port must not be 0: boards are told where to connect"
        raise ConfigError(str(given.hub.console_file), (problem,))
    target = Target(release_named(given.fleet.release), given.fleet.machine)
    authority = open_authority(given.hub.root, settings.site)
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(given.hub.root / "ca.pem", out / "ca.pem")
    fill_wheels(target, given.wheels, out / "wheels")
    _packages(given, target, out)
    fill_models(out / "models")
    _copy_all(ROOT / "systemd", UNIT_FILES, out / "systemd")
    _trust(given.hub, out)
    for device in given.fleet.devices:
        _bundle(given, device, out)
    for name in EXCHANGE:
        (out / name).mkdir()
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) + unpacked_bytes(out / "wheels")
    facts = {
        "target": [target.release.name, target.machine],
        "made": now.isoformat(timespec="seconds"),
        "site": settings.site,
        "version": metadata.version("lfr-edge"),
        "devices": {device.serial: device.name for device in given.fleet.devices},
        "needs_bytes": int(size * MARGIN),
    }
    write_manifest(out, facts, authority.key)
    return authority_code((out / "ca.pem").read_bytes())


def fill_wheels(target: Target, built: Sequence[Path], out: Path) -> None:
    """From the cache, which a first kit fills; each by a hash of the lock. Then ours, and those built elsewhere."""
    kept = cache_dir() / "flash" / str(target).replace(" ", "-") / "wheels"
    wanted = {one for entry in selected(target) for one in entry.sha256}
    if _lacking(kept, target):
        download(target, kept)
    fitting = [wheel for wheel in sorted(kept.glob("*.whl")) if sha256_of(wheel) in wanted]
    _copy_all(kept, [wheel.name for wheel in fitting], out)
    (out / "requirements.txt").write_text(requirements(selected(target)), encoding="utf-8")
    build_own(out)
    for wheel in built:
        if not re.search(rf"-({target.release.tag}-.*_{target.machine}|py3-none-any)\.whl$", wheel.name):
            raise BadData(f"{wheel} is no wheel for {target}; build it there: pip wheel --no-deps NAME")
        shutil.copyfile(wheel, out / wheel.name)


def _lacking(kept: Path, target: Target) -> bool:
    """Whether a package of the lock has no wheel in the cache."""
    there = {sha256_of(wheel) for wheel in kept.glob("*.whl")}
    return any(not there.intersection(entry.sha256) for entry in selected(target))


def _packages(given: Given, target: Target, out: Path) -> None:
    """The distribution's packages, for this processor."""
    (out / "packages").mkdir()
    for file in sorted(given.packages.glob("*.deb")) if given.packages is not None else ():
        asked = ("dpkg-deb", "--field", str(file), "Architecture")
        done = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0 or done.stdout.strip() not in (target.debian, "all"):
            raise BadData(f"{file} is for {done.stdout.strip() or 'nothing'}, the kit for {target.debian}")
        shutil.copyfile(file, out / "packages" / file.name)


def fill_models(out: Path) -> None:
    """Every prepared model of this checkout, its hash checked."""
    from engines.cards.catalogue import cards
    from engines.manifest import MANIFEST, read, verified

    for card in (one for one in cards() if not one.optional):
        verified(card, models_dir())
    files = [entry.file for precisions in read(models_dir()).values() for entry in precisions.values()]
    _copy_all(models_dir(), [MANIFEST, *(name for name in files if (models_dir() / name).is_file())], out)


def _trust(hub: HubFolder, out: Path) -> None:
    """The hub's one root of trust."""
    mode: Mode = hub.settings().mode
    root = hub.root / "trust" / mode.value / "root.json"
    if not root.is_file():
        raise ConfigError(str(hub.root), ("has no root of trust: lfr authority init makes one",))
    _copy_all(root.parent, [root.name], out / "trust" / mode.value)


def _bundle(given: Given, device: FleetDevice, out: Path) -> None:
    """One board's folder; its configuration is checked beside everything that it names."""
    place, settings = out / "devices" / device.serial, given.hub.settings()
    (place / "files").mkdir(parents=True)
    for name, source in device.files.items():
        shutil.copyfile(given.fleet_folder / source, place / "files" / name)
    ports = {"broker_port": settings.broker_port, "repository_port": settings.repository_port}
    content = rendered(given.fleet, device, site=settings.site, **ports)
    (place / "device.yaml").write_bytes(content)
    trial = place / "files" / "device.yaml"
    trial.write_bytes(content)
    try:
        config = check(trial, device)
    finally:
        trial.unlink()
    if BOARDS[device.board] is ORIN_NANO_NX and config.lines.driver == "gpiozero":
        compiled(overlay(config.lines), place)
    facts = {
        "serial": device.serial,
        "name": device.name,
        "board": device.board,
        "hub_host": given.fleet.hub.host,
        "hub_address": given.fleet.hub.address or "",
        "identity": [AUTHORITY, CERTIFICATE, KEY],
    }
    (place / "bundle.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _copy_all(source: Path, names: Sequence[str], to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(source / name, to / name)
