"""Real networks, structured-pruned, imported and optimised: as the source framework computes them, and smaller."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from converters import from_torch  # noqa: E402
from converters.passes import optimize  # noqa: E402
from sparsenet.graph import Graph  # noqa: E402
from sparsenet.reference import run  # noqa: E402
from training.models import MaskCNN, MiniXception, MobileNetV1  # noqa: E402

ZOO: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "maskcnn": (MaskCNN, 124),
    "minixception": (MiniXception, 64),
    "mobilenetv1": (lambda: MobileNetV1(width=0.25), 64),
}


def pruned(make: Callable[[], nn.Module], fraction: float, *, silent: bool) -> nn.Module:
    """The model with random BN statistics and a fraction of each convolution's output channels zeroed.

    ``silent`` zeroes bias and BN of these channels as well; without, their constants live on.
    """
    torch.manual_seed(0)
    model = make().eval()
    dead = torch.zeros(0, dtype=torch.long)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            dead = torch.zeros(0, dtype=torch.long)
            if module.groups == 1 and module.out_channels > 8:
                dead = torch.randperm(module.out_channels)[: int(fraction * module.out_channels)]
                module.weight.data[dead] = 0
                if silent and module.bias is not None:
                    module.bias.data[dead] = 0
        elif isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.bias, 0.1, 0.3)
            if silent:
                module.bias.data[dead] = 0
                module.weight.data[dead] = 0
    return model


def size(graph: Graph) -> int:
    return sum(weight.size for *_, weight in graph.weights())


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("name", ZOO)
def test_structured_pruned_model_is_smaller_and_the_same(name: str, silent: bool) -> None:
    make, side = ZOO[name]
    model = pruned(make, 0.5, silent=silent)
    x = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    graph = from_torch(model, x, optimize=False)
    optimized = optimize(graph)
    with torch.no_grad():
        expected = model(x).numpy()
    got = run(optimized, {optimized.inputs[0].name: x.numpy()})[optimized.outputs[0]]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    # Half of the inputs times half of the outputs, where nothing but a residual stands in the way.
    limit = {"maskcnn": 0.4, "minixception": 0.45, "mobilenetv1": 0.3} if silent else dict.fromkeys(ZOO, 0.7)
    assert size(optimized) < limit[name] * size(graph)


@pytest.mark.parametrize("name", ZOO)
def test_optimized_model_has_only_what_the_engine_fuses(name: str) -> None:
    make, side = ZOO[name]
    optimized = optimize(from_torch(make().eval(), torch.zeros(1, 3, side, side), optimize=False))
    ops = {node.op for node in optimized.nodes}
    assert ops <= {"conv2d", "linear", "max_pool2d", "global_avg_pool2d", "flatten", "relu"}
    assert sum(node.op == "relu" for node in optimized.nodes) == (1 if name == "minixception" else 0)
