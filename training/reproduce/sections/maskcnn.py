"""Paper 1, tables 1 and 2 and figures 5 and 6."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from training.reproduce.figures import Line, Picture, Plot, line_plots
from training.reproduce.plan import PRUNING_METHODS
from training.reproduce.published import STRUCTURED, UNSTRUCTURED, Pruned
from training.reproduce.results import Result, read_result
from training.reproduce.sections.section import Section, latencies
from training.reproduce.settings import Settings
from training.reproduce.tables import (
    SPEED,
    Column,
    Row,
    Table,
    count,
    deviation,
    fixed,
    mean,
    percent,
    speed_of,
)

TITLES = {
    "unstructured": "Table 1: L1 unstructured pruning",
    "input-channels": "Table 2: L1 structured pruning, input channels (the authors' code)",
    "output-channels": "Table 2: L1 structured pruning, output channels (the paper's text)",
}
KEYS = {"unstructured": "table1", "input-channels": "table2-input", "output-channels": "table2-output"}
LABELS = {
    "unstructured": "single weights",
    "input-channels": "input channels",
    "output-channels": "output channels",
}
COLUMNS = [
    Column("ratio", "ratio", fixed(2)),
    Column("loss", "loss", fixed()),
    Column("accuracy", "accuracy %", percent(2)),
    Column("accuracy_spread", "±", percent(2)),
    Column("macro_f1", "macro F1 %", percent(1)),
    Column("paper_loss", "loss", fixed(), theirs=True),
    Column("paper_accuracy", "accuracy %", percent(2), theirs=True),
    Column("zeros", "zeros %", percent(1)),
    Column("weights_left", "weights the engine has", count),
    *SPEED,
]


def build(settings: Settings, folder: Path) -> Section:
    """The section from the results in ``folder``."""
    results = [
        read_result(path) for path in sorted((folder / "maskcnn").glob("*-channels-*.json"))
    ] + [read_result(path) for path in sorted((folder / "maskcnn").glob("unstructured-*.json"))]  # fmt: skip
    measured = latencies(folder, "maskcnn")
    rows = {method: _rows(settings, method, results, measured) for method in PRUNING_METHODS}
    trained = [read_result(folder / "maskcnn" / f"training-{seed}.json") for seed in settings.maskcnn.seeds]
    tables = [
        Table(
            KEYS[method],
            TITLES[method],
            COLUMNS,
            rows[method],
            _caption(settings, results, method),
        )
        for method in PRUNING_METHODS
    ]
    return Section(
        "maskcnn",
        "One-shot pruning of MaskCNN",
        "Each layer loses the same share, at once, and nothing is trained afterwards.",
        _findings(rows),
        tables,
        [_accuracy(rows), _loss(rows), _latency(rows), _training(trained)],
    )


def _rows(
    settings: Settings, method: str, results: list[Result], measured: Mapping[str, Result]
) -> list[Row]:
    paper: Mapping[float, Pruned] = UNSTRUCTURED if method == "unstructured" else STRUCTURED
    rows: list[Row] = []
    for ratio in sorted({0.0, *settings.maskcnn.ratios}):
        found = [
            r
            for r in results
            if r["ratio"] == ratio
            and r["seed"] in settings.maskcnn.seeds
            and (ratio == 0 or r["method"] == method)
        ]
        theirs = paper.get(ratio)
        accuracies = [r["accuracy"] for r in found]
        file = f"{method if ratio else 'unstructured'}-{ratio}-{settings.maskcnn.seeds[0]}"
        rows.append(
            {
                "ratio": ratio,
                "loss": mean([r["loss"] for r in found]),
                "accuracy": mean(accuracies),
                "accuracy_spread": deviation(accuracies),
                "macro_f1": mean([r["macro_f1"] for r in found]),
                "paper_loss": theirs.loss if theirs else None,
                "paper_accuracy": theirs.accuracy if theirs else None,
                "zeros": mean([r["sparsity"] for r in found]),
                "weights_left": found[0]["nnz"],
                "bytes": found[0]["bytes"],
                **speed_of(measured.get(file)),
            }
        )
    return rows


def _caption(settings: Settings, results: list[Result], method: str) -> str:
    asked = settings.maskcnn
    seeds = f"{len(asked.seeds)} seeds, ± their standard deviation" if len(asked.seeds) > 1 else "one seed"
    text = (
        f"MaskCNN at 124 × 124, epochs of training: {asked.epochs}, tested on {results[0]['images']} images by "
        f"the engine that loads the very file whose bytes are given (float32); {seeds}. Grey: the paper."
    )
    if method == "input-channels":
        text += (
            " The first layer's input channels are red, green and blue: at a ratio of 0.2 each convolution loses "
            "a fifth of them, rounded, so one colour goes."
        )
    if method == "output-channels":
        text += " The last layer's output channels are the two classes; one of them goes at ratios above a quarter."
    return text


def _findings(rows: Mapping[str, list[Row]]) -> list[str]:
    found = []
    for method, table in rows.items():
        whole = table[0]["accuracy"]
        kept = [row for row in table if row["accuracy"] >= whole - 0.01]
        best = max(kept, key=lambda row: row["ratio"])
        speedup = best.get("speedup_whole")
        timed = "" if speedup is None else f", {speedup:.2f}× as fast as unpruned"
        found.append(
            f"Pruning {LABELS[method]}, {best['ratio']:.0%} is the most that costs at most one point of accuracy "
            f"({whole:.1%} to {best['accuracy']:.1%}){timed}."
        )
    return found


def _lines(rows: Mapping[str, list[Row]], key: str) -> list[Line]:
    return [
        Line(LABELS[method], [row["ratio"] for row in table], [row[key] for row in table])
        for method, table in rows.items()
    ]


def _theirs(field: str) -> list[Line]:
    return [
        Line(label, list(paper), [getattr(row, field) for row in paper.values()], theirs=True)
        for label, paper in (("paper, unstructured", UNSTRUCTURED), ("paper, structured", STRUCTURED))
    ]


def _accuracy(rows: Mapping[str, list[Row]]) -> Picture:
    lines = [*_lines(rows, "accuracy"), *_theirs("accuracy")]
    plot = Plot(lines, "pruning ratio", "test accuracy", percent_x=True, percent_y=True)
    caption = "Test accuracy against the pruning ratio: figure 5 of the paper."
    return line_plots("maskcnn-accuracy", caption, [plot])


def _loss(rows: Mapping[str, list[Row]]) -> Picture:
    plot = Plot([*_lines(rows, "loss"), *_theirs("loss")], "pruning ratio", "test loss", percent_x=True)
    return line_plots(
        "maskcnn-loss", "Test loss against the pruning ratio: figure 6 of the paper.", [plot]
    )  # fmt: skip


def _latency(rows: Mapping[str, list[Row]]) -> Picture:
    lines, table = _lines(rows, "sparse_ms"), rows["unstructured"]
    ratios = [row["ratio"] for row in table]
    lines.append(Line("single weights, dense kernels", ratios, [row["dense_ms"] for row in table]))
    plot = Plot(lines, "pruning ratio", "ms per image", percent_x=True)
    caption = "Milliseconds per image in the engine, which the paper does not measure."
    return line_plots("maskcnn-latency", caption, [plot])


def _training(trained: list[Result]) -> Picture:
    lines = [
        Line(
            f"seed {one['seed']}", [e["epoch"] for e in one["epochs"]], [e["train_loss"] for e in one["epochs"]]
        )
        for one in trained
    ]  # fmt: skip
    plot = Plot(lines, "epoch", "training loss", whole_x=True)
    return line_plots("maskcnn-training", "Training loss of MaskCNN, mean of each epoch.", [plot])
