"""A painted world: every person is a rectangle of one luma; fakes of detector and recogniser that understand it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import pytest

from device.domain.decision_rule import keep_two_best
from device.domain.finding import Candidate
from device.domain.recognisers import FUSION, Recognisers
from device.domain.sight import F32, U8, ColourMatrix, Face, Frame, Planes
from device.domain.time import NS_PER_MS, MediaNs, MonotonicNs
from device.recognition.candidate import ListedPerson
from device.recognition.pipeline import Pipeline, Sight
from device.recognition.volunteers import VolunteerSearch
from device.vision.align import ARCFACE
from device.vision.decision import Best
from device.vision.detector import Detector
from device.vision.embedder import Embedder
from device.vision.face_front_end import HostFrontEnd
from device.vision.observer import Observer
from device.vision.pair import ScreenLists
from device.vision.refine import Refiner
from device.vision.zone import Zone
from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT, SCREEN_0095, Lengths

SIZE = (640, 360)
FACE_PX = 90
STEP_MS = 80
THRESHOLD = 0.5
GOOD, NOISE = 12.5, 5.0


def luma_of(person: int) -> int:
    return 50 + 22 * person


def person_in(value: float) -> int | None:
    """Whom an RGB value shows (limited range: RGB = 1.164 (Y - 16))."""
    person = (value / 1.164 + 16 - 50) / 22
    return round(person) if abs(person - round(person)) < 0.25 and -0.5 < person < 9 else None


def unit(person: int, dim: int = 128) -> F32:
    row = np.zeros(dim, np.float32)
    row[person] = 1.0
    return row


def template_of(person: int, dim: int) -> F32:
    """What a template of `dim` numbers is: a recogniser's own, or a pair's."""
    if dim in (128, 256):
        return unit(person, dim)
    weight = FUSION.main_weight
    return np.concatenate([unit(person) * math.sqrt(weight), unit(person, 256) * math.sqrt(1 - weight)])


class PaintedDetector(Detector):
    """Detector of painted people: one face for each rectangle; keeps what it was shown, to see it wiped."""

    def __init__(self, score: float = 0.9) -> None:
        self.pictures: list[U8] = []
        self.score = score

    def detect(
        self, picture: U8, *, frame_size: tuple[float, float], origin: tuple[float, float] = (0.0, 0.0)
    ) -> list[Face]:
        if not self.pictures or self.pictures[-1] is not picture:
            self.pictures.append(picture)
        high, wide = picture.shape[:2]
        scale = np.array([frame_size[0] / wide, frame_size[1] / high])
        faces = []
        for person in range(9):
            shown = (abs(picture[:, :, 0] - 1.164 * (luma_of(person) - 16)) < 6).astype(np.uint8)
            # An edge between two lumas passes through others; opening removes such lines.
            rows, columns = np.nonzero(cv2.morphologyEx(shown, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)))
            if len(rows) < 12:
                continue
            corners = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]]) * scale + origin
            (left, top), (right, bottom) = corners
            across, down = np.array([0.3, 0.7, 0.5, 0.35, 0.65]), np.array([0.35, 0.35, 0.55, 0.75, 0.75])
            points = np.stack([left + across * (right - left), top + down * (bottom - top)], 1)
            faces.append(Face(corners.reshape(4).astype(np.float32), points.astype(np.float32), self.score))
        return faces


class PaintedEmbedder(Embedder):
    """Recogniser of painted people: `raw_lengths` gives the raw length of a person's template (GOOD when not named)."""

    template_dim = 128
    lengths: Lengths | None = card(RECOGNISER_DEFAULT).lengths

    alignment = ARCFACE

    def __init__(self) -> None:
        self.raw_lengths: dict[int, float] = {}
        self.looks: list[int | None] = []
        self.input: U8 = np.zeros((112, 112, 3), np.uint8)

    def embed(self, crop: U8, out: F32) -> float:
        self.input[:] = crop
        person = person_in(float(np.median(crop[40:90, 40:72, 0])))
        self.looks.append(person)
        out[:] = unit(127 if person is None else person, len(out))
        return NOISE if person is None else self.raw_lengths.get(person, GOOD)

    def wipe(self) -> None:
        self.input[:] = 0


class ListOfPeople:
    """Gallery in which each listed person's template is his own; unlisted people score 0."""

    def __init__(self, people: Sequence[int], dim: int = 128) -> None:
        self.people = list(people)
        self.dim = dim

    def screen_best(self, template: F32) -> float:
        return max(float(template @ unit(p, 256)) for p in self.people)

    def __len__(self) -> int:
        return len(self.people)

    def nearest(self, template: F32) -> Best:
        return self._best(self._scores(template))

    def note_look(self, template: F32, best: F32) -> None:
        scores = np.array(self._scores(template), np.float32)
        keep_two_best(best, np.stack([scores, np.zeros_like(scores)]))

    def nearest_by_looks(self, best: F32) -> Best:
        return self._best([float(mean) for mean in best.mean(1).max(0)])

    def _scores(self, template: F32) -> list[float]:
        length = max(float(np.linalg.norm(template)), 1e-9)
        return [float(template @ template_of(p, self.dim)) / length for p in self.people]

    @staticmethod
    def _best(scores: list[float]) -> Best:
        best = int(np.argmax(scores))
        others = [score for n, score in enumerate(scores) if n != best]
        return Best(best, scores[best], max(others, default=-math.inf))


class World:
    """A pipeline over painted frames."""

    def __init__(
        self,
        listed: Sequence[int] = (0,),
        zone: Sequence[tuple[float, float]] = ((0, 0), (1, 0), (1, 1), (0, 1)),
        face_px: int = FACE_PX,
        observer: Observer | None = None,
        screened: bool = False,
        volunteers: Sequence[int] = (),
    ) -> None:
        """`screened`: a second recogniser sees first, and knows who is listed."""
        self.embedder = PaintedEmbedder()
        self.screen = PaintedEmbedder()
        self.detector = PaintedDetector()
        self.second_look = PaintedDetector()
        self.opened: list[tuple[int, int]] = []
        self.face_px = face_px
        self.frames = 0
        self.now_ms = 0.0
        self.stated: list[Candidate] = []
        chosen = Recognisers(card(RECOGNISER_DEFAULT), card(SCREEN_0095) if screened else None)
        people = ListOfPeople(listed, chosen.length_of_template)
        blue_people = ListOfPeople(volunteers, chosen.length_of_template)
        self.front_end = HostFrontEnd(
            self._detector_for,
            Refiner(self.second_look),
            {chosen.main.name: self.embedder, SCREEN_0095: self.screen},
            recognisers=chosen,
            min_face_px=32.0,
            listed=ScreenLists(people, blue_people) if volunteers else people,
        )
        blue = VolunteerSearch(blue_people, [f"V-{p}" for p in volunteers], THRESHOLD)
        self.pipeline = Pipeline(
            Sight(
                front_end=self.front_end,
                gallery=people,
                entries=tuple(ListedPerson(f"entry-{p}", category="missing") for p in listed),
                threshold=THRESHOLD,
                zone=Zone(tuple(zone)),
                min_face_px=32.0,
            ),
            observer=observer,
            volunteers=blue if volunteers else None,
        )

    def _detector_for(self, height: int, width: int) -> Detector:
        self.opened.append((height, width))
        return self.detector

    def frame(self, people: Mapping[int, tuple[float, float]], size: tuple[int, int] = SIZE) -> Frame:
        """Person to centre of the face, pixels; later people stand in front."""
        luma = np.full((size[1], size[0]), 30, np.uint8)
        half = self.face_px // 2
        for person, (x, y) in people.items():
            left, top = max(0, round(x) - half * 4 // 5), max(0, round(y) - half)
            luma[top : max(0, round(y) + half), left : max(0, round(x) + half * 4 // 5)] = luma_of(person)
        grey = np.full(((size[1] + 1) // 2, (size[0] + 1) // 2), 128, np.uint8)
        at = MediaNs(round(self.now_ms * NS_PER_MS))
        return Frame(self.frames, at, MonotonicNs(0), Planes(luma, grey, grey, ColourMatrix.BT601, False))

    def show(
        self, people: Mapping[int, tuple[float, float]], *, ms: float = STEP_MS, size: tuple[int, int] = SIZE
    ) -> list[Candidate]:
        """One frame, `ms` after the last: look and judge."""
        frame = self.frame(people, size)
        faces = self.pipeline.look(frame)
        assert faces is not None, "a pressed look is never passed over"
        stated = self.pipeline.process(frame, faces)
        self.frames += 1
        self.now_ms += ms
        self.stated += stated
        return stated

    def walk(self, *people: int, steps: int = 12, y: float = 180) -> None:
        """Everybody side by side from left to right."""
        for n in range(steps):
            self.show({p: (100 + 12 * n + 130 * i, y) for i, p in enumerate(people)})

    def empty(self, seconds: float) -> None:
        """Nobody in view for a while."""
        for _ in range(int(seconds * 1000 / STEP_MS) + 1):
            self.show({})


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def world_of() -> Callable[..., World]:
    return World
