"""The deployment on this device: loaded when it appears, turned into worker assignments, dropped when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from device.config.camera_source import with_credential
from device.config.deployment import Deployment
from device.config.model import Camera, DeviceConfig
from device.domain.time import WallTime, rfc3339, wall
from device.supervisor.conditions.snapshot import DeploymentView
from device.wire.link import PROTOCOL, Assignment, CameraAssignment, VisionAssignment


@dataclass(slots=True)
class ActiveDeployment:
    """A deployment whose officers' signatures were verified, with the secret that opens its watchlist. Never printed.

    payload    the sealed watchlist;  identity: the age secret that opens it, empty once it is dropped
    erase      deletes its files and returns their names; raises Unavailable naming those that remain
    withdrawn  entries that are no longer searched for; grows while the deployment runs
    volunteers  sealed files of the blue list's volunteers whose consent holds; shrinks while the deployment runs
    """

    deployment: Deployment
    payload: Path
    identity: str = field(repr=False)
    erase: Callable[[], list[str]] = field(repr=False, compare=False)
    withdrawn: frozenset[str] = frozenset()
    volunteers: dict[str, Path] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """The payloads' files, to be deleted at the end; the key is never written to disk."""
        return (self.payload, *self.volunteers.values())

    def view(self, device: str, now: WallTime) -> DeploymentView:
        """The deployment as the conditions need it."""
        return view_of(self.deployment, device, now, sealed=True)

    def assignment(
        self, camera: Camera, config: DeviceConfig, models_dir: Path, *, size: tuple[int, int] | None = None
    ) -> Assignment:
        """The first message to a camera's worker; size: of its pictures in an earlier run.

        Raises ConfigError when its credential file cannot be read.
        """
        return Assignment(
            protocol=PROTOCOL,
            mode=self.deployment.mode,
            deployment_id=self.deployment.id,
            camera=camera_assignment(camera, size=size),
            vision=vision_assignment(config, models_dir),
            watchlist=str(self.payload),
            identity=self.identity,
            hub_recipient=self.deployment.hub_recipient,
            categories={name: category.threshold_offset for name, category in self.deployment.categories.items()},
            withdrawn=tuple(sorted(self.withdrawn)),
            volunteers=tuple(str(file.absolute()) for _, file in sorted(self.volunteers.items())),
        )

    def drop_identity(self) -> None:
        """Drop the key from memory, before anything that waits for a disk."""
        self.identity = ""


def view_of(deployment: Deployment, device: str, now: WallTime, *, sealed: bool) -> DeploymentView:
    """A deployment that was verified, as the conditions see it. sealed: its list can be opened here."""
    listed, window = deployment.watchlist, deployment.window
    return DeploymentView(
        id=deployment.id,
        mode=deployment.mode,
        names_this_device=device in deployment.devices,
        in_window=window.holds(now),
        window=f"{rfc3339(wall(window.start))} to {rfc3339(wall(window.end))}",
        max_watchlist_size=deployment.max_watchlist_size,
        watchlist=(listed.id, listed.sha256, listed.subjects, listed.images),
        signed=True,
        sealed=sealed,
        fresh=listed.expires is None or now < wall(listed.expires),
    )


def camera_assignment(camera: Camera, *, size: tuple[int, int] | None = None) -> CameraAssignment:
    """The camera's part of a worker's first message. Raises ConfigError when its credential file cannot be read.

    size  of its pictures in an earlier run; a configured one goes first
    """
    return CameraAssignment(
        camera_id=camera.id,
        source=with_credential(camera),
        pace=camera.pace.value,
        zone=camera.zone.polygon,
        size=camera.size or size,
    )


def vision_assignment(config: DeviceConfig, models_dir: Path) -> VisionAssignment:
    """The vision section of a worker's first message."""
    vision = config.vision
    return VisionAssignment(
        backend=vision.backend,
        min_face_px=vision.min_face_px,
        threshold=vision.threshold,
        models_dir=str(vision.models_dir or models_dir),
        evidence=None if vision.evidence is None else str(vision.evidence),
        evidence_keys=None if vision.evidence_keys is None else str(vision.evidence_keys),
        false_alert_limit=vision.false_alert_limit,
        detector=vision.detector,
        recogniser=vision.recogniser,
        screen=vision.screen,
    )
