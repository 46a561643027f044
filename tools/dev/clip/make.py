"""Makes a clip and its ground truth, and keeps them in the cache.

`<name>.mp4` is the clip, `<name>.truth.json` lies beside it: `ClipTruth` as JSON.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from engines.places import cache_dir
from tools.dev.clip.cutout import Cutout, FaceFinder, Portrait, cut_out
from tools.dev.clip.render import Renderer, Seen
from tools.dev.clip.spec import ClipSpec, Passer
from tools.dev.clip.walks import ScriptedWalk, Walk, schedule
from tools.dev.progress import bar

ENLARGE = 1.5
"""No photo's face is shown more than this much larger than it is: blur would not be a person's, but the photo's."""

THREADS = 2
"""Of the encoder; fixed, because x264's output may depend on it."""


class FaceTruth(msgspec.Struct, frozen=True, array_like=True):
    """One face in one frame: frame index, box (left, top, right, bottom, pixels), visible share 0..1, turn of the head
    in degrees (0: as on the photo; positive: towards the right of the picture)."""

    frame: int
    box: tuple[float, float, float, float]
    visible: float
    yaw_deg: float = 0.0


class PassageTruth(msgspec.Struct, frozen=True):
    """One person's way through the picture; `first` and `last` are the frames in which the face is in it at all.

    kind  of a scripted passage (spec.Scripted); "walk" for the crowd
    """

    passage: int
    person: str
    photo: str
    listed: bool
    first: int
    last: int
    faces: list[FaceTruth]
    kind: str = "walk"

    def sound_frames(self, height_px: float = 48.0, visible: float = 0.9) -> int:
        """In how many frames the face is at least that high and that free."""
        return sum(f.visible >= visible and f.box[3] - f.box[1] >= height_px for f in self.faces)


class ClipTruth(msgspec.Struct, frozen=True):
    """Ground truth of a clip."""

    width: int
    height: int
    fps: int
    frames: int
    seed: int
    passages: list[PassageTruth]


def make_clip(spec: ClipSpec, out: Path) -> ClipTruth:
    """Write the clip and, beside it, its ground truth; both appear under their names only when they are whole.

    Raises NoFace or BadData when a photo cannot be used.
    """
    finder = FaceFinder()
    photos = {passer: finder.portrait(passer.photo) for passer in dict.fromkeys(shown_in(spec))}
    walks = schedule(spec, {passer: ENLARGE * photo.face[3] for passer, photo in photos.items()})
    people = _people(spec, [walk.passer for walk in walks], photos)
    out.parent.mkdir(parents=True, exist_ok=True)
    staged = out.with_name(f".{out.stem}.{os.getpid()}.mp4")
    try:
        faces = _encode(spec, Renderer(spec, walks, people).frames(), staged)
        truth = _truth(spec, walks, faces)
        staged_truth = staged.with_suffix(".json")
        staged_truth.write_bytes(msgspec.json.encode(truth))
        staged_truth.replace(truth_file(out))
        staged.replace(out)
    finally:
        staged.unlink(missing_ok=True)
    return truth


def shown_in(spec: ClipSpec) -> list[Passer]:
    """Everybody who may appear, in the spec's order."""
    return [*spec.listed, *spec.crowd, *(script.passer for script in spec.scripted)]


def ready_clip(spec: ClipSpec) -> tuple[Path, ClipTruth]:
    """The clip of the cache for this spec, made when it is not there."""
    path = cache_dir() / "clips" / f"crowd-{spec.digest()}.mp4"
    if path.is_file() and truth_file(path).is_file():
        return path, read_truth(path)
    return path, make_clip(spec, path)


def truth_file(clip: Path) -> Path:
    """Where a clip's ground truth lies."""
    return clip.with_name(f"{clip.stem}.truth.json")


def read_truth(clip: Path) -> ClipTruth:
    """Ground truth of a clip, from the file beside it."""
    return msgspec.json.decode(truth_file(clip).read_bytes(), type=ClipTruth)


def _people(spec: ClipSpec, shown: list[Passer], photos: dict[Passer, Portrait]) -> dict[Passer, Cutout]:
    """Cut out everybody who appears."""
    rng = np.random.default_rng([spec.seed, 2])
    progress = tqdm(dict.fromkeys(shown), desc="people cut out", unit="photo", **bar())
    return {passer: cut_out(photos[passer], rng) for passer in progress}


def _encode(spec: ClipSpec, frames: Iterator[tuple[NDArray[np.uint8], list[Seen]]], out: Path) -> list[list[Seen]]:
    """H.264, 4:2:0 8 bit, BT.709 limited range, a key frame every two seconds."""
    import av

    faces = []
    with av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        options = {"crf": str(spec.crf), "preset": "veryfast", "g": str(2 * spec.fps), "threads": str(THREADS)}
        stream = container.add_stream("libx264", rate=spec.fps, options=options)
        stream.width, stream.height, stream.pix_fmt = spec.width, spec.height, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = BT709, LIMITED
        progress = tqdm(frames, desc="clip drawn", total=spec.frames, unit="frame", **bar())
        for number, (picture, seen) in enumerate(progress):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED)
            frame.pts, frame.time_base = number, Fraction(1, spec.fps)
            container.mux(stream.encode(frame))
            faces.append(seen)
        container.mux(stream.encode(None))
    return faces


BT709, LIMITED = 1, 1
"""FFmpeg's numbers for the matrix and for the limited ("video") range (ITU-T H.273)."""


def _truth(spec: ClipSpec, walks: Sequence[Walk | ScriptedWalk], faces: list[list[Seen]]) -> ClipTruth:
    rows: dict[int, list[FaceTruth]] = {}
    for frame, seen in enumerate(faces):
        for face in seen:
            left, top, right, bottom = (round(v, 1) for v in face.box)
            row = FaceTruth(frame, (left, top, right, bottom), round(face.visible, 3), round(face.yaw_deg, 1))
            rows.setdefault(face.walk, []).append(row)
    passages = [
        PassageTruth(
            passage=number,
            person=walks[number].passer.person,
            photo=walks[number].passer.photo.name,
            listed=walks[number].passer.listed,
            first=seen_in[0].frame,
            last=seen_in[-1].frame,
            faces=seen_in,
            kind=_kind(walks[number]),
        )
        for number, seen_in in sorted(rows.items())
    ]
    return ClipTruth(spec.width, spec.height, spec.fps, spec.frames, spec.seed, passages)


def _kind(walk: Walk | ScriptedWalk) -> str:
    return walk.script.kind if isinstance(walk, ScriptedWalk) else "walk"
