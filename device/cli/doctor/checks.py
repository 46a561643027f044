"""The checks of `lfr doctor`. Each yields one or more findings; none changes anything, none needs root."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

from device.cli.doctor import evidence, gpu, health, keys
from device.cli.doctor.finding import Finding, Level
from device.domain.conditions import ConditionName
from device.domain.limits import ROOM_FOR_MODELS_BYTES
from device.domain.symptoms.names import Header, Health, Program, Protection, Site
from device.domain.symptoms.table import remedy

if TYPE_CHECKING:
    from device.config.model import DeviceConfig, GpioConfig, Mqtt

CONNECT_S = 3.0
TRIAL_S = 30.0
TRIAL = """
import json, os
out = os.dup(1)
from device.worker.lockdown import Camera, begin, lock_down
granted = begin()
granted.update(lock_down(Camera()))
os.write(out, json.dumps(granted).encode())
"""
PROTECTIONS = {
    Protection.CORE_LIMIT: "no core file",
    Protection.NOT_DUMPABLE: "no debugger of the same user, no core",
    Protection.NO_NEW_PRIVILEGES: "no program gives it more rights",
    Protection.MEMORY_LOCKED: "memory is never swapped",
    Protection.NO_FILE_WRITES: "the kernel refuses every byte to any file",
    Protection.NO_FILES_OPEN: "no file is open for writing",
    Protection.STANDARD_STREAMS: "output of libraries is discarded",
    Protection.ENVIRONMENT: "started with an allow list of variables",
    Protection.FREED_MEMORY: "freed memory is overwritten by the allocator",
    Protection.LANDLOCK_WRITES: "no path can be written, made, removed or executed",
    Protection.LANDLOCK_READS: "only code, models and the source can be read",
    Protection.SECCOMP: "no program, no socket but the camera's, no memory file",
}
"""What a worker asks for (device.worker.lockdown), and what it means."""
MUST_HOLD = frozenset(
    {Protection.CORE_LIMIT, Protection.NOT_DUMPABLE, Protection.NO_FILE_WRITES, Protection.NO_NEW_PRIVILEGES}
)
PACKAGES = (
    "numpy",
    "msgspec",
    "pydantic",
    "PyYAML",
    "paho-mqtt",
    "cryptography",
    "pyrage",
    "tuf",
    "av",
    "opencv-python-headless",
    "gpiozero",
    "lgpio",
)


Check = Callable[[], Iterator[Finding]]


def all_checks(config: Path | None) -> Iterator[Finding]:
    """Every check in order; with a configuration also what it names."""
    for check in CHECKS:
        yield from check()
    if config is not None:
        yield from configuration(config)


def python() -> Iterator[Finding]:
    version = platform.python_version()
    good = sys.version_info >= (3, 10)
    yield Finding("python", "ok" if good else "fail", f"{version} on {platform.machine()}", remedy(Program.PYTHON))


def packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, "fail", "not installed", remedy(Program.PACKAGE))


def runtimes() -> Iterator[Finding]:
    """CPU runtimes: one is needed, also on a board, where the portable one verifies TensorRT's plans."""
    found = [name for name in ("openvino", "onnxruntime") if util.find_spec(name) is not None]
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in found)
    yield Finding("cpu runtimes", "ok" if found else "fail", versions or "none", remedy(Program.PACKAGE))
    yield from _default_backend()


def _default_backend() -> Iterator[Finding]:
    from engines.errors import EnginesError
    from engines.select import default_backend

    try:
        yield Finding("default backend", "ok", default_backend())
    except EnginesError as fault:
        yield Finding("default backend", "fail", str(fault), remedy(Program.PACKAGE))


def models() -> Iterator[Finding]:
    from engines.cards.catalogue import readable_cards
    from engines.errors import EnginesError, ModelMissing
    from engines.manifest import verified
    from engines.places import models_dir

    found, damaged = readable_cards()
    for fault in damaged:
        text = "; ".join((fault.place, *fault.problems))
        yield Finding(f"card {Path(fault.place).stem}", "fail", text, remedy(Program.CARD))
    for card in found:
        try:
            file, _ = verified(card, models_dir())
            yield Finding(f"model {card.name}", "ok", f"{file.name} matches its hash")
        except ModelMissing as fault:
            if card.optional:
                yield Finding(f"model {card.name}", "ok", f"not here, and not needed: `lfr engines fetch {card.name}`")
            else:
                yield Finding(f"model {card.name}", "fail", str(fault), remedy(Program.MODEL))
        except EnginesError as fault:
            yield Finding(f"model {card.name}", "fail", str(fault), remedy(Program.MODEL))


def gpio() -> Iterator[Finding]:
    chips = sorted(Path("/dev").glob("gpiochip*"))
    unreadable = [str(chip) for chip in chips if not os.access(chip, os.R_OK | os.W_OK)]
    if not chips:
        yield Finding("gpio", "warn", "no GPIO chip", remedy(Header.GPIO_ABSENT))
    elif unreadable:
        yield Finding("gpio", "fail", f"no access to {', '.join(unreadable)}", remedy(Header.GPIO_ACCESS))
    else:
        yield Finding("gpio", "ok", ", ".join(chip.name for chip in chips))


def clock() -> Iterator[Finding]:
    from device.edges.clock.system import SystemClock

    good = SystemClock().synchronised()
    text = "synchronised" if good else "not synchronised: live cameras will not run"
    yield Finding("clock", "ok" if good else "warn", text, remedy(ConditionName.CLOCK_SYNCHRONISED))


def memory() -> Iterator[Finding]:
    swaps = Path("/proc/swaps")
    used = [line.split()[0] for line in swaps.read_text().splitlines()[1:]] if swaps.exists() else []
    yield Finding("swap", "warn" if used else "ok", ", ".join(used) or "off", remedy(Health.SWAP))
    pattern = Path("/proc/sys/kernel/core_pattern")
    where = pattern.read_text().strip() if pattern.exists() else "unknown"
    yield Finding("core dumps", "ok", f"pattern {where!r}; every process of the device sets its limit to 0")


def lockdown() -> Iterator[Finding]:
    """What the kernel grants a vision worker of this user here: a trial process locks itself down and reports."""
    from device.edges.sandbox import landlock
    from device.edges.sandbox.hardening import worker_environment

    version = landlock.abi()
    text = f"ABI {version}" if version else "the kernel has none, or it is switched off"
    yield Finding("landlock", "ok" if version else "warn", text, remedy(Program.LANDLOCK))
    tried = subprocess.run(
        [sys.executable, "-I", "-c", TRIAL],
        env=worker_environment(os.environ),
        capture_output=True,
        text=True,
        timeout=TRIAL_S,
        check=False,
    )
    try:
        granted: dict[str, bool] = json.loads(tried.stdout)
    except ValueError:
        last = (tried.stderr.strip().splitlines() or ["no output"])[-1]
        yield Finding(
            "lock-down", "fail", f"the trial ended with status {tried.returncode}: {last}", remedy(Program.LOCK_DOWN)
        )
        return
    for one, what in PROTECTIONS.items():
        holds = granted.get(one.key, False)
        level: Level = "ok" if holds else "fail" if one in MUST_HOLD else "warn"
        yield Finding(one.value, level, what if holds else f"NOT granted: {what}", remedy(one))


def disk() -> Iterator[Finding]:
    from device.edges.host.sysfs import disk_free_bytes
    from engines.places import cache_dir

    free = disk_free_bytes(cache_dir())
    text = f"{free / 1e9:.1f} GB free for {cache_dir()}"
    yield Finding("disk", "ok" if free >= ROOM_FOR_MODELS_BYTES else "warn", text, remedy(Health.CACHE_FULL))


def temperature() -> Iterator[Finding]:
    from device.edges.host.sysfs import temperatures

    found = temperatures()
    if not found.zones:
        yield Finding("temperature", "warn", "no sensor can be read", remedy(Health.NO_SENSOR))
        return
    nearest = min(found.zones, key=lambda zone: zone.margin_c)
    text = f"{len(found.zones)} sensors, nearest to its limit: {nearest.name} {nearest.temperature_c:.0f} of "
    text += f"{nearest.most_c:.0f} °C" + ("; the machine has reduced its clock" if found.slowed else "")
    cool = nearest.margin_c > 0
    how = remedy(Health.SLOWED_BY_HEAT if cool else ConditionName.TEMPERATURE)
    yield Finding("temperature", "ok" if cool and not found.slowed else "warn", text, how)


def service() -> Iterator[Finding]:
    present = _has_systemd_python()
    text = "present" if present else "absent: needed only under systemd"
    yield Finding("systemd-python", "ok" if present else "warn", text, remedy(Program.SYSTEMD_PYTHON))


def _has_systemd_python() -> bool:
    """A folder of units that is called `systemd`, as in a checkout, is none."""
    found = util.find_spec("systemd")
    return found is not None and found.origin is not None


def root_of_trust(roots: Path) -> Finding:
    """The one root of trust, which decides the mode."""
    from device.errors import RefusedByCondition, Unavailable
    from device.sync.root import trusted_root

    try:
        mode, _ = trusted_root(roots)
    except (RefusedByCondition, Unavailable) as fault:
        return Finding("root of trust", "fail", str(fault), remedy(Site.ROOT_OF_TRUST))
    return Finding("root of trust", "ok", f"mode {mode.value}, in {roots}")


def header_pins(lines: GpioConfig) -> Iterator[Finding]:
    """Pins of the configuration that no header has, or that this board's header cannot read or does not have."""
    from device.cli import config_checks
    from device.edges.gpio.jetson_header import this_board

    try:
        board = this_board()
    except OSError:
        board = None
    for problem in config_checks.pins(lines, board):
        yield Finding("header pins", "fail", problem.text, problem.remedy)


def certificates(config: DeviceConfig) -> Iterator[Finding]:
    """Whether the certificates of `mqtt` fit together and this device, and how long they are valid."""
    from device.cli import config_checks

    problems, warnings = config_checks.certificates(config, datetime.now(timezone.utc))
    for one in problems:
        yield Finding("certificates", "fail", one.text, one.remedy)
    for one in warnings:
        yield Finding("certificates", "warn", one.text, one.remedy)
    if not problems and not warnings:
        yield Finding("certificates", "ok", f"of {config.device}, and the key is theirs")


def configuration(file: Path, *, network: bool = True) -> Iterator[Finding]:
    """The file itself, then its root of trust and, with `network`, the broker that it names."""
    from device.config.loader import check_files, load_config
    from device.errors import ConfigError

    try:
        config = load_config(file)
        check_files(config, str(file))
    except ConfigError as fault:
        for problem in fault.problems:
            yield Finding("configuration", "fail", problem, remedy(Site.CONFIGURATION, file=file))
        return
    yield Finding("configuration", "ok", str(file))
    yield from header_pins(config.lines)
    yield from certificates(config)
    yield root_of_trust(config.trust.roots)
    yield from evidence.of_vision(config.vision)
    yield from keys.of_device(config)
    yield from health.of_engine(config)
    if network:
        yield broker(config.mqtt)


def broker(mqtt: Mqtt) -> Finding:
    """Whether the broker's name is known and it accepts connections; a name that is not known has its own remedy."""
    from device.cli import config_checks

    where = f"{mqtt.host}:{mqtt.port}"
    if problem := config_checks.name_problem("mqtt.host", mqtt.host):
        return Finding("broker", "fail", problem.text, problem.remedy)
    try:
        socket.create_connection((mqtt.host, mqtt.port), timeout=CONNECT_S).close()
    except OSError as fault:
        return Finding("broker", "fail", f"{where}: {fault.strerror or fault}", remedy(Site.BROKER_SILENT))
    return Finding("broker", "ok", f"{where} accepts connections")


CHECKS: tuple[Check, ...] = (
    python,
    packages,
    runtimes,
    gpu.gpu,
    models,
    evidence.shipped_evidence,
    service,
    gpio,
    clock,
    memory,
    keys.key_store,
    lockdown,
    temperature,
    health.of_board,
    health.hardware_watchdog,
    health.last_start,
    disk,
    keys.eraser,
)
