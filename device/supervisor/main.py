"""The supervisor from top to bottom: what is acquired at the start, in order, and released in reverse.

hardening                      no core file, no ptrace, no swap
one instance per run folder    a second supervisor is refused
workers, prepared              they open their engines meanwhile; no list, no camera (workers/process.py)
GPIO lines                     sign, sensor, lamps, STOP; the sign is off
disk thread, outbox            alerts survive a power cut from here on; a folder that refuses it lights the fault lamp
sync thread                    the hub's repository, verified
broker                         the will publishes `offline` if this process dies
lifecycle                      safe → ready → (deployment, operator, sign dark then lit) → armed → recognising
                               → inhibited while any condition fails → ending: deliver, erase, receipts, counts

Everything is acquired in one exit stack. The vision workers are started and stopped by the lifecycle, inside of it, so
the sign stays lit until they have exited. Every wait during the stop has a deadline, and their sum (worker 2.5 s,
delivery 10 s, receipts 5 s, `stopped` notice 2 s, tasks 2 s, broker 2 s) is less than TimeoutStopSec.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from device.audit.key import DeviceKey, device_key
from device.audit.log import FOLDER as AUDIT
from device.audit.log import Log
from device.config.installed import TOP, UPDATES
from device.config.model import DeviceConfig
from device.edges.broker.paho import BrokerAddress, PahoBroker
from device.edges.clock.system import SystemClock
from device.edges.gpio.gpiozero_gpio import GpiozeroGpio
from device.edges.gpio.simulated import SimulatedGpio
from device.edges.sandbox.hardening import forbid_dumps, lock_memory
from device.edges.service.systemd import NoServiceManager, service_manager
from device.errors import InternalError, LfrError
from device.hub_api.identifiers import new_boot_id
from device.logs import event
from device.outbox.store import Outbox
from device.ports.clock import Clock
from device.ports.gpio import Gpio
from device.supervisor.deployment.active import vision_assignment
from device.supervisor.deployment.teardown import Outcome
from device.supervisor.edges import Edges
from device.supervisor.lifecycle import DeviceLifecycle
from device.supervisor.runtime.executor import DiskThread
from device.supervisor.runtime.outbox_opening import opened_outbox
from device.supervisor.sign.indicators import Indicators
from device.supervisor.status.file import InstanceLock
from device.supervisor.status.retained import will
from device.supervisor.workers.process import ProcessLauncher
from device.sync.client import Client
from device.sync.release_client import Installed, ReleaseClient
from device.sync.renewal import RenewedCertificates, looked
from device.sync.source import Source
from device.sync.source_https import Certificates, HttpsSource
from device.sync.source_usb import UsbSource
from device.update import record
from device.update.machine import this_machine
from device.update.slots import CURRENT, Slots

_log = logging.getLogger(__name__)
OUTBOX = "outbox.sqlite"
EXIT_INTERRUPTED = 130


def supervise(config: DeviceConfig, models_dir: Path, reread: Callable[[], DeviceConfig] | None = None) -> Outcome:
    """Run the device until it is over. Raises an LfrError when it cannot start or cannot go on.

    reread  reads and checks the configuration file again (SIGHUP)
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the loop handles it: its default would end the device
    granted = forbid_dumps()
    locked = lock_memory()
    event(_log, "process", memory_locked=locked, **granted)
    try:
        return asyncio.run(_supervise(config, models_dir, locked, reread))
    except LfrError:
        raise
    except Exception as fault:
        raise InternalError(f"the supervisor ended by {type(fault).__name__}: {fault}") from fault


async def _supervise(
    config: DeviceConfig, models_dir: Path, memory_locked: bool, reread: Callable[[], DeviceConfig] | None
) -> Outcome:
    """Acquire everything, run, release everything in reverse order."""
    async with AsyncExitStack() as stack:
        boot_id = new_boot_id()
        stack.enter_context(InstanceLock(config.run_dir))
        launcher = ProcessLauncher()
        stack.push_async_callback(launcher.close)
        await launcher.prepare((camera.id for camera in config.cameras), vision_assignment(config, models_dir))
        edges = await acquire(stack, config, models_dir, boot_id, memory_locked=memory_locked)
        device = DeviceLifecycle(config, replace(edges, launcher=launcher, reread=reread), boot_id)
        _handle_signals(device)
        outcome = await device.run()
    if outcome.leave_nothing:
        edges.outbox.delete_file()
    return outcome


async def acquire(
    stack: AsyncExitStack,
    config: DeviceConfig,
    models_dir: Path,
    boot_id: str,
    *,
    memory_locked: bool,
    lines: SimulatedGpio | None = None,
) -> Edges:
    """Open every external interface in this order; the stack releases them in reverse.

    lines  simulated GPIO lines of a rehearsal, whose lamp can be broken; None opens those of the configuration
    """
    clock, disk = SystemClock(), DiskThread()
    stack.callback(disk.close)
    opened, service = _lines(config) if lines is None else lines, service_manager()
    stack.callback(opened.close)

    def outbox_file() -> Outbox:
        return Outbox(config.state_dir / OUTBOX, clock.wall(), log_first=True)

    if isinstance(service, NoServiceManager):
        outbox = await disk(outbox_file)
    else:
        shown = Indicators(opened, clock)
        outbox = await opened_outbox(outbox_file, disk=disk, lines=opened, service=service, indicators=shown)
    stack.callback(outbox.close)
    sync = DiskThread("sync")
    stack.callback(sync.close)
    renewed = _renewed(config)
    repository = _repository(config, clock, renewed)
    stack.callback(repository.close)
    release_thread = DiskThread("release")
    stack.callback(release_thread.close)
    releases = _releases(config, renewed)
    if releases is not None:
        stack.callback(releases.close)
    broker = _broker(config, boot_id, clock, renewed)
    stack.callback(broker.close)
    return Edges(
        clock=clock,
        lines=opened,
        service=service,
        broker=broker,
        launcher=ProcessLauncher(),
        disk=disk,
        outbox=outbox,
        open_audit=lambda: _open_audit(config.state_dir),
        authority=lambda: renewed.files().ca.read_bytes(),
        certificate_ends=renewed.ends,
        renew=lambda: looked(renewed, clock.wall()),
        models_dir=models_dir,
        simulated=isinstance(opened, SimulatedGpio),
        sync=sync,
        repository=repository,
        releases=releases,
        release_thread=release_thread,
        memory_locked=memory_locked,
    )


def _open_audit(state_dir: Path) -> tuple[DeviceKey, Log]:
    """Open the device's key and its audit log, on the disk thread; retried until it works."""
    return device_key(state_dir), Log(state_dir / AUDIT)


def _lines(config: DeviceConfig) -> Gpio:
    """Real GPIO lines, or simulated ones (which the configuration allows only with recorded sources)."""
    return SimulatedGpio() if config.lines.driver == "simulated" else GpiozeroGpio(config.lines)


def _renewed(config: DeviceConfig) -> RenewedCertificates:
    """The configured certificates, or later ones that the hub has renewed; it is asked over a connection of its own."""
    configured = Certificates(ca=config.mqtt.ca, cert=config.mqtt.cert, key=config.mqtt.key)
    if config.trust.url is None:
        return RenewedCertificates(config.state_dir, configured, None)
    source = HttpsSource(config.trust.url, lambda: renewed.files())
    renewed = RenewedCertificates(config.state_dir, configured, source.read)
    return renewed


def _repository(config: DeviceConfig, clock: Clock, renewed: RenewedCertificates) -> Client:
    """The hub's repository."""
    sources = _sources(config, renewed)
    return Client(config.state_dir, config.trust.roots, config.device, sources, clock, memory=config.run_dir)


def repository_of(config: DeviceConfig, clock: Clock) -> Client:
    """The hub's repository, for commands that run while the device does not."""
    return _repository(config, clock, _renewed(config))


def _sources(config: DeviceConfig, renewed: RenewedCertificates) -> list[Source]:
    """The hub's repository over TLS with the broker's certificates, and from a stick; with a connection of its own."""
    sources: list[Source] = []
    if config.trust.url is not None:
        sources.append(HttpsSource(config.trust.url, renewed.files))
    if config.trust.usb is not None:
        sources.append(UsbSource(config.trust.usb))
    return sources


def _releases(config: DeviceConfig, renewed: RenewedCertificates) -> ReleaseClient | None:
    """Releases of the software, on a device that was made by `lfr flash`; None elsewhere."""
    running = Slots(TOP).named(CURRENT)
    if running is None:
        return None
    installed = Installed(
        running,
        this_machine().target,
        refused=lambda: frozenset(record.read(UPDATES).refused),
        news=lambda: record.read(UPDATES).failed,
    )
    sources = _sources(config, renewed)
    return ReleaseClient(config.state_dir, config.trust.roots, sources, installed, memory=config.run_dir)


def _broker(config: DeviceConfig, boot_id: str, clock: Clock, renewed: RenewedCertificates) -> PahoBroker:
    mqtt = config.mqtt

    def newest() -> tuple[Path, Path]:
        files = renewed.files()
        return files.ca, files.cert

    address = BrokerAddress(host=mqtt.host, port=mqtt.port, ca=mqtt.ca, cert=mqtt.cert, key=mqtt.key, newest=newest)
    return PahoBroker(address, config.device, will(config.site, config.device, boot_id, clock))


def _handle_signals(device: DeviceLifecycle) -> None:
    """SIGTERM stops the service, SIGINT comes from a person; a second one shortens every wait. SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, device.supervisor.leave, 0)
    loop.add_signal_handler(signal.SIGINT, device.supervisor.leave, EXIT_INTERRUPTED)
    loop.add_signal_handler(signal.SIGHUP, device.reload)
