"""Global average pooling row by row, as a planner that streams rows calls it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.kernels.one_kernel import Map, OneKernel, aligned
from sparsenet.targets.host import host
from sparsenet.targets.registry import Kernel

LANES = [lanes for lanes in (16, 8, 4) if lanes <= host().vector().lanes]


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("bands", [(6,), (1, 2, 3)], ids=str)
def test_bands_of_rows_add_up_to_the_mean(lanes: int, bands: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for channels, width in ((1, 3), (13, 2 * lanes + 1)):
        x = Map(channels, sum(bands), width, lanes, side=1)
        x.pixels[...] = rng.standard_normal(x.pixels.shape) + 1
        out = aligned((channels + 4,), np.nan)
        rows, first = [], 0
        for height in bands:
            rows.append(
                {
                    "x": x.at(first), "x_row": x.row_bytes, "x_channel": x.channel_bytes, "channels": channels,
                    "height": height, "line_vectors": x.line_vectors, "scale": 1 / (x.height * width),
                    "accumulate": int(first > 0), "out": out,
                }
            )  # fmt: skip
            first += height
        OneKernel(Kernel("f32_globalavgpool_none_rows", lanes, (min(8, lanes),)), *rows)()
        want = x.pixels.astype(np.float64).mean(axis=(1, 2))
        np.testing.assert_allclose(out[:channels], want, rtol=1e-6)
        assert np.isnan(out[channels:]).all()
