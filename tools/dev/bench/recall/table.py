"""Bands, verdict and table of `lfr bench recall`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SCOPE_PX = 32
OUT_OF_SCOPE = "under 32"
BANDS: tuple[tuple[str, float, float], ...] = (
    ("80 px and more", 80, float("inf")),
    ("48 to 79", 48, 80),
    ("32 to 47", SCOPE_PX, 48),
    (OUT_OF_SCOPE, 0, SCOPE_PX),
)
POSES = ("frontal", "turned", "profile")
PROVES = 10
"""Passages below which a band proves nothing."""

COMPARISONS = {"same_threshold": "at the same threshold", "equal_rate": "at equal false alert rate"}


def bands(rows: Sequence[dict[str, Any]], comparison: str) -> list[dict[str, Any]]:
    """Passages and found by each, per height band, per pose, and in all; `fair` False: below the naive loop.

    Faces under SCOPE_PX are out of the product's scope (`vision.min_face_px`): their band is printed without a verdict,
    and they are not in the poses.
    """
    within = [r for r in rows if (r["height_px"] or 0) >= SCOPE_PX]
    groups = [(name, [r for r in rows if low <= (r["height_px"] or 0) < high]) for name, low, high in BANDS]
    groups += [(pose, [r for r in within if r["pose"] == pose]) for pose in POSES]
    groups += [("all in scope", within)]
    out = []
    for name, group in groups:
        if not group:
            continue
        product, naive = (sum(r[comparison][side] for r in group) for side in ("product", "naive"))
        scope = name != OUT_OF_SCOPE
        proves = len(group) >= PROVES and scope
        out.append(
            {
                "band": name,
                "passages": len(group),
                "product": product,
                "naive": naive,
                "scope": scope,
                "proves": proves,
                "fair": product >= naive or not proves,
            }
        )
    return out


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """The bands of each comparison that was made, and whether the target is met in all of them."""
    rows = result["passages"]
    each = {name: bands(rows, name) for name in COMPARISONS if all(name in row for row in rows)}
    return {"bands": each, "met": all(band["fair"] for side in each.values() for band in side)}


def render(result: dict[str, Any]) -> str:
    """Lines for people."""
    lines = [
        f"{result['listed']} listed, {len(result['passages'])} listed passages, {result['strangers']} of others; "
        f"backend {result['backend']}; naive loop on "
        + ("every frame" if result["naive_every"] == 1 else f"one frame in {result['naive_every']}")
    ]
    for name, title in COMPARISONS.items():
        side = result.get(name)
        if side is None:
            lines += ["", f"{title}: not measured"]
            continue
        lines += [
            "",
            f"{title}: product {side['product_threshold']}, {side['product_false']} false; "
            f"naive loop {side['naive_threshold']}, {side['naive_false']} false",
            f"{'':18}{'passages':>10}{'product':>10}{'naive':>10}",
        ]
        for band in result["bands"][name]:
            note = (
                "" if band["proves"] else f"   under {PROVES}: proves nothing" if band["scope"] else "   out of scope"
            )
            note = note if band["fair"] else "   BELOW THE NAIVE LOOP"
            lines.append(f"{band['band']:18}{band['passages']:>10}{band['product']:>10}{band['naive']:>10}{note}")
        lines += _photos(result["passages"], side["product_threshold"])
        missed = [row for row in result["passages"] if row[name]["missed"]]
        lines += ["  missed by the product:"] if missed else []
        lines += [_missed(row, row[name]) for row in missed]
    lines += [
        "",
        f"{'clip':30}{'labels':>8}{'people':>8}{'faces seen':>12}{'tracks, naive':>15}{'templates':>11}{'naive':>8}",
    ]
    for clip in result["clips"]:
        lines.append(
            f"{clip['clip'][:30]:30}{clip['labels']:>8}{clip['people']:>8}{clip['faces_seen']:>12}"
            f"{clip['naive_tracks']:>15}{clip['templates']:>11}{clip['naive_templates']:>8}"
        )
        lines += [f"    FALSE {one}" for one in clip["false_alerts"]]
    for side, rows in result["highest_false"].items():
        lines += ["", f"highest false claims, {side}:"] if rows else []
        lines += [f"    {r['score']:.3f} {r['entry']} at {r['clip']} frame {r['frame']}, {_of(r)}" for r in rows]
    met = "no band of ten passages or more is below the naive loop"
    return "\n".join([*lines, "", ("yes  " if result["met"] else "NO   ") + met])


def _of(claim: dict[str, Any]) -> str:
    return f"of {' and '.join(claim['of'])}" if claim["of"] else "of nobody who is labelled"


def _photos(rows: Sequence[dict[str, Any]], threshold: float) -> list[str]:
    """How many of the photos that drawn passages show reach the threshold; nothing where none is drawn."""
    scores = [row["photo"] for row in rows if row["photo"] is not None]
    reach = sum(score >= threshold for score in scores)
    return [f"  the photos shown reach {threshold} in {reach} of {len(scores)}"] if scores else []


def _missed(row: dict[str, Any], side: dict[str, Any]) -> str:
    height = "?" if row["height_px"] is None else f"{row['height_px']:.0f}"
    best = "-" if row["naive_best"] is None else f"{row['naive_best']:.3f}"
    who = f"{row['clip']} {row['person']} {row['frames'][0]}-{row['frames'][1]} {height} px {row['pose']} {row['kind']}"
    mark = "*" if side["naive"] else " "
    return f"  {mark} {who}: {side['missed']['kind']}: {side['missed']['detail']}; naive best {best}"
