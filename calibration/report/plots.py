"""Plots of a result: curves and points. Drawn by matplotlib, an optional extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from device.errors import Unavailable

_COLOURS = ("#1b6ca8", "#d1495b", "#2e7d32", "#8e5ea2", "#e08e0b")


def draw(document: dict[str, Any], folder: Path) -> dict[str, Path]:
    """PNG files by name. Raises Unavailable without matplotlib."""
    figures = {"identification": _identification, "trade_off": _trade_off, "verification": _verification}
    if "heights" in document:
        figures["heights"] = _heights
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name, paint in figures.items():
        figure = _figure()
        paint(document, figure)
        made[name] = folder / f"{name}.png"
        figure.savefig(made[name], dpi=110)
    return made


def require_matplotlib() -> None:
    """Raises Unavailable where it is not installed."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it logs a line about its font list, once a machine
    try:
        from importlib import import_module

        import_module("matplotlib.figure")
    except ImportError as fault:
        raise Unavailable(
            "plots need matplotlib: pip install '.[evaluation]' in the checkout, or leave out --report"
        ) from fault


def _figure() -> Any:
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _identification(document: dict[str, Any], figure: Any) -> None:
    """False alerts and found against the threshold."""
    left, right = figure.subplots(1, 2)
    sizes = sorted({curve["subjects"] for curve in document["curves"]})
    for curve in document["curves"]:
        axes = left if curve["what"] == "false_alerts" else right
        colour = _COLOURS[sizes.index(curve["subjects"]) % len(_COLOURS)]
        floor = 1e-5 if axes is left else 0.0
        low, high, rate = ([max(v, floor) for v in curve[key]] for key in ("low", "high", "rate"))
        axes.plot(curve["threshold"], rate, color=colour, label=f"{curve['subjects']:,} listed")
        axes.fill_between(curve["threshold"], low, high, color=colour, alpha=0.15, linewidth=0)
    left.set(yscale="log", ylim=(1e-4, 1), xlim=(0.35, 0.6), xlabel="threshold (cosine)", ylabel="false alerts a face")
    left.axhline(0.001, color="black", linewidth=0.8, linestyle=":")
    left.annotate("1 in 1,000", (0.355, 0.00108), fontsize=8)
    right.set(ylim=(0.5, 1), xlim=(0.35, 0.7), xlabel="threshold (cosine)", ylabel="listed people found")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        _legend(axes)
    figure.suptitle("One photo listed, one look; bands: 95 % over people", fontsize=10)


def _trade_off(document: dict[str, Any], figure: Any) -> None:
    """Threshold and found by length of the list; hollow points are extrapolated."""
    left, right = figure.subplots(1, 2)
    rows = [row for row in document["identification"] if "threshold" in row]
    for place, limit in enumerate(sorted({row["limit"] for row in rows})):
        colour = _COLOURS[place % len(_COLOURS)]
        for row in (row for row in rows if row["limit"] == limit):
            at, face = row["subjects"] * (1 + 0.06 * (place - 1)), "white" if row["extrapolated"] else colour
            low, high = row["threshold_low"], row["threshold_high"]
            left.plot([at, at], [low, high], color=colour, linewidth=1)
            left.plot(at, row["threshold"], "o", color=colour, markerfacecolor=face)
            right.plot([at, at], [row["found"]["low"], row["found"]["high"]], color=colour, linewidth=1)
            right.plot(at, row["found"]["share"], "o", color=colour, markerfacecolor=face)
        left.plot([], [], "o", color=colour, label=f"{limit * 1000:g} false alerts in 1,000")
    left.set(xscale="log", xlabel="people listed", ylabel="threshold (cosine)")
    right.set(xscale="log", xlabel="people listed", ylabel="listed people found", ylim=(None, 1))
    _legend(left)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.suptitle("One photo listed, one look; hollow: extrapolated beyond the data", fontsize=10)


def _legend(axes: Any) -> None:
    """A legend where there is a curve; without one matplotlib warns on the user's terminal."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8)


def _verification(document: dict[str, Any], figure: Any) -> None:
    axes = figure.subplots()
    curve = document["verification"]["curve"]
    axes.plot([x for x, _ in curve], [y for _, y in curve], color=_COLOURS[0])
    for row in document["verification"]["rows"]:
        at = row["false_match_rate"]
        axes.plot([at, at], [row["low"], row["high"]], color=_COLOURS[0], linewidth=1)
        axes.plot(at, row["share"], "o", color=_COLOURS[0])
    axes.set(xscale="log", xlabel="false match rate (one comparison)", ylabel="photos of one person accepted")
    axes.set_ylim(top=1.005)
    axes.grid(alpha=0.3)
    axes.set_title("One photo against one photo; bars: 95 % over people", fontsize=10)


def _heights(document: dict[str, Any], figure: Any) -> None:
    axes = figure.subplots()
    heights = document["heights"]
    rows = [row for row in heights["rows"] if row["face_height_px"] is not None and "share" in row["found"]]
    for row in rows:
        at, cell = row["face_height_px"], row["found"]
        axes.plot([at, at], [cell["low"], cell["high"]], color=_COLOURS[0], linewidth=1)
        axes.plot(at, cell["share"], "o", color=_COLOURS[0])
    whole = next((row["found"] for row in heights["rows"] if row["face_height_px"] is None), None)
    if whole is not None and "share" in whole:
        axes.axhline(whole["share"], color="black", linewidth=0.8, linestyle=":", label="photos as they are")
        axes.legend(fontsize=8)
    axes.set(xlabel="face height in the picture that is searched, px", ylabel="listed people found")
    axes.set_ylim(top=1.0)
    axes.grid(alpha=0.3)
    axes.set_title(
        f"{heights['subjects']} listed, threshold {heights['threshold']:.3f}; bars: 95 % over people", fontsize=10
    )
