"""Names of the conditions, shared by the condition tables (device/supervisor) and by refusals (device/sync)."""

from __future__ import annotations

from enum import Enum


class ConditionName(str, Enum):
    """One member for each condition, in the order of the tables: arm conditions, then run conditions.

    The values are published (state notice, status file, audit log): a renamed value is a change of the contract.
    """

    DEPLOYMENT_SIGNED = "deployment signed"
    DEPLOYMENT_LOADED = "deployment loaded"
    DEPLOYMENT_IN_ITS_WINDOW = "deployment in its window"
    DEPLOYMENT_FOR_THIS_DEVICE = "deployment for this device"
    WATCHLIST_SEALED_TO_THIS_DEVICE = "watchlist sealed to this device"
    WATCHLIST_FRESH = "watchlist fresh"
    WATCHLIST_LOADED = "watchlist loaded"
    WATCHLIST_SIZE = "watchlist size"
    WATCHLIST_ENTRIES = "watchlist entries"
    OPERATING_POINT = "operating point"
    ENGINE_SELF_TEST = "engine self-test"
    ENGINE_AGREES_WITH_REFERENCE = "engine agrees with reference"
    MEMORY_LOCKED = "memory locked"
    CLOCK_SYNCHRONISED = "clock synchronised"
    DISK_RESERVE = "disk reserve"
    SIGN_CAN_PROVE_ITSELF = "sign can prove itself"
    SIGN_SEEN_DARK_THEN_LIT = "sign seen dark, then lit"
    SIGN_SENSED_LIT = "sign sensed lit"
    SIGN_FOLLOWS_ITS_PULSE = "sign follows its pulse"
    SIGN_DARK_WHEN_OFF = "sign dark when off"
    HUB_AND_OPERATOR_PRESENT = "hub and operator present"
    CAMERA_LIVE = "camera live"
    CLOCK_TRUSTED = "clock trusted"
    TEMPERATURE = "temperature"
    DISK = "disk"
    STATE_FOLDER_TAKES_WRITES = "state folder takes writes"
    DEPLOYMENT_STILL_IN_ITS_WINDOW = "deployment still in its window"
    NO_STOP = "no STOP"

    def __str__(self) -> str:
        return self.value
