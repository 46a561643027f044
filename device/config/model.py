"""The configuration file's structure: frozen, bounds in the types, no default for what an installer must know."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator

from device.domain.operating_point import LIMIT, MIN_FACE_PX

LIVE_SCHEMES = ("rtsp", "rtsps", "v4l2", "csi")
MAX_CAMERAS = 8  # one worker process each; an Orin NX has eight cores


def matching(pattern: str, rule: str) -> AfterValidator:
    """A text must match `pattern` as a whole; `rule` describes it in the error message."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"must be {rule}")
        return text

    return AfterValidator(check)


WholeNumber = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Name = Annotated[
    str, matching(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", "1 to 63 letters, digits, hyphens or underscores, no hyphen first")
]
"""One MQTT topic level, one certificate common name, one file name: letters, digits, hyphen, underscore."""


Recipient = Annotated[str, matching(r"age1[02-9ac-hj-np-z]{50,80}", "an age recipient (age1…)")]
"""An age X25519 recipient: bech32 with prefix age1 (age-encryption.org/v1)."""


class Section(BaseModel):
    """A part of the file; frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Pace(str, Enum):
    """How fast a recording is read; a live source has its own pace."""

    REALTIME = "realtime"
    FULL = "full"


def is_live(source: str) -> bool:
    """Whether a camera is live; everything else is a recording (a path or file://)."""
    return urlsplit(source).scheme in LIVE_SCHEMES or source.startswith("/dev/video")


def recording_path(source: str) -> Path:
    """The file or folder of a recorded source."""
    parts = urlsplit(source)
    return Path(unquote(parts.path)) if parts.scheme == "file" else Path(source)


def _usable_source(source: str) -> str:
    parts = urlsplit(source)
    if parts.scheme not in ("", "file", *LIVE_SCHEMES):
        raise ValueError(f"must be a path, file://, {', '.join(s + '://' for s in LIVE_SCHEMES)} or /dev/videoN")
    if parts.scheme == "file" and not parts.path.startswith("/"):
        raise ValueError("a file:// source needs an absolute path: file:///…")
    if parts.password is not None:
        raise ValueError("must not hold a password; put user:password in a file and name it in `credential`")
    return source


def _polygon(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """Raise for a polygon that encloses nothing or crosses itself (shoelace area; pairwise proper crossings)."""
    edges = [*zip(points, points[1:] + points[:1], strict=True)]
    if any(_cross(edges[i], edges[j]) for i in range(len(edges)) for j in range(i + 1, len(edges))):
        raise ValueError("must not cross itself")
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in edges) / 2
    if abs(area) < 1e-6:
        raise ValueError("must enclose an area")
    return points


Edge = tuple[tuple[float, float], tuple[float, float]]


def _cross(one: Edge, other: Edge) -> bool:
    """Whether the interiors of two edges cross."""

    def side(edge: Edge, point: tuple[float, float]) -> float:
        (ax, ay), (bx, by) = edge
        return (bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)

    return side(one, other[0]) * side(one, other[1]) < 0 and side(other, one[0]) * side(other, one[1]) < 0


Fraction = Annotated[Number, Field(ge=0, le=1)]


Polygon = Annotated[tuple[tuple[Fraction, Fraction], ...], Field(min_length=3, max_length=64), AfterValidator(_polygon)]


class Zone(Section):
    """Zone of recognition: the part of the picture in which a face may be searched, in 0..1 of width and height."""

    name: Name
    polygon: Polygon


PictureSide = Annotated[int, Strict(), Field(ge=16, le=16_384)]


class Camera(Section):
    """One camera, one worker.

    size  width and height of its pictures, as `[1920, 1080]`; another one stops the camera. Left out: those of the
          first pictures of a deployment
    """

    id: Name
    source: Annotated[str, Field(min_length=1), AfterValidator(_usable_source)]
    pace: Pace = Pace.REALTIME
    zone: Zone
    credential: Path | None = None
    size: tuple[PictureSide, PictureSide] | None = None

    @property
    def live(self) -> bool:
        return is_live(self.source)

    @model_validator(mode="after")
    def _pace_of_a_live_camera(self) -> Camera:
        if self.live and self.pace is Pace.FULL:
            raise ValueError("pace: full reads a recording as fast as it can; a live source has its own pace")
        return self


BACKEND = r"[a-z][a-z0-9-]{0,30}(:[a-z0-9]{1,8})?"


ModelName = Annotated[str, matching(r"[a-z0-9][a-z0-9-]{1,39}", "a model's name as `lfr engines list` shows it")]


class Vision(Section):
    """How the workers recognise. `threshold` overrides the operating point; leave it out to use the evidence.

    evidence            an artefact of `lfr calibrate operating-point`, instead of the shipped one
    evidence_keys       folder of public keys (PEM) that may have signed it, beside the package's own
    false_alert_limit   false alerts a face that may be predicted at most; 1 in 1,000 is the ceiling
    detector, recogniser  names of models, packaged or added by `lfr engines add`; left out, the default ones
    screen              a second recogniser that runs first: score, list and evidence are then the pair's; or none
    """

    backend: Annotated[str, matching(BACKEND, "a backend such as auto, openvino or openvino:bf16")] = "auto"
    min_face_px: Annotated[Number, Field(ge=16, le=600)] = MIN_FACE_PX
    threshold: Annotated[Number, Field(gt=0, lt=1)] | None = None
    evidence: Path | None = None
    evidence_keys: Path | None = None
    false_alert_limit: Annotated[Number, Field(gt=0, le=LIMIT)] = LIMIT
    models_dir: Path | None = None
    detector: ModelName | None = None
    recogniser: ModelName | None = None
    screen: ModelName | None = None


class Mqtt(Section):
    """The van's broker. Mutual TLS is not optional: all three files are needed."""

    host: Annotated[str, matching(r"[A-Za-z0-9.:-]{1,253}", "a host name or an address")]
    port: Annotated[WholeNumber, Field(ge=1, le=65535)] = 8883
    ca: Path
    cert: Path
    key: Path


HeaderPin = Annotated[
    str, matching(r"BOARD[1-9][0-9]?|P[A-Z]{1,2}\.[0-9]{2}", "a header pin (BOARD31) or a line name (PQ.06)")
]
"""A header pin (BOARD31) or a Tegra line name (PQ.06). Never a bare offset: 106 is another pin on another board."""


class Lamps(Section):
    """Status lamps; leave out what the housing does not have.

    hub      lit while the hub is connected
    tower_*  a tower lamp of three colours, or `tower_single`, one lamp with the same codes (`lfr doctor gpio --codes`)
    """

    power: HeaderPin | None = None
    recognising: HeaderPin | None = None
    alert: HeaderPin | None = None
    fault: HeaderPin | None = None
    hub: HeaderPin | None = None
    tower_red: HeaderPin | None = None
    tower_amber: HeaderPin | None = None
    tower_green: HeaderPin | None = None
    tower_single: HeaderPin | None = None

    @model_validator(mode="after")
    def _whole_tower(self) -> Lamps:
        colours = (self.tower_red, self.tower_amber, self.tower_green)
        if any(colours) and not all(colours):
            raise ValueError("a tower lamp needs tower_red, tower_amber and tower_green; a single one is tower_single")
        return self


INPUTS = {"sign_sense": False, "stop": True, "tamper": True, "blue_list_button": True}
"""Each input line, and whether it has a pull-up; one without has a pull-down (device/edges/gpio/WIRING.md)."""


class GpioConfig(Section):
    """The sign, its sensor, the lamps and the buttons.

    sign_kind  `led` goes dark for 50 ms when pulsed and is verified by pulses; `discharge` (neon, fluorescent, sodium)
               cannot: recognition pauses every 10 min while it is switched off and on, and in between other light
               could be taken for it; operational deployments do not run with one
    blue_list_button  a normally open contact to ground: each press counts as a pass of a seeded volunteer. Optional
    """

    driver: Literal["gpiozero", "simulated"]
    sign_kind: Literal["led", "discharge"] = "led"
    sign: HeaderPin | None = None
    sign_sense: HeaderPin | None = None
    stop: HeaderPin | None = None
    tamper: HeaderPin | None = None
    """A contact that opens with the housing: everything personal is erased at once. Optional."""
    blue_list_button: HeaderPin | None = None
    lamps: Lamps = Lamps()

    @property
    def pins(self) -> dict[str, str]:
        """Each line that has a pin, by its key below `lines`: `sign`, `stop`, `lamps.fault` …"""
        lamps = {f"lamps.{name}": pin for name, pin in self.lamps.model_dump().items()}
        named = {"sign": self.sign, **{name: getattr(self, name) for name in INPUTS}, **lamps}
        return {name: pin for name, pin in named.items() if pin is not None}

    @model_validator(mode="after")
    def _wired_and_distinct(self) -> GpioConfig:
        if self.driver == "gpiozero" and (self.sign is None or self.sign_sense is None or self.stop is None):
            raise ValueError("driver gpiozero needs sign, sign_sense and stop")
        named = list(self.pins.values())
        twice = sorted({pin for pin in named if named.count(pin) > 1})
        if twice:
            raise ValueError(f"each line needs a pin of its own; used twice: {', '.join(twice)}")
        return self


def _hub_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be https://HOST[:PORT][/PATH]; the hub shows its own at `lfr hub serve`")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password; the device is known by its certificate (mqtt.cert)")
    return url


class Trust(Section):
    """Where signed deployments come from, and their root of trust.

    roots  folder with `operational`, `test` or `demo`, and in one of them `root.json`: this alone decides the mode
    url    the hub's repository, over TLS with the certificates of `mqtt`;  usb: a stick's folder, read without it
    """

    roots: Path
    url: Annotated[str, AfterValidator(_hub_url)] | None = None
    usb: Path | None = None

    @model_validator(mode="after")
    def _from_somewhere(self) -> Trust:
        if self.url is None and self.usb is None:
            raise ValueError("needs url, usb or both")
        return self


class DeviceConfig(Section):
    """The whole file."""

    RETIRED: ClassVar[dict[str, str]] = {
        "deployment": "deployments are signed, and come from a hub: write `trust:` with `roots` and `url` or `usb`"
    }
    """Keys of earlier files, with what to write now."""

    site: Name
    device: Name
    cameras: Annotated[tuple[Camera, ...], Field(min_length=1, max_length=MAX_CAMERAS)]
    vision: Vision = Vision()
    mqtt: Mqtt
    lines: GpioConfig
    trust: Trust
    live_view: Annotated[bool, Strict()] = False
    """Whether the hub may ask for the live view: the whole picture as coarse cells (device/worker/live_view.py)."""
    state_dir: Path = Path("/var/lib/lfr")
    run_dir: Path = Path("/run/lfr")

    @property
    def live(self) -> bool:
        """Whether any camera is live: then nothing may be simulated."""
        return any(camera.live for camera in self.cameras)

    @property
    def root_topic(self) -> str:
        return f"lfr/v1/{self.site}/{self.device}"

    @model_validator(mode="after")
    def _cameras_differ(self) -> DeviceConfig:
        ids = [camera.id for camera in self.cameras]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise ValueError(f"cameras need different ids; used twice: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _nothing_simulated_before_the_public(self) -> DeviceConfig:
        if self.live and self.lines.driver == "simulated":
            raise ValueError("lines.driver: simulated is only for recorded sources; a live camera needs a real sign")
        return self
