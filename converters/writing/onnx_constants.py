"""The constants of an ONNX model by name, whether initializers, sparse ones, or what Constant nodes make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from converters.onnx.load import sparse_tensor_array, tensor_array
from converters.onnx.model import FLOAT_TYPES
from sparsenet.graph import FloatArray

if TYPE_CHECKING:
    import onnx


class OnnxConstants:
    """The constants of a model, which is changed through them.

    Args:
        graph: of the model. Its sparse initializers become dense.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        from onnx import numpy_helper

        self._graph = graph
        for sparse in graph.sparse_initializer:
            dense = numpy_helper.from_array(sparse_tensor_array(sparse), sparse.values.name)
            graph.initializer.append(dense)
        del graph.sparse_initializer[:]
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            for attribute in node.attribute if node.op_type == "Constant" else ():
                if attribute.name == "value":
                    self._tensors[node.output[0]] = attribute.t
        self._uses = Counter(_read(graph))

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def is_float(self, name: str) -> bool:
        """Whether there is a constant of that name, of floating-point numbers."""
        return name in self._tensors and self._tensors[name].data_type in FLOAT_TYPES

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a constant."""
        return tuple(self._tensors[name].dims)

    def array(self, name: str) -> FloatArray:
        """A constant of floating-point numbers, as float32."""
        return tensor_array(self._tensors[name])

    def precision(self, name: str) -> float:
        """The largest relative error of rounding to the type of a constant of floating-point numbers."""
        return _EPSILON[self._tensors[name].data_type]

    def change(self, name: str, array: FloatArray) -> None:
        """Give a constant other numbers, rounded to its type."""
        from onnx import helper, numpy_helper

        tensor = self._tensors[name]
        kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        tensor.CopyFrom(numpy_helper.from_array(array.astype(kind), tensor.name))

    @contextmanager
    def instead(self, arrays: Mapping[str, FloatArray]) -> Iterator[None]:
        """For a while some constants have other numbers, in float32."""
        from onnx import numpy_helper

        kept = {name: self._tensors[name].SerializeToString() for name in arrays}
        for name, array in arrays.items():
            self._tensors[name].CopyFrom(numpy_helper.from_array(array, self._tensors[name].name))
        try:
            yield
        finally:
            for name, tensor in kept.items():
                self._tensors[name].ParseFromString(tensor)

    def add(self, name: str, array: FloatArray, like: str) -> str:
        """A new initializer, of the type of the constant ``like``; returns its name, which is made unique."""
        tensor, name = self._graph.initializer.add(), self.unused(name)
        tensor.CopyFrom(self._tensors[like])
        tensor.name = name
        self._tensors[name] = tensor
        self.change(name, array)
        return name

    def remove(self, name: str) -> None:
        """Take an initializer out that nobody reads any more."""
        self._graph.initializer.remove(self._tensors.pop(name))

    def unused(self, name: str) -> str:
        """``name``, or ``name_1``, … if something is called so already."""
        candidate, count = name, 0
        while candidate in self._uses or candidate in self._tensors:
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    def is_read_once(self, name: str) -> bool:
        """Whether one node alone reads a tensor, once, and it is no output of the model."""
        return self._uses[name] == 1

    def read(self, node: onnx.NodeProto, place: int, name: str) -> None:
        """Let a node read another tensor at a place."""
        node.input.extend([""] * (place + 1 - len(node.input)))
        self._uses[node.input[place]] -= 1
        node.input[place] = name
        self._uses[name] += 1

    def make_sparse(self, names: Iterable[str]) -> None:
        """Store constants, some of whose numbers are zero, by the others and their places, where that is shorter."""
        from onnx import helper

        for name in names:
            tensor = self._tensors[name]
            sparse = _sparse(tensor)
            if sparse.ByteSize() >= tensor.ByteSize():
                continue
            maker = next((node for node in self._graph.node if name in node.output), None)
            if maker is None:
                self._graph.sparse_initializer.append(sparse)
                self.remove(name)
            else:
                maker.attribute[0].Clear()
                maker.attribute[0].CopyFrom(helper.make_attribute("sparse_value", sparse))


def _sparse(tensor: onnx.TensorProto) -> onnx.SparseTensorProto:
    """A tensor by its values that are not zero, and their places counted through."""
    from onnx import helper, numpy_helper

    array = numpy_helper.to_array(tensor)
    places = np.flatnonzero(array)
    values = numpy_helper.from_array(array.reshape(-1)[places], tensor.name)
    return helper.make_sparse_tensor(values, numpy_helper.from_array(places.astype(np.int64)), array.shape)


#: Of onnx.TensorProto's FLOAT, FLOAT16, DOUBLE and BFLOAT16, as float32 holds them.
_EPSILON = {1: 2.0**-24, 10: 2.0**-11, 11: 2.0**-24, 16: 2.0**-8}


def _read(graph: onnx.GraphProto) -> Iterator[str]:
    """Every name that a node of a graph or of its branches reads, and those of outputs."""
    yield from (output.name for output in graph.output)
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for branch in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _read(branch)
