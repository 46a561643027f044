"""What the desk holds: a case, its picture, and the last message of each kind from each device."""

from __future__ import annotations

from dataclasses import dataclass, field

from device.domain.time import WallTime
from device.hub_api import messages
from device.hub_api.messages import Alert

UNKNOWN_AFTER_S = 15.0
"""Three of the intervals (5 s) in which a device reports its health, with its sign and whether it recognises."""


@dataclass(slots=True)
class Case:
    """One alert on the desk."""

    alert: Alert
    device: str
    arrived: WallTime
    delete_by: WallTime
    outcome: str | None = None
    engagement: str | None = None
    disposition: str | None = None

    @property
    def delete_by_as_sent(self) -> WallTime:
        """The `delete_by` that the device sent, after the planned end."""
        return messages.moment(self.alert.retention.delete_by)


@dataclass(slots=True)
class Picture:
    """One opened probe, in memory. `version` lets the page see that it changed."""

    device: str
    jpeg: bytes
    version: int
    arrived: WallTime


@dataclass(slots=True)
class CommandView:
    """The last `stop` or `resume` to a device; result: as its reply says, None until then."""

    name: str
    command_id: str
    given_by: str
    at: WallTime
    result: str | None = None
    reason: str = ""


@dataclass(slots=True)
class DeviceView:
    """The last message of each kind from one device."""

    status: messages.Status | None = None
    birth: messages.Birth | None = None
    state: messages.DeviceState | None = None
    health: messages.Health | None = None
    watchlist: messages.WatchlistState | None = None
    stats: messages.Stats | None = None
    cameras: dict[str, messages.CameraStatus] = field(default_factory=dict)
    heard_at: WallTime | None = None
    """When it last sent something; what the broker had kept from before does not count."""
    faults: dict[str, int] = field(default_factory=dict)
    """What was refused of it, and how often."""
    command: CommandView | None = None

    def unknown_because(self, now: WallTime, *, broker_online: bool) -> str:
        """Why its state is not known now; empty while it is known."""
        if not broker_online:
            return "the hub has no connection to its broker"
        if self.status is None or self.heard_at is None:
            return "it has not reported to this hub yet"
        if self.status.status == "offline":
            return "its connection was lost"
        silent_s = (now - self.heard_at).total_seconds()
        if self.status.status == "online" and silent_s > UNKNOWN_AFTER_S:
            return f"it has sent nothing for {silent_s:.0f} s"
        if self.status.status == "online" and silent_s < -UNKNOWN_AFTER_S:
            return "this hub's clock was set back after its last message"
        return ""

    def holds_a_list(self, now: WallTime) -> bool:
        """Whether it has a list, as far as the hub knows: loaded, not erased, and not past its own time."""
        state = self.watchlist
        if state is None or state.watchlist_id is None or state.erased_at is not None:
            return False
        return state.valid_to is None or now <= messages.moment(state.valid_to)
