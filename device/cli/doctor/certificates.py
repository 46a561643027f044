"""The device's certificates: they end, and an ended one keeps it from its hub."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from device.cli.doctor.finding import Finding
from device.config.model import DeviceConfig

WARN = timedelta(days=14)
REMEDY = "`lfr hub renew DIR` at the hub, then copy ca.pem and devices/NAME.pem to where the configuration has them"


def of_device(config: DeviceConfig, now: datetime | None = None) -> Iterator[Finding]:
    """When the device's own certificate and the site's authority end."""
    moment = now or datetime.now(timezone.utc)
    yield _ending("certificate", config.mqtt.cert, moment)
    yield _ending("authority", config.mqtt.ca, moment)


def _ending(name: str, file: Path, now: datetime) -> Finding:
    from cryptography import x509

    try:
        ends = max(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(file.read_bytes()))
    except (OSError, ValueError) as fault:
        return Finding(name, "fail", f"{file}: {fault}", "copy it from the hub's folder again")
    left, when = ends - now, f"{file}: until {ends:%Y-%m-%d}"
    if left <= timedelta(0):
        return Finding(name, "fail", f"{when}: it has ended", REMEDY)
    return Finding(name, "warn", f"{when}: {left.days} days", REMEDY) if left <= WARN else Finding(name, "ok", when)
