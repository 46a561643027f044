"""The device of the rehearsal: the supervisor as `lfr run` puts it together, on lines whose lamp can be broken.

Workers, broker, hub, repository and sync are the real ones. Only the lines are simulated, which the configuration
allows for recordings alone.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from device.alerts.outbox import Outbox
from device.config.loader import load_config
from device.edges.clock_system import SystemClock
from device.edges.lines_simulated import SimulatedLines
from device.edges.mqtt import BrokerAddress, PahoBroker
from device.edges.service_systemd import NoServiceManager
from device.supervisor.chronicle import Chronicle
from device.supervisor.device import Device
from device.supervisor.disk import DiskThread
from device.supervisor.edges import Edges
from device.supervisor.main import open_audit
from device.supervisor.notices import will
from device.supervisor.worker_process import ProcessLauncher
from device.sync.client import Client
from device.sync.source_https import Certificates, HttpsSource
from device.sync.source_usb import UsbSource
from engines.places import models_dir
from tools.demo.stage import Stage

BOOT = "rehearsal"


@dataclass
class Log:
    """States and conditions as they change, with the seconds since the start."""

    begun: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)
    _read: dict[str, str] = field(default_factory=dict)
    _state: str = ""

    def say(self, text: str) -> None:
        """One line, printed at once."""
        self.lines.append(f"{time.monotonic() - self.begun:7.1f} s  {text}")
        print(self.lines[-1], flush=True)

    def watch(self, device: Device) -> None:
        """Note what has changed of the device's state and of its two tables of conditions."""
        control = device.control
        if control.state.value != self._state:
            self._state = control.state.value
            self.say(f"STATE      {self._state}")
        for reading in control.readings:
            key = f"{reading.row.table.value} {reading.row.name}"
            if self._read.get(key) != reading.result.value:
                self._read[key] = reading.result.value
                self.say(f"  {reading.row.table.value:4} {reading.result.value:8} {reading.row.name}: {reading.text}")


async def assembled(stage: Stage, lines: SimulatedLines, stack: AsyncExitStack) -> Device:
    """The device of the stage's configuration; the stack releases what it holds, in reverse."""
    config, clock = load_config(stage.config), SystemClock()
    mqtt = config.mqtt
    disk, sync = DiskThread(), DiskThread("sync")
    stack.callback(disk.close)
    stack.callback(sync.close)
    outbox = await disk(lambda: Outbox(config.state_dir / "outbox.sqlite", clock.wall()))
    stack.callback(outbox.close)
    publisher = client_of(stage)
    stack.callback(publisher.close)
    address = BrokerAddress(host=mqtt.host, port=mqtt.port, ca=mqtt.ca, cert=mqtt.cert, key=mqtt.key)
    broker = PahoBroker(address, config.device, will(config.site, config.device, BOOT, clock))
    stack.callback(broker.close)
    edges = Edges(
        clock=clock,
        lines=lines,
        service=NoServiceManager(),
        broker=broker,
        launcher=ProcessLauncher(),
        disk=disk,
        outbox=outbox,
        audit=Chronicle(lambda: open_audit(config.state_dir), disk, clock, BOOT),
        models_dir=models_dir(),
        simulated=True,
        sync=sync,
        publisher=publisher,
    )
    return Device(config, edges, BOOT)


def client_of(stage: Stage, *, from_stick: bool = False) -> Client:
    """The device's sync: from the hub as it is configured, or from the stick alone into a state folder of its own."""
    config = load_config(stage.config)
    assert config.trust is not None
    if from_stick:
        stick = UsbSource(stage.root / "stick")
        return Client(stage.root / "state-usb", config.trust.roots, config.device, [stick], SystemClock())
    assert config.trust.url is not None
    files = Certificates(ca=config.mqtt.ca, cert=config.mqtt.cert, key=config.mqtt.key)
    source = HttpsSource(config.trust.url, files)
    return Client(config.state_dir, config.trust.roots, config.device, [source], SystemClock())
