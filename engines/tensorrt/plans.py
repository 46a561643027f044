"""TensorRT plans on this board: what each one was built for, where it lies, and whether it may be loaded.

1. A plan is code for one GPU and one TensorRT. It is loaded only when everything it was built from is the same here:
   prepared file, TensorRT, GPU, compute capability, precision, shapes, and of one that makes its own pictures the size
   of the frame and the version of `engines.graph.sampling`. No other is ever loaded: a foreign plan can crash the
   process or compute wrong results. Its name holds a digest of all of that, so that plans of two releases, or of two
   TensorRTs, lie side by side: an update builds the new ones while the old ones are used.
2. Its description lies beside it and states the plan's own hash: a plan that was cut off or changed is not loaded.
3. A refusal states what differs, and the command that builds the wanted plan (`command_for`). Building takes minutes
   and the whole GPU: no worker builds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from engines.cards.model_card import ModelCard
from engines.errors import PlanRefused
from engines.graph.sampling import FRAME, MAPS, VERSION
from engines.manifest import sha256_of
from engines.places import placing, writing
from engines.tensorrt.cuda import GpuFacts

FORMAT = 1
TIMING_CACHE = "timing.cache"
DIGEST_CHARS = 12
COMMAND = "lfr engines build"


@dataclass(frozen=True, slots=True)
class Entry:
    """One input of a plan. row: the shape of one picture's part; not batched: of the one frame that all share."""

    name: str
    dtype: type[np.generic]
    row: tuple[int, ...]
    batched: bool = True

    def shape(self, count: int) -> tuple[int, ...]:
        """For `count` pictures."""
        return (count if self.batched else 1, *self.row)

    def nbytes(self, count: int) -> int:
        """Of the tensor for `count` pictures."""
        return int(np.prod(self.shape(count))) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Profile:
    """What a plan takes: batch sizes, the pictures' height and width, and the frame's.

    frame  (height, width) where the plan makes its pictures itself; None where it is given them
    """

    least: int
    best: int
    most: int
    height: int
    width: int
    frame: tuple[int, int] | None = None

    def entries(self, card: ModelCard) -> tuple[Entry, ...]:
        """The inputs of the plan."""
        if self.frame is None:
            return (Entry(card.input_name, np.uint8, (self.height, self.width, 3)),)
        return Entry(FRAME, np.uint8, (*self.frame, 3), batched=False), Entry(MAPS, np.float32, (2, 5))

    def reaches(self, wanted: Profile) -> bool:
        """Whether a plan for this serves the other profile: the same sizes, and as many pictures at least."""
        same = (self.height, self.width, self.frame) == (wanted.height, wanted.width, wanted.frame)
        return same and self.least <= wanted.least and self.most >= wanted.most

    def __str__(self) -> str:
        of = f" of frames of {self.frame[0]}x{self.frame[1]}" if self.frame is not None else ""
        return f"{self.least} to {self.most} pictures of {self.height}x{self.width}{of}"


@dataclass(frozen=True, slots=True)
class NeededPlans:
    """What a device's workers will open. backend: `tensorrt:fp16`; on a CPU backend there are no plans.

    models   folder of prepared models; this program's own when None
    release  version of the program whose workers they are; its list of plans is kept (used_plans.py)
    """

    backend: str
    plans: tuple[tuple[ModelCard, Profile], ...] = ()
    models: Path | None = None
    release: str = ""


@dataclass(frozen=True, slots=True)
class PlanKey:
    """Everything that a plan depends on. sampling: version of engines.graph.sampling; 0 where pictures are given."""

    card: str
    precision: str
    model_sha256: str
    tensorrt: str
    gpu: str
    capability: str
    profile: Profile
    sampling: int = 0

    @staticmethod
    def of(
        card: ModelCard, precision: str, model_sha256: str, tensorrt: str, gpu: GpuFacts, profile: Profile
    ) -> PlanKey:
        """The key of a plan for this board."""
        sampling = VERSION if profile.frame is not None else 0
        return PlanKey(card.name, precision, model_sha256, tensorrt, gpu.name, gpu.capability, profile, sampling)

    @property
    def family(self) -> str:
        """Model, precision and sizes: what the names of all plans begin with that differ in the rest of the key."""
        p = self.profile
        of = f".of.{p.frame[0]}x{p.frame[1]}" if p.frame is not None else ""
        return f"{self.card}.{self.precision}.{p.height}x{p.width}{of}"

    @property
    def stem(self) -> str:
        """File name without ending: one path for each key (rule 1)."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{self.family}.{digest[:DIGEST_CHARS]}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A built plan: its key, its hash, its GPU memory, and its difference from the CPU."""

    key: PlanKey
    sha256: str
    device_bytes: int
    built_at: str
    seconds: float
    max_abs: float

    def as_json(self) -> str:
        """The description's text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"


def command_for(card: ModelCard, key: PlanKey) -> str:
    """The command that builds the plan of `key`; a detector's size is the camera's, which only a worker knows."""
    profile = key.profile
    size = f" --size {profile.height}x{profile.width}" if card.input_size is None else ""
    frame = f" --frame {profile.frame[0]}x{profile.frame[1]}" if profile.frame is not None else ""
    return f"{COMMAND} --model {key.card} --precision {key.precision}{size}{frame}"


def plan_file(folder: Path, key: PlanKey) -> Path:
    """Where the plan lies."""
    return folder / f"{key.stem}.plan"


def description_file(folder: Path, key: PlanKey) -> Path:
    """Where its description lies."""
    return folder / f"{key.stem}.json"


def described(path: Path, command: str = COMMAND) -> Plan:
    """Read one description. Raises PlanRefused with the problem, and `command` as the remedy."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("format") != FORMAT:
            raise PlanRefused(f"{path}: of another format; run `{command}`")
        raw = document.pop("key")
        shapes = raw["profile"]
        frame = shapes.get("frame")
        key = PlanKey(**{**raw, "profile": Profile(**{**shapes, "frame": tuple(frame) if frame else None})})
        return Plan(key=key, **document)
    except FileNotFoundError as fault:
        raise PlanRefused(f"{path}: no TensorRT plan of this model; run `{command}`") from fault
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise PlanRefused(f"{path}: not a readable description ({fault}); run `{command}`") from fault


def load(folder: Path, wanted: PlanKey, command: str = COMMAND) -> tuple[bytes, Plan]:
    """The bytes of the plan for `wanted` and its description. Raises PlanRefused (rules 1, 2) that names `command`.

    A plan whose batch sizes reach further than asked is as good.
    """
    description, plan = _nearest(folder, wanted, command)
    differing, file = differences(plan.key, wanted), description.with_suffix(".plan")
    if differing:
        raise PlanRefused(f"{file} was built for {'; '.join(differing)}; run `{command}`")
    try:
        content = file.read_bytes()
    except OSError as fault:
        raise PlanRefused(f"{file}: {fault.strerror}; run `{command}`") from fault
    if hashlib.sha256(content).hexdigest() != plan.sha256:
        raise PlanRefused(f"{file}: damaged or changed since it was built; run `{command}`")
    return content, plan


def _nearest(folder: Path, wanted: PlanKey, command: str) -> tuple[Path, Plan]:
    """The description of the wanted plan; without one, of the plan of this model and these sizes that is most like it.

    Raises PlanRefused when there is none that can be read.
    """
    exact = description_file(folder, wanted)
    if exact.exists():
        return exact, described(exact, command)
    found, unreadable = [], None
    for path in sorted(folder.glob(f"{wanted.family}.*json")):
        try:
            plan = described(path, command)
        except PlanRefused as fault:
            unreadable = fault
            continue
        if plan.key.family == wanted.family:
            found.append((path, plan))
    if not found:
        raise unreadable or PlanRefused(f"{exact}: no TensorRT plan of this model; run `{command}`")
    return min(found, key=lambda one: len(differences(one[1].key, wanted)))


def differences(built: PlanKey, wanted: PlanKey) -> list[str]:
    """How a plan's key differs from this machine, as text; empty when it may be loaded."""
    said = []
    for field in fields(PlanKey):
        had, has = getattr(built, field.name), getattr(wanted, field.name)
        if field.name == "profile":
            if not had.reaches(has):
                said.append(f"{had}, not {has}")
        elif had != has:
            said.append(f"{field.name.replace('_', ' ')} {had}, not {has}")
    return said


def store(folder: Path, key: PlanKey, content: Path, plan: Plan) -> None:
    """Put a finished plan in its place: the old description is deleted first, the new one written last (rule 2)."""
    with writing(folder), placing(description_file(folder, key)) as (staged,):
        staged.write_text(plan.as_json(), encoding="utf-8")
        description_file(folder, key).unlink(missing_ok=True)
        content.replace(plan_file(folder, key))


def plans(folder: Path) -> list[Plan]:
    """Every plan whose description can be read and whose file has its hash."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            plan = described(path)
        except PlanRefused:
            continue
        file = path.with_suffix(".plan")
        if file.is_file() and sha256_of(file) == plan.sha256:
            found.append(plan)
    return found
