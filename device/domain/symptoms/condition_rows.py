"""Symptom, cause and remedy of each condition, in the parts that the page has."""

from __future__ import annotations

from collections.abc import Mapping

from device.domain.conditions import ConditionName
from device.domain.limits import DISK_RESERVE_BYTES, UNSIGNED_LIST_MOST
from device.domain.symptoms.row import Row

DEPLOYMENT: Mapping[ConditionName, Row] = {
    ConditionName.DEPLOYMENT_SIGNED: Row(
        "the deployment is not signed, or its signatures are not valid",
        "an officer has not signed yet; another site's root of trust; a clock outside the signatures' time",
        "have it signed (lfr deployment sign) and published; check root of trust and clock of this device",
    ),
    ConditionName.DEPLOYMENT_LOADED: Row(
        "no deployment is loaded",
        "none was published, or the hub cannot be reached",
        "publish a deployment to this device",
    ),
    ConditionName.DEPLOYMENT_IN_ITS_WINDOW: Row(
        "the present time is outside the deployment's authorised time",
        "it begins later, or is over",
        "wait for it to begin, or load the deployment that is authorised now",
    ),
    ConditionName.DEPLOYMENT_FOR_THIS_DEVICE: Row(
        "the deployment does not name this device", "it was planned for other devices", "load one that does"
    ),
    ConditionName.WATCHLIST_SEALED_TO_THIS_DEVICE: Row(
        "this device cannot open the watchlist",
        "the device has started anew and has a new identity, or the list was used before",
        "let the hub issue a key envelope; an unused list is needed",
    ),
    ConditionName.WATCHLIST_FRESH: Row(
        "the watchlist has expired, is too old or not yet valid",
        "it was built more than 24 h before the start",
        "build and publish a new one",
    ),
    ConditionName.WATCHLIST_LOADED: Row(
        "the opened watchlist is not the one the deployment authorises",
        "the file was replaced or damaged after it was signed",
        "build and publish the deployment again: its watchlist was replaced or damaged",
    ),
    ConditionName.WATCHLIST_SIZE: Row(
        "the watchlist is empty or beyond its authorised size",
        "people were added after the size was authorised",
        f"shorten the list, or have a larger one authorised (live demonstrations: {UNSIGNED_LIST_MOST} subjects)",
    ),
    ConditionName.WATCHLIST_ENTRIES: Row(
        "the watchlist has entries without a category of the deployment, or without the source of their image",
        "the list was built from a folder without these facts",
        "build it again with both for every entry",
    ),
    ConditionName.OPERATING_POINT: Row(
        "too many false alerts are possible with this list",
        "the list is longer than the evidence covers, or the threshold was lowered",
        "shorten the list, leave out `vision.threshold`, or make evidence that covers it (calibration/README.md)",
    ),
    ConditionName.DEPLOYMENT_STILL_IN_ITS_WINDOW: Row(
        "the deployment's authorised time is over or has not begun",
        "its end has come",
        "wait for it to begin, or load the deployment that is authorised now",
    ),
}
CLOCK_REMEDY = "start the time service (chrony, or systemd-timesyncd) and wait until it has synchronised"
DISK_REMEDY = f"free space in the state folder: {DISK_RESERVE_BYTES // 1_000_000} MB are kept for alerts"
FULL_CAUSE = "logs or other programs fill the card"
SENSOR_CAUSE = "lamp, fuse, relay, or a wire of drive or sensor"
MACHINE: Mapping[ConditionName, Row] = {
    ConditionName.ENGINE_SELF_TEST: Row(
        "the engine's self-test failed",
        "models are missing or changed, or the GPU's driver is incomplete",
        "run `lfr engines prepare`",
    ),
    ConditionName.ENGINE_AGREES_WITH_REFERENCE: Row(
        "the engine's outputs differ from the golden tensors",
        "a damaged plan, another version of a runtime, or faulty memory",
        "run `lfr engines prepare --force` and `lfr engines compare`; if it stays, do not use this machine",
    ),
    ConditionName.MEMORY_LOCKED: Row(
        "a worker's memory is not locked, or could be dumped or written",
        "the service was started without its unit's limits",
        "give the service LimitMEMLOCK=infinity and LimitCORE=0, as systemd/lfr.service has it; see `lfr doctor`",
    ),
    ConditionName.CLOCK_SYNCHRONISED: Row(
        "the clock is not synchronised", "no time server can be reached, or no time service runs", CLOCK_REMEDY
    ),
    ConditionName.CLOCK_TRUSTED: Row(
        "the clock has lost its synchronisation, or was set back",
        "no time server for a while; a board without an RTC battery after a power cut",
        f"{CLOCK_REMEDY}; set the clock; if it is correct now, restart the service, which started with a wrong time",
    ),
    ConditionName.DISK_RESERVE: Row("there is no room to keep alerts", FULL_CAUSE, DISK_REMEDY),
    ConditionName.DISK: Row("the disk is filling up", FULL_CAUSE, DISK_REMEDY),
    ConditionName.STATE_FOLDER_TAKES_WRITES: Row(
        "the state folder takes no writes, or audit log or outbox are not kept",
        "the card has turned read-only, as worn eMMC and SD cards do, or it is full",
        "free space; a card that has turned read-only is at its end: end the deployment, replace the card",
    ),
    ConditionName.TEMPERATURE: Row(
        "the device is outside its temperature range, or has no reading",
        "a blocked fan or filter, sun on the housing, or a power mode beyond the housing's cooling",
        "let it cool: check fan, filter, sun on the housing and the power mode",
    ),
}
OUTSIDE: Mapping[ConditionName, Row] = {
    ConditionName.SIGN_CAN_PROVE_ITSELF: Row(
        "a discharge lamp follows no pulse: other light would count as the sign for up to 10 min",
        "a neon, fluorescent or sodium sign",
        "fit an LED sign, and set lines.sign_kind: led",
    ),
    ConditionName.SIGN_SEEN_DARK_THEN_LIT: Row(
        "the sign was not seen dark and then lit", SENSOR_CAUSE, "check the lamp, its relay and its sensor"
    ),
    ConditionName.SIGN_SENSED_LIT: Row(
        "the sign is switched on and sensed dark", SENSOR_CAUSE, "check the lamp, its relay and its sensor"
    ),
    ConditionName.SIGN_FOLLOWS_ITS_PULSE: Row(
        "the sensed light is not this sign's: it does not follow its pulse",
        "sun or a headlight on the sensor, a welded relay, a supply that holds up",
        "shade the sensor; look for a short, a stuck relay, a supply that holds up (device/edges/gpio/WIRING.md)",
    ),
    ConditionName.SIGN_DARK_WHEN_OFF: Row(
        "the sign is switched off and sensed lit",
        "sun or a headlight on the sensor, a short",
        "shade the sensor, or look for a short: sunlight must not pass for a sign",
    ),
    ConditionName.HUB_AND_OPERATOR_PRESENT: Row(
        "no operator is present at the hub, or the hub is offline",
        "nobody is signed in at the page, or the network to the van is interrupted",
        "open the hub page and sign in; check the network to the broker",
    ),
    ConditionName.CAMERA_LIVE: Row(
        "no camera delivers pictures in which somebody can be recognised",
        "power, cable, network or lens of the camera",
        "check cable, power and lens",
    ),
    ConditionName.NO_STOP: Row(
        "STOP", "the button was pressed, its wire is cut, or the hub sent it", "restart, or send `resume` from the hub"
    ),
}
CONDITIONS: Mapping[ConditionName, Row] = {**DEPLOYMENT, **MACHINE, **OUTSIDE}
