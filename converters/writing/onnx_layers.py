"""The layers of an ONNX model: which constants their weights are made of, and what adds to their outputs."""

from __future__ import annotations

from collections.abc import Container
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from converters.pruning.layers import FEWEST
from converters.writing.onnx_constants import OnnxConstants

if TYPE_CHECKING:
    import onnx

#: Operators whose second input is a weight, and whether the third is a bias.
LAYERS = {"Conv": True, "ConvTranspose": True, "Gemm": True, "MatMul": False}


class OnnxLayers:
    """The layers of a model, which is changed through them.

    Args:
        graph: of the model. Of layers that share a constant each gets its own.
        constants: of the model.

    Attributes:
        node_of: the layer whose weight is made of a constant, by the constant's name.
    """

    def __init__(self, graph: onnx.GraphProto, constants: OnnxConstants) -> None:
        self._graph, self._constants = graph, constants
        self._makers = {name: node for node in graph.node for name in node.output}
        self._copies: list[tuple[onnx.NodeProto, int, str]] = []
        self.node_of: dict[str, onnx.NodeProto] = {}
        for node in graph.node:
            if node.op_type in LAYERS and node.domain in ("", "ai.onnx"):
                self._own(node, 1)
                self.node_of |= dict.fromkeys(self._made_of(node.input[1]), node)

    def bias_of(self, node: onnx.NodeProto, channels: int) -> str | None:
        """The constant, of as many numbers as there are output channels, that is added to a layer's output.

        That is the shift of a batch norm behind the layer, its bias, what an Add behind it adds, or a bias of zeros
        that it is given. None if there can be none: of a transposed convolution with strides, whose graph has more
        ``channels``, or if it is computed.
        """
        follower = self._only_reader(node.output[0])
        if follower and follower.op_type == "BatchNormalization" and self._fits(follower.input[2], channels):
            return self._own(follower, 2)
        if LAYERS[node.op_type] and len(node.input) > 2 and node.input[2]:
            return self._own(node, 2) if self._fits(node.input[2], channels) else None
        if follower and follower.op_type == "Add":
            for place, name in enumerate(follower.input):
                if self._fits(name, channels):
                    return self._own(follower, place)
        if node.op_type == "ConvTranspose" and channels != self._transposed_channels(node):
            return None
        like = next(name for name, layer in self.node_of.items() if layer is node)
        zeros = self._constants.add(
            f"{node.name or node.output[0]}.bias", np.zeros(channels, np.float32), like
        )
        if LAYERS[node.op_type]:
            self._constants.read(node, 2, zeros)
        else:
            self._add_behind(node, zeros)
        return zeros

    def put_back(self, changed: Container[str]) -> None:
        """Let layers share again what none of them has ``changed``."""
        for node, place, name in self._copies:
            copy = node.input[place]
            if copy not in changed:
                self._constants.read(node, place, name)
                self._constants.remove(copy)

    def _own(self, node: onnx.NodeProto, place: int) -> str:
        """The name of a constant that a node reads, and it alone from now on."""
        name: str = node.input[place]
        if not self._constants.is_float(name) or self._constants.is_read_once(name):
            return name
        copy = self._constants.add(f"{name}.{node.output[0]}", self._constants.array(name), name)
        self._constants.read(node, place, copy)
        self._copies.append((node, place, name))
        return copy

    def _made_of(self, weight: str) -> list[str]:
        """The constants that may hold the numbers of a weight; none if it is computed from something else, too."""
        waiting, seen, found = [weight], {weight}, list[str]()
        while waiting:
            name = waiting.pop()
            if name in self._constants:
                large = self._constants.is_float(name) and prod(self._constants.shape(name)) >= FEWEST
                found += [name] if large else []
            elif name in self._makers:
                new = {name for name in self._makers[name].input if name} - seen
                seen |= new
                waiting += new
            else:
                return []
        return found

    def _fits(self, name: str, channels: int) -> bool:
        return self._constants.is_float(name) and prod(self._constants.shape(name)) == channels

    def _only_reader(self, tensor: str) -> onnx.NodeProto | None:
        if not self._constants.is_read_once(tensor):
            return None
        return next((node for node in self._graph.node if tensor in node.input), None)

    def _transposed_channels(self, node: onnx.NodeProto) -> int:
        """Output channels of a transposed convolution; -1 if its weight is computed."""
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        known = node.input[1] in self._constants
        return self._constants.shape(node.input[1])[1] * groups if known else -1

    def _add_behind(self, node: onnx.NodeProto, constant: str) -> None:
        """Let what a layer makes be added to a constant, and called as it was."""
        from onnx import helper

        result = node.output[0]
        node.name = node.name or result  # which a graph's layer is called after
        node.output[0] = self._constants.unused(f"{result}.product")
        added = helper.make_node("Add", [node.output[0], constant], [result], name=f"{node.name}.bias")
        self._graph.node.insert(list(self._graph.node).index(node) + 1, added)
