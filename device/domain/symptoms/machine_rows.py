"""Symptom, cause and remedy of the machine, and of what a vision worker asks of its kernel."""

from __future__ import annotations

from collections.abc import Mapping

from device.domain.limits import ROOM_FOR_MODELS_BYTES
from device.domain.symptoms.names import Health, Protection
from device.domain.symptoms.row import Row

HEALTH: Mapping[Health, Row] = {
    Health.ENGINE_SLOWER: Row(
        "the engine is slower than when it started",
        "heat or a weak supply lowers the clocks, another program uses the GPU, or the power mode was changed",
        "look at temperature, supply and power mode (`lfr status`); end other programs; then restart the service",
    ),
    Health.GPU_LOAD: Row(
        "the GPU is busy all the time",
        "more cameras, larger pictures or more faces than the board can take, or another program",
        "raise vision.min_face_px, take fewer cameras, or set a higher power mode (`nvpmodel -m`)",
    ),
    Health.MEMORY_LOW: Row(
        "memory is almost used up",
        "another program, or more cameras than the board can take; a worker that starts again may be refused",
        "end other programs (the desktop: `systemctl set-default multi-user.target`), or take fewer cameras",
    ),
    Health.POWER_MODE: Row(
        "the board runs in a lower power mode than it has",
        "it was flashed so, or somebody set it so; the housing may need it",
        "`nvpmodel -q`; set a higher one with `nvpmodel -m` if supply and cooling of the housing allow it",
    ),
    Health.SLOWED_BY_HEAT: Row(
        "the machine has reduced its clock because it is hot",
        "a blocked fan or filter, or sun on the housing",
        "check fan, filter, sun on the housing and the power mode, before it stops",
    ),
    Health.NO_SENSOR: Row(
        "no temperature sensor can be read",
        "a virtual machine, or a kernel without the board's thermal zones",
        "a live device needs one: thermal zones of the kernel under /sys/class/thermal",
    ),
    Health.SUPPLY: Row(
        "the board's supply is too weak: it throttles",
        "a supply or cable below the board's rating, or a power mode beyond it",
        "measure the supply under load, shorten or replace its cable, or set a lower power mode",
    ),
    Health.SWAP: Row(
        "swap is on, and memory may reach a disk",
        "the distribution's default, or zram",
        "swapoff -a, and take it out of fstab",
    ),
    Health.CACHE_FULL: Row(
        "there is little room for models and plans",
        "a small card, or old models and plans that nobody removed",
        f"free at least {ROOM_FOR_MODELS_BYTES // 10**9} GB",
    ),
    Health.WATCHDOG_IDLE: Row(
        "no hardware watchdog is fed: a kernel that hangs stays so until somebody comes",
        "systemd does not use it unless it is told to, or the board's driver of it is not loaded",
        "install systemd/lfr-watchdog.conf (RuntimeWatchdogSec=30; `lfr flash` does) and restart the board",
    ),
    Health.WATCHDOG_RESET: Row(
        "the hardware watchdog reset this machine: it had hung",
        "a driver or the kernel hung, or the first process ended; heat and a weak supply do both",
        "journalctl -b -1 -e shows its last lines; where it happens again, supply and cooling first, then the release",
    ),
}
_UNIT = "as systemd/lfr.service has it"
_UNIT_CAUSE = "it was not started by its unit, or the unit was changed"
_LANDLOCK_CAUSE = "an older kernel, or one without Landlock"
_LANDLOCK = "Linux 5.13 or later, with Landlock"
_STARTED_BY_HAND = "the worker was started by something else"
PROTECTIONS: Mapping[Protection, Row] = {
    Protection.CORE_LIMIT: Row("a crash could write memory to a core file", _UNIT_CAUSE, f"LimitCORE=0, {_UNIT}"),
    Protection.NOT_DUMPABLE: Row(
        "a debugger of the same user could read the worker", "an older kernel", "a kernel with PR_SET_DUMPABLE"
    ),
    Protection.NO_NEW_PRIVILEGES: Row(
        "a program could give the worker more rights", "an older kernel", "Linux 3.5 or later"
    ),
    Protection.MEMORY_LOCKED: Row(
        "memory with faces could be swapped",
        _UNIT_CAUSE,
        f"LimitMEMLOCK=infinity, {_UNIT}: without it, demonstrations only",
    ),
    Protection.NO_FILE_WRITES: Row("the worker could write to a file", "an older kernel", "a kernel with RLIMIT_FSIZE"),
    Protection.NO_FILES_OPEN: Row(
        "a file is open for writing in the worker", _STARTED_BY_HAND, "start it by lfr run, which closes all others"
    ),
    Protection.STANDARD_STREAMS: Row(
        "output of libraries is not discarded", "a machine without /dev/null", "a machine with /dev/null"
    ),
    Protection.ENVIRONMENT: Row(
        "the worker sees variables that it should not", _STARTED_BY_HAND, "start it by lfr run"
    ),
    Protection.FREED_MEMORY: Row(
        "freed memory is not overwritten", "another C library", "glibc: other C libraries cannot"
    ),
    Protection.LANDLOCK_WRITES: Row("the worker could write, make or remove a path", _LANDLOCK_CAUSE, _LANDLOCK),
    Protection.LANDLOCK_READS: Row("the worker could read any file of its user", _LANDLOCK_CAUSE, _LANDLOCK),
    Protection.SECCOMP: Row(
        "the worker could start a program or open a socket",
        "another processor, or a kernel without seccomp filters",
        "x86-64 or aarch64 with CONFIG_SECCOMP_FILTER",
    ),
}
