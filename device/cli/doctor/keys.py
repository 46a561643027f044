"""Checks of `lfr doctor` on keys and erasure: the deployment's key, the device's own key, the eraser's timer."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from device.cli.doctor.finding import Finding
from device.domain.symptoms.names import Health, Site
from device.domain.symptoms.table import remedy

if TYPE_CHECKING:
    from device.config.model import DeviceConfig

TPM = Path("/dev/tpmrm0")
TIMER = "lfr-erase.timer"
ASK_S = 5.0


def key_store() -> Iterator[Finding]:
    """Where the identity of a deployment is kept, and what follows from it."""

    swapped = len(Path("/proc/swaps").read_text().splitlines()) > 1 if Path("/proc/swaps").exists() else False
    held = "TPM present, and not used yet" if TPM.exists() else "no TPM"
    text = f"RAM only ({held}): a deployment's key is lost at a power cut"
    level: Literal["ok", "warn"] = "warn" if swapped else "ok"
    text += "; but swap is on, and RAM may reach a disk" if swapped else ""
    yield Finding("key store", level, text, remedy(Health.SWAP))


def eraser() -> Iterator[Finding]:
    """Whether the timer that erases without the supervisor is switched on."""

    how = remedy(Site.ERASER_OFF)
    if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir():
        text = "no systemd runs here: what is past its time is erased at the next start, not before"
        yield Finding("eraser", "warn", text, how)
        return
    asked = subprocess.run(
        ["systemctl", "is-active", TIMER], capture_output=True, text=True, check=False, timeout=ASK_S
    ).stdout.strip()
    active = asked == "active"
    yield Finding("eraser", "ok" if active else "fail", f"{TIMER} is {asked or 'unknown'}", how)


def of_device(config: DeviceConfig) -> Iterator[Finding]:
    """The device's own files: its key, its audit log, its erasure orders."""
    from device.edges.host.owner_rights import rights_of

    for name in ("device.audit.verify", "device.eraser"):  # with the owner's rights root's own files cannot be read
        import_module(name)
    with rights_of(config.state_dir):
        found = [*_device_key(config.state_dir), *_orders(config.state_dir)]
    yield from found


def _device_key(state_dir: Path) -> Iterator[Finding]:
    from device.audit.key import FILE, PUBLIC_FILE, read_public
    from device.audit.log import FOLDER
    from device.audit.verify import verify
    from device.errors import BadData

    key, public = state_dir / FILE, state_dir / PUBLIC_FILE
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
        known = read_public(public.read_text(encoding="ascii"))
    except FileNotFoundError:
        yield Finding("device key", "ok", f"none in {state_dir} yet; it is made on the first start")
        return
    except (OSError, BadData) as fault:
        yield Finding("device key", "fail", f"{key}: {fault}", remedy(Site.DEVICE_KEY_UNREADABLE))
        return
    safe = mode == 0o600
    how = remedy(Site.DEVICE_KEY_OPEN, file=key)
    yield Finding("device key", "ok" if safe else "fail", f"{known[:16]}…, mode {mode:04o}", how)
    if (state_dir / FOLDER).is_dir():
        found = verify(state_dir / FOLDER, known)
        text = f"{found.rows} rows, signed up to row {found.signed_upto}"
        broken = "" if found.ok else f": {found.broken.text if found.broken else 'counts do not balance'}"
        first_minute = found.broken is not None and found.broken.kind == "unsigned"
        level: Literal["ok", "warn", "fail"] = "ok" if found.ok else "warn" if first_minute else "fail"
        yield Finding("audit log", level, text + broken, remedy(Site.AUDIT_LOG))


def _orders(state_dir: Path) -> Iterator[Finding]:
    from device import eraser as program

    files = [f for f in (state_dir / program.ORDERS).glob("*.json") if f.name != program.CLOCK]
    orders = [json.loads(f.read_text(encoding="utf-8")) for f in files if not f.name.endswith(program.RECEIPT)]
    overdue = [order["deployment"] for order in orders if order["end_ms"] + 120_000 < time.time() * 1000]
    if overdue:
        text = f"past its time and still here: {', '.join(overdue)}"
        yield Finding("erasure orders", "fail", text, remedy(Site.ERASURE_OVERDUE))
    else:
        yield Finding("erasure orders", "ok", f"{len(orders)} deployments to be erased at their end")
