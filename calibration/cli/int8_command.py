"""`lfr calibrate int8 DATASET`: makes a model's calibration table from real faces and measures the cost of int8."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calibration.int8.calibrate import Outcome

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add(verbs: Subparsers) -> None:
    """Add the verb `int8`."""
    parser = verbs.add_parser("int8", help="an int8 calibration table from a data set of faces, and what int8 costs")
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="LFW layout: one folder a person; 100 or more")
    parser.add_argument("--model", metavar="NAME", help="the model to calibrate (the default recogniser)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the table goes (the models folder, where `prepare` finds it)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Calibrate, write the table, print the measurements."""
    from tqdm import tqdm

    from calibration.int8.calibrate import calibrate
    from calibration.report.output_paths import require_place
    from device.enrolment.model_sessions import ModelSessions
    from engines.cards.catalogue import card
    from engines.cards.model_card import RECOGNISER_DEFAULT
    from engines.graph.calibration_table import file_name
    from engines.places import models_dir, writing
    from engines.prepare.fetch import weights_of

    one = card(args.model or RECOGNISER_DEFAULT)
    weights, folder = weights_of(one), args.out or models_dir()
    require_place(folder, "--out")
    named = one.name if one.role == "recogniser" else None  # crops are cut for this recogniser
    room = ModelSessions("onnxruntime:fp32", threads=2, recogniser=named)
    with tqdm(unit="step", leave=False, mininterval=0.5) as bar:

        def tick(stage: str) -> None:
            bar.set_description(stage, refresh=False)
            bar.update()

        outcome = calibrate(one, weights, args.dataset, room, models_dir(), tick)
    room.close()
    target = folder / file_name(one.name)
    with writing(folder):
        staged = target.with_suffix(".new")
        staged.write_text(outcome.table.as_json(), encoding="utf-8")
        staged.replace(target)
    if args.json:
        print(json.dumps({"table": str(target), **_measured(outcome)}))
    else:
        print("\n".join((*_lines(outcome), f"written to {target}; now: lfr engines prepare --model {one.name}")))
    return 0


def _measured(outcome: Outcome) -> dict[str, object]:
    table, paid = outcome.table, outcome.table.cost
    return {
        "model": table.card,
        "method": table.method,
        "errors_by_method": outcome.methods,
        "sensitivities": outcome.sensitivities,
        "excluded": list(table.excluded),
        "error_by_excluded": [list(step) for step in outcome.course],
        "allowed": paid is not None and paid.allowed,
        "cost": None
        if paid is None
        else {"fpir": paid.fpir, "listed": paid.listed, "tpir_fp32": paid.tpir_fp32, "tpir_int8": paid.tpir_int8}
        | {"points": paid.points, "low": paid.low, "high": paid.high, "mated": paid.mated, "unmated": paid.unmated},
        "provenance": table.provenance,
    }


def _lines(outcome: Outcome) -> list[str]:
    table, paid = outcome.table, outcome.table.cost
    out = [f"{table.card}: mean error by method"]
    out += [
        f"  {name:18} {value:.5f}{'  chosen' if name == table.method else ''}"
        for name, value in outcome.methods.items()
    ]
    out.append("most sensitive layers, mean error when quantised alone")
    out += [f"  {name:28} {value:.6f}" for name, value in list(outcome.sensitivities.items())[:8]]
    out.append("mean error by number of layers kept in float32")
    out += [f"  {count:3} {value:.5f}" for count, value in outcome.course]
    out.append(f"kept in float32: {', '.join(table.excluded) or 'none'}")
    if paid is not None:
        out.append(
            f"TPIR at FPIR {paid.fpir:.1%}, {paid.listed} listed: fp32 {paid.tpir_fp32:.2%}, int8 {paid.tpir_int8:.2%}"
            f"; int8 costs {paid.points:.2f} points (95 %: {paid.low:.2f} to {paid.high:.2f}; "
            f"{paid.mated} mated, {paid.unmated} other pairs): {'allowed' if paid.allowed else 'refused, use fp16'}"
        )
    return out
