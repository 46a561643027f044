"""The configuration of a bridge: a mosquitto of its own that carries counts and states of a van to a cluster.

1. It reaches the van's broker with the certificate `bridge`, whose rights are BRIDGED: the van's broker delivers no
   alert, no probe and no receipt to it, and accepts nothing from it, whatever this file says or the cluster sends.
   (A bridge inside the van's own broker would bypass the access list, in both directions.)
2. It writes to the cluster only (`out`), with QoS 1, over TLS with a client certificate, as MQTT 5.
3. While the cluster is away it keeps up to QUEUED messages in memory; it writes nothing to a disk.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from device.errors import Unavailable, UsageError
from device.hub_api.topics import ROOT, level
from tools.hub.broker.configuration import BRIDGED
from tools.hub.pki.certificate_authority import open_authority
from tools.hub.storage.files import write_file
from tools.hub.storage.folder import ConsoleSettings, HubFolder

FOLDER = "bridge"
FILE = "mosquitto.conf"
QUEUED = 5000
UNSAFE = re.compile(r"[\x00-\x1f\x7f]|^\s|\s$")
"""mosquitto.conf(5): a value ends with its line, and white space around it is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where the bridge leads. prefix: levels before the topics there, or empty. ca, cert, key: files in PEM."""

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path
    prefix: str = ""


def write_bridge(hub: HubFolder, cluster: Cluster, *, van_host: str | None = None) -> Path:
    """Write `bridge/mosquitto.conf` in the hub's folder, and the bridge's certificate if there is none; the file.

    van_host: how the bridge reaches the van's broker (default: its own `bind`, the loopback where that is any address).
    Raises UsageError for a prefix or path that cannot stand in it, Unavailable for a file that is not there.
    """
    settings = hub.settings()
    for part in filter(None, cluster.prefix.split("/")):
        level(part, "prefix")
    for file in (cluster.ca, cluster.cert, cluster.key):
        if not file.is_file():
            raise Unavailable(
                f"{file} is not there: the cluster's authority issues ca, certificate and key to this van"
            )
        if UNSAFE.search(str(file.absolute())):
            raise UsageError(f"{str(file)!r}: a path with white space at an end or a control character")
    if not (hub.root / "bridge.pem").exists():
        open_authority(hub.root, settings.site).issue_client(hub.root, FOLDER)
    folder = hub.root.absolute() / FOLDER
    text = configuration(hub.root.absolute(), settings, cluster, van_host or _reached(settings.bind))
    write_file(folder / FILE, text.encode())
    return folder / FILE


def configuration(root: Path, settings: ConsoleSettings, cluster: Cluster, van_host: str) -> str:
    """The text of the file."""
    base = f"{ROOT}/{settings.site}"
    prefix = "/".join(filter(None, cluster.prefix.split("/")))
    there = f"{prefix}/{base}/" if prefix else f"{base}/"
    lines = [
        "# Made by `lfr hub bridge`. Counts, states and audit heads of this van, to the cluster; nothing comes back.",
        f"listener 0 {root / FOLDER / 'local.sock'}",  # it must have one, and nobody is let in
        "allow_anonymous false",
        "persistence false",
        f"max_queued_messages {QUEUED}",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        *(["user root"] if os.geteuid() == 0 else []),
        "",
        "connection van",
        *_connection(van_host, settings.broker_port, client=FOLDER, clean=True),
        *_tls(root / "ca.pem", root / "bridge.pem", root / "bridge.key", settings.tls),
        *(f"topic {branch} in 1 {base}/ {base}/" for branch in BRIDGED),
        "",
        "connection cluster",
        *_connection(cluster.host, cluster.port, client=f"lfr-{settings.site}", clean=False),
        *_tls(cluster.ca.absolute(), cluster.cert.absolute(), cluster.key.absolute(), "1.2"),
        *(f"topic {branch} out 1 {base}/ {there}" for branch in BRIDGED),
        "",
    ]
    return "\n".join(lines)


def _connection(host: str, port: int, *, client: str, clean: bool) -> tuple[str, ...]:
    return (
        f"address {host}:{port}",
        "bridge_protocol_version mqttv50",
        f"remote_clientid {client}",
        f"cleansession {'true' if clean else 'false'}",
        "try_private false",  # mosquitto's own way to mark a bridge; other brokers may refuse it
        "notifications false",
        "restart_timeout 1 30",
        "keepalive_interval 20",
    )


def _tls(ca: Path, cert: Path, key: Path, version: str) -> tuple[str, ...]:
    return (
        f"bridge_cafile {ca}",
        f"bridge_certfile {cert}",
        f"bridge_keyfile {key}",
        f"bridge_tls_version tlsv{version}",  # for a bridge this or later, as for a listener
    )


def _reached(bind: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)
