"""Lowering of unfolding windows, of its inverse and of unpooling; shared by both importers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported
from converters.decompose.elementwise import binary, choose, scalar
from converters.decompose.pool_places import LARGEST_INTEGER
from converters.decompose.resampling import picks
from converters.decompose.shapes import image_size, reshape, sizes_of, transpose
from converters.decompose.tensors import LARGEST_MATRIX, gather, pad, times
from converters.decompose.window import Windows


def unfold(b: GraphBuilder, site: Site, x: Act, windows: Windows) -> Act:
    """Windows as columns, (N, C, H, W) → (N, C · K_h · K_w, windows): each column is what one window sees."""
    channels = image_size(b, x) and sizes_of(b, x)[0]
    before, after = windows.padding[:2], windows.padding[2:]
    x = pad(b, site.sub("padded"), x, [0, 0, *before], [0, 0, *after], 0.0)
    for i, part in enumerate(("rows", "columns")):
        places = windows.taps(i)[:, None] + windows.first(i) + windows.padding[i]
        x = gather(b, site.sub(part), x, 2 + i, places.reshape(-1))
    apart = [channels, windows.kernel[0], windows.count[0], windows.kernel[1], windows.count[1]]
    x = reshape(b, site.sub("apart"), x, apart)
    x = transpose(b, site.sub("transposed"), x, [0, 1, 2, 4, 3, 5])
    return reshape(b, site, x, [channels * math.prod(windows.kernel), math.prod(windows.count)])


def fold(b: GraphBuilder, site: Site, x: Act, size: Sequence[int], windows: Windows) -> Act:
    """The inverse of ``unfold``, (N, C · K_h · K_w, windows) → (N, C, H, W): sums where windows overlap."""
    sizes = sizes_of(b, x)
    area, count = math.prod(windows.kernel), math.prod(windows.count)
    if len(sizes) != 2 or sizes[0] % area or sizes[1] != count:
        raise Unsupported(f"{b.shapes[x.tensor]} is not what {count} windows of {list(windows.kernel)} see")
    channels = sizes[0] // area
    x = reshape(b, site.sub("apart"), x, [channels, *windows.kernel, *windows.count])
    x = transpose(b, site.sub("transposed"), x, [0, 1, 2, 4, 3, 5])
    spread = [windows.kernel[i] * windows.count[i] for i in range(2)]
    x = reshape(b, site.sub("spread"), x, [channels, *spread])
    for i, part in enumerate((site.sub("rows"), site)):
        places = (windows.taps(i)[:, None] + windows.first(i)).reshape(-1)
        if size[i] * places.size > LARGEST_MATRIX:
            raise Unsupported(f"putting windows back into {list(size)} pixels takes too large a matrix")
        matrix = (np.arange(size[i])[:, None] == places).astype(np.float64)
        chosen = picks(matrix)
        if chosen is not None:
            x = gather(b, part, x, 2 + i, chosen)
        else:
            x = times(b, part, x, 2 + i, matrix)
    return x


def unpool(
    b: GraphBuilder,
    site: Site,
    x: Act,
    places: Act,
    windows: Windows,
    size: Sequence[int],
    through_channels: bool = False,
) -> Act:
    """Each number of ``x`` at its place in an image of this size, counted as ``places_of_largest`` does; 0 elsewhere.

    ``windows``: those of the pooling that found the places, each of which lies in its own window.
    """
    candidates = []
    for i in range(2):
        first, taps = windows.first(i), windows.taps(i)
        seen = (np.arange(size[i])[:, None, None] == first[:, None] + taps).any(2)  # (pixels, windows)
        most = max(1, int(seen.sum(1).max()))
        order = np.argsort(~seen, axis=1, kind="stable")[:, :most]
        candidates.append(order.T)
    if len(candidates[0]) * len(candidates[1]) > _MOST_CANDIDATES:
        raise Unsupported("its windows overlap too often; up to 16 may see a pixel")
    counted = [sizes_of(b, x)[0] if through_channels else 1, *size]
    if math.prod(counted) > LARGEST_INTEGER:
        raise Unsupported(f"its places count further than {LARGEST_INTEGER}, where float32 skips integers")
    pixels = Const(np.arange(math.prod(counted), dtype=np.float32).reshape(counted))
    result: Act | Const = scalar(0.0)
    every = [(rows, columns) for rows in candidates[0] for columns in candidates[1]]
    for k, (rows, columns) in enumerate(every):
        part = site.sub(f"window{k}")
        value, place = (
            gather(b, part.sub(f"{name}"), gather(b, part.sub(f"{name}_rows"), t, 2, rows), 3, columns)
            for name, t in (("value", x), ("place", places))
        )
        here = binary(b, part.sub("here"), "equal", place, pixels)
        result = choose(b, site if k == len(every) - 1 else part, here, value, result)
    assert isinstance(result, Act)
    return result


_MOST_CANDIDATES = 16
