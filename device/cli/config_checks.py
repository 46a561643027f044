"""What `lfr config check` finds beyond the file's own rules: pins of the board, certificates, names on the network.

Certificates are those that the device uses: what the hub renewed counts, where it has (device/sync/renewal.py).
Each check returns problems, one a key, with the remedy of the table of symptoms. The network is asked last and only by
`names`.
"""

from __future__ import annotations

import socket
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from device.domain.limits import CERTIFICATE_WARNING
from device.domain.symptoms.names import Header, Site
from device.domain.symptoms.row import Remedy
from device.domain.symptoms.table import remedy
from device.edges.host.owner_rights import read_regular, rights_of

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from device.config.model import DeviceConfig, GpioConfig
    from device.edges.gpio.jetson_header import Board
    from device.sync.source_https import Certificates


@dataclass(frozen=True, slots=True)
class Problem:
    """key: of the configuration;  found: what was found there, and the rule;  remedy: from the table of symptoms"""

    key: str
    found: str
    remedy: Remedy

    @property
    def text(self) -> str:
        """Key and finding, as `lfr doctor` prints them beside the remedy."""
        return f"{self.key}: {self.found}"

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}"


def pins(lines: GpioConfig, board: Board | None) -> list[Problem]:
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
    parts = (line.partition(": ") for line in found)
    return [Problem(key, text, remedy(Header.PIN)) for key, _, text in parts]


def certificates(config: DeviceConfig, now: datetime) -> tuple[list[Problem], list[Problem]]:
    """Problems and warnings of the certificates in use and of `mqtt.key`; a missing file is left to check_files."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    used = _in_use(config)
    ca, cert = (config.mqtt.ca, config.mqtt.cert) if used is None else (used.ca, used.cert)
    named_ca, named_own = _named("mqtt.ca", config.mqtt.ca, ca), _named("mqtt.cert", config.mqtt.cert, cert)
    with rights_of(config.state_dir) if (ca, cert) != (config.mqtt.ca, config.mqtt.cert) else nullcontext():
        authority, own = _certificate(named_ca, ca, problems), _certificate(named_own, cert, problems)
    if used is None:
        warnings.append(Problem("mqtt.cert", f"{config.state_dir} cannot be read", remedy(Site.CERTIFICATES_UNREAD)))
    for key, one in ((named_ca, authority), (named_own, own)):
        if one is not None and used is not None:
            _dates(key, one, now, problems, warnings)
    if own is not None:
        names = _names(own)
        if config.device not in names:
            found = f"is of {', '.join(names) or 'nobody'}, and this device is {config.device} (`device`)"
            problems.append(Problem(named_own, found, remedy(Site.CERTIFICATE_OF_ANOTHER_DEVICE)))
        _key(config.mqtt.key, own, problems)
    if own is not None and authority is not None and not _issued_by(own, authority):
        found = f"was not issued by the authority in {named_ca}"
        problems.append(Problem(named_own, found, remedy(Site.CERTIFICATE_OF_ANOTHER_HUB)))
    return problems, warnings


def _in_use(config: DeviceConfig) -> Certificates | None:
    """The files that the device uses; None where this user may not look for renewed ones."""
    import_module("cryptography.x509")  # with the owner's rights root's own files cannot be read
    from device.sync.renewal import CA, FOLDER, OWN, RenewedCertificates
    from device.sync.source_https import Certificates

    configured = Certificates(ca=config.mqtt.ca, cert=config.mqtt.cert, key=config.mqtt.key)
    folder = config.state_dir / FOLDER
    with rights_of(config.state_dir):
        if any(_refused(folder / name) for name in (CA, OWN)):
            return None
        return RenewedCertificates(config.state_dir, configured, None).files()


def _refused(file: Path) -> bool:
    """Whether this user may not read a file, or not see whether there is one."""
    try:
        read_regular(file)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _named(key: str, configured: Path, used: Path) -> str:
    """A file in messages: its key, or where its renewed successor lies."""
    return key if used == configured else f"{key}, renewed in {used}"


def names(config: DeviceConfig) -> list[Problem]:
    """Hosts of the configuration that this machine cannot find an address for."""
    hosts = {"mqtt.host": config.mqtt.host}
    if config.trust.url is not None:
        hosts["trust.url"] = urlsplit(config.trust.url).hostname or ""
    for index, camera in enumerate(config.cameras):
        parts = urlsplit(camera.source)
        if parts.scheme in ("rtsp", "rtsps") and parts.hostname:
            hosts[f"cameras[{index}].source"] = parts.hostname
    found = (name_problem(key, host) for key, host in hosts.items())
    return [problem for problem in found if problem is not None]


def name_problem(key: str, host: str) -> Problem | None:
    """Why this machine finds no address for a host; None when it finds one."""
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as fault:
        why = getattr(fault, "strerror", None) or fault
        known = Site.BROKER_NAME_LOCAL if host.endswith(".local") else Site.BROKER_NAME
        return Problem(key, f"no address is known for {host} ({why})", remedy(known))
    return None


def _certificate(key: str, path: Path, problems: list[Problem]) -> Certificate | None:
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError:
        return None
    except ValueError:
        problems.append(Problem(key, f"{path} holds no certificate (PEM)", remedy(Site.CERTIFICATE_UNREADABLE)))
        return None
    if len(found) != 1:
        text = f"{path} holds {len(found)} certificates where one belongs"
        problems.append(Problem(key, text, remedy(Site.CERTIFICATE_UNREADABLE)))
        return None
    return found[0]


def _dates(key: str, one: Certificate, now: datetime, problems: list[Problem], warnings: list[Problem]) -> None:
    begins, ends = one.not_valid_before_utc, one.not_valid_after_utc
    if now < begins:
        text = f"is valid from {begins:%Y-%m-%d %H:%M} UTC on"
        problems.append(Problem(key, text, remedy(Site.CERTIFICATE_NOT_YET_VALID)))
    elif now > ends:
        problems.append(Problem(key, f"expired on {ends:%Y-%m-%d %H:%M} UTC", remedy(Site.CERTIFICATE_EXPIRED)))
    elif now > ends - CERTIFICATE_WARNING:
        warnings.append(Problem(key, f"expires on {ends:%Y-%m-%d %H:%M} UTC", remedy(Site.CERTIFICATE_ENDS_SOON)))


def _names(own: Certificate) -> list[str]:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    found = [str(one.value) for one in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        others = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return found
    return found + others.get_values_for_type(x509.DNSName)


def _key(path: Path, own: Certificate, problems: list[Problem]) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError:
        return
    except TypeError:
        problems.append(Problem("mqtt.key", f"{path} needs a password", remedy(Site.KEY_WITH_PASSWORD)))
        return
    except (ValueError, UnsupportedAlgorithm):
        found = f"{path} holds no private key (PEM)"
        problems.append(Problem("mqtt.key", found, remedy(Site.CERTIFICATE_UNREADABLE)))
        return
    if key.public_key() != own.public_key():
        found = "is not the key of the certificate in mqtt.cert"
        problems.append(Problem("mqtt.key", found, remedy(Site.KEY_OF_ANOTHER_CERTIFICATE)))


def _issued_by(own: Certificate, authority: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        own.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
