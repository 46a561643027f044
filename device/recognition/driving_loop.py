"""The loop that drives a pipeline over one source: the same for the vision worker and for `lfr replay`."""

from __future__ import annotations

from collections.abc import Callable

from device.domain.finding import Candidate
from device.domain.sight import Frame
from device.recognition.detect_ahead import DetectAhead
from device.recognition.pipeline import Pipeline


def drive(
    pipeline: Pipeline,
    looking: DetectAhead,
    *,
    on_candidates: Callable[[list[Candidate]], None],
    before_frame: Callable[[], None] = lambda: None,
    after_frame: Callable[[], None] = lambda: None,
    idle: Callable[[], None] = lambda: None,
    spare: Callable[[Frame], None] = lambda _: None,
) -> None:
    """Process every frame until the source ends or `looking` is closed, then the source's end; on the caller's thread.

    on_candidates  receives each frame's candidates (often none), before the passage can end
    idle           called while no frame comes
    spare          called last with each frame, when everything else of it is done

    Raises what the source or a callback raises; the caller closes `looking` and the feed, and finishes the pipeline.
    """
    last: Frame | None = None
    for frame, faces in looking.frames(idle=idle):
        before_frame()
        last = frame
        on_candidates(pipeline.process(frame, faces))
        after_frame()
        spare(frame)
    if last is not None:
        on_candidates(pipeline.end_of_source(last))
