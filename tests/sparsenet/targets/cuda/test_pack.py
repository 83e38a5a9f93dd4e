"""Packed weights hold the matrix they were made from, whatever its zeros."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsenet.targets.cuda.pack import STEP, RowGroups, dense_groups, sparse_groups


def unpacked(packed: RowGroups, shape: tuple[int, int], taps: int) -> np.ndarray:
    """The matrix over input offsets that the kernel would multiply with."""
    matrix = np.full(shape, np.nan, np.float32)
    for group, (first, last, shift) in enumerate(packed.spans):
        for row, channel in enumerate(packed.channels[group]):
            line = np.zeros(shape[1], np.float32)
            for step in range(first, last):
                for j in range(STEP):
                    line[packed.columns[step + shift, j]] += packed.values[step, j, row]
            matrix[channel] = line
    return matrix


@given(
    st.integers(1, 2), st.integers(1, 9), st.integers(1, 11), st.sampled_from([1, 2, 4, 8]),
    st.floats(0, 1), st.integers(0, 99),
)  # fmt: skip
def test_both_formats_unpack_to_the_matrix(
    groups: int, per_group: int, taps: int, rows: int, zeros: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((groups * per_group, taps)).astype(np.float32)
    matrix[rng.random(matrix.shape) < zeros] = 0
    offsets = rng.permutation(groups * taps).reshape(groups, taps).astype(np.int64)
    want = np.zeros((len(matrix), groups * taps), np.float32)
    for channel, line in enumerate(matrix):
        want[channel, offsets[channel // per_group]] = line
    for pack in (sparse_groups, dense_groups):
        np.testing.assert_array_equal(unpacked(pack(matrix, offsets, rows, groups), want.shape, taps), want)


def test_shared_columns_are_listed_once_and_the_longest_group_comes_first() -> None:
    matrix = np.zeros((4, 40), np.float32)
    matrix[:2, :4] = 1
    matrix[2:, 4:16] = 2
    packed = sparse_groups(matrix, np.arange(40)[None], 2, 1)
    assert (packed.spans[:, 1] - packed.spans[:, 0]).tolist() == [3, 1]
    assert sorted(packed.channels[0].tolist()) == [2, 3]


def test_an_empty_matrix_has_no_steps() -> None:
    packed = sparse_groups(np.zeros((3, 5), np.float32), np.arange(5)[None], 2, 1)
    assert packed.columns.size == 0
    assert packed.spans[:, 1].max() == 0


@pytest.mark.parametrize("taps", [1, 4, 5])
def test_padding_repeats_a_column_that_the_rows_have(taps: int) -> None:
    matrix = np.ones((1, taps), np.float32)
    packed = sparse_groups(matrix, 7 * np.arange(1, taps + 1)[None], 1, 1)
    assert set(packed.columns.ravel().tolist()) == set((7 * np.arange(1, taps + 1)).tolist())
