"""The sparsity-accuracy curve of a lottery as a table, as JSON and as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sparsenet.errors import CheckpointError
from sparsenet.io.files import write_atomically
from sparsenet.text.table import to_json
from training.pruning.lottery_ticket import DENSE, TICKET, LevelRecord

#: Okabe and Ito's palette, told apart by colour-blind readers too.
COLOURS = {TICKET: "#0072B2", "shuffled": "#D55E00", "reinitialised": "#009E73"}
LABELS = {
    TICKET: "lottery ticket",
    "shuffled": "random ticket (same density per layer)",
    "reinitialised": "same masks, new random weights",
}


def save_curve(records: Sequence[LevelRecord], folder: Path, metric: str = "accuracy") -> list[Path]:
    """Write curve.csv, curve.json and curve.png, the picture showing ``metric``; equal records, equal bytes.

    Raises:
        CheckpointError: the folder cannot be written to.
    """
    files = {
        "curve.csv": _csv(records).encode(),
        "curve.json": to_json([asdict(record) for record in records]).encode(),
        "curve.png": _png(records, metric),
    }
    for name, data in files.items():
        try:
            write_atomically(folder / name, data)
        except OSError as error:
            raise CheckpointError(f"cannot write {folder / name}: {error.strerror}") from None
    return [folder / name for name in files]


def row(record: LevelRecord) -> dict[str, str | int | float]:
    """A record as one line of a table."""
    return {
        "level": record.level,
        "network": record.network,
        "sparsity": record.sparsity,
        "density": 1 - record.sparsity,
        "kept": record.kept,
        "total": record.total,
        **record.metrics,
    }


def _csv(records: Sequence[LevelRecord]) -> str:
    text = io.StringIO()
    rows = [row(record) for record in records]
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _png(records: Sequence[LevelRecord], metric: str) -> bytes:
    figure = Figure(figsize=(5.2, 4.0), layout="constrained", dpi=150)
    axes = figure.subplots()
    dense = records[0].metrics[metric]
    axes.axhline(dense, color="#52606d", linewidth=1, linestyle="--", label="dense network")
    for network in dict.fromkeys(record.network for record in records[1:]):
        points = [r for r in records if r.network in (DENSE, network)]
        axes.plot(
            [r.sparsity for r in points],
            [r.metrics[metric] for r in points],
            color=COLOURS[network],
            marker="o",
            markersize=4,
            label=LABELS[network],
        )
    axes.set_xlabel("zeros among the weights that may be pruned")
    axes.set_ylabel(f"{metric.replace('_', ' ')} on test images")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.grid(color="#e8ecf0")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside upper center", ncols=2, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
