"""What `lfr config check` finds beyond the file's own rules: pins of the board, certificates, names on the network.

Each check returns problems as one line a key, with the remedy. The network is asked last and only by `names`.
"""

from __future__ import annotations

import socket
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from device.config.model import DeviceConfig, GpioConfig
    from device.edges.gpio.jetson_header import Board

WARN_BEFORE = timedelta(days=14)
ISSUE_AGAIN = "issue it again at the hub, and put certificate and key on this device together"


def pins(lines: GpioConfig, board: Board | None) -> list[str]:
    """Pins that no board has, or that `board` does not have, and inputs that it cannot read."""
    from device.config.model import INPUTS
    from device.edges.gpio.jetson_header import power_problems

    if lines.driver != "gpiozero":
        return []
    named: dict[str, str | None] = {f"lines.{name}": pin for name, pin in lines.pins.items()}
    found = list(power_problems(named))
    if board is not None:
        refused = {line.split(":")[0] for line in found}
        found += board.missing({use: pin for use, pin in named.items() if use not in refused})
        found += board.input_problems({f"lines.{name}": getattr(lines, name) for name in INPUTS})
    return found


def certificates(config: DeviceConfig, now: datetime) -> tuple[list[str], list[str]]:
    """Problems and warnings of `mqtt.ca`, `mqtt.cert` and `mqtt.key`; a file that is missing is left to check_files."""
    problems: list[str] = []
    warnings: list[str] = []
    authority = _certificate("mqtt.ca", config.mqtt.ca, problems)
    own = _certificate("mqtt.cert", config.mqtt.cert, problems)
    for key, one in (("mqtt.ca", authority), ("mqtt.cert", own)):
        if one is not None:
            _dates(key, one, now, problems, warnings)
    if own is not None:
        names = _names(own)
        if config.device not in names:
            problems.append(
                f"mqtt.cert: is of {', '.join(names) or 'nobody'}, and this device is {config.device} (`device`); "
                "use the certificate that was issued to it"
            )
        _key(config.mqtt.key, own, problems)
    if own is not None and authority is not None and not _issued_by(own, authority):
        problems.append("mqtt.cert: was not issued by the authority in mqtt.ca; take both from the same hub")
    return problems, warnings


def names(config: DeviceConfig) -> list[str]:
    """Hosts of the configuration that this machine cannot find an address for."""
    hosts = {"mqtt.host": config.mqtt.host}
    if config.trust.url is not None:
        hosts["trust.url"] = urlsplit(config.trust.url).hostname or ""
    for index, camera in enumerate(config.cameras):
        parts = urlsplit(camera.source)
        if parts.scheme in ("rtsp", "rtsps") and parts.hostname:
            hosts[f"cameras[{index}].source"] = parts.hostname
    found = (name_problem(key, host) for key, host in hosts.items())
    return [f"{problem} (--offline leaves this check out)" for problem in found if problem]


def name_problem(key: str, host: str) -> str:
    """Why this machine finds no address for a host, with the remedy; empty when it finds one."""
    from device.supervisor.conditions.symptoms import HEALTH, Health

    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as fault:
        how = "install avahi-daemon and libnss-mdns, or " if host.endswith(".local") else ""
        why = getattr(fault, "strerror", None) or fault
        return f"{key}: no address is known for {host} ({why}); {how}{HEALTH[Health.BROKER_NAME].remedy}"
    return ""


def _certificate(key: str, path: Path, problems: list[str]) -> Certificate | None:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError:
        return None
    except ValueError:
        problems.append(f"{key}: {path} holds no certificate (PEM); {ISSUE_AGAIN}")
        return None
    if len(found) != 1:
        problems.append(f"{key}: {path} holds {len(found)} certificates where one belongs; {ISSUE_AGAIN}")
        return None
    return found[0]


def _dates(key: str, one: Certificate, now: datetime, problems: list[str], warnings: list[str]) -> None:
    begins, ends = one.not_valid_before_utc, one.not_valid_after_utc
    if now < begins:
        problems.append(f"{key}: is valid from {begins:%Y-%m-%d %H:%M} UTC on; check this machine's clock")
    elif now > ends:
        problems.append(f"{key}: expired on {ends:%Y-%m-%d %H:%M} UTC; {ISSUE_AGAIN}")
    elif now > ends - WARN_BEFORE:
        warnings.append(f"{key}: expires on {ends:%Y-%m-%d %H:%M} UTC; {ISSUE_AGAIN} before that")


def _names(own: Certificate) -> list[str]:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    found = [str(one.value) for one in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        others = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return found
    return found + others.get_values_for_type(x509.DNSName)


def _key(path: Path, own: Certificate, problems: list[str]) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError:
        return
    except TypeError:
        problems.append(f"mqtt.key: {path} needs a password; store it without one, readable by the service alone")
        return
    except (ValueError, UnsupportedAlgorithm):
        problems.append(f"mqtt.key: {path} holds no private key (PEM); {ISSUE_AGAIN}")
        return
    if key.public_key() != own.public_key():
        problems.append(f"mqtt.key: is not the key of the certificate in mqtt.cert; {ISSUE_AGAIN}")


def _issued_by(own: Certificate, authority: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        own.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
