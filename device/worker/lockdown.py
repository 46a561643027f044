"""The worker's kernel protections: requested before the first frame, and reported as granted or not.

1. `begin` is the first call in the process, before any thread, so that the restrictions hold for every thread.
   `lock_down` is called when models and watchlist are loaded, before the camera is opened; `close_network` when the
   camera is open.
2. Each protection is reported by name in `Hello.protections`; a condition of the supervisor decides which of them a
   deployment requires. A protection that the kernel does not support is reported as False, and the rest is applied.
3. A file can be reached in more than one way, and each way is closed separately: the size limit refuses every byte,
   Landlock every path, seccomp every call (decision record 0026).

core_limit_0, not_dumpable  no core file, no debugger of the same user     no_new_privileges  no set-user-id program
memory_locked  nothing is swapped                                          no_file_writes  not a byte to any file
landlock_writes, landlock_reads  no path is written; only those named are read
seccomp  no program, no socket but the camera's, no way around the others  standard_streams  0, 1, 2 lead nowhere
environment  an allow list, set at exec                                    freed_memory  overwritten by the allocator
no_files_open  no regular file is open for writing
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from device.edges.host.board_nodes import OF_THE_WORKER
from device.edges.sandbox import landlock, prctl, seccomp
from device.edges.sandbox.hardening import environment_scrubbed, forbid_dumps, lock_memory, overwrite_freed_memory

DEVICES = (*OF_THE_WORKER, "null")
"""Below /dev: cameras and GPUs."""
CODE = ("/usr/lib", "/lib", "/usr/local/lib", "/usr/local/cuda", "/opt/nvidia")
SYSTEM = (
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/dev/null",
    "/dev/urandom",
)
LIBRARIES = ("site-packages", "dist-packages", "lib-dynload")
PACKAGES = ("device", "engines")


@dataclass(frozen=True, slots=True)
class Camera:
    """What its source needs after the lock-down: paths to read, TCP ports to connect to, devices to write to.

    local_service  a daemon on this machine has the camera: one line to it, by a Unix socket
    """

    reads: tuple[Path, ...] = ()
    ports: tuple[int, ...] = ()
    devices: bool = False
    local_service: bool = False


def begin() -> dict[str, bool]:
    """Request every protection that is possible before the models are loaded (rule 1)."""
    granted = forbid_dumps()
    granted["no_new_privileges"] = prctl.forbid_new_privileges()
    granted["environment"] = environment_scrubbed()
    granted["freed_memory"] = overwrite_freed_memory()
    granted["landlock_writes"] = landlock.forbid_writes(character_devices())
    return granted


def lock_down(camera: Camera) -> dict[str, bool]:
    """Close every way by which a face could leave this process but the link; call after the models are loaded."""
    granted = {"memory_locked": lock_memory()}
    granted["no_file_writes"] = _forbid_file_writes()
    granted["standard_streams"] = _lead_nowhere()
    granted["no_files_open"] = not writable_files()
    granted["landlock_reads"] = landlock.forbid_reads([*readable(), *camera.reads], camera.ports)
    needs = seccomp.Needs(bool(camera.ports), camera.devices, camera.local_service)
    granted["seccomp"] = seccomp.refuse(needs)
    return granted


def close_network() -> bool:
    """Forbid new connections: the camera is connected. (A lost camera ends the worker.)"""
    return seccomp.refuse_sockets()


def readable() -> Iterator[Path]:
    """Code, and the kernel's view of this process: what runtimes open late, none of it personal."""
    yield from (Path(place) for place in (*CODE, *SYSTEM))
    yield Path(os.__file__).parent
    yield from (Path(place) for place in sys.path if Path(place).name in LIBRARIES)
    for package in PACKAGES:
        file = sys.modules[package].__file__ if package in sys.modules else None
        if file is not None:
            yield Path(file).parent


def character_devices() -> list[Path]:
    """Cameras and GPUs that are there."""
    found = [path for pattern in DEVICES for path in Path("/dev").glob(pattern)]
    return [path for path in found if path.is_char_device()]


def writable_files() -> Sequence[str]:
    """Regular files that this process holds open for writing."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            regular = stat.S_ISREG(os.fstat(int(link.name)).st_mode)
            writing = fcntl.fcntl(int(link.name), fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        except OSError:  # the listing's own descriptor, closed by now
            continue
        if regular and writing:
            found.append(str(link.readlink()))
    return found


def _forbid_file_writes() -> bool:
    """RLIMIT_FSIZE 0: the kernel refuses every byte to any regular file, memfd and tmpfs included (EFBIG)."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    except (ValueError, OSError):
        return False
    return resource.getrlimit(resource.RLIMIT_FSIZE) == (0, 0)


def _lead_nowhere() -> bool:
    """Redirect libraries' output away from journal and files: from now on only the link leads out."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    if null > 2:
        os.close(null)
    return all(os.fstat(stream).st_rdev == Path(os.devnull).stat().st_rdev for stream in (0, 1, 2))
