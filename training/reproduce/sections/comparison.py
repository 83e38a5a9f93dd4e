"""SNIP beside random, magnitude, lottery tickets and sparse training: accuracy and milliseconds at equal budgets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from training.reproduce.comparison import METHODS
from training.reproduce.figures import COLOURS, Picture, draw
from training.reproduce.results import Result, read_result
from training.reproduce.sections.section import Section, latencies
from training.reproduce.settings import Settings
from training.reproduce.tables import (
    Column,
    Row,
    Table,
    count,
    deviation,
    fixed,
    mean,
    median_told,
    percent,
    times,
)

COLUMNS = [
    Column("method", "method"),
    Column("zeros", "zeros %", percent()),
    Column("seeds", "seeds"),
    Column("accuracy", "accuracy %", percent()),
    Column("accuracy_spread", "±", percent()),
    Column("macro_f1", "macro F1 %", percent()),
    Column("macro_f1_spread", "±", percent()),
    Column("epochs", "epochs trained"),
    Column("macs", "multiply-adds left %", percent()),
    Column("bytes", "file bytes", count),
    Column("dense_ms", "dense, ms", fixed()),
    Column("sparse_ms", "sparse, ms", fixed()),
    Column("speedup", "sparse vs dense", times),
    Column("speedup_whole", "vs unpruned", times),
]
TITLES = {"dense": "unpruned"} | {name: method.title for name, method in METHODS.items()}


def build(settings: Settings, folder: Path) -> Section:
    """The section from the results in ``folder``."""
    asked = settings.comparison
    measured = latencies(folder, "comparison")
    rows = [_row(folder, measured, "dense", 0.0, asked.seeds)]
    rows += [
        _row(folder, measured, method, sparsity, asked.seeds)
        for sparsity in asked.sparsities
        for method in asked.methods
    ]
    images = read_result(folder / "comparison" / f"dense-0.0-{asked.seeds[0]}.json")["images"]
    caption = (
        f"{asked.model} at {asked.size} × {asked.size}, {len(asked.seeds)} seeds, ± their standard deviation; tested "
        f"on {images} images by the engine. Every row of one budget has the same number of weights; depthwise "
        "convolutions and the first one stay whole. Random and SNIP prune the initial weights, choosing over all "
        "layers together; magnitude takes the same share of each layer of the trained network and fine-tunes it; a "
        "lottery ticket is pruned so in levels and trained from the initial weights again on each; RigL and SET start "
        "with random weights, more of small layers (Erdős-Rényi-Kernel), and trade some for others while they train. "
        "Epochs count all of it; multiply-adds are those left of the unpruned network's."
    )
    return Section(
        "comparison",
        "SNIP, random, magnitude, lottery tickets and sparse training",
        "The same network, initial weights, images and budgets; what differs is which weights stay, and how long it "
        "took to know.",
        _findings(rows),
        [Table("comparison", "At equal budgets", COLUMNS, rows, caption)],
        [_picture(rows, asked.methods)],
    )


def _row(
    folder: Path, measured: dict[str, Result], method: str, sparsity: float, seeds: Sequence[int]
) -> Row:
    found = [read_result(folder / "comparison" / f"{method}-{sparsity}-{seed}.json") for seed in seeds]
    dense = [read_result(folder / "comparison" / f"dense-0.0-{seed}.json") for seed in seeds]
    times_of = [measured[result["file"]] for result in found]
    return {
        "method": TITLES[method],
        "zeros": sparsity,
        "seeds": len(found),
        "accuracy": mean([r["accuracy"] for r in found]),
        "accuracy_spread": deviation([r["accuracy"] for r in found]),
        "macro_f1": mean([r["macro_f1"] for r in found]),
        "macro_f1_spread": deviation([r["macro_f1"] for r in found]),
        "epochs": found[0]["epochs"],
        "macs": mean([r["nonzero_macs"] / whole["macs"] for r, whole in zip(found, dense, strict=True)]),
        "bytes": round(mean([r["bytes"] for r in found])),
        "dense_ms": float(np.median([t["dense_ms"] for t in times_of])),
        "sparse_ms": float(np.median([t["sparse_ms"] for t in times_of])),
        "speedup": median_told([t["against_dense"][0] for t in times_of]),
        "speedup_whole": median_told([t["against_whole"][0] for t in times_of]),
    }


def _findings(rows: Sequence[Row]) -> list[str]:
    whole, pruned = rows[0], rows[1:]
    found = [f"Unpruned: macro F1 {_pm(whole)}, {whole['sparse_ms']:.2f} ms."]
    for zeros in dict.fromkeys(row["zeros"] for row in pruned):
        ranked = sorted((r for r in pruned if r["zeros"] == zeros), key=lambda r: -r["macro_f1"])
        order = ", ".join(
            f"{r['method']} {_pm(r)} ({_as_fast(r['speedup_whole'])} as unpruned)" for r in ranked
        )
        found.append(f"At {zeros:.0%} zeros, by macro F1: {order}.")
    return found


def _as_fast(ratio: float | None) -> str:
    return "too noisy to tell how fast" if ratio is None else f"{ratio:.2f}× as fast"


def _pm(row: Row) -> str:
    spread = row["macro_f1_spread"]
    return f"{row['macro_f1']:.1%}" + (f" ± {spread * 100:.1f}" if spread is not None else "")


def _picture(rows: Sequence[Row], methods: Sequence[str]) -> Picture:
    whole, pruned = rows[0], rows[1:]

    def paint(axes: list[Axes]) -> None:
        for axis, key, label in zip(
            axes, ("accuracy", "macro_f1"), ("accuracy %", "macro F1 %"), strict=True
        ):
            axis.errorbar(
                [whole["sparse_ms"]], [whole[key] * 100], [(whole[f"{key}_spread"] or 0) * 100],
                marker="D", color="#1f2933", capsize=3, linestyle="", label="unpruned",
            )  # fmt: skip
            for (marker, colour), method in zip(product("os^", COLOURS), methods, strict=False):
                own = [r for r in pruned if r["method"] == TITLES[method]]
                axis.errorbar(
                    [r["sparse_ms"] for r in own], [r[key] * 100 for r in own],
                    [(r[f"{key}_spread"] or 0) * 100 for r in own],
                    marker=marker, capsize=3, color=colour, label=TITLES[method],
                )  # fmt: skip
            for zeros in dict.fromkeys(row["zeros"] for row in rows):
                _mark(axis, zeros, [row["sparse_ms"] for row in rows if row["zeros"] == zeros])
            axis.set(xscale="log", xlabel="ms per image, sparse engine (logarithmic)", ylabel=label)
            for side in (axis.xaxis.set_major_formatter, axis.xaxis.set_minor_formatter):
                side(FuncFormatter(lambda v, _: f"{v:g}" if f"{v:e}"[0] in "125" else ""))
        handles, labels = axes[0].get_legend_handles_labels()
        axes[0].figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8)

    return Picture(
        "comparison",
        "Quality against milliseconds: mean and standard deviation over the seeds; a line joins one method's budgets, "
        "whose share of zeros stands above.",
        draw(4.8, 6.6, 1, paint, rows=2),
    )


def _mark(axis: Axes, zeros: float, ms: Sequence[float]) -> None:
    """Shade the milliseconds of one budget, and write its share of zeros above."""
    axis.axvspan(min(ms) / 1.03, max(ms) * 1.03, color="#f3f5f8", zorder=0)
    axis.annotate(
        f"{zeros:.0%}", (float(np.sqrt(min(ms) * max(ms))), 1), xycoords=("data", "axes fraction"),
        textcoords="offset points", xytext=(0, 2), ha="center", fontsize=7.5, color="#52606d",
    )  # fmt: skip
