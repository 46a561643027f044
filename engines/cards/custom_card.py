"""Model cards of custom models: a YAML file that describes an ONNX file as `engines.cards.model_card` describes ours.

```yaml
name: acme-r50                  # what the configuration calls it; not one of the packaged names
role: recogniser                # or detector
origin: ACME face recogniser 4.2, delivered 2026-10-01
licence: commercial, contract 123
training_data: as stated by ACME, 2 million people with consent
sha256: 64 hex digits of the ONNX file
input:
  name: data                    # the file's input: float32, rank 4
  layout: NCHW                  # or NHWC
  size: [112, 112]              # height, width; a detector may leave it out and take any size
  multiple_of: 32               # of height and width, where there is no size (1)
  channels: RGB                 # or BGR
  mean: 127.5                   # one number or three; (pixel - mean) / scale, pixels 0..255
  scale: 127.5
outputs:                        # ours: theirs. recogniser: template. detector: scores (N, M), boxes (N, M, 4) left,
  template: fc1                 # top, right, bottom, and points (N, M, 10) x, y, all in pixels of the input
template_dim: 512               # recognisers
quality:                        # recognisers, optional: what the length of the raw output says; without it nothing, and
  poor_length: 8.5              # quality is geometry's and the detector's alone. Under it a template is noise
  good_length: 12.0             # from it on a template is as good as they get
  source: how it was measured
tolerances:                     # against fp32; optional, these are the defaults
  fp16: {max_abs: 0.1, min_cosine: 0.999}
example: {picture: p.npy, output: t.npy}  # optional: (1, H, W, 3) uint8 RGB and what the model must answer
```

A detector may name YuNet's twelve outputs instead (cls_8 … kps_32). All that is wrong is told at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from engines.cards.model_card import YUNET_OUTPUTS, FileSource, Lengths, ModelCard, OwnInput, Tolerance, packaged_names
from engines.error_text import error_text
from engines.errors import BadCard

KEYS = ("name", "role", "origin", "licence", "training_data", "sha256", "input", "outputs", "template_dim")
OPTIONAL = ("quality", "tolerances", "example")
QUALITY_KEYS = ("poor_length", "good_length", "source")
INPUT_KEYS = ("name", "layout", "size", "multiple_of", "channels", "mean", "scale")
DECODED = MappingProxyType(
    {
        "scores": "confidence 0..1, (N, M)",
        "boxes": "left, top, right, bottom in pixels of the input, (N, M, 4)",
        "points": "eyes, nose, mouth corners as x, y in pixels of the input, left to right as seen, (N, M, 10)",
    }
)
PRECISIONS = ("fp32", "fp16", "int8", "bf16", "bf16-emulated")
_LOOSE = {"fp32": (2e-3, 0.99999), "fp16": (0.1, 0.998), "int8": (2.0, 0.9), "bf16": (0.6, 0.98)}


def read(path: Path, model: Path) -> ModelCard:
    """The card in a YAML file, for the weights at `model`. Raises BadCard with every problem."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise BadCard(str(path), (f"cannot be read as YAML: {error_text(fault)}",)) from fault
    if not isinstance(values, dict):
        raise BadCard(str(path), ("must be a mapping of keys; see the top of engines/cards/custom_card.py",))
    problems: list[str] = []
    card = _card(values, model, problems)
    if problems or card is None:
        raise BadCard(str(path), tuple(problems))
    return card


def _card(values: dict[str, Any], model: Path, problems: list[str]) -> ModelCard | None:
    _unknown(values, (*KEYS, *OPTIONAL), "", problems)
    one = _Reader(values, "", problems)
    name = one.matching("name", r"[a-z0-9][a-z0-9-]{1,39}", "2 to 40 of a-z, 0-9 and -")
    if name in packaged_names():
        problems.append(f"name: {name} is a packaged model; choose another name")
    role = one.among("role", ("recogniser", "detector"))
    stated = {key: one.text(key) for key in ("origin", "licence", "training_data")}
    sha256 = one.matching("sha256", r"[0-9a-f]{64}", "64 hex digits, as sha256sum prints them")
    raw = values.get("input")
    inside = _Reader(raw if isinstance(raw, dict) else {}, "input.", problems)
    if not isinstance(raw, dict):
        problems.append(f"input: must be a mapping with {', '.join(INPUT_KEYS)}")
    else:
        _unknown(raw, INPUT_KEYS, "input.", problems)
    size = inside.size("size", needed=role == "recogniser")
    multiple = inside.whole("multiple_of", 1, 256, default=1)
    own = OwnInput(
        name=inside.text("name"),
        layout=inside.among("layout", ("NCHW", "NHWC")),
        channels=inside.among("channels", ("RGB", "BGR")),
        mean=inside.three("mean"),
        scale=inside.three("scale", positive=True),
        outputs=MappingProxyType(_outputs(values.get("outputs"), role, problems)),
    )
    dim = one.whole("template_dim", 16, 4096) if role == "recogniser" else None
    if role == "detector" and values.get("template_dim") is not None:
        problems.append("template_dim: a detector has none")
    lengths = _lengths(values.get("quality"), role, problems)
    tolerances = _tolerances(values.get("tolerances", {}), role, problems)
    _example(values.get("example"), problems)
    if problems:
        return None
    described = {**YUNET_OUTPUTS, **DECODED, "template": f"(N, {dim}), compared by cosine"}
    return ModelCard(
        name=name,
        role="detector" if role == "detector" else "recogniser",
        origin=stated["origin"],
        licence=stated["licence"],
        training_data=stated["training_data"],
        source=FileSource(model, sha256),
        recipe="own",
        input_name="frames" if role == "detector" else "crops",
        input_size=size,
        multiple_of=multiple,
        normalisation=f"(x - {_values_text(own.mean)}) / {_values_text(own.scale)}, {own.channels}",
        outputs=MappingProxyType({ours: described[ours] for ours in own.outputs}),
        template_dim=dim,
        tolerances=MappingProxyType(tolerances),
        lengths=lengths,
        own=own,
    )


def _values_text(values: tuple[float, float, float]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _unknown(values: Mapping[Any, Any], known: tuple[str, ...], place: str, problems: list[str]) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            problems.append(f"{place}{key}: unknown key; the nearest valid key is {near[0]!r}")


def _outputs(raw: Any, role: str, problems: list[str]) -> dict[str, str]:
    wanted = (tuple(DECODED), tuple(YUNET_OUTPUTS)) if role == "detector" else (("template",),)
    if not isinstance(raw, dict) or tuple(sorted(raw)) not in {tuple(sorted(names)) for names in wanted}:
        choices = " or ".join(", ".join(names) if len(names) < 5 else "YuNet's twelve" for names in wanted)
        problems.append(f"outputs: must name {choices}, each with its name in the file; found {raw!r}")
        return {}
    bad = [name for name, theirs in raw.items() if not isinstance(theirs, str) or not theirs]
    problems += [f"outputs.{name}: must be the name of an output of the file" for name in bad]
    order = next(names for names in wanted if set(names) == set(raw))
    return {name: str(raw[name]) for name in order}


def _tolerances(raw: Any, role: str, problems: list[str]) -> dict[str, Tolerance]:
    found = {}
    given = raw if isinstance(raw, dict) else {}
    if not isinstance(raw, dict):
        problems.append("tolerances: must be a mapping of precisions")
    _unknown(given, PRECISIONS, "tolerances.", problems)
    for precision in PRECISIONS:
        most, least = _LOOSE[precision.removesuffix("-emulated")]
        limits = given.get(precision, {})
        reader = _Reader(limits if isinstance(limits, dict) else {}, f"tolerances.{precision}.", problems)
        if not isinstance(limits, dict):
            problems.append(f"tolerances.{precision}: must be a mapping with max_abs and min_cosine")
        _unknown(reader.values, ("max_abs", "min_cosine"), f"tolerances.{precision}.", problems)
        cosine = reader.number("min_cosine", 0, 1, default=least)
        found[precision] = Tolerance(
            max_abs=reader.number("max_abs", 0, 1e6, default=most),
            min_cosine=None if role == "detector" and "min_cosine" not in reader.values else cosine,
        )
    return found


def _lengths(raw: Any, role: str, problems: list[str]) -> Lengths | None:
    if raw is None:
        return None
    if role != "recogniser" or not isinstance(raw, dict):
        problems.append(
            f"quality: must be a mapping with {', '.join(QUALITY_KEYS)}, of a recogniser; leave it out where the "
            "length of a template says nothing"
        )
        return None
    _unknown(raw, QUALITY_KEYS, "quality.", problems)
    reader = _Reader(raw, "quality.", problems)
    poor, good = (reader.number(key, 1e-6, 1e6) for key in QUALITY_KEYS[:2])
    source = reader.text("source")
    if good <= poor and {"poor_length", "good_length"} <= set(raw):
        problems.append(f"quality.good_length: must be more than quality.poor_length; found {good:g} and {poor:g}")
    return Lengths(poor, good, source)


def _example(raw: Any, problems: list[str]) -> None:
    right = (
        isinstance(raw, dict) and set(raw) == {"picture", "output"} and all(isinstance(v, str) for v in raw.values())
    )
    if raw is not None and not right:
        problems.append("example: must be a mapping with picture and output, names of .npy files beside the card")


class _Reader:
    """Reads keys of one mapping; an invalid value becomes a problem and a harmless value."""

    def __init__(self, values: dict[str, Any], place: str, problems: list[str]) -> None:
        self.values = values
        self._place = place
        self._problems = problems

    def _check(self, key: str, fits: Callable[[Any], bool], rule: str, default: Any, blank: Any) -> Any:
        if key not in self.values and default is not None:
            return default
        value = self.values.get(key)
        if key not in self.values:
            self._problems.append(f"{self._place}{key}: missing; {rule}")
        elif not fits(value):
            self._problems.append(f"{self._place}{key}: must be {rule}; found {value!r}")
        else:
            return value
        return blank

    def text(self, key: str) -> str:
        return str(self._check(key, lambda v: isinstance(v, str) and bool(v.strip()), "words", None, ""))

    def matching(self, key: str, pattern: str, rule: str) -> str:
        def fits(value: Any) -> bool:
            return isinstance(value, str) and re.fullmatch(pattern, value) is not None

        return str(self._check(key, fits, rule, None, ""))

    def among(self, key: str, choices: tuple[str, ...]) -> str:
        return str(self._check(key, lambda v: v in choices, f"one of {', '.join(choices)}", None, choices[0]))

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        def fits(value: Any) -> bool:
            return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

        return int(self._check(key, fits, f"a whole number from {low} to {high}", default, low))

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        return float(
            self._check(
                key, lambda v: _is_number(v) and low <= v <= high, f"a number from {low:g} to {high:g}", default, low
            )
        )

    def three(self, key: str, positive: bool = False) -> tuple[float, float, float]:
        def fits(value: Any) -> bool:
            row = value if isinstance(value, list) and len(value) == 3 else [value]
            return all(_is_number(v) and (v > 0 or not positive) for v in row)

        rule = "a number or three, one a channel" + (", above 0" if positive else "")
        value = self._check(key, fits, rule, None, 1.0)
        row = [float(v) for v in (value if isinstance(value, list) else [value] * 3)]
        return row[0], row[1], row[2]

    def size(self, key: str, needed: bool) -> tuple[int, int] | None:
        def fits(value: Any) -> bool:
            sides = value if isinstance(value, list) and len(value) == 2 else [0]
            return all(isinstance(v, int) and 16 <= v <= 4096 for v in sides)

        if key not in self.values and not needed:
            return None
        value = self._check(key, fits, "[height, width], 16 to 4096 each", None, [112, 112])
        return int(value[0]), int(value[1])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
