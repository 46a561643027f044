"""What a device reports of itself, taken into its view and the counts."""

from __future__ import annotations

from device.domain.time import WallTime
from device.hub_api import messages
from device.hub_api.messages import Message
from tools.hub.console.case import DeviceView
from tools.hub.report.tallies import Tallies


def describe(view: DeviceView, tallies: Tallies, device: str, data: Message, at: str) -> WallTime | None:
    """Take one message in; when its list ended, if the message says so. BadData for a date that does not exist.

    Older counts of the same boot are left out.
    """
    if isinstance(data, messages.Status):
        view.status = data
    elif isinstance(data, messages.Birth):
        view.birth = data
        tallies.record_birth(device, data)
    elif isinstance(data, messages.DeviceState):
        view.state = data
        tallies.is_on(device, data.deployment_id, data.mode, at)
    elif isinstance(data, messages.Health):
        view.health = data
    elif isinstance(data, messages.WatchlistState):
        erased_at = None if data.erased_at is None else messages.moment(data.erased_at)
        if data.valid_to is not None:
            messages.moment(data.valid_to)  # read every second later: a date that does not exist is refused here
        view.watchlist = data
        tallies.listed(device, data)
        return erased_at
    elif isinstance(data, messages.AuditHead):
        tallies.headed(device, data)
    elif isinstance(data, messages.Stats):
        if view.stats is not None and view.stats.boot_id == data.boot_id and view.stats.at > data.at:
            return None
        view.stats = data
        tallies.is_on(device, data.deployment_id, data.mode, data.at)
        tallies.counted(device, data)
    return None
