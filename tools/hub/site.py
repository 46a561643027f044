"""The hub's folder as a whole: made, completed, and without a device that was revoked.

1. Nothing that exists is replaced by `init_hub`; it may be run again to add devices.
2. A revoked device's certificate is on the revocation list before its name leaves the site.
"""

from __future__ import annotations

import socket
from pathlib import Path

from device.domain.finding import Mode
from device.errors import ConfigError, Unavailable, UsageError
from device.hub_api.topics import device_id, level
from tools.hub.broker.configuration import write_broker_files
from tools.hub.pki.certificate_authority import open_authority, revoke_certificate
from tools.hub.pki.renewal import server_hosts
from tools.hub.storage.files import write_file
from tools.hub.storage.folder import (
    BROKER_PORT,
    CONSOLE_PORT,
    NEW_TLS,
    NOTICE,
    PEOPLE,
    REPOSITORY_PORT,
    ConsoleSettings,
    HubFolder,
)

LOOPBACK = "127.0.0.1"


def init_hub(
    root: Path,
    *,
    site: str,
    devices: tuple[str, ...],
    mode: Mode | None,
    bind: str | None = None,
    hosts: tuple[str, ...] = (),
) -> list[str]:
    """Make a hub folder, or add devices to one; returns what was made, one line each. Nothing existing is replaced.

    bind   where broker and repository listen (default: the loopback)
    hosts  names and addresses that devices dial, for the server's certificate; this host's name and `bind` are added
    What was asked for and cannot be changed in a folder that exists is a line that says so, with what changes it.
    Without `mode` a new folder is a demonstration's and a known one stays what it is; another mode is refused.
    """
    import yaml

    level(site, "site")
    hub = HubFolder(root)
    for device in devices:
        if device_id(device) in hub.revoked():
            raise UsageError(f"device {device!r} was revoked; give the new device another name")
    made: list[str] = []
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = hub.settings() if hub.console_file.exists() else None
        if known is not None and known.site != site:
            raise ConfigError(str(hub.console_file), (f"site: this folder belongs to {known.site!r}, not {site!r}",))
        if known is not None and mode not in (None, known.mode):
            problem = (
                f"mode: this folder's is {known.mode.value} and stays so; `lfr hub init` another folder for another"
            )
            raise ConfigError(str(hub.console_file), (problem,))
        everyone = tuple(dict.fromkeys((*(known.devices if known else ()), *devices)))
        made += _unchanged(hub, known, bind, hosts)
        _issue_certificates(root, site, everyone, (*hosts, bind or LOOPBACK), made)
        hub.references.mkdir(mode=0o700, exist_ok=True)
        content = {
            "site": site,
            "mode": (mode or Mode.DEMO).value,
            "bind": bind or LOOPBACK,
            "broker_port": BROKER_PORT,
            "console_port": CONSOLE_PORT,
            "repository_port": REPOSITORY_PORT,
            "tls": NEW_TLS,
        }
        raw = yaml.safe_load(hub.console_file.read_text(encoding="utf-8")) if known else {**content, "notice": NOTICE}
        raw = {"entries": {}, **raw, "devices": list(everyone)}
        write_file(hub.console_file, yaml.safe_dump(raw, sort_keys=False, allow_unicode=True).encode())
        write_broker_files(hub, hub.settings(), hub.settings().broker_port)
    except OSError as fault:
        place = root if fault.filename is None else fault.filename
        raise Unavailable(
            f"the hub's folder {root} cannot be made or completed: {place}: {fault.strerror or fault};"
            " name a folder that this user may write to, on a disk that has room"
        ) from fault
    return [*made, f"console.yaml, acl, mosquitto.conf: site {site}, devices {', '.join(everyone) or 'none yet'}"]


def _unchanged(hub: HubFolder, known: ConsoleSettings | None, bind: str | None, hosts: tuple[str, ...]) -> list[str]:
    """What a folder that exists keeps although something else was asked for."""
    said = []
    if known is not None and bind not in (None, known.bind):
        said.append(f"bind stays {known.bind}: edit `bind` in {hub.console_file} and start the hub anew")
    named = server_hosts(hub)
    lacking = [host for host in hosts if named and host not in named]
    if lacking:
        options = " ".join(f"--host {host}" for host in lacking)
        said.append(f"server.pem stays for {', '.join(named)}: `lfr hub renew {hub.root} {options}`")
    return said


def _issue_certificates(
    root: Path, site: str, devices: tuple[str, ...], hosts: tuple[str, ...], made: list[str]
) -> None:
    authority = open_authority(root, site)
    if not (root / "crl.pem").exists():
        revoke_certificate(root, site, None)
    if not (root / "server.pem").exists():
        everyone = dict.fromkeys(("localhost", LOOPBACK, "::1", socket.gethostname(), *hosts))
        named = tuple(host for host in everyone if host not in ("0.0.0.0", "::"))
        authority.issue_server(root, "server", named)
        made.append(f"ca.pem, server.pem: for {', '.join(named)}")
        if "0.0.0.0" in hosts or "::" in hosts:
            made.append("server.pem: devices must dial one of these names; another one needs --host NAME")
    for folder, name in (*((root, p) for p in PEOPLE), *((root / "devices", d) for d in devices)):
        if not (folder / f"{name}.pem").exists():
            authority.issue_client(folder, name)
            made.append(f"{(folder / name).relative_to(root)}.pem, .key: certificate of {name}")


def revoke_device(hub: HubFolder, device: str) -> None:
    """Put a device's certificates on the revocation list and take it off the site; its name is not issued again."""
    import yaml

    settings = hub.settings()
    revoke_certificate(hub.root, settings.site, hub.root / "devices" / f"{device}.pem")
    for suffix in (".pem", ".key"):
        (hub.root / "devices" / f"{device}{suffix}").unlink(missing_ok=True)
    raw = yaml.safe_load(hub.console_file.read_text(encoding="utf-8"))
    raw["devices"] = [name for name in raw.get("devices") or () if name != device]
    write_file(hub.console_file, yaml.safe_dump(raw, sort_keys=False, allow_unicode=True).encode())
    write_broker_files(hub, hub.settings(), settings.broker_port)
