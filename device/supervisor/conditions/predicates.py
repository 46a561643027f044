"""Predicates of the conditions, and what each finds wrong.

A predicate reads the snapshot and returns True (holds), False (fails) or None (not known yet: no deployment is loaded,
the sign settles, or no worker has answered). A finding is put in brackets behind the condition's text when it fails.

How do I add one? A function here over `Snapshot`, a row with it in tables.py, a case in BAD of
tests/unit/supervisor/test_conditions.py.
"""

from __future__ import annotations

from device.domain.camera_fault import FAULTS
from device.domain.finding import Mode
from device.domain.limits import DISK_RESERVE_BYTES, UNSIGNED_LIST_MOST
from device.domain.operating_point import per_thousand
from device.supervisor.conditions.snapshot import CameraView, Snapshot
from device.supervisor.timing import HUB_ABSENT_MOST_S

MEMORY_LOCK = frozenset({"memory_locked", "core_limit_0", "not_dumpable", "no_file_writes"})
"""What an operational deployment requires of every worker; the other protections depend on the kernel's version."""


def deployment_signed(s: Snapshot) -> bool | None:
    """Whether the officers' signatures were verified."""
    return None if s.deployment is None else s.deployment.signed


def watchlist_is_the_authorised_one(s: Snapshot) -> bool | None:
    """Whether every worker opened the list that the deployment authorises."""
    if s.deployment is None or not s.watchlists:
        return None
    return all(found == s.deployment.watchlist for found in s.watchlists)


def watchlist_size_allowed(s: Snapshot) -> bool | None:
    """Whether every opened list is neither empty nor beyond its authorised size."""
    if s.deployment is None or not s.watchlists:
        return None
    unsigned = s.live and s.deployment.mode.value != "operational"
    most = min(s.deployment.max_watchlist_size, UNSIGNED_LIST_MOST) if unsigned else s.deployment.max_watchlist_size
    return all(1 <= subjects <= most for _, _, subjects, _ in s.watchlists)


def engine_self_test_passed(s: Snapshot) -> bool | None:
    """Whether every engine that answered passed its self-test."""
    return all(not problem for problem in s.engines) if s.engines else None


def missing_protections(s: Snapshot) -> str:
    """Protections that an operational deployment requires and the kernel did not grant, by name."""
    return ", ".join(sorted({name for granted in s.protections for name in MEMORY_LOCK - granted}))


def memory_locked(s: Snapshot) -> bool | None:
    """Whether every worker has the required protections, or the deployment is not operational."""
    if s.deployment is None or not s.protections:
        return None
    return s.deployment.mode is not Mode.OPERATIONAL or not missing_protections(s)


def memory_lock_text(s: Snapshot) -> str:
    """The text of *memory locked* when it holds, which is also without the protections outside operational mode."""
    missing = missing_protections(s)
    return f"memory lock: no ({missing}); an operational deployment would not run" if missing else "memory lock: yes"


def sign_seen_dark_then_lit(s: Snapshot) -> bool | None:
    """Whether the sign was seen dark, then lit; None while it settles or is switched off."""
    return True if s.sign.proved else None if s.sign.settling or not s.sign.driven else False


def sign_can_prove_itself(s: Snapshot) -> bool | None:
    """Whether the sign can follow pulses, or the deployment is not operational."""
    return None if s.deployment is None else s.sign.pulses or s.deployment.mode is not Mode.OPERATIONAL


def sign_sensed_lit(s: Snapshot) -> bool | None:
    """Whether the sign is driven and sensed lit; None while it is off or settles."""
    if s.sign.driven and s.sign.sensed:
        return True
    return None if not s.sign.driven or s.sign.settling else False


def sign_follows_pulse(s: Snapshot) -> bool | None:
    """Whether the driven sign followed its last pulse."""
    return s.sign.follows if s.sign.driven else None


def sign_dark_when_off(s: Snapshot) -> bool | None:
    """Whether the sign is dark while it is switched off."""
    return s.sign.driven or s.sign.settling or not s.sign.sensed


def hub_and_operator_present(s: Snapshot) -> bool | None:
    """Whether the hub was seen within HUB_ABSENT_MOST_S and an operator is signed in."""
    operator = s.operator == "present" or (s.operator == "simulated" and not s.strict)
    return s.hub_absent_s is not None and s.hub_absent_s <= HUB_ABSENT_MOST_S and operator


def hub_finding(s: Snapshot) -> str:
    """What is wrong with the hub, its connection or its operator."""
    link = f": {s.link}" if s.link else ""
    if s.hub_absent_s is None:
        return f"the hub has never been online{link}"
    if s.hub_absent_s > HUB_ABSENT_MOST_S:
        return f"the hub is offline{link}"
    return "its operator is simulated, which counts for recordings only" if s.operator == "simulated" else ""


def camera_live(s: Snapshot) -> bool | None:
    """Whether at least one camera delivers pictures; None while one is still starting."""
    views = [view for view in s.cameras.values() if view is not CameraView.ENDED]
    if any(view is CameraView.ONLINE for view in views):
        return True
    unknown = (CameraView.STOPPED, CameraView.STARTING)
    return None if not views or any(view in unknown for view in views) else False


def camera_findings(s: Snapshot) -> str:
    """Each camera that is not online, with its problem."""
    return ", ".join(cameras_away(s))


def cameras_away(s: Snapshot) -> list[str]:
    """Each camera that is not online, with its problem; one whose recording has ended is not away."""
    away = [(camera, view) for camera, view in sorted(s.cameras.items()) if view is not CameraView.ONLINE]
    return [
        f"{camera} {view.value.replace('_', ' ')}{f': {text}' if (text := s.camera_problems.get(camera)) else ''}"
        for camera, view in away
        if view is not CameraView.ENDED or s.camera_problems.get(camera)
    ]


def camera_warnings(s: Snapshot) -> list[str]:
    """Each camera that recognises and has a fault that does not stop it, with what to do."""
    warned = ((camera, fault) for camera, fault in sorted(s.camera_faults.items()) if not FAULTS[fault].stops)
    return [f"camera {camera}: {FAULTS[fault].advice}" for camera, fault in warned]


def clock_synchronised(s: Snapshot) -> bool | None:
    """Whether the clock is synchronised, or a recording does not need that."""
    return s.clock_synchronised or not s.strict


def clock_trusted(s: Snapshot) -> bool | None:
    """Whether the clock is synchronised and was not set back."""
    return clock_synchronised(s) and (not s.clock_set_back or not s.strict)


def disk_reserve_free(s: Snapshot) -> bool | None:
    """Whether DISK_RESERVE_BYTES are free."""
    return s.disk_free_bytes is not None and s.disk_free_bytes >= DISK_RESERVE_BYTES


def disk_finding(s: Snapshot) -> str:
    """The free bytes, as text."""
    return "the disk does not answer" if s.disk_free_bytes is None else f"{s.disk_free_bytes / 1e6:.0f} MB are left"


def temperature_in_range(s: Snapshot) -> bool | None:
    """Whether every sensor is within its limits; without a sensor only a recording may run."""
    return s.thermal.in_range if s.thermal.in_range is not None else not s.strict


def window_finding(s: Snapshot) -> str:
    """The deployment's window."""
    return s.deployment.window if s.deployment is not None else ""


def operating_point_covered(s: Snapshot) -> bool | None:
    """Whether every worker's threshold has evidence, and its bound meets the limit."""
    if s.deployment is None or not s.operating_points:
        return None
    return all(not p.problem and p.bound is not None and p.bound <= p.limit for p in s.operating_points)


def operating_point_finding(s: Snapshot) -> str:
    """What is wrong with the operating points, as text."""
    over = (p for p in s.operating_points if p.bound is not None and p.bound > p.limit)
    words = [f"up to {per_thousand(p.bound or 0)} in 1,000 faces, limit {per_thousand(p.limit)}" for p in over]
    return "; ".join(dict.fromkeys([p.problem for p in s.operating_points if p.problem] or words or ["no evidence"]))


def operating_point_text(s: Snapshot) -> str:
    """The worst of the workers' predictions with its bound."""
    rates = [(p.bound, p.predicted, p.limit) for p in s.operating_points if None not in (p.bound, p.predicted)]
    bound, predicted, limit = max(rates, key=lambda r: r[0] or 0.0)
    return (
        f"{per_thousand(predicted or 0)} false alerts in 1,000 faces are predicted for this list, "
        f"at most {per_thousand(bound or 0)}; the limit is {per_thousand(limit)}"
    )
