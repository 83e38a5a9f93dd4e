"""Every network, baseline and sparsity of several runs, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.engines import ENGINES, label_of
from bench.measure.output import markdown_table
from bench.speed_table.runs import Runs


def means(runs: Runs) -> str:
    """A row per baseline: geometric means over the networks on which all its ratios are known."""
    rows = [_mean(runs, label_of(engine), [engine]) for engine in runs.baselines]
    others = [engine for engine in runs.baselines if not ENGINES[engine].ours]
    if len(others) > 1:
        rows.append(_mean(runs, "the fastest of others", others))
    return markdown_table(
        [f"times as fast as ({len(runs.models)} networks)", *map(_percent, runs.sparsities)], rows
    )


def every(runs: Runs) -> str:
    """Milliseconds of ours and ratio to each baseline, a block of rows per network."""
    rows = []
    for model in runs.models:
        for engine in (runs.first, *runs.baselines):
            cells = [runs.cells.get((model, sparsity, engine)) for sparsity in runs.sparsities]
            if not any(cells):
                continue
            own = engine == runs.first
            rows.append([f"**{model}**" if own else label_of(engine), *(_cell(cell, own) for cell in cells)])
    return markdown_table(["", *map(_percent, runs.sparsities)], rows)


def _mean(runs: Runs, label: str, engines: Sequence[str]) -> list[str]:
    """Against whichever of ``engines`` is fastest on each network, over networks of which all is known."""
    whole = [m for m in runs.models if all(runs.told(m, s, e) for s in runs.sparsities for e in engines)]
    ratios = [[min(runs.cells[m, s, e]["ratio"] for e in engines) for m in whole] for s in runs.sparsities]
    if len(whole) < len(runs.models):
        label = f"{label}, {len(whole)} of them"
    return [label, *(f"{np.exp(np.mean(np.log(r))):.2f}×" if r else "–" for r in ratios)]


def _cell(result: dict[str, Any] | None, own: bool) -> str:
    if result is None:
        return "–"
    if own:
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
        parts += [f"**{_what(runs)}**", means(runs)]
    for runs in all_runs:
        summary = f"<summary>Every network, {_what(runs)}</summary>"
        parts += [f"<details>{summary}", every(runs)]
        if widths := runs.widths():
            parts.append(
                f"95 % intervals of a ratio reach ±{np.median(widths):.1%} around it (median over all cells; "
                f"nine of ten: below ±{np.quantile(widths, 0.9):.1%})."
            )
        parts.append("</details>")
    return "\n\n".join(parts)


def _what(runs: Runs) -> str:
    threads = "one thread" if runs.threads == 1 else f"{runs.threads} threads"
    first = "" if runs.first == "ours" else f"{label_of(runs.first)}, "
    return f"{first}{threads}" + ("" if runs.block == "1x1" else f", zeros in {runs.block} blocks")
