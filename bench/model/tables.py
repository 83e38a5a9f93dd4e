"""The results of ``sparsenet bench`` for people."""

from __future__ import annotations

from collections.abc import Sequence

from bench.engines import label_of
from bench.model.hold import Held, verdict
from bench.model.layers import Layer
from bench.model.results import Result
from sparsenet.text.quantities import at_least, threads_text, time_text
from sparsenet.text.table import render

#: Stands for the name of the first engine's column.
RATIO = "ours is × as fast"
COLUMNS = (
    "sparsity", "zeros", "threads", "batch", "engine", "items/s", "median ms", "mean", "std", "p90", "p99", "min",
    RATIO, "95 % interval", "rounds", "dropped", "prepare", "first", "MB", "error", "same top",
)  # fmt: skip
LAYER_COLUMNS = ("layer", "op", "nnz", "density", "dense ms", "sparse ms", "× faster", "Gop/s", "kernel")
#: What stands below the table, by clock.
COUNTED = {
    "cpu": "Times are processor time: what other processes took of a shared core is not in them. Disturbed rounds are "
    "dropped.",
    "wall": "Times are wall time. Rounds in which a thread had to wait for a CPU are dropped.",
}


def results_table(results: Sequence[Result]) -> str:
    """One line per engine; what a column means stands in docs/benchmark.md."""
    first = results[0].engine if results else ""
    header = [f"{label_of(first)} is × as fast" if name == RATIO else name for name in COLUMNS]
    table = render(header, [_row(result, result.engine == first) for result in results])
    notes = list(dict.fromkeys(COUNTED[result.clock] for result in results))
    if any(result.engine == first and result.yardsticks is None for result in results):
        notes.append("The machine was too noisy for these times to be a --baseline.")
    return "\n\n".join([table, *notes])


def _row(r: Result, first: bool) -> list[object]:
    return [
        _imposed(r), f"{r.zeros:.1%}",
        r.threads, r.batch, label_of(r.engine), r.items_per_second, r.latency_ms_median, r.latency_ms_mean,
        r.latency_ms_std, r.latency_ms_p90, r.latency_ms_p99, r.latency_ms_min,
        *_ratio(r, first), r.rounds, r.dropped,
        time_text(r.prepare_ms / 1e3), time_text(r.first_ms / 1e3), r.memory_mb, f"{r.error:.0e}",
        None if r.same_top is None else f"{r.same_top:.0%}",
    ]  # fmt: skip


def _imposed(r: Result | Held) -> str:
    if r.sparsity is None:
        return "as it is"
    return f"{r.sparsity:.0%}" if r.block == "1x1" else f"{r.sparsity:.0%} in {r.block}"


def _ratio(r: Result, first: bool) -> tuple[float | None, str | None]:
    if first:
        return None, None
    if not r.too_noisy:
        return r.speedup, f"{r.speedup_low:.3g} to {r.speedup_high:.3g}"
    return None, f"noisy: {at_least(r.speedup_at_least)}" if r.speedup_at_least else "too noisy to tell"


def held_table(held: Sequence[Held], least: float) -> str:
    """A line for each row that was held against the baseline, and what comes of it."""
    header = (
        "sparsity",
        "threads",
        "batch",
        "engine",
        "× as fast as the baseline",
        "interval",
        "looks",
        "answer",
    )
    rows = [
        (_imposed(one), one.threads, one.batch, label_of(one.engine), one.speed,
         "-" if one.low is None else f"{one.low:.3g} to {one.high:.3g}", one.looks, one.answer)
        for one in held
    ]  # fmt: skip
    return (
        f"{render(header, rows)}\n\nagainst the baseline, at least {least:g} × as fast: {verdict(held).value}"
    )


def layers_table(layers: Sequence[Layer]) -> str:
    """One table for each sparsity and number of threads."""
    parts = []
    for sparsity, threads in dict.fromkeys((layer.sparsity, layer.threads) for layer in layers):
        own = [layer for layer in layers if (layer.sparsity, layer.threads) == (sparsity, threads)]
        rows = [
            [
                layer.layer, layer.op, layer.nnz or None, layer.density if layer.nnz else None, layer.dense_ms,
                layer.sparse_ms, layer.speedup, layer.gops, layer.kernel,
            ]
            for layer in own
        ]  # fmt: skip
        title = "as it is" if sparsity is None else f"at {sparsity:.0%} zeros"
        parts.append(
            f"layers {title}, {threads_text(threads)}, {_counted(own[0])}\n{render(LAYER_COLUMNS, rows)}"
        )
    return "\n\n".join(parts)


def _counted(layer: Layer) -> str:
    runs = f"{layer.rounds} of {layer.rounds + layer.dropped} runs undisturbed"
    return f"too noisy to tell ({runs})" if layer.too_noisy else runs
