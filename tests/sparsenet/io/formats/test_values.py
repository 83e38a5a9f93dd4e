"""f32, f16 and i8: how far from the weight each may be, and where they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sparsenet.errors import ModelFileError
from sparsenet.io.formats.values import decode, encode, fits_f16, validate

finite = st.floats(-(2.0**100), 2.0**100, width=32)
weights = npst.arrays(np.float32, npst.array_shapes(min_dims=1, max_dims=4, max_side=5), elements=finite)


@given(weights)
def test_f32_is_exact(weight: np.ndarray) -> None:
    encoded, scales = encode(weight, "f32")
    assert decode(encoded, scales).tobytes() == weight.tobytes()


@given(weights)
def test_i8_is_within_half_a_step_of_each_channel(weight: np.ndarray) -> None:
    encoded, scales = encode(weight, "i8")
    validate(encoded, scales)
    decoded = decode(encoded, scales).reshape(weight.shape[0], -1).astype(np.float64)
    rows = weight.reshape(weight.shape[0], -1).astype(np.float64)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    # bfloat16 has 8 significant bits, so rounding the scale up widens the step by at most 1/128; below float32's
    # normal range its spacing is 2^-133.
    step = largest / 127 * (1 + 1 / 128) + 2.0**-133
    assert (np.abs(decoded - rows) <= step / 2 * (1 + 1e-9)).all()
    assert (decoded[largest[:, 0] == 0] == 0).all()


@given(weights)
def test_i8_never_changes_a_sign_or_fills_a_zero(weight: np.ndarray) -> None:
    decoded = decode(*encode(weight, "i8"))
    assert (decoded * np.sign(weight) >= 0).all()
    assert (decoded[weight == 0] == 0).all()


def test_i8_known_numbers() -> None:
    weight = np.array([[127, -63.6, 0.4], [0, 0, 0], [1, -1, 0.5]], np.float32)
    encoded, scales = encode(weight, "i8")
    assert encoded.tolist() == [[127, -64, 0], [0, 0, 0], [126, -126, 63]]
    assert scales is not None
    # 127 / 127 is 0x3F80 as bfloat16; 1 / 127 = 0.0078740 lies between 0x3C01 (0.0078735) and 0x3C02 (0.0079346).
    assert scales.tolist() == [0x3F80, 0, 0x3C02]


def test_i8_of_the_smallest_and_the_largest_weights() -> None:
    weight = np.array([[1e-45, 0], [3e38, -1e38]], np.float32)
    encoded, scales = encode(weight, "i8")
    validate(encoded, scales)
    assert np.abs(decode(encoded, scales)[0]).max() <= 1e-40
    np.testing.assert_allclose(decode(encoded, scales)[1], weight[1], rtol=0.02)


def test_f16_rounds_to_eleven_bits_and_names_what_is_too_large() -> None:
    weight = np.random.default_rng(0).standard_normal((8, 9)).astype(np.float32)
    encoded, scales = encode(weight, "f16")
    assert encoded.dtype == np.float16
    np.testing.assert_allclose(decode(encoded, scales), weight, rtol=2.0**-11)
    largest = np.array([[65504.0, -65504.0]], np.float32)
    assert np.array_equal(decode(*encode(largest, "f16")), largest)
    with pytest.raises(ModelFileError, match="70000"):
        encode(np.array([[1.0, -70000.0]], np.float32), "f16")


@pytest.mark.parametrize(
    "largest, fits",
    [(0.0, True), (1.0, True), (65504.0, True), (65520.0, False), (6.2e-5, True), (6e-5, False)],
)
def test_fits_f16(largest: float, fits: bool) -> None:
    assert fits_f16(np.array([0.0, -largest], np.float32)) is fits


@pytest.mark.parametrize(
    "scale", [0x8000, 0x7F80, 0x7FC0, 0xBF80, 0xFF80]
)  # -0, infinity, NaN, -1, -infinity
def test_scales_that_are_no_scales(scale: int) -> None:
    with pytest.raises(ModelFileError, match="scale"):
        validate(np.zeros(3, np.int8), np.array([scale], np.uint16))


def test_minus_128_is_refused() -> None:
    with pytest.raises(ModelFileError, match="-128"):
        validate(np.array([-128], np.int8), np.array([0x3F80], np.uint16))
