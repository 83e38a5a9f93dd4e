"""What the importer tests share: a source network and its Graph must give the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from converters import from_torch, passes
from sparsenet import reference
from sparsenet.graph import Graph

if TYPE_CHECKING:
    import torch  # in functions: processes that import ONNX models alone start in half the time without it

TOLERANCE = 1e-5


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max() / max(np.abs(expected).max(), 1e-30))


def assert_outputs(
    graph: Graph,
    feeds: Mapping[str, np.ndarray],
    expected: Sequence[np.ndarray],
    tolerance: float = TOLERANCE,
) -> None:
    results = reference.run(graph, feeds)
    for name, wanted in zip(graph.outputs, expected, strict=True):
        assert relative_error(results[name], wanted) <= tolerance, name


def flat(outputs: object) -> list[np.ndarray]:
    """Arrays of whatever a module returned, in order."""
    import torch

    return [leaf.numpy() for leaf in torch.utils._pytree.tree_leaves(outputs)]


def assert_converts(
    module: torch.nn.Module, *shapes: tuple[int, ...], batch: int = 3, tolerance: float = TOLERANCE
) -> Graph:
    """Trace at batch 1, compare at another batch, both as imported and optimized; returns the imported graph."""
    import torch

    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d) and part.running_mean is not None:
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
    example = tuple(torch.randn(1, *shape) for shape in shapes)
    inputs = tuple(torch.randn(batch, *shape) for shape in shapes)
    raw = from_torch(module, example, optimize=False)
    with torch.no_grad():
        expected = flat(module.eval()(*inputs))
    feeds = {info.name: tensor.numpy() for info, tensor in zip(raw.inputs, inputs, strict=True)}
    assert_outputs(raw, feeds, expected, tolerance)
    assert_outputs(passes.optimize(raw), feeds, expected, tolerance)
    return raw
