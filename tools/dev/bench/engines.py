"""Speed of precisions and batches on this machine, as ratios: `lfr bench engines`.

1. Precisions of every runtime that is installed, one picture a call, in turns: how many times as fast as the same
   runtime's fp32. The recogniser's batches, of each precision, in turns: how many times as fast as one face at a time.
2. A ratio is the median over rounds of the two times of one round, with the middle half of them: on a shared machine
   absolute times vary too much, ratios within a round do not.
3. Pictures are synthetic faces. A model that cannot be opened here is left out with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engines.cards.catalogue import card
from engines.cards.model_card import DETECTOR_DEFAULT, RECOGNISER_DEFAULT, ModelCard
from engines.errors import EnginesError
from engines.runner import U8, Runner
from engines.select import BACKENDS, installed, open_runner, precisions
from engines.verify.compare import DETECTOR_SIZE
from engines.verify.synthetic_faces import crop, crowd
from engines.verify.timing import F64, interleaved, ratio

BATCHES = (1, 2, 4, 8)
EVIDENCE_ONLY = "bf16-emulated"
"""For measuring accuracy; no device takes it (engines/README.md)."""

Tick = Callable[[], None]
Opener = Callable[..., Runner]


def measure(threads: int, rounds: int, tick: Tick, opener: Opener = open_runner) -> dict[str, Any]:
    """The whole object: `precisions`, `batches`, `left_out`. `tick` is called after every round of a group."""
    turns = _Turns(threads, rounds, tick, opener)
    engines = [f"{name}:{each}" for name in BACKENDS if installed(name) for each in usable(name)]
    rows: list[dict[str, Any]] = []
    for one in (card(DETECTOR_DEFAULT), card(RECOGNISER_DEFAULT)):
        rows += _precisions(one, engines, turns)
    batches: list[dict[str, Any]] = []
    for engine in engines:
        batches += _batches(card(RECOGNISER_DEFAULT), engine, turns)
    result = {"precisions": rows, "batches": batches, "left_out": turns.left_out}
    return {"threads": threads, "rounds": rounds, **result}


def usable(backend: str) -> tuple[str, ...]:
    """Precisions that a device may take on this backend."""
    return tuple(each for each in precisions(backend) if each != EVIDENCE_ONLY)


def groups() -> int:
    """How many groups of calls `measure` times."""
    return 2 + sum(len(usable(name)) for name in BACKENDS if installed(name))


def render(result: dict[str, Any]) -> str:
    """Lines of at most 120 characters."""
    machine = result["machine"]
    turns = (
        "one round: no spread"
        if result["rounds"] == 1
        else f"{result['rounds']} rounds in turns; ratios: median over rounds (middle half)"
    )
    lines = [
        f"{machine['date']} · {machine['cpu']} · load before {machine['load_1min']}",
        f"{result['threads']} thread(s), {turns}",
        "",
        f"{'model':16}{'runtime:precision':24}{'least ms':>10}{'median ms':>11}   times as fast as its fp32",
    ]
    for row in result["precisions"]:
        place = f"{row['model']:16}{row['engine']:24}"
        lines.append(f"{place}{row['least_ms']:10.2f}{row['median_ms']:11.2f}   {_speed_text(row['speed'])}")
    head = f"{'model':16}{'runtime:precision':24}{'batch':>6}{'least ms a face':>17}"
    lines += ["", f"{head}   times as fast as one at a time"]
    for row in result["batches"]:
        place = f"{row['model']:16}{row['engine']:24}"
        lines.append(f"{place}{row['batch']:6}{row['least_ms_a_picture']:17.2f}   {_speed_text(row['speed'])}")
    return "\n".join([*lines, *(f"left out: {name}: {why}" for name, why in result["left_out"].items())])


def _speed_text(speed: dict[str, float | None] | None) -> str:
    if speed is None:
        return "-"
    spread = "" if speed["low"] is None else f" ({speed['low']:.2f} to {speed['high']:.2f})"
    return f"{speed['median']:.2f}{spread}"


@dataclass(frozen=True, slots=True)
class _Turns:
    """How calls are timed. `left_out`: what could not be opened, and why."""

    threads: int
    rounds: int
    tick: Tick
    opener: Opener
    left_out: dict[str, str] = field(default_factory=dict)

    def taken(self, one: ModelCard, wanted: Mapping[str, tuple[str, int]]) -> dict[str, F64]:
        """Times of a model's calls in turns, by the names of `wanted`: engine, and pictures of a call."""
        with ExitStack() as opened:
            calls = {}
            for name, (engine, count) in wanted.items():
                pictures = _pictures(one, count)
                try:
                    runner = self._opened(one, engine, count)
                    opened.callback(runner.close)
                    runner.run(pictures)
                except EnginesError as fault:
                    self.left_out[f"{one.name} {name}"] = str(fault)
                    continue
                calls[name] = _call(runner, pictures)
            return interleaved(calls, self.rounds, tick=self.tick) if calls else {}

    def _opened(self, one: ModelCard, engine: str, count: int) -> Runner:
        backend, _, precision = engine.partition(":")
        shape = one.input_size or DETECTOR_SIZE
        return self.opener(one, backend=backend, precision=precision, threads=self.threads, shape=shape, at_once=count)


def _precisions(one: ModelCard, engines: Sequence[str], turns: _Turns) -> Iterator[dict[str, Any]]:
    """One picture a call, every engine in turns; the model's rows."""
    taken = turns.taken(one, {engine: (engine, 1) for engine in engines})
    for engine, values in taken.items():
        exact = taken.get(f"{engine.partition(':')[0]}:fp32")
        row = {"model": one.name, "engine": engine, "least_ms": float(values.min())}
        yield row | {"median_ms": float(np.median(values)), "speed": _speed(exact, values)}


def _batches(one: ModelCard, engine: str, turns: _Turns) -> Iterator[dict[str, Any]]:
    """Batches of one engine in turns; times are of one picture."""
    names = {count: f"{engine} batch {count}" for count in BATCHES}
    taken = turns.taken(one, {name: (engine, count) for count, name in names.items()})
    each = {count: taken[name] / count for count, name in names.items() if name in taken}
    for count, values in each.items():
        row = {"model": one.name, "engine": engine, "batch": count}
        yield row | {"least_ms_a_picture": float(values.min()), "speed": _speed(each.get(1), values)}


def _call(runner: Runner, pictures: U8) -> Callable[[int], object]:
    return lambda _turn: runner.run(pictures)


def _speed(base: F64 | None, values: F64) -> dict[str, float | None] | None:
    if base is None:
        return None
    found = ratio(base, values)
    return {"median": found.median, "low": found.low, "high": found.high}


def _pictures(one: ModelCard, count: int) -> U8:
    """(count, H, W, 3) of synthetic faces."""
    if one.role == "detector":
        return np.concatenate([crowd(one.input_size or DETECTOR_SIZE, (0, 1, 2, 3))] * count)
    side = min(one.input_size or (112, 112))
    return np.concatenate([crop(side, kind) for kind in range(count)])
