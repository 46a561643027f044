"""From frames to RGB: the small picture for the detector, and crops for the recogniser and for the probe.

A full frame is never converted. Of planes, the detector's picture is scaled plane by plane and then converted; a crop
is warped plane by plane and then converted with the stream's own matrix. What is packed RGB already is scaled and
warped as it is. This is the one module here that knows OpenCV.

Coordinates: full-size luma pixels with the centre of the top left pixel at (0, 0); chroma planes are sampled at half
the density and their siting is taken as centred (a quarter of a pixel's error at most).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from device.domain.sight import F32, U8, ColourMatrix, Frame, Packed
from device.errors import InternalError

F64 = NDArray[np.float64]

# Luma weights (Kr, Kb) of ITU-R BT.601, BT.709 and BT.2020.
_WEIGHTS = {
    ColourMatrix.BT601: (0.299, 0.114),
    ColourMatrix.BT709: (0.2126, 0.0722),
    ColourMatrix.BT2020: (0.2627, 0.0593),
}


@lru_cache(maxsize=8)
def yuv_to_rgb(matrix: ColourMatrix, full_range: bool) -> F32:
    """(3, 4) float32: RGB = M @ (Y, Cb, Cr, 1) in 0..255 (ITU-R BT.601/709/2020, quantisation of ITU-T H.273)."""
    kr, kb = _WEIGHTS[matrix]
    kg = 1.0 - kr - kb
    scale_y, scale_c, offset_y = (1.0, 1.0, 0.0) if full_range else (255 / 219, 255 / 224, 16.0)
    columns = np.array(
        [
            [1.0, 0.0, 2 * (1 - kr)],
            [1.0, -2 * (1 - kb) * kb / kg, -2 * (1 - kr) * kr / kg],
            [1.0, 2 * (1 - kb), 0.0],
        ]
    ) * np.array([scale_y, scale_c, scale_c])
    offset = -(columns @ np.array([offset_y, 128.0, 128.0]))
    return np.hstack([columns, offset[:, None]]).astype(np.float32)


class Scaler:
    """Makes the detector's RGB picture of fixed size from any frame; its buffers are reused and can be wiped."""

    def __init__(self, width: int, height: int) -> None:
        """`width` and `height` in pixels, both even."""
        import cv2

        self.width, self.height = width, height
        # One thread a camera's stage: OpenCV's own pool would take the core that another stage runs on.
        cv2.setNumThreads(1)
        self._reduced = np.zeros((0, 0), np.uint8)
        self._planes = np.zeros((height * 3 // 2, width), np.uint8)
        quarter = (height // 2) * (width // 2)
        self._y = self._planes[:height]
        flat = self._planes.reshape(-1)
        self._u = flat[height * width : height * width + quarter].reshape(height // 2, width // 2)
        self._v = flat[height * width + quarter :].reshape(height // 2, width // 2)

    def scale(self, frame: Frame, out: U8) -> None:
        """Write `frame`, squeezed to (height, width, 3) uint8 RGB, into `out`.

        Of planes, BT.601 limited range is assumed here whatever the stream says: the detector does not mind, and
        OpenCV's conversion of a whole picture is some five times faster than a matrix of our own.
        """
        import cv2

        shown = frame.picture
        if isinstance(shown, Packed):
            self._squeeze(shown.rgb, out)
            return
        self._squeeze(shown.y, self._y)
        size = (self.width // 2, self.height // 2)
        cv2.resize(shown.u, size, dst=self._u, interpolation=cv2.INTER_LINEAR)
        cv2.resize(shown.v, size, dst=self._v, interpolation=cv2.INTER_LINEAR)
        cv2.cvtColor(self._planes, cv2.COLOR_YUV2RGB_I420, dst=out)

    def _squeeze(self, whole: U8, out: U8) -> None:
        """Reduce by a whole number with area averaging, then to the size.

        In one step OpenCV averages over parts of pixels, which takes 1.1 ms instead of .16 for the luma of 1280x720 to
        640x352 (2026-11-30, AMD EPYC, one thread).
        """
        import cv2

        size, steps = (self.width, self.height), min(whole.shape[1] // self.width, whole.shape[0] // self.height)
        if steps > 1:
            reduced = (whole.shape[1] // steps, whole.shape[0] // steps)
            if self._reduced.shape[:2] != reduced[::-1] or self._reduced.ndim != whole.ndim:
                self._reduced = np.zeros((*reduced[::-1], *whole.shape[2:]), np.uint8)
            even = whole[: reduced[1] * steps, : reduced[0] * steps]
            whole = cv2.resize(even, reduced, dst=self._reduced, interpolation=cv2.INTER_AREA)
        cv2.resize(whole, size, dst=out, interpolation=cv2.INTER_LINEAR)

    def wipe(self) -> None:
        """Overwrite the buffers with zeros."""
        self._planes[:] = 0
        self._reduced[:] = 0


def warp(frame: Frame, to_crop: F32, size: tuple[int, int]) -> U8:
    """Cut one region out of a frame as RGB.

    to_crop  (2, 3) float32, affine map from frame pixels to crop pixels
    size     (width, height) of the crop
    returns  (height, width, 3) uint8 RGB; outside the frame is black
    """
    import cv2

    shown = frame.picture
    if isinstance(shown, Packed):
        return warp_rgb(shown.rgb, to_crop, size)
    matrix = np.asarray(to_crop, np.float64)
    luma, matrix_y = _preshrink(shown.y, matrix, size)
    shape = (size[0], size[1])
    black = 0 if shown.full_range else 16
    y = cv2.warpAffine(luma, matrix_y, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=black)
    planes = [y]
    for plane in (shown.u, shown.v):
        small, half = _preshrink(plane, _on_half_density(matrix), size)
        planes.append(
            cv2.warpAffine(small, half, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=128)
        )
    merged = cv2.merge(planes)
    crop = np.asarray(cv2.transform(merged, yuv_to_rgb(shown.matrix, shown.full_range)), np.uint8)
    for temporary in (merged, *planes):
        temporary[:] = 0
    return crop


def warp_rgb(picture: U8, to_crop: F32, size: tuple[int, int]) -> U8:
    """The same as `warp` for a picture that is RGB already (a photo): (H, W, 3) uint8 in, (height, width, 3) out."""
    import cv2

    small, matrix = _preshrink(picture, np.asarray(to_crop, np.float64), size)
    return np.asarray(
        cv2.warpAffine(small, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.uint8
    )


def _on_half_density(matrix: F64) -> F64:
    """The map for a plane at half density: chroma pixel c has its centre at luma position 2c + 0.5."""
    half: F64 = matrix.copy()
    half[:, :2] *= 2.0
    half[:, 2] += matrix[:, :2] @ np.array([0.5, 0.5])
    return half


def _preshrink(plane: U8, matrix: F64, size: tuple[int, int]) -> tuple[U8, F64]:
    """Halve or quarter the needed region by area averaging before a strong reduction, so that warping does not alias.

    Only the rectangle that the crop touches is reduced. The limit of 0.6 keeps two source pixels a crop pixel at most.
    """
    import cv2

    scale = float(np.sqrt(abs(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])))
    if scale >= 0.6:
        return plane, matrix
    factor = int(np.clip(np.round(1.0 / scale), 2, 16))
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0], [size[0], 0], [0, size[1]], size], np.float64) @ inverse[:, :2].T + inverse[:, 2]
    spread = 2 * factor
    left, top = np.maximum(np.floor(corners.min(0)).astype(int) - spread, 0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int) + spread, (plane.shape[1], plane.shape[0]))
    wide, high = (right - left) // factor, (bottom - top) // factor
    if wide < 2 or high < 2:
        return plane, matrix
    region = plane[top : top + high * factor, left : left + wide * factor]
    small = cv2.resize(region, (int(wide), int(high)), interpolation=cv2.INTER_AREA)
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (np.array([left, top]) + (factor - 1) / 2)
    moved[:, :2] *= factor
    return small, moved


def luma_samples(frame: Frame, out: F32) -> None:
    """Write the luma of a frame, reduced to the shape of `out` (float32, 0..255); of packed RGB it is the green.

    Eight pixels of eight rows of each cell only: what is compared is the scene, and all of a frame would cost a
    millisecond.
    """
    import cv2

    shown = frame.picture
    whole = shown.rgb[:, :, 1] if isinstance(shown, Packed) else shown.y
    size = (out.shape[1], out.shape[0])
    sparse = cv2.resize(whole, (8 * size[0], 8 * size[1]), interpolation=cv2.INTER_NEAREST)
    out[:] = cv2.resize(sparse, size, interpolation=cv2.INTER_AREA)
    sparse[:] = 0


MIDDLE = 0.7
"""Of a face's box, each way: what the appearance signature covers."""


def appearance_signature(frame: Frame, box: F32, out: F32) -> None:
    """Write a face's appearance signature into `out` (66,) float32; zeros where the box lies outside the frame.

    First 8 x 8 luma of its middle, zero mean, length 1; then mean Cb and Cr, less 128 (of RGB by BT.601, full range).
    The middle of its box, because what moves behind somebody is not his appearance.
    """
    import cv2

    x0, y0, x1, y1 = box.tolist()
    across, down = (x1 - x0) * (1 - MIDDLE) / 2, (y1 - y0) * (1 - MIDDLE) / 2
    left, top, right, bottom = max(int(x0 + across), 0), max(int(y0 + down), 0), int(x1 - across), int(y1 - down)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    shown = frame.picture
    if isinstance(shown, Packed):
        luma = whole = shown.rgb[top:bottom, left:right]
    else:
        luma = shown.y[top:bottom, left:right]
    if luma.size == 0:
        out[:] = 0
        return
    small = cv2.resize(luma, (8, 8), interpolation=cv2.INTER_AREA)
    if isinstance(shown, Packed):
        small = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        red, green, blue = cv2.mean(whole)[:3]
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        out[64:] = (blue - grey) / 1.772, (red - grey) / 1.402
    else:
        part = slice(top // 2, (bottom + 1) // 2), slice(left // 2, (right + 1) // 2)
        out[64:] = cv2.mean(shown.u[part])[0] - 128.0, cv2.mean(shown.v[part])[0] - 128.0
    pattern = out[:64]
    np.subtract(small.reshape(-1), cv2.mean(small)[0], out=pattern)
    pattern /= max(float(pattern @ pattern) ** 0.5, 1e-6)


def mosaic(region: U8, squares: int) -> None:
    """Replace an RGB region, in place, by `squares` x `squares` flat squares."""
    import cv2

    high, wide = region.shape[:2]
    grid = cv2.resize(region, (squares, squares), interpolation=cv2.INTER_AREA)
    region[:] = cv2.resize(grid, (wide, high), interpolation=cv2.INTER_NEAREST)


def laplacian_energy(picture: U8, size: tuple[int, int]) -> float:
    """Variance of the Laplacian over the variance of the luma, of an RGB picture reduced to `size` (width, height)."""
    import cv2

    grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var() / (grey.var() + 25.0))


def fit_square(picture: U8, side: int) -> tuple[U8, tuple[float, float]]:
    """An RGB picture fitted into the top left of a grey (side, side, 3) square, and the square's size in its pixels."""
    import cv2

    height, width = picture.shape[:2]
    scale = side / max(height, width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square = np.full((side, side, 3), 110, np.uint8)
    square[:high, :wide] = cv2.resize(picture, (wide, high), interpolation=how)
    return square, (side * width / wide, side * height / high)


def encode_jpeg(picture: U8, quality: int) -> bytes:
    """JPEG bytes of an RGB picture; `quality` 1..100. The encoder's own buffer is overwritten."""
    import cv2

    done, encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InternalError("a picture could not be encoded as JPEG")
    jpeg = bytes(encoded.tobytes())
    encoded[:] = 0
    return jpeg


def cell_means(frame: Frame, columns: int, rows: int) -> U8:
    """Mean colour of each cell of a grid over the whole frame, (rows, columns, 3) uint8 RGB: nothing finer is made.

    Cells are whole pixels wide and high, so that OpenCV averages them with whole numbers; what is left over at the
    right and at the bottom, less than a pixel a cell, is not looked at.
    """
    import cv2

    def means(plane: U8) -> U8:
        high, wide = plane.shape[0] // rows, plane.shape[1] // columns
        covered = plane[: high * rows, : wide * columns] if high and wide else plane
        return np.asarray(cv2.resize(covered, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)

    shown = frame.picture
    if isinstance(shown, Packed):
        return means(shown.rgb)
    planes = [means(plane) for plane in (shown.y, shown.u, shown.v)]
    return np.asarray(cv2.transform(cv2.merge(planes), yuv_to_rgb(shown.matrix, shown.full_range)), np.uint8)
