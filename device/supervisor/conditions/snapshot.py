"""Input of the condition tables: everything that the supervisor knows at one moment, immutable."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from device.domain.camera_fault import CameraFault
from device.domain.conditions import ConditionName
from device.domain.finding import Mode
from device.hub_api.messages import Operator


class CameraView(str, Enum):
    """One camera's state as its worker reports it, or as it follows from having no worker.

    Each CameraFault (device/domain/camera_fault.py) that stops a camera is one of them, by its value.
    """

    STOPPED = "stopped"
    STARTING = "starting"
    ONLINE = "online"
    FROZEN = "frozen"
    DARK = "dark"
    STALLED = "stalled"
    OVEREXPOSED = "overexposed"
    COVERED = "covered"
    SIZE_CHANGED = "size_changed"
    OFFLINE = "offline"
    RESTARTING = "restarting"
    DISABLED = "disabled"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignView:
    """driven: as switched; sensed: as measured, debounced; proved: seen dark, then lit, and lit ever since.

    settling  just switched: a reading does not count until the lamp had its settling time
    follows   whether it followed its last coded pulse; None before the first one
    finding   how it did not follow, as text; problem: why it counts as dark although it may be lit
    pulses    whether this kind of sign can follow pulses at all
    lag_ms    how long its sensor took to follow an edge of the last pulse, at most
    """

    driven: bool = False
    sensed: bool = False
    proved: bool = False
    settling: bool = True
    follows: bool | None = None
    finding: str = ""
    problem: str = ""
    pulses: bool = True
    lag_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermalView:
    """Temperature of the host.

    in_range  whether every temperature sensor is within its limits; None when none can be read
    finding   the sensor that is nearest to its limit or beyond it, or why none can be read, as text
    throttled the host has reduced its clock: it still recognises, and drops frames
    """

    in_range: bool | None = None
    finding: str = "no temperature was read yet"
    throttled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    """What the conditions need of the loaded deployment."""

    id: str
    mode: Mode
    names_this_device: bool
    in_window: bool
    window: str
    max_watchlist_size: int
    watchlist: tuple[str, str, int, int]
    """id, sha256, subjects, images that the deployment authorises."""
    signed: bool = False
    """Whether officers' signatures were verified: nothing else becomes a view (deployment/active.py, view_of)."""
    sealed: bool = True
    """Whether its list can be opened with an identity of this device."""
    fresh: bool = True
    """Whether its list has not expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingView:
    """A worker's threshold: false alerts a face as estimate and bound; why it is outside the evidence, or nothing."""

    predicted: float | None
    bound: float | None
    limit: float
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One moment.

    deployment, deployment_problem   the one loaded, or why none is
    refusals    refused publications: text by the name of the condition that each fails
    incomplete  entries without category or source in each worker's list
    watchlists  id, sha256, subjects, images as each worker opened it
    operating_points   one for each worker that opened its list
    protections  what the kernel granted to each worker that answered, by name (device.worker.lockdown)
    engines     what is wrong with each worker's engine, empty text when nothing is; one entry per worker that answered
    references  how each worker's engine disagrees with its golden tensors, likewise
    hub_absent_s  how long the hub has been offline; 0 while it is online, None if it never was
    link        why there is no session with the broker; empty while there is one
    operator    the operator's session as the hub states it; `simulated` counts for recordings only
    clock_set_back  how the wall clock was set back while this program ran; empty when it was not
    disk_free_bytes  None when the disk does not answer
    camera_problems, camera_faults  by camera; a fault that does not stop its camera is there, too
    unkept      what the state folder, the audit log or the outbox does not keep, and why; empty when all is kept
    stop        by what STOP was pressed; None while it is not
    """

    live: bool = False
    deployment: DeploymentView | None = None
    deployment_problem: str = "no deployment is loaded"
    refusals: dict[ConditionName, str] = field(default_factory=dict)
    watchlists: tuple[tuple[str, str, int, int], ...] = ()
    operating_points: tuple[OperatingView, ...] = ()
    incomplete: tuple[int, ...] = ()
    engines: tuple[str, ...] = ()
    protections: tuple[frozenset[str], ...] = ()
    references: tuple[str, ...] = ()
    cameras: dict[str, CameraView] = field(default_factory=dict)
    camera_problems: dict[str, str] = field(default_factory=dict)
    camera_faults: dict[str, CameraFault] = field(default_factory=dict)
    sign: SignView = SignView()
    hub_absent_s: float | None = None
    link: str = ""
    operator: Operator = "absent"
    clock_synchronised: bool = False
    clock_set_back: str = ""
    disk_free_bytes: int | None = 0
    unkept: str = ""
    thermal: ThermalView = ThermalView()
    stop: str | None = None

    @property
    def strict(self) -> bool:
        """All but a recording in test or demonstration mode, which needs no trusted clock and no real operator."""
        return self.live or (self.deployment is not None and self.deployment.mode is Mode.OPERATIONAL)
