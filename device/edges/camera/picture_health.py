"""Whether a camera still sees, and which fault it has: judged by a few samples of a picture, some ten times a second.

1. A look is taken every LOOK_EVERY_NS of presentation time, so that a recording is judged as if it were watched.
2. A fault counts when every look of HOLD_NS has shown it, and is over with the first that does not. With the beat
   (0.25 s) and a round of the supervisor (0.1 s) it is reported within 2 s, *frozen* as *still* at first and as itself
   later (rule 3): figures in this folder's README.
3. A picture that is still is frozen when it is exactly so and that is not usual for this camera (still_picture.py,
   rule 6), when it has been still for FACE_STILL_AT_MOST_NS with a face in view (people move), or for longer than an
   empty room is: STILL_AT_MOST_NS, or twice as long as this camera was still before somebody came, up to
   STILL_EVER_NS. Until then it is a warning, because somebody who waits and an empty room may be as still.
4. The size is that of the first picture, or the one that the owner expects. Another one is a fault at once.
5. What is kept of pictures (grids of single pixels, means of cells) is overwritten by `wipe`.
"""

from __future__ import annotations

from collections.abc import Callable

from device.domain.camera_fault import FAULTS, CameraFault
from device.domain.sight import Frame
from device.domain.time import NS_PER_MS, NS_PER_S, MediaNs
from device.edges.camera.picture_samples import Samples, samples_of
from device.edges.camera.scene import Focus, View, light_fault
from device.edges.camera.still_picture import StillPicture

LOOK_EVERY_NS = 100 * NS_PER_MS
HOLD_NS = 1200 * NS_PER_MS
FOCUS_EVERY = 2
"""Looks; sharpness takes as long as all the rest of a look."""
FACE_STILL_AT_MOST_NS = 3 * NS_PER_S
"""Measured 2026-11-30: of five clips of people who sit before a camera the longest still run had 1.7 s."""
STILL_AT_MOST_NS = 10 * NS_PER_S
"""Measured 2026-11-30: the longest still run of a mostly empty room had 4.9 s (139 s)."""
STILL_EVER_NS = 600 * NS_PER_S
"""A camera that shows nobody for longer than this counts as frozen until something moves: decision record 0532."""
Size = tuple[int, int]


class PictureHealth:
    """Judges frames in order. `fault` stops this camera, `warning` does not; both are of the last frame.

    size             width and height that are expected; None: those of the first picture
    anybody_in_view  whether the last picture that was searched had a face in it
    """

    def __init__(self, *, size: Size | None = None, anybody_in_view: Callable[[], bool] = lambda: False) -> None:
        self.size = size
        self.fault: CameraFault | None = None
        self.warning: CameraFault | None = None
        self._anybody_in_view = anybody_in_view
        self._next_ns: int | None = None
        self._still = StillPicture()
        self._focus, self._view = Focus(), View()
        self._looks = 0
        self._soft = False
        self._since: dict[CameraFault, int] = {}

    def see(self, frame: Frame) -> None:
        """Judge one frame; most of them are passed over (rule 1)."""
        self.size = self.size or (frame.width, frame.height)
        if (frame.width, frame.height) != self.size:
            self.fault, self.warning = CameraFault.SIZE_CHANGED, None
            self._next_ns = None
            return
        if self._next_ns is not None and 0 < self._next_ns - frame.at <= LOOK_EVERY_NS:
            return
        self._next_ns = frame.at + LOOK_EVERY_NS
        samples = samples_of(frame)
        self._judge(frame.at, samples)
        samples.wipe()

    def blank(self) -> None:
        """Forget single pixels at once, and keep the means of cells: a frozen picture is to be recognised as such."""
        self._still.blank()

    def wipe(self) -> None:
        """Forget what was kept of pictures (rule 5)."""
        self._still.wipe()
        self._view.wipe()

    def _judge(self, at: MediaNs, samples: Samples) -> None:
        self._still.see(at, samples)
        light = light_fault(samples)
        shown = {light} if light is not None else set()
        if light is None and self._view.other(at, samples):
            shown.add(CameraFault.TURNED)
        if light is None and not self._view.unlike and self._out_of_focus(at, samples):
            shown.add(CameraFault.DEFOCUSED)
        self._since = {fault: min(at, self._since.get(fault, at)) for fault in shown}
        held = {fault for fault, since in self._since.items() if at - since >= HOLD_NS}
        if light is None and self._still.still_ns >= HOLD_NS:
            held.add(CameraFault.FROZEN if self._frozen() else CameraFault.STILL)
        self.fault = next((f for f in CameraFault if f in held and FAULTS[f].stops), None)
        self.warning = next((f for f in CameraFault if f in held and not FAULTS[f].stops), None)

    def _out_of_focus(self, at: MediaNs, samples: Samples) -> bool:
        if self._looks % FOCUS_EVERY == 0:
            self._soft = self._focus.soft(at, samples)
        self._looks += 1
        return self._soft

    def _frozen(self) -> bool:
        """Rule 3; a picture that was frozen stays so until something moves."""
        still = self._still
        exactly = still.exact and not still.exact_is_usual
        at_most_ns = min(STILL_EVER_NS, max(STILL_AT_MOST_NS, 2 * still.lived_ns))
        if self.fault is CameraFault.FROZEN or exactly or still.still_ns >= at_most_ns:
            return True
        return still.still_ns >= FACE_STILL_AT_MOST_NS and self._anybody_in_view()
