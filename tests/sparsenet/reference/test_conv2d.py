"""The reference convolution against PyTorch, over every corner of its geometry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tests.sparsenet.one_node import Array, reference_of


def torch_conv2d(x: Array, weight: Array, bias: Array | None, attrs: dict[str, Any]) -> Array:
    top, left, bottom, right = attrs.get("padding", [0, 0, 0, 0])
    y = F.conv2d(
        F.pad(torch.tensor(x, dtype=torch.float64), (left, right, top, bottom)),
        torch.tensor(weight, dtype=torch.float64),
        None if bias is None else torch.tensor(bias, dtype=torch.float64),
        stride=tuple(attrs.get("stride", [1, 1])),
        dilation=tuple(attrs.get("dilation", [1, 1])),
        groups=attrs.get("groups", 1),
    )
    return y.numpy()


def check(
    n: int,
    c_in: int,
    c_out: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    seed: int,
    bias: bool,
    **attrs: Any,
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, c_in, *size)).astype(np.float32)
    constants = {
        "w": rng.standard_normal((c_out, c_in // attrs.get("groups", 1), *kernel)).astype(np.float32)
    }
    if bias:
        constants["b"] = rng.standard_normal(c_out).astype(np.float32)
    y = reference_of("conv2d", x, constants=constants, **attrs)
    np.testing.assert_allclose(
        y, torch_conv2d(x, constants["w"], constants.get("b"), attrs), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(
    "n, c_in, c_out, size, kernel, attrs",
    [
        (1, 1, 1, (1, 1), (1, 1), {}),
        (2, 3, 5, (7, 6), (3, 3), {}),
        (2, 8, 16, (5, 5), (1, 1), {}),
        (1, 4, 4, (9, 9), (1, 1), {"stride": [2, 2]}),  # a 1×1 that skips pixels
        (1, 3, 2, (5, 5), (5, 5), {}),  # kernel as large as the image
        (1, 3, 2, (1, 9), (1, 3), {"stride": [1, 2]}),
        (1, 2, 3, (4, 5), (3, 2), {"padding": [2, 0, 1, 3]}),
        (1, 2, 3, (2, 2), (3, 3), {"padding": [1, 1, 1, 1]}),  # kernel larger than the image
        (1, 2, 3, (9, 9), (3, 3), {"dilation": [2, 3], "padding": [2, 3, 2, 3]}),
        (1, 6, 4, (6, 6), (3, 3), {"groups": 2, "padding": [1, 1, 1, 1]}),
        (2, 6, 6, (6, 6), (3, 3), {"groups": 6, "padding": [1, 1, 1, 1], "stride": [2, 2]}),  # depthwise
        (1, 3, 6, (6, 6), (3, 3), {"groups": 3}),  # depthwise with two filters per channel
        (1, 2, 2, (8, 8), (2, 2), {"stride": [3, 5]}),  # stride longer than the kernel
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_edges(
    n: int,
    c_in: int,
    c_out: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    attrs: dict[str, Any],
    bias: bool,
) -> None:
    check(n, c_in, c_out, size, kernel, 0, bias, **attrs)


def test_zero_weights_leave_the_bias() -> None:
    x = np.ones((1, 2, 3, 3), np.float32)
    constants = {"w": np.zeros((2, 2, 3, 3), np.float32), "b": np.array([1.5, -2], np.float32)}
    y = reference_of("conv2d", x, constants=constants, padding=[1, 1, 1, 1])
    assert (y[:, 0] == 1.5).all()
    assert (y[:, 1] == -2).all()


small = st.integers(1, 3)
pads = st.lists(st.integers(0, 3), min_size=4, max_size=4)


@given(
    n=st.integers(1, 2),
    groups=small,
    per_group=st.tuples(small, small),
    kernel=st.tuples(small, small),
    extra=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    stride=st.lists(small, min_size=2, max_size=2),
    dilation=st.lists(small, min_size=2, max_size=2),
    padding=pads,
    bias=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_geometry(
    n: int,
    groups: int,
    per_group: tuple[int, int],
    kernel: tuple[int, int],
    extra: tuple[int, int],
    stride: list[int],
    dilation: list[int],
    padding: list[int],
    bias: bool,
    seed: int,
) -> None:
    # The image is just as large as the dilated kernel needs, less the padding, plus `extra`.
    size = tuple(
        max(1, dilation[i] * (kernel[i] - 1) + 1 - padding[i] - padding[i + 2]) + extra[i] for i in range(2)
    )
    check(
        n,
        per_group[0] * groups,
        per_group[1] * groups,
        (size[0], size[1]),
        kernel,
        seed,
        bias,
        stride=stride,
        dilation=dilation,
        padding=padding,
        groups=groups,
    )
