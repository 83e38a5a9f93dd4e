"""Transposed convolutions of every geometry against PyTorch: one convolution, one depth to space, at most a crop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from converters import from_torch  # noqa: E402
from sparsenet import reference  # noqa: E402
from tests.full import FULL  # noqa: E402


@st.composite
def layers(draw: st.DrawFn) -> tuple[nn.ConvTranspose2d, tuple[int, int]]:
    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    kernel, stride, dilation, size = pair(1, 5), pair(1, 4), pair(1, 2), pair(1, 6)
    padding = pair(0, 3)
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    groups = draw(st.sampled_from([1, 2]))
    layer = nn.ConvTranspose2d(4, 6, kernel, stride, padding, extra, groups, draw(st.booleans()), dilation)
    return layer, size


@settings(max_examples=60 if FULL else 20, deadline=None)
@given(layers())
def test_every_geometry(case: tuple[nn.ConvTranspose2d, tuple[int, int]]) -> None:
    layer, size = case
    with torch.no_grad():
        for p in layer.parameters():
            p.normal_()
    x = torch.randn(2, 4, *size)
    try:
        expected = layer(x).detach().numpy()
    except RuntimeError:  # less than nothing would be left of the result
        expected = np.empty(0)
    if not expected.size:
        return
    graph = from_torch(layer.eval(), x)
    y = reference.run(graph, {graph.inputs[0].name: x.numpy()})[graph.outputs[0]]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "kernel, stride, padding, extra, ops, taps",
    [
        (2, 2, 0, 0, ["conv2d", "depth_to_space"], 1),
        (3, 2, 1, 1, ["conv2d", "depth_to_space"], 2),
        (3, 2, 1, 0, ["conv2d", "depth_to_space", "slice", "slice"], 2),
        (4, 2, 1, 0, ["conv2d", "depth_to_space", "slice", "slice"], 2),
        (4, 4, 0, 0, ["conv2d", "depth_to_space"], 1),
        (3, 1, 1, 0, ["conv2d"], 3),
    ],
)
def test_what_it_becomes(
    kernel: int, stride: int, padding: int, extra: int, ops: list[str], taps: int
) -> None:
    layer = nn.ConvTranspose2d(4, 6, kernel, stride, padding, extra).eval()
    graph = from_torch(layer, torch.zeros(1, 4, 5, 7))
    assert [node.op for node in graph.nodes] == ops
    assert graph.constants[graph.nodes[0].inputs[1]].shape[2:] == (taps, taps)
