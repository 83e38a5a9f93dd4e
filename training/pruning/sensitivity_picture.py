"""The sensitivity of a network's layers as a picture: layers down, zeros across, shades of errors, then of ms."""

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
#: So narrow that a phone shows the numbers in eight pixels, with the usual seven sparsities.
_ROW_INCHES, _COLUMN_INCHES, _NAMES_INCHES = 0.24, 0.44, 1.3


def draw(found: Sensitivity, kind: str) -> bytes:
    """One panel of what the outputs change by and, if this machine was measured, one of milliseconds.

    Args:
        found: of a network.
        kind: of file: png, svg or pdf.
    """
    layers = found.layers
    levels = [f"{point.sparsity:.4g}" for point in layers[0].points]
    changes = np.array([[point.change for point in layer.points] for layer in layers])
    width = _NAMES_INCHES + _COLUMN_INCHES * (len(levels) + 1)
    figure = Figure(figsize=(max(width, 4.4), 1.8 + 2 * _ROW_INCHES * len(layers)), layout="constrained")
    upper, lower = figure.subplots(2, 1)
    shades = LogNorm(LEAST, MOST, clip=True)
    _panel(upper, np.maximum(changes, LEAST), shades, "YlOrRd", levels)
    _numbers(upper, 100 * changes, changes > _DARK)
    upper.set_title("outputs changed by, %", fontsize=9)
    times = np.array([[layer.dense_ms, *(point.ms for point in layer.points)] for layer in layers])
    _panel(lower, times, Normalize(0, max(times.max(), 1e-9)), "Blues", ["as it is", *levels])
    _numbers(lower, times, times > 0.6 * times.max())
    lower.set_title("milliseconds", fontsize=9)
    for axis in (upper, lower):
        axis.set_yticks(range(len(layers)), [_shortened(layer.layer) for layer in layers])
    figure.suptitle(f"{found.network}: each layer pruned alone,\n{found.samples:,} samples", fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=130)
    return buffer.getvalue()


def _panel(axis: Axes, values: np.ndarray, shades: Normalize, colours: str, titles: list[str]) -> None:
    axis.imshow(values, norm=shades, cmap=colours, aspect="auto")
    axis.set_xticks(range(len(titles)), titles)
    axis.set_xlabel("zeros", fontsize=8)
    axis.tick_params(length=0, labelsize=8)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _numbers(axis: Axes, values: np.ndarray, dark: np.ndarray) -> None:
    """Write a number on each field, white where the field is dark."""
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if dark[row, column] else "#1f2933"
        axis.text(column, row, _short(value), ha="center", va="center", fontsize=8, color=colour)


def _shortened(name: str) -> str:
    """A long name without its middle."""
    return name if len(name) <= 21 else f"{name[:10]}…{name[-10:]}"


def _short(value: float) -> str:
    """Two digits that count, and no exponent."""
    if value >= 10:
        return f"{value:,.0f}"
    return "0" if value < 5e-4 else f"{value:.2g}"
