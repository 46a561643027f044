"""Recorded frames: a video file, or a folder of numbered pictures taken as one video.

Every frame that can be decoded is delivered, in order, none dropped. Any fault of a recording is one SourceUnreadable
that names the file and what was found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from device.domain.sight import Damage, Frame
from device.domain.time import MediaNs
from device.edges.camera.frame_pool import HostSlot
from device.edges.camera.pyav import OpenOptions, Stills, Video, VideoFault
from device.edges.camera.timeline import ASSUMED_RATE_HZ, PICTURE_SUFFIXES, Timeline, numbered
from device.errors import SourceUnreadable, reason_of
from device.ports.source import Slot, SourceInfo

_ADDRESS = re.compile(r"^([a-z][a-z0-9+.-]*):/{1,2}", re.IGNORECASE)
_FILE_ONLY = {"protocol_whitelist": "file"}
"""A playlist inside a file must not open an address (libavformat, option protocol_whitelist)."""


def recording_path(source: str) -> Path:
    """Path of a recorded source written as a path or as file://…; SourceUnreadable for any other address."""
    address = _ADDRESS.match(source)
    if address is None:
        return Path(source)
    if address.group(1).lower() != "file":
        raise SourceUnreadable(f"{source}: a recording is a video file or a folder of pictures, not a live address")
    return Path(re.sub(r"^file:(//)?", "", source, flags=re.IGNORECASE))


class RecordedSource:
    """FrameSource of a recording; `info` and the first picture are read on construction.

    skipped_packets  packets that did not decode so far;  repaired_times  presentation times that were made up
    """

    def __init__(self, path: Path, *, decode_threads: int) -> None:
        if _ADDRESS.match(str(path)) is not None and not path.exists():
            path = recording_path(str(path))
        self._path = path
        _require_readable(path)
        self._reader: _File | _Pictures = _Pictures(path) if path.is_dir() else _File(path, decode_threads)
        self._frames = self._reader.frames()
        try:
            self._first: Frame | None = next(self._frames, None)
            if self._first is None:
                raise SourceUnreadable(f"{path}: opens as a video but holds no picture that decodes")
        except BaseException:
            self.close()
            raise
        self._width, self._height = self._first.width, self._first.height

    @property
    def info(self) -> SourceInfo:
        return SourceInfo(
            name=self._path.name,
            live=False,
            width=self._width,
            height=self._height,
            rate_hz=self._reader.rate_hz,
            frames=self._reader.frame_count,
            notes=tuple(self._notes()),
        )

    @property
    def skipped_packets(self) -> int:
        return self._reader.skipped_packets

    @property
    def damaged(self) -> Mapping[Damage, int]:
        """Pictures so far of which data was lost, by how."""
        return self._reader.damaged

    @property
    def repaired_times(self) -> int:
        return self._reader.repaired_times

    def frames(self) -> Iterator[Frame]:
        """All frames, once. Raises SourceUnreadable when reading itself fails (a picture of a folder, the disk)."""
        first, self._first = self._first, None
        if first is not None:
            yield first
            del first
            yield from self._frames

    def slot(self) -> Slot:
        return HostSlot()

    def close(self) -> None:
        self._first = None
        self._frames.close()
        self._reader.close()

    def _notes(self) -> Iterator[str]:
        yield from self._reader.notes
        if self.skipped_packets:
            yield f"{self.skipped_packets} damaged packet(s) skipped"
        lost, predicted = self.damaged[Damage.PICTURE], self.damaged[Damage.REFERENCE]
        if lost or predicted:
            yield f"{lost} picture(s) arrived damaged, {predicted} more were predicted from damaged ones"
        if self.repaired_times:
            yield f"{self.repaired_times} presentation time(s) missing or running back: repaired"


class _File:
    """One container file."""

    def __init__(self, path: Path, decode_threads: int) -> None:
        if path.stat().st_size == 0:
            raise SourceUnreadable(f"{path}: the file is empty (0 bytes)")
        self._path = path
        try:
            # `file:` keeps a colon or a percent sign in the name from being read as an address or a pattern.
            self._video = Video(f"file:{path.absolute()}", OpenOptions(decode_threads, container=_FILE_ONLY))
        except VideoFault as fault:
            raise SourceUnreadable(_explain(path, fault)) from fault

    @property
    def rate_hz(self) -> float | None:
        return self._video.rate_hz

    @property
    def frame_count(self) -> int | None:
        return self._video.frame_count

    @property
    def skipped_packets(self) -> int:
        return self._video.skipped_packets

    @property
    def damaged(self) -> Mapping[Damage, int]:
        return self._video.damaged

    @property
    def repaired_times(self) -> int:
        return self._video.repaired_times

    @property
    def notes(self) -> list[str]:
        return self._video.notes

    def frames(self) -> Generator[Frame, None, None]:
        try:
            yield from self._video.frames()
        except VideoFault as fault:
            raise SourceUnreadable(f"{self._path}: reading failed in mid-stream: {fault.text}") from fault

    def close(self) -> None:
        self._video.close()


class _Pictures:
    """A folder of numbered pictures at the assumed rate."""

    skipped_packets = 0
    damaged: Mapping[Damage, int] = Counter()
    repaired_times = 0
    rate_hz = float(ASSUMED_RATE_HZ)

    def __init__(self, folder: Path) -> None:
        self._paths: Sequence[Path] = numbered(folder)
        if not self._paths:
            kinds = " ".join(sorted(PICTURE_SUFFIXES))
            raise SourceUnreadable(f"{folder}: a folder without pictures (looked for {kinds})")
        self._stills = Stills()
        self.frame_count = len(self._paths)

    @property
    def notes(self) -> list[str]:
        return [f"{self.frame_count} numbered pictures: {self.rate_hz:g} Hz assumed", *self._stills.notes]

    def frames(self) -> Generator[Frame, None, None]:
        timeline = Timeline(ASSUMED_RATE_HZ)
        for index, path in enumerate(self._paths):
            yield self._read(path, timeline.at(Fraction(index) / ASSUMED_RATE_HZ))

    def _read(self, path: Path, at: MediaNs) -> Frame:
        """The picture of one file."""
        try:
            return self._stills.frame(path.read_bytes(), at)
        except OSError as fault:
            raise SourceUnreadable(f"{path}: {reason_of(fault)}") from fault
        except VideoFault as fault:
            raise SourceUnreadable(f"{path}: not a picture that can be read ({fault.text})") from fault

    def close(self) -> None:
        self._paths = ()
        self._stills.close()


def _require_readable(path: Path) -> None:
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        elif path.is_file():
            with path.open("rb") as opened:
                opened.read(1)
        elif path.exists():
            raise SourceUnreadable(f"{path}: neither a file nor a folder; a device or a pipe is no recording")
        else:
            raise SourceUnreadable(f"{path}: no such file or folder")
    except PermissionError as fault:
        raise SourceUnreadable(f"{path}: no permission to read it") from fault
    except OSError as fault:
        raise SourceUnreadable(f"{path}: {reason_of(fault)}") from fault


def _explain(path: Path, fault: VideoFault) -> str:
    if fault.what == "no-video-stream":
        return f"{path}: holds no moving picture ({fault.text})"
    if fault.what == "denied":
        return f"{path}: no permission to read it"
    return f"{path}: not a video that can be read, or cut off before its index ({fault.text})"
