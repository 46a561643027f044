"""Certificates renewed before they end, the site's authority included; keys stay, so devices need no new secret.

1. A renewed certificate has the key, the name and the hosts of the one before, and a new time. The old one stays valid
   until its own end.
2. The authority is renewed under its own key and name: what it issued before verifies under the new certificate, and
   what it issues now under the old one. The revocation list follows it.
3. A certificate is renewed when it ends within WARN; the authority already when it would end before what it issues now.
4. One that is not valid yet was issued while this host's clock was ahead: it is renewed, too, the authority first.
5. What is written first is what others depend on: authority, revocation list, then the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from device.domain.time import WallTime, wall
from device.errors import Unavailable
from tools.hub.pki.certificate_authority import LEAF_DAYS, open_authority, renew_authority, revoke_certificate
from tools.hub.storage.folder import PEOPLE, HubFolder

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

WARN = timedelta(days=14)
AUTHORITY, SERVER = "ca", "server"


@dataclass(frozen=True, slots=True)
class Ending:
    """When one certificate of a hub's folder ends."""

    name: str
    file: Path
    ends: WallTime
    begins: WallTime

    def near(self, now: WallTime) -> bool:
        """Whether it ends within WARN, has ended, or is not valid yet (rule 4)."""
        return self.ends - now <= WARN or self.begins > now

    def words(self, now: WallTime) -> str:
        """For an operator."""
        left = self.ends - now
        if self.begins > now:
            return f"the certificate of {self.name} is not valid before {self.begins:%Y-%m-%d}: `lfr hub renew`"
        if left <= timedelta(0):
            return f"the certificate of {self.name} has ended ({self.ends:%Y-%m-%d}): `lfr hub renew`"
        return f"the certificate of {self.name} ends in {left.days} days ({self.ends:%Y-%m-%d}): `lfr hub renew`"


def endings(hub: HubFolder) -> list[Ending]:
    """Every certificate of the folder, the one that ends first at the head; one that cannot be read is Unavailable."""
    named = [(AUTHORITY, hub.root / "ca.pem"), (SERVER, hub.root / "server.pem")]
    named += [(person, hub.root / f"{person}.pem") for person in PEOPLE]
    named += [(file.stem, file) for file in sorted((hub.root / "devices").glob("*.pem"))]
    read = [(name, file, _read(file)) for name, file in named if file.exists()]
    found = [Ending(n, f, wall(c.not_valid_after_utc), wall(c.not_valid_before_utc)) for n, f, c in read]
    return sorted(found, key=lambda ending: ending.ends)


def warnings(hub: HubFolder, now: WallTime) -> list[str]:
    """What must be renewed within WARN, in words."""
    try:
        return [ending.words(now) for ending in endings(hub) if ending.near(now)]
    except Unavailable as fault:
        return [str(fault)]


def renew(hub: HubFolder, now: WallTime, *, hosts: tuple[str, ...] = (), every: bool = False) -> list[str]:
    """Renew what is due (rule 3), and the server's certificate when it lacks one of `hosts`; a line for each.

    every  renew all of them, due or not
    """
    site, done = hub.settings().site, []
    needed = now + timedelta(days=LEAF_DAYS) + WARN
    for ending in endings(hub):
        if ending.name == AUTHORITY and (every or ending.ends < needed or ending.begins > now):
            renew_authority(hub.root)
            revoke_certificate(hub.root, site, None)
            done.append("ca.pem, crl.pem: give ca.pem to devices that have none of the renewed ones yet")
    authority = open_authority(hub.root, site)
    for ending in endings(hub):
        certificate = _read(ending.file)
        named = hosts_of(certificate) if ending.name == SERVER else ()
        lacking = tuple(host for host in hosts if host not in named) if ending.name == SERVER else ()
        if ending.name != AUTHORITY and (every or ending.near(now) or lacking):
            authority.renew(ending.file, (*named, *lacking), server=ending.name == SERVER)
            says = f": for {', '.join((*named, *lacking))}" if named else ""
            done.append(f"{ending.file.relative_to(hub.root)}{says}")
    return done


def hosts_of(certificate: Certificate) -> tuple[str, ...]:
    """Names and addresses that a server's certificate is for."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names)


def server_hosts(hub: HubFolder) -> tuple[str, ...]:
    """Hosts of the server's certificate; none when there is none."""
    file = hub.root / "server.pem"
    return hosts_of(_read(file)) if file.exists() else ()


def _read(file: Path) -> Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as fault:
        raise Unavailable(f"{file} is no certificate that can be read: {fault}") from fault
