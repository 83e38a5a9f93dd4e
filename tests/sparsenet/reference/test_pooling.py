"""Reference pooling against PyTorch, ceil_mode and the average's divisor included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.sparsenet.one_node import Array, reference_of


def image(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    data=st.data(),
    ceil_mode=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_max_pool_any_geometry(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    data: st.DataObject,
    ceil_mode: bool,
    seed: int,
) -> None:
    pad = [data.draw(st.integers(0, k // 2)) for k in kernel]
    dilation = [data.draw(st.integers(1, 3)) for _ in kernel]
    assume(all(size[i] + 2 * pad[i] >= dilation[i] * (kernel[i] - 1) + 1 for i in range(2)))
    x = image((2, 3, *size), seed)
    expected = F.max_pool2d(torch.tensor(x), kernel, stride, tuple(pad), tuple(dilation), ceil_mode).numpy()
    y = reference_of(
        "max_pool2d",
        x,
        kernel=list(kernel),
        stride=list(stride),
        padding=pad + pad,
        dilation=dilation,
        ceil_mode=ceil_mode,
    )
    assert np.array_equal(y, expected)


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    data=st.data(),
    ceil_mode=st.booleans(),
    include=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_avg_pool_any_geometry(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    data: st.DataObject,
    ceil_mode: bool,
    include: bool,
    seed: int,
) -> None:
    pad = [data.draw(st.integers(0, k // 2)) for k in kernel]
    assume(all(size[i] + 2 * pad[i] >= kernel[i] for i in range(2)))
    x = image((2, 3, *size), seed)
    expected = F.avg_pool2d(torch.tensor(x), kernel, stride, tuple(pad), ceil_mode, include).numpy()
    y = reference_of(
        "avg_pool2d",
        x,
        kernel=list(kernel),
        stride=list(stride),
        padding=pad + pad,
        ceil_mode=ceil_mode,
        count_include_pad=include,
    )
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("padding", [[0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 2, 0], [2, 2, 0, 0]])
def test_asymmetric_padding(padding: list[int]) -> None:
    x = image((1, 2, 6, 7))
    top, left, bottom, right = padding
    sides = (left, right, top, bottom)
    attrs = {"kernel": [3, 3], "stride": [2, 2], "padding": padding}
    low = F.pad(torch.tensor(x), sides, value=-torch.inf)
    assert np.array_equal(reference_of("max_pool2d", x, **attrs), F.max_pool2d(low, 3, 2).numpy())
    zeros = F.avg_pool2d(F.pad(torch.tensor(x), sides), 3, 2)
    np.testing.assert_allclose(reference_of("avg_pool2d", x, **attrs), zeros.numpy(), rtol=1e-5, atol=1e-6)
    share = F.avg_pool2d(F.pad(torch.ones(1, 1, 6, 7), sides), 3, 2)
    data_only = reference_of("avg_pool2d", x, **attrs, count_include_pad=False)
    np.testing.assert_allclose(data_only, (zeros / share).numpy(), rtol=1e-5, atol=1e-6)


def test_global_average_is_the_mean() -> None:
    x = image((2, 3, 5, 4))
    np.testing.assert_allclose(
        reference_of("global_avg_pool2d", x)[:, :, 0, 0], x.mean(axis=(2, 3)), rtol=1e-5
    )


def test_max_pool_of_negative_numbers_ignores_padding() -> None:
    x = np.full((1, 1, 2, 2), -5, np.float32)
    y = reference_of("max_pool2d", x, kernel=[3, 3], stride=[1, 1], padding=[1, 1, 1, 1])
    assert (y == -5).all()
