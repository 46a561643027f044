"""How much of a face is left in a live view's picture: `python -m tools.dev.proof.pixelation [COLUMNSxROWS …]`.

Each sample portrait is laid into a 1280x720 frame at several face heights and positions, reduced to cell means as the
worker does it, and enlarged again. Its template is made there with the landmarks of the unreduced face, which nobody
has who sees the view alone, and compared with the template of the unreduced face. Of the ways to enlarge, and of the
mean template over the positions (a face that moves across the cells), the best for who looks on counts.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from device.domain.sight import F32, U8, Damage, Face, Frame, Packed
from device.domain.time import MediaNs, MonotonicNs
from device.enrolment.engine_photo_reader import EnginePhotoReader
from device.enrolment.model_sessions import ModelSessions
from device.enrolment.photo_file import decode_upright
from device.vision.align import align_rgb
from device.vision.picture import cell_means
from tools.dev.samples.extract import distinct_avatars

WIDTH, HEIGHT = 1280, 720
HEIGHTS_PX = (720, 360, 180)
POSITIONS = 4  # phases of the cells under the face
PEOPLE = 60
SEED = 2026
FACE_SCORE = 0.6


@dataclass(frozen=True, slots=True)
class Left:
    """What is left at one height: `own` and `others` are best cosines with the same face, and with the next person's.

    found  share of pictures in which the detector finds a face;  first  share of faces that are nearest to themselves
    """

    height_px: int
    own: F32
    others: F32
    found: float
    first: float


def measure(columns: int, rows: int, photos: list[Path], heights: tuple[int, ...] = HEIGHTS_PX) -> list[Left]:
    """The measurement over these portraits, one row a height."""
    room = ModelSessions("auto", threads=1)
    reader = EnginePhotoReader(room)
    try:
        people = [person for path in photos if (person := _portrait(reader, path)) is not None]
        return [_at(room, people, height, (columns, rows)) for height in heights]
    finally:
        reader.close()
        room.close()


def _portrait(reader: EnginePhotoReader, path: Path) -> tuple[U8, Face, F32] | None:
    picture = decode_upright(path.read_bytes())
    faces = [] if picture is None else list(reader.read(picture))
    if picture is None or not faces:
        return None
    made = reader.templates(picture, faces[0])
    face = Face(faces[0].box, faces[0].landmarks, faces[0].score)
    return None if made is None else (picture, face, made.look)


def _at(room: ModelSessions, people: list[tuple[U8, Face, F32]], height: int, grid: tuple[int, int]) -> Left:
    random = np.random.default_rng(SEED)
    originals = np.stack([template for _, _, template in people])
    seen: list[F32] = []
    found = 0
    for picture, face, _ in people:
        rows, faces = _templates(room, picture, face, height, grid, random)
        seen.append(rows)
        found += faces
    scores = np.stack([rows @ originals.T for rows in seen])  # person, way, original
    index = np.arange(len(people))
    return Left(
        height,
        own=scores[index, :, index].max(1),
        others=scores[index, :, (index + 1) % len(people)].max(1),
        found=found / (len(people) * POSITIONS),
        first=float(np.mean((scores.argmax(2) == index[:, None]).mean(1))),
    )


def _templates(
    room: ModelSessions, picture: U8, face: Face, height: int, grid: tuple[int, int], random: np.random.Generator
) -> tuple[F32, int]:
    """Unit templates: the mean over the positions for each way to enlarge, then each single one; faces found."""
    import cv2

    detector = room.detector(352, 640)
    scale = height / face.height_px
    centre = (face.box[:2] + face.box[2:]) / 2
    made: list[list[F32]] = [[], []]
    found = 0
    for _ in range(POSITIONS):
        shift = np.array([WIDTH, HEIGHT]) / 2 - scale * centre + random.uniform(-40, 40, 2)
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        laid = cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        frame = Frame(0, MediaNs(0), MonotonicNs(0), Packed(np.asarray(laid, np.uint8)), Damage.NONE)
        cells = cell_means(frame, *grid)
        points = (face.landmarks * scale + shift).astype(np.float32)
        for way, how in enumerate((cv2.INTER_NEAREST, cv2.INTER_CUBIC)):
            large = np.asarray(cv2.resize(cells, (WIDTH, HEIGHT), interpolation=how), np.uint8)
            out = np.zeros(room.embedder().template_dim, np.float32)
            room.embedder().embed(align_rgb(large, Face(face.box, points, 1.0)), out)
            made[way].append(out)
            small = np.asarray(cv2.resize(large, (640, 352)), np.uint8)
            faces = detector.detect(small, frame_size=(WIDTH, HEIGHT))
            found += way == 0 and any(one.score >= FACE_SCORE for one in faces)
    means = [np.mean(ways, axis=0) for ways in made]
    rows = np.stack([mean / max(float(np.linalg.norm(mean)), 1e-6) for mean in means] + made[0] + made[1])
    return rows.astype(np.float32), found


def main(grids: list[str]) -> None:
    """Print a table a grid."""
    for grid in grids:
        columns, rows = (int(part) for part in grid.split("x"))
        print(f"{columns} x {rows} cells")
        for left in measure(columns, rows, distinct_avatars()[:PEOPLE]):
            own, others = np.percentile(left.own, (50, 95, 100)), np.percentile(left.others, (50, 95, 100))
            print(
                f"  face {left.height_px:3d} px: same face {own[0]:.2f} {own[1]:.2f} {own[2]:.2f}, another's"
                f" {others[0]:.2f} {others[1]:.2f} {others[2]:.2f} (median, 95 %, most); nearest to itself"
                f" {left.first:.1%} of {len(left.own)}; detector finds {left.found:.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:] or ["12x7"])
