"""Paths of an installed device: the only module that spells them."""

from __future__ import annotations

from pathlib import Path

CONFIG = Path("/etc/lfr/device.yaml")
ROOTS = Path("/etc/lfr/trust")
"""Roots of trust where the configuration of the handbook puts them; `trust.roots` may name another folder."""
TOP = Path("/opt/lfr")
"""Slots of this program, and the links `current` and `committed` (device/update/slots.py)."""
UPDATES = Path("/var/lib/lfr-update")
"""The updater's record, root's."""
OFFERED = "update/ready"
"""Below the state folder: a verified release that waits for the updater; the supervisor places it."""
