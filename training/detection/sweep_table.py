"""The rows of a detector's sweep, and the table they make: CSV for people and spreadsheets, JSON with everything."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sparsenet.io.files import write_atomically
from sparsenet.text.table import to_json
from training.detection.scoring import SETTINGS


@dataclass
class Latency:
    """Milliseconds of one image, and how many times faster than the dense detector on dense kernels.

    Medians of undisturbed rounds; milliseconds with their interquartile range, the speed-up with its 95 % interval,
    both None where the machine was too noisy to tell.
    """

    ms: float
    ms_iqr: tuple[float, float]
    speedup: float | None
    speedup_interval: tuple[float, float] | None
    clock: str
    rounds: int
    dropped: int


@dataclass
class Row:
    """Figures of a variant; average precisions by the engine unless they say torch.

    Attributes:
        variant: name. scope, sparsity: as asked for.
        prunable, nnz: weights in the prunable layers, and those of them that are left.
        weights, total_nnz: the same of the whole network.
        bytes: of the model file.
        epochs: of fine-tuning.
        test: AP (easy, medium, hard) on the images that fine-tuning does not see; on all, where there is none.
        torch: the same in PyTorch, if asked for.
        all: AP on all images; None after fine-tuning.
        worst: largest difference of a score between engine and PyTorch, face by face in order of the scores; None if
            PyTorch was not asked.
    """

    variant: str
    scope: str | None
    sparsity: float
    prunable: int
    nnz: int
    weights: int
    total_nnz: int
    bytes: int
    epochs: int
    images: int
    test: list[float]
    torch: list[float] | None
    all: list[float] | None
    worst: float | None
    latency: Latency | None = field(default=None)


def as_columns(row: Row) -> dict[str, Any]:
    """A row as a flat mapping, column → value."""
    flat: dict[str, Any] = {
        "variant": row.variant,
        "sparsity": 1 - row.nnz / row.prunable,
        "whole_network": 1 - row.total_nnz / row.weights,
        "epochs": row.epochs,
        "bytes": row.bytes,
    }
    untested: list[float | None] = [None] * len(SETTINGS)
    for prefix, values in (("", row.test), ("torch_", row.torch or untested), ("all_", row.all or untested)):
        flat |= {prefix + setting: value for setting, value in zip(SETTINGS, values, strict=True)}
    latency = row.latency
    low, high = (latency and latency.speedup_interval) or (None, None)
    return flat | {
        "worst_score": row.worst,
        "ms": latency.ms if latency else None,
        "speedup": latency.speedup if latency else None,
        "speedup_low": low,
        "speedup_high": high,
    }


def write_table(folder: Path, about: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write ``table.csv`` and ``table.json``, the latter with ``about`` beside the rows, into ``folder``."""
    table = [as_columns(row) for row in rows]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(table[0]))
    writer.writeheader()
    writer.writerows(table)
    write_atomically(folder / "table.csv", text.getvalue().encode())
    full = {**about, "rows": [asdict(row) for row in rows]}
    write_atomically(folder / "table.json", to_json(full).encode())
