"""What only the board itself can do, at each boot until it is done: `python -m tools.flash.first_boot`, as root.

1. The board is the one that the card was made for: its serial number, where it states one, is that of flash.json.
2. Packages that the kit brought are installed by dpkg, without a network.
3. The private key is made here and never leaves; the certificate request carries the device's name.
4. The environment is byte-compiled, since nothing else may write to it later.
5. The journal's explanations are compiled (`journalctl --catalog`); without them the lines are there all the same.

Each step looks first, so a power cut at any point is made good at the next boot. It needs no clock and no network.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from device import logs
from device.config.installed import TOP
from device.errors import ConfigError, LfrError, Unavailable
from device.logs import event
from device.update import slots
from device.update.slots import seal
from device.update.unpack import COMPILED, compile_slot
from tools.flash.root import Refusal, Root

_log = logging.getLogger(__name__)
FACTS = "/etc/lfr/flash.json"
KEY, REQUEST, CERTIFICATE = "/etc/lfr/pki/device.key", "/etc/lfr/pki/device.csr", "/etc/lfr/pki/device.pem"
SERIAL = "/proc/device-tree/serial-number"
PACKAGES = "/var/lib/lfr-flash/packages"
CURRENT = f"{TOP}/{slots.CURRENT}"
WITHIN_S = 600
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Of dpkg and what packages' scripts call; a unit's is shorter on some releases."""


def main(root: Root | None = None) -> int:
    """Every step, in order; 0, or the exit status of the first that failed."""
    logs.configure(verbose=False)
    here = Root(Path("/")) if root is None else root
    try:
        facts = flash_facts(here)
        same_board(here, facts["serial"])
        install_packages(here)
        make_identity(here, facts["device"])
        compile_environment(here)
        compile_catalog()
    except LfrError as fault:
        _log.error("first-boot failed: %s", fault)
        return fault.exit_status
    return 0


def flash_facts(root: Root) -> dict[str, str]:
    """What `lfr flash apply` wrote. Raises ConfigError."""
    try:
        facts = json.loads(root.read(FACTS))
        return {name: str(facts[name]) for name in ("serial", "device", "board", "site", "version", "kit", "made")}
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ConfigError(FACTS, (f"cannot be read ({fault}); flash this card again",)) from fault


def same_board(root: Root, serial: str) -> None:
    """Rule 1. Refusal when this is another board; a machine without a device tree states nothing."""
    try:
        stated = root.read(SERIAL).rstrip(b"\0").decode("ascii", "replace").strip()
    except OSError:
        event(_log, "board", serial="not stated by this machine", flashed_for=serial)
        return
    if stated != serial:
        raise Refusal("serial", f"this board is {stated}, the card was flashed for {serial}: put it into that board")
    event(_log, "board", serial=stated)


def install_packages(root: Root) -> None:
    """Rule 2: all in one call, so that dpkg orders them; one that the system has as new or newer is left alone."""
    folder = root.resolve(PACKAGES)
    files = sorted(folder.glob("*.deb")) if folder.is_dir() else []
    missing = [file for file in files if not _installed(file)]
    if not missing:
        return
    command = ["dpkg", "--install", "--force-confold", *(str(file) for file in missing)]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": PATH}
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        timeout=WITHIN_S,
        check=False,
    )
    if done.returncode != 0:
        raise Unavailable(f"dpkg could not install the kit's packages: {done.stderr.strip()[-800:]}")
    event(_log, "packages", installed=len(missing))


def _installed(file: Path) -> bool:
    """Whether this version of a package, or a newer one, is installed."""
    asked = _output("dpkg-deb", "--field", str(file), "Package", "Version", "Architecture")
    fields = dict(line.split(": ", 1) for line in asked.splitlines() if ": " in line)
    name = fields.get("Package", "")
    stated = _output("dpkg-query", "--show", "--showformat=${Status}|${Version}\n", name)
    there = [row.partition("|")[2] for row in stated.splitlines() if row.startswith("install ok installed|")]
    return any(_not_older(version, fields.get("Version", "")) for version in there)


def _not_older(there: str, brought: str) -> bool:
    command = ["dpkg", "--compare-versions", there, "ge", brought]
    return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode == 0


def _output(*command: str) -> str:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout


def make_identity(root: Root, device: str) -> None:
    """Rule 3: a P-256 key (root:lfr, 0640) and its request (PKCS #10, RFC 2986). What is there is kept."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    if root.exists(KEY):
        loaded = serialization.load_pem_private_key(root.read(KEY), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ConfigError(KEY, ("is no elliptic-curve key; delete it and start lfr-first-boot again",))
        key = loaded
    else:
        key = ec.generate_private_key(ec.SECP256R1())
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        root.write(KEY, text, mode=0o640, group="lfr")
        event(_log, "identity", made="key")
    if not root.exists(REQUEST):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        root.write(REQUEST, request.public_bytes(serialization.Encoding.PEM), mode=0o644)
        event(_log, "identity", made="request", file=REQUEST, next="lfr flash request STICK, then lfr hub sign")


def compile_environment(root: Root) -> None:
    """Rule 4; the slot is then read-only, as one that an update brings."""
    if root.exists(f"{CURRENT}/{COMPILED}"):
        return
    place = root.resolve(CURRENT)
    with root.writing(place):
        compile_slot(place)
        seal(place)


def compile_catalog() -> None:
    """Rule 5."""
    with contextlib.suppress(OSError):  # no journalctl
        subprocess.run(["journalctl", "--update-catalog"], stdin=subprocess.DEVNULL, capture_output=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
