"""Trained networks → Graphs, with one trace for all that differ in their weights alone."""

from __future__ import annotations

from torch import nn

from converters import passes
from converters.conversion.sources import trained_source
from converters.torch_import import TorchSource
from sparsenet.graph import Graph
from training.checkpoint import ModelInfo


class Traces:
    """Traces of the networks met so far: tracing takes a second, another network's weights in a trace milliseconds."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], TorchSource] = {}

    def graph(self, model: nn.Module, info: ModelInfo) -> Graph:
        """The network as engines run it, with the metadata of a converted file.

        Args:
            model: of the zoo, as ``info`` says.
            info: of its weights file; the graph is for its input size.
        """
        kind = (info.model, info.class_names, info.input_size, info.mean, info.std)
        known = self._made.get(kind)
        if info.quantized:  # the scales of activations are numbers of the trace, not weights
            source = trained_source(model, info)
        elif known is None:
            source = self._made[kind] = trained_source(model, info)
        else:
            source = known.with_weights(model)
        return passes.optimize(source.graph())
