"""Photos to templates in two processes, with the device's own enrolment, resumable.

1. A photo becomes a template exactly as it would be enrolled (device/enrolment/photo_file.py over the engines of
   device/enrolment/engine_photo_reader.py). A reduced one (`height`) is shrunk first, so that its face has that height.
2. Results are kept for a day in the device's own template cache: encrypted with a key that is derived from the photo
   (device/enrolment/template_cache.py). An interrupted run continues where it was.
3. A reading process is spawned, gets one photo at a time, and ends when its pipe closes.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
import sys
from collections.abc import Container, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tqdm import tqdm

from calibration.data.faces import Faces, Listed, gathered, scan, without_twins
from device.enrolment.model_sessions import chosen_card
from device.enrolment.photo_file import MAX_FILE_BYTES, outcome_of
from device.enrolment.rules import Outcome
from device.enrolment.template_cache import TemplateCache
from device.errors import EvidenceUnusable, InternalError, LfrError

PROCESSES = 2


@dataclass(frozen=True, slots=True)
class How:
    """backend: `name:precision`;  cache: None to keep nothing;  talk: a progress bar on stderr.

    detector, recogniser  names of cards, packaged or added; None is the default one;  screen: None is none
    """

    backend: str
    models: Path | None
    cache: TemplateCache | None
    talk: bool
    processes: int = PROCESSES
    detector: str | None = None
    recogniser: str | None = None
    screen: str | None = None

    def names(self) -> dict[str, str | None]:
        """The models by role, as ModelSessions takes them."""
        return {"detector": self.detector, "recogniser": self.recogniser, "screen": self.screen}


def read_sets(
    folders: Sequence[Path], how: How, *, merged: bool = False, left_out: Container[str] = frozenset()
) -> Faces:
    """Templates of one or more data sets.

    merged    the sets label people from one register: a name is one person in all of them, and people of different sets
              are compared with one another
    left_out  names of people who are not in the data, for one: those whom a test will look for (cross-fitting)
    Raises EvidenceUnusable, EngineUnavailable.
    """
    photos: list[Listed] = []
    notes: list[str] = []
    for source, folder in enumerate(folders):
        found, odd = scan(folder, source)
        prefix = f"{folder.name}/" if len(folders) > 1 else ""
        photos += [
            Listed(each.path, each.person, prefix + each.name, 0 if merged else source)
            for each in found
            if each.person not in left_out
        ]
        notes += [prefix + each for each in odd]
    if not photos:
        raise EvidenceUnusable("everybody in the data was left out")
    single, dropped = without_twins(photos)
    chosen = chosen_card(how.recogniser, "recogniser", how.models)
    return gathered(single, outcomes_of(single, how), dropped, notes, chosen.lengths)


def outcomes_of(photos: Sequence[Listed], how: How, height: int | None = None) -> dict[str, Outcome]:
    """Outcome by photo name; photos in the cache are not read again."""
    outcomes: dict[str, Outcome] = {}
    left: list[Listed] = []
    for photo in photos:
        encoded, digest = _key(photo.path, height)
        known = how.cache.get(encoded, digest) if how.cache is not None else None
        if known is None:
            left.append(photo)
        else:
            outcomes[photo.name] = known
    words = "reading" if height is None else f"reading at {height} px"
    pace_s = 0.2 if sys.stderr.isatty() else 5.0
    with tqdm(
        total=len(photos),
        initial=len(outcomes),
        desc=words,
        unit="photo",
        mininterval=pace_s,
        leave=False,
        disable=not how.talk,
    ) as bar:
        for photo, outcome in _Readers(how, min(how.processes, len(left))).read(left, height):
            if how.cache is not None:
                how.cache.put(*_key(photo.path, height), outcome)
            outcomes[photo.name] = outcome
            bar.update()
    return outcomes


def _key(path: Path, height: int | None) -> tuple[bytes, bytes]:
    """Bytes and digest of a photo as the cache's key: another height is another photo."""
    try:
        encoded = path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else b""
    except OSError:
        encoded = b""
    encoded += b"" if height is None else f"@{height}".encode()
    return encoded, hashlib.sha256(encoded).digest()


class _Readers:
    """Some processes that read one photo after the other."""

    def __init__(self, how: How, count: int) -> None:
        self._how = how
        self._count = count

    def read(self, photos: Sequence[Listed], height: int | None) -> Any:
        """(photo, outcome) in the order in which they are ready."""
        started = [self._start() for _ in range(self._count)]
        queue = iter(photos)
        busy: dict[Connection, Listed] = {}
        try:
            for _, pipe in started:
                self._next(pipe, queue, busy, height)
            while busy:
                for ready in wait(list(busy)):
                    if not isinstance(ready, Connection):
                        continue
                    photo = busy.pop(ready)
                    answer = self._answer(ready)
                    self._next(ready, queue, busy, height)
                    yield photo, answer
        finally:
            for process, pipe in started:
                pipe.close()
                process.terminate()
                process.join()

    def _start(self) -> tuple[BaseProcess, Connection]:
        context = multiprocessing.get_context("spawn")  # a runtime's threads do not survive a fork
        ours, theirs = context.Pipe()
        task = (theirs, self._how.backend, self._how.models, self._how.names())
        process = context.Process(target=_serve, args=task, daemon=True)
        process.start()
        theirs.close()
        return process, ours

    @staticmethod
    def _next(pipe: Connection, queue: Any, busy: dict[Connection, Listed], height: int | None) -> None:
        photo = next(queue, None)
        if photo is not None:
            pipe.send((str(photo.path), height))
            busy[pipe] = photo

    @staticmethod
    def _answer(pipe: Connection) -> Outcome:
        try:
            answer = pipe.recv()
        except EOFError as fault:
            text = "a reading process ended without a message; start again, what was read is kept"
            raise InternalError(text) from fault
        if isinstance(answer, LfrError):
            raise answer
        outcome: Outcome = answer
        return outcome


def _serve(pipe: Connection, backend: str, models: Path | None, names: dict[str, str | None]) -> None:
    """A reading process: paths in, outcomes out; errors of this program are returned, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    from calibration.data.packed import PackedReader
    from calibration.data.reduce import at_height
    from device.enrolment.model_sessions import ModelSessions

    try:
        reader = PackedReader(ModelSessions(backend, threads=1, models=models, **names))
    except LfrError as fault:
        pipe.recv()
        pipe.send(fault)
        return
    while True:
        try:
            path, height = pipe.recv()
        except EOFError:
            return
        try:
            encoded = Path(path).read_bytes()
        except OSError as unreadable:
            pipe.send(Outcome(None, f"cannot be read: {unreadable.strerror}"))
            continue
        pipe.send(outcome_of(encoded, reader) if height is None else at_height(encoded, reader, height))
