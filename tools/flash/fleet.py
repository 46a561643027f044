"""The file that describes a kit: for which release, which van, and which boards by serial number.

    release: ubuntu-22.04
    machine: aarch64
    hub: {host: hub.van, address: 10.0.0.1}
    config:                         # of every board: cameras, vision, lines as in systemd/examples
      lines: {driver: gpiozero, sign: BOARD31, …}
    devices:
      - serial: "1421024012345"     # on the module's label, and in /proc/device-tree/serial-number
        name: nano-1
        board: orin-nano-nx
        config: {cameras: […]}      # replaces whole sections of `config`
        files: {front.credential: secrets/nano-1.credential}

Site, names, broker, certificates and root of trust of a configuration come from the hub's folder and are not written
by hand; `lfr flash kit` checks each result as `lfr config check` does.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, model_validator

from device.config.document import load
from device.config.loader import load_config
from device.config.model import INPUTS, DeviceConfig, Name, Section, matching
from device.domain.symptoms.names import Header
from device.domain.symptoms.table import remedy
from device.edges.gpio.jetson_header import AGX_ORIN, ORIN_NANO_NX, Board
from device.errors import ConfigError

MOST_DEVICES = 200
BOARDS: dict[str, Board | None] = {"orin-nano-nx": ORIN_NANO_NX, "agx-orin": AGX_ORIN, "desk": None}
GIVEN = ("site", "device", "mqtt", "trust", "state_dir", "run_dir")
"""Sections of a configuration that the kit writes itself."""
CERTIFICATE, KEY, AUTHORITY = "pki/device.pem", "pki/device.key", "pki/ca.pem"
ROOTS = "trust"
STICK = "/media/lfr"


def _address(text: str) -> str:
    ipaddress.ip_address(text)
    return text


def _plain(name: str) -> str:
    if "/" in name or name.startswith(".") or name in ("device.yaml", "flash.json", "pki", "trust"):
        raise ValueError("must be a plain file name that the kit does not write itself")
    return name


Serial = Annotated[str, matching(r"[A-Za-z0-9._-]{4,40}", "a serial number: 4 to 40 letters, digits, `.`, `_` or `-`")]
FileName = Annotated[str, matching(r"[A-Za-z0-9._-]{1,60}", "a plain file name"), AfterValidator(_plain)]


class Hub(Section):
    """How boards reach the van. `address` goes into /etc/hosts, since a van has no name server."""

    host: Annotated[str, matching(r"[A-Za-z0-9.-]{1,253}", "a host name")]
    address: Annotated[str, AfterValidator(_address)] | None = None


class FleetDevice(Section):
    """One board. `files` go to /etc/lfr: name there, and file here (relative to the fleet's file)."""

    serial: Serial
    name: Name
    board: Literal["orin-nano-nx", "agx-orin", "desk"]
    config: dict[str, Any] = Field(default_factory=dict)
    files: dict[FileName, Path] = Field(default_factory=dict)


class Fleet(Section):
    """The whole file."""

    release: Literal["ubuntu-22.04", "ubuntu-24.04", "debian-12"]
    machine: Literal["aarch64", "x86_64"]
    hub: Hub
    config: dict[str, Any] = Field(default_factory=dict)
    devices: Annotated[tuple[FleetDevice, ...], Field(min_length=1, max_length=MOST_DEVICES)]

    @model_validator(mode="after")
    def _distinct(self) -> Fleet:
        for what in ("serial", "name"):
            values = [getattr(device, what) for device in self.devices]
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"each device needs a {what} of its own; used twice: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _nothing_that_the_kit_writes(self) -> Fleet:
        given = {key for part in (self.config, *(d.config for d in self.devices)) for key in part if key in GIVEN}
        if given:
            raise ValueError(f"the kit writes {', '.join(sorted(given))} of a configuration itself; take it out")
        return self


def read_fleet(file: Path) -> Fleet:
    """Read a fleet's file. ConfigError with every problem at once; also when a file that it names is missing."""
    fleet = load(file, Fleet)
    missing = [
        f"devices: {device.name}: files: {path} must be an existing file"
        for device in fleet.devices
        for path in device.files.values()
        if not (file.parent / path).is_file()
    ]
    if missing:
        raise ConfigError(str(file), tuple(missing))
    return fleet


def rendered(fleet: Fleet, device: FleetDevice, *, site: str, broker_port: int, repository_port: int) -> bytes:
    """The configuration of one board, as YAML."""
    host = fleet.hub.host
    document = {
        "site": site,
        "device": device.name,
        **fleet.config,
        **device.config,
        "mqtt": {"host": host, "port": broker_port, "ca": AUTHORITY, "cert": CERTIFICATE, "key": KEY},
        "trust": {"roots": ROOTS, "url": f"https://{host}:{repository_port}/", "usb": STICK},
    }
    head = f"# Written by `lfr flash kit` for {device.name}, serial number {device.serial}.\n"
    return head.encode() + yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode()


def check(file: Path, device: FleetDevice) -> DeviceConfig:
    """Structure, bounds, files beside it and pins of one rendered configuration. ConfigError with every problem."""
    config = load_config(file)
    problems = [
        f"cameras[{number}].credential: {camera.credential.name} is not in `files` of {device.name}"
        for number, camera in enumerate(config.cameras)
        if camera.credential is not None and not camera.credential.is_file()
    ]
    board = BOARDS[device.board]
    if board is not None and config.lines.driver == "gpiozero":
        wrong = [
            *board.input_problems({f"lines.{name}": getattr(config.lines, name) for name in INPUTS}),
            *board.missing({f"lines.{name}": pin for name, pin in config.lines.pins.items()}),
        ]
        problems += [f"{one}; {remedy(Header.PIN)}" for one in wrong]
    if problems:
        raise ConfigError(f"{device.name} (serial number {device.serial})", tuple(problems))
    return config
