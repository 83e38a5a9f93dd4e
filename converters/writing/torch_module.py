"""Graph → the PyTorch module that it was made of, with the graph's weights and biases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from converters.passes.optimize import optimize
from converters.pruning.layers import FEWEST
from converters.torch.permanent import permanent_copy
from converters.torch.source import Examples, TorchSource, example_tuple
from converters.writing.agreement import biases_of, changed_layers, other_numbers, require_same
from converters.writing.origins import Origin, Origins, weights
from sparsenet.checks import shown
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph

if TYPE_CHECKING:
    import torch

_TOLERANCE = 1e-4


def write_module(graph: Graph, module: torch.nn.Module, example_inputs: Examples) -> None:
    """Give ``module`` the weights and biases that ``graph``, which was made of it, has now.

    What the passes have folded into a weight is divided out of it again: batch norms stay as they are, but for the
    shift, which takes up the new bias of the layer before it. A layer without a batch norm needs a bias. Before any
    parameter changes, a copy is converted, and has to hold the graph's numbers.

    Args:
        graph: what ``prune`` made of ``from_torch(module, example_inputs, optimize=False)``.
        module, example_inputs: as for ``from_torch``.

    Raises:
        InputError: ``graph`` is no conversion of ``module``, or is quantized; or a layer has changed that cannot be
            traced to parameters of its own.
        UnsupportedOpError: ``module`` cannot be converted (see ``from_torch``).
    """
    if not isinstance(graph, Graph):
        raise InputError(f"graph must be a Graph, got {shown(graph)}")
    examples = example_tuple(example_inputs)
    fixed = any(len(info.shape) > x.dim() for info, x in zip(graph.inputs, examples, strict=False))
    source = TorchSource(module, examples, batch="fixed" if fixed else "free")
    TorchTarget(module, source).write(graph)


class TorchTarget:
    """A module to write weights into.

    Args:
        module: it.
        source: the module, traced.
    """

    def __init__(self, module: torch.nn.Module, source: TorchSource) -> None:
        self._source, self._module = source, module
        self._copy = permanent_copy(module).cpu().float()
        self._own = dict(self._copy.named_parameters())
        written = {name for name, _ in module.named_parameters()}  # a weight that is computed is none
        wide = [n for n, p in self._own.items() if n in written and p.dim() > 1 and p.numel() >= FEWEST]
        self._dense = self._graph({})
        self._origins = Origins(self._arrays(wide), self._graph)
        empty = {name: np.zeros_like(array) for name, array in self._arrays(wide).items()}
        self._biases = [self._bias_origins(written, empty, norms) for norms in (True, False)]

    def takes(self, layer: str) -> bool:
        """Whether a layer of the graph can be written if it changes."""
        return self._origins.of(layer) is not None and self._bias(layer) is not None

    def write(self, graph: Graph) -> None:
        """Give the module the weights and biases of a graph; see ``write_module``."""
        import torch

        name = type(self._module).__name__
        require_same(graph, self._dense, name)
        changed = changed_layers(graph, self._dense)
        for layer in changed:
            if not self.takes(layer):
                raise InputError(
                    f"layer '{layer}' has changed, and cannot be written back into '{name}': it has no weight and bias "
                    "of its own there, nor a batch norm behind it; leave it out as you prune (skip)"
                )
        wanted, biases = weights(graph), biases_of(graph)
        arrays = self._origins.arrays({layer: wanted[layer] for layer in changed})
        now = biases_of(self._graph(arrays))
        for layer in changed:
            origin = self._bias(layer)
            assert origin is not None
            moved = arrays.setdefault(origin.array, self._arrays([origin.array])[origin.array].copy())
            moved[origin.places] += (biases[layer] - now[layer]) / origin.factors
        if wrong := other_numbers(graph, self._graph(arrays), _TOLERANCE):
            raise InputError(f"'{wrong}' cannot be written back into '{name}' as exactly as it is")
        parameters = dict(self._module.named_parameters())
        with torch.no_grad():
            for parameter, array in arrays.items():
                parameters[parameter].copy_(torch.from_numpy(array))

    def _bias(self, layer: str) -> Origin | None:
        """Where what is added to each output channel of a layer comes from: a batch norm's shift, or its own bias."""
        found = (origins.of(layer) for origins in self._biases)
        return next((origin for origin in found if origin is not None and origin.live.all()), None)

    def _bias_origins(self, written: set[str], empty: Mapping[str, FloatArray], norms: bool) -> Origins:
        """Of the biases of layers, among the shifts of batch norms, or among the other biases of the module.

        They are looked for where weights are ``empty``, which pass on nothing of what a batch norm before them adds.
        """
        from torch.nn.modules.batchnorm import _BatchNorm

        names = [
            name for path, part in self._copy.named_modules()
            if isinstance(part, _BatchNorm) == norms and (name := f"{path}.bias") in written and name in self._own
            and self._own[name].dim() == 1
        ]  # fmt: skip
        arrays = self._arrays(names)
        still = biases_of(self._graph({**empty, **{name: 0 * array for name, array in arrays.items()}}))
        return Origins(
            arrays,
            lambda changed: self._graph({**empty, **changed}),
            lambda graph: {layer: bias - still[layer] for layer, bias in biases_of(graph).items()},
        )

    def _arrays(self, names: Sequence[str]) -> dict[str, FloatArray]:
        return {name: self._own[name].detach().numpy() for name in names}

    def _graph(self, changed: Mapping[str, FloatArray]) -> Graph:
        """The graph of the module, passes run, with other numbers in some of its parameters."""
        import torch

        kept = {name: self._own[name].detach().clone() for name in changed}
        with torch.no_grad():
            for name, array in changed.items():
                self._own[name].copy_(torch.from_numpy(np.ascontiguousarray(array, np.float32)))
            try:
                return optimize(self._source.with_weights(self._copy).graph(), reduce=False)
            finally:
                for name, tensor in kept.items():
                    self._own[name].copy_(tensor)
