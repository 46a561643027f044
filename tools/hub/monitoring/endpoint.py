"""Where Prometheus asks: `http://127.0.0.1:PORT/metrics`, on the loopback alone, because it has no login.

It runs on the console's loop: a hub that hangs does not answer, and Prometheus then shows it as down.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from device.errors import Unavailable, UsageError
from tools.hub.console.console import Console
from tools.hub.storage.folder import ConsoleSettings

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

LOOPBACK = "127.0.0.1"


def place(text: str) -> tuple[str, int]:
    """Address and port of `ADDRESS:PORT`. UsageError when it is none, or not an IPv4 address of the loopback."""
    host, _, port = text.rpartition(":")
    host = LOOPBACK if host == "localhost" else host
    try:
        loopback = ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(
            f"--metrics {text!r}: {LOOPBACK}:PORT (0 takes any free one); it has no login, so it listens on the"
            " loopback alone: run Prometheus, or its agent, on this machine"
        )
    return host, int(port)


def listen(text: str) -> socket.socket:
    """The listening socket of `place`. Unavailable: the port is in use."""
    address = place(text)
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(16)
    except OSError as fault:
        listening.close()
        raise Unavailable(
            f"port {address[1]}: {fault.strerror}, so metrics cannot be shown there; choose another with --metrics"
        ) from fault
    return listening


def metrics_of(
    console: Console, settings: ConsoleSettings, listening: socket.socket | None
) -> list[Coroutine[Any, Any, None]]:
    """What answers Prometheus; nothing when it was not asked for."""
    if listening is None:
        return []
    from tools.hub.monitoring.exporter import HubCollector

    return [show(HubCollector(console, settings.site, settings.mode.value), listening)]


async def show(collector: Collector, listening: socket.socket) -> None:
    """Answer until it is cancelled. Signals are for the console's server, the first one on this loop."""
    import uvicorn
    from prometheus_client import CollectorRegistry, make_asgi_app
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    registry = CollectorRegistry()
    registry.register(collector)
    host, _ = listening.getsockname()
    # A page of somewhere else cannot read this under a name of its own (DNS rebinding).
    page: Any = TrustedHostMiddleware(make_asgi_app(registry), allowed_hosts=[host, LOOPBACK, "localhost"])
    config = uvicorn.Config(
        page, log_config=None, access_log=False, lifespan="off", server_header=False, limit_concurrency=16
    )
    await Server(config).serve(sockets=[listening])
