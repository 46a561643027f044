"""Decodes a photo to an upright RGB picture of a size that is worth searching.

A photo over REDUCE_ABOVE_PIXELS is first decoded at a fraction of its size, which is many times faster; if the rules
find no face of ENOUGH_FACE_PX in that, finer sizes are tried, up to FINEST_PIXELS.
"""

from __future__ import annotations

from collections.abc import Iterator

from device.domain.sight import F32, U8
from device.enrolment.photo_header import header, jpeg_is_cut_off, other_kind
from device.enrolment.photo_orientation import orientation, upright
from device.enrolment.photo_reader import PhotoReader
from device.enrolment.rules import LENIENT, Demands, Outcome, assess

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 50_000_000
REDUCE_ABOVE_PIXELS = 4_000_000
FINEST_PIXELS = 16_000_000
ENOUGH_FACE_PX = 112.0
"""The recogniser's input is 112 pixels square: a face this high gains nothing from a finer decode."""
_REDUCTIONS = (8, 4, 2, 1)


def outcome_of(encoded: bytes, reader: PhotoReader, demands: Demands = LENIENT) -> Outcome:
    """Decode one photo and apply the rules; every defect of the file becomes a rejection with its reason."""
    defect, found = defect_of(encoded), header(encoded)
    if defect or found is None:
        return Outcome(None, defect)
    outcome = Outcome(None, f"a {found.kind} that does not decode")
    for reduction in _sizes(found.pixels):
        rgb = decode_upright(encoded, reduction)
        if rgb is None:
            return outcome
        outcome = assess(rgb, reader, demands)
        if outcome.face_px >= ENOUGH_FACE_PX:
            break
    return outcome


def defect_of(encoded: bytes) -> str:
    """A file's problem before anything is decoded; empty when there is none."""
    if not encoded:
        return "empty file (0 bytes)"
    found = header(encoded)
    if found is None:
        other = other_kind(encoded)
        named = f"{other} is not a picture format that is read here: save it as JPEG or PNG" if other else ""
        return named or "not a picture that is read here (JPEG, PNG, WebP, BMP or TIFF), or cut off in its header"
    if found.pixels > MAX_PIXELS:
        return f"{found.width}x{found.height} is too large: at most {MAX_PIXELS // 1_000_000} megapixels"
    if found.kind == "JPEG" and jpeg_is_cut_off(encoded):
        return "the JPEG is cut off before its end"
    return ""


def decode_upright(encoded: bytes, reduction: int = 1) -> U8 | None:
    """(H, W, 3) uint8 RGB of any size, turned upright as its EXIF says; None when it does not decode.

    reduction  1, 2, 4 or 8: decode at that fraction of the size
    """
    import cv2
    import numpy as np

    flags = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }
    try:
        bgr = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags[reduction] | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    if bgr is None:
        return None
    rgb: U8 = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
    return upright(rgb, orientation(encoded))


def shrunk_and_enlarged(grey: F32, *, width: int, height: int) -> F32:
    """(H, W) float32 through `height` x `width` pixels (areas averaged) back to its own size (cubic)."""
    import cv2
    import numpy as np

    small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    again: F32 = np.asarray(cv2.resize(small, grey.shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)
    return again


def _sizes(pixels: int) -> Iterator[int]:
    """Reductions to try, coarsest first."""
    for reduction in _REDUCTIONS:
        reduced = pixels / reduction**2
        coarsest = reduced <= REDUCE_ABOVE_PIXELS < reduced * 4 or (reduction == 1 and pixels <= REDUCE_ABOVE_PIXELS)
        if coarsest or REDUCE_ABOVE_PIXELS < reduced <= FINEST_PIXELS:
            yield reduction
