"""Graph → the ONNX model that it was made of, with the graph's weights and biases."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from converters.batch_axis import Batch
from converters.onnx.load import OnnxLike, load_model, one_line
from converters.onnx.model import declared, inputs_of
from converters.onnx_import import OnnxSource
from converters.passes.optimize import optimize
from converters.pruning.prune import METADATA
from converters.writing.agreement import (
    biases_of,
    changed_layers,
    other_numbers,
    other_structure,
    require_same,
)
from converters.writing.onnx_constants import OnnxConstants
from converters.writing.onnx_layers import OnnxLayers
from converters.writing.origins import Origins, weights
from sparsenet.checks import flag, path_of, shown
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph, TensorInfo
from sparsenet.io.files import write_output

#: By how much numbers may be off, as a share of the largest of their channel; or so often the rounding of their type.
_TOLERANCE, _ROUNDINGS = 1e-4, 8.0


def write_onnx(
    graph: Graph, model: OnnxLike, path: str | os.PathLike[str], sparse_initializers: bool = False
) -> None:
    """Write the ONNX model that ``graph`` was made of, with the weights and biases that ``graph`` has now.

    Nodes, names, inputs and outputs stay. What the passes have folded into a weight is divided out of it again: batch
    norms stay as they are, but for a shift that takes up the new bias of a convolution without one of its own (as an
    Add behind a MatMul does; where there is none, the layer gets a bias, or a node that adds one). Before anything is
    written, the result is converted again, and has to hold the graph's numbers. Layers that shared a weight, and no
    longer do, get one each; what functions compute is written out, and external data comes into the file.

    Args:
        graph: what ``prune`` made of a conversion of ``model``.
        model: as for ``from_onnx``.
        path: the file to write, whole or not at all.
        sparse_initializers: write weights that take less room so as sparse initializers, values with linear indices;
            opset 11 on. onnxruntime reads them, but makes them dense as it loads them.

    Raises:
        InputError: ``graph`` is no conversion of ``model``, or is quantized; a layer has changed that cannot be traced
            to a constant of the model; or the file cannot be written.
        ModelFileError, UnsupportedOpError, MemoryLimitError: ``model`` cannot be converted (see ``from_onnx``).
    """
    flag(sparse_initializers, "sparse_initializers")
    if not isinstance(graph, Graph):
        raise InputError(f"graph must be a Graph, got {shown(graph)}")
    OnnxTarget(model, graph.inputs).write(graph, path_of(path), sparse_initializers)


class OnnxTarget:
    """A model to write weights into, once.

    Args:
        model: as for ``from_onnx``.
        inputs: of its graph, with the sizes that it is to be converted at.
    """

    def __init__(self, model: OnnxLike, inputs: Sequence[TensorInfo]) -> None:
        self._proto, self._name = load_model(model)
        ranks = {info.name: len(info.shape) for info in inputs}
        infos = [info for info in inputs_of(self._proto.graph) if info.name in ranks]
        lead = any(len(declared(info, ranks[info.name]).dims) < ranks[info.name] for info in infos)
        self._batch: Batch = "fixed" if lead else "free"
        self._shapes = {info.name: info.shape[1:] if lead else info.shape for info in inputs}
        self._constants = OnnxConstants(self._proto.graph)
        self._layers = OnnxLayers(self._proto.graph, self._constants)
        self._dense = self._graph({})
        arrays = {name: self._constants.array(name) for name in self._layers.node_of}
        self._origins = Origins(arrays, self._graph)
        self._biases: dict[str, str | None] = {}

    def takes(self, layer: str) -> bool:
        """Whether a layer of the graph can be written if it changes."""
        origin = self._origins.of(layer)
        if origin and layer not in self._biases:
            node = self._layers.node_of[origin.array]
            self._biases[layer] = self._layers.bias_of(node, len(origin.places))
        return self._biases.get(layer) is not None

    def write(self, graph: Graph, path: Path, sparse_initializers: bool = False) -> None:
        """Write the model with the weights and biases of a graph; see ``write_onnx``."""
        require_same(graph, self._dense, self._name)
        changed = changed_layers(graph, self._dense)
        for name in changed:
            if not self.takes(name):
                raise InputError(
                    f"layer '{name}' has changed, and cannot be written back into '{self._name}': it is made of no "
                    "constant of its own there, or has a bias for each phase; leave it out as you prune (skip)"
                )
        wanted, biases = weights(graph), biases_of(graph)
        arrays = self._origins.arrays({name: wanted[name] for name in changed})
        for name, array in arrays.items():
            self._constants.change(name, array)
        self._settle({name: biases[name] for name in changed})
        used = {*arrays, *(self._biases[name] or "" for name in changed)}
        rounding = max((self._constants.precision(name) for name in used), default=0.0)
        got = self._graph({})
        wrong = other_structure(graph, got) or other_numbers(
            graph, got, max(_TOLERANCE, _ROUNDINGS * rounding)
        )
        if wrong is not None:
            raise InputError(f"'{wrong}' cannot be written back into '{self._name}' as exactly as it is")
        self._layers.put_back(used)
        if sparse_initializers:
            self._constants.make_sparse(arrays)
        write_output(path, self._bytes(graph))

    def _graph(self, changed: Mapping[str, FloatArray]) -> Graph:
        """The graph of the model, passes run, with other numbers in some of its constants."""
        with self._constants.instead(changed):
            source = OnnxSource(self._proto, batch=self._batch, shapes=self._shapes)
            return optimize(source.graph(), reduce=False)

    def _settle(self, wanted: Mapping[str, FloatArray]) -> None:
        """Change the constants that are added to the outputs of layers so that their biases are the wanted ones."""
        places = {layer: name for layer in wanted if (name := self._biases[layer])}
        arrays = {layer: self._constants.array(name) for layer, name in places.items()}
        now = biases_of(self._graph({}))
        raised = biases_of(self._graph({name: arrays[layer] + 1 for layer, name in places.items()}))
        for layer, name in places.items():
            slope = raised[layer] - now[layer]
            step = np.divide(wanted[layer] - now[layer], slope, out=np.zeros_like(slope), where=slope != 0)
            self._constants.change(name, arrays[layer] + step.reshape(arrays[layer].shape))

    def _bytes(self, graph: Graph) -> bytes:
        from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

        if how := graph.metadata.get(METADATA):
            self._proto.metadata_props.add(key=METADATA, value=how)
        try:
            data: bytes = self._proto.SerializeToString()
        except (EncodeError, ValueError) as error:
            raise InputError(f"'{self._name}' is too large for one ONNX file: {one_line(error)}") from None
        return data
