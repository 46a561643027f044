"""Checks of an alert before it becomes a case; a valid certificate alone is not enough.

1. It comes live, on its own topic, in its device's own name and in this hub's mode.
2. Its deployment was published by this hub to this device, has not ended, and has its list and, while known, its entry.
3. Its score reaches its threshold, which is not below the signed operating point for the list (threshold_check.py)
   and its category; its recogniser is one that the list was signed for. Its `delete_by` lies within the signed policy
   and the ceiling of 31 days.
4. Each of its times exists; it was decided neither later than now, nor longer ago than any alert is kept, nor before
   its picture was taken.
5. Its texts are of a size that a card can show.
6. A device may send a limited number of new alerts in a time; later ones arrive from its outbox.

An alert that fails a check is shown as a fault on the page, and is no case.
"""

from __future__ import annotations

from datetime import timedelta

from device.domain.finding import Mode
from device.domain.retention import CEILING_DAYS
from device.domain.time import WallTime
from device.hub_api.messages import Alert, moment
from device.hub_api.topics import Place
from tools.hub.console.threshold_check import SignedOperatingPoints
from tools.hub.storage.published import Published, PublishedDeployment

TEXT_MOST = 100
CLOCKS_APART = timedelta(minutes=5)
"""Two synchronised clocks and a round trip; device and hub check their own clocks elsewhere."""
BURST = 400  # twice what a desk holds: a device that delivers again after a kill of the hub
RATE_PER_S = 2.0


class AlertChecks:
    """Checks alerts of one hub; keeps only times and numbers of each device's latest ones."""

    def __init__(self, mode: Mode, published: Published) -> None:
        self._mode = mode
        self._published = published
        self._points = SignedOperatingPoints()
        self._tokens: dict[str, tuple[WallTime, float]] = {}

    def problem(self, place: Place, alert: Alert, now: WallTime, *, retained: bool, known: bool) -> str:
        """Why it is no case; empty when it is accepted. known: its id is or was on the desk."""
        deployment = self._published().get(alert.deployment_id)
        return (
            self._of_its_way(place, alert, retained)
            or _of_its_times(alert, now)
            or _of_its_deployment(place, alert, deployment)
            or _of_its_values(alert, deployment, now)
            or self._of_its_threshold(alert, deployment)
            or _of_its_sizes(alert)
            or ("" if known else self._of_its_rate(place.device, now))
        )

    def _of_its_way(self, place: Place, alert: Alert, retained: bool) -> str:
        """Topic, name and mode (rule 1)."""
        if retained:
            return "a retained alert"
        if place.subject != alert.alert_id:
            return "an alert on the topic of another"
        if alert.device_id != place.device:
            return f"an alert in the name of {alert.device_id[:TEXT_MOST]}"
        if alert.mode is not self._mode:
            return f"an alert of mode {alert.mode.value} at a hub of mode {self._mode.value}"
        return ""

    def _of_its_threshold(self, alert: Alert, known: PublishedDeployment | None) -> str:
        """Rule 3."""
        if known is None or not known.subjects:
            return ""
        if known.recognisers and alert.engine.recogniser_sha256 not in known.recognisers:
            return "an alert of a recogniser that its list was not signed for"
        lowest = self._points.lowest(alert.engine, known.subjects)
        offset = known.offsets.get(alert.candidate.category or "", 0.0)
        if lowest is not None and alert.threshold < lowest + offset:
            return f"an alert at threshold {alert.threshold:.3f}, below the signed operating point"
        return ""

    def _of_its_rate(self, device: str, now: WallTime) -> str:
        """Rate limit (rule 6): a bucket of BURST that fills by RATE_PER_S."""
        at, tokens = self._tokens.get(device, (now, float(BURST)))
        tokens = min(BURST, tokens + max(0.0, (now - at).total_seconds()) * RATE_PER_S)
        self._tokens[device] = (now, max(0.0, tokens - 1.0))
        return "" if tokens >= 1.0 else f"more than {BURST} new alerts at once"


def _of_its_times(alert: Alert, now: WallTime) -> str:
    """Times (rule 4). BadData for one that does not exist."""
    decided, captured = moment(alert.decided_at), moment(alert.captured_at)
    for each in (alert.published_at, alert.expires_at, alert.sign.sensed_at):
        if each is not None:
            moment(each)
    if decided > now + CLOCKS_APART:
        return f"an alert from the future: decided at {alert.decided_at}; compare the clocks of device and hub"
    if decided < now - timedelta(days=CEILING_DAYS):
        return f"an alert from long ago: decided at {alert.decided_at}; compare the clocks of device and hub"
    return "" if captured <= decided + CLOCKS_APART else "an alert decided before its picture was taken"


def _of_its_deployment(place: Place, alert: Alert, known: PublishedDeployment | None) -> str:
    """Deployment, list and entry (rule 2)."""
    if known is None:
        return "an alert of a deployment that this hub has not published"
    if place.device not in known.devices:
        return f"an alert of {known.id}, which was not published to this device"
    if known.mode != alert.mode.value:
        return f"an alert of mode {alert.mode.value} of a deployment of mode {known.mode}"
    if known.ended_at is not None and moment(alert.decided_at) > known.ended_at + CLOCKS_APART:
        return f"an alert from after the end of {known.id}"
    if alert.candidate.watchlist_id != known.watchlist_id:
        return "an alert of another list than its deployment's"
    if known.refs is not None and alert.candidate.entry_ref not in known.refs:
        return "an alert of an entry that is not on the list"
    return ""


def _of_its_values(alert: Alert, known: PublishedDeployment | None, now: WallTime) -> str:
    """Score and retention (rule 3)."""
    if alert.score < alert.threshold:
        return "an alert below its threshold"
    delete_by = moment(alert.retention.delete_by)
    latest = now + timedelta(days=CEILING_DAYS)
    if known is not None and known.alerts_until is not None:
        latest = min(latest, known.alerts_until)
    if delete_by > latest + CLOCKS_APART:
        return "an alert that is kept longer than the signed policy allows"
    return ""


def _of_its_sizes(alert: Alert) -> str:
    """Sizes of texts (rule 5)."""
    texts = {
        "category": alert.candidate.category,
        "image source": alert.candidate.image_source,
        "response code": alert.candidate.response_code,
        "camera": alert.camera_id,
        "zone": alert.zone_id,
        "hold": alert.retention.hold,
    }
    long = [name for name, text in texts.items() if text is not None and len(text) > TEXT_MOST]
    return f"an alert whose {long[0]} has more than {TEXT_MOST} letters" if long else ""
