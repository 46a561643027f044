"""The page's data: one complete JSON snapshot of the desk at each change, so that no update can be missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from device.domain.time import WallTime, rfc3339
from device.hub_api import messages
from tools.hub.console.case import Case, CommandView, DeviceView
from tools.hub.console.desk import Desk
from tools.hub.storage.folder import ConsoleSettings


def snapshot(
    desk: Desk,
    settings: ConsoleSettings,
    *,
    now: WallTime,
    operator: messages.Operator,
    broker_online: bool,
    broker_text: str,
    holds: Sequence[Mapping[str, Any]] = (),
    warnings: Sequence[str] = (),
    shown_views: Callable[[str], dict[str, Any] | None] = lambda _: None,
) -> dict[str, Any]:
    """Everything that the page shows. Oldest case first, so that a new one moves none; open before judged ones."""
    held = {str(each["alert_id"]): str(each["kind"]) for each in holds}
    cases = sorted(desk.cases.values(), key=lambda c: c.arrived)
    cases.sort(key=lambda c: c.outcome is not None)
    return {
        "now": rfc3339(now),
        "site": settings.site,
        "mode": settings.mode.value,
        "operator": operator,
        "operator_present": operator == "present",
        "broker": {"online": broker_online, "text": broker_text},
        "devices": [
            {
                **_device(name, view, view.unknown_because(now, broker_online=broker_online)),
                "view": shown_views(name),
            }
            for name, view in sorted(desk.devices.items())
        ],
        "cases": [{**_case(case, desk, settings), "hold": held.get(case.alert.alert_id)} for case in cases],
        "holds": list(holds),
        "warnings": [*warnings, *(_overdue(each) for each in holds if each["overdue"])],
        "left_unjudged": desk.left_unjudged,
        "desk_problem": desk.store_problem,
        "receipts": list(reversed(desk.receipts)),
    }


def _device(name: str, view: DeviceView, unknown: str) -> dict[str, Any]:
    """One device; while its state is not known, none of it is shown as current."""
    if unknown:
        view = DeviceView(
            stats=view.stats,
            watchlist=view.watchlist,
            heard_at=view.heard_at,
            faults=view.faults,
            command=view.command,
        )
    stats, health = view.stats, view.health
    return {
        "id": name,
        "unknown": unknown or None,
        "heard_at": None if view.heard_at is None else rfc3339(view.heard_at),
        "command": None if view.command is None else _command(view.command),
        "faults": [{"problem": problem, "count": n} for problem, n in view.faults.items()],
        "status": view.status.status if view.status else "unknown",
        "state": view.state.state if view.state else None,
        "mode": view.state.mode.value if view.state and view.state.mode else None,
        "since": view.state.since if view.state else None,
        "inhibit_reasons": view.state.inhibit_reasons if view.state else [],
        "conditions": [msgspec.to_builtins(c) for c in view.state.conditions] if view.state else [],
        "live_view": msgspec.to_builtins(view.state.live_view) if view.state and view.state.live_view else None,
        "lamps": msgspec.to_builtins(view.state.lamps) if view.state and view.state.lamps else None,
        "cameras": {
            camera: f"{status.status}, pictures damaged" if status.damaged else status.status
            for camera, status in sorted(view.cameras.items())
        },
        "watchlist": _watchlist(view),
        "stats": msgspec.to_builtins(stats) if stats else None,
        "fps": None if unknown else health.fps if health and health.fps is not None else stats.fps if stats else None,
        "outbox_waiting": health.outbox_waiting if health else None,
    }


def _overdue(held: Mapping[str, Any]) -> str:
    return (
        f"the {held['kind']} hold of case {str(held['alert_id'])[-6:]} was to be reviewed by {held['review_by'][:10]}: "
        f"its owner is {held['owner']}"
    )


def _command(command: CommandView) -> dict[str, Any]:
    return {
        "name": command.name,
        "given_by": command.given_by,
        "at": rfc3339(command.at),
        "result": command.result,
        "reason": command.reason,
    }


def _watchlist(view: DeviceView) -> dict[str, Any] | None:
    state = view.watchlist
    if state is None:
        return None
    return {"subjects": state.subjects, "images": state.images, "erased": state.erased_at is not None}


def _rival(alert_id: str, desk: Desk) -> dict[str, Any]:
    """Another alert for the same entry at the same time: its id, and when it was seen if the hub has it."""
    case = desk.cases.get(alert_id)
    return {"id": alert_id, "captured_at": case.alert.captured_at if case else None}


def _case(case: Case, desk: Desk, settings: ConsoleSettings) -> dict[str, Any]:
    alert = case.alert
    entry = settings.entries.get(alert.candidate.entry_ref)
    picture = desk.pictures.get(alert.alert_id)
    return {
        "id": alert.alert_id,
        "revision": alert.revision,
        "device": case.device,
        "camera": alert.camera_id,
        "zone": alert.zone_id,
        "mode": alert.mode.value,
        "label": entry.label if entry else "Listed person",
        "category": alert.candidate.category or (entry.category if entry else None),
        "response_code": alert.candidate.response_code or (entry.response_code if entry else None),
        "captured_at": alert.captured_at,
        "latency_ms": alert.latency_ms,
        "historical": alert.historical,
        "expires_at": alert.expires_at,
        "score": alert.score,
        "threshold": alert.threshold,
        "margin": alert.margin,
        "second_best_gap": alert.second_best_gap,
        "quality": alert.probe.quality.shot,
        "faces_used": alert.track.faces_used,
        "inter_eye_px": alert.track.inter_eye_px,
        "list_size": alert.list_size,
        "predicted_far": alert.predicted_far,
        "look_alike": entry.look_alike if entry else None,
        "image_source": alert.candidate.image_source,
        "image_age_days": alert.candidate.image_age_days,
        "sign": alert.sign.state,
        "blue_list": alert.blue_list,
        "delete_by": rfc3339(case.delete_by),
        "picture_damaged": alert.picture_damaged,
        "contradicted_by": [_rival(each.alert_id, desk) for each in alert.contradicted_by],
        "outcome": case.outcome,
        "engagement": case.engagement,
        "disposition": case.disposition,
        "probe": picture.version if picture else None,
        "reference": entry is not None,
        "judgeable": entry is not None,
    }
