"""The root of trust: one file, in the folder of the mode that it stands for. It alone decides the mode.

    <roots>/operational/root.json  or  <roots>/test/root.json  or  <roots>/demo/root.json

A device holds one. With two, which of them a hub answers to would decide the mode, and that is the hub's to choose.
"""

from __future__ import annotations

from pathlib import Path

from device.domain.finding import Mode
from device.errors import Unavailable
from device.sync.refusal import SIGNED, Refused

FILE = "root.json"
MAX_BYTES = 131_072


def held(roots: Path) -> tuple[Mode, ...]:
    """The modes whose roots lie there."""
    return tuple(mode for mode in Mode if (roots / mode.value / FILE).is_file())


def trusted_root(roots: Path) -> tuple[Mode, bytes]:
    """The mode and the content of the one root; Refused when there is none or more than one."""
    found = held(roots)
    if not found:
        text = f"no root of trust in {roots}: put the root.json of the ceremony into {roots}/<mode>/"
        raise Refused(SIGNED, "no root", text)
    if len(found) > 1:
        names = " and ".join(mode.value for mode in found)
        raise Refused(SIGNED, "two roots", f"{roots} holds roots of trust for {names}: leave one")
    file = roots / found[0].value / FILE
    try:
        content = file.read_bytes()
    except OSError as fault:
        raise Unavailable(f"{file}: {fault.strerror}") from fault
    if len(content) > MAX_BYTES:
        raise Refused(SIGNED, "oversized", f"{file} has {len(content)} bytes; a root has at most {MAX_BYTES}")
    return found[0], content
