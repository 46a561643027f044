"""What the desk holds: a case, its picture, and the last of what each device reported of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from device.domain.time import WallTime
from device.hub_api import messages
from device.hub_api.messages import Alert


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
        """What the device said, after the planned end."""
        return messages.moment(self.alert.retention.delete_by)


@dataclass(slots=True)
class Picture:
    """One opened probe, in memory. `version` lets the page see that it changed."""

    device: str
    jpeg: bytes
    version: int
    arrived: WallTime


@dataclass(slots=True)
class DeviceView:
    """The last of everything that one device said of itself."""

    status: messages.Status | None = None
    birth: messages.Birth | None = None
    state: messages.DeviceState | None = None
    health: messages.Health | None = None
    watchlist: messages.WatchlistState | None = None
    stats: messages.Stats | None = None
    cameras: dict[str, messages.CameraStatus] = field(default_factory=dict)

    def holds_a_list(self, now: WallTime) -> bool:
        """Whether it has a list, as far as the hub knows: loaded, not erased, and not past its own time."""
        state = self.watchlist
        if state is None or state.watchlist_id is None or state.erased_at is not None:
            return False
        return state.valid_to is None or now <= messages.moment(state.valid_to)
