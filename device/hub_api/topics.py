"""The topic tree `lfr/v1/<site>/<device>/…`: one place that spells every topic.

1. The device id is a whole level, so that a broker can confine each certificate to its own branch.
2. `hub` is a reserved device id: a device of that name could publish as the hub.
3. What the hub says of an alert lies under its device's name, so that the broker lets no other device read it.
4. A level holds letters, digits, `-`, `_` and `.` only, so no id can smuggle in a wildcard or another level.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from device.errors import UsageError

ROOT = "lfr/v1"
HUB = "hub"
RESERVED = frozenset({HUB, "auditor", "regulator", "listener", "witness", "monitor", "bridge", "server", "ca", "crl"})
DEVICE_BRANCHES = (
    "status",
    "birth",
    "state",
    "health",
    "camera/+/status",
    "camera/+/view",
    "watchlist/state",
    "stats",
    "alert/+",
    "alert/+/probe",
    "erasure",
    "audit",
    "identity",
    "cmd/+/reply",
    "bluelist/seen",
    "bluelist/pass",
)
LEVEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def level(text: str, what: str = "id") -> str:
    """`text` if it may be one level of a topic (rule 4); UsageError names what may not."""
    if not LEVEL.fullmatch(text):
        raise UsageError(f"{what} {text!r}: 1 to 64 letters, digits, '-', '_' or '.', starting with a letter or digit")
    return text


def device_id(text: str) -> str:
    """`text` if it may name a device (rules 2 and 4)."""
    if text in RESERVED:
        raise UsageError(f"device {text!r}: this name is reserved; reserved are {', '.join(sorted(RESERVED))}")
    return level(text, "device")


@dataclass(frozen=True, slots=True)
class DeviceTopics:
    """Topics that one device writes, and the command topics that it reads."""

    site: str
    device: str

    @property
    def base(self) -> str:
        return f"{ROOT}/{level(self.site, 'site')}/{level(self.device, 'device')}"

    @property
    def status(self) -> str:
        return f"{self.base}/status"

    @property
    def birth(self) -> str:
        return f"{self.base}/birth"

    @property
    def state(self) -> str:
        return f"{self.base}/state"

    @property
    def health(self) -> str:
        return f"{self.base}/health"

    @property
    def watchlist_state(self) -> str:
        return f"{self.base}/watchlist/state"

    @property
    def stats(self) -> str:
        return f"{self.base}/stats"

    @property
    def erasure(self) -> str:
        return f"{self.base}/erasure"

    @property
    def audit(self) -> str:
        return f"{self.base}/audit"

    @property
    def identity(self) -> str:
        return f"{self.base}/identity"

    @property
    def volunteer_seen(self) -> str:
        return f"{self.base}/bluelist/seen"

    @property
    def volunteer_pass(self) -> str:
        return f"{self.base}/bluelist/pass"

    @property
    def commands(self) -> str:
        """Pattern of everything that is commanded of this device."""
        return f"{self.base}/cmd/+"

    def command(self, name: str) -> str:
        return f"{self.base}/cmd/{level(name, 'command')}"

    def command_reply(self, name: str) -> str:
        return f"{self.command(name)}/reply"

    def camera_status(self, camera: str) -> str:
        return f"{self.base}/camera/{level(camera, 'camera')}/status"

    def view(self, camera: str) -> str:
        return f"{self.base}/camera/{level(camera, 'camera')}/view"

    def alert(self, alert_id: str) -> str:
        return f"{self.base}/alert/{level(alert_id, 'alert')}"

    def probe(self, alert_id: str) -> str:
        return f"{self.alert(alert_id)}/probe"


@dataclass(frozen=True, slots=True)
class HubTopics:
    """Topics that the hub of a site writes, and the patterns that it reads."""

    site: str

    @property
    def base(self) -> str:
        return f"{ROOT}/{level(self.site, 'site')}/{HUB}"

    @property
    def state(self) -> str:
        return f"{self.base}/state"

    @property
    def everything(self) -> str:
        """Pattern of the whole site, probes included: for a listener that publishes nothing."""
        return f"{ROOT}/{level(self.site, 'site')}/#"

    @property
    def of_devices(self) -> str:
        """Pattern of every branch of the site, whatever lies in it."""
        return f"{ROOT}/{level(self.site, 'site')}/+/#"

    @property
    def from_devices(self) -> tuple[str, ...]:
        """Patterns of device topics. None matches a judgement: the hub would count its own as acknowledged."""
        return tuple(f"{ROOT}/{level(self.site, 'site')}/+/{branch}" for branch in DEVICE_BRANCHES)

    def adjudications(self, device: str) -> str:
        """Pattern of what a device must obey: judgements of its own alerts."""
        return f"{self._of(device)}/+/adjudication"

    def follow_ups(self, device: str) -> tuple[str, ...]:
        """Patterns of what came of a device's alerts: engagements, dispositions and holds."""
        return tuple(f"{self._of(device)}/+/{kind}" for kind in ("engagement", "disposition", "hold"))

    def adjudication(self, device: str, alert_id: str) -> str:
        return f"{self._of(device)}/{level(alert_id, 'alert')}/adjudication"

    def engagement(self, device: str, alert_id: str) -> str:
        return f"{self._of(device)}/{level(alert_id, 'alert')}/engagement"

    def disposition(self, device: str, alert_id: str) -> str:
        return f"{self._of(device)}/{level(alert_id, 'alert')}/disposition"

    def hold(self, device: str, alert_id: str) -> str:
        return f"{self._of(device)}/{level(alert_id, 'alert')}/hold"

    def received(self, device: str) -> str:
        """Where the hub confirms a device's receipts and counts."""
        return f"{self.base}/{level(device, 'device')}/received"

    def _of(self, device: str) -> str:
        return f"{self.base}/{level(device, 'device')}/alert"


@dataclass(frozen=True, slots=True)
class Place:
    """A received topic, parsed: which device (or the hub), which branch, which alert, camera or command.

    about  the device that a message of the hub is about
    """

    site: str
    device: str
    branch: str
    subject: str | None
    about: str | None = None


def parse(topic: str) -> Place | None:
    """A topic's place in the tree; None for any other topic.

    branch is the topic below the device with its id taken out: `alert`, `alert/probe`, `camera/status`, `state`,
    `cmd/reply`, …; of the hub `alert/adjudication`, `received`, …
    """
    levels = topic.split("/")
    if len(levels) < 5 or "/".join(levels[:2]) != ROOT:
        return None
    site, device, rest = levels[2], levels[3], levels[4:]
    if device == HUB and len(rest) == 4 and rest[1] == "alert":
        return Place(site, device, f"alert/{rest[3]}", rest[2], rest[0])
    if device == HUB and len(rest) == 2 and rest[1] == "received":
        return Place(site, device, rest[1], None, rest[0])
    if rest[0] in ("alert", "camera", "cmd") and len(rest) >= 2:
        return Place(site, device, "/".join((rest[0], *rest[2:])), rest[1])
    return Place(site, device, "/".join(rest), None)
