"""Bitmask and dense: bit order, padding bits, counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sparsenet.errors import ModelFileError
from sparsenet.io.formats import Bitmask, Dense

WEIGHT = np.array([[5, 0, 0, 0, 0], [0, 0, 0, 6, 7]], np.float32)  # 10 positions: 0, 8 and 9 are kept


def test_first_position_is_the_lowest_bit_of_the_first_byte() -> None:
    bitmask = Bitmask.from_dense(WEIGHT)
    assert bitmask.bits.tolist() == [0b00000001, 0b00000011]
    assert bitmask.values.tolist() == [5, 6, 7]


shapes = npst.array_shapes(min_dims=0, max_dims=4, max_side=5)


@given(npst.arrays(np.int8, shapes, elements=st.integers(-1, 1)), st.sampled_from([Bitmask, Dense]))
def test_any_weight_comes_back(weight: np.ndarray, form: type[Bitmask] | type[Dense]) -> None:
    stored = form.from_dense(weight)
    stored.validate()
    assert np.array_equal(stored.to_dense(), weight)
    assert stored.to_dense().shape == weight.shape


def byte(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint8)


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("bits", byte(0b1), "1 bytes of bitmask, expected 2"),
        ("bits", byte(0b1, 0b11, 0), "3 bytes of bitmask"),
        ("bits", byte(0b1, 0b111), "beyond the end"),
        ("bits", byte(0b11, 0b11), r"values, expected \(4,\)"),
        ("bits", byte(0b0, 0b11), r"values, expected \(2,\)"),
        ("values", np.array([1, 2, np.nan], np.float32), "NaN"),
    ],
)
def test_broken_bitmasks_are_refused(field: str, value: np.ndarray, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        replace(Bitmask.from_dense(WEIGHT), **{field: value}).validate()


@pytest.mark.parametrize("values", [np.ones(9, np.float32), np.full(10, np.inf, np.float32)])
def test_broken_dense_is_refused(values: np.ndarray) -> None:
    with pytest.raises(ModelFileError):
        Dense(values, WEIGHT.shape).validate()


def test_dense_comes_back_as_a_copy() -> None:
    weight = WEIGHT.copy()
    copy = Dense.from_dense(weight).to_dense()
    copy[0, 0] = 99
    assert weight[0, 0] == 5
