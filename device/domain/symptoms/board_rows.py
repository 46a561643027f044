"""Symptom, cause and remedy of a Jetson and of its header."""

from __future__ import annotations

from collections.abc import Mapping

from device.domain.symptoms.names import Header, OnBoard
from device.domain.symptoms.row import Row

BOARD: Mapping[OnBoard, Row] = {
    OnBoard.NO_BOARD: Row("this machine is no board", "it has no device tree", "run it on the board"),
    OnBoard.BOARD_UNKNOWN: Row(
        "the board is not known",
        "another carrier board than those in jetson_header.py",
        "add its header to jetson_header.py",
    ),
    OnBoard.HEADER_UNKNOWN: Row(
        "the board's header is not in the table yet",
        "a Thor: no public table of its header was found",
        "use another board for the sign, or add its header's table to device/edges/gpio/jetson_header.py",
    ),
    OnBoard.NO_RELEASE: Row(
        "there is no /etc/nv_tegra_release", "the root file system is not JetPack's", "flash JetPack's root file system"
    ),
    OnBoard.RELEASE_UNKNOWN: Row(
        "the release is not in the table of releases",
        "it is newer than this program",
        "look into its release notes; add it to the table",
    ),
    OnBoard.GPIO_LETS_GO: Row(
        "pinctrl-tegra disconnects a pin from its GPIO controller when a program lets go of it (SFIO bit 10 of PADCTL; "
        "forum 301171): after a restart of the service the sign is not driven",
        "JetPack 6.2.1 (36.4.4)",
        "JetPack 6.2.2 (36.5), or its patch of pinctrl-tegra",
    ),
    OnBoard.ARGUS_REOPEN: Row(
        "Argus: one in 60 to 120 re-opens of a CSI camera gives no frames",
        "JetPack 6.2.2 (36.5)",
        "systemctl restart nvargus-daemon lfr when a camera stays lost; a network camera is not concerned",
    ),
    OnBoard.NODE_MISSING: Row(
        "a device node that the GPU or the header needs is not there",
        "a driver is missing or is not loaded",
        "the board's JetPack is incomplete: install nvidia-l4t-cuda and start again",
    ),
    OnBoard.FENCE_MISSING: Row(
        "/dev/host1x-fence is not there",
        "its module is loaded by an alias of host1x, and this boot lost that race",
        "modprobe host1x-fence; add it to /etc/modules",
    ),
    OnBoard.NODE_NOT_ALLOWED: Row(
        "the unit does not admit a device node",
        "the node's region has another name on this release",
        "{line}: systemctl edit lfr.service, add the line under [Service], and report it",
    ),
    OnBoard.NODE_REFUSED: Row(
        "a device node is refused to this user",
        "this user is not in the node's group",
        "run it as the user lfr",
    ),
    OnBoard.LINE_OF_NOTHING: Row(
        "a DeviceAllow= of the unit names nothing on this board",
        "a name of another release, or a typing error",
        "names are those of /proc/devices; take the line out",
    ),
    OnBoard.SYSTEM_PACKAGES: Row(
        "the environment does not see JetPack's packages",
        "it was made without the system's packages, or with another Python",
        "the environment needs `include-system-site-packages = true` (pyvenv.cfg) and the system's own Python",
    ),
    OnBoard.CAMERA_DAEMON: Row(
        "the camera daemon's socket is not there",
        "nvargus-daemon does not run",
        "for CSI cameras: systemctl start nvargus-daemon",
    ),
}
HEADER: Mapping[Header, Row] = {
    Header.GPIO_ACCESS: Row(
        "the GPIO chips cannot be opened",
        "this user is not in the group that owns them",
        "join the group gpio (systemd/README.md)",
    ),
    Header.GPIO_ABSENT: Row(
        "there is no GPIO chip", "this is no board", "use lines.driver: simulated with recorded sources"
    ),
    Header.LINE_BUSY: Row(
        "a line of the header is in use", "another program holds it", "`gpioinfo` names the program: stop it"
    ),
    Header.PIN: Row(
        "a pin of the configuration cannot be this line",
        "it is power, ground, no GPIO, or can only be an output, on this board",
        "connect it to another pin and name that one",
    ),
    Header.PULL: Row(
        "an input reads the wrong level without a bridge",
        "the pad has no pull, or the other one",
        "set the pull in the board's pinmux (`lfr flash kit` makes the overlay), or fit 10 kΩ (WIRING.md)",
    ),
    Header.BRIDGE: Row(
        "an input does not follow the output that it is bridged to",
        "the bridge is at another pin, or a pad is not muxed as GPIO",
        "check the bridge; mux both pads as GPIO (overlay of `lfr flash kit`, or jetson-io), then `lfr doctor --board`",
    ),
    Header.SHORT: Row(
        "another input follows as well",
        "a short, or two keys that were exchanged",
        "look for a short between the two, and that each key names the pin it is wired to",
    ),
    Header.NOT_BRIDGED: Row(
        "a line was not bridged, so it was not checked",
        "no bridge was placed at it",
        "run it again with a bridge to this line",
    ),
}
