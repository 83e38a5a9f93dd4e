"""What one writes without a framework: im2col, then NumPy's matrix product, or SciPy's with CSR weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from bench.engines.session import EngineMissing, Network, Session
from sparsenet.graph import Node
from sparsenet.graph.ops import OPS, attributes, split_inputs
from sparsenet.reference.epilogue import apply_epilogue
from sparsenet.reference.pad import pad_image
from sparsenet.reference.registry import OPERATIONS

#: Float32 throughout; the oracle's functions, borrowed for all without weights, are annotated for float64.
Array = npt.NDArray[Any]
#: (C_out, taps) weights → function from (taps, pixels) columns to (C_out, pixels).
Product = Callable[[Array], Callable[[Array], Array]]
#: Below this share of zeros CSR loses to the dense product by an order of magnitude.
CSR_ZEROS = 0.5


def prepare_numpy(network: Network, threads: int) -> Session:
    """Every convolution and linear layer as a dense matrix product."""
    return _prepare(network, threads, _dense)


def prepare_scipy(network: Network, threads: int) -> Session:
    """Layers of which at least half the weights are zero as CSR products, which use one thread; others as above."""
    return _prepare(network, threads, _csr)


def _dense(matrix: Array) -> Callable[[Array], Array]:
    return lambda columns: matrix @ columns


def _csr(matrix: Array) -> Callable[[Array], Array]:
    try:
        from scipy.sparse import csr_array
    except ImportError as error:
        raise EngineMissing("scipy is not installed: pip install scipy") from error
    if np.count_nonzero(matrix) > (1 - CSR_ZEROS) * matrix.size:
        return _dense(matrix)
    sparse = csr_array(matrix)
    return lambda columns: np.asarray(sparse @ columns, np.float32)


def _prepare(network: Network, threads: int, product: Product) -> Session:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError as error:
        raise EngineMissing("threadpoolctl is not installed: pip install threadpoolctl") from error
    graph, controller = network.graph, ThreadpoolController()
    steps = [_Step(node, graph.constants, product) for node in graph.nodes]

    def run(x: Array) -> list[Array]:
        values: dict[str, Any] = {**graph.constants, graph.inputs[0].name: x, "": None}
        with controller.limit(limits=threads), np.errstate(all="ignore"):
            for step in steps:
                values[step.node.output] = step(values)
        return [np.ascontiguousarray(values[name], np.float32) for name in graph.outputs]

    return Session(run)


class _Step:
    """A node: the oracle's operation in float32, but for what has weights."""

    def __init__(self, node: Node, constants: Mapping[str, Array], product: Product) -> None:
        self.node, self.attrs = node, attributes(node)
        own, self.extra = split_inputs(node)
        self.own = own
        weight = constants.get(own[1]) if OPS[node.op].weighted else None
        self.product = None
        if weight is not None and self.attrs.get("groups", 1) == 1:
            self.product = product(np.ascontiguousarray(weight.reshape(len(weight), -1)))
            self.window = weight.shape[2:]
            bias = constants[own[2]] if len(own) > 2 and own[2] else np.zeros(len(weight), np.float32)
            self.bias = bias[:, None]

    def __call__(self, values: dict[str, Any]) -> Array:
        if self.product is None:
            if self.node.op == "conv2d" and values[self.own[1]].shape[1] == 1:
                y = _depthwise(values[self.own[0]], values[self.own[1]], values[self.own[2]], self.attrs)
            else:
                y = OPERATIONS[self.node.op]([values[name] for name in self.own], self.attrs)
        elif self.node.op == "linear":
            y = (self.product(values[self.own[0]].T) + self.bias).T
        else:
            y = np.stack([self._convolve(image) for image in values[self.own[0]]])
        return np.asarray(apply_epilogue(y, self.node.epilogue, [values[name] for name in self.extra]))

    def _convolve(self, image: Array) -> Array:
        assert self.product is not None
        windows = _windows(image[None], self.window, self.attrs)[0]
        height, width = windows.shape[1:3]
        columns = windows.transpose(0, 3, 4, 1, 2).reshape(-1, height * width)
        return (self.product(np.ascontiguousarray(columns)) + self.bias).reshape(-1, height, width)


def _windows(x: Array, window: tuple[int, ...], attrs: dict[str, Any]) -> Array:
    """(N, C, H_out, W_out, K_h, K_w), a view of the padded input."""
    (s_h, s_w), (d_h, d_w) = attrs["stride"], attrs["dilation"]
    padded = pad_image(x, attrs["padding"], 0.0)
    reach = ((window[0] - 1) * d_h + 1, (window[1] - 1) * d_w + 1)
    windows: Array = sliding_window_view(padded, reach, (2, 3))
    return windows[:, :, ::s_h, ::s_w, ::d_h, ::d_w]


def _depthwise(x: Array, weight: Array, bias: Array | None, attrs: dict[str, Any]) -> Array:
    """One multiply-add over the whole map per tap."""
    multiplier = weight.shape[0] // x.shape[1]
    windows = _windows(np.repeat(x, multiplier, 1) if multiplier > 1 else x, weight.shape[2:], attrs)
    y = np.zeros(windows.shape[:4], np.float32)
    for i, j in np.ndindex(*weight.shape[2:]):
        y += windows[..., i, j] * weight[:, 0, i, j, None, None]
    return y if bias is None else y + bias[:, None, None]
