"""Our dense kernels against ONNX Runtime's, one thread, layer by layer of real networks.

Run ``python -m bench.dense_shapes``. A layer alone would also be charged for changing the layout of its input and
output; what a layer costs inside a network is the difference between the chain A → B → A' → B' and its first half,
where A is the layer and B leads back from its output to its input (all four with weights of their own). First
convolutions cannot be chained: they are timed whole, from the image to global averages.
"""

from __future__ import annotations

from dataclasses import dataclass

import click
import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from bench.measure.command import BenchCommand
from sparsenet import Engine, Graph, Node, TensorInfo
from sparsenet.errors import InputError
from sparsenet.text.table import render
from sparsenet.timing import PROCESS, Samples, interleaved


@dataclass(frozen=True)
class DenseShape:
    """A convolution: square map, square window, padding that keeps the size (before the stride)."""

    c_in: int
    c_out: int
    size: int
    kernel: int = 1
    stride: int = 1

    @property
    def name(self) -> str:
        """As in ``3x3 64-64 @56``."""
        stride = f" /{self.stride}" if self.stride > 1 else ""
        return f"{self.kernel}x{self.kernel} {self.c_in}-{self.c_out} @{self.size}{stride}"

    @property
    def flops(self) -> float:
        """Two per multiply-add."""
        return 2.0 * self.c_in * self.c_out * self.kernel**2 * (self.size // self.stride) ** 2

    @property
    def back(self) -> DenseShape:
        """The layer from this one's output to its input."""
        return DenseShape(self.c_out, self.c_in, self.size, self.kernel)


SHAPES = [
    DenseShape(128, 128, 64),
    DenseShape(256, 256, 32),
    DenseShape(256, 1024, 16),
    DenseShape(64, 128, 56),
    DenseShape(128, 128, 56),
    DenseShape(256, 256, 28),
    DenseShape(512, 512, 14),
    DenseShape(1024, 1024, 7),
    DenseShape(64, 256, 56),
    DenseShape(128, 512, 28),
    DenseShape(256, 1024, 14),
    DenseShape(512, 2048, 7),
    DenseShape(64, 64, 56, 3),
    DenseShape(128, 128, 28, 3),
    DenseShape(256, 256, 14, 3),
    DenseShape(512, 512, 7, 3),
    DenseShape(32, 64, 62, 3),
    DenseShape(256, 256, 62, 3),
    DenseShape(728, 728, 19),
    DenseShape(728, 1024, 10),
    DenseShape(3, 32, 256, 3, 2),
    DenseShape(3, 32, 224, 3, 2),
    DenseShape(3, 64, 224, 7, 2),
]


def chain(layers: list[DenseShape], averages: bool, seed: int = 0) -> Graph:
    """Convolutions with bias and ReLU one after the other; global averages behind them if asked."""
    rng = np.random.default_rng(seed)
    nodes, constants, tensor = [], {}, "x"
    for i, layer in enumerate(layers):
        shape = (layer.c_out, layer.c_in, layer.kernel, layer.kernel)
        scale = np.float32((2 / (layer.c_in * layer.kernel**2)) ** 0.5)
        constants[f"w{i}"] = rng.standard_normal(shape, np.float32) * scale
        constants[f"b{i}"] = rng.standard_normal(layer.c_out, np.float32)
        attrs = {"padding": [layer.kernel // 2] * 4, "stride": [layer.stride] * 2, "epilogue": [["relu"]]}
        nodes.append(Node("conv2d", f"conv{i}", [tensor, f"w{i}", f"b{i}"], [f"y{i}"], attrs))
        tensor = f"y{i}"
    if averages:
        nodes.append(Node("global_avg_pool2d", "averages", [tensor], ["averages"]))
        tensor = "averages"
    first = layers[0]
    info = TensorInfo("x", (None, first.c_in, first.size, first.size))
    return Graph("chain", [info], [tensor], nodes, constants)


def onnx_session(graph: Graph) -> onnxruntime.InferenceSession:
    """ONNX Runtime, one thread, on the same network."""
    nodes = []
    for node in graph.nodes:
        if node.op == "global_avg_pool2d":
            nodes.append(helper.make_node("GlobalAveragePool", node.inputs, node.outputs))
            continue
        raw = node.outputs[0] + "_raw"
        pads, strides = node.attrs["padding"], node.attrs["stride"]
        nodes.append(helper.make_node("Conv", node.inputs, [raw], pads=pads, strides=strides))
        nodes.append(helper.make_node("Relu", [raw], node.outputs))
    info = graph.inputs[0]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            graph.name,
            [helper.make_tensor_value_info(info.name, onnx.TensorProto.FLOAT, [1, *info.shape[1:]])],
            [helper.make_tensor_value_info(graph.outputs[0], onnx.TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def race(shape: DenseShape, rounds: int) -> tuple[float, float, str]:
    """Processor seconds of one layer, ONNX Runtime's and ours, and the tiles we took."""
    stem = shape.stride > 1
    pair = [shape] if stem else [shape, shape.back]
    graphs = [chain(pair, stem)] if stem else [chain(pair, False), chain([*pair, *pair], False)]
    x = np.random.default_rng(1).standard_normal((1, shape.c_in, shape.size, shape.size)).astype(np.float32)
    engines = [Engine(graph, 1, sparse=False) for graph in graphs]
    sessions = [onnx_session(graph) for graph in graphs]
    np.testing.assert_allclose(engines[0](x), sessions[0].run(None, {"x": x})[0], rtol=1e-3, atol=1e-3)
    calls = {f"ours{i}": (lambda e=engine: e(x)) for i, engine in enumerate(engines)}
    calls |= {f"ort{i}": (lambda s=session: s.run(None, {"x": x})) for i, session in enumerate(sessions)}
    taken = interleaved(calls, rounds, PROCESS)
    samples = dict(zip(calls, taken.seconds(*calls), strict=True))
    kernels = [choice.kernel.split("__cpu_")[1] for choice in engines[0].explain() if choice.op == "conv2d"]
    if stem:
        return typical(samples["ort0"]), typical(samples["ours0"]), kernels[0]
    layers = [(typical(samples[f"{name}1"]) - typical(samples[f"{name}0"])) / 2 for name in ("ort", "ours")]
    return layers[0], layers[1], " ".join(dict.fromkeys(kernels))


def typical(samples: Samples) -> float:
    """The first quartile: neighbours on the machine only ever add time."""
    return float(np.quantile(samples, 0.25))


@click.command(cls=BenchCommand)
@click.option("--rounds", type=click.IntRange(3), default=60, show_default=True)
@click.option("--only", default="", help="Shapes whose name contains this, as '3x3' or '@7'.")
def main(rounds: int, only: str) -> None:
    """Milliseconds per layer (mean of the layer and its way back), ONNX Runtime against our dense kernel."""
    rows = []
    shapes = [shape for shape in SHAPES if only in shape.name]
    if not shapes:
        raise InputError(f"no shape has '{only}' in its name; there are {', '.join(s.name for s in SHAPES)}")
    for shape in shapes:
        ort, own, kernels = race(shape, rounds)
        rates = [shape.flops / seconds / 1e9 for seconds in (ort, own)]
        rows.append((shape.name, f"{ort * 1e3:.3f}", f"{own * 1e3:.3f}", *rates, ort / own, kernels))
        click.echo(f"{shape.name}: {ort / own:.2f}", err=True)
    click.echo(
        render(["layer", "ORT ms", "ours ms", "ORT GFLOP/s", "ours GFLOP/s", "speed-up", "tiles"], rows)
    )


if __name__ == "__main__":
    main()
