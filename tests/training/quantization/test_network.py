"""Networks made to round: what is folded, what is rounded, what export and files tell of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from converters import from_torch
from sparsenet import reference
from sparsenet.errors import InputError
from sparsenet.graph.integer import integer_nodes
from tests.training.tiny_images import tiny_images
from training.checkpoint import ModelInfo, load_model, save_model
from training.loop.config import TrainConfig
from training.models import build_model
from training.models.layers import global_average_pool
from training.pruning import Masks, find_masks
from training.quantization import FakeQuantize, calibrate, grids, quantized, zeros_held
from training.quantization.fake_quantize import RoundedWeights
from training.train import train


class Residual(nn.Module):
    """What integer kernels treat each in its own way; input (N, 3, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.left, self.right = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.up, self.down = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)
        self.pool, self.relu = nn.MaxPool2d(2), nn.ReLU()
        self.late = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)
        for norm in (self.stem[1], self.late):
            nn.init.uniform_(norm.running_mean, -1, 1)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.uniform_(norm.weight, -1, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.relu(self.left(x) + self.right(x))
        x = self.pool(torch.cat([self.up(x), self.down(x)], 1))
        return self.head(global_average_pool(self.late(self.relu(x))))


def images(seed: int = 0, n: int = 16) -> Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def calibrated(model: nn.Module) -> nn.Module:
    network = quantized(model)
    calibrate(network, [images()])
    return network


def test_what_is_rounded() -> None:
    network = calibrated(Residual().eval())
    found = grids(network)
    # Not: stem and left + right before their ReLU, right, which takes the add, up and down before they are joined, and
    # the pool. relu_1 stands alone behind the pool.
    assert list(found.activations) == ["x", "stem_2", "left", "relu", "cat", "relu_1", "late", "mean", "head"]
    assert list(found.weights) == ["stem.0", "left", "right", "up", "down", "head"]
    assert found.activations["relu"][1] == 0


def test_without_rounding_it_is_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Residual().eval()
    network = quantized(model)
    assert "stem.1.weight" not in network.state_dict()
    monkeypatch.setattr(FakeQuantize, "forward", lambda self, x: x)
    monkeypatch.setattr(RoundedWeights, "rounded", lambda self, weight: weight)
    torch.testing.assert_close(network(images(1)), model(images(1)))
    # A BatchNorm that could not be folded keeps its statistics while training.
    torch.testing.assert_close(network.train()(images(2)), model(images(2)))


def test_export_shows_the_grids_and_computes_the_same() -> None:
    network = calibrated(Residual().eval())
    program = torch.export.export(network, (images(3),))
    ops = torch.ops.quantized_decomposed
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    shown = [node.args[1:3] for node in calls if node.target is ops.quantize_per_tensor.default]
    assert shown == list(grids(network).activations.values())
    scales = dict(program.named_buffers()) | program.constants
    names = program.graph_signature.inputs_to_buffers
    per_channel = [
        scales[names[n.args[1].name]] for n in calls if n.target is ops.quantize_per_channel.default
    ]
    for shown_scales, own in zip(per_channel, grids(network).weights.values(), strict=True):
        assert torch.equal(shown_scales, own)
    # A product at the middle of two steps may go either way.
    torch.testing.assert_close(program.module()(images(3)), network(images(3)), atol=2 * shown[-1][0], rtol=0)


def test_conversion_takes_the_grids_that_were_trained() -> None:
    network = calibrated(Residual().eval())
    found = grids(network)
    graph = from_torch(network, images(3, 2))
    own = [(np.float32(scale), point) for scale, point in found.activations.values()]
    activations = [grid for grid in graph.quantization.values() if grid.axis is None]
    assert {(grid.scale[()], grid.zero_point) for grid in activations} == set(own)
    scales = [grid.scale for grid in graph.quantization.values() if grid.axis == 0]
    trained = [scale for scale in scales if any(np.array_equal(scale, own) for own in found.weights.values())]
    assert len(trained) == len(found.weights)
    # The BatchNorm behind a ReLU has a grid of its own scales, and everything is computed in integers.
    assert len(scales) == len(trained) + 1
    assert {n.op for n in graph.nodes if n.name not in integer_nodes(graph, graph.shapes())} == set()
    (answer,) = reference.run(graph, {graph.inputs[0].name: images(3, 2).numpy()}).values()
    step = found.activations["head"][0]
    assert np.abs(answer - network(images(3, 2)).detach().numpy()).max() <= 2.01 * step


def test_channels_that_are_removed_leave_the_others_on_their_grids() -> None:
    model = Residual().eval()
    with torch.no_grad():
        model.up.weight[1], model.up.bias[1] = 0, 0.0
    graph = from_torch(calibrated(model), images(3, 2))
    assert graph.constants["up.weight"].shape[0] == 3
    assert graph.quantization["up.weight"].scale.shape == (3,)
    assert {n.op for n in graph.nodes if n.name not in integer_nodes(graph, graph.shapes())} == set()


def test_training_keeps_zeros_and_files_keep_grids(tmp_path: Path) -> None:
    model = build_model("minixception-128", 4, 0)
    masks = find_masks(model, sparsity=0.6, block=(1, 4))
    masks.finalize(model)
    data = tiny_images(16)
    network = quantized(model)
    calibrate(network, [torch.randn(4, 3, 32, 32)])
    first = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    config = TrainConfig(stages=((32, 1),), batch_size=8, precision="fp32")
    trained = train(network, data, config, hooks=[zeros_held(network)], progress=False).model
    assert Masks.from_zeros(trained) == masks
    assert not torch.equal(trained.state_dict()["grids.x.low"], first["grids.x.low"])
    save_model(
        tmp_path / "q.safetensors",
        trained,
        ModelInfo("minixception-128", data.class_names, 32, quantized=True),
    )
    loaded, info = load_model(tmp_path / "q.safetensors")
    assert info.quantized
    assert grids(loaded).activations == grids(trained).activations
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded(x), trained(x))


def test_biases_of_empty_channels_stay_zero_and_no_others() -> None:
    network = nn.Sequential(nn.Linear(4, 3))
    with torch.no_grad():
        network[0].weight[1:] = 0
        network[0].bias.copy_(torch.tensor([0.0, 0.0, 5.0]))
    held = zeros_held(network)
    assert held["0.bias"].tolist() == [True, False, True]
    assert held.affine == {"0.bias"}


class Own(nn.Conv2d):
    """A convolution of somebody's own."""


def test_what_cannot_be_quantized_is_named() -> None:
    with pytest.raises(InputError, match="layer '0' is a Own, which cannot be quantized"):
        quantized(nn.Sequential(Own(3, 4, 1)))

    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(
        InputError, match=r"torch.fx cannot trace Branching, so it cannot be quantized: .*control flow"
    ):
        quantized(Branching())
