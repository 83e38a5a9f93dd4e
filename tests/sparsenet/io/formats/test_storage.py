"""Choosing the smallest encoding, and reading constants back from pools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sparsenet.errors import ModelFileError
from sparsenet.io.formats.storage import (
    ENCODINGS,
    PoolReader,
    PoolWriter,
    StoredWeight,
    restore,
    store_constant,
    store_weight,
)


def sparse_weight(shape: tuple[int, ...], sparsity: float, seed: int = 0) -> np.ndarray:
    """Standard normal weights; exactly ``sparsity`` of them zero."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal(int(np.prod(shape))).astype(np.float32)
    weight[rng.permutation(weight.size)[: round(sparsity * weight.size)]] = 0
    return weight.reshape(shape)


def read_back(stored: StoredWeight, shape: tuple[int, ...]) -> np.ndarray:
    pools = PoolWriter()
    pools.add(stored.parts)
    reader = PoolReader(pools.tensors())
    again = restore(reader, shape, stored.word, stored.values)
    reader.finish()
    assert reader.bytes_read == stored.nbytes
    assert (again.shape, again.word, again.values) == (stored.shape, stored.word, stored.values)
    array = again.dense()
    assert again.nnz == np.count_nonzero(array)
    return array


@pytest.mark.parametrize(
    "sparsity, values, expected",
    [
        (0.0, "f32", "dense"),
        (0.02, "f32", "dense"),  # a mask costs 1 bit in 32
        (0.05, "f32", "bitmask"),
        (0.05, "i8", "dense"),  # but 1 in 8 here
        (0.2, "i8", "bitmask"),
        (0.8, "f16", "bitmask"),
        (0.9, "i8", "bitmask"),
        (0.99, "i8", "csr_u16_u16"),  # 2 bytes per kept weight against 1 bit per weight
        (1.0, "f32", "csr_u16_u16"),
    ],
)
def test_smallest_encoding_is_taken(sparsity: float, values: str, expected: str) -> None:
    weight = sparse_weight((32, 64, 3, 3), sparsity)
    stored = store_weight(weight, values, None)
    assert stored.word == expected
    others = [store_weight(weight, values, word).nbytes for word in ENCODINGS]
    assert stored.nbytes == min(others)


@pytest.mark.parametrize(
    "shape, nnz, expected",
    [
        ((2, 2**16), 3, "csr_u16_u16"),
        ((2, 2**16 + 1), 3, "csr_u32_u16"),
        ((2, 2**16), 2**16 - 1, "csr_u16_u16"),
        ((2, 2**16), 2**16, "csr_u16_u32"),
        ((1, 2**16 + 1), 2**16, "csr_u32_u32"),
    ],
)
def test_index_width_follows_the_largest_index(shape: tuple[int, int], nnz: int, expected: str) -> None:
    weight = np.zeros(shape, np.float32)
    weight.reshape(-1)[-nnz:] = 1.5
    stored = store_weight(weight, "f32", "csr")
    assert stored.word == expected
    assert np.array_equal(read_back(stored, shape), weight)


elements = st.one_of(st.just(0.0), st.floats(-60000, 60000, width=32))
weights = npst.arrays(np.float32, npst.array_shapes(min_dims=1, max_dims=4, max_side=6), elements=elements)


@given(weights, st.sampled_from(ENCODINGS), st.sampled_from(["f32", "f16", "i8"]))
def test_every_encoding_gives_the_same_weight(weight: np.ndarray, encoding: str, values: str) -> None:
    array = read_back(store_weight(weight, values, encoding), weight.shape)
    assert np.array_equal(array, read_back(store_weight(weight, values, None), weight.shape))
    assert array.dtype == np.float32
    if values == "f32":
        assert np.array_equal(array, weight)
    csr = store_weight(weight, values, encoding).csr()
    csr.validate()
    assert csr.values.dtype == np.float32
    assert csr.values.all()
    assert csr.to_dense().tobytes() == (array + np.float32(0)).tobytes()


def test_what_rounds_to_zero_costs_no_value() -> None:
    weight = np.array([[100, 0.001, 0, 50]], np.float32)
    stored = store_weight(weight, "i8", "bitmask")
    assert dict(stored.parts)["values_i8"].size == 2
    assert np.count_nonzero(read_back(stored, weight.shape)) == 2


def test_other_constants_stay_f32_where_f16_would_hurt() -> None:
    assert store_constant(np.array([1.0, 2.0], np.float32), "f32").values == "f32"
    assert store_constant(np.array([1.0, 2.0], np.float32), "i8").values == "f16"
    assert store_constant(np.array([1e6], np.float32), "i8").values == "f32"
    assert store_constant(np.array([1e-7, 0], np.float32), "f16").values == "f32"
    assert store_constant(np.array(0.5, np.float32), "f16").values == "f16"  # a scalar


def test_weights_below_the_range_of_f16_stay_f32() -> None:
    weight = np.array([[1e-7, -3e-8]], np.float32)
    assert np.array_equal(read_back(store_weight(weight, "f16", None), weight.shape), weight)


def test_pools_that_are_too_short_or_too_long() -> None:
    pools = {"values_f32": np.ones(3, np.float32)}
    with pytest.raises(ModelFileError, match="needs 4 more elements of 'values_f32', which has 3 left"):
        restore(PoolReader(pools), (2, 2), "dense", "f32")
    with pytest.raises(ModelFileError, match="needs 1 more elements of 'bitmasks', which has 0 left"):
        restore(PoolReader(pools), (2, 2), "bitmask", "f32")
    reader = PoolReader(pools)
    restore(reader, (2,), "dense", "f32")
    with pytest.raises(ModelFileError, match="1 elements in 'values_f32' that belong to no constant"):
        reader.finish()


@pytest.mark.parametrize(
    "encoding, values", [("zip", "f32"), ("csr_u8_u8", "f32"), ("csr", "f32"), ("dense", "i4")]
)
def test_unknown_choices(encoding: str, values: str) -> None:
    with pytest.raises(ModelFileError, match="unknown"):
        restore(PoolReader({}), (2, 2), encoding, values)


def test_values_of_a_scale_of_zero_are_no_nonzeros() -> None:
    pools = {"scales": np.array([0, 0x3F80], np.uint16), "values_i8": np.array([3, 1, 0, 2], np.int8)}
    stored = restore(PoolReader(pools), (2, 2), "dense", "i8")
    assert stored.nnz == 1
    assert np.array_equal(stored.dense(), [[0, 0], [0, 2]])
    pools = {"scales": np.array([0, 0x3F80], np.uint16), "values_i8": np.array([3, 0, 2], np.int8)}
    pools |= {"indices_u16": np.array([0, 1, 3, 0, 0, 1], np.uint16)}
    stored = restore(PoolReader(pools), (2, 2), "csr_u16_u16", "i8")
    assert stored.nnz == stored.csr().nnz == 1
    assert np.array_equal(stored.csr().to_dense(), [[0, 0], [0, 2]])


def test_an_i8_value_whose_product_is_infinite() -> None:
    largest, lower = np.array([0x7F7F], np.uint16), np.array([0x7E80], np.uint16)
    for scales, value, fine in ((largest, 2, False), (largest, 1, True), (lower, 127, False)):
        pools = PoolReader({"scales": scales, "values_i8": np.array([value], np.int8)})
        if fine:
            assert np.isfinite(restore(pools, (1, 1), "dense", "i8").dense()).all()
        else:
            with pytest.raises(ModelFileError, match="decodes to infinity"):
                restore(pools, (1, 1), "dense", "i8")
