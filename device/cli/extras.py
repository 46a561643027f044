"""Which extra of this distribution brings a missing library; a Jetson installs none of those for the van's hub."""

from __future__ import annotations

import re
from importlib import metadata

DISTRIBUTION = "lfr-edge"
OPTIONAL = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)[^;]*;.*extra == ['\"](?P<extra>[\w-]+)['\"]")
MODULES = {"systemd-python": "systemd"}
"""Import name of a distribution where it is another."""
DEVELOPMENT = frozenset(("dev", "device"))
"""Extras that only gather others."""


def remedy(missing: str | None) -> str:
    """`install lfr-edge[hub]`, for the name of a module that could not be imported; empty when no extra brings it."""
    package = (missing or "").partition(".")[0]
    try:
        stated = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return ""
    for requirement in stated:
        found = OPTIONAL.match(requirement)
        if found is None or found["extra"] in DEVELOPMENT:
            continue
        if package == MODULES.get(found["name"], found["name"]):
            return f"install {DISTRIBUTION}[{found['extra']}]"
    return ""
