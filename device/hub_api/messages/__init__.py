"""Every message of the topic tree, by subject: the `data` of each CloudEvents type.

1. No name, date of birth, offence, template, full frame or sub-threshold candidate: the hub looks up `entry_ref`.
2. Every payload carries its mode; None only while no deployment is loaded.
3. Fields whose substance comes later are present and null, so that receivers see them coming.
4. Times are RFC 3339, UTC, milliseconds. Durations carry their unit in the name.
"""

from __future__ import annotations

from device.hub_api.messages.alert import (
    CAUTION,
    Alert,
    CandidateReference,
    Contradiction,
    Pose,
    ProbeReference,
    Quality,
    Retention,
    Track,
)
from device.hub_api.messages.audit_head import AuditHead
from device.hub_api.messages.base import Cosine, Count, Message, Sha256, Timestamp, Unit, moment
from device.hub_api.messages.blue_list import VolunteerPass, VolunteerSeen
from device.hub_api.messages.command import Command, CommandName, CommandReply, CommandZone, signed_text
from device.hub_api.messages.device_state import Birth, CameraStatus, DeviceState, Health, Stats, Status, WatchlistState
from device.hub_api.messages.erasure import Erasure, ErasureReason
from device.hub_api.messages.hub_state import RECEIVED_MOST, HubState, Operator, Received
from device.hub_api.messages.identity import Identity
from device.hub_api.messages.judgement import Adjudication, Disposition, Engagement, Hold, Reason
from device.hub_api.messages.readings import (
    ClockReading,
    ConditionReading,
    Engine,
    LampReading,
    LiveViewReading,
    SignHealth,
    SignReading,
)

__all__ = [
    "CAUTION",
    "MESSAGES",
    "RECEIVED_MOST",
    "Adjudication",
    "Alert",
    "AuditHead",
    "Birth",
    "CameraStatus",
    "CandidateReference",
    "ClockReading",
    "Command",
    "CommandName",
    "CommandReply",
    "CommandZone",
    "ConditionReading",
    "Contradiction",
    "Cosine",
    "Count",
    "DeviceState",
    "Disposition",
    "Engagement",
    "Engine",
    "Erasure",
    "ErasureReason",
    "Health",
    "Hold",
    "HubState",
    "Identity",
    "LampReading",
    "LiveViewReading",
    "Message",
    "Operator",
    "Pose",
    "ProbeReference",
    "Quality",
    "Reason",
    "Received",
    "Retention",
    "Sha256",
    "SignHealth",
    "SignReading",
    "Stats",
    "Status",
    "Timestamp",
    "Track",
    "Unit",
    "VolunteerPass",
    "VolunteerSeen",
    "WatchlistState",
    "moment",
    "signed_text",
]

MESSAGES: tuple[type[Message], ...] = (
    Alert,
    Adjudication,
    Engagement,
    Disposition,
    Hold,
    HubState,
    Received,
    Erasure,
    Status,
    Birth,
    DeviceState,
    Health,
    CameraStatus,
    WatchlistState,
    Stats,
    Identity,
    AuditHead,
    Command,
    CommandReply,
    VolunteerSeen,
    VolunteerPass,
)
