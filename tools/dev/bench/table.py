"""The bench's result as a table for people."""

from __future__ import annotations

from typing import Any

TIMES, TIMES_EXACT = 20, 12
"""Of the naive loop's speed that is wanted: on a CPU that computes bf16 or int8, and where only fp32 is exact."""


def render(result: dict[str, Any]) -> str:
    """Lines of at most 120 characters."""
    machine, product, naive, same = (result[key] for key in ("machine", "product", "naive", "same_frames"))
    clip = result["clip"]
    lines = [
        f"{machine['date']} · {machine['cpu']} · {machine['cores']} cores · {machine['memory_gb']} GB · "
        f"load before {machine['load_1min']}",
        f"Python {machine['python']} · " + " · ".join(f"{name} {v}" for name, v in machine["versions"].items()),
        f"clip {clip['width']}x{clip['height']}, {clip['frames']} frames, {clip['passages']} passages, "
        f"{clip['faces_in_view']} faces in view ({same['faces_in_view']} where the naive loop ran) · "
        f"{result['listed']} people listed · threshold {product['threshold']}",
        "",
        f"{'':30}{'lfr replay':>14}{'naive loop':>14}",
        _row("frames/s", product["fps"], naive["fps"]),
        _row("processor ms a frame", product["processor_ms"], naive["processor_ms"]),
        _row("templates per person", product["templates_per_person"], _per_person(naive)),
        _row("peak memory, MB", product["peak_rss_mb"], naive["peak_rss_mb"]),
        _row("listed found, same frames", same["product"]["found"], same["naive"]["found"]),
        _row("false alerts, same frames", same["product"]["false_alerts"], same["naive"]["false_alerts"]),
        _row("duplicate alerts", same["product"]["duplicates"], same["naive"]["duplicates"]),
        "",
        f"whole clip: {product['found']} of {product['listed']} listed passages found, "
        f"{product['false_alerts']} false alerts, {product['faces_seen']} faces seen, {product['templates']} templates",
        f"backend {product['backend']}; naive loop: OpenCV with {naive['threads']} threads, {naive['frames']} frames",
        *_screen(result),
        "",
        f"{'stage':10}{'p50 ms':>10}{'p95 ms':>10}{'n':>8}",
    ]
    for stage, row in product["stages_ms"].items():
        lines.append(f"{stage:10}{_number(row['p50']):>10}{_number(row['p95']):>10}{row['n']:>8}")
    latency = result.get("latency")
    if latency:
        lines += [
            "",
            f"frame to hub, in real time: p50 {latency['p50_ms']:.0f} ms, p99 {latency['p99_ms']:.0f} ms, "
            f"most {latency['max_ms']:.0f} ms ({latency['alerts']} alerts; through broker and supervisor)",
        ]
    return "\n".join([*lines, "", *_verdict(result)])


def _screen(result: dict[str, Any]) -> list[str]:
    """A pair is timed with synthetic entries, which its screen finds possible for nobody."""
    name = result.get("screen")
    return [f"screen {name}; of a list of people it passes on some 7 in 100 strangers"] if name else []


def _row(name: str, ours: Any, theirs: Any) -> str:
    return f"{name:30}{_number(ours):>14}{_number(theirs):>14}"


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def _per_person(naive: dict[str, Any]) -> float | None:
    return round(naive["templates"] / naive["tracks"], 1) if naive["tracks"] else None


def _verdict(result: dict[str, Any]) -> list[str]:
    product, same = result["product"], result["same_frames"]
    wanted = TIMES_EXACT if product["backend"].endswith(":fp32") else TIMES
    rows = []
    if result["ratio"] is not None:
        rows.append(
            (f"{result['ratio']} times the naive loop's frames/s (at least {wanted})", result["ratio"] >= wanted)
        )
    if result["processor_ratio"] is not None:
        used = f"{result['processor_ratio']} times less processor time a frame (at least {wanted})"
        rows.append((used, result["processor_ratio"] >= wanted))
    fair = same["product"]["found"] >= same["naive"]["found"]
    quiet = same["product"]["false_alerts"] <= same["naive"]["false_alerts"]
    rows.append(("no fewer listed people found and no more false alerts", fair and quiet))
    rows.append((f"peak memory {product['peak_rss_mb']} MB (under 400)", product["peak_rss_mb"] < 400))
    latency = result.get("latency")
    if latency:
        rows.append((f"p99 frame to hub {latency['p99_ms']:.0f} ms (under 300)", latency["p99_ms"] < 300))
    return [f"{'yes' if held else 'NO ':4} {text}" for text, held in rows]
