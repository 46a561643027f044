"""What kind of machine this is, for a release's target: os-release(5), processor, and the Python of its slots."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from device.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Machine:
    """target: as ubuntu-22.04-aarch64. root: where /usr/bin is looked for."""

    target: str
    root: Path = Path("/")

    def problem(self, target: str, python: str) -> str:
        """Why a release for this target and Python does not run here; empty when it does."""
        if target != self.target:
            return f"it is for {target}, this machine is {self.target}; take the release of its own target"
        if not (self.root / f"usr/bin/python{python}").exists():
            return f"it needs /usr/bin/python{python}, which is not installed here"
        return ""


def this_machine() -> Machine:
    """The machine that runs this program. Unavailable when it does not say what it is."""
    try:
        release = platform.freedesktop_os_release()
    except OSError as fault:
        raise Unavailable("this machine has no os-release file, so no release can be chosen for it") from fault
    return Machine(f"{release.get('ID', 'linux')}-{release.get('VERSION_ID', '0')}-{platform.machine()}")
