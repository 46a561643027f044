"""Both face front ends see the same people: pictures made by the processor, and made inside the networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from device.domain.finding import Candidate
from device.domain.operating_point import MIN_FACE_PX
from device.domain.recognisers import Recognisers
from device.domain.sight import F32, Face, Frame, Packed, Planes
from device.domain.time import MediaNs, MonotonicNs
from device.edges.camera.recording import RecordedSource
from device.enrolment.engine_photo_reader import EnginePhotoReader
from device.enrolment.model_sessions import ModelSessions
from device.errors import EngineUnavailable, InternalError
from device.recognition.build import WHOLE_FRAME, Listed, gallery_of
from device.recognition.candidate import ListedPerson
from device.recognition.pipeline import Pipeline, Sight
from device.vision.align import DegenerateGeometry
from device.vision.detector import DetectionSize
from device.vision.face_front_end import FaceFrontEnd, HostFrontEnd
from device.vision.face_front_end_sampled import SampledFrontEnd
from device.vision.zone import Zone
from engines.cards.catalogue import card
from engines.cards.model_card import RECOGNISER_DEFAULT
from engines.runner import DevicePicture
from engines.select import open_sampled
from tests.pictures import packed as packed_picture
from tests.unit.recognition.second_looks import TIED, second_looks

pytestmark = pytest.mark.slow

THRESHOLD = 0.5
KINDS = ["host", "sampled"]
MakeSessions = Callable[[], ModelSessions]


@pytest.fixture
def sessions_of(models_ready: Path) -> Iterator[MakeSessions]:
    """Sessions of exact engines on ONNX Runtime, closed at the end."""
    made: list[ModelSessions] = []

    def make() -> ModelSessions:
        made.append(ModelSessions("onnxruntime:fp32", threads=1, models=models_ready))
        return made[-1]

    yield make
    for sessions in made:
        sessions.close()


def front_end_of(kind: str, sessions: ModelSessions) -> FaceFrontEnd:
    return sessions.sampled_front_end(MIN_FACE_PX) if kind == "sampled" else sessions.front_end(MIN_FACE_PX)


def packed(frame: Frame) -> Frame:
    """The frame as a camera on a board would give it."""
    planes = frame.picture
    assert isinstance(planes, Planes)
    flat = np.concatenate([plane.reshape(-1) for plane in (planes.y, planes.u, planes.v)])
    rgb = cv2.cvtColor(flat.reshape(-1, frame.width), cv2.COLOR_YUV2RGB_I420)
    return replace(frame, picture=Packed(np.ascontiguousarray(rgb)))


def frames_of(clip: Path, *, every: int = 1, until_s: float = 99.0) -> Iterator[Frame]:
    source = RecordedSource(clip, decode_threads=1)
    try:
        for frame in source.frames():
            if frame.at > until_s * 1e9:
                return
            if frame.index % every == 0:
                yield packed(frame)
    finally:
        source.close()


def watched(clip: Path, front_end: FaceFrontEnd, listed: F32) -> tuple[Pipeline, list[Candidate]]:
    """The spine over the clip's first four seconds: the listed person passes once."""
    sight = Sight(
        front_end=front_end,
        gallery=Listed(gallery_of([("obama", listed[None])], synthetic=200)),
        entries=tuple(ListedPerson(f"entry-{n}") for n in range(200)),
        threshold=THRESHOLD,
        zone=Zone(WHOLE_FRAME),
        min_face_px=MIN_FACE_PX,
    )
    pipeline, stated = Pipeline(sight), []
    frame = None
    for frame in frames_of(clip, until_s=4.0):
        faces = pipeline.look(frame) if pipeline.due(frame) else None
        if faces is not None:
            stated += pipeline.process(frame, faces)
    assert frame is not None
    stated += pipeline.end_of_source(frame)
    pipeline.finish()
    return pipeline, stated


def test_a_mirrored_look_is_the_same_through_both_and_not_the_look_itself(
    clip: Path, sessions_of: MakeSessions
) -> None:
    made = []
    for kind in KINDS:
        front_end = front_end_of(kind, sessions_of())
        frame, faces = next((f, found) for f in frames_of(clip, every=5) if (found := front_end.look(f)))
        plain = np.zeros(front_end.template_dim, np.float32)
        front_end.embed(frame, faces[0], plain)
        mean = plain.copy()
        front_end.mirror(frame, faces[0], mean)
        assert np.linalg.norm(mean) == pytest.approx(1.0, abs=1e-5)
        assert 0.5 < plain @ mean < 0.999
        made.append(mean)
    assert made[0] @ made[1] > 0.98


@pytest.mark.long
def test_both_raise_the_same_possible_matches_on_a_clip(
    clip: Path, sessions_of: MakeSessions, samples: Callable[[str], list[Path]]
) -> None:
    sessions = sessions_of()
    reader = EnginePhotoReader(sessions)
    photo = next(path for path in samples("public") if path.name == "obama.jpg")
    picture = cv2.imread(str(photo))
    assert picture is not None
    rgb = np.ascontiguousarray(picture[:, :, ::-1])
    listed = reader.template(rgb, reader.read(rgb)[0])
    assert listed is not None
    found = {}
    for kind in KINDS:
        pipeline, stated = watched(clip, front_end_of(kind, sessions_of()), listed)
        first = [one for one in stated if one.revision == 0]
        best = [max(one.score for one in stated if one.passage == opened.passage) for opened in first]
        counters = pipeline.counters
        assert counters.faces_seen == counters.discarded + counters.alerted
        found[kind] = [one.entry_ref for one in first], [one.frame for one in first], best, counters.faces_seen
    host, sampled = found["host"], found["sampled"]
    assert host[0] == sampled[0] == ["entry-0"]
    np.testing.assert_allclose(sampled[1], host[1], atol=2)  # frames
    np.testing.assert_allclose(sampled[2], host[2], atol=0.03)  # best scores
    assert sampled[3] == pytest.approx(host[3], abs=1)


def test_faces_landmarks_and_templates_agree_frame_by_frame(clip: Path, sessions_of: MakeSessions) -> None:
    """Both samplings differ by roundings alone: each cell of the second look gives the same landmarks to .01 of the
    face's height (measured 2026-11-30, 438 faces of this clip: .0063 at most).

    The refined landmarks are those of the best cell. Where two are tied to a part in a thousand a rounding decides
    which that is: there (109 of the 438) they are up to .042 apart, elsewhere up to .0039. The difference is between
    the detector's cells, not between the samplings.
    """
    host, sampled = sessions_of().front_end(MIN_FACE_PX), sessions_of().sampled_front_end(MIN_FACE_PX)
    assert isinstance(host, HostFrontEnd)
    both: tuple[FaceFrontEnd, ...] = (host, sampled)
    cosines, shifts, of_cells, missed, seen = [], [], [], 0, 0
    templates = np.zeros((2, host.template_dim), np.float32)
    for frame in frames_of(clip, every=50):
        others = sampled.look(frame)
        for face in (one for one in host.look(frame) if one.score >= 0.7 and one.height_px >= MIN_FACE_PX):
            seen += 1
            near = [one for one in others if np.abs(one.box - face.box).max() < 0.15 * face.height_px]
            refined = [front_end.refine(frame, face, looks=seen % 2) for front_end in both]
            missed += not near or (refined[0] is None) != (refined[1] is None)
            apart, scores = second_looks(host, sampled, frame, face, seen % 2)
            of_cells.append(apart)
            if refined[0] is None or refined[1] is None:
                continue
            if sum(abs(score - refined[0].score) < TIED for score in scores) < 2:
                shifts.append(np.abs(refined[0].landmarks - refined[1].landmarks).max() / face.height_px)
            lengths = [front_end.embed(frame, refined[0], out) for front_end, out in zip(both, templates, strict=True)]
            assert lengths[1] == pytest.approx(lengths[0], rel=0.05)
            cosines.append(float(templates[0] @ templates[1]))
    assert seen >= 20
    assert missed == 0
    assert max(of_cells) < 0.01
    assert len(shifts) >= 15, "ties are the exception"
    assert max(shifts) < 0.01  # of the face's height
    assert min(cosines) > 0.998


SFACE_ALONE = Recognisers(card(RECOGNISER_DEFAULT))


class Counting:
    """A SampledRunner that notes what it was shown; `blank` of the last frame."""

    backend = "none"

    def __init__(self, inner: Any) -> None:
        self.inner, self.blank = inner, False
        self.shown: list[Any] = []
        self.frame_size = inner.frame_size

    def run(self, frame: Any, to_crop: F32) -> Any:
        self.shown.append(frame)
        self.blank = isinstance(frame, np.ndarray) and not frame.any()
        if isinstance(frame, DevicePicture):  # a desk has no GPU that could read it
            frame = np.zeros((frame.height, frame.width, 3), np.uint8)
        return self.inner.run(frame, to_crop)

    def close(self) -> None:
        self.inner.close()


@pytest.fixture
def counted(sessions_of: MakeSessions) -> Callable[[bool], tuple[SampledFrontEnd, list[Counting]]]:
    """A sampled front end whose three runners are watched."""

    def make(on_gpu: bool) -> tuple[SampledFrontEnd, list[Counting]]:
        sessions = sessions_of()
        seen: list[Counting] = []

        def opening(*asked: Any) -> Any:
            opened = sessions._open_sampled(*asked)
            seen[:] = [Counting(one) for one in (opened.detector, opened.second_look, *opened.recognisers.values())]
            named = dict(zip(opened.recognisers, seen[2:], strict=True))
            return replace(opened, detector=seen[0], second_look=seen[1], recognisers=named)

        front_end = SampledFrontEnd(opening, on_gpu=on_gpu, min_face_px=MIN_FACE_PX, recognisers=SFACE_ALONE)
        return front_end, seen

    return make


def blank_frame(address: int | None = None, size: tuple[int, int] = (360, 640)) -> Frame:
    return Frame(0, MediaNs(0), MonotonicNs(0), Packed(np.zeros((*size, 3), np.uint8), address))


def a_face(face_px: float = 80.0) -> Face:
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.75], [0.65, 0.75]], np.float32)
    return Face(np.array([200, 100, 264, 180], np.float32), (points * face_px + [200, 100]).astype(np.float32), 0.9)


def test_on_a_gpu_every_network_gets_the_frame_s_address_and_no_pixels(
    counted: Callable[[bool], tuple[SampledFrontEnd, list[Counting]]],
) -> None:
    front_end, seen = counted(True)
    frame, out = blank_frame(0xABCD00), np.zeros(128, np.float32)
    front_end.look(frame)
    front_end.refine(frame, a_face())
    front_end.embed(frame, a_face(), out)
    assert [one.shown for one in seen] == [[DevicePicture(0xABCD00, 360, 640)]] * 3
    with pytest.raises(InternalError, match="not in its memory"):
        front_end.look(blank_frame(None))


@pytest.mark.parametrize("smallest", [32.0, 64.0])
def test_the_size_that_frames_are_searched_at_follows_from_the_smallest_face(smallest: float) -> None:
    asked: list[Any] = []

    def opening(*what: Any) -> Any:
        asked.extend(what)
        raise EngineUnavailable("none here")

    front_end = SampledFrontEnd(opening, on_gpu=False, min_face_px=smallest, recognisers=SFACE_ALONE)
    with pytest.raises(EngineUnavailable):
        front_end.look(blank_frame())
    assert asked == [(360, 640), DetectionSize.for_frame(640, 360, min_face_px=smallest)]


def test_a_sampled_front_end_takes_no_planes(counted: Callable[[bool], tuple[SampledFrontEnd, list[Counting]]]) -> None:
    grey = np.zeros((360, 640), np.uint8)
    planes = Frame(0, MediaNs(0), MonotonicNs(0), Planes(grey, grey[::2, ::2], grey[::2, ::2]))
    with pytest.raises(InternalError, match="not in its memory"):
        counted(False)[0].look(planes)


def test_to_forget_a_blank_goes_through_each_network_and_nothing_is_opened_for_it(
    counted: Callable[[bool], tuple[SampledFrontEnd, list[Counting]]],
) -> None:
    front_end, seen = counted(False)
    front_end.wipe_view()
    front_end.wipe_faces()
    assert seen == []
    frame = blank_frame()
    packed_picture(frame).rgb[:] = 90
    front_end.look(frame)
    front_end.refine(frame, a_face())
    front_end.embed(frame, a_face(), np.zeros(128, np.float32))
    assert [one.blank for one in seen] == [False] * 3  # the positive control
    front_end.wipe_view()
    assert [one.blank for one in seen] == [True, False, False]
    front_end.wipe_faces()
    assert [one.blank for one in seen] == [True] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_prepared_is_open_when_the_first_frame_comes(
    kind: str, sessions_of: MakeSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    front_end = front_end_of(kind, sessions_of())
    front_end.prepare(640, 360)
    opener = "_open_for" if kind == "sampled" else "_detector_for"
    monkeypatch.setattr(front_end, opener, lambda *_: pytest.fail("opened when the frame was there"))
    assert front_end.look(blank_frame()) == []
    with pytest.raises(pytest.fail.Exception):
        front_end.look(blank_frame(size=(960, 1280)))  # the positive control


def test_another_size_of_frame_opens_other_engines_and_closes_the_last(
    counted: Callable[[bool], tuple[SampledFrontEnd, list[Counting]]],
) -> None:
    front_end, seen = counted(False)
    front_end.look(blank_frame())
    first = list(seen)
    front_end.look(blank_frame(size=(480, 640)))
    assert seen[0] is not first[0]
    for one in first:
        with pytest.raises(Exception, match=r"closed|NoneType"):
            one.run(packed_picture(blank_frame()).rgb, np.array([[[1, 0, 0], [0, 1, 0]]], np.float32))


def test_engines_that_were_closed_for_others_which_failed_to_open_are_never_run_again(
    counted: Callable[[bool], tuple[SampledFrontEnd, list[Counting]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    front_end, seen = counted(False)
    front_end.look(blank_frame())

    def failing(*_: Any) -> Any:
        for one in seen:
            one.close()
        raise EngineUnavailable("no plan for such frames")

    with monkeypatch.context() as board:
        board.setattr(front_end, "_open_for", failing)
        with pytest.raises(EngineUnavailable):
            front_end.look(blank_frame(size=(480, 640)))
    front_end.wipe_view()  # there is nothing to forget by
    front_end.wipe_faces()
    assert front_end.look(blank_frame()) == []  # engines opened anew


@pytest.mark.parametrize("kind", KINDS)
def test_landmarks_like_no_face_are_refused_by_both(kind: str, sessions_of: MakeSessions) -> None:
    front_end, out = front_end_of(kind, sessions_of()), np.zeros(128, np.float32)
    flat = replace(a_face(), landmarks=np.full((5, 2), 7, np.float32))
    with pytest.raises(DegenerateGeometry):
        front_end.embed(blank_frame(), flat, out)


def test_engines_for_frames_that_disagree_with_the_reference_see_nobody(
    sessions_of: MakeSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    from device.enrolment import model_sessions

    opened: list[Any] = []

    class Shifted(Counting):
        def run(self, frame: Any, to_crop: F32) -> Any:
            return {name: values + 0.5 for name, values in super().run(frame, to_crop).items()}

        def close(self) -> None:
            opened.remove(self)
            super().close()

    honest = open_sampled

    def opening(*asked: Any, **how: Any) -> Any:
        opened.append(Shifted(honest(*asked, **how)))
        return opened[-1]

    monkeypatch.setattr(model_sessions, "open_sampled", opening)
    front_end = sessions_of().sampled_front_end(MIN_FACE_PX)
    with pytest.raises(
        EngineUnavailable, match=r"engines for frames of 360x640 are wrong: .*differs from the reference"
    ):
        front_end.look(blank_frame())
    assert opened == []  # all three are closed again


def test_frames_too_small_for_the_second_look_are_refused_with_a_message(sessions_of: MakeSessions) -> None:
    with pytest.raises(EngineUnavailable, match=r"128x128 does not fit into a frame of .64, 96."):
        sessions_of().sampled_front_end(MIN_FACE_PX).look(blank_frame(size=(64, 96)))


def test_planes_or_a_cpu_use_the_host_front_end(sessions_of: MakeSessions) -> None:
    sessions = sessions_of()
    assert isinstance(sessions.front_end(MIN_FACE_PX, packed=True), HostFrontEnd)
    assert not sessions.one_thread
    assert sessions.gpu_free_bytes is None
