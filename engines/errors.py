"""Every error that the engines raise on purpose. Each message ends with what to do.

EnginesError             exit  whose fault                                does a restart help
├── UnknownName            64  the caller: no such card, backend, option  no
├── BadOption              64  the caller: a value that makes no sense    no
├── PrecisionRefused       64  the caller: int8 whose cost is too high     no: use fp16
├── BadModel               65  a model file that cannot be prepared       no
├── BadCard                65  the card of an added model                 no: `problems` says what
├── BadPictures            65  a file of pictures to compare with         no
├── BadTable               65  a calibration table that does not fit      no: calibrate again
├── BadGolden              65  golden tensors that are missing or damaged  no: install again
├── ModelMissing           69  not prepared on this machine               after `lfr engines prepare`
├── ModelMismatch          69  a file is not the one the manifest states  after `lfr engines prepare --force`
├── EngineMissing          69  the runtime is not installed               after installing it
├── EngineFailed           69  the runtime refuses the model or the call  perhaps
│   ├── PlanRefused        69  no TensorRT plan for this board and file   after `lfr engines build`
│   └── BuildFailed        69  TensorRT could not build, or not in time   perhaps
├── FetchFailed            69  the package index or the way to it         yes
├── WeightsMissing         69  a published model that was not fetched    after `lfr engines fetch NAME`
├── PublishedMismatch      69  a publisher's file is not the pinned one   no
├── HashMismatch           69  a package or member is not the pinned one  no
├── CacheUnwritable        69  the folder, its owner or a full disk       after that is put right
├── BadInput               70  us: a tensor of the wrong shape or type    no
└── BadOutput              70  NaN or infinity came out of the network    no: do not use its results
"""

from __future__ import annotations

from pathlib import Path


class EnginesError(Exception):
    """Root of the tree; `exit_status` is what a command returns when it ends with this error."""

    exit_status = 70


class UnknownName(EnginesError):
    """No such model card, backend or precision."""

    exit_status = 64

    def __init__(self, what: str, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"unknown {what} {name!r}; choose one of: {', '.join(known)}")
        self.name = name
        self.known = known


class BadOption(EnginesError):
    """An invalid value of a command's option."""

    exit_status = 64


class PrecisionRefused(EnginesError):
    """int8 of a model whose cost in accuracy was not measured, or is over the limit."""

    exit_status = 64

    def __init__(self, card: str, reason: str) -> None:
        super().__init__(f"int8 of {card} is refused: {reason}; use fp16")
        self.card = card


class BadModel(EnginesError):
    """A model file that the preparation does not understand."""

    exit_status = 65


class BadCard(EnginesError):
    """The card of an added model is wrong or does not fit its file; `problems` holds one line each, all at once."""

    exit_status = 65
    remedy = "add it again with `lfr engines add`, or remove its file"
    """For a card that was added already."""

    def __init__(self, place: str, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join((f"{place}: {len(problems)} error(s)", *(f"  {p}" for p in problems))))
        self.place = place
        self.problems = problems


class BadPictures(EnginesError):
    """A file of input pictures that does not fit the model."""

    exit_status = 65


class BadTable(EnginesError):
    """A calibration table that cannot be read or does not fit the model."""

    exit_status = 65


class BadGolden(EnginesError):
    """Golden tensors that cannot be read: the engine cannot be checked."""

    exit_status = 65


class ModelMissing(EnginesError):
    """The prepared file, or its manifest, does not exist."""

    exit_status = 69

    def __init__(self, path: Path, published: str = "") -> None:
        """`published`: the model's name, when no package carries it: it is fetched by name first."""
        option = " --precision bf16-emulated" if path.name.endswith(".bf16-emulated.onnx") else ""
        first = f"`lfr engines fetch {published}`, then " if published else ""
        super().__init__(f"{path}: no such prepared model; run {first}`lfr engines prepare{option}`")
        self.path = path


class ModelMismatch(EnginesError):
    """A prepared file has changed since it was prepared."""

    exit_status = 69

    def __init__(self, path: Path, wanted: str, found: str) -> None:
        super().__init__(
            f"{path}: sha256 is {found}, the manifest says {wanted}; the file was changed or damaged, "
            "run `lfr engines prepare --force`"
        )
        self.path = path
        self.wanted = wanted
        self.found = found


class EngineMissing(EnginesError):
    """The runtime that was asked for is not installed; nothing else is used in its place."""

    exit_status = 69

    def __init__(self, backend: str, package: str, remedy: str = "") -> None:
        how = remedy or f"run `pip install {package}`"
        super().__init__(f"the {backend} runtime is not installed; {how} or name another backend")
        self.backend = backend
        self.package = package


class EngineFailed(EnginesError):
    """The runtime itself failed: it refused the model, the device or a call."""

    exit_status = 69


class PlanRefused(EngineFailed):
    """A TensorRT plan that is missing, stale, damaged or another board's; it was not loaded."""


class BuildFailed(EngineFailed):
    """A TensorRT plan could not be built; nothing was left behind."""


class FetchFailed(EnginesError):
    """A package could not be downloaded."""

    exit_status = 69


class WeightsMissing(EnginesError):
    """The files of a published model are not here; nothing fetches them unasked."""

    exit_status = 69

    def __init__(self, card: str, address: str) -> None:
        super().__init__(
            f"{card} is not here: no package carries it. Run `lfr engines fetch {card}`, which asks {address}, "
            f"or `lfr engines fetch {card} --from FOLDER` with files that you have; then `lfr engines prepare`"
        )
        self.card = card


class PublishedMismatch(EnginesError):
    """A publisher's file is not, byte for byte, the pinned one: damaged, or of another release. It was not kept."""

    exit_status = 69

    def __init__(self, place: str, wanted: str, found: str) -> None:
        super().__init__(
            f"{place}: sha256 is {found}, wanted {wanted}; it is damaged or of another release and was not used. "
            "Fetch it again, or give the right files with `--from FOLDER`"
        )
        self.place = place


class HashMismatch(EnginesError):
    """A downloaded file is not, byte for byte, the pinned one. The bad file has been removed."""

    exit_status = 69

    def __init__(self, place: str, wanted: str, found: str) -> None:
        super().__init__(
            f"{place}: sha256 is {found}, wanted {wanted}; the file was removed. Fetch again; "
            "if it stays so, the package index serves another file than the pinned one: do not use it"
        )
        self.place = place
        self.wanted = wanted
        self.found = found


class CacheUnwritable(EnginesError):
    """Fetched or prepared files cannot be stored. `variable` names the folder that would be used instead."""

    exit_status = 69

    def __init__(self, folder: Path, reason: str, variable: str = "LFR_CACHE") -> None:
        super().__init__(
            f"{folder}: cannot write here ({reason}); make room, or set {variable} to a folder of yours "
            "with 200 MB free"
        )
        self.folder = folder
        self.reason = reason


class BadInput(EnginesError):
    """The caller's tensor does not fit the model; nothing was run."""


class BadOutput(EnginesError):
    """The network gave NaN or infinity; drop this result, and do not trust the engine if it happens again."""
