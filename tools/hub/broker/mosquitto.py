"""The broker process: where mosquitto is found, how it is started, watched and stopped.

1. It is started from the main thread and dies with the hub (PR_SET_PDEATHSIG), even when the hub is killed.
2. It is ready when a TLS handshake with the hub's certificate succeeds, not when the process exists.
3. Its log goes to stderr without payloads; the last lines are kept to explain a failure.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from device.edges.sandbox.prctl import end_with_parent
from device.errors import Unavailable
from engines.places import cache_dir
from tools.hub.broker.configuration import write_broker_files
from tools.hub.storage.folder import HubFolder

READY_WITHIN_S = 30.0
STOP_WITHIN_S = 3.0
FREE_PORT_TRIES = 5
LISTENING_PORTS = range(20_000, 32_768)


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """A mosquitto that can be run: its path and the variables it needs beside the usual ones."""

    path: Path
    environment: dict[str, str]


def find_mosquitto() -> Mosquitto:
    """Look on PATH, in the system's sbin folders, and among system packages unpacked without root.

    Raises Unavailable, with the command to install it, when there is none.
    """
    for place in (shutil.which("mosquitto"), "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"):
        if place is not None and os.access(place, os.X_OK):
            return Mosquitto(Path(place), {})
    system = cache_dir() / "system"
    for candidate in (system / "usr/sbin/mosquitto", system / "usr/bin/mosquitto"):
        if os.access(candidate, os.X_OK):
            libraries = [p for p in (*sorted(system.glob("usr/lib/*-linux-gnu*")), system / "usr/lib") if p.is_dir()]
            libraries += sorted(p for p in system.glob("lib/*-linux-gnu*") if p.is_dir())
            return Mosquitto(candidate, {"LD_LIBRARY_PATH": ":".join(map(str, libraries))})
    raise Unavailable(
        f"no mosquitto on PATH, in /usr/sbin or under {system}: run `make setup`, or `apt-get install mosquitto`"
    )


class RunningBroker:
    """One mosquitto on one port."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.port = port
        self._process = process
        self._lines: deque[str] = deque(maxlen=200)
        self._reader = threading.Thread(target=self._read, name="mosquitto-log", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def log(self) -> list[str]:
        """Its last log lines."""
        return list(self._lines)

    def read_access_list_again(self) -> None:
        """mosquitto(8): SIGHUP reads the acl file again; connections stay."""
        if self.running():
            self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it and wait; sessions and retained messages are gone with it. Safe to call twice."""
        if self.running():
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_WITHIN_S)
        self._reader.join(1.0)

    def _read(self) -> None:
        stream = self._process.stderr
        if stream is not None:
            with stream:
                for line in stream:
                    self._lines.append(line.decode(errors="replace").rstrip())


def start_broker(hub: HubFolder, port: int = 0, *, without: frozenset[str] = frozenset()) -> RunningBroker:
    """Start mosquitto for this hub and wait until it is ready. Port 0 takes any free one. without: devices cut off.

    Raises Unavailable: no mosquitto, port in use, or it ended by itself (with its last log lines).
    """
    found = find_mosquitto()
    settings = hub.settings()
    for attempt in range(FREE_PORT_TRIES):
        wanted = port or free_port()
        if port and _in_use(settings.bind, port):
            raise Unavailable(
                f"port {port} is in use, so the broker cannot listen there: stop what uses it, or choose another"
                " with --broker-port (0 takes any free one)"
            )
        broker = _launch(found, write_broker_files(hub, settings, wanted, without=without), wanted)
        try:
            _wait_until_ready(broker, hub, settings.bind)
            return broker
        except Unavailable:
            broker.stop()
            taken = any("Address already in use" in line for line in broker.log())
            if port or not taken or attempt == FREE_PORT_TRIES - 1:
                raise
        except BaseException:
            broker.stop()
            raise
    raise Unavailable("no free port for the broker")


def free_port() -> int:
    """A loopback port that nothing uses at this moment, and that no connection of this machine takes by chance.

    Connections get ports from 32768 on (Linux' ip_local_port_range), so one below stays free until it is listened on.
    """
    for port in random.SystemRandom().sample(LISTENING_PORTS, FREE_PORT_TRIES * 10):
        if not _in_use("127.0.0.1", port):
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _in_use(bind: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError:
            return True
    return False


def _launch(found: Mosquitto, configuration: Path, port: int) -> RunningBroker:
    parent = os.getpid()

    def die_with_parent() -> None:
        end_with_parent()
        if os.getppid() != parent:
            os._exit(1)

    try:
        process = subprocess.Popen(
            [str(found.path), "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **found.environment},
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    except OSError as fault:
        raise Unavailable(f"{found.path} does not start: {fault.strerror or fault}; install mosquitto again") from fault
    return RunningBroker(process, port)


def _wait_until_ready(broker: RunningBroker, hub: HubFolder, bind: str) -> None:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)
    address = hub.address("hub", broker.port)
    context = ssl.create_default_context(cafile=str(address.ca))
    context.load_cert_chain(str(address.cert), str(address.key))
    deadline = time.monotonic() + READY_WITHIN_S
    last = "no answer"
    while time.monotonic() < deadline:
        if not broker.running():
            broker.stop()
            raise Unavailable("mosquitto ended at its start: " + (" / ".join(broker.log()[-4:]) or "without a message"))
        try:
            with (
                socket.create_connection((host, broker.port), 1.0) as raw,
                context.wrap_socket(raw, server_hostname=host),
            ):
                return
        except OSError as fault:
            last = str(fault)
            time.sleep(0.02)
    raise Unavailable(f"mosquitto is not ready on port {broker.port} after {READY_WITHIN_S:g} s: {last}")
