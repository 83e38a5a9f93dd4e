"""The dense convolution with channels along the lanes, against the oracle: tiles, edges, groups, epilogues."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.kernels.one_conv import Convolution
from bench.kernels.one_kernel import Map
from sparsenet.targets.registry import Kernel
from tests.full import at_each_length, chosen
from tests.sparsenet.targets.cpu.kernels.test_conv_pattern import LANES, convolution, expected

FAMILY = "f32_conv_blocked_rows"


def assert_matches(
    conv: Convolution,
    tile: tuple[int, int, int, int],
    epilogue: tuple[str, ...] = (),
    rows_per_call: int | None = None,
    tolerance: float = 2e-6,
) -> None:
    """Run the kernel twice (the second time over its own output) and compare pixels and halo.

    ``tile`` is (together, rows, pixels, vectors).
    """
    rng = np.random.default_rng(1)
    channels, height, width = conv.out.channels, conv.out.height, conv.out.width
    extra: dict[str, np.ndarray] = {}
    arguments: dict[str, Any] = {}
    for i, word in enumerate(epilogue):
        if word == "affine":
            for name in ("scale", "shift"):
                extra[name] = rng.standard_normal(channels).astype(np.float32)
                arguments[f"{name}.{i}"] = extra[name]
        elif word == "add":
            other = Map(channels, height, width, conv.lanes, side=conv.reach, fill=float("nan"))
            extra["residual"] = rng.standard_normal((channels, height, width)).astype(np.float32)
            other.pixels[...] = extra["residual"]
            arguments[f"residual.{i}"] = other.at()
            arguments[f"residual_row.{i}"] = other.row_bytes
            arguments[f"residual_channel.{i}"] = other.channel_bytes
    together, _, _, vectors = tile
    kernel = Kernel(FAMILY, conv.lanes, (1, *tile), epilogue)
    weights = conv.blocked(vectors * conv.lanes // together, together)
    call = conv.call(kernel, weights, arguments, rows_per_call)
    want = expected(conv, [[word] for word in epilogue], extra)
    for _ in range(2):
        call()
        assert np.abs(conv.out.pixels - want).max() < tolerance * max(float(np.abs(want).max()), 1.0)
        assert not conv.out.rows[:, :, width:].any()


#: Other tests use the same ones: each is a kernel to compile, of a second.
WHOLE, IN_FOURS = (1, 2, 7, 2), (4, 2, 12, 1)
TILES = chosen(
    [(1, 1, 20, 1), WHOLE, (4, 1, 8, 2), IN_FOURS],
    [(1, 1, 5, 1), WHOLE, (1, 1, 20, 1), (4, 1, 8, 2), IN_FOURS, (4, 1, 24, 1)],
)


@pytest.mark.parametrize("lanes, tile", at_each_length(TILES, LANES), ids=str)
def test_tiles_and_lanes(lanes: int, tile: tuple[int, int, int, int]) -> None:
    """Rows, columns and channels that are not whole tiles."""
    if lanes < 2 * tile[0]:
        pytest.skip("vectors too short for four pixels of several channels")
    outputs = tile[3] * lanes // tile[0]
    for width in (tile[2], tile[2] + 1, 2 * tile[2] - 1, 40):
        assert_matches(convolution((5, width), (3, 2 * outputs - 1), 3, lanes=lanes, density=1), tile)


EPILOGUES = [("relu",), ("affine", "relu"), ("add", "relu"), ("silu", "affine")]


@pytest.mark.parametrize("width", [14, 15, 16, 17, 31, 33, 48])
def test_widths_around_a_vector(width: int) -> None:
    """What stands behind the pixels of a line is zeroed, in the line's last vector and behind it."""
    assert_matches(convolution((3, width), (4, 2 * LANES[0]), 1, density=1), WHOLE)


@pytest.mark.parametrize("kernel", [1, 5])
@pytest.mark.parametrize("tile", [WHOLE, IN_FOURS], ids=str)
def test_groups_and_dilation(kernel: int, tile: tuple[int, int, int, int]) -> None:
    outputs = tile[3] * LANES[0] // tile[0]
    conv = convolution((7, 13), (6, 3 * (outputs + 1)), kernel, density=1, groups=3, dilation=2)
    assert_matches(conv, tile)


@pytest.mark.parametrize(
    "epilogue, tile",
    chosen(
        zip(EPILOGUES[2:], [WHOLE, IN_FOURS], strict=True), itertools.product(EPILOGUES, [WHOLE, IN_FOURS])
    ),
    ids=str,
)
def test_epilogues(epilogue: tuple[str, ...], tile: tuple[int, int, int, int]) -> None:
    assert_matches(convolution((5, 18), (5, 2 * LANES[0] + 3), 3, density=1), tile, epilogue, 2)


def test_more_weights_than_stay_in_cache() -> None:
    """Blocks of channels are taken a few at a time, all pixels for each: a block has 1 MB of them here."""
    assert_matches(convolution((3, 6), (456, 8 * LANES[0]), 3, density=1), (1, 1, 6, 4), tolerance=5e-6)


@settings(max_examples=25)
@given(
    st.tuples(st.integers(2, 9), st.integers(12, 60)),
    st.tuples(st.integers(1, 9), st.integers(2 * LANES[0], 70)),
    st.sampled_from([1, 3]),
    st.sampled_from([WHOLE, IN_FOURS]),
    st.integers(1, 3),
    st.integers(0, 99),
)
def test_drawn_convolutions(
    size: tuple[int, int],
    channels: tuple[int, int],
    kernel: int,
    tile: tuple[int, int, int, int],
    rows_per_call: int,
    seed: int,
) -> None:
    conv = convolution(size, channels, kernel, density=1, seed=seed)
    assert_matches(conv, tile, rows_per_call=min(rows_per_call, size[0]))
