"""CSR: what is kept, and that no broken index survives validation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sparsenet.errors import ModelFileError
from sparsenet.io.formats import CSR

WEIGHT = np.array([[[1, 0, 2]], [[0, 0, 0]], [[0, -3, 4]]], np.float32)  # (3, 1, 3)


def test_known_weight() -> None:
    csr = CSR.from_dense(WEIGHT)
    assert csr.values.tolist() == [1, 2, -3, 4]
    assert csr.col_indices.tolist() == [0, 2, 1, 2]
    assert csr.row_offsets.tolist() == [0, 2, 2, 4]
    assert csr.shape == (3, 1, 3)
    assert csr.nnz == 4


@pytest.mark.parametrize("shape", [(), (4,), (3, 5), (2, 3, 3, 3)])
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_equals_scipy_and_comes_back(shape: tuple[int, ...], density: float) -> None:
    rng = np.random.default_rng(0)
    weight = np.asarray(rng.standard_normal(shape) * (rng.random(shape) < density), np.float32)
    csr = CSR.from_dense(weight)
    csr.validate()
    assert np.array_equal(csr.to_dense(), weight)
    expected = scipy.sparse.csr_array(weight.reshape(shape[0] if shape else 1, -1))
    assert np.array_equal(csr.values, expected.data)
    assert np.array_equal(csr.col_indices, expected.indices)
    assert np.array_equal(csr.row_offsets, expected.indptr)


@given(
    npst.arrays(np.int8, npst.array_shapes(min_dims=1, max_dims=4, max_side=5), elements=st.integers(-2, 2))
)
def test_any_weight_comes_back(weight: np.ndarray) -> None:
    csr = CSR.from_dense(weight)
    csr.validate()
    assert np.array_equal(csr.to_dense(), weight)


def test_negative_zero_counts_as_zero() -> None:
    assert CSR.from_dense(np.array([[-0.0, 1.0]], np.float32)).nnz == 1


def indices(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint32)


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("row_offsets", indices(1, 2, 2, 4), "do not start at 0"),
        ("row_offsets", indices(0, 3, 2, 4), "fall"),
        ("row_offsets", indices(0, 2, 4), "row offsets, expected"),
        ("row_offsets", indices(0, 2, 2, 5), r"values, expected \(5,\)"),
        ("row_offsets", indices(0, 2, 2, 3), r"values, expected \(3,\)"),
        ("row_offsets", indices(0, 3, 3, 4), "out of order"),  # rows 0, 2, 1 | 2
        ("col_indices", indices(0, 2, 1, 3), "outside 0 … 2"),
        ("col_indices", indices(0, 2, 1, 2**32 - 1), "outside"),
        ("col_indices", indices(2, 0, 1, 2), "out of order"),
        ("col_indices", indices(0, 0, 1, 2), "repeat"),
        ("col_indices", indices(0, 2, 1), "column indices for"),
        ("values", np.array([1, np.nan, 3, 4], np.float32), "NaN"),
        ("values", np.array([1, np.inf, 3, 4], np.float32), "infinity"),
        ("values", np.ones((2, 2), np.float32), "values, expected"),
    ],
)
def test_broken_indices_are_refused(field: str, value: np.ndarray, message: str) -> None:
    csr = replace(CSR.from_dense(WEIGHT), **{field: value})
    with pytest.raises(ModelFileError, match=message):
        csr.validate()


def test_first_column_of_a_row_may_be_smaller_than_the_last_of_the_row_before() -> None:
    CSR.from_dense(np.array([[0, 1], [1, 0], [0, 0], [1, 1]], np.float32)).validate()
