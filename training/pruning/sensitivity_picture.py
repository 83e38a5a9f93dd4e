"""The sensitivity of a network's layers as a picture: layers down, zeros across, errors and milliseconds as shades."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from converters.pruning.sensitivity import Sensitivity

#: Shares of changed outputs between which shades differ.
LEAST, MOST = 1e-4, 1.0
#: From here on a shade is dark.
_DARK = 0.1
_ROW_INCHES, _COLUMN_INCHES = 0.24, 0.56


def draw(found: Sensitivity, kind: str) -> bytes:
    """One panel of what the outputs change by and, if this machine was measured, one of milliseconds.

    Args:
        found: of a network.
        kind: of file: png, svg or pdf.
    """
    layers = found.layers
    levels = [f"{point.sparsity:.4g}" for point in layers[0].points]
    changes = np.array([[point.change for point in layer.points] for layer in layers])
    width = 2.2 + _COLUMN_INCHES * (2 * len(levels) + 1)
    figure = Figure(figsize=(max(width, 5.0), 1.5 + _ROW_INCHES * len(layers)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[len(levels), len(levels) + 1])
    shades = LogNorm(LEAST, MOST, clip=True)
    _panel(left, np.maximum(changes, LEAST), shades, "YlOrRd", levels)
    _numbers(left, 100 * changes, changes > _DARK)
    left.set_title("outputs changed by, %", fontsize=9)
    left.set_yticks(range(len(layers)), [layer.layer for layer in layers])
    times = np.array([[layer.dense_ms, *(point.ms for point in layer.points)] for layer in layers])
    _panel(right, times, Normalize(0, max(times.max(), 1e-9)), "Blues", ["as it is", *levels])
    _numbers(right, times, times > 0.6 * times.max())
    right.set_title("milliseconds", fontsize=9)
    figure.suptitle(f"{found.network}: each layer pruned alone, {found.samples:,} samples", fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=130)
    return buffer.getvalue()


def _panel(axis: Axes, values: np.ndarray, shades: Normalize, colours: str, titles: list[str]) -> None:
    axis.imshow(values, norm=shades, cmap=colours, aspect="auto")
    axis.set_xticks(range(len(titles)), titles)
    axis.set_xlabel("zeros", fontsize=8)
    axis.tick_params(length=0, labelsize=7)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _numbers(axis: Axes, values: np.ndarray, dark: np.ndarray) -> None:
    """Write a number on each field, white where the field is dark."""
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if dark[row, column] else "#1f2933"
        axis.text(column, row, _short(value), ha="center", va="center", fontsize=6.5, color=colour)


def _short(value: float) -> str:
    """Two digits that count, and no exponent."""
    if value >= 10:
        return f"{value:,.0f}"
    return "0" if value < 5e-4 else f"{value:.2g}"
