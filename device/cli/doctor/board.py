"""`lfr doctor --board`: opens what the unit will allow, and says which line is wrong.

1. Every node of device/edges/host/board_nodes.py that is there must be admitted by a `DeviceAllow=` of the unit as
   installed, drop-ins included; a line that names nothing on this board is named.
2. It must open for reading and writing, as the user who runs this: run it as the service's user,
   `runuser -u lfr -- lfr doctor --board`.
3. Board and release are known, or the line says what is not.
4. What the environment must see of JetPack: TensorRT, a jetson_utils that fits the NumPy here, the camera's socket.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import metadata, util
from pathlib import Path

from device.cli.doctor.finding import Finding
from device.domain.symptoms.names import OnBoard, Program
from device.domain.symptoms.table import remedy, row_of
from device.edges.gpio.jetson_header import board_of
from device.edges.host.board_nodes import NODES, ORIN, THOR, BoardNode
from device.edges.host.board_release import compatible_of, faults_of, jetpack_of, release_of

UNIT = "etc/systemd/system/lfr.service"
SHIPPED = Path(__file__).resolve().parents[3] / "systemd" / "lfr.service"
ARGUS = "tmp/argus_socket"
NUMPY_1 = "1."


def number_of(path: Path) -> tuple[int, int] | None:
    """Major and minor number of a character device; None for anything else."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (os.major(found.st_rdev), os.minor(found.st_rdev)) if stat.S_ISCHR(found.st_mode) else None


def open_node(path: Path) -> None:
    """Open a node for reading and writing, and close it. Raises OSError."""
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine to look at; tests give a folder and the numbers of its nodes."""

    root: Path = Path("/")
    number: Callable[[Path], tuple[int, int] | None] = number_of
    opens: Callable[[Path], None] = open_node

    def regions(self) -> dict[int, set[str]]:
        """Names of /proc/devices by major number, of character devices."""
        text = (self.root / "proc/devices").read_text(encoding="utf-8", errors="replace")
        rows = (line.split(None, 1) for line in text.partition("Block devices")[0].splitlines())
        found: dict[int, set[str]] = {}
        for row in rows:
            if len(row) == 2 and row[0].isdigit():
                found.setdefault(int(row[0]), set()).add(row[1].strip())
        return found

    def allowed(self) -> list[str]:
        """Values of DeviceAllow= of the installed unit and its drop-ins; where there is none, of the one that ships."""
        unit = self.root / UNIT
        files = [unit, *sorted(unit.with_name("lfr.service.d").glob("*.conf"))] if unit.exists() else [SHIPPED]
        text = "\n".join(file.read_text(encoding="utf-8") for file in files if file.exists())
        return re.findall(r"^DeviceAllow=(\S+)(?: \S+)?$", text, re.MULTILINE)


def board(machine: Machine | None = None) -> Iterator[Finding]:
    """All lines (rules 1 to 4)."""
    here = machine or Machine()
    names = compatible_of(here.root)
    yield from _names(here, names)
    yield from _nodes(here, names)
    yield from _environment(here, bool(names))


def _names(here: Machine, names: tuple[str, ...]) -> Iterator[Finding]:
    """Rule 3."""
    if not names:
        yield Finding("board", "warn", "no device tree: this machine is no board", remedy(OnBoard.NO_BOARD))
        return
    known = board_of("\0".join(names))
    chip = next((name for name in names if name in (ORIN, THOR)), None)
    if known is not None:
        yield Finding("board", "ok", f"{known.name} ({names[0]})")
    elif chip == THOR:
        text = f"{names[0]}: a Thor; its header is not in device/edges/gpio/jetson_header.py yet"
        yield Finding("board", "warn", text, remedy(OnBoard.HEADER_UNKNOWN))
    else:
        yield Finding("board", "fail", f"{', '.join(names)} is not known", remedy(OnBoard.BOARD_UNKNOWN))
    version = release_of(here.root)
    if version is None:
        yield Finding("jetson linux", "fail", "no /etc/nv_tegra_release", remedy(OnBoard.NO_RELEASE))
        return
    numbers = ".".join(map(str, version))
    jetpack = jetpack_of(version)
    text = f"{numbers}, JetPack {jetpack}" if jetpack else f"{numbers}: not in the table of releases"
    yield Finding("jetson linux", "ok" if jetpack else "warn", text, remedy(OnBoard.RELEASE_UNKNOWN))
    for fault in faults_of(version):
        yield Finding(fault.symptom.value, "warn", row_of(fault.symptom).symptom, remedy(fault.symptom))


def _nodes(here: Machine, names: tuple[str, ...]) -> Iterator[Finding]:
    """Rules 1 and 2."""
    try:
        regions, allowed = here.regions(), here.allowed()
    except OSError as fault:
        yield Finding("device nodes", "fail", f"{fault.filename}: {fault.strerror}", remedy(OnBoard.NO_BOARD))
        return
    for node in NODES:
        paths = sorted(path for path in (here.root / "dev").glob(node.pattern) if here.number(path) is not None)
        if not paths and set(node.needs) & set(names):
            yield Finding(f"/dev/{node.pattern}", "fail", "not there", remedy(node.missing))
        for path in paths:
            yield _node(here, node, path, regions, allowed)
    everything = {name for known in regions.values() for name in known}
    ours = {value for node in NODES for value in node.allow}
    for value in allowed:
        if value not in ours and not _names_something(here, value, everything):
            text = f"DeviceAllow={value} names nothing on this board"
            yield Finding("unit", "warn", text, remedy(OnBoard.LINE_OF_NOTHING))


def _node(here: Machine, node: BoardNode, path: Path, regions: dict[int, set[str]], allowed: list[str]) -> Finding:
    shown = f"/{path.relative_to(here.root)}"
    major, minor = here.number(path) or (0, 0)
    called = regions.get(major, set())
    if not any(_admits(here, value, (major, minor), called) for value in allowed):
        value = shown if called <= {"misc"} else f"char-{min(called)}"
        text = f"the unit does not admit it: its region is {', '.join(sorted(called)) or 'unnamed'} ({major}:{minor})"
        return Finding(shown, "fail", text, remedy(OnBoard.NODE_NOT_ALLOWED, line=f"DeviceAllow={value} rw"))
    try:
        here.opens(path)
    except PermissionError:
        group = path.stat().st_gid
        text = f"admitted, and refused to this user: group {group}"
        return Finding(shown, "fail", text, remedy(OnBoard.NODE_REFUSED))
    except OSError as fault:
        return Finding(shown, "warn", f"admitted; it does not open now: {fault.strerror}", remedy(node.missing))
    return Finding(shown, "ok", f"{', '.join(sorted(called))} ({major}:{minor}) opens")


def _admits(here: Machine, value: str, number: tuple[int, int], called: set[str]) -> bool:
    """Whether a DeviceAllow= value admits a node (systemd.resource-control(5))."""
    if value.startswith("char-"):
        return any(fnmatch(name, value.removeprefix("char-")) for name in called)
    return here.number(here.root / value.lstrip("/")) == number


def _names_something(here: Machine, value: str, everything: set[str]) -> bool:
    if value.startswith("char-"):
        return any(fnmatch(name, value.removeprefix("char-")) for name in everything)
    return here.number(here.root / value.lstrip("/")) is not None


def _environment(here: Machine, on_board: bool) -> Iterator[Finding]:
    """Rule 4."""
    there = util.find_spec("tensorrt") is not None
    how = remedy(OnBoard.SYSTEM_PACKAGES)
    absent = "not seen: JetPack's is a package of the system"
    yield Finding("tensorrt in sight", "ok" if there else "warn", "yes" if there else absent, how)
    numpy = metadata.version("numpy")
    fits = numpy.startswith(NUMPY_1) or util.find_spec("jetson_utils") is None
    text = f"numpy {numpy}" + (
        "" if fits else ": jetson_utils is compiled against NumPy 1 and does not import beside it"
    )
    yield Finding("numpy for jetson_utils", "ok" if fits else "fail", text, remedy(Program.NUMPY))
    socket = here.root / ARGUS
    if on_board and not socket.is_socket():
        yield Finding("camera daemon", "warn", f"/{ARGUS} is not there", remedy(OnBoard.CAMERA_DAEMON))
    elif on_board:
        yield Finding("camera daemon", "ok", f"/{ARGUS}; the unit binds it into its private /tmp")
