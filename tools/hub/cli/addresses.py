"""Names and addresses that options take."""

from __future__ import annotations

import ipaddress
import re

from device.errors import UsageError

LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(\.{LABEL})*")


def hosts(given: list[str], option: str = "--host") -> tuple[str, ...]:
    """Names and addresses as a certificate takes them; UsageError for what is neither."""
    for host in given:
        try:
            ipaddress.ip_address(host)
        except ValueError:
            if not HOST.fullmatch(host):
                raise UsageError(f"{option} {host!r} is neither a host name nor an address") from None
    return tuple(given)


def host_and_port(text: str, option: str) -> tuple[str, int]:
    """Host name or address, and port, of `HOST:PORT` (an IPv6 address in brackets). UsageError when it is none."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{option} {text!r}: HOST:PORT")
    (name,) = hosts([host.removeprefix("[").removesuffix("]")], option)
    return name, int(port)
