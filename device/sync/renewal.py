"""This device's certificate, and the site's authority, as the hub renewed them: fetched over the old connection.

1. A renewed certificate has this device's key and name, is issued by the renewed authority, and ends later than the one
   before. A renewed authority has the key and the name of the one before. Each comes alone in its PEM. Anything else is
   refused and changes nothing, and what is kept is the certificate that was checked, encoded here.
2. It is kept in the state folder: the configuration's folder is not this program's to write. Of both, the one that ends
   last counts; one that somebody puts into the configuration's place with another key counts at once.
3. No secret is sent: the private key stays where it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from device.domain.time import WallTime, wall
from device.durable import make_folder, replace_file
from device.errors import BadData, LfrError, Unavailable
from device.logs import event
from device.sync.source_https import Certificates

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

FOLDER, CA, OWN = "certificates", "ca.pem", "own.pem"
MOST_BYTES = 65_536
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ends:
    """When the certificates that count end; None for one that cannot be read."""

    own: WallTime | None = None
    authority: WallTime | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The result of one request to the hub.

    problem  why it failed; empty when it did not
    refused  whether the hub answered, and its answer was refused or not stored: asking again will not mend that
    """

    renewed: bool = False
    problem: str = ""
    refused: bool = False


class RenewedCertificates:
    """Chooses the files, and renews them; `look` is called on the sync thread, `files` on any."""

    def __init__(
        self, state_dir: Path, configured: Certificates, read: Callable[[str], Iterator[bytes]] | None
    ) -> None:
        """read: fetches a file of the hub's by its path; None without a hub that is asked (a stick alone)."""
        self._folder = state_dir / FOLDER
        self._configured = configured
        self._read = read

    def files(self) -> Certificates:
        """The files that count now (rule 2)."""
        configured = self._configured
        ca = _later(configured.ca, self._folder / CA)
        return Certificates(ca=ca, cert=_later(configured.cert, self._folder / OWN), key=configured.key)

    def ends(self) -> Ends:
        """Of the files that count now."""
        files = self.files()
        return Ends(own=_end(files.cert), authority=_end(files.ca))

    def look(self, now: WallTime) -> bool:
        """Ask the hub; whether something was renewed. Raises Unavailable when it cannot be asked, BadData (rule 1)."""
        if self._read is None:
            return False
        now_used = self.files()
        ca, own = _loaded(self._fetch(CA)), _loaded(self._fetch(OWN))
        old_ca, old_own = _loaded(now_used.ca.read_bytes()), _loaded(now_used.cert.read_bytes())
        if ca == old_ca and own == old_own:
            return False
        _require_successor(ca, old_ca, ca, "authority")
        _require_successor(own, old_own, ca, "certificate")
        if not own.not_valid_before_utc <= now < own.not_valid_after_utc:
            raise BadData("the renewed certificate has ended or is not valid yet, or the clock here is wrong")
        make_folder(self._folder)
        replace_file(self._folder / CA, _encoded(ca))
        replace_file(self._folder / OWN, _encoded(own))
        event(_log, "certificates.renewed", until=own.not_valid_after_utc.isoformat(timespec="seconds"))
        return True

    def _fetch(self, name: str) -> bytes:
        assert self._read is not None
        content = b""
        for piece in self._read(f"{FOLDER}/{name}"):
            content += piece
            if len(content) > MOST_BYTES:
                raise BadData(f"the hub's {name} is larger than {MOST_BYTES} bytes")
        return content


def _require_successor(new: Certificate, old: Certificate, authority: Certificate, what: str) -> None:
    """Rule 1."""
    from cryptography.exceptions import InvalidSignature

    if new.public_key() != old.public_key() or new.subject != old.subject:
        raise BadData(f"the renewed {what} is of another key or name")
    if new.not_valid_after_utc < old.not_valid_after_utc:
        raise BadData(f"the renewed {what} ends earlier than the one before")
    try:
        new.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature) as fault:
        raise BadData(f"the renewed {what} was not issued by the site's authority") from fault


def _later(configured: Path, renewed: Path) -> Path:
    """Of two files of one key the one that ends later, the renewed of equals; the configured one if it has no equal."""
    try:
        if renewed.is_symlink() or not renewed.is_file():
            return configured
        ours, theirs = _loaded(configured.read_bytes()), _loaded(renewed.read_bytes())
    except (OSError, BadData):
        return configured
    same = ours.public_key() == theirs.public_key() and ours.subject == theirs.subject
    return renewed if same and theirs.not_valid_after_utc >= ours.not_valid_after_utc else configured


def _loaded(pem: bytes) -> Certificate:
    """The one certificate of a PEM: a second one would be trusted by whoever reads the file, and nobody checked it."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as fault:
        raise BadData(f"no certificate: {fault}") from fault
    if len(found) != 1:
        raise BadData(f"{len(found)} certificates where one belongs")
    return found[0]


def _end(file: Path) -> WallTime | None:
    try:
        return wall(_loaded(file.read_bytes()).not_valid_after_utc)
    except (OSError, BadData):
        return None


def _encoded(certificate: Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def looked(renewed: RenewedCertificates, now: WallTime) -> Asked:
    """One look whose failure is logged and returned: the next one may work."""
    try:
        return Asked(renewed=renewed.look(now))
    except (LfrError, OSError) as fault:
        event(_log, "certificates.not_renewed", level=logging.WARNING, reason=str(fault))
        return Asked(problem=str(fault), refused=not isinstance(fault, Unavailable))
