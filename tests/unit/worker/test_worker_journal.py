"""What a worker says for the journal: each change once, in wordings that the supervisor knows, of nobody."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.domain.finding import Counters
from device.domain.sight import Frame
from device.domain.time import NS_PER_S
from device.ports.source import Slot, SourceInfo
from device.wire.journal_texts import TEXTS, journal_text, name_of
from device.wire.link import JOURNAL_CHARS, Beat, JournalLine, Level
from device.worker.journal import SLOW_S, JournalSender

INFO = SourceInfo("front", True, 1920, 1080, 25.0, None)
FILLED: dict[str, tuple[str | float, ...]] = {
    "engines": ("openvino:fp32", "yunet", "sface"),
    "opened": ("camera", 1920, 1080, 29.97),
    "opened_unrated": ("camera", 1920, 1080),
    "corrected": ("interlaced: bwdif; sample aspect 16:11: scaled to square pixels; 3 damaged packet(s) skipped",),
    "slow": (120, 250, 10, "embed", 81.234),
    "damaged": (20, 250, 10),
    "volunteers": (1, 2),
    "fault": ("size_changed",),
}


@dataclass
class Camera:
    """A source of which only the description matters."""

    info: SourceInfo = INFO

    def frames(self) -> Iterator[Frame]:
        return iter(())

    def slot(self) -> Slot:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Told:
    """A worker's journal sender and what it sent; `beat` is one a second."""

    output: list[JournalLine] = field(default_factory=list)
    camera: Camera = field(default_factory=Camera)
    seconds: int = 0

    def __post_init__(self) -> None:
        self.sender = JournalSender(self.output.append)

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.output]

    def beat(
        self,
        frames: int = 0,
        dropped: int = 0,
        *,
        damaged: int = 0,
        still: bool = False,
        camera: str = "online",
        warning: str = "",
    ) -> None:
        counters = Counters(frames=frames, dropped_frames=dropped, damaged_frames=damaged)
        stages = {"detect": 5.0, "embed": 61.27}
        beat = Beat(
            seq=self.seconds,
            camera=camera,
            fps=25.0,
            counters=counters,
            stage_p95_ms=stages,
            rss_bytes=1,
            warning=warning,
        )
        self.sender.beat(beat, still=still, now_ns=self.seconds * NS_PER_S)
        self.seconds += 1


@pytest.mark.parametrize("name", list(TEXTS))
def test_every_journal_text_is_recognised_when_its_slots_are_filled(name: str) -> None:
    text = journal_text(name, *FILLED.get(name, ()))
    assert name_of(text) == name
    assert len(text) <= JOURNAL_CHARS


@given(st.text(string.printable, max_size=JOURNAL_CHARS))
def test_what_is_no_wording_is_not_taken_for_one(text: str) -> None:
    assert name_of(f"{text} ") is None
    assert name_of(f"found {text}") is None


@pytest.mark.parametrize(
    "text",
    [
        "engines opened: openvino:fp32, detector yunet, recogniser sface\nalert.raised entry=e-1",
        "engines opened: " + "A" * 200 + ", detector yunet, recogniser sface",
        "engines opened: /home/o/anna.jpg, detector yunet, recogniser sface",
        "corrected on the way in: photo=anna",
        "fast enough again.",
    ],
)
def test_a_line_in_a_line_a_path_or_more_than_fits_is_no_wording(text: str) -> None:
    assert name_of(text) is None


def test_the_source_is_logged_with_size_rate_and_corrections_and_again_when_more_are_needed() -> None:
    reported = Told(camera=Camera(replace(INFO, notes=("interlaced: bwdif",))))
    reported.sender.opening()
    reported.sender.opened(reported.camera)
    reported.beat()
    reported.camera.info = replace(INFO, notes=("interlaced: bwdif", "rotated 90"))
    reported.beat()
    reported.beat()
    assert reported.texts == [
        "opening the camera",
        "camera opened: 1920 x 1080 pixels, 25 Hz",
        "corrected on the way in: interlaced: bwdif",
        "corrected on the way in: interlaced: bwdif; rotated 90",
    ]
    unrated: list[JournalLine] = []
    JournalSender(unrated.append).opened(Camera(replace(INFO, live=False, rate_hz=None)))
    assert [message.text for message in unrated] == ["recording opened: 1920 x 1080 pixels, rate not stated"]


def test_dropped_frames_are_logged_with_the_slowest_stage_and_so_is_the_recovery() -> None:
    reported = Told()
    for second in range(2 * SLOW_S + 1):
        reported.beat(frames=25 * second, dropped=10 * second)
    for second in range(SLOW_S):
        reported.beat(frames=25 * (2 * SLOW_S + second), dropped=10 * 2 * SLOW_S)
    assert reported.texts == [
        "too slow: 100 of 250 frames dropped in 10 s; the slowest stage is embed, p95 61.27 ms",
        "fast enough again",
    ]
    assert [message.level for message in reported.output] == [Level.WARNING, Level.INFO]


def test_damaged_pictures_are_reported_once_and_so_is_their_end() -> None:
    reported = Told()
    for second in range(4 * SLOW_S + 1):
        reported.beat(frames=25 * second, damaged=min(second, 2 * SLOW_S))
    assert reported.texts == [journal_text("damaged", 10, 250, 10), journal_text("undamaged")]
    assert [message.level for message in reported.output] == [Level.WARNING, Level.INFO]


def test_a_note_whose_count_grows_is_reported_once() -> None:
    reported = Told(camera=Camera(replace(INFO, notes=("1 damaged packet(s) skipped",))))
    reported.sender.opened(reported.camera)
    before = len(reported.texts)
    reported.camera.info = replace(INFO, notes=("27 damaged packet(s) skipped",))
    reported.beat()
    assert len(reported.texts) == before
    reported.camera.info = replace(INFO, notes=("27 damaged packet(s) skipped", "interlaced: bwdif"))
    reported.beat()
    assert len(reported.texts) == before + 1


def test_a_camera_that_shows_nothing_new_is_logged_once_and_not_as_slow() -> None:
    reported = Told()
    reported.beat(frames=25, dropped=0)
    for _ in range(3 * SLOW_S):
        reported.beat(frames=25, dropped=20, still=True)
    reported.beat(frames=50, dropped=20)
    assert reported.texts == [journal_text("still"), journal_text("moving")]


def test_a_fault_of_the_camera_is_logged_when_it_changes_and_an_empty_room_is_none() -> None:
    reported = Told()
    for camera, warning in (
        ("online", "still"),
        ("online", "defocused"),
        ("online", "defocused"),
        ("covered", ""),
        ("online", ""),
        ("offline", ""),
    ):
        reported.beat(camera=camera, warning=warning)
    assert reported.texts == [
        journal_text("fault", "defocused"),
        journal_text("fault", "covered"),
        journal_text("faultless"),
    ]


def test_more_notes_than_a_line_holds_are_cut_and_still_known() -> None:
    reported = Told(camera=Camera(replace(INFO, notes=tuple(f"{n} damaged packet(s) skipped" for n in range(30)))))
    reported.sender.opened(reported.camera)
    assert len(reported.texts[-1]) <= JOURNAL_CHARS
    assert name_of(reported.texts[-1]) == "corrected"
