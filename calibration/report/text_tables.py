"""Results for a terminal: fixed columns, rates as comparable text."""

from __future__ import annotations

from device.domain.operating_point import per_thousand
from device.evidence.artefact import Artefact, Precision


def artefact_table(artefact: Artefact) -> str:
    """An artefact as text."""
    lines = [f"evidence {artefact.id}, made {artefact.made_at}, limit {artefact.limit * 1000:g} in 1,000 faces"]
    lines += [f"  {sentence}" for sentence in artefact.statement]
    for row in artefact.precisions:
        lines += ["", *_precision(row)]
    return "\n".join(lines)


def _precision(row: Precision) -> list[str]:
    fit = row.fit
    holds = "holds" if fit["kolmogorov_distance"] <= fit["kolmogorov_usual_95"] else "DOES NOT HOLD"
    lines = [
        f"{row.precision} ({row.how})",
        f"  tail above {row.tail.start:.3f}: rate {row.tail.rate:.2e} a comparison, shape {row.tail.shape:+.3f}, "
        f"scale {row.tail.scale:.4f}; shift {', '.join(f'{s:.3f}' for s in row.tail.shift)} for 1, 2, 3 photos",
        f"  fit {holds}: distance {fit['kolmogorov_distance']:.3f}, usual up to {fit['kolmogorov_usual_95']:.3f} "
        f"({fit['comparisons_above_start']:.0f} comparisons)",
        f"  lists of {row.smallest_list} to {row.largest_list:,} people; "
        f"tested band {row.band[0]:.3f} to {row.band[1]:.3f}",
        "    listed  threshold  false alerts in 1,000   found, one look   found, three looks",
    ]
    for point in row.table:
        found = f"{point.found:6.1%} ({point.found_low:.1%} to {point.found_high:.1%})"
        fused = "     -" if point.found_fused is None else f"{point.found_fused:6.1%}"
        lines.append(
            f"  {point.subjects:8,}  {point.threshold:9.3f}  {per_thousand(point.predicted):>8}, at most "
            f"{per_thousand(point.bound):>5}  {found}   {fused}"
            f"{'   extrapolated' if point.extrapolated else ''}"
        )
    return lines
