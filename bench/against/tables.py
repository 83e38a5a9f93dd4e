"""A comparison for people."""

from __future__ import annotations

from bench.against.compare import Comparison, Result
from bench.engines import LABELS
from bench.measure.contest import Settings
from bench.subjects.sparsity import SPARSITY_NOTE
from sparsenet.text.table import render

HEADER = (
    "model", "sparsity", "all zeros", "engine", "median ms", "min ms", "ms/image", "ours is × faster",
    "95 % interval", "error", "rounds", "dropped",
)  # fmt: skip


def tables(comparison: Comparison, batch: int) -> str:
    """Every result, then geometric means over the models, as aligned text."""
    parts = [render(HEADER, [_row(result, batch) for result in comparison.results])]
    means = comparison.geometric_means()
    if means:
        sparsities = list(dict.fromkeys(s for _, s, _ in means))
        of = {(engine, s): value for engine, s, value in means}
        by_engine = [
            (f"ours vs {LABELS[e]}", *(of.get((e, s)) for s in sparsities))
            for e in dict.fromkeys(e for e, _, _ in means)
        ]
        parts.append(render(["geometric mean over models", *(f"{s:.0%}" for s in sparsities)], by_engine))
    return "\n\n".join(parts)


def notes(comparison: Comparison, settings: Settings) -> str:
    """What the figures mean, and which engines are not among them."""
    lines = [f"{settings.threads} thread(s), batch {settings.batch}; {SPARSITY_NOTE}."]
    lines += [f"{LABELS[engine]} left out: {note}." for engine, note in comparison.skipped.items()]
    return "\n".join(lines)


def _row(r: Result, batch: int) -> tuple[object, ...]:
    return (
        r.model, f"{r.sparsity:.0%}", f"{r.zeros:.1%}", LABELS[r.engine], r.median_ms, r.min_ms, r.median_ms / batch,
        *_ratio_cells(r), f"{r.error:.0e}", r.rounds, r.dropped,
    )  # fmt: skip


def _ratio_cells(result: Result) -> tuple[float | None, str | None]:
    if result.too_noisy:
        return None, "too noisy to tell"
    if result.engine == "ours" or result.ratio is None or result.ratio_interval is None:
        return None, None
    low, high = result.ratio_interval
    return result.ratio, f"{low:.3g} to {high:.3g}"
