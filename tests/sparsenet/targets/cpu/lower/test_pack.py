"""Packed weights, unpacked again, and what is known of the sums of theirs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from sparsenet.graph.integer import Product
from sparsenet.io.formats import CSR
from sparsenet.targets.cpu.lower.pack import csr_stream, dense_blocks, linear_groups
from sparsenet.targets.cpu.lower.pack_quads import in_pairs
from sparsenet.targets.cpu.lower.quad_epilogue import clip_of
from sparsenet.targets.family import Clip


def sparse(c_out: int, c_in: int, density: float) -> np.ndarray:
    """Random weights, rows of very different lengths, one of them empty."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((c_out, c_in)).astype(np.float32)
    matrix[rng.random(matrix.shape) >= density * np.linspace(0, 2, c_out)[:, None]] = 0
    return matrix


@pytest.mark.parametrize("lanes", [4, 16])
@pytest.mark.parametrize("c_in, index", [(300, np.uint16), (1 << 16, np.uint16), ((1 << 16) + 1, np.uint32)])
def test_linear_groups(c_in: int, index: type, lanes: int) -> None:
    """Every group is as long as its longest row; numbers take 16 bits where these suffice."""
    matrix = sparse(19, c_in, 50 / c_in)
    matrix[3, -1] = 1.5
    offsets, steps = linear_groups(CSR.from_dense(matrix), lanes)
    assert steps.shape[1] * 2 == lanes * (4 + np.dtype(index).itemsize)
    values = steps[:, : 2 * lanes].copy().view(np.float32)
    numbers = steps[:, 2 * lanes :].copy().view(index)
    unpacked = np.zeros_like(matrix)
    for row in range(len(matrix)):
        own = slice(offsets[row // lanes], offsets[row // lanes + 1])
        np.add.at(unpacked[row], numbers[own, row % lanes], values[own, row % lanes])
    np.testing.assert_array_equal(unpacked, matrix)
    longest = [np.count_nonzero(matrix[i : i + lanes], axis=1).max() for i in range(0, 19, lanes)]
    np.testing.assert_array_equal(np.diff(offsets), longest)


@pytest.mark.parametrize("groups, outputs", [(1, 4), (1, 6), (2, 4), (3, 4)])
@pytest.mark.parametrize("repeats", [1, 4])
def test_dense_blocks(groups: int, outputs: int, repeats: int) -> None:
    """The last block of a group holds the group's last channels; every weight stands there as often as asked."""
    matrix = np.arange(12 * 5, dtype=np.float32).reshape(12, 5)
    blocks = dense_blocks(matrix, outputs, groups, repeats)
    per_group = 12 // groups
    starts = [
        group * per_group + min(start, per_group - outputs)
        for group in range(groups)
        for start in range(0, per_group, outputs)
    ]
    assert blocks.shape == (len(starts), 5, outputs * repeats)
    for block, start in zip(blocks, starts, strict=True):
        np.testing.assert_array_equal(block[:, ::repeats], matrix[start : start + outputs].T)
        np.testing.assert_array_equal(block.reshape(5, outputs, repeats).std(axis=2), 0)


def test_in_pairs() -> None:
    """Two values, then their two offsets; one that is left over stands as it did."""
    row_offsets, stream = csr_stream(np.array([[1, 2, 3], [0, 0, 0], [0, 4, 5]], np.int32), np.arange(3) * 10)
    words = [1, 2, 0, 10, 3, 20, 4, 5, 10, 20]
    np.testing.assert_array_equal(in_pairs(row_offsets, stream).reshape(-1), words)


@pytest.mark.parametrize(
    "changes, clip",
    [
        ({}, Clip(0)),
        ({"zero_point": 3}, Clip.ZERO),
        ({"low": np.array([0, 1, 0, 0], np.uint8)}, Clip.BOUNDS),
        ({"high": np.uint8(254)}, Clip.BOUNDS),
        ({"multiplier": np.float32([1, 1, -8, 1])}, Clip.WORDS),
        ({"bias": np.int32([0, 0, 0, 40_000])}, Clip.WORDS),
        ({"bend": 0.1}, Clip.WORDS),
    ],
)
def test_clip_of(changes: dict[str, Any], clip: Clip) -> None:
    """Saturation to 16 bits is left out only where no pixels can make a sum that needs it: here 30600 at most."""
    given = {"zero_point": 0, "low": np.uint8(0), "high": np.uint8(255), "bend": None, "bias": np.int32([0] * 4),
             "multiplier": np.float32([1] * 4)} | changes  # fmt: skip
    product = SimpleNamespace(
        weights=np.full((4, 1, 3, 1), -40, np.int8), other=None, line=SimpleNamespace(bend=given["bend"]),
        rounding=SimpleNamespace(**given), bias=given["bias"], multiplier=given["multiplier"],
    )  # fmt: skip
    assert clip_of(cast(Product, product)) == clip
