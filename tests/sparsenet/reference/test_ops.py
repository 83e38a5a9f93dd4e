"""Every reference op but convolution and pooling, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sparsenet.graph.ops import ACTIVATIONS
from tests.sparsenet.one_node import Array, reference_of

Tensor = torch.Tensor


def draw(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(y: Array, expected: Tensor) -> None:
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-5, atol=1e-6)


TORCH_ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], dict[str, Any]]] = {
    "relu": (F.relu, {}),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), {"slope": 0.2}),
    "clip": (lambda x: torch.clamp(x, -1.5, 2), {"min": -1.5, "max": 2}),
    "sigmoid": (torch.sigmoid, {}),
    "tanh": (torch.tanh, {}),
    "silu": (F.silu, {}),
    "hard_sigmoid": (F.hardsigmoid, {}),
    "hard_swish": (F.hardswish, {}),
    "elu": (lambda x: F.elu(x, 0.7), {"alpha": 0.7}),
    "gelu": (F.gelu, {}),
    "softplus": (lambda x: F.softplus(x.double(), threshold=1e9).float(), {}),
    "erf": (torch.erf, {}),
    "exp": (torch.exp, {}),
    "log": (torch.log, {}),
    "sqrt": (torch.sqrt, {}),
    "abs": (torch.abs, {}),
    "floor": (torch.floor, {}),
    "round": (torch.round, {}),
    "reciprocal": (torch.reciprocal, {}),
}


def test_every_activation_is_compared() -> None:
    assert set(TORCH_ACTIVATIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize("word", sorted(ACTIVATIONS))
def test_activation_as_op_and_as_epilogue(word: str) -> None:
    function, attrs = TORCH_ACTIVATIONS[word]
    x = np.concatenate([np.linspace(-8, 8, 65), [0.0, -0.0, 100, -100]]).astype(np.float32)[None]
    close(reference_of(word, x, **attrs), function(torch.tensor(x)))
    step = [word, *(attrs[name] for name in ACTIVATIONS[word].parameters)]
    fused = reference_of("add", x, constants={"zero": np.zeros((), np.float32)}, epilogue=[step])
    close(fused, function(torch.tensor(x) + 0.0))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("n, f_in, f_out", [(1, 1, 1), (3, 7, 5)])
def test_linear(n: int, f_in: int, f_out: int, bias: bool) -> None:
    x, w, b = draw(n, f_in), draw(f_out, f_in, seed=1), draw(f_out, seed=2)
    y = reference_of("linear", x, constants={"w": w, "b": b} if bias else {"w": w})
    close(y, F.linear(torch.tensor(x), torch.tensor(w), torch.tensor(b) if bias else None))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5)])
def test_batch_norm_and_affine(shape: tuple[int, ...]) -> None:
    x = draw(*shape)
    scale, bias, mean = draw(3, seed=1), draw(3, seed=2), draw(3, seed=3)
    var = np.abs(draw(3, seed=4)) + 0.1
    y = reference_of("batch_norm", x, constants={"s": scale, "b": bias, "m": mean, "v": var}, eps=1e-3)
    close(y, F.batch_norm(*(torch.tensor(v) for v in (x, mean, var, scale, bias)), eps=1e-3))
    deviation = np.sqrt(var + 1e-3)
    folded = {"scale": scale / deviation, "shift": bias - mean * scale / deviation}
    np.testing.assert_allclose(reference_of("affine", x, constants=folded), y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("op", ["add", "sub", "mul"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 1, 1), (1, 3, 4, 5), (5,)])
def test_arithmetic_broadcasts_constants(op: str, shape: tuple[int, ...]) -> None:
    x, constant = draw(2, 3, 4, 5), np.asarray(draw(*shape, seed=1))
    y = reference_of(op, x, constants={"c": constant})
    close(y, getattr(torch, op)(torch.tensor(x), torch.tensor(constant)))


def test_subtraction_keeps_its_order() -> None:
    a, b = draw(2, 3), draw(2, 3, seed=1)
    np.testing.assert_allclose(reference_of("sub", a, b), a - b, rtol=1e-6)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_softmax(axis: int) -> None:
    x = draw(2, 3, 4, 5) * 50  # exp would overflow without the shift
    x[0, 0] += 1000
    close(reference_of("softmax", x, axis=axis), F.softmax(torch.tensor(x), axis))


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_concat(axis: int) -> None:
    shapes = [[2, 3, 4, 5] for _ in range(3)]
    for i, shape in enumerate(shapes):
        shape[axis] = i + 1
    arrays = [draw(*shape, seed=i) for i, shape in enumerate(shapes)]
    assert np.array_equal(reference_of("concat", *arrays, axis=axis), np.concatenate(arrays, axis))


def test_rearrangements_move_values_only() -> None:
    x = draw(2, 3, 4, 5)
    assert np.array_equal(reference_of("flatten", x), x.reshape(2, 60))
    assert np.array_equal(reference_of("reshape", x, shape=[4, -1]), x.reshape(2, 4, 15))
    assert np.array_equal(reference_of("reshape", x, shape=[5, 12]), x.reshape(2, 5, 12))
    assert np.array_equal(reference_of("transpose", x, perm=[0, 2, 3, 1]), x.transpose(0, 2, 3, 1))
    assert np.array_equal(reference_of("identity", x), x)
    assert np.array_equal(reference_of("dropout", x, p=0.9), x)


@pytest.mark.parametrize("block", [(2, 2), (3, 1), (2, 4)])
def test_depth_to_space_and_back(block: tuple[int, int]) -> None:
    r, s = block
    x = draw(2, 3 * r * s, 2, 5)
    for first in (False, True):
        y = reference_of("depth_to_space", x, block=list(block), depth_first=first)
        for c, i, j in np.ndindex(3, r, s):
            channel = (i * s + j) * 3 + c if first else (c * r + i) * s + j
            assert np.array_equal(y[:, c, i::r, j::s], x[:, channel])
        assert np.array_equal(reference_of("space_to_depth", y, block=list(block), depth_first=first), x)
    if r == s:
        assert np.array_equal(
            reference_of("depth_to_space", x, block=list(block)), F.pixel_shuffle(torch.tensor(x), r).numpy()
        )


def test_pad() -> None:
    x = draw(2, 3, 4, 5)
    top, left, bottom, right = 1, 2, 0, 3
    y = reference_of("pad", x, padding=[top, left, bottom, right], value=-0.5)
    close(y, F.pad(torch.tensor(x), (left, right, top, bottom), value=-0.5))


SIZES = [(1, 1), (4, 5), (8, 10), (7, 3), (2, 2), (9, 11)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("align_corners", [False, True])
def test_resize_bilinear(size: tuple[int, int], align_corners: bool) -> None:
    x = draw(2, 3, 4, 5)
    coordinates = "align_corners" if align_corners else "half_pixel"
    y = reference_of("resize", x, size=list(size), mode="bilinear", coordinates=coordinates)
    expected = F.interpolate(torch.tensor(x), size, mode="bilinear", align_corners=align_corners)
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
def test_resize_nearest(size: tuple[int, int]) -> None:
    x = draw(2, 3, 4, 5)
    expected = F.interpolate(torch.tensor(x), size, mode="nearest").numpy()
    assert np.array_equal(reference_of("resize", x, size=list(size)), expected)
