"""`lfr hub serve`: the broker if asked for, the hub's session and the console, until a signal stops it.

1. It stops in reverse order: page, session (which publishes offline), pictures wiped, repository, broker.
2. Cases without a judgement stay on the disk, sealed (`desk.sqlite`), and are on the page again at the next start.
3. A broker that dies is restarted at once; when that fails, the hub ends with 69, so that its service manager knows.
4. The process writes no core and cannot be read by another of the same user: pictures are in its memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device.domain.finding import Mode
from device.edges.broker.paho import PahoBroker
from device.edges.sandbox.prctl import forbid_dumping
from device.edges.service.systemd import service_manager
from device.errors import ConfigError, InternalError, LfrError, Unavailable
from device.hub_api.topics import level
from device.logs import event
from tools.hub.broker.own_broker import OwnBroker
from tools.hub.broker.retained_quota import RetainedMonitor
from tools.hub.certificate_watch import CertificateWatch
from tools.hub.console.access import wall_now
from tools.hub.console.alert_checks import AlertChecks
from tools.hub.console.blue_board import BlueBoard
from tools.hub.console.console import Console
from tools.hub.console.desk import Desk
from tools.hub.console.hub_state import offline_message
from tools.hub.console.pages import application
from tools.hub.console.session import HubSession
from tools.hub.monitoring.endpoint import listen, metrics_of
from tools.hub.notify import notify, status_line
from tools.hub.pki.command_signer import CommandSigner
from tools.hub.publishing.envelope_issuer import Issuer
from tools.hub.publishing.published_deployments import PublishedDeployments
from tools.hub.publishing.publisher import Publisher
from tools.hub.publishing.repository_server import RepositoryServer
from tools.hub.report.tallies import Tallies
from tools.hub.storage.folder import HubFolder, SiteDevices
from tools.hub.storage.probes import ProbeOpener
from tools.hub.storage.sealed_desk import SealedDesk
from tools.hub.storage.users import Users
from tools.hub.watchlist.volunteers import VolunteerRegister

if TYPE_CHECKING:
    import uvicorn
    from starlette.applications import Starlette

LOOPBACK = "127.0.0.1"
BROKER_LOOK_S = 0.2
BROKER_TRIES = 3  # it may be killed again while it starts

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """Options of `lfr hub serve`. Ports: None takes console.yaml's, 0 any free one; a command line's override it.

    own_broker        start mosquitto too; False uses the one at broker_port
    console_key       file with the key of the page's address (a credential of the unit); it is not printed then
    operator_present  simulate an operator while no page is open: headless demonstrations and tests.
                      Devices with a live camera or in operational mode do not accept it
    metrics           ADDRESS:PORT of the endpoint for Prometheus; None: there is none
    """

    folder: Path
    console_port: int | None = None
    broker_port: int | None = None
    repository_port: int | None = None
    own_broker: bool = True
    operator_present: bool = False
    officer_ref: str = "operator-1"
    open_browser: bool = False
    console_key: Path | None = None
    metrics: str | None = None


def serve(options: ServeOptions) -> int:
    """Run until SIGINT or SIGTERM; prints one JSON line with the address when the console is ready.

    Returns 130 after SIGINT, 0 after SIGTERM. Raises Unavailable: a port in use, no broker, no hub folder.
    """
    _lock_down()
    hub = HubFolder(options.folder)
    settings = hub.settings()
    _certificates_are_there(hub)
    level(options.officer_ref, "officer reference")
    if settings.mode is Mode.OPERATIONAL and not Users(hub.root).all():
        raise ConfigError(str(hub.root), ("an operational hub needs users; add one with `lfr hub user add`",))
    with ExitStack() as stack:
        listening = stack.enter_context(
            _listen(settings.console_port if options.console_port is None else options.console_port)
        )
        metrics = None if options.metrics is None else stack.enter_context(listen(options.metrics))
        broker_port = settings.broker_port if options.broker_port is None else options.broker_port
        broker = OwnBroker(hub, broker_port) if options.own_broker else None
        if broker is not None:
            stack.callback(broker.stop)
            broker_port = broker.port
        devices = SiteDevices(hub)
        wanted = settings.repository_port if options.repository_port is None else options.repository_port
        repository = RepositoryServer(hub, devices, settings.bind, wanted)
        stack.callback(repository.stop)
        served = Served(listening, broker_port, repository.port, devices, broker, repository, metrics)
        return asyncio.run(_run(options, hub, served))


def _certificates_are_there(hub: HubFolder) -> None:
    needed = [f"{name}.{half}" for name in ("server", "hub", "monitor") for half in ("pem", "key")]
    missing = [name for name in needed if not (hub.root / name).exists()]
    if missing:
        raise Unavailable(
            f"{hub.root} lacks {', '.join(missing)}; put it back, or remove what is left of that pair and let "
            f"`lfr hub init {hub.root}` with the same --site make it anew"
        )


@dataclass(frozen=True, slots=True)
class Served:
    """What is opened before the loop runs."""

    listening: socket.socket
    broker_port: int
    repository_port: int
    devices: SiteDevices
    broker: OwnBroker | None
    repository: RepositoryServer
    metrics: socket.socket | None

    def read_certificates_again(self) -> None:
        """The broker starts anew and every session comes back by itself; all read what is in the folder now."""
        self.repository.read_certificates_again()
        if self.broker is not None:
            self.broker.start_anew()


def _server(page: Starlette) -> uvicorn.Server:
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            page,
            log_config=None,
            access_log=False,
            lifespan="on",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )


def _own_client(hub: HubFolder, served: Served) -> PahoBroker:
    """The hub's own connection to the broker, with its will."""
    settings = hub.settings()
    will = offline_message(settings.site, settings.mode, wall_now())
    return PahoBroker(hub.address("hub", served.broker_port), "hub", will, session_expiry_s=0)


def _entry(options: ServeOptions, console: Console) -> str:
    """The query of the printed address; empty where the key was chosen by whoever started the hub."""
    return f"?key={console.key}" if options.console_key is None else ""


async def _run(options: ServeOptions, hub: HubFolder, served: Served) -> int:
    settings, listening, store = hub.settings(), served.listening, SealedDesk(hub.desk_file)
    publisher, opener = Publisher(hub.root, wall_now), ProbeOpener(hub.keys)
    tallies = Tallies(hub.report_file, store.book())
    published = PublishedDeployments(publisher)
    desk = Desk(settings, tallies, store, published)
    desk.restore_pictures(opener.open, wall_now())
    session = HubSession(
        _own_client(hub, served),
        settings.site,
        settings.mode,
        desk,
        opener,
        wall_now,
        lambda: console.changed(),
        lambda device, identity: issuer.identified(device, identity),
        store,
        AlertChecks(settings.mode, published),
        CommandSigner(hub.root, settings.site, settings.mode),
        blue := BlueBoard(settings.mode, published, tallies, VolunteerRegister(hub.root).group),
    )
    issuer = Issuer(publisher, served.devices, session, _DeviceList(served.broker, desk))
    hosts = tuple(f"{name}:{listening.getsockname()[1]}" for name in (LOOPBACK, "localhost"))
    console = _console(
        hub, options, session, desk=desk, tallies=tallies, hosts=hosts, warned=lambda: watch.warnings, blue=blue
    )
    watch, loop = CertificateWatch(hub, wall_now, served.read_certificates_again), asyncio.get_running_loop()
    monitor = _monitor(hub, settings.site, served, desk, loop)

    def start_sessions() -> None:
        session.start(loop)
        monitor.start()

    ended: list[LfrError] = []
    server = _server(application(console, start_sessions, lambda reason: _not_maintained(server, ended, reason)))
    stopped_by = _signals(loop, server)
    manager = service_manager()
    work: list[Coroutine[Any, Any, None]] = [
        _announce(server, options, f"http://{hosts[0]}/{_entry(options, console)}", served),
        notify(manager, server, lambda: status_line(console)),
        watch.run(),
        issuer.run(),
        *metrics_of(console, settings, served.metrics),
    ]
    if served.broker is not None:
        work.append(_watch_broker(served.broker, server, ended))
    background = [asyncio.ensure_future(each) for each in work]
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await server.serve(sockets=[listening])
    finally:
        for task in background:
            task.cancel()
        await asyncio.to_thread(session.close)
        await asyncio.to_thread(monitor.close)
        _put_away(console, store)
    if ended:
        raise ended[0]
    return 130 if stopped_by == [signal.SIGINT] else 0


def _console(
    hub: HubFolder,
    options: ServeOptions,
    session: HubSession,
    *,
    desk: Desk,
    tallies: Tallies,
    hosts: tuple[str, ...],
    warned: Callable[[], list[str]],
    blue: BlueBoard,
) -> Console:
    return Console(
        hub,
        hub.settings(),
        desk,
        tallies,
        session,
        options.officer_ref,
        options.operator_present,
        frozenset(hosts),
        hub.console_key(options.console_key),
        warned,
        blue,
    )


def _put_away(console: Console, store: SealedDesk) -> None:
    """What must be on the disk is, and nothing personal stays in memory."""
    console.erase_references()
    console.desk.commit()
    with contextlib.suppress(LfrError, OSError):  # at the next start, from the counts that are saved
        console.note_blue_list(at_once=True)
    store.close()
    console.desk.clear_memory()
    console.tallies.save()


@dataclass(frozen=True, slots=True)
class _DeviceList:
    """What follows when devices come to the site or are revoked while the hub runs."""

    broker: OwnBroker | None
    desk: Desk

    def changed(self, added: frozenset[str], removed: frozenset[str]) -> None:
        for device in sorted(added):
            self.desk.expect(device)
        if self.broker is not None and removed:
            self.broker.start_anew()
        elif self.broker is not None:
            self.broker.devices_added()


def _monitor(hub: HubFolder, site: str, served: Served, desk: Desk, loop: asyncio.AbstractEventLoop) -> RetainedMonitor:
    """Cuts a device off that has the broker keep too much; with a foreign broker it is shown only."""

    def over(device: str) -> None:
        desk.fault(device, "it had the broker keep too much: cut off until the hub is started anew")
        if served.broker is not None:
            served.broker.cut_off(device)

    broker = PahoBroker(
        hub.address("monitor", served.broker_port), "monitor", session_expiry_s=0, retain_as_published=True
    )
    return RetainedMonitor(broker, site, lambda device: _soon(loop, over, device))


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[str], None], device: str) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, device)


def _signals(loop: asyncio.AbstractEventLoop, server: uvicorn.Server) -> list[signal.Signals]:
    """Stop the server on SIGINT and SIGTERM; the list holds the first that came.

    uvicorn catches both while it serves and raises them again at its end, which is when they get here.
    """
    came: list[signal.Signals] = []

    def stop(which: signal.Signals) -> None:
        if not came:
            came.append(which)
        server.should_exit = True

    for which in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(which, stop, which)
    return came


def _not_maintained(server: uvicorn.Server, ended: list[LfrError], reason: str) -> None:
    """The console would go on with an operator who is present for ever: end the hub with 70."""
    event(_log, "hub.not_maintained", level=logging.CRITICAL, reason=reason)
    ended.append(InternalError(f"the console's maintenance ended: {reason}"))
    server.should_exit = True


async def _watch_broker(broker: OwnBroker, server: uvicorn.Server, ended: list[LfrError]) -> None:
    """Restart a broker that died; one that does not come up ends the hub with 69 (rule 3)."""
    while True:
        await asyncio.sleep(BROKER_LOOK_S)
        if broker.running():
            continue
        event(_log, "hub.broker_died", level=logging.ERROR, log=" / ".join(broker.log()[-3:]))
        for attempt in range(1, BROKER_TRIES + 1):
            try:
                broker.start_anew()
                break
            except Unavailable as fault:
                event(_log, "hub.broker_not_started", level=logging.CRITICAL, attempt=attempt, reason=str(fault))
                if attempt == BROKER_TRIES:
                    ended.append(fault)
                    server.should_exit = True
                    return


async def _announce(server: uvicorn.Server, options: ServeOptions, url: str, served: Served) -> None:
    while not server.started:
        await asyncio.sleep(0.02)
    ports = {"broker_port": served.broker_port, "repository_port": served.repository_port}
    if served.metrics is not None:
        ports["metrics_port"] = served.metrics.getsockname()[1]
    print(json.dumps({"url": url, **ports}), flush=True)
    print(f"console: {url}", file=sys.stderr)
    if options.open_browser:
        import webbrowser

        await asyncio.to_thread(webbrowser.open, url)


@contextlib.contextmanager
def _listen(port: int) -> Iterator[socket.socket]:
    """The console's listening socket, on the loopback."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((LOOPBACK, port))
        except OSError as fault:
            raise Unavailable(
                f"port {port}: {fault.strerror}, so the console cannot listen on {LOOPBACK}; stop what uses it, or"
                " choose another with --port (0 takes any free one)"
            ) from fault
        listening.listen(64)
        yield listening


def _lock_down() -> None:
    """No core dumps, and no other process of the same user may read this one's memory (rule 4)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    forbid_dumping()
