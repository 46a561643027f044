"""The state of the whole device at one moment, and its forms: MQTT notices and status file (the line: line.py)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from device.audit.rows import Head
from device.config.deployment import Window
from device.domain.camera_fault import FAULTS
from device.domain.finding import Counters, Mode
from device.domain.symptoms.names import Health
from device.domain.symptoms.table import advice
from device.domain.time import NS_PER_MS, WallTime, rfc3339, wall
from device.hub_api import messages
from device.hub_api.alert_builder import stats_from
from device.ports.gpio import TOWER, Lamp
from device.supervisor.conditions.condition import Evaluation
from device.supervisor.conditions.evaluation import failing
from device.supervisor.conditions.predicates import camera_warnings, cameras_away
from device.supervisor.conditions.snapshot import CameraView, OperatingView, Snapshot
from device.supervisor.runtime.board_state import UNKNOWN_BOARD, BoardView
from device.supervisor.runtime.latency_drift import slowest
from device.supervisor.sign.blink_codes import BlinkCode
from device.supervisor.sign.monitor import SignCounts
from device.supervisor.state_machine import State
from device.supervisor.status.certificates import CertificatesView
from device.wire.link import Beat, Hello, WatchlistLoaded

CameraWord = Literal["online", "frozen", "dark", "offline", "disabled", "ended"]
CAMERA_WORDS: dict[CameraView, CameraWord] = {
    CameraView.ONLINE: "online",
    CameraView.FROZEN: "frozen",
    CameraView.STALLED: "frozen",
    CameraView.DARK: "dark",
    CameraView.COVERED: "dark",
    CameraView.OVEREXPOSED: "dark",
    CameraView.DISABLED: "disabled",
    CameraView.ENDED: "ended",
}
"""The contract's words; a camera that is none of these is `offline`. Which fault it has is a field of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """beats, camera_since: by camera. lost: people whose worker died while it held their passages in memory.

    software        what a person should know of the last update of the software
    probes_dropped  probes of candidates without a published alert, erased at once (AlertService, rule 3)
    """

    at: WallTime
    state: State
    since: WallTime
    mode: Mode | None
    snapshot: Snapshot
    evaluations: tuple[Evaluation, ...]
    lamps: dict[Lamp, bool]
    tower: BlinkCode
    simulated: bool
    totals: Counters
    alerts: int
    lost: int
    probes_dropped: int
    beats: dict[str, Beat]
    camera_since: dict[str, WallTime]
    broker: str
    waiting: int
    sign_counts: SignCounts
    live_view: messages.LiveViewReading
    board: BoardView = UNKNOWN_BOARD
    stage_start_ms: dict[str, float] = field(default_factory=dict)
    slower_stages: tuple[str, ...] = ()
    software: str = ""
    certificates: CertificatesView = field(default_factory=CertificatesView)

    @property
    def deployment_id(self) -> str | None:
        return None if self.snapshot.deployment is None else self.snapshot.deployment.id

    @property
    def fps(self) -> float:
        return sum(beat.fps for beat in self.beats.values())

    @property
    def stage_p95_ms(self) -> dict[str, float]:
        """Each stage's p95 of its slowest camera."""
        return slowest({camera: beat.stage_p95_ms for camera, beat in self.beats.items()})


def warnings(view_now: StatusView) -> list[str]:
    """What an operator should see to although the device recognises: cameras that are away, or see badly."""
    snapshot = view_now.snapshot
    away = cameras_away(snapshot) if view_now.state is State.RECOGNISING else []
    news = [f"software: {view_now.software}"] if view_now.software else []
    certificates = view_now.certificates.warnings(view_now.at)
    seen = [*(f"camera {one}" for one in away), *camera_warnings(snapshot)]
    return [*seen, *certificates, *board_warnings(view_now), *news]


def board_warnings(view_now: StatusView) -> list[str]:
    """What limits the machine now; it recognises, and may drop frames."""
    board, found = view_now.board, []
    if board.limited_by:
        found.append(advice(Health.SUPPLY, ", ".join(board.limited_by)))
    if view_now.snapshot.thermal.throttled:
        found.append(advice(Health.SLOWED_BY_HEAT, view_now.snapshot.thermal.finding))
    if board.memory is not None and board.memory_low:
        found.append(advice(Health.MEMORY_LOW, f"{board.memory.available_bytes // 2**20} MiB left"))
    if view_now.slower_stages:
        now, start = view_now.stage_p95_ms, view_now.stage_start_ms
        each = (f"{one} {start[one]:.1f} -> {now.get(one, 0.0):.1f} ms" for one in view_now.slower_stages)
        found.append(advice(Health.ENGINE_SLOWER, ", ".join(each)))
    return found


def reasons(view_now: StatusView) -> list[str]:
    """Every reason not to recognise: the text of each failing condition."""
    return [evaluation.text for evaluation in failing(view_now.evaluations)]


def state_message(view_now: StatusView) -> messages.DeviceState:
    """The retained state notice."""
    return messages.DeviceState(
        mode=view_now.mode,
        state=view_now.state.value,
        since=rfc3339(view_now.since),
        inhibit_reasons=reasons(view_now),
        conditions=[_condition(evaluation) for evaluation in view_now.evaluations],
        lamps=_lamps(view_now),
        deployment_id=view_now.deployment_id,
        live_view=msgspec.structs.replace(view_now.live_view, given_by=None),  # bridges and auditors read the state
    )


def camera_messages(view_now: StatusView) -> list[messages.CameraStatus]:
    """One retained notice per camera; a camera without a worker is `offline`."""
    snapshot = view_now.snapshot
    return [
        messages.CameraStatus(
            mode=view_now.mode,
            camera_id=camera,
            status=CAMERA_WORDS.get(view, "offline"),
            since=rfc3339(view_now.camera_since[camera]),
            damaged=camera in view_now.beats and view_now.beats[camera].damaged_share > 0,
            fault=snapshot.camera_faults.get(camera),
            text=_camera_text(snapshot, camera),
        )
        for camera, view in snapshot.cameras.items()
    ]


def stats_message(view_now: StatusView, boot_id: str) -> messages.Stats:
    """Counts since boot over all runs of all workers; `alerts` is the supervisor's own count."""
    stats = stats_from(
        view_now.totals,
        mode=view_now.mode,
        boot_id=boot_id,
        fps=view_now.fps,
        at=view_now.at,
        deployment_id=view_now.deployment_id,
    )
    sign = view_now.sign_counts
    return msgspec.structs.replace(
        stats,
        alerts=view_now.alerts,
        lost=view_now.lost,
        sign_dark_ms=sign.dark_ns // NS_PER_MS,
        sign_stops=sign.stops,
        sign_pulses=sign.pulses,
        sign_pulses_failed=sign.pulses_failed,
        probes_dropped=view_now.probes_dropped,
    )


def sign_health(view_now: StatusView) -> messages.SignHealth:
    """The sign's state as the health notice reports it."""
    sign = view_now.snapshot.sign
    return messages.SignHealth(
        driven=sign.driven,
        sensed=sign.sensed,
        proved=sign.proved,
        follows=sign.follows,
        lag_ms=sign.lag_ms,
        pulses=sign.pulses,
        problem=sign.problem or sign.finding,
    )


def audit_message(mode: Mode | None, head: Head) -> messages.AuditHead:
    """A signed head of the audit log, as it is published."""
    return messages.AuditHead(mode=mode, **msgspec.structs.asdict(head))


def operating_view(loaded: WatchlistLoaded) -> OperatingView:
    """The operating point as the conditions evaluate it."""
    return OperatingView(
        predicted=loaded.predicted_far,
        bound=loaded.predicted_far_bound,
        limit=loaded.false_alert_limit,
        problem=loaded.outside_evidence,
    )


def engine_message(hello: Hello) -> messages.Engine:
    """The engine, as alerts and the birth certificate name it."""
    return messages.Engine(
        backend=hello.backend,
        detector=hello.detector,
        recogniser=hello.recogniser,
        detector_sha256=hello.detector_sha256,
        recogniser_sha256=hello.recogniser_sha256,
    )


def watchlist_message(
    mode: Mode | None, loaded: WatchlistLoaded, window: Window, withdrawn: int
) -> messages.WatchlistState:
    """The loaded list, and its greatest allowed size."""
    return messages.WatchlistState(
        mode=mode,
        watchlist_id=loaded.watchlist_id,
        sha256=loaded.sha256,
        subjects=loaded.subjects,
        images=loaded.images,
        withdrawn=withdrawn,
        valid_from=rfc3339(wall(window.start)),
        valid_to=rfc3339(wall(window.end)),
    )


def status(view_now: StatusView, pid: int, site: str, device: str) -> dict[str, Any]:
    """The content of `lfr status --json`."""
    return {
        "site": site,
        "device": device,
        "pid": pid,
        "written_at": rfc3339(view_now.at),
        "state": view_now.state.value,
        "since": rfc3339(view_now.since),
        "mode": None if view_now.mode is None else view_now.mode.value,
        "deployment": view_now.deployment_id,
        "conditions": [
            {
                "name": evaluation.condition.name.value,
                "table": evaluation.condition.table.value,
                "rule": evaluation.condition.rule,
                "result": evaluation.result.value,
                "text": evaluation.text,
            }
            for evaluation in view_now.evaluations
        ],
        "sign": {"simulated": view_now.simulated, **_sign(view_now)},
        "lamps": {lamp.value: lit for lamp, lit in view_now.lamps.items() if lamp not in TOWER},
        "tower": {"code": view_now.tower.text, "meaning": view_now.tower.meaning},
        "cameras": {camera: _camera(view_now, camera) for camera in view_now.snapshot.cameras},
        "warnings": warnings(view_now),
        "live_view": msgspec.to_builtins(view_now.live_view),
        "temperature": _temperature(view_now),
        "board": _board(view_now),
        "certificates": view_now.certificates.as_json(view_now.at),
        "stages": _stages(view_now),
        "broker": view_now.broker,
        "outbox_waiting": view_now.waiting,
        "alerts": view_now.alerts,
        "lost": view_now.lost,
        "probes_dropped": view_now.probes_dropped,
        "counters": msgspec.to_builtins(view_now.totals),
    }


def _sign(view_now: StatusView) -> dict[str, Any]:
    counts = view_now.sign_counts
    return {
        **msgspec.to_builtins(sign_health(view_now)),
        "dark_ms": counts.dark_ns // NS_PER_MS,
        "stops": counts.stops,
        "pulses": counts.pulses,
        "pulses_failed": counts.pulses_failed,
    }


def _temperature(view_now: StatusView) -> dict[str, Any]:
    thermal = view_now.snapshot.thermal
    return {"in_range": thermal.in_range, "finding": thermal.finding, "throttled": thermal.throttled}


def _board(view_now: StatusView) -> dict[str, Any]:
    """Readings of the board; null where this machine has none."""
    board = view_now.board
    return {
        "gpu_load": board.gpu_load,
        "power_mode": board.power_mode and (board.power_mode.name or str(board.power_mode.number)),
        "limited_by": board.limited_by,
        "over_current_events": board.over_current,
        "memory_available_bytes": board.memory and board.memory.available_bytes,
        "memory_total_bytes": board.memory and board.memory.total_bytes,
    }


def _stages(view_now: StatusView) -> dict[str, Any]:
    """p95 of each stage now and at the start of the program; null until the latter is known."""
    return {
        stage: {
            "p95_ms": now,
            "p95_start_ms": view_now.stage_start_ms.get(stage),
            "slower": stage in view_now.slower_stages,
        }
        for stage, now in view_now.stage_p95_ms.items()
    }


def _camera_text(snapshot: Snapshot, camera: str) -> str:
    """What is wrong with a camera and what to do; empty when nothing is."""
    fault = snapshot.camera_faults.get(camera)
    return snapshot.camera_problems.get(camera, "") or ("" if fault is None else FAULTS[fault].advice)


def _camera(view_now: StatusView, camera: str) -> dict[str, Any]:
    beat = view_now.beats.get(camera)
    return {
        "status": view_now.snapshot.cameras[camera].value,
        "problem": _camera_text(view_now.snapshot, camera),
        "fault": None if (fault := view_now.snapshot.camera_faults.get(camera)) is None else fault.value,
        "fps": None if beat is None else round(beat.fps, 1),
        "rss_bytes": None if beat is None else beat.rss_bytes,
        "gpu_free_bytes": None if beat is None else beat.gpu_free_bytes,
        "stage_p95_ms": {} if beat is None else beat.stage_p95_ms,
    }


def _condition(evaluation: Evaluation) -> messages.ConditionReading:
    return messages.ConditionReading(
        name=evaluation.condition.name.value,
        table=evaluation.condition.table.value,
        result=evaluation.result.value,
        text=evaluation.text,
        rule=evaluation.condition.rule,
    )


def _lamps(view_now: StatusView) -> messages.LampReading:
    sign, lamps = view_now.snapshot.sign, view_now.lamps
    return messages.LampReading(
        sign_driven=sign.driven,
        sign_sensed=sign.sensed,
        power=lamps[Lamp.POWER],
        recognising=lamps[Lamp.RECOGNISING],
        alert=lamps[Lamp.ALERT],
        fault=lamps[Lamp.FAULT],
        simulated=view_now.simulated,
        hub=lamps[Lamp.HUB],
        tower=view_now.tower.text,
    )
