"""Conditions as data: two ordered tables. Everything that says why (lfr why, systemd, MQTT, the log) prints from here.

1. A row's predicate answers True (holds), False (fails) or None (not known yet: no deployment is loaded, the sign is
   settling, or a worker has not answered). Only True lets anybody be recognised.
2. `known_from` says when a row can be known. The sign is lit while no DEVICE row of either table fails; workers may run
   while, in addition, every SIGN row holds; the device recognises while every row holds.
3. A failing row ends recognition. It also stops the workers, except `camera live`: only a worker sees a camera return.
4. A refusal of what the hub publishes (device/sync) fails the row that it names, whatever its predicate says.
5. Rows whose substance comes later are present, marked not required, and shown as `not yet required`.
"""

from __future__ import annotations

from collections.abc import Iterable

from device.domain.finding import Mode
from device.supervisor.conditions import explanations, predicates
from device.supervisor.conditions.condition import Condition as Condition
from device.supervisor.conditions.condition import Evaluation as Evaluation
from device.supervisor.conditions.condition import KnownFrom as KnownFrom
from device.supervisor.conditions.condition import Result as Result
from device.supervisor.conditions.condition import Table as Table
from device.supervisor.conditions.snapshot import CameraView, Snapshot

SIGN_RULE = "R15"
HUB_ABSENT_MOST_S = 5.0  # an alert that nobody can judge is useless; a reconnection takes 1 to 3 s
DISK_RESERVE_BYTES = 256_000_000  # the outbox may grow to this (alerts.outbox.MAX_BYTES)
MEMORY_LOCK = frozenset({"memory_locked", "core_limit_0", "not_dumpable", "no_file_writes"})
"""What an operational deployment requires of every worker; the other protections depend on the kernel's version."""
UNSIGNED_LIST_MOST = 10  # consenting subjects in front of a live camera outside operational mode (DESIGN, section 4)


def _signed(s: Snapshot) -> bool | None:
    return None if s.deployment is None else s.deployment.signed


def _watchlist_is_the_authorised_one(s: Snapshot) -> bool | None:
    if s.deployment is None or not s.watchlists:
        return None
    return all(found == s.deployment.watchlist for found in s.watchlists)


def _watchlist_fits(s: Snapshot) -> bool | None:
    if s.deployment is None or not s.watchlists:
        return None
    unsigned = s.live and s.deployment.mode.value != "operational"
    most = min(s.deployment.max_watchlist_size, UNSIGNED_LIST_MOST) if unsigned else s.deployment.max_watchlist_size
    return all(1 <= subjects <= most for _, _, subjects, _ in s.watchlists)


def _engine_answered(s: Snapshot) -> bool | None:
    return all(not problem for problem in s.engines) if s.engines else None


def _missing_protections(s: Snapshot) -> str:
    return ", ".join(sorted({name for granted in s.protections for name in MEMORY_LOCK - granted}))


def _memory_locked(s: Snapshot) -> bool | None:
    if s.deployment is None or not s.protections:
        return None
    return s.deployment.mode is not Mode.OPERATIONAL or not _missing_protections(s)


def _memory_lock(s: Snapshot) -> str:
    missing = _missing_protections(s)
    return f"memory lock: no ({missing}); an operational deployment would not run" if missing else "memory lock: yes"


def _sign_proved(s: Snapshot) -> bool | None:
    return True if s.sign.proved else None if s.sign.settling or not s.sign.driven else False


def _sign_can_prove(s: Snapshot) -> bool | None:
    return None if s.deployment is None else s.sign.pulses or s.deployment.mode is not Mode.OPERATIONAL


def _sign_lit(s: Snapshot) -> bool | None:
    if s.sign.driven and s.sign.sensed:
        return True
    return None if not s.sign.driven or s.sign.settling else False


def _sign_follows(s: Snapshot) -> bool | None:
    return s.sign.follows if s.sign.driven else None


def _no_false_light(s: Snapshot) -> bool | None:
    return s.sign.driven or s.sign.settling or not s.sign.sensed


def _hub_present(s: Snapshot) -> bool | None:
    operator = s.operator == "present" or (s.operator == "simulated" and not s.in_earnest)
    return s.hub_absent_s is not None and s.hub_absent_s <= HUB_ABSENT_MOST_S and operator


def _hub(s: Snapshot) -> str:
    link = f": {s.link}" if s.link else ""
    if s.hub_absent_s is None:
        return f"the hub was never heard{link}"
    if s.hub_absent_s > HUB_ABSENT_MOST_S:
        return f"the hub is away{link}"
    return "its operator is simulated, which counts for recordings only" if s.operator == "simulated" else ""


def _camera_live(s: Snapshot) -> bool | None:
    views = [view for view in s.cameras.values() if view is not CameraView.ENDED]
    if any(view is CameraView.ONLINE for view in views):
        return True
    unknown = (CameraView.STOPPED, CameraView.STARTING)
    return None if not views or any(view in unknown for view in views) else False


def _cameras(s: Snapshot) -> str:
    seen = (f"{camera} {view.value}" for camera, view in sorted(s.cameras.items()) if view is not CameraView.ONLINE)
    return ", ".join((*seen, *(f"{camera}: {text}" for camera, text in sorted(s.camera_problems.items()) if text)))


def _clock_good(s: Snapshot) -> bool | None:
    return s.clock_synchronised or not s.in_earnest


def _clock_trusted(s: Snapshot) -> bool | None:
    return _clock_good(s) and (not s.clock_set_back or not s.in_earnest)


def _disk_good(s: Snapshot) -> bool | None:
    return s.disk_free_bytes is not None and s.disk_free_bytes >= DISK_RESERVE_BYTES


def _disk(s: Snapshot) -> str:
    return "the disk does not answer" if s.disk_free_bytes is None else f"{s.disk_free_bytes / 1e6:.0f} MB are left"


def _temperature_good(s: Snapshot) -> bool | None:
    return s.thermal.in_range if s.thermal.in_range is not None else not s.in_earnest


def _window(s: Snapshot) -> str:
    return s.deployment.window if s.deployment is not None else ""


A, R, D, W = Table.ARM, Table.RUN, KnownFrom.DEVICE, KnownFrom.WORKER
BACK_REMEDY = "set it right; if it is right now, restart the service: it began with a wrong time"
CLOCK_REMEDY = "start the time service (chrony, or systemd-timesyncd) and wait until it has synchronised"
DISK_REMEDY = f"free space in the state folder: {DISK_RESERVE_BYTES // 1_000_000} MB are kept for alerts"
HEAT_REMEDY = "let it cool: check fan, filter, sun on the housing and the power mode"
SIGN_REMEDY = "shade the sensor; look for a short, a stuck relay, a supply that holds up (device/edges/gpio/WIRING.md)"
SIGNED_REMEDY = "have it signed (lfr deployment sign) and published; check root of trust and clock of this device"
WINDOW_REMEDY = "wait for it to begin, or load the deployment that is authorised now"

SIGN_FOLLOWS = Condition(
    *("sign follows its pulse", R, "R15", "the sign follows a coded pulse every 30 s"),
    *("the sensed light is not this sign's: it does not follow its pulse", SIGN_REMEDY),
    predicate=_sign_follows,
    known_from=KnownFrom.SIGN,
    found=lambda s: s.sign.finding,
    held=explanations.pulse,
)
"""A sign that fails this one is put out, and proves itself anew from the dark (decide.sign_wanted)."""

ARM: tuple[Condition, ...] = (
    Condition(
        *("deployment signed", A, "R02", "the authorising officers have signed the deployment"),
        *("the deployment is not signed, or its signatures do not count", SIGNED_REMEDY),
        predicate=_signed,
    ),
    Condition(
        *("deployment loaded", A, "R02", "a deployment is loaded"),
        *("no deployment is loaded", "publish a deployment to this device"),
        predicate=lambda s: s.deployment is not None,
        found=lambda s: s.deployment_problem,
    ),
    Condition(
        *("deployment in its window", A, "R16", "the deployment is in its authorised time"),
        *("it is not the deployment's authorised time", WINDOW_REMEDY),
        predicate=lambda s: None if s.deployment is None else s.deployment.in_window,
        found=_window,
    ),
    Condition(
        *("deployment for this device", A, "R01", "the deployment names this device"),
        *("the deployment does not name this device", "load one that does"),
        predicate=lambda s: None if s.deployment is None else s.deployment.names_this_device,
    ),
    Condition(
        *("watchlist sealed to this device", A, "R01", "the watchlist is sealed to this device alone, unused before"),
        *("this device cannot open the watchlist", "let the hub issue a key envelope; an unused list is needed"),
        predicate=lambda s: None if s.deployment is None else s.deployment.sealed,
        found=lambda s: s.deployment_problem,
    ),
    Condition(
        *("watchlist fresh", A, "R01", "the watchlist is unexpired and was not older than 24 h at the start"),
        *("the watchlist has expired, is too old or not yet valid", "build and publish a new one"),
        predicate=lambda s: None if s.deployment is None else s.deployment.fresh,
    ),
    Condition(
        *("watchlist loaded", A, "R01", "the opened watchlist is the one the deployment authorises"),
        "the opened watchlist is not the one the deployment authorises",
        "build and publish the deployment again: its watchlist was replaced or damaged",
        predicate=_watchlist_is_the_authorised_one,
        known_from=W,
    ),
    Condition(
        *("watchlist size", A, "R02", "the watchlist is within its authorised size"),
        "the watchlist is empty or beyond its authorised size",
        f"shorten the list, or have a larger one authorised (live demonstrations: {UNSIGNED_LIST_MOST} subjects)",
        predicate=_watchlist_fits,
        known_from=W,
    ),
    Condition(
        *("watchlist entries", A, "R19, R20", "every entry has its category and the source of its image"),
        "the watchlist has entries without a category of the deployment, or without the source of their image",
        "build it again with both for every entry",
        predicate=lambda s: not any(s.incomplete) if s.incomplete else None,
        known_from=W,
        found=lambda s: f"{max(s.incomplete)} of them",
    ),
    Condition(
        *("operating point", A, "R26", "the predicted false alert rate for this list is within its limit"),
        *("too many false alerts are possible with this list", predicates.REMEDY, predicates.covered, W),
        found=predicates.objections,
        held=predicates.prediction,
    ),
    Condition(
        *("engine self-test", A, "R26", "the engine runs and names its models by hash"),
        *("the engine's self-test failed", "run `lfr engines prepare`"),
        predicate=_engine_answered,
        known_from=W,
        found=lambda s: "; ".join(filter(None, s.engines)),
    ),
    Condition(
        *("engine agrees with reference", A, "R26", "the engine's self-test agrees with the reference"),
        "the engine's answers differ from the golden tensors",
        "run `lfr engines prepare --force` and `lfr engines compare`; if it stays, do not use this machine",
        predicate=lambda s: all(not problem for problem in s.references) if s.references else None,
        known_from=W,
        found=lambda s: "; ".join(filter(None, s.references)),
    ),
    Condition(
        *("memory locked", A, "R04", "the workers' memory is locked against swapping and cannot be dumped or written"),
        "a worker's memory is not locked, or could be dumped or written",
        "give the service LimitMEMLOCK=infinity and LimitCORE=0, as systemd/lfr.service has it; see `lfr doctor`",
        predicate=_memory_locked,
        known_from=W,
        found=_missing_protections,
        held=_memory_lock,
    ),
    Condition(
        *("clock synchronised", A, "R02", "the clock is synchronised"),
        *("the clock is not synchronised", CLOCK_REMEDY),
        predicate=_clock_good,
        held=explanations.clock,
    ),
    Condition(
        *("disk reserve", A, "R06", "there is room to keep alerts"),
        *("there is no room to keep alerts", DISK_REMEDY),
        predicate=_disk_good,
        found=_disk,
    ),
    Condition(
        *("sign can prove itself", A, "R15", "the sign can follow a pulse, or the deployment is not operational"),
        "a discharge lamp follows no pulse: for 10 min at a time foreign light would pass for it",
        "fit an LED sign, and set lines.sign_kind: led",
        _sign_can_prove,
    ),
    Condition(
        *("sign seen dark, then lit", A, "R15", "the sign was seen dark, then lit"),
        *("the sign was not seen dark and then lit", "check the lamp, its relay and its sensor"),
        predicate=_sign_proved,
        known_from=KnownFrom.SIGN,
    ),
)

RUN: tuple[Condition, ...] = (
    Condition(
        *("sign sensed lit", R, "R15", "the sign is sensed lit"),
        *("the sign is switched on and sensed dark", "check the lamp, its relay and its sensor"),
        predicate=_sign_lit,
        known_from=KnownFrom.SIGN,
        found=lambda s: s.sign.problem,
    ),
    SIGN_FOLLOWS,
    Condition(
        *("sign dark when off", R, "R15", "the sign is dark while it is switched off"),
        "the sign is switched off and sensed lit",
        "shade the sensor, or look for a short: sunlight must not pass for a sign",
        predicate=_no_false_light,
    ),
    Condition(
        *("hub and operator present", R, "R13", "the hub is connected and an operator is at it"),
        "no operator is at the hub, or the hub is away",
        "open the hub page and sign in; check the way to the broker",
        predicate=_hub_present,
        found=_hub,
        held=explanations.hub,
    ),
    Condition(
        *("camera live", R, "R25", "a camera delivers pictures: neither lost, frozen nor dark"),
        *("no camera delivers pictures", "check cable, power and lens"),
        predicate=_camera_live,
        known_from=W,
        stops_workers=False,
        found=_cameras,
    ),
    Condition(
        *("clock trusted", R, "R02", "the clock is still synchronised and was not set back"),
        *("the clock has lost its synchronisation, or was set back", f"{CLOCK_REMEDY}; {BACK_REMEDY}"),
        predicate=_clock_trusted,
        found=lambda s: s.clock_set_back,
        held=explanations.clock,
    ),
    Condition(
        *("temperature", R, "R22", "the device is within its temperature range"),
        *("the device is outside its temperature range, or cannot tell", HEAT_REMEDY),
        predicate=_temperature_good,
        found=lambda s: s.thermal.finding,
        held=explanations.temperature,
    ),
    Condition(
        *("disk", R, "R06", "there is still room to keep alerts"),
        *("the disk is filling up", DISK_REMEDY),
        predicate=_disk_good,
        found=_disk,
    ),
    Condition(
        *("deployment still in its window", R, "R02", "the deployment's authorised time has not ended"),
        *("the deployment's authorised time is over or has not begun", WINDOW_REMEDY),
        predicate=lambda s: None if s.deployment is None else s.deployment.in_window,
        found=_window,
    ),
    Condition(
        *("no STOP", R, "R13", "nobody has pressed STOP"),
        *("STOP", "restart, or send `resume` from the hub"),
        predicate=lambda s: s.stop is None,
        found=lambda s: s.stop or "",
    ),
)


def read(snapshot: Snapshot) -> tuple[Evaluation, ...]:
    """Every row of both tables as it reads at this moment, in order."""
    return tuple(_read(condition, snapshot) for condition in (*ARM, *RUN))


def _read(condition: Condition, snapshot: Snapshot) -> Evaluation:
    refusal = snapshot.refusals.get(condition.name)
    if refusal is not None:
        return Evaluation(
            condition, Result.FAILS, f"{condition.wrong or condition.text} ({refusal}); {condition.remedy}".rstrip("; ")
        )
    if condition.predicate is None:
        return Evaluation(condition, Result.NOT_YET_REQUIRED, condition.text)
    answer = condition.predicate(snapshot)
    if answer is True:
        return Evaluation(
            condition, Result.HOLDS, condition.held(snapshot) if condition.held is not None else condition.text
        )
    if answer is None:
        return Evaluation(condition, Result.PENDING, condition.text)
    found = condition.found(snapshot) if condition.found is not None else ""
    return Evaluation(condition, Result.FAILS, f"{condition.wrong}{f' ({found})' if found else ''}; {condition.remedy}")


def may_light(evaluations: tuple[Evaluation, ...]) -> bool:
    """Whether the sign may be switched on: every row known from the device alone holds (rule 2)."""
    return _hold(r for r in evaluations if r.condition.known_from is KnownFrom.DEVICE)


def may_watch(evaluations: tuple[Evaluation, ...]) -> bool:
    """Whether workers may run: device and sign rows hold, and no other row that stops workers fails (rules 2, 3)."""
    known = _hold(r for r in evaluations if r.condition.known_from is not KnownFrom.WORKER)
    return known and not any(r.result is Result.FAILS and r.condition.stops_workers for r in evaluations)


def all_hold(evaluations: tuple[Evaluation, ...]) -> bool:
    """Whether the device may be called recognising: every required row holds."""
    return _hold(evaluations)


def failing(evaluations: tuple[Evaluation, ...]) -> tuple[Evaluation, ...]:
    """The rows that say no, in the tables' order."""
    return tuple(r for r in evaluations if r.result is Result.FAILS)


def pending(evaluations: tuple[Evaluation, ...]) -> tuple[Evaluation, ...]:
    """The rows that are required and not known."""
    return tuple(r for r in evaluations if r.result is Result.PENDING)


def sign_disproved(evaluations: tuple[Evaluation, ...]) -> bool:
    """Whether the sensed light has been shown not to be this sign's."""
    return any(r.condition is SIGN_FOLLOWS for r in failing(evaluations))


def sign_condition_fails(evaluations: tuple[Evaluation, ...]) -> bool:
    """Whether a row of the sign (R15) does not hold."""
    return not _hold(r for r in evaluations if r.condition.rule == SIGN_RULE)


def _hold(evaluations: Iterable[Evaluation]) -> bool:
    return all(r.result in (Result.HOLDS, Result.NOT_YET_REQUIRED) for r in evaluations)
