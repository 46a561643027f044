"""The plan: every step that makes a device of a root file system, in order. Pure: it reads, and writes nothing.

1. Everything that can be refused is refused here, before the first write: another release or processor, a serial number
   that the kit has no bundle for, a root that was flashed for another board, too little room, a read-only card, a
   missing systemd-python, this machine's clock.
2. The units are enabled last: a card whose flashing was interrupted boots as the system it was before.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from device.config.installed import TOP
from device.config.loader import load_config
from device.config.release import MANIFEST, ReleaseManifest, text_of
from device.config.release import STATE as STATE_SCHEMA
from device.update import slots
from tools.flash.journal import Journal
from tools.flash.manifest import Manifest
from tools.flash.pinmux import FILE as OVERLAY
from tools.flash.pinmux import NAME as PINS
from tools.flash.root import Refusal, Root
from tools.flash.steps import STATE, Accounts, Block, ClockFloor, Environment, File, Folder, Link, Step, written
from tools.flash.targets import Target, same, target_of

SLOTS, CURRENT, COMMITTED = (f"{TOP}/{name}" for name in (slots.SLOTS, slots.CURRENT, slots.COMMITTED))
"""Units are links below `current`, those of the updater below `committed`."""
OF_THE_UPDATER = "lfr-update."
CACHE = "/var/cache/lfr"
SERIAL = "/proc/device-tree/serial-number"
UNITS = {
    "lfr.target": "/etc/systemd/system/lfr.target",
    "lfr.service": "/etc/systemd/system/lfr.service",
    "lfr-engines.service": "/etc/systemd/system/lfr-engines.service",
    "lfr-selftest.service": "/etc/systemd/system/lfr-selftest.service",
    "lfr-failed.service": "/etc/systemd/system/lfr-failed.service",
    "lfr-erase.service": "/etc/systemd/system/lfr-erase.service",
    "lfr-erase.timer": "/etc/systemd/system/lfr-erase.timer",
    "lfr-first-boot.service": "/etc/systemd/system/lfr-first-boot.service",
    "lfr-update.service": "/etc/systemd/system/lfr-update.service",
    "lfr-update.timer": "/etc/systemd/system/lfr-update.timer",
    "lfr-identity.conf": "/etc/systemd/system/lfr.service.d/10-identity.conf",
    "lfr.tmpfiles.conf": "/usr/lib/tmpfiles.d/lfr.conf",
    "60-lfr-gpio.rules": "/etc/udev/rules.d/60-lfr-gpio.rules",
    "lfr.catalog": "/usr/lib/systemd/catalog/lfr.catalog",
}
SYSUSERS = "/usr/lib/sysusers.d/lfr.conf"
WATCHDOG = "/etc/systemd/system.conf.d/50-lfr-watchdog.conf"
"""A file and no link into a slot: the first process reads it before anything else of the device."""
ENABLED = (
    ("lfr.service", "lfr.target"),
    ("lfr-engines.service", "lfr.target"),
    ("lfr-selftest.service", "lfr.target"),
    ("lfr-erase.timer", "lfr.target"),
    ("lfr-erase.timer", "timers.target"),
    ("lfr-update.timer", "timers.target"),
    ("lfr-first-boot.service", "multi-user.target"),
    ("lfr.target", "multi-user.target"),
)
"""What `systemctl enable` would link: unit and `WantedBy=` of its [Install] section."""
OF_SELF_TEST = "/etc/systemd/system/lfr-selftest.service.d/10-identity.conf"
NOTIFIER, GPU = ("python3-systemd", "systemd_python"), ("python3-pycuda", "pycuda")
"""Package and wheel that bring what no index has a wheel for."""
SEALED = 0o444
CHRONY, TIMESYNCD = "chrony", "/lib/systemd/systemd-timesyncd"


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps for one board, and what a person should know before they are taken."""

    manifest: Manifest
    serial: str
    device: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Which plan this is: the kit, the board and every line."""
        return hashlib.sha256(
            "\n".join((self.manifest.digest, self.serial, *(s.line for s in self.steps))).encode()
        ).hexdigest()


def make_plan(manifest: Manifest, root: Root, serial: str, now: datetime, *, writes: bool = True) -> Plan:
    """The steps for the board with this serial number. Raises Refusal (rule 1).

    writes  False: the plan is only compared with the root, which may be read-only and full
    """
    device = _device(manifest, serial)
    _refuse_early(manifest, root, serial)
    if writes:
        _refuse_to_write(manifest, root, now)
    packages = installed_packages(root)
    notes = (*_extras(manifest, packages), *_pins(manifest, serial))
    bundle = f"devices/{serial}"
    facts = json.loads(manifest.path(f"{bundle}/bundle.json").read_text(encoding="utf-8"))
    if facts.get("serial") != serial or facts.get("name") != device:
        raise Refusal("serial", f"{bundle} holds the bundle of {facts.get('serial')!r}: make the kit again")
    steps: tuple[Step, ...] = (
        *_accounts(manifest),
        *_watchdog(manifest),
        *_folders(),
        *_slot(manifest),
        Link("/usr/local/bin/lfr", f"{CURRENT}/bin/lfr"),
        *(_file(manifest, name, f"{CACHE}/{name}") for name in manifest.below("models")),
        *(_file(manifest, name, f"{STATE}/{name}") for name in _packages(manifest, packages)),
        *(Link(place, to) for place, to in unit_links().items()),
        *_configuration(manifest, bundle),
        *_addresses(manifest, bundle, facts),
        *_names(facts),
        *_time(facts, manifest, root, packages),
        *_header(manifest, bundle),
        written("/etc/lfr/flash.json", _flash_facts(manifest, serial, facts), mode=0o640, group="lfr"),
        *(Link(place, to) for place, to in enabling_links().items()),
    )
    return Plan(manifest, serial, device, steps, notes)


def _device(manifest: Manifest, serial: str) -> str:
    device = manifest.devices.get(serial)
    if device is None:
        known = ", ".join(f"{number} ({name})" for number, name in sorted(manifest.devices.items()))
        raise Refusal("serial", f"the kit has no bundle for the serial number {serial!r}; it has {known}")
    return device


def _refuse_early(manifest: Manifest, root: Root, serial: str) -> None:
    if root.path == Path("/") and board_serial(root) != serial:
        raise Refusal("root", "/ is this machine itself, and it is not the board with that serial number")
    same(manifest.target, target_of(root), root.path)
    begun = Journal(root).header()
    if begun is not None and begun["serial"] != serial:
        text = f"{root.path} was flashed for the serial number {begun['serial']} ({begun['device']})"
        raise Refusal("serial", f"{text}; undo it first: lfr flash undo, or take a fresh root file system")


def _refuse_to_write(manifest: Manifest, root: Root, now: datetime) -> None:
    if now < manifest.made:
        text = f"this machine's clock says {now:%Y-%m-%d %H:%M}, the kit was made {manifest.made:%Y-%m-%d %H:%M} UTC"
        raise Refusal("clock", f"{text}: set the clock first (date -s), or files and certificates get wrong dates")
    room = os.statvfs(root.path)
    if room.f_flag & os.ST_RDONLY or not os.access(root.path, os.W_OK):
        raise Refusal("card", f"{root.path} is read-only: mount it with rw, as root; a worn card stays read-only")
    free = room.f_bavail * room.f_frsize
    needed = 0 if Journal(root).header() is not None else manifest.needs_bytes
    if free < needed:
        raise Refusal("card", f"{root.path} has {free // 10**6} MB free; a device needs {needed // 10**6} MB")


def board_serial(root: Root) -> str | None:
    """The serial number that a running board states; None off a board."""
    try:
        return root.read(SERIAL).rstrip(b"\0").decode("ascii", "replace").strip()
    except OSError:
        return None


def installed_packages(root: Root) -> frozenset[str]:
    """Names of the distribution's packages that are installed in the root (dpkg's own status file)."""
    if not root.exists("/var/lib/dpkg/status"):
        return frozenset()
    found, name = set(), ""
    for row in root.read("/var/lib/dpkg/status").decode("utf-8", "replace").splitlines():
        if row.startswith("Package: "):
            name = row[9:].strip()
        elif row.startswith("Status: ") and row.endswith(" installed"):
            found.add(name)
    return frozenset(found)


def _brought(manifest: Manifest, package: str, wheel: str) -> bool:
    return any(n.startswith((f"packages/{package}_", f"wheels/{wheel}-")) for n in manifest.files)


def _extras(manifest: Manifest, packages: frozenset[str]) -> tuple[str, ...]:
    """The two extras without wheels, one by one: without the first the service cannot say that it is ready."""
    package, wheel = NOTIFIER
    if package not in packages and not _brought(manifest, package, wheel):
        raise Refusal(
            "device-systemd",
            f"neither the root nor the kit has {package}: put its .deb into the folder of --packages, or a wheel of "
            "systemd-python that was built once on a board into --wheel, and make the kit again",
        )
    if GPU[0] not in packages and not _brought(manifest, *GPU):
        return ("device-cuda: neither python3-pycuda nor a wheel of pycuda: this board recognises on its CPU",)
    return ()


def _packages(manifest: Manifest, packages: frozenset[str]) -> list[str]:
    """What dpkg installs at first boot. chrony and systemd-timesyncd exclude each other: the root keeps its own."""
    stays = "systemd-timesyncd" in packages
    return [name for name in manifest.below("packages") if not (stays and _is_chrony(name))]


def _is_chrony(name: str) -> bool:
    return name.startswith(f"packages/{CHRONY}_")


def _accounts(manifest: Manifest) -> tuple[Step, ...]:
    names = ("lfr",), ("gpio", "lfr", "video", "render")
    return _file(manifest, "systemd/lfr.sysusers.conf", SYSUSERS), Accounts(SYSUSERS, *names)


def _watchdog(manifest: Manifest) -> tuple[Step, ...]:
    """The board's hardware watchdog is fed; ignored where there is none."""
    return (_file(manifest, "systemd/lfr-watchdog.conf", WATCHDOG),)


def _folders() -> tuple[Step, ...]:
    return (
        Folder("/etc/lfr", 0o750, group="lfr"),
        Folder("/etc/lfr/pki", 0o750, group="lfr"),
        Folder("/var/lib/lfr", 0o700, "lfr", "lfr"),
        Folder(CACHE, 0o755, "lfr", "lfr"),
        Folder(f"{CACHE}/models", 0o755, "lfr", "lfr"),
        Folder(f"{CACHE}/plans", 0o755, "lfr", "lfr"),
        Folder(STATE, 0o700),
        Folder(f"{STATE}/packages", 0o755),
    )


def _file(manifest: Manifest, name: str, place: str, *, mode: int = 0o644, group: str = "root") -> File:
    return File(place, manifest.files[name].sha256, source=manifest.path(name), mode=mode, group=group)


def unit_links() -> dict[str, str]:
    """Each unit's place, and the file of the slot that it leads to."""
    links = {
        place: f"{COMMITTED if name.startswith(OF_THE_UPDATER) else CURRENT}/systemd/{name}"
        for name, place in UNITS.items()
    }
    return {**links, OF_SELF_TEST: f"{CURRENT}/systemd/lfr-identity.conf"}


def enabling_links() -> dict[str, str]:
    """What `systemctl enable` would make."""
    return {f"/etc/systemd/system/{wanted}.wants/{unit}": f"/etc/systemd/system/{unit}" for unit, wanted in ENABLED}


def slot_manifest(target: Target, version: str, made: str, unpacked_bytes: int) -> bytes:
    """`release.json` of a slot of this program."""
    stated = ReleaseManifest(
        format=1,
        version=version,
        target=f"{target.release.name}-{target.machine}",
        python=target.release.python,
        made=made,
        state=STATE_SCHEMA,
        unpacked_bytes=unpacked_bytes,
        links={**unit_links(), **enabling_links()},
    )
    return text_of(stated)


def _slot(manifest: Manifest) -> tuple[Step, ...]:
    """The release in its slot, and the links that name it."""
    place = f"{SLOTS}/{manifest.version}"
    stated = slot_manifest(manifest.target, manifest.version, manifest.made.isoformat(), manifest.needs_bytes)
    return (
        _environment(manifest, place),
        *(_file(manifest, f"systemd/{name}", f"{place}/systemd/{name}", mode=SEALED) for name in UNITS),
        written(f"{place}/{MANIFEST}", stated.decode(), mode=SEALED),
        *(Link(link, f"{slots.SLOTS}/{manifest.version}") for link in (COMMITTED, CURRENT)),
    )


def _environment(manifest: Manifest, place: str) -> Environment:
    names = [name for name in manifest.below("wheels") if name.endswith(".whl")]
    digest = hashlib.sha256("".join(f"{name} {manifest.files[name].sha256}\n" for name in names).encode()).hexdigest()
    return Environment(place, manifest.target, tuple(manifest.path(name) for name in names), digest)


def _configuration(manifest: Manifest, bundle: str) -> tuple[Step, ...]:
    steps: list[Step] = [_file(manifest, f"{bundle}/device.yaml", "/etc/lfr/device.yaml", mode=0o640, group="lfr")]
    for name in manifest.below(f"{bundle}/files"):
        steps.append(_file(manifest, name, f"/etc/lfr/{Path(name).name}", mode=0o640, group="lfr"))
    steps.append(_file(manifest, "ca.pem", "/etc/lfr/pki/ca.pem"))
    for name in manifest.below("trust"):
        folder = str(Path("/etc/lfr") / Path(name).parent)
        steps += [Folder("/etc/lfr/trust", 0o750, group="lfr"), Folder(folder, 0o750, group="lfr")]
        steps.append(_file(manifest, name, f"/etc/lfr/{name}", mode=0o640, group="lfr"))
    return tuple(steps)


def _addresses(manifest: Manifest, bundle: str, facts: dict[str, str]) -> tuple[Step, ...]:
    """The unit's addresses narrowed to the hub and the cameras, where the configuration fixes them all."""
    config = load_config(manifest.path(f"{bundle}/device.yaml"))
    hosts = [
        (urlsplit(c.source).hostname or "") for c in config.cameras if c.source.startswith(("rtsp://", "rtsps://"))
    ]
    known = {facts["hub_host"]: facts.get("hub_address")}
    found = [_address(known.get(host) or host) for host in (config.mqtt.host, *hosts)]
    if None in found:
        return ()
    text = "# Written by `lfr flash`: the hub and the cameras of /etc/lfr/device.yaml, and nobody else.\n[Service]\n"
    text += f"IPAddressAllow=\nIPAddressAllow=localhost {' '.join(dict.fromkeys(filter(None, found)))}\n"
    return (written("/etc/systemd/system/lfr.service.d/20-addresses.conf", text),)


def _address(host: str) -> str | None:
    """An IP address as systemd reads it; None for a name."""
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        return None


def _names(facts: dict[str, str]) -> tuple[Step, ...]:
    """Host name and, since a van has no name server, the hub's address."""
    hosts = (f"{facts['hub_address']} {facts['hub_host']}",) if facts.get("hub_address") else ()
    return written("/etc/hostname", facts["name"] + "\n"), Block("/etc/hosts", (f"127.0.1.1 {facts['name']}", *hosts))


def _time(facts: dict[str, str], manifest: Manifest, root: Root, packages: frozenset[str]) -> tuple[Step, ...]:
    """The hub's clock, by the service that the board has; and no date before the kit was made."""
    floor = ClockFloor(int(manifest.made.timestamp()))
    host = facts["hub_host"]
    if CHRONY in packages or any(_is_chrony(name) for name in _packages(manifest, packages)):
        text = "# Time of the van's hub; a step is allowed in the first three updates, for a board without a battery.\n"
        text += f"server {host} iburst prefer\nmakestep 1 3\n"
        return floor, written("/etc/chrony/conf.d/lfr.conf", text)
    if root.exists(TIMESYNCD):
        return floor, written("/etc/systemd/timesyncd.conf.d/lfr.conf", f"[Time]\nNTP={host}\n")
    raise Refusal("time", "the root has neither chrony nor systemd-timesyncd, and the kit brings none: --packages")


def _pins(manifest: Manifest, serial: str) -> tuple[str, ...]:
    if f"devices/{serial}/{OVERLAY}" in manifest.files:
        return (f"header: select {PINS!r} in jetson-io on the board, once, or no pin is driven",)
    return ()


def _header(manifest: Manifest, bundle: str) -> tuple[Step, ...]:
    """The overlay of the header's pins, where the kit has one; the board's jetson-io selects it (README, step 5)."""
    name = f"{bundle}/{OVERLAY}"
    return (_file(manifest, name, f"/boot/{OVERLAY}"),) if name in manifest.files else ()


def _flash_facts(manifest: Manifest, serial: str, facts: dict[str, str]) -> str:
    """What first boot and `lfr acceptance` read on the board."""
    known = {
        "kit": manifest.digest,
        "made": manifest.made.isoformat(),
        "serial": serial,
        "device": facts["name"],
        "board": facts["board"],
        "site": manifest.site,
        "version": manifest.version,
        "release": manifest.target.release.name,
    }
    return json.dumps(known, indent=1, sort_keys=True) + "\n"
