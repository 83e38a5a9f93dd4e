"""How windows read maps in place: the zeros around them, where the taps of a window are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.targets.cuda.builder import Builder, Value
from sparsenet.targets.cuda.layout import Maps
from sparsenet.targets.cuda.lower.relayout import padded_copy


def padded_input(builder: Builder, conv: Convolution) -> Value:
    """The input, or a copy of it, with as many zeros around it as the windows reach."""
    above, below, columns = conv.geometry.halo
    x, rows = builder.get(conv.x), max(above, below)
    if x.maps.rows >= rows and x.maps.columns >= columns:
        return x
    old = x.maps
    return padded_copy(builder, x, Maps(old.channels, old.height, old.width, old.images, rows, columns))


def tap_offsets(conv: Convolution, layout: Maps) -> npt.NDArray[np.int64]:
    """(groups, taps): where each tap of the window of output pixel (0, 0) is, from pixel (0, 0) of channel 0 on."""
    per_group, geometry = conv.weight.shape[1], conv.geometry
    channel = np.arange(conv.groups * per_group).reshape(conv.groups, per_group, 1, 1) * layout.pitch
    row, column = (np.arange(geometry.kernel[i]) * geometry.dilation[i] - geometry.before[i] for i in (0, 1))
    offsets = channel + row[:, None] * layout.line + column
    return np.asarray(offsets.reshape(conv.groups, -1), np.int64)
