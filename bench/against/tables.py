"""A comparison for people."""

from __future__ import annotations

from bench.against.compare import FASTEST, Comparison, Result
from bench.engines import label_of
from bench.measure.contest import Settings
from bench.subjects.sparsity import SPARSITY_NOTE
from sparsenet.text.quantities import threads_text
from sparsenet.text.table import render

HEADER = (
    "model", "sparsity", "block", "all zeros", "engine", "median ms", "min ms", "ms/image", "{} is × faster",
    "95 % interval", "error", "same top", "rounds", "dropped",
)  # fmt: skip


def tables(comparison: Comparison, batch: int) -> str:
    """Every result, then geometric means over the models, as aligned text."""
    first = label_of(comparison.first)
    header = [name.format(first) for name in HEADER]
    parts = [render(header, [_row(result, comparison.first, batch) for result in comparison.results])]
    means = comparison.geometric_means()
    if means:
        sparsities = list(dict.fromkeys(s for _, _, s, _ in means))
        of = {(engine, block, s): value for engine, block, s, value in means}
        rows = [
            (
                f"{first} vs {'the fastest of others' if e == FASTEST else label_of(e)}",
                block,
                *(of.get((e, block, s)) for s in sparsities),
            )
            for e, block in dict.fromkeys((e, block) for e, block, _, _ in means)
        ]
        parts.append(render(["geometric mean over models", "block", *(f"{s:.0%}" for s in sparsities)], rows))
    return "\n\n".join(parts)


def notes(comparison: Comparison, settings: Settings) -> str:
    """What the figures mean, and which engines are not among them."""
    lines = [f"{threads_text(settings.threads)}, batch {settings.batch}; {SPARSITY_NOTE}."]
    lines += [f"{label_of(engine)} left out: {note}." for engine, note in comparison.skipped.items()]
    return "\n".join(lines)


def _row(r: Result, first: str, batch: int) -> tuple[object, ...]:
    return (
        r.model, f"{r.sparsity:.0%}", r.block, f"{r.zeros:.1%}", label_of(r.engine), r.median_ms, r.min_ms,
        r.median_ms / batch, *_ratio_cells(r, first), f"{r.error:.0e}",
        None if r.same_top is None else f"{r.same_top:.0%}", r.rounds, r.dropped,
    )  # fmt: skip


def _ratio_cells(result: Result, first: str) -> tuple[float | None, str | None]:
    if result.too_noisy:
        return None, "too noisy to tell"
    if result.engine == first or result.ratio is None or result.ratio_interval is None:
        return None, None
    low, high = result.ratio_interval
    return result.ratio, f"{low:.3g} to {high:.3g}"
