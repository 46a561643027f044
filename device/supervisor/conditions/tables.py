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

SIGN_FOLLOWS = Condition(
    name=ConditionName.SIGN_FOLLOWS_ITS_PULSE,
    table=Table.RUN,
    rule="R15",
    text="the sign follows a coded pulse every 30 s",
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
        predicate=predicates.deployment_signed,
    ),
    Condition(
        name=ConditionName.DEPLOYMENT_LOADED,
        table=Table.ARM,
        rule="R02",
        text="a deployment is loaded",
        predicate=lambda s: s.deployment is not None,
        found=lambda s: s.deployment_problem,
    ),
    Condition(
        name=ConditionName.DEPLOYMENT_IN_ITS_WINDOW,
        table=Table.ARM,
        rule="R16",
        text="the deployment is in its authorised time",
        predicate=lambda s: None if s.deployment is None else s.deployment.in_window,
        found=predicates.window_finding,
    ),
    Condition(
        name=ConditionName.DEPLOYMENT_FOR_THIS_DEVICE,
        table=Table.ARM,
        rule="R01",
        text="the deployment names this device",
        predicate=lambda s: None if s.deployment is None else s.deployment.names_this_device,
    ),
    Condition(
        name=ConditionName.WATCHLIST_SEALED_TO_THIS_DEVICE,
        table=Table.ARM,
        rule="R01",
        text="the watchlist is sealed to this device alone, unused before",
        predicate=lambda s: None if s.deployment is None else s.deployment.sealed,
        found=lambda s: s.deployment_problem,
    ),
    Condition(
        name=ConditionName.WATCHLIST_FRESH,
        table=Table.ARM,
        rule="R01",
        text="the watchlist is unexpired and was not older than 24 h at the start",
        predicate=lambda s: None if s.deployment is None else s.deployment.fresh,
    ),
    Condition(
        name=ConditionName.WATCHLIST_LOADED,
        table=Table.ARM,
        rule="R01",
        text="the opened watchlist is the one the deployment authorises",
        predicate=predicates.watchlist_is_the_authorised_one,
        known_from=KnownFrom.WORKER,
    ),
    Condition(
        name=ConditionName.WATCHLIST_SIZE,
        table=Table.ARM,
        rule="R02",
        text="the watchlist is within its authorised size",
        predicate=predicates.watchlist_size_allowed,
        known_from=KnownFrom.WORKER,
    ),
    Condition(
        name=ConditionName.WATCHLIST_ENTRIES,
        table=Table.ARM,
        rule="R19, R20",
        text="every entry has its category and the source of its image",
        predicate=lambda s: not any(s.incomplete) if s.incomplete else None,
        known_from=KnownFrom.WORKER,
        found=lambda s: f"{max(s.incomplete)} of them",
    ),
    Condition(
        name=ConditionName.OPERATING_POINT,
        table=Table.ARM,
        rule="R26",
        text="the predicted false alert rate for this list is within its limit",
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
        predicate=predicates.engine_self_test_passed,
        known_from=KnownFrom.WORKER,
        found=lambda s: "; ".join(filter(None, s.engines)),
    ),
    Condition(
        name=ConditionName.ENGINE_AGREES_WITH_REFERENCE,
        table=Table.ARM,
        rule="R26",
        text="the engine's self-test agrees with the reference",
        predicate=lambda s: all(not problem for problem in s.references) if s.references else None,
        known_from=KnownFrom.WORKER,
        found=lambda s: "; ".join(filter(None, s.references)),
    ),
    Condition(
        name=ConditionName.MEMORY_LOCKED,
        table=Table.ARM,
        rule="R04",
        text="the workers' memory is locked against swapping and cannot be dumped or written",
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
        predicate=predicates.clock_synchronised,
        held=explanations.clock,
    ),
    Condition(
        name=ConditionName.DISK_RESERVE,
        table=Table.ARM,
        rule="R06",
        text="there is room to keep alerts",
        predicate=predicates.disk_reserve_free,
        found=predicates.disk_finding,
    ),
    Condition(
        name=ConditionName.SIGN_CAN_PROVE_ITSELF,
        table=Table.ARM,
        rule="R15",
        text="the sign can follow a pulse, or the deployment is not operational",
        predicate=predicates.sign_can_prove_itself,
    ),
    Condition(
        name=ConditionName.SIGN_SEEN_DARK_THEN_LIT,
        table=Table.ARM,
        rule="R15",
        text="the sign was seen dark, then lit",
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
        predicate=predicates.sign_dark_when_off,
    ),
    Condition(
        name=ConditionName.HUB_AND_OPERATOR_PRESENT,
        table=Table.RUN,
        rule="R13",
        text="the hub is connected and an operator is present",
        predicate=predicates.hub_and_operator_present,
        found=predicates.hub_finding,
        held=explanations.hub,
    ),
    Condition(
        name=ConditionName.CAMERA_LIVE,
        table=Table.RUN,
        rule="R25",
        text="a camera delivers pictures: neither lost, frozen, covered nor dark",
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
        predicate=predicates.clock_trusted,
        found=lambda s: s.clock_set_back,
        held=explanations.clock,
    ),
    Condition(
        name=ConditionName.TEMPERATURE,
        table=Table.RUN,
        rule="R22",
        text="the device is within its temperature range",
        predicate=predicates.temperature_in_range,
        found=lambda s: s.thermal.finding,
        held=explanations.temperature,
    ),
    Condition(
        name=ConditionName.DISK,
        table=Table.RUN,
        rule="R06",
        text="there is still room to keep alerts",
        predicate=predicates.disk_reserve_free,
        found=predicates.disk_finding,
    ),
    Condition(
        name=ConditionName.STATE_FOLDER_TAKES_WRITES,
        table=Table.RUN,
        rule="R06",
        text="the state folder takes writes; audit log and outbox are kept",
        predicate=lambda s: not s.unkept,
        found=lambda s: s.unkept,
    ),
    Condition(
        name=ConditionName.DEPLOYMENT_STILL_IN_ITS_WINDOW,
        table=Table.RUN,
        rule="R02",
        text="the deployment's authorised time has not ended",
        predicate=lambda s: None if s.deployment is None else s.deployment.in_window,
        found=predicates.window_finding,
    ),
    Condition(
        name=ConditionName.NO_STOP,
        table=Table.RUN,
        rule="R13",
        text="nobody has pressed STOP",
        predicate=lambda s: s.stop is None,
        found=lambda s: s.stop or "",
    ),
)
