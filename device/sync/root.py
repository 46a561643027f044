"""The root of trust: one file, in the folder of its mode. It alone decides the mode.

<roots>/operational/root.json  or  <roots>/test/root.json  or  <roots>/demo/root.json

A device holds exactly one. With two, the hub's choice between them would decide the mode.
"""

from __future__ import annotations

from pathlib import Path

from device.config.installed import CONFIG, ROOTS
from device.domain.finding import Mode
from device.errors import RefusedByCondition, Unavailable, reason_of
from device.sync.refusal import SIGNED, Refused

FILE = "root.json"
MAX_BYTES = 131_072


def root_file(roots: Path, mode: Mode) -> Path:
    """Where the root of trust of a mode lies below `roots`."""
    return roots / mode.value / FILE


def held(roots: Path) -> tuple[Mode, ...]:
    """The modes whose roots of trust `roots` holds."""
    return tuple(mode for mode in Mode if root_file(roots, mode).is_file())


def refuse_on_operational_device(command: str, config: Path = CONFIG) -> None:
    """RefusedByCondition (exit 77) when this machine is a device that holds an operational root of trust.

    command  the command that is refused, for the message
    config   the device's configuration, whose `trust.roots` is searched; without that file only ROOTS is searched

    A folder that this user may not read counts as operational: a test machine's roots are readable.
    """
    for roots in _roots_of(config):
        file = root_file(roots, Mode.OPERATIONAL)
        try:
            found = file.is_file()
        except OSError as fault:
            text = f"{file} cannot be read ({reason_of(fault)}), so this may be an operational device"
            raise RefusedByCondition(command, f"{text}; use a test or desk machine") from fault
        if found:
            text = f"this device holds an operational root of trust ({file}); use a test or desk machine"
            raise RefusedByCondition(command, text)


def _roots_of(config: Path) -> tuple[Path, ...]:
    """The folders to search for roots of trust; ROOTS first, then the one that the configuration names."""
    if not config.exists():
        return (ROOTS,)
    from device.config.loader import load_config

    return (ROOTS, load_config(config).trust.roots)


def trusted_root(roots: Path) -> tuple[Mode, bytes]:
    """The mode and the content of the one root; Refused when there is none or more than one."""
    found = held(roots)
    if not found:
        text = f"no root of trust in {roots}: put the root.json of the ceremony into {roots}/<mode>/"
        raise Refused(SIGNED, "no root", text)
    if len(found) > 1:
        names = " and ".join(mode.value for mode in found)
        raise Refused(SIGNED, "two roots", f"{roots} holds roots of trust for {names}: leave one")
    file = root_file(roots, found[0])
    try:
        content = file.read_bytes()
    except OSError as fault:
        raise Unavailable(f"{file}: {reason_of(fault)}") from fault
    if len(content) > MAX_BYTES:
        raise Refused(SIGNED, "oversized", f"{file} has {len(content)} bytes; a root has at most {MAX_BYTES}")
    return found[0], content
