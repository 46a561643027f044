"""The specification of a clip: everything that changes its pictures is in `ClipSpec`, and the seed decides the rest."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec

from device.config.deployment import UNOFFICIAL_MOST
from tools.dev.samples.extract import distinct_avatars, sample_files

FORMAT = 4
"""Raised whenever the same spec would give other pictures, so that a cached clip is made again."""


DEFAULT_SCENE = "cup-of-coffee-on-table-in-cafe.jpg"
"""A dim room with blurred lights; two blurred people sit in its left part, without a face."""


@dataclass(frozen=True, slots=True)
class Passer:
    """One photo of one person. `listed` people are on the watchlist, with other photos where there are any.

    start_s  when the passage begins; None: the crowd's turn decides
    hidden   share of the passage during which half the face is behind something the person holds, 0..1
    """

    person: str
    photo: Path
    listed: bool = False
    start_s: float | None = None
    hidden: float = 0.0


@dataclass(frozen=True, slots=True)
class Scripted:
    """One person whose way is prescribed, from frame `first` to frame `last`, both included.

    kind    what it is there for: stand, turned, step-in, cross, come (tools/dev/clip/scenes.py)
    start, end  x of the face's centre as a share of the frame's width, and the face's height in pixels
    moving  frames of the way from start to end; after that the person stands
    yaw     turn of the head in degrees, from and to, swinging once every `SWING_S`; positive: towards the right of the
            picture
    """

    passer: Passer
    kind: str
    first: int
    last: int
    start: tuple[float, float]
    end: tuple[float, float]
    moving: int = 1
    yaw: tuple[float, float] = (0.0, 0.0)


SWING_S = 4.0


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """A crowd scene.

    face_px   smallest and largest face height, pixels of the clip; no photo is enlarged beyond 1.5 of its own
    in_view   how many people are in view at a time, least and most
    shutter   exposure as a share of the frame time (motion blur);  noise  sensor noise, grey levels, sigma
    accessories  share of people who wear a hat or a scarf
    crf       of x264: higher is smaller and worse
    scripted  people whose ways are prescribed, beside the crowd
    cuts      frames at which another shot begins: the background is another one at once
    """

    seed: int = 3
    seconds: float = 30.0
    width: int = 1280
    height: int = 720
    fps: int = 25
    in_view: tuple[int, int] = (6, 8)
    face_px: tuple[float, float] = (30.0, 150.0)
    shutter: float = 0.15
    noise: float = 3.0
    accessories: float = 0.15
    crf: int = 22
    scene: Path | None = None
    listed: tuple[Passer, ...] = ()
    crowd: tuple[Passer, ...] = ()
    scripted: tuple[Scripted, ...] = ()
    cuts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        low, high = self.in_view
        if not 1 <= low <= high:
            raise ValueError(f"in_view is {self.in_view}: least and most, at least 1")
        if not 8 <= self.face_px[0] <= self.face_px[1]:
            raise ValueError(f"face_px is {self.face_px}: smallest and largest, at least 8")
        if self.width % 2 or self.height % 2 or min(self.width, self.height) < 64:
            raise ValueError(f"{self.width}x{self.height}: sides must be even and at least 64")
        if self.seconds <= 0 or self.fps <= 0:
            raise ValueError(f"{self.seconds} s at {self.fps} frames/s: both must be above 0")

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)

    def digest(self) -> str:
        """Name of the clip in the cache: the same for the same pictures."""
        plain = {key: str(float(value) if isinstance(value, int) else value) for key, value in asdict(self).items()}
        for later in ("scripted", "cuts"):  # where they are empty, pictures and name are as before
            if not getattr(self, later):
                del plain[later]
        return hashlib.sha256(msgspec.json.encode([FORMAT, sorted(plain.items())])).hexdigest()[:12]


SHORTEST_S = 10.0


def default_spec(seed: int = 3, seconds: float = 30.0) -> ClipSpec:
    """The demo's clip: a listed person walks by twice among about sixty others, the second time half hidden.

    The listed person is enrolled with one photo (`watchlist_photos`) and shown with two others. From SHORTEST_S on, the
    two passages are more than two seconds apart; nearer ones are one passage to the product, as defined.
    """
    photos = {path.name: path for path in sample_files("public")}
    first, second = 0.05 * seconds, 0.62 * seconds
    listed = (
        Passer("obama", photos["obama2.jpg"], listed=True, start_s=first),
        Passer("obama", photos["obama.jpg"], listed=True, start_s=second, hidden=0.6),
    )
    crowd = (Passer("biden", photos["biden.jpg"]), *(Passer(path.stem, path) for path in distinct_avatars()))
    scene = next(path for path in sample_files("scenes") if path.name == DEFAULT_SCENE)
    return ClipSpec(seed=seed, seconds=seconds, listed=listed, crowd=crowd, scene=scene)


def bench_spec() -> ClipSpec:
    """The clip of `lfr bench`: the demo's cast with about five faces in view, for which the target is stated."""
    return replace(default_spec(), in_view=(4, 6))


def latency_spec() -> ClipSpec:
    """The clip of `lfr bench`'s latency: the same scene with a demonstration's list of people, repeatedly."""
    people = distinct_avatars()[:UNOFFICIAL_MOST]
    return replace(bench_spec(), listed=(), crowd=tuple(Passer(path.stem, path) for path in people))


def watchlist_photos() -> dict[str, list[Path]]:
    """Person and photos to enrol for `default_spec`.

    Not obama.jpg: one avatar (005m) is like that one photo with a cosine of .45, which at the threshold of a short list
    (.458) comes and goes as a false alert. With obama3.jpg the nearest of 148 avatars is at .34.
    """
    return {"obama": [path for path in sample_files("public") if path.name == "obama3.jpg"]}


def portrait_of(spec: ClipSpec) -> ClipSpec:
    """The same people in a frame turned to portrait."""
    return replace(spec, width=spec.height, height=spec.width)


def write_watchlist(folder: Path, photos: dict[str, list[Path]] | None = None) -> Path:
    """One folder a person with copies of the photos to enrol (`watchlist_photos` when None)."""
    for person, files in (watchlist_photos() if photos is None else photos).items():
        (folder / person).mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copyfile(file, folder / person / file.name)
    return folder
