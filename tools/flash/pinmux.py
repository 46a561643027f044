"""Header pins of a Jetson Orin Nano or NX as GPIO, by a device tree overlay: JetPack 6 drives none without one.

1. A pad whose `tristate` is set drives nothing, whatever the GPIO controller says, and the controller's driver never
   clears it (Linux, drivers/gpio/gpio-tegra186.c has no such register): since JetPack 6 every header pin starts so.
2. That driver knows no pulls: `tegra186_gpio_set_config` answers -ENOTSUPP to all but debounce, and gpiolib lets a bias
   that is not supported pass in silence. So the pulls on which a cut wire depends (dark, STOP, tampered) are set here.
3. Values of `nvidia,pull`: 0 none, 1 down, 2 up (include/dt-bindings/pinctrl/pinctrl-tegra.h).
4. Pad names: Documentation/devicetree/bindings/pinctrl/nvidia,tegra234-pinmux.yaml; which header pin is which pad:
   NVIDIA's pinmux sheet of P3767/P3768, as jetson-io and public overlays have it. Not yet measured on a board.

The board's jetson-io lists the overlay by its name once the compiled file lies in /boot.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from device.config.model import INPUTS, GpioConfig
from device.edges.gpio.jetson_header import ORIN_NANO_NX
from device.errors import Unavailable

NAME = "LFR header lines"
FILE = "lfr-header.dtbo"
NONE, DOWN, UP = 0, 1, 2
PULLS = {use: UP if pull_up else DOWN for use, pull_up in INPUTS.items()}
"""Inputs with their pulls; every other line is an output."""
PADS = {
    7: "soc_gpio59_pac6",
    11: "uart1_rts_pr4",
    12: "soc_gpio41_ph7",
    13: "spi3_sck_py0",
    15: "soc_gpio39_pn1",
    16: "spi3_cs1_py4",
    18: "spi3_cs0_py3",
    19: "spi1_mosi_pz5",
    21: "spi1_miso_pz4",
    22: "spi3_miso_py1",
    23: "spi1_sck_pz3",
    24: "spi1_cs0_pz6",
    26: "spi1_cs1_pz7",
    29: "soc_gpio32_pq5",
    31: "soc_gpio33_pq6",
    32: "soc_gpio19_pg6",
    33: "soc_gpio21_ph0",
    35: "soc_gpio44_pi2",
    36: "uart1_cts_pr5",
    37: "spi3_mosi_py2",
    38: "soc_gpio43_pi1",
    40: "soc_gpio42_pi0",
}
"""Pad by header pin."""
MODULES = tuple(
    f"nvidia,p3768-0000+p3767-{number}{mode}"
    for mode in ("", "-super")
    for number in ("0000", "0001", "0003", "0004", "0005")
)


def overlay(lines: GpioConfig) -> str:
    """The overlay's source (dts) for the lines of a configuration, by header pin."""
    nodes = []
    for use, name in _named(lines):
        pin = ORIN_NANO_NX.pin(name)
        if pin is None:
            raise ValueError(f"{use}: {name} is no GPIO of {ORIN_NANO_NX.name}")  # `fleet.check` has refused it before
        nodes.append((pin.header, use, PULLS.get(use)))
    body = "".join(_node(header, use, pull) for header, use, pull in sorted(nodes))
    compatible = ",\n\t\t     ".join(f'"{module}"' for module in MODULES)
    return (
        f'/dts-v1/;\n/plugin/;\n\n/ {{\n\tjetson-header-name = "Jetson 40pin Header";\n\toverlay-name = "{NAME}";\n'
        f"\tcompatible = {compatible};\n\n\tfragment@0 {{\n\t\ttarget = <&pinmux>;\n\n\t\t__overlay__ {{\n"
        '\t\t\tpinctrl-names = "default";\n\t\t\tpinctrl-0 = <&jetson_io_pinmux>;\n\n'
        f"\t\t\tjetson_io_pinmux: exp-header-pinmux {{\n{body}\t\t\t}};\n\t\t}};\n\t}};\n}};\n"
    )


def compiled(source: str, folder: Path) -> bytes:
    """The overlay as the bootloader takes it. Raises Unavailable without dtc, or when it refuses the source."""
    text, blob = folder / "lfr-header.dts", folder / FILE
    text.write_text(source, encoding="utf-8")
    command = ["dtc", "-@", "-q", "-I", "dts", "-O", "dtb", "-o", str(blob), str(text)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as fault:
        raise Unavailable("dtc is missing on this machine: apt-get install device-tree-compiler") from fault
    if done.returncode != 0:
        raise Unavailable(f"dtc refuses the overlay of the header: {done.stderr.strip()[-400:]}")
    return blob.read_bytes()


def _named(lines: GpioConfig) -> list[tuple[str, str]]:
    """Each line that has a pin: its use and the pin's name."""
    return [(use.replace("lamps.", "lamp "), pin) for use, pin in lines.pins.items()]


def _node(header: int, use: str, pull: int | None) -> str:
    """One pad. An input's output driver stays off; an output is readable, too, and dark until it is driven."""
    reads = pull is not None
    return (
        f"\t\t\t\thdr40-pin{header} {{ /* {use} */\n"
        f'\t\t\t\t\tnvidia,pins = "{PADS[header]}";\n'
        f"\t\t\t\t\tnvidia,tristate = <{int(reads)}>;\n"
        "\t\t\t\t\tnvidia,enable-input = <1>;\n"
        f"\t\t\t\t\tnvidia,pull = <{pull if pull is not None else DOWN}>;\n\t\t\t\t}};\n"
    )
