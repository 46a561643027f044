"""Every external interface of the supervisor in one struct: real on a device, fakes in a simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from device.config.model import DeviceConfig
from device.edges.host import state_folder, sysfs
from device.edges.host.sysfs_board import SysfsBoard
from device.outbox.store import Outbox
from device.ports.broker import Broker
from device.ports.clock import Clock
from device.ports.gpio import Gpio
from device.ports.health import BoardHealth
from device.ports.service import ServiceManager
from device.supervisor.audit.writer import OpenLog
from device.supervisor.deployment.release_watch import Releases
from device.supervisor.deployment.sync import Repository
from device.supervisor.runtime.executor import Disk
from device.supervisor.workers.process import Launcher
from device.sync.renewal import Asked, Ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """models_dir: where workers find prepared models. simulated: the GPIO lines are not hardware; the status states it.

    root       where sysfs is found;  board  GPU load, power mode, over-current, memory
    repository  the hub's repository, verified;  sync: the thread that its calls run on
    open_audit  opens the device's key and its audit log, on the disk thread
    releases   where releases of the software come from, and the thread that its calls run on; None: updated by hand
    memory_locked  whether nothing of this process can reach swap
    authority  reads the site's authorities (PEM), for the hub's commands
    certificate_ends  when the certificates in use end, on the disk thread
    renew      asks the hub for renewed certificates, on the sync thread
    disk_free  bytes that may still be written where a folder lies
    reread     reads and checks the configuration file again; None when the device was not started from one
    refusal    why a folder takes no writes (device.edges.host.state_folder)
    """

    clock: Clock
    lines: Gpio
    service: ServiceManager
    broker: Broker
    launcher: Launcher
    disk: Disk
    outbox: Outbox
    open_audit: OpenLog
    authority: Callable[[], bytes]
    certificate_ends: Callable[[], Ends] = Ends
    renew: Callable[[], Asked] = Asked
    models_dir: Path
    simulated: bool
    sync: Disk
    repository: Repository
    releases: Releases | None = None
    release_thread: Disk | None = None
    memory_locked: bool = True
    root: Path = Path("/")
    disk_free: Callable[[Path], int] = sysfs.disk_free_bytes
    board: BoardHealth = field(default_factory=SysfsBoard)
    refusal: Callable[..., str] = state_folder.refusal
    reread: Callable[[], DeviceConfig] | None = None
