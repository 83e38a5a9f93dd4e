"""Quantized networks are written in the order of channels that has few quads, unless one is told to keep it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from converters.conversion.pipeline import convert
from converters.onnx_import import OnnxSource
from converters.quantization.order import METADATA
from sparsenet import reference
from sparsenet.cli import main
from sparsenet.graph import Graph
from sparsenet.io.model_file import load_graph, save
from tests.converters.onnx.models import model, node
from tests.converters.passes.networks import Net

RNG = np.random.default_rng(0)
CHANNELS = 16


def sparse(*shape: int) -> np.ndarray:
    return np.where(RNG.random(shape) < 0.15, RNG.integers(-127, 128, shape), 0).astype(np.int8)


def same(a: Graph, b: Graph) -> bool:
    (info,) = a.inputs
    feeds = {info.name: RNG.standard_normal((2, *(int(d or 1) for d in info.shape[1:])), np.float32)}
    return all(np.array_equal(v, reference.run(b, feeds)[n]) for n, v in reference.run(a, feeds).items())


def test_quantize_writes_the_order_and_says_so(tmp_path: Path) -> None:
    net = Net((3, 8, 8))
    x = net.conv("x", CHANNELS, 3, epilogue=[["relu"]])
    graph = net.graph(net.head(net.conv(x, CHANNELS, 1)))
    for _, name, weight in graph.weights():
        graph.constants[name] = np.where(RNG.random(weight.shape) < 0.2, weight, 0).astype(np.float32)
    save(graph, tmp_path / "float.safetensors")
    written = {}
    for options in ((), ("--keep-order",)):
        path = tmp_path / f"int8{len(options)}.safetensors"
        command = [
            "quantize",
            tmp_path / "float.safetensors",
            "--calibrate",
            "random",
            "--samples",
            2,
            "-o",
            path,
        ]
        result = CliRunner().invoke(main, [*map(str, command), *options])
        assert result.exit_code == 0, result.output
        written[options] = load_graph(path)
        told = CliRunner().invoke(main, ["info", str(path)]).stdout
        assert ("channels moved" in result.stdout) == (METADATA in told) == (not options)
    assert same(*written.values())


@pytest.mark.parametrize("density", [0.15, 1.0])
def test_convert_moves_channels_where_quads_become_fewer(tmp_path: Path, density: float) -> None:
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("DequantizeLinear", "w s", "f", axis=0),
        node("DequantizeLinear", "q s z", "d"),
        node("Conv", "d f", "c"),
        node("QuantizeLinear", "c s z", "r"),
        node("DequantizeLinear", "r s z", "e"),
        node("DequantizeLinear", "v s", "g", axis=0),
        node("Conv", "e g", "y"),
    ]
    dense = np.ones((CHANNELS, CHANNELS, 1, 1), np.int8)
    second = dense if density == 1 else sparse(*dense.shape)
    constants = {"s": np.float32(0.05), "z": np.uint8(128), "w": sparse(CHANNELS, 4, 1, 1) + 1, "v": second}
    nodes += [node("QuantizeLinear", "y s z", "t"), node("DequantizeLinear", "t s z", "u")]
    proto = model(nodes, {n: np.asarray(a) for n, a in constants.items()}, outputs=("u",))
    reports = [
        convert(
            OnnxSource(proto), tmp_path / f"{keep}", keep_order=keep, measure_speed=False, verify_layers=True
        )
        for keep in (False, True)
    ]
    quads = reports[0].quads
    assert quads is not None
    assert (quads.after < quads.before) == (density < 1)
    assert reports[1].quads is None
    assert same(load_graph(tmp_path / "False"), load_graph(tmp_path / "True"))
