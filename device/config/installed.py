"""Paths of an installed device: the only module that spells them."""

from __future__ import annotations

from pathlib import Path

CONFIG = Path("/etc/lfr/device.yaml")
ROOTS = Path("/etc/lfr/trust")
"""Roots of trust where the configuration of the handbook puts them; `trust.roots` may name another folder."""
