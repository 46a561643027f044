"""What Prometheus may know of a hub: states, counts and ages, read from the desk when they are asked for.

1. Nothing here points to a person: no alert id, no entry, no officer, no score. How long the oldest open case waits is
   here, for a rule that calls an operator; whose it is, or at which device, is not. The only labels are LABELS.
2. What is not known is not exported: of a device that has sent nothing for 15 s, or while the broker is away, only its
   age and its counts are left, and its state is `unknown`.
3. What a device names itself (sensor, camera, deployment) is bounded in number and form: a device cannot fill the
   database that reads this. Conditions are those of the tables.
4. Counts are of the deployments that were last reported, RECENT of them; the report has them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from device.domain.conditions import ConditionName
from device.domain.time import WallTime
from device.hub_api import messages
from device.hub_api.topics import LEVEL
from tools.hub.console.access import wall_now
from tools.hub.console.case import DeviceView
from tools.hub.console.desk import Desk
from tools.hub.report.tallies import Deployment, Tallies

LABELS = frozenset(
    (
        "site",
        "mode",
        "operator",
        "device",
        "state",
        "status",
        "table",
        "condition",
        "sensor",
        "camera",
        "deployment",
        "outcome",
        "what",
        "reason",
    )
)
STATES = ("safe", "ready", "armed", "recognising", "inhibited", "ending", "unknown")
STATUSES = ("online", "offline", "stopped", "unknown")
OUTCOMES = ("open", "true_alert", "false_alert", "not_adjudicated")
CONDITIONS = frozenset(name.value for name in ConditionName)
RECENT = 8
MOST_NAMED = 32
"""Sensors or cameras of one device."""


class Link(Protocol):
    """What the exporter reads of the hub's session (console/session.py)."""

    online: bool
    refused: int

    def waiting(self) -> int: ...


class Source(Protocol):
    """What the exporter reads of a console (console/console.py)."""

    desk: Desk
    tallies: Tallies

    @property
    def operator(self) -> messages.Operator: ...

    @property
    def session(self) -> Link: ...

    @property
    def failing(self) -> Iterable[str]: ...

    def certificate_warnings(self) -> list[str]: ...


class HubCollector(Collector):
    """Reads everything anew for each answer; on the console's loop, which the desk belongs to."""

    def __init__(self, source: Source, site: str, mode: str) -> None:
        self._source = source
        self._identity = {"site": site, "mode": mode}

    def collect(self) -> Iterator[Metric]:
        """Every metric; one without a value has its name and help alone."""
        now = wall_now()
        yield from self._hub(now)
        known = {
            name: (view, not view.unknown_because(now, broker_online=self._source.session.online))
            for name, view in sorted(self._source.desk.devices.items())
        }
        yield from _devices(known, now)
        yield from _machines({name: view for name, (view, is_known) in known.items() if is_known})
        yield from _deployments(self._source)

    def _hub(self, now: WallTime) -> Iterator[Metric]:
        source = self._source
        desk, link = source.desk, source.session
        info = GaugeMetricFamily("lfr_hub_info", "Always 1; which hub this is.", labels=list(self._identity))
        info.add_metric(list(self._identity.values()), 1)
        yield info
        yield _one("lfr_hub_broker_connected", "Whether the hub has a session with its broker.", link.online)
        operator = GaugeMetricFamily("lfr_hub_operator", "1 for what is reported to the devices.", labels=["operator"])
        for value in get_args(messages.Operator):
            operator.add_metric([value], source.operator == value)
        yield operator
        opened = [case.arrived for case in desk.cases.values() if case.outcome is None]
        oldest_s = max((now - min(opened)).total_seconds(), 0.0) if opened else 0.0
        yield _one("lfr_hub_open_cases", "Possible matches that nobody has judged.", len(opened))
        yield _one("lfr_hub_oldest_open_case_seconds", "How long the oldest of them waits; 0 without any.", oldest_s)
        yield _one("lfr_hub_unsettled_judgements", "Judgements and stops that no device has settled.", link.waiting())
        yield _one("lfr_hub_disk_refuses", "Whether the desk cannot be written.", bool(desk.store_problem))
        yield _one("lfr_hub_failing_steps", "Steps of the hub's upkeep that fail.", len(list(source.failing)))
        warnings = len(source.certificate_warnings())
        yield _one("lfr_hub_certificate_warnings", "Certificates that end within 14 days, or have ended.", warnings)
        refused = CounterMetricFamily("lfr_hub_refused_messages", "Messages of devices that were refused.")
        refused.add_metric([], link.refused)
        yield refused


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _devices(known: Mapping[str, tuple[DeviceView, bool]], now: WallTime) -> Iterator[Metric]:
    """Whether each device is alive and what it does: known or not (rule 2)."""
    is_known = GaugeMetricFamily("lfr_device_known", "Whether its state is known now.", labels=["device"])
    age = GaugeMetricFamily("lfr_device_last_message_seconds", "Time since it last sent anything.", labels=["device"])
    status = GaugeMetricFamily("lfr_device_status", "1 for its session's status.", labels=["device", "status"])
    state = GaugeMetricFamily("lfr_device_state", "1 for the state that it is in.", labels=["device", "state"])
    faults = CounterMetricFamily(
        "lfr_device_refused_messages", "Its messages that were refused, of the kinds on the page.", labels=["device"]
    )
    for name, (view, alive) in known.items():
        is_known.add_metric([name], alive)
        if view.heard_at is not None:
            age.add_metric([name], max((now - view.heard_at).total_seconds(), 0.0))
        its_state = view.state.state if alive and view.state is not None else "unknown"
        its_status = view.status.status if alive and view.status is not None else "unknown"
        for value in STATES:
            state.add_metric([name, value], value == its_state)
        for value in STATUSES:
            status.add_metric([name, value], value == its_status)
        faults.add_metric([name], sum(view.faults.values()))
    yield from (is_known, age, status, state, faults)


def _machines(views: Mapping[str, DeviceView]) -> Iterator[Metric]:
    """What the devices whose state is known report of themselves."""
    yield _conditions(views)
    temperature = GaugeMetricFamily(
        "lfr_device_temperature_celsius", "Temperature of a sensor.", labels=["device", "sensor"]
    )
    camera = GaugeMetricFamily(
        "lfr_device_camera_online", "Whether a camera gives whole, moving pictures.", labels=["device", "camera"]
    )
    lit = GaugeMetricFamily("lfr_device_sign_sensed_lit", "Whether the sign is sensed lit.", labels=["device"])
    synced = GaugeMetricFamily("lfr_device_clock_synced", "Whether its clock can be trusted.", labels=["device"])
    readings = [
        (GaugeMetricFamily(f"lfr_device_{name}", text, labels=["device"]), field) for name, field, text in OF_HEALTH
    ]
    for name, view in views.items():
        for camera_id in _bounded(view.cameras):
            camera.add_metric([name, camera_id], view.cameras[camera_id].status == "online")
        if view.state is not None and view.state.lamps is not None:
            lit.add_metric([name], view.state.lamps.sign_sensed)
        health = view.health
        if health is None:
            continue
        for sensor in _bounded(health.temperature_c):
            temperature.add_metric([name, sensor], health.temperature_c[sensor])
        if health.clock is not None:
            synced.add_metric([name], health.clock.synced)
        for family, field in readings:
            value = getattr(health, field)
            if value is not None:
                family.add_metric([name], float(value))
    yield from (temperature, camera, lit, synced, *(family for family, _ in readings))


OF_HEALTH = (
    ("frames_per_second", "fps", "Frames that it looks at in a second."),
    ("outbox_messages", "outbox_waiting", "Messages that wait for the hub."),
    ("power_watts", "power_w", "What it consumes."),
    ("disk_free_bytes", "disk_free_bytes", "Free on its disk."),
    ("resident_memory_bytes", "rss_bytes", "Memory of its processes."),
    ("gpu_free_bytes", "gpu_free_bytes", "Memory of its GPU that is left."),
    ("throttled", "throttled", "Whether it has reduced its clock."),
)
"""Metric, field of messages.Health, help."""


def _conditions(views: Mapping[str, DeviceView]) -> Metric:
    family = GaugeMetricFamily(
        "lfr_device_condition_holds",
        "Whether a condition holds; one that is not known yet does not.",
        labels=["device", "table", "condition"],
    )
    for name, view in views.items():
        rows = {(row.table, row.name): row.result for row in (view.state.conditions if view.state else ())}
        for (table, condition), result in rows.items():
            if condition in CONDITIONS:
                family.add_metric([name, table, condition], result == "holds")
    return family


def _bounded(names: Iterable[str]) -> list[str]:
    """Of names that a device chose, those that may be a label's value (rule 3)."""
    return [name for name in sorted(names) if LEVEL.fullmatch(name)][:MOST_NAMED]


def _deployments(source: Source) -> Iterator[Metric]:
    """Counts of the latest deployments (rule 4)."""
    latest = sorted(source.tallies.book.deployments.values(), key=lambda each: each.last_at or "", reverse=True)
    shown = [each for each in latest if LEVEL.fullmatch(each.deployment_id)][:RECENT]
    for name, field, unit, text in OF_BOOTS:
        total = CounterMetricFamily(name, text, labels=["deployment"])
        for each in shown:
            total.add_metric([each.deployment_id], each.total(field) / unit)
        yield total
    received = CounterMetricFamily(
        "lfr_alerts_received", "Possible matches that reached the hub.", labels=["deployment"]
    )
    left = CounterMetricFamily(
        "lfr_alerts_left_unjudged", "Erased for others; the desk was full.", labels=["deployment"]
    )
    alerts = GaugeMetricFamily(
        "lfr_alerts", "Possible matches by outcome; one that is judged anew moves.", labels=["deployment", "outcome"]
    )
    rate = GaugeMetricFamily("lfr_false_alert_ratio", "False alerts by faces seen.", labels=["deployment"])
    erased = CounterMetricFamily(
        "lfr_erasures", "What receipts say was erased.", labels=["deployment", "what", "reason"]
    )
    for each in shown:
        received.add_metric([each.deployment_id], each.alerts_received)
        left.add_metric([each.deployment_id], each.left_unjudged)
        for outcome, count in _outcomes(each, source.desk).items():
            alerts.add_metric([each.deployment_id, outcome], count)
        if seen := each.total("faces_seen"):
            rate.add_metric([each.deployment_id], each.outcomes.get("false_alert", 0) / seen)
        for kind, count in sorted(each.erasures.items()):
            what, _, reason = kind.partition(".")
            erased.add_metric([each.deployment_id, what, reason], count)
    yield from (received, alerts, left, rate, erased)


OF_BOOTS = (
    ("lfr_faces_seen", "faces_seen", 1, "People whose passage was compared."),
    ("lfr_faces_discarded", "discarded", 1, "Of them, those whose data was erased without an alert."),
    ("lfr_faces_lost", "lost", 1, "Of them, those whose worker died."),
    ("lfr_frames_dropped", "dropped_frames", 1, "Frames that no worker looked at."),
    ("lfr_sign_dark_seconds", "sign_dark_ms", 1000, "How long the sign was dark while somebody could be recognised."),
)
"""Metric, field of tallies.BootCounts, how many of it are one, help."""


def _outcomes(deployment: Deployment, desk: Desk) -> dict[str, int]:
    waiting = (c for c in desk.cases.values() if c.alert.deployment_id == deployment.deployment_id)
    opened = sum(1 for case in waiting if case.outcome is None)
    return {outcome: deployment.outcomes.get(outcome, 0) for outcome in OUTCOMES} | {"open": opened}
