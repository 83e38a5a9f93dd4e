"""Macro F1 against milliseconds: every way to a faster network, in float32 and in int8."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from training.reproduce.at_once import WAYS
from training.reproduce.comparison import METHODS
from training.reproduce.figures import COLOURS, Picture, draw
from training.reproduce.plan import NARROW, TRADEOFF_FORMS, Plan, pruned_from, ways
from training.reproduce.results import Result, read_result
from training.reproduce.sections.section import Section, latencies
from training.reproduce.settings import Settings
from training.reproduce.tables import Column, Row, Table, count, fixed, mean, percent, times

TITLES = {"dense": "dense"} | WAYS | {name: method.title for name, method in METHODS.items()}
FORMS = {"f32": "float32", "int8": "int8"}
COLUMNS = [
    Column("method", "method"),
    Column("amount", "asked for"),
    Column("form", "computed in"),
    Column("zeros", "zeros %", percent()),
    Column("ms", "ms", fixed()),
    Column("speedup_whole", "vs dense", times),
    Column("macro_f1", "macro F1 %", percent()),
    Column("lowest", "lowest", percent()),
    Column("highest", "highest", percent()),
    Column("accuracy", "accuracy %", percent()),
    Column("bytes", "file bytes", count),
    Column("epochs", "epochs trained"),
    Column("seeds", "seeds"),
]
EQUAL = [
    Column("speedup", "times as fast"),
    Column("method", "zeros spread"),
    Column("zeros", "zeros %", percent()),
    Column("ms", "ms", fixed()),
    Column("macro_f1", "macro F1 %", percent()),
    Column("lowest", "lowest", percent()),
    Column("highest", "highest", percent()),
    Column("behind", "points behind by time", fixed(1)),
]


def build(settings: Settings, folder: Path) -> Section:
    """The section from the results in ``folder``."""
    asked = settings.tradeoff
    seeds = asked.training.seeds
    measured = {name: row for seed in seeds for name, row in latencies(folder, f"tradeoff-{seed}").items()}
    rows = [
        _row(folder, measured, way, amount, form, seeds, pruned_from(asked, way))
        for way, amount in ways(asked)
        for form in TRADEOFF_FORMS
    ]
    equal = _equal(rows) if len(asked.at_once) > 1 else []
    images = read_result(folder / "tradeoff" / f"{Plan(settings).tradeoff_names()[0]}.json")["images"]
    caption = (
        f"{asked.training.model} at {asked.training.size} × {asked.training.size}; tested on {images} images by the "
        "engine; means over seeds, with the lowest and the highest. Dense: multiples of the width of all layers, "
        "trained alike. At once: the dense network pruned to so many times its speed, from "
        f"{asked.samples} images without labels, and not trained again; narrower: of {asked.narrow} of the width, to "
        "so many times its own speed. All else has so many zeros. Int8: quantized "
        f"after all training, ranges from {asked.samples} images. Times: by shares of the dense network's in equal "
        "rounds."
    )
    tables = [Table("tradeoff", "Quality and speed", COLUMNS, rows, caption)]
    if equal:
        tables.append(
            Table("tradeoff-equal", "Zeros spread in three ways, at equal milliseconds", EQUAL, equal)
        )
    return Section(
        "tradeoff",
        "Macro F1 against milliseconds",
        "The same training images and seeds: narrower dense networks, one network made sparse in every way, and all of "
        "them in 8 bits.",
        _findings(rows),
        tables,
        [_picture(rows)],
    )


def _row(
    folder: Path,
    measured: dict[str, Result],
    way: str,
    amount: float,
    form: str,
    seeds: Sequence[int],
    dense: str,
) -> Row:
    names = [f"{way}-{amount}-{seed}" for seed in seeds]
    found = [read_result(folder / "tradeoff" / f"{name}.json") for name in names]
    weights = read_result(folder / "tradeoff" / f"{dense}-{seeds[0]}.json")["weights"]
    figures = [result["int8"] if form == "int8" else result for result in found]
    taken = [measured[f"{name}-{form}"] for name in names]
    share = float(np.median([one["sparse_ms"] / one["whole_ms"] for one in taken]))
    quality = [one["macro_f1"] for one in figures]
    return {
        "way": way,
        "method": TITLES[way],
        "amount": f"{amount:.0%}" if way in METHODS else f"×{amount:g}",
        "form": FORMS[form],
        "zeros": 0.0 if way == "dense" else mean([1 - one["nnz"] / weights for one in found]),
        "seeds": len(seeds),
        "macro_f1": mean(quality),
        "each": quality,
        "lowest": min(quality),
        "highest": max(quality),
        "accuracy": mean([one["accuracy"] for one in figures]),
        "epochs": found[0]["epochs"],
        "bytes": round(mean([one["bytes"] for one in figures])),
        "ms": share * float(np.median([one["whole_ms"] for one in measured.values()])),
        "speedup_whole": 1 / share,
    }


def _equal(rows: Sequence[Row]) -> list[Row]:
    """Networks pruned at once, float32, by speed; each spread beside that by time, seed by seed."""
    at_once = [row for row in rows if row["way"] in {*WAYS} - {NARROW} and row["form"] == FORMS["f32"]]
    by_time = {row["amount"]: row for row in at_once if row["way"] == "at-once"}
    found: list[Row] = []
    for row in sorted(at_once, key=lambda row: float(row["amount"][1:])):
        best = by_time.get(row["amount"])
        behind = None
        if best is not None and best is not row:
            behind = 100 * mean([a - b for a, b in zip(best["each"], row["each"], strict=True)])
        found.append({**row, "speedup": row["amount"], "behind": behind})
    return found


def _findings(rows: Sequence[Row]) -> list[str]:
    """What nothing else beats in both, from the fastest on."""
    best: list[Row] = []
    for row in sorted(rows, key=lambda row: (row["ms"], -row["macro_f1"])):
        if not best or row["macro_f1"] > best[-1]["macro_f1"]:
            best.append(row)
    told = "; ".join(
        f"{row['ms']:.3f} ms, macro F1 {row['macro_f1']:.1%}: {row['method']} {row['amount']}, {row['form']}"
        for row in best
    )
    return [f"Nothing is both faster and better than these: {told}."]


def _picture(rows: Sequence[Row]) -> Picture:
    methods = list(dict.fromkeys(row["way"] for row in rows))

    def paint(axes: list[Axes]) -> None:
        (axis,) = axes
        shapes = zip(cycle((*COLOURS, "#8c564b", "#6a3d9a")), cycle("os^vDPX*h<"), strict=False)
        handles = []
        for method in methods:
            colour, marker = ("#1f2933", "s") if method == "dense" else next(shapes)
            for form in FORMS.values():
                own = sorted(
                    (r for r in rows if r["way"] == method and r["form"] == form), key=lambda r: r["ms"]
                )
                middle = np.array([r["macro_f1"] for r in own])
                ends = np.array([[r["lowest"] for r in own], [r["highest"] for r in own]])
                axis.errorbar(
                    [r["ms"] for r in own], middle, np.abs(ends - middle), color=colour, marker=marker,
                    markerfacecolor=colour if form == FORMS["f32"] else "white", markersize=6, elinewidth=0.8,
                    linewidth=1.6 if method == "dense" else 0.8, linestyle="-" if form == FORMS["f32"] else ":",
                )  # fmt: skip
            handles.append(
                Line2D(
                    [],
                    [],
                    color=colour,
                    marker=marker,
                    markersize=6,
                    linestyle="-",
                    label="dense, of several widths" if method == "dense" else TITLES[method],
                )
            )
        for form, face in zip(FORMS.values(), ("#52606d", "white"), strict=True):
            handles.append(
                Line2D([], [], color="#52606d", marker="o", markerfacecolor=face, markersize=6, linestyle="",
                       label=f"{'filled' if form == FORMS['f32'] else 'hollow'}: {form}")
            )  # fmt: skip
        axis.set_xscale("log")
        axis.set_xticks([t for t in _TICKS if _within(t, [r["ms"] for r in rows])])
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        # What is left to be right about is spread, as most of the ways lie within a few points of each other.
        axis.set_yscale("logit")
        axis.set_yticks([t for t in _QUALITIES if _within(t, [r["lowest"] for r in rows] + [0.97])])
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set(xlabel="ms per image, one thread (log)", ylabel="macro F1 (logit)")
        axis.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.45, -0.12),
            ncols=1,
            fontsize=9,
            labelspacing=0.3,
        )

    return Picture(
        "tradeoff",
        "Macro F1 against milliseconds: mean, lowest and highest of the seeds; a line joins the amounts of one way.",
        draw(5, 6.4, 1, paint),
    )


_QUALITIES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97)
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)


def _within(tick: float, values: Sequence[float]) -> bool:
    return min(values) / 1.2 <= tick <= max(values) * 1.2
