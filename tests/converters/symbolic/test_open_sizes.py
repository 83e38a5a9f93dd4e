"""Networks whose image size stays open: one graph, any size, a plan for each in the engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from torch import Tensor, nn

from converters import from_onnx, from_torch
from converters.conversion.command import convert
from converters.conversion.sources import open_source
from converters.passes.optimize import optimize
from sparsenet import Engine, Graph, TensorInfo, load, reference, save
from sparsenet.errors import InputError, UnsupportedOpError
from sparsenet.io.model_file import load_graph
from tests.converters.importing import relative_error
from tests.converters.onnx.models import model, node, run_onnxruntime, weights
from training.checkpoint import ModelInfo, save_model
from training.models import build_model
from training.zoo import open_network


class Pyramid(nn.Module):
    """Sizes by scale, by another map, to the input's own; a maximum over the image; rows of pixels as a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 2, 1)
        self.head = nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = F.relu(self.down1(x))
        coarse = F.relu(self.down2(fine))
        merged = fine + F.interpolate(coarse, size=fine.shape[2:])
        whole = F.interpolate(self.head(merged), size=x.shape[2:], mode="bilinear")
        twice = F.interpolate(coarse, scale_factor=2.0)
        return whole, F.adaptive_max_pool2d(twice, 1).flatten(1), coarse.flatten(2).permute(0, 2, 1)


def graph_of(module: nn.Module, size: tuple[int, int] = (24, 32)) -> Graph:
    torch.manual_seed(0)
    return from_torch(module, torch.randn(1, 3, *size), open_size=True)


def test_pytorch_at_sizes_it_was_not_traced_at(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Pyramid().eval()
    graph = from_torch(module, torch.randn(1, 3, 24, 32), open_size=True)
    assert [info.open for info in graph.inputs] == [(2, 3)]
    save(graph, tmp_path / "m.safetensors")
    engine = load(tmp_path / "m.safetensors", threads=1)
    for size in ((24, 32), (17, 45), (40, 40), (24, 32)):
        x = torch.randn(2, 3, *size)
        with torch.no_grad():
            expected = module(x)
        ours = reference.run(graph.at_shapes({"input": (None, 3, *size)}), {"input": x.numpy()})
        for got, same, wanted in zip(engine(x.numpy()), ours.values(), expected, strict=True):
            assert relative_error(got, wanted.numpy()) < 1e-5
            assert relative_error(same, wanted.numpy()) < 1e-5


def test_onnx_with_open_rows_and_columns() -> None:
    proto = model(
        [
            node("Conv", "x w", "a", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("Shape", "x", "s"),
            node("Gather", "s i", "hw"),
            node("Shape", "a", "t"),
            node("Gather", "t j", "nc"),
            node("Concat", "nc hw", "size", axis=0),
            node("Resize", "a _ _ size", "b", mode="linear"),
            node("Concat", "b x", "y", axis=1),
        ],
        {"w": weights(4, 3, 3, 3), "i": np.array([2, 3]), "j": np.array([0, 1])},
        shape=("N", 3, "H", "W"),
    )
    with pytest.raises(InputError, match="image_size"):
        from_onnx(proto)
    graph = from_onnx(proto, image_size=(16, 20))
    engine = Engine(graph, 1)
    for size in ((16, 20), (11, 30)):
        x = np.random.default_rng(0).standard_normal((2, 3, *size)).astype(np.float32)
        assert relative_error(engine.run({"x": x})["y"], run_onnxruntime(proto, x)[0]) < 1e-5


def test_the_command_keeps_sizes_open(tmp_path: Path) -> None:
    source, target = tmp_path / "m.onnx", tmp_path / "m.safetensors"
    onnx.save(model([node("Relu", "x")], shape=("N", 3, "H", "W")), source)
    arguments = [str(source), "-o", str(target), "--no-speed", "--verify", "--image-size", "16", "20"]
    result = CliRunner().invoke(convert, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert load_graph(target).inputs == [TensorInfo("x", (None, 3, 16, 20), open=(2, 3))]


def test_a_fixed_size_stays_fixed() -> None:
    proto = model([node("Relu", "x")], shape=("N", 3, 4, 5))
    assert from_onnx(proto, image_size=(9, 9)).inputs[0].open == ()


class Bound(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 24 * 32, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1))


class Squares(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2)[:, :, : x.shape[2] ** 2 // 8].contiguous()


class Placed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.randn(1, 3, 200, 300))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.places[:, :, : x.shape[2], : x.shape[3]]


def test_what_is_bound_to_a_size_is_refused() -> None:
    with pytest.raises(UnsupportedOpError):
        graph_of(Bound())
    with pytest.raises(UnsupportedOpError, match=r"'slice'? \(slice\): its count is 72 and 968"):
        graph_of(Squares())
    with pytest.raises(UnsupportedOpError, match=r"constant '.*' depends on the size of an input"):
        graph_of(Placed())


def test_a_size_the_network_cannot_take() -> None:
    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(F.max_pool2d(x, 2), scale_factor=2.0) + x

    graph = graph_of(Twice())
    engine = Engine(graph, 1)
    engine(np.zeros((1, 3, 26, 40), np.float32))
    reason = r"'input' \(N, 3, 25, 40\): dimension 2 of input 'input' may be 24 more or less a multiple of 2, got 25"
    with pytest.raises(InputError, match="cannot take inputs of this size: " + reason):
        engine(np.zeros((1, 3, 25, 40), np.float32))
    with pytest.raises(InputError, match=r"must have shape \(N, 3, any, any\)"):
        engine(np.zeros((1, 4, 24, 32), np.float32))


def test_plans_are_bounded() -> None:
    graph = graph_of(nn.ReLU())
    engine = Engine(graph, 1, sizes=2)
    for rows in (20, 21, 22, 20):
        engine(np.zeros((1, 3, rows, 32), np.float32))
    assert engine._backend.others is not None
    assert [shapes[0][1] for shapes in engine._backend.others._plans] == [
        (None, 3, 22, 32),
        (None, 3, 20, 32),
    ]
    with pytest.raises(InputError, match="sizes must be at least 1"):
        Engine(graph, 1, sizes=0)


def test_the_command_refuses_a_size_that_nothing_leaves_open(tmp_path: Path) -> None:
    source = tmp_path / "m.onnx"
    onnx.save(model([node("Relu", "x")], shape=("N", 3, 4, 5)), source)
    with pytest.raises(InputError, match="leaves no rows and columns of an image open"):
        open_source(source, image_size=(9, 9))
    other = tmp_path / "m.safetensors"
    save_model(other, build_model("minixception-128", 4), ModelInfo("minixception-128", tuple("abcd"), 32))
    with pytest.raises(InputError, match="is not ONNX: a shape is for ONNX models"):
        open_source(other, shapes={"input": (1, 3, 9, 9)})
    with pytest.raises(InputError, match="at least one row and one column, not 0×9"):
        open_source(other, image_size=(0, 9))


def test_networks_of_the_zoo_take_images_of_another_size() -> None:
    graph = open_source("minixception-128", image_size=(32, 48)).converted(optimize)
    assert graph.inputs[0].shape == (None, 3, 32, 48)
    images = np.random.default_rng(0).standard_normal((1, 3, 32, 48), np.float32)
    theirs, _ = open_network("minixception-128")
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(Engine(graph, 1)(images), expected, rtol=1e-4, atol=1e-5)
