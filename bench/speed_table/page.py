"""Every network, baseline and sparsity of several runs, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.engines import LABELS
from bench.measure.output import markdown_table
from bench.speed_table.runs import Runs


def means(runs: Runs) -> str:
    """A row per baseline: geometric means over the networks on which all its ratios are known."""
    rows = []
    for engine in runs.baselines:
        whole = [m for m in runs.models if all(runs.told(m, s, engine) for s in runs.sparsities)]
        ratios = [[runs.cells[m, s, engine]["ratio"] for m in whole] for s in runs.sparsities]
        label = (
            LABELS[engine] if len(whole) == len(runs.models) else f"{LABELS[engine]}, {len(whole)} of them"
        )
        rows.append([label, *(f"{np.exp(np.mean(np.log(r))):.2f}×" if r else "–" for r in ratios)])
    return markdown_table(
        [f"times as fast as ({len(runs.models)} networks)", *map(_percent, runs.sparsities)], rows
    )


def every(runs: Runs) -> str:
    """Milliseconds of ours and ratio to each baseline, a block of rows per network."""
    rows = []
    for model in runs.models:
        for engine in ("ours", *runs.baselines):
            cells = [runs.cells.get((model, sparsity, engine)) for sparsity in runs.sparsities]
            if not any(cells):
                continue
            rows.append([f"**{model}**" if engine == "ours" else LABELS[engine], *map(_cell, cells)])
    return markdown_table(["", *map(_percent, runs.sparsities)], rows)


def _cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return "–"
    if result["engine"] == "ours":
        return f"**{result['median_ms']:.3g} ms**"
    if result["ratio"] is None:
        return "too noisy"
    return f"{result['ratio']:.3g}×" if result["ratio"] >= 10 else f"{result['ratio']:.2f}×"


def _percent(sparsity: float) -> str:
    return f"{sparsity:.0%}".replace("%", " %")


def page(all_runs: Sequence[Runs]) -> str:
    """The means of all runs, then every cell, folded away."""
    parts = []
    for runs in all_runs:
        parts += [f"**{_threads(runs)}**", means(runs)]
    for runs in all_runs:
        summary = f"<summary>Every network, {_threads(runs)}</summary>"
        parts += [f"<details>{summary}", every(runs)]
        if widths := runs.widths():
            parts.append(
                f"95 % intervals of a ratio reach ±{np.median(widths):.1%} around it (median over all cells; "
                f"nine of ten: below ±{np.quantile(widths, 0.9):.1%})."
            )
        parts.append("</details>")
    return "\n\n".join(parts)


def _threads(runs: Runs) -> str:
    return "one thread" if runs.threads == 1 else f"{runs.threads} threads"
