"""PyTorch module → Graph, through ``torch.export``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from converters.batch_axis import Batch
from converters.symbolic.open_sizes import open_sizes
from sparsenet.checks import flag, shown
from sparsenet.errors import InputError
from sparsenet.graph import Graph

if TYPE_CHECKING:
    import torch
from converters.torch.permanent import permanent_copy
from converters.torch.source import Examples, TorchSource, example_tuple, require_torch

__all__ = ["TorchSource", "from_torch", "permanent_copy"]


def from_torch(
    module: torch.nn.Module,
    example_inputs: Examples,
    masks: Mapping[str, Any] | None = None,
    *,
    optimize: bool = True,
    name: str | None = None,
    open_size: bool | Mapping[str, Sequence[int]] = False,
    batch: Batch = "free",
) -> Graph:
    """Convert a PyTorch module, in evaluation mode, to a Graph. The module itself is left as it is.

    Nodes and constants are named after the module's own layers ("block1.conv", "block1.conv.weight"). Batch norm
    uses running statistics, ``torch.nn.utils.prune`` and parametrizations are made permanent, every weight becomes
    float32. A single input is called "input", a single output "output"; several inputs keep the argument names of
    ``forward``, dict outputs their keys, other outputs become "output_0", "output_1", ... None among them is left out.

    Args:
        module: the network.
        example_inputs: one float tensor (or array) per argument of ``forward``, shape (N, ...); N is free in the graph.
        masks: parameter name → 0/1 tensor of its shape; the weights where it is 0 become 0.
        optimize: run every exact pass (folding and fusion; see ``converters.passes``).
        name: the graph's name; default: the module's class name.
        open_size: leave rows and columns of image inputs open, or, by input name, the dimensions listed, as in
            {"input": (2,)} for sounds (N, C, T): an engine plans any other size when it first meets it. Dimensions of
            one number are as large as each other's examples in all inputs. The module is traced at four sizes for that.
        batch: "free": dimension 0 of every input is the batch, of any size. "fixed": it is a dimension like any other,
            of the size that the examples have, for modules that work across it; a tensor of the module is then one
            sample of the graph, which has its own batch in front, as in ``from_onnx``.

    Raises:
        UnsupportedOpError: lists every operation without a counterpart, by layer, with a hint; or, with
            ``open_size``, every node that is bound to one size.
        MaskError: a mask fits no parameter or holds other values than 0 and 1.
        InputError: the module is none, or has no numbers yet (lazy layers, the meta device); the example inputs are not
            float tensors with a batch dimension, or ``open_size`` names what is no dimension of theirs.
        MissingExtraError: torch is not installed.
    """
    require_torch()
    flag(optimize, "optimize")
    if not isinstance(open_size, bool | Mapping):
        raise InputError(
            f"open_size must be True, False or a dict of dimensions by input name, got {shown(open_size)}"
        )
    examples = example_tuple(example_inputs)

    def imported(inputs: Sequence[torch.Tensor]) -> Graph:
        graph = TorchSource(module, inputs, masks, name, batch=batch).graph()
        if not optimize:
            return graph
        from converters import passes

        return passes.optimize(graph)

    graph = imported(examples)
    if not open_size:
        return graph
    axes = _open_axes(graph, open_size, lead=int(batch == "fixed"))

    def at(more: Mapping[str, int]) -> Graph:
        inputs = zip(examples, graph.inputs, strict=True)
        return imported([_enlarged(x, {a: more[str(a)] for a in axes.get(i.name, ())}) for x, i in inputs])

    names = sorted({str(axis) for of_one in axes.values() for axis in of_one})
    return open_sizes(graph, names, at, all_of_them=True)


def _open_axes(
    graph: Graph, wanted: bool | Mapping[str, Sequence[int]], lead: int
) -> dict[str, Sequence[int]]:
    """The dimensions of each input that are to be open, counted as in the module.

    ``lead``: dimensions of the graph's tensors in front of the module's.
    """
    if not isinstance(wanted, Mapping):
        images = {info.name: (2, 3) for info in graph.inputs if len(info.shape) == 4 + lead}
        if not images:
            raise InputError(
                f"'{graph.name}' has no image input whose rows and columns could be open; name the dimensions, "
                f"as in open_size={{'{graph.inputs[0].name}': ({len(graph.inputs[0].shape) - 1 - lead},)}}"
            )
        return dict(images)
    shapes = {info.name: info.shape[lead:] for info in graph.inputs}
    for name, axes in wanted.items():
        if name not in shapes:
            raise InputError(f"open_size names the input '{name}'; the inputs are: {', '.join(shapes)}")
        if (
            not isinstance(axes, Sequence)
            or not axes
            or any(axis not in range(1, len(shapes[name])) for axis in axes)
        ):
            raise InputError(
                f"open_size: {axes} are no dimensions behind the batch of '{name}' {shapes[name]}"
            )
    return dict(wanted)


def _enlarged(example: torch.Tensor, more: Mapping[int, int]) -> torch.Tensor:
    """An example with zeros behind the ends of some dimensions."""
    import torch

    amounts = [number for axis in reversed(range(example.dim())) for number in (0, more.get(axis, 0))]
    return torch.nn.functional.pad(example, amounts) if more else example
