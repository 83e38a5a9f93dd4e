"""Records of networks over time as curves, each of one network on one kind of processor."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from bench.engines import label_of
from bench.model.baseline import Baseline, Cell
from bench.model.results import Result
from sparsenet.text.quantities import threads_text

#: A network's name, what it was measured with, and the processor.
Curve = tuple[str, Cell, str]


def curves(records: Sequence[Baseline]) -> dict[Curve, list[tuple[int, float, float, float]]]:
    """Curve → (number of the record, speed, from, to): how many times as fast as its first record.

    Records are numbered by age; what was too noisy to tell is left out.
    """
    found: dict[Curve, list[tuple[int, float, float, float]]] = {}
    first: dict[Curve, float] = {}
    for number, record in enumerate(sorted(records, key=lambda record: record.when)):
        for cell, row in record.results.items():
            times = _told(row)
            if times is not None:
                key = (record.name, cell, record.versions.get("cpu", "?"))
                base = first.setdefault(key, times[0])
                middle, low, high = (base / time for time in times)
                found.setdefault(key, []).append((number, middle, high, low))
    return found


def draw(records: Sequence[Baseline]) -> bytes:
    """The curves as SVG."""
    ordered = sorted(records, key=lambda record: record.when)
    figure = Figure(figsize=(max(5.2, 1.5 + 0.45 * len(ordered)), 4.2), layout="constrained")
    axis = figure.subplots()
    for (name, cell, cpu), points in curves(records).items():
        numbers, speeds, lows, highs = (list(values) for values in zip(*points, strict=True))
        (line,) = axis.plot(numbers, speeds, "o-", markersize=4, label=f"{name}, {_label(cell)}, {cpu}")
        axis.fill_between(numbers, lows, highs, color=line.get_color(), alpha=0.2, linewidth=0)
    axis.axhline(1, color="#9aa5b1", linewidth=1)
    labels = [f"{record.when:%Y-%m-%d}\n{_commit(record)}" for record in ordered]
    axis.set_xticks(range(len(ordered)), labels, rotation=60, ha="right", fontsize=8)
    axis.set_ylabel("times as fast as the first record")
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axis.margins(x=0.08, y=0.12)
    figure.legend(loc="outside upper left", fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _commit(record: Baseline) -> str:
    commit = record.versions.get("commit", "unknown")
    return "" if commit == "unknown" else commit[:9]


def _told(row: Result) -> tuple[float, float, float] | None:
    if row.yardsticks is None or row.yardsticks_low is None or row.yardsticks_high is None:
        return None
    return row.yardsticks, row.yardsticks_low, row.yardsticks_high


def _label(cell: Cell) -> str:
    engine, sparsity, _, threads, batch = cell
    zeros = "as it is" if sparsity is None else f"{sparsity:.0%} zeros"
    return f"{label_of(engine)}, {zeros}, {threads_text(threads)}, batch {batch}"
