"""The rows of a detector's sweep, and the table they make: CSV for people and spreadsheets, JSON with everything."""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from sparsenet.graph import FloatArray, Graph
from sparsenet.io.files import write_atomically
from sparsenet.text.table import to_json
from training.detection.scoring import SETTINGS


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Row:
    """Figures of a variant; average precisions by the engine unless they say torch.

    Attributes:
        variant: name. scope, sparsity: as asked for.
        prunable, nnz: weights in the prunable layers, and those of them that are left.
        weights, total_nnz: the same of the whole network.
        bytes: of the model file.
        epochs: of fine-tuning.
        test: AP (easy, medium, hard) on the images that neither fine-tuning nor pruning at once sees; on all, where
            there is neither.
        torch: the same in PyTorch, if asked for.
        all: AP on all images; None where some were seen before.
        worst: largest difference of a score between engine and PyTorch, face by face in order of the scores; None if
            PyTorch was not asked.
        latency: None if it was not measured.
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


def weights_of(network: nn.Module | Graph) -> dict[str, FloatArray]:
    """The weights of its convolutions, by name."""
    if isinstance(network, Graph):
        nodes = (node for node in network.nodes if node.op == "conv2d")
        return {node.name: np.asarray(network.constants[node.inputs[1]]) for node in nodes}
    modules = ((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    return {name: module.weight.detach().numpy() for name, module in modules}


def counted(weights: Mapping[str, FloatArray], layers: Container[str] | None = None) -> tuple[int, int]:
    """How many weights there are, in some layers or in all, and how many of them are not zero."""
    some = [array for name, array in weights.items() if layers is None or name in layers]
    return sum(array.size for array in some), sum(int(np.count_nonzero(array)) for array in some)


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
