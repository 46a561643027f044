"""Conditions as data: two ordered tables. `lfr why`, systemd's status line, MQTT and the log all print from here.

1. A condition's predicate returns True (holds), False (fails) or None (not known yet). Recognition needs True.
2. `known_from` says when a condition can be known. The sign is lit while no DEVICE condition of either table fails;
   workers may run while, in addition, every SIGN condition holds; the device recognises while every condition holds.
3. A failing condition ends recognition. It also stops the workers, except `camera live`: only a worker can see that a
   camera is back.
4. A refused publication (device/sync) fails the condition that it names, whatever the predicate returns.
"""

from __future__ import annotations

from device.domain.conditions import ConditionName
from device.supervisor.conditions import explanations, predicates
from device.supervisor.conditions.condition import Condition, KnownFrom, Table

BACK_REMEDY = "set the clock; if it is correct now, restart the service, which started with a wrong time"
CLOCK_REMEDY = "start the time service (chrony, or systemd-timesyncd) and wait until it has synchronised"
DISK_REMEDY = f"free space in the state folder: {predicates.DISK_RESERVE_BYTES // 1_000_000} MB are kept for alerts"
STATE_FOLDER_REMEDY = "free space; a card that has turned read-only is at its end: end the deployment, replace the card"
OPERATING_POINT_REMEDY = (
    "shorten the list, leave out `vision.threshold`, or make evidence that covers it (calibration/README.md)"
)
HEAT_REMEDY = "let it cool: check fan, filter, sun on the housing and the power mode"
SIGN_REMEDY = "shade the sensor; look for a short, a stuck relay, a supply that holds up (device/edges/gpio/WIRING.md)"
SIGNED_REMEDY = "have it signed (lfr deployment sign) and published; check root of trust and clock of this device"
SIZE_REMEDY = (
    f"shorten the list, or have a larger one authorised (live demonstrations: {predicates.UNSIGNED_LIST_MOST} subjects)"
)
MEMORY_REMEDY = (
    "give the service LimitMEMLOCK=infinity and LimitCORE=0, as systemd/lfr.service has it; see `lfr doctor`"
)
WINDOW_REMEDY = "wait for it to begin, or load the deployment that is authorised now"

SIGN_FOLLOWS = Condition(
    name=ConditionName.SIGN_FOLLOWS_ITS_PULSE,
    table=Table.RUN,
    rule="R15",
    text="the sign follows a coded pulse every 30 s",
    wrong="the sensed light is not this sign's: it does not follow its pulse",
    remedy=SIGN_REMEDY,
    predicate=predicates.sign_follows_pulse,
    known_from=KnownFrom.SIGN,
    found=lambda s: s.sign.finding,
    held=explanations.pulse,
)
"""A sign that fails this one is switched off, and proves itself again from dark (policy.sign_wanted)."""

ARM: tuple[Condition, ...] = (
    Condition(
        name=ConditionName.DEPLOYMENT_SIGNED,
        table=Table.ARM,
        rule="R02",
        text="the authorising officers have signed the deployment",
        wrong="the deployment is not signed, or its signatures are not valid",
        remedy=SIGNED_REMEDY,
        predicate=predicates.deployment_signed,
    ),
    Condition(
        name=ConditionName.DEPLOYMENT_LOADED,
        table=Table.ARM,
        rule="R02",
        text="a deployment is loaded",
        wrong="no deployment is loaded",
        remedy="publish a deployment to this device",
        predicate=lambda s: s.deployment is not None,
        found=lambda s: s.deployment_problem,
    ),
    Condition(
        name=ConditionName.DEPLOYMENT_IN_ITS_WINDOW,
        table=Table.ARM,
        rule="R16",
        text="the deployment is in its authorised time",
        wrong="the present time is outside the deployment's authorised time",
        remedy=WINDOW_REMEDY,
        predicate=lambda s: None if s.deployment is None else s.deployment.in_window,
        found=predicates.window_finding,
    ),
    Condition(
        name=ConditionName.DEPLOYMENT_FOR_THIS_DEVICE,
        table=Table.ARM,
        rule="R01",
        text="the deployment names this device",
        wrong="the deployment does not name this device",
        remedy="load one that does",
        predicate=lambda s: None if s.deployment is None else s.deployment.names_this_device,
    ),
    Condition(
        name=ConditionName.WATCHLIST_SEALED_TO_THIS_DEVICE,
        table=Table.ARM,
        rule="R01",
        text="the watchlist is sealed to this device alone, unused before",
        wrong="this device cannot open the watchlist",
        remedy="let the hub issue a key envelope; an unused list is needed",
        predicate=lambda s: None if s.deployment is None else s.deployment.sealed,
        found=lambda s: s.deployment_problem,
    ),
    Condition(
        name=ConditionName.WATCHLIST_FRESH,
        table=Table.ARM,
        rule="R01",
        text="the watchlist is unexpired and was not older than 24 h at the start",
        wrong="the watchlist has expired, is too old or not yet valid",
        remedy="build and publish a new one",
        predicate=lambda s: None if s.deployment is None else s.deployment.fresh,
    ),
    Condition(
        name=ConditionName.WATCHLIST_LOADED,
        table=Table.ARM,
        rule="R01",
        text="the opened watchlist is the one the deployment authorises",
        wrong="the opened watchlist is not the one the deployment authorises",
        remedy="build and publish the deployment again: its watchlist was replaced or damaged",
        predicate=predicates.watchlist_is_the_authorised_one,
        known_from=KnownFrom.WORKER,
    ),
    Condition(
        name=ConditionName.WATCHLIST_SIZE,
        table=Table.ARM,
        rule="R02",
        text="the watchlist is within its authorised size",
        wrong="the watchlist is empty or beyond its authorised size",
        remedy=SIZE_REMEDY,
        predicate=predicates.watchlist_size_allowed,
        known_from=KnownFrom.WORKER,
    ),
    Condition(
        name=ConditionName.WATCHLIST_ENTRIES,
        table=Table.ARM,
        rule="R19, R20",
        text="every entry has its category and the source of its image",
        wrong="the watchlist has entries without a category of the deployment, or without the source of their image",
        remedy="build it again with both for every entry",
        predicate=lambda s: not any(s.incomplete) if s.incomplete else None,
        known_from=KnownFrom.WORKER,
        found=lambda s: f"{max(s.incomplete)} of them",
    ),
    Condition(
        name=ConditionName.OPERATING_POINT,
        table=Table.ARM,
        rule="R26",
        text="the predicted false alert rate for this list is within its limit",
        wrong="too many false alerts are possible with this list",
        remedy=OPERATING_POINT_REMEDY,
        predicate=predicates.operating_point_covered,
        known_from=KnownFrom.WORKER,
        found=predicates.operating_point_finding,
        held=predicates.operating_point_text,
    ),
    Condition(
        name=ConditionName.ENGINE_SELF_TEST,
        table=Table.ARM,
        rule="R26",
        text="the engine runs and names its models by hash",
        wrong="the engine's self-test failed",
        remedy="run `lfr engines prepare`",
        predicate=predicates.engine_self_test_passed,
        known_from=KnownFrom.WORKER,
        found=lambda s: "; ".join(filter(None, s.engines)),
    ),
    Condition(
        name=ConditionName.ENGINE_AGREES_WITH_REFERENCE,
        table=Table.ARM,
        rule="R26",
        text="the engine's self-test agrees with the reference",
        wrong="the engine's outputs differ from the golden tensors",
        remedy="run `lfr engines prepare --force` and `lfr engines compare`; if it stays, do not use this machine",
        predicate=lambda s: all(not problem for problem in s.references) if s.references else None,
        known_from=KnownFrom.WORKER,
        found=lambda s: "; ".join(filter(None, s.references)),
    ),
    Condition(
        name=ConditionName.MEMORY_LOCKED,
        table=Table.ARM,
        rule="R04",
        text="the workers' memory is locked against swapping and cannot be dumped or written",
        wrong="a worker's memory is not locked, or could be dumped or written",
        remedy=MEMORY_REMEDY,
        predicate=predicates.memory_locked,
        known_from=KnownFrom.WORKER,
        found=predicates.missing_protections,
        held=predicates.memory_lock_text,
    ),
    Condition(
        name=ConditionName.CLOCK_SYNCHRONISED,
        table=Table.ARM,
        rule="R02",
        text="the clock is synchronised",
        wrong="the clock is not synchronised",
        remedy=CLOCK_REMEDY,
        predicate=predicates.clock_synchronised,
        held=explanations.clock,
    ),
    Condition(
        name=ConditionName.DISK_RESERVE,
        table=Table.ARM,
        rule="R06",
        text="there is room to keep alerts",
        wrong="there is no room to keep alerts",
        remedy=DISK_REMEDY,
        predicate=predicates.disk_reserve_free,
        found=predicates.disk_finding,
    ),
    Condition(
        name=ConditionName.SIGN_CAN_PROVE_ITSELF,
        table=Table.ARM,
        rule="R15",
        text="the sign can follow a pulse, or the deployment is not operational",
        wrong="a discharge lamp follows no pulse: other light would count as the sign for up to 10 min",
        remedy="fit an LED sign, and set lines.sign_kind: led",
        predicate=predicates.sign_can_prove_itself,
    ),
    Condition(
        name=ConditionName.SIGN_SEEN_DARK_THEN_LIT,
        table=Table.ARM,
        rule="R15",
        text="the sign was seen dark, then lit",
        wrong="the sign was not seen dark and then lit",
        remedy="check the lamp, its relay and its sensor",
        predicate=predicates.sign_seen_dark_then_lit,
        known_from=KnownFrom.SIGN,
    ),
)

RUN: tuple[Condition, ...] = (
    Condition(
        name=ConditionName.SIGN_SENSED_LIT,
        table=Table.RUN,
        rule="R15",
        text="the sign is sensed lit",
        wrong="the sign is switched on and sensed dark",
        remedy="check the lamp, its relay and its sensor",
        predicate=predicates.sign_sensed_lit,
        known_from=KnownFrom.SIGN,
        found=lambda s: s.sign.problem,
    ),
    SIGN_FOLLOWS,
    Condition(
        name=ConditionName.SIGN_DARK_WHEN_OFF,
        table=Table.RUN,
        rule="R15",
        text="the sign is dark while it is switched off",
        wrong="the sign is switched off and sensed lit",
        remedy="shade the sensor, or look for a short: sunlight must not pass for a sign",
        predicate=predicates.sign_dark_when_off,
    ),
    Condition(
        name=ConditionName.HUB_AND_OPERATOR_PRESENT,
        table=Table.RUN,
        rule="R13",
        text="the hub is connected and an operator is present",
        wrong="no operator is present at the hub, or the hub is offline",
        remedy="open the hub page and sign in; check the network to the broker",
        predicate=predicates.hub_and_operator_present,
        found=predicates.hub_finding,
        held=explanations.hub,
    ),
    Condition(
        name=ConditionName.CAMERA_LIVE,
        table=Table.RUN,
        rule="R25",
        text="a camera delivers pictures: neither lost, frozen, covered nor dark",
        wrong="no camera delivers pictures in which somebody can be recognised",
        remedy="check cable, power and lens",
        predicate=predicates.camera_live,
        known_from=KnownFrom.WORKER,
        stops_workers=False,
        found=predicates.camera_findings,
    ),
    Condition(
        name=ConditionName.CLOCK_TRUSTED,
        table=Table.RUN,
        rule="R02",
        text="the clock is still synchronised and was not set back",
        wrong="the clock has lost its synchronisation, or was set back",
        remedy=f"{CLOCK_REMEDY}; {BACK_REMEDY}",
        predicate=predicates.clock_trusted,
        found=lambda s: s.clock_set_back,
        held=explanations.clock,
    ),
    Condition(
        name=ConditionName.TEMPERATURE,
        table=Table.RUN,
        rule="R22",
        text="the device is within its temperature range",
        wrong="the device is outside its temperature range, or has no reading",
        remedy=HEAT_REMEDY,
        predicate=predicates.temperature_in_range,
        found=lambda s: s.thermal.finding,
        held=explanations.temperature,
    ),
    Condition(
        name=ConditionName.DISK,
        table=Table.RUN,
        rule="R06",
        text="there is still room to keep alerts",
        wrong="the disk is filling up",
        remedy=DISK_REMEDY,
        predicate=predicates.disk_reserve_free,
        found=predicates.disk_finding,
    ),
    Condition(
        name=ConditionName.STATE_FOLDER_TAKES_WRITES,
        table=Table.RUN,
        rule="R06",
        text="the state folder takes writes; audit log and outbox are kept",
        wrong="the state folder takes no writes, or audit log or outbox are not kept",
        remedy=STATE_FOLDER_REMEDY,
        predicate=lambda s: not s.unkept,
        found=lambda s: s.unkept,
    ),
    Condition(
        name=ConditionName.DEPLOYMENT_STILL_IN_ITS_WINDOW,
        table=Table.RUN,
        rule="R02",
        text="the deployment's authorised time has not ended",
        wrong="the deployment's authorised time is over or has not begun",
        remedy=WINDOW_REMEDY,
        predicate=lambda s: None if s.deployment is None else s.deployment.in_window,
        found=predicates.window_finding,
    ),
    Condition(
        name=ConditionName.NO_STOP,
        table=Table.RUN,
        rule="R13",
        text="nobody has pressed STOP",
        wrong="STOP",
        remedy="restart, or send `resume` from the hub",
        predicate=lambda s: s.stop is None,
        found=lambda s: s.stop or "",
    ),
)
