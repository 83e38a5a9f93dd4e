"""Axes moved in front of the batch and back, sizes that are the batch times a number: equal to the source."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import sparsenet
from converters import from_onnx, from_torch, passes
from converters.onnx_import import OnnxSource
from converters.torch_import import TorchSource
from converters.verify import verify
from sparsenet.errors import UnsupportedOpError
from tests.converters.onnx.models import model, node, weights
from tests.full import FULL


class Net(nn.Module):
    """A function of an input (N, 8, 8, 8) and of a few layers, as a module."""

    def __init__(self, function: Callable[[Net, Tensor], object]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.wide = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 24)
        self.linear, self.norm, self.few = nn.Linear(8, 8), nn.LayerNorm(8), nn.Conv2d(4, 4, 1)
        self.statistics = nn.BatchNorm1d(8)
        self.statistics.running_mean.normal_()
        self.statistics.running_var.uniform_(0.5, 2)
        self.token, self.function = nn.Parameter(torch.randn(1, 1, 8)), function

    def forward(self, x: Tensor) -> object:
        return self.function(self, x)


def windows(net: Net, x: Tensor) -> Tensor:
    """Attention in windows of 4 x 4 with masks, shifted, as Swin transformers have it."""
    b, c, h, w = x.shape
    t = torch.roll(x.permute(0, 2, 3, 1), (-2, -2), (1, 2))
    t = t.view(b, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 16, c)
    q, k, v = net.wide(net.norm(t)).reshape(t.shape[0], 16, 3, 2, 4).permute(2, 0, 3, 1, 4)
    scores = (q * 0.5) @ k.transpose(-2, -1)
    mask = torch.arange(4 * 16 * 16).reshape(4, 16, 16).sin()
    scores = scores.view(t.shape[0] // 4, 4, 2, 16, 16) + mask.unsqueeze(1).unsqueeze(0)
    t = (scores.view(-1, 2, 16, 16).softmax(-1) @ v).transpose(1, 2).reshape(-1, 16, c)
    number = int(t.shape[0] / (h * w / 16))
    t = t.view(number, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(number, h, w, c)
    return x + torch.roll(t, (2, 2), (1, 2)).permute(0, 3, 1, 2)


def tokens(net: Net, x: Tensor) -> Tensor:
    t = torch.cat([net.token.expand(x.shape[0], -1, -1), x.flatten(2).transpose(1, 2)], 1)
    b, n, c = t.shape
    q, k, v = net.wide(t).reshape(b, n, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c)[:, 0]


def repeated_token(net: Net, x: Tensor) -> Tensor:
    return torch.cat([net.token.repeat(x.shape[0], 1, 1), x.flatten(2).transpose(1, 2)], 1)


def sequence_first(net: Net, x: Tensor) -> Tensor:
    t = x.mean(2).permute(2, 0, 1)
    t = torch.cat([t.mean(0, keepdim=True), net.linear(t)], 0)
    state, states = torch.zeros(t.shape[1], 8), []
    for i in range(3):
        state = torch.tanh(net.linear(state) + t[i])
        states.append(state)
    return torch.stack(states).transpose(0, 1)


def shuffled(_: Net, x: Tensor) -> tuple[Tensor, Tensor]:
    b, c, h, w = x.shape
    x = x.reshape(b * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, -1, c // 2, h, w)
    return x[0], x[1].relu()


def levels(net: Net, x: Tensor) -> tuple[Tensor, Tensor]:
    y = torch.stack([net.conv(x), x, x * 2])
    share = y.mean((2, 3, 4), keepdim=True).softmax(0)
    return (y * share).sum(0), y.amax(0)


def groups(net: Net, x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    g = x.reshape(b * 2, -1, h, w)
    y = net.few(g) * g.sigmoid()
    place = F.adaptive_avg_pool2d(y, 1).reshape(b * 2, -1, 1).permute(0, 2, 1).softmax(-1)
    return (g * (place @ y.flatten(2)).reshape(b * 2, 1, h, w).sigmoid()).reshape(b, c, h, w)


def halves(net: Net, x: Tensor) -> Tensor:
    y = net.conv(torch.cat([x, x.flip(3)], 0))
    first, second = y.chunk(2, 0)
    return first - second * y[x.shape[0] :]


def batched_heads(net: Net, x: Tensor) -> Tensor:
    t = x.flatten(2).transpose(1, 2)
    b, n, c = t.shape
    q, k, v = net.wide(t).view(b, n, 3, 2, 4).permute(2, 0, 3, 1, 4).reshape(3, b * 2, n, 4).unbind(0)
    t = torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v)
    return t.view(b, 2, n, 4).transpose(1, 2).reshape(b, n, c)


def normalized_tokens(net: Net, x: Tensor) -> Tensor:
    """More tokens than are taken one by one, all of them rows of one batch norm."""
    t = F.interpolate(x, (9, 8)).flatten(2).transpose(1, 2)
    return t + net.statistics(net.linear(t).flatten(0, 1)).reshape_as(t)


NETS: dict[str, Callable[[Net, Tensor], object]] = {
    "windows": windows,
    "tokens": tokens,
    "repeated token": repeated_token,
    "sequence first": sequence_first,
    "shuffled": shuffled,
    "levels": levels,
    "groups": groups,
    "halves": halves,
    "batched heads": batched_heads,
    "normalized tokens": normalized_tokens,
    "axis in front and away": lambda net, x: net.conv(x).unsqueeze(0).sigmoid().squeeze(0),
    "paths stacked behind": lambda net, x: torch.stack([net.conv(x), x], 1).mean(1),
    "constants of the batch": lambda net, x: x + torch.full((x.shape[0], 8, 1, 1), 0.5).cumsum(1),
}


def zeroed(net: Net) -> Net:
    """80 % of the weights are 0."""
    for parameter in net.parameters():
        parameter.data[torch.rand_like(parameter) < 0.8] = 0
    return net


def assert_equal(net: Net, example: int, batch: str = "free") -> None:
    graph = from_torch(net, torch.randn(example, 8, 8, 8), batch=batch)  # type: ignore[arg-type]
    engine = sparsenet.Engine(graph, threads=1)
    for count in (1, 3) if batch == "free" else (example,):
        x = torch.randn(count, 8, 8, 8)
        with torch.no_grad():
            made = net.eval()(x)
        wanted = [made] if isinstance(made, Tensor) else list(made)
        got = list(engine.run({"input": x.numpy() if batch == "free" else x.numpy()[None]}).values())
        for value, expected in zip(got, wanted, strict=True):
            result = value if batch == "free" else value[0]
            np.testing.assert_allclose(result, expected.numpy(), 1e-4, 1e-5)


@pytest.mark.parametrize("name", NETS)
def test_torch(name: str) -> None:
    assert_equal(zeroed(Net(NETS[name])), 2)
    if FULL:
        assert_equal(Net(NETS[name]), 1)


@pytest.mark.parametrize("name", ["windows", "sequence first", "halves", "groups", "normalized tokens"])
def test_torch_with_the_batch_given(name: str) -> None:
    assert_equal(Net(NETS[name]), 2, "fixed")


MIXED: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "mean over everything": lambda _, x: x / torch.mean(torch.pow(x, 2)),
    "softmax over the batch": lambda _, x: x.softmax(0),
    "one image of the batch": lambda _, x: x + x[0:1],
    "batch times batch": lambda _, x: x.flatten(1) @ x.flatten(1).t(),
    "number of images": lambda _, x: x * x.shape[0],
    "images flipped": lambda _, x: x.permute(1, 0, 2, 3).flip(1).permute(1, 0, 2, 3),
    "sum of a constant": lambda net, x: x + net.token.expand(x.shape[0], -1, -1).sum(0),
    "every image with every other": lambda _, x: x.flatten(1).unsqueeze(0) - x.flatten(1).unsqueeze(1),
    "constant against the batch": lambda net, x: (
        x.mean((2, 3)).unsqueeze(1) + net.token.expand(x.shape[0], -1, -1).transpose(0, 1)
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_what_mixes_images_needs_the_batch_as_a_number(name: str) -> None:
    net = Net(MIXED[name])
    with pytest.raises(UnsupportedOpError, match=r"batch.*convert with batch='fixed'"):
        from_torch(net, torch.randn(2, 8, 8, 8))
    assert_equal(net, 2, "fixed")


def test_outputs_have_the_batch_in_front() -> None:
    def outputs(_: Net, x: Tensor) -> tuple[Tensor, ...]:
        return x.flatten(2).permute(2, 0, 1), torch.cat([x, x + 1]).flatten(1), x.unsqueeze(0)

    net = Net(outputs)  # type: ignore[arg-type]
    x = np.random.default_rng(0).standard_normal((3, 8, 8, 8)).astype(np.float32)
    source = TorchSource(net, x)
    graph = passes.optimize(source.graph())
    assert verify(graph, source, {"input": x}).passed
    steps, joined, added = sparsenet.Engine(graph, threads=1).run({"input": x}).values()
    flat = x.reshape(3, 8, 64)
    np.testing.assert_array_equal(steps, flat.transpose(0, 2, 1))
    np.testing.assert_array_equal(joined, np.stack([x, x + 1], 1).reshape(3, 2, -1))
    np.testing.assert_array_equal(added, x[:, None])


_FACTORS = [(2, 4), (4, 2), (8,), (2, 2, 2)]


def _random_step(draw: st.DrawFn, x: Tensor, y: Tensor) -> Callable[[Tensor, int], Tensor]:
    """One operation that fits ``x``; ``y`` is the same tensor for a batch that is 3 times as large.

    The step takes a tensor and its batch.
    """
    axis = next(i for i in range(x.dim()) if x.shape[i] != y.shape[i])
    rank, times = x.dim(), x.shape[axis] // 2
    others = [i for i in range(rank) if i != axis]
    kind = draw(
        st.sampled_from(["permute", "stack", "select", "add", "matmul", "softmax", "sum", "fold", "apart"])
    )
    if kind == "permute":
        order = draw(st.permutations(range(rank)))
        return lambda t, _: t.permute(*order)
    if kind == "stack" and rank < 6 and x.numel() < 20000:
        where = draw(st.integers(0, rank))
        return lambda t, _: torch.stack([t, t * 2], where)
    if kind == "select" and rank > 2 and others:
        where = draw(st.sampled_from(others))
        index = draw(st.integers(0, x.shape[where] - 1))
        return lambda t, _: t.select(where, index)
    if kind == "matmul" and rank > 2 and axis != rank - 1:
        return lambda t, _: t @ torch.linspace(-1, 1, t.shape[-1] * 3).reshape(-1, 3)
    if kind == "softmax" and others:
        where = draw(st.sampled_from(others))
        return lambda t, _: t.softmax(where)
    if kind == "sum" and rank > 2:
        where = draw(st.sampled_from(others))
        keep = draw(st.booleans())
        return lambda t, _: t.sum(where, keepdim=keep)
    if kind == "fold" and rank > 2:
        where = draw(st.integers(0, rank - 2))
        return lambda t, _: t.flatten(where, where + 1)
    if kind == "apart" and times % 2 == 0:
        first = draw(st.booleans())
        sizes = list(x.shape)

        def apart(t: Tensor, batch: int) -> Tensor:
            half = [2, times // 2 * batch] if first else [times // 2 * batch, 2]
            return t.reshape(*sizes[:axis], *half, *sizes[axis + 1 :])

        return apart
    return lambda t, _: t * 0.5 + torch.linspace(-1, 1, t.shape[-1] if axis != rank - 1 else 1)


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_random_chains_around_the_batch(data: st.DataObject) -> None:
    x, y = torch.randn(2, 4, 6, 2), torch.randn(6, 4, 6, 2)
    steps, split = [], False
    for _ in range(data.draw(st.integers(1, 7))):
        step = _random_step(data.draw, x, y)
        mixed = step(x, 2), step(y, 6)
        steps.append(step)
        split |= step.__name__ == "apart"
        x, y = mixed

    class Chain(nn.Module):
        def forward(self, t: Tensor) -> Tensor:
            batch = t.shape[0]
            for step in steps:
                t = step(t, batch)
            return t * 1.5

    try:
        source = TorchSource(Chain(), torch.randn(2, 4, 6, 2))
        graph = source.graph()
    except UnsupportedOpError:
        assert split  # of all steps only this one can put images apart that were in one axis
        graph = from_torch(Chain(), torch.randn(2, 4, 6, 2), optimize=False, batch="fixed")
        feed = torch.randn(2, 4, 6, 2)
        made = sparsenet.Engine(graph, threads=1)(feed.numpy()[None])[0]
        np.testing.assert_allclose(made, Chain()(feed).numpy(), 1e-4, 1e-5)
        return
    optimized = passes.optimize(graph)
    for count in (1, 3):
        given_input = np.random.default_rng(count).standard_normal((count, 4, 6, 2)).astype(np.float32)
        assert verify(optimized, source, {"input": given_input}).passed


def _numbers(**values: int | list[int]) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in values.items()}


_SIZES = [
    node("Shape", "x", "s"),
    node("Gather", "s zero", "n", axis=0),
    node("Mul", "n four", "n4"),
    node("Unsqueeze", "n4 axes", "n4v"),
    node("Unsqueeze", "n axes", "nv"),
]
ONNX = {
    "sequence first and back": ([node("Transpose", "x", "a", perm=[2, 0, 1, 3]), node("Relu", "a", "b"),
        node("Transpose", "b", perm=[1, 2, 0, 3])], {}),
    "taken apart": ([node("Transpose", "x", "a", perm=[2, 0, 1, 3]), node("Gather", "a i", "b", axis=0),
        node("Gather", "a j", "c", axis=0), node("Add", "b c")], _numbers(i=0, j=3)),
    "added and taken away": ([node("Unsqueeze", "x a", "u"), node("Sigmoid", "u", "v"),
        node("Squeeze", "v a")], _numbers(a=[0])),
    "channels into the batch": ([*_SIZES, node("Concat", "n4v rest", "t", axis=0), node("Reshape", "x t", "a"),
        node("Softmax", "a", "b", axis=1), node("Concat", "nv all", "u", axis=0), node("Reshape", "b u")],
        _numbers(zero=0, four=4, axes=[0], rest=[63], all=[4, 7, 9])),
    "channels normalised": ([node("Reshape", "x rows", "a"), node("BatchNormalization", "a w b m v", "c"),
        node("Reshape", "c back")], {"rows": np.array([-1, 9]), "back": np.array([-1, 4, 7, 9]),
        "w": weights(9), "b": weights(9), "m": weights(9), "v": weights(9) ** 2 + 0.5}),
    "flattened": ([node("Flatten", "x", "a", axis=2), node("MatMul", "a w", "b"), node("Reshape", "b s")],
        {"w": weights(63, 5), "s": np.array([-1, 4, 5])}),
    "joined and split": ([node("Neg", "x", "m"), node("Concat", "x m", "a", axis=0), node("Conv", "a k", "b"),
        node("Split", "b", "c d", axis=0, num_outputs=2), node("Mul", "c d")], {"k": weights(3, 4, 2, 2)}),
    "levels": ([node("Unsqueeze", "x a", "u"), node("Exp", "x", "e"), node("Unsqueeze", "e a", "v"),
        node("Concat", "u v", "c", axis=0), node("ReduceSum", "c a", keepdims=0)], _numbers(a=[0])),
    "sliced to a far end": ([node("Slice", "x zeros ends axes", "y")],
        _numbers(zeros=[0, 1], ends=[10**9, 10**9], axes=[0, 2])),
    "statistics of each image": ([*_SIZES, node("Concat", "one nv all", "t", axis=0), node("Reshape", "x t", "a"),
        node("ReduceMean", "a ends", "m", keepdims=0), node("Mul", "a a", "p"),
        node("ReduceMean", "p ends", "q", keepdims=0), node("Expand", "half nv", "h"),
        node("BatchNormalization", "a h m m q", "b"), node("Concat", "nv rest", "u", axis=0), node("Reshape", "b u")],
        _numbers(zero=0, four=4, axes=[0], one=[1], all=[252, 1], ends=[0, 2, 3], rest=[252])
        | {"half": np.float32([0.5])}),
}  # fmt: skip


@pytest.mark.parametrize("shape", [("N", 4, 7, 9), (1, 4, 7, 9), (2, 4, 7, 9)])
@pytest.mark.parametrize("name", ONNX)
def test_onnx(name: str, shape: tuple[str | int, ...]) -> None:
    nodes, constants = ONNX[name]
    proto = model(nodes, constants, shape=shape)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    free = sparsenet.Engine(from_onnx(proto), threads=1)
    size = shape[0] if isinstance(shape[0], int) else 1
    fixed = sparsenet.Engine(from_onnx(proto, batch="fixed"), threads=1)
    for count in (1, 3) if shape[0] == "N" else (size,):
        x = np.random.default_rng(0).standard_normal((count, *shape[1:])).astype(np.float32)
        (expected,) = session.run(None, {"x": x})
        np.testing.assert_allclose(free(x), expected, 1e-4, 1e-5)
        source = OnnxSource(proto)
        assert verify(passes.optimize(source.graph()), source, {"x": x}).passed
        if count == size:
            np.testing.assert_allclose(fixed(x[None])[0], expected, 1e-4, 1e-5)
