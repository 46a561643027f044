"""Access control on the broker: mosquitto's configuration and access list, made from the site's names.

1. A device writes the topics of the contract in its own branch, and no other; its certificate's common name is its
   user. A certificate that the list of devices does not name has no rights at all.
2. A device reads the hub's state, judgements of its own alerts, confirmations of its own receipts and commands to
   itself, and nothing of other devices.
3. Probes and views (ciphertext), alerts and volunteers are for the hub. The auditor reads states, counts and receipts;
   a bridge reads no receipts, since they name alerts; the regulator reads counts and heads of the audit logs.
4. Nothing is persisted: an alert must not reach a disk through the broker. Devices keep what was not delivered.
"""

from __future__ import annotations

import os
from pathlib import Path

from device.hub_api.topics import DEVICE_BRANCHES, ROOT
from tools.hub.storage.files import write_file
from tools.hub.storage.folder import NEW_TLS, ConsoleSettings, HubFolder

AUDITOR_READS = (
    "+/status",
    "+/birth",
    "+/state",
    "+/health",
    "+/camera/+/status",
    "+/watchlist/state",
    "+/stats",
    "+/erasure",
    "+/audit",
    "hub/state",
)
BRIDGED = ("+/status", "+/state", "+/health", "+/camera/+/status", "+/watchlist/state", "+/stats", "+/audit")
"""What may leave the van: states (the hub's, too), counts, audit heads."""
REGULATOR_READS = ("+/stats", "+/audit")
MESSAGE_LIMIT_BYTES = 1_000_000  # a probe is some 20 kB; device.wire limits a link message to the same


def access_list(site: str, devices: tuple[str, ...]) -> str:
    """The text of mosquitto's acl file (mosquitto.conf(5), acl_file)."""
    base = f"{ROOT}/{site}"
    lines = ["# Made by `lfr hub init`; edit the site's list of devices and run it again instead of editing this."]
    lines += ["", "user hub", f"topic read {base}/#", f"topic write {base}/hub/#", f"topic write {base}/+/cmd/+"]
    lines += [
        "",
        "# Read what the hub reads and write nothing: test rigs, and the demonstration's witness. A certificate is one",
    ]
    lines += ["# session (use_username_as_clientid), so two programs need two."]
    for reader in ("listener", "witness", "monitor"):
        lines += [f"user {reader}", f"topic deny {base}/{reader}/#", f"topic read {base}/#"]
    lines += ["", "# Press and inspectors: states, counts and receipts; no alert, no probe."]
    lines += ["user auditor", f"topic deny {base}/auditor/#"]
    lines += [f"topic read {base}/{branch}" for branch in AUDITOR_READS]
    lines += ["", "# What `lfr hub bridge` carries to a cluster.", "user bridge", f"topic deny {base}/bridge/#"]
    lines += [f"topic read {base}/{branch}" for branch in BRIDGED]
    lines += [
        "",
        "# A regulator: counts and heads of the audit logs.",
        "user regulator",
        f"topic deny {base}/regulator/#",
    ]
    lines += [f"topic read {base}/{branch}" for branch in REGULATOR_READS]
    for device in devices:
        lines += ["", f"user {device}", f"topic read {base}/hub/state", f"topic read {base}/{device}/cmd/+"]
        lines += [f"topic read {base}/hub/{device}/alert/+/+", f"topic read {base}/hub/{device}/received"]
        lines += [f"topic write {base}/{device}/{branch}" for branch in DEVICE_BRANCHES]
    lines.append("")
    return "\n".join(lines)


def configuration(folder: Path, *, bind: str, port: int, root: bool, tls: str = NEW_TLS) -> str:
    """The text of mosquitto.conf: TLS both ways, MQTT 5, nothing on disk, no payload in a log.

    `root`: whether root starts it. It then stays root: it would become `mosquitto`, which may not read this folder.
    """
    return "\n".join(
        (
            "# Made by `lfr hub init` and at each start of the hub.",
            f"listener {port} {bind}",
            "protocol mqtt",
            f"cafile {folder / 'ca.pem'}",
            f"certfile {folder / 'server.pem'}",
            f"keyfile {folder / 'server.key'}",
            *([f"crlfile {folder / 'crl.pem'}"] if (folder / "crl.pem").exists() else []),
            f"tls_version tlsv{tls}",  # this or later
            "require_certificate true",
            "use_identity_as_username true",
            "use_username_as_clientid true",  # nobody takes another certificate's session over
            "allow_anonymous false",
            f"acl_file {folder / 'acl'}",
            "persistence false",
            "max_inflight_messages 40",
            "max_queued_messages 1000",
            "persistent_client_expiration 1d",
            f"max_packet_size {MESSAGE_LIMIT_BYTES}",
            "set_tcp_nodelay true",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "connection_messages true",
            *(["user root"] if root else []),
            "",
        )
    )


def write_broker_files(
    hub: HubFolder, settings: ConsoleSettings, port: int, *, without: frozenset[str] = frozenset()
) -> Path:
    """Write `acl` and `mosquitto.conf` for this port; returns the latter. without: devices that get no rights now."""
    devices = tuple(device for device in settings.devices if device not in without)
    write_file(hub.root / "acl", access_list(settings.site, devices).encode(), synced=False)
    text = configuration(hub.root.absolute(), bind=settings.bind, port=port, root=os.geteuid() == 0, tls=settings.tls)
    file = hub.root / "mosquitto.conf"
    file.write_text(text)
    return file
