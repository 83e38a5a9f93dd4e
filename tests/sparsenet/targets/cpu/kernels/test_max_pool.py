"""Max pooling below the planner: what it fuses, and that it reads no row or column that is not the image's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.kernels.one_kernel import At, Map, OneKernel
from sparsenet.targets.host import host
from sparsenet.targets.registry import Kernel
from tests.full import at_each_length

LANES = [lanes for lanes in (16, 8, 4) if lanes <= host().vector().lanes]
CHANNELS, HEIGHT, WINDOW = 3, 6, 3


def windows(x: np.ndarray) -> np.ndarray:
    """3x3 windows of (C, H, W), padded left and right only: (C, H - 2, W, 9)."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)), constant_values=-np.inf)
    view = np.lib.stride_tricks.sliding_window_view(padded, (WINDOW, WINDOW), axis=(1, 2))
    return view.reshape(*view.shape[:3], -1)


def tap_bits(out: Map) -> np.ndarray:
    lanes = np.arange(out.line_vectors * out.lanes)
    source = lanes - 1 + np.arange(WINDOW)[:, None]
    inside = (source >= 0) & (source < out.width) & (lanes < out.width)
    return (inside.reshape(WINDOW, -1, out.lanes) @ (1 << np.arange(out.lanes))).astype(np.uint16)


@pytest.mark.parametrize("lanes, columns", at_each_length([WINDOW, 0], LANES))
def test_epilogue_and_borders_amid_nan(lanes: int, columns: int) -> None:
    """Columns of a window that are adjacent, or any (0). All that is not a pixel is NaN, so that a read of it shows."""
    rng = np.random.default_rng(lanes)
    for width in (lanes - 3, 6 * lanes, 6 * lanes + 1):
        x = Map(CHANNELS, HEIGHT, width, lanes, fill=np.nan)
        out, residual = (Map(CHANNELS, HEIGHT - 2, width, lanes, fill=np.nan) for _ in range(2))
        for map_ in (x, residual):
            map_.pixels[...] = rng.standard_normal(map_.pixels.shape)
        scale, shift = (rng.standard_normal(CHANNELS).astype(np.float32) for _ in range(2))
        vectors = min(4, out.line_vectors)
        arguments: dict[str, Any] = {
            "x": At(x.numbers, x.at().offset - 4), "taps_x": np.arange(WINDOW, dtype=np.int32) * 4,
            "tap_bits": tap_bits(out), "n_taps_x": WINDOW, "n_taps_y": WINDOW, "tap_row": x.row_bytes, "inner_first": 1,
            "inner_end": (width - 1) // lanes, "x_row": x.row_bytes, "x_channel": x.channel_bytes,
            "channels": CHANNELS, "outside": 0.0, **out.lines(), **out.output(), "scale.0": scale, "shift.0": shift,
            "residual.1": residual.at(), "residual_row.1": residual.row_bytes,
            "residual_channel.1": residual.channel_bytes,
        }  # fmt: skip
        kernel = Kernel(
            "f32_maxpool_none_rows",
            lanes,
            (1, columns, 1 if columns else 0, vectors),
            ("affine", "add", "relu"),
        )
        OneKernel(kernel, arguments)()
        pooled = windows(x.pixels.astype(np.float64)).max(axis=-1)
        want = np.maximum(pooled * scale[:, None, None] + shift[:, None, None] + residual.pixels, 0)
        np.testing.assert_allclose(out.pixels, want, rtol=1e-5, atol=1e-6)
        assert not out.rows[..., width:].any()
