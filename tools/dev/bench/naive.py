"""`python -m tools.dev.bench.naive CLIP`: the usual demo loop, as fast as OpenCV can run it, timed.

Detect at full size, align and embed every face of every frame with FaceDetectorYN and FaceRecognizerSF, compare with
every listed template. Grouping into passages: a face belongs to the track whose last box, moved on at its last speed,
it overlaps most (at least IOU), a track ends after 2 s unseen, and a track alerts once. It runs in its own process,
on the cores it is given, and times the loop alone: decode, detect, embed, match. Enrolment and the frames that are
skipped are not timed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.edges.host.process_memory import peak_resident_mb
from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT
from tools.dev.bench.weights import detector_file, recogniser_file

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

IOU = 0.2
UNSEEN_S = 2.0
DETECTOR_SCORE = 0.6
TEMPLATE_DIM = card(RECOGNISER_DEFAULT).length_of_template
PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(slots=True, eq=False)
class Track:
    """A passage of the naive loop."""

    box: F32
    last_frame: int
    step: F32
    alerted: bool = False

    def expected(self, frame: int) -> F32:
        """Where the box should be; a face that was lost for a while is looked for where it would have got to."""
        return self.box + self.step * (frame - self.last_frame)

    def move(self, box: F32, frame: int) -> None:
        """Take a new box and the speed that it means."""
        shift = (box[:2] + box[2:] - self.box[:2] - self.box[2:]) / 2 / max(1, frame - self.last_frame)
        self.step = np.asarray(0.5 * self.step + 0.5 * np.concatenate([shift, shift]), np.float32)
        self.box, self.last_frame = box, frame


@dataclass(slots=True)
class Tally:
    """What the loop counted; times in seconds, processor time of all threads."""

    frames: int = 0
    seconds: float = 0.0
    processor_s: float = 0.0
    faces: int = 0
    tracks: int = 0
    alerts: list[dict[str, Any]] = field(default_factory=list)


class Tracks:
    """Which faces of successive frames are one passage: the boxes that overlap most, moved on at their last speed."""

    def __init__(self) -> None:
        self._open: list[Track] = []
        self.started = 0

    def clear(self) -> None:
        """Another stretch of frames begins."""
        self._open.clear()

    def follow(self, boxes: list[F32], number: int, unseen: float) -> list[Track]:
        """The track of each box of frame `number`; a track that was not seen for `unseen` frames has ended."""
        self._open = [t for t in self._open if number - t.last_frame <= unseen]
        free, found = list(self._open), []
        for box in boxes:
            track = max(free, key=lambda t: overlap(t.expected(number), box), default=None)
            if track is None or overlap(track.expected(number), box) < IOU:
                track = Track(box, number, np.zeros(4, np.float32))
                self._open.append(track)
                self.started += 1
            else:
                free.remove(track)
                track.move(box, number)
            found.append(track)
        return found


class Naive:
    """The loop's networks, list and tracks. One instance a process; `threads` is OpenCV's own number."""

    def __init__(self, threshold: float, threads: int) -> None:
        import cv2

        cv2.setNumThreads(threads)
        self._cv2 = cv2
        self._detector = cv2.FaceDetectorYN.create(str(detector_file()), "", (320, 320), DETECTOR_SCORE)
        self._recogniser = cv2.FaceRecognizerSF.create(str(recogniser_file()), "")
        self._threshold = threshold
        self._names: list[str] = []
        self._templates: F32 = np.empty((0, TEMPLATE_DIM), np.float32)
        self._tracks = Tracks()

    def enrol(self, watchlist: Path, fill: int, seed: int = 1) -> None:
        """One template a photo, of its most central face; then seeded unit templates up to `fill` entries."""
        for person in sorted(watchlist.iterdir()):
            for file in sorted(person.iterdir()) if person.is_dir() else []:
                photo = self._cv2.imread(str(file)) if file.suffix.lower() in PICTURES else None
                faces = self.detect(photo) if photo is not None else []
                if photo is None or not len(faces):
                    continue
                middle = np.array(photo.shape[1::-1]) / 2
                central = min(faces, key=lambda row: float(np.hypot(*(row[:2] + row[2:4] / 2 - middle))))
                self._add(person.name, self._embed(photo, central))
        noise = np.random.default_rng(seed).normal(size=(max(0, fill - len(self._names)), TEMPLATE_DIM))
        for number, row in enumerate(noise.astype(np.float32)):
            self._names.append(f"filler-{number}")
            noise[number] = row / np.linalg.norm(row)
        self._templates = np.vstack([self._templates, noise.astype(np.float32)])

    def template(self, file: Path) -> F32 | None:
        """Unit template of the largest face of a photo; None without a face."""
        photo = self._cv2.imread(str(file))
        faces = self.detect(photo) if photo is not None else []
        if photo is None or not len(faces):
            return None
        return self._embed(photo, max(faces, key=lambda row: float(row[3])))

    def likeness(self, one: Path, other: Path) -> float:
        """Cosine of the largest faces of two photos: a frame of the clip hardly exceeds it; NaN without a face."""
        a, b = self.template(one), self.template(other)
        return float("nan") if a is None or b is None else float(a @ b)

    def run(self, clip: Path, windows: list[tuple[int, int]]) -> Tally:
        """The timed loop over some stretches of frames, each [first, end)."""
        tally = Tally()
        capture = self._cv2.VideoCapture(str(clip))
        unseen = UNSEEN_S * (capture.get(self._cv2.CAP_PROP_FPS) or 25.0)
        at = 0
        for first, end in sorted(windows):
            self._tracks.clear()
            while at < first and capture.grab():
                at += 1
            while first <= at < end:
                started, used = time.perf_counter(), time.process_time()
                good, frame = capture.read()
                if not good:
                    break
                self._frame(frame, at, unseen, tally)
                tally.seconds += time.perf_counter() - started
                tally.processor_s += time.process_time() - used
                tally.frames += 1
                at += 1
        capture.release()
        return tally

    def _frame(self, frame: U8, number: int, unseen: float, tally: Tally) -> None:
        rows = self.detect(frame)
        tracks = self._tracks.follow([np.concatenate([row[:2], row[:2] + row[2:4]]) for row in rows], number, unseen)
        tally.tracks = self._tracks.started
        for row, track in zip(rows, tracks, strict=True):
            tally.faces += 1
            scores = self._templates @ self._embed(frame, row)
            best = int(np.argmax(scores)) if len(scores) else -1
            if best >= 0 and scores[best] >= self._threshold and not track.alerted:
                track.alerted = True
                tally.alerts.append({"entry": self._names[best], "frame": number, "score": float(scores[best])})

    def detect(self, picture: U8) -> Any:
        """All faces of a BGR picture at its own size, rows of FaceDetectorYN."""
        self._detector.setInputSize((picture.shape[1], picture.shape[0]))
        faces = self._detector.detect(picture)[1]
        return [] if faces is None else faces

    def _embed(self, picture: U8, row: F32) -> F32:
        raw = self._recogniser.feature(self._recogniser.alignCrop(picture, row))[0]
        return np.asarray(raw / np.linalg.norm(raw), np.float32)

    def _add(self, name: str, template: F32) -> None:
        self._names.append(name)
        self._templates = np.vstack([self._templates, template[None]])


def overlap(one: F32, other: F32) -> float:
    """Intersection over union of two boxes (left, top, right, bottom)."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = float(width * height)
    area = float((one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]))
    return both / (area - both)


def main(argv: list[str] | None = None) -> int:
    """Run the loop and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m tools.dev.bench.naive")
    parser.add_argument("clip", type=Path)
    parser.add_argument("--watchlist", type=Path, required=True)
    parser.add_argument("--windows", required=True, help="stretches of frames: FIRST-END,FIRST-END (END not included)")
    parser.add_argument("--threshold", type=float, required=True)
    parser.add_argument("--fill", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args(argv)
    windows = [(int(first), int(end)) for first, end in (part.split("-") for part in args.windows.split(","))]
    naive = Naive(args.threshold, args.threads)
    naive.enrol(args.watchlist, args.fill)
    tally = naive.run(args.clip, windows)
    result = {
        "frames": tally.frames,
        "seconds": tally.seconds,
        "processor_s": tally.processor_s,
        "fps": tally.frames / tally.seconds if tally.seconds else 0.0,
        "faces_per_frame": tally.faces / max(1, tally.frames),
        "templates": tally.faces,
        "tracks": tally.tracks,
        "alerts": tally.alerts,
        "peak_rss_mb": peak_resident_mb(),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
