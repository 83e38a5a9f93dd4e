"""Networks of every common family, dense and with 80 % zeros: the engine equals PyTorch and ONNX Runtime.

A GPU has a plan for all of them.
"""

from __future__ import annotations

import io
import warnings
from typing import Literal

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from converters import from_onnx, from_torch
from sparsenet import Engine, Graph
from sparsenet.targets.cuda.builder import Options as GpuOptions
from sparsenet.targets.cuda.make import make_plan as gpu_plan
from tests.converters.architectures import ARCHITECTURES, build
from tests.converters.importing import flat, relative_error
from tests.full import FULL, chosen

TOLERANCE = 1e-4
#: Those whose kernels the short suite compiles: layers that the zoo and other tests' networks do not have.
COMPILED = ("ConvNeXt", "U-Net", "YOLO")


def network(name: str, sparsity: float) -> tuple[nn.Module, torch.Tensor, list[np.ndarray]]:
    """The network, two images, and what PyTorch answers to them."""
    module, shape = build(name, sparsity)
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return module, x, flat(module(x))


def exported(module: nn.Module, x: torch.Tensor) -> bytes:
    """The module as an ONNX model with a free batch."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter itself
        torch.onnx.export(
            module, (x,), file, dynamo=False, opset_version=18, input_names=["input"],
            dynamic_axes={"input": {0: "N"}},
        )  # fmt: skip
    return file.getvalue()


def run_onnxruntime(model: bytes, x: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
    return [np.asarray(result) for result in session.run(None, {"input": x})]


def assert_equal(
    graph: Graph,
    x: np.ndarray,
    expected: list[np.ndarray],
    backend: Literal["compiled", "numpy"],
) -> None:
    engine = Engine(graph, 1, backend=backend)
    results = list(engine.run({graph.inputs[0].name: x}).values())
    engine.close()
    assert len(results) == len(expected)
    for got, wanted in zip(results, expected, strict=True):
        assert relative_error(got, wanted) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("sparsity", chosen([0.8], [0.0, 0.8]))
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_from_pytorch(name: str, sparsity: float) -> None:
    module, x, expected = network(name, sparsity)
    graph = from_torch(module, x[:1])
    assert_equal(graph, x.numpy(), expected, "compiled" if FULL or name in COMPILED else "numpy")
    for batch in (1, 3):
        assert gpu_plan(graph, GpuOptions(batch)).launches


@pytest.mark.slow
@pytest.mark.parametrize("sparsity", chosen([0.0], [0.0, 0.8]))
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_from_onnx(name: str, sparsity: float) -> None:
    module, x, expected = network(name, sparsity)
    model = exported(module, x[:1])
    for ours, theirs in zip(expected, run_onnxruntime(model, x.numpy()), strict=True):
        assert relative_error(ours, theirs) < TOLERANCE
    # Dense networks run compiled as the zoo.
    assert_equal(from_onnx(model), x.numpy(), expected, "compiled" if FULL else "numpy")
