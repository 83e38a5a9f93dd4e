"""The builder of Graphs of both importers: names that stay unique, shapes at every step, a list of what failed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.weight_grids import grid_of_weight
from sparsenet.errors import GraphError, UnsupportedOpError
from sparsenet.graph import FloatArray, Graph, Node, Partial, Shape, TensorInfo
from sparsenet.graph.ops import infer_shape, partial_of
from sparsenet.limits import require_countable, require_memory
from sparsenet.text.one_line import one_line


class Unsupported(Exception):  # noqa: N818 - a message to the importer's loop, never seen by callers
    """One source node cannot be expressed; the text is the hint that the final error lists.

    ``attribute`` names the one that is to blame, if one is.
    """

    def __init__(self, hint: str, attribute: str = "") -> None:
        super().__init__(hint)
        self.attribute = attribute


@dataclass(frozen=True)
class Act:
    """An activation of the graph under construction, by tensor name."""

    tensor: str


@dataclass(frozen=True)
class Const:
    """A value known at conversion time, with the name it has in the source network ("" for a computed one)."""

    array: np.ndarray
    name: str = ""


Value = Act | Const


@dataclass(frozen=True)
class Site:
    """Where a source operation lands: name of the graph node, name of the tensor it makes."""

    name: str
    tensor: str

    def sub(self, part: str) -> Site:
        """A helper node in front of the main one."""
        return Site(f"{self.name}.{part}", f"{self.tensor}.{part}")


class GraphBuilder:
    """A Graph that grows node by node; ``shapes`` and ``partial`` are kept up to date so that rules can ask for them.

    ``minus_inf`` holds paddings with -inf that wait for the max pooling which can take them over:
    padded tensor → (tensor before padding, [top, left, bottom, right]). ``joined`` knows of parts that were joined
    which elements are valid, and how many: tensors joined alike have one count. ``places`` knows of places that a max
    pooling found what its windows were (``decompose.pool_places``). ``rounded`` holds the quantized forms of tensors
    (``converters.quantized``), ``weight_scales`` the scales of constants that were int8. ``source`` says in a word or
    two what the network comes from, for errors.
    """

    def __init__(self, name: str) -> None:
        self.graph = Graph(name, [], [], [])
        self.shapes: dict[str, Shape] = {}
        self.partial: dict[str, Partial] = {}
        self.minus_inf: dict[str, tuple[str, list[int]]] = {}
        self.joined: dict[tuple[tuple[str, int], ...], tuple[Act, Act]] = {}
        self.places: dict[str, Any] = {}
        self.rounded: defaultdict[str, list[Any]] = defaultdict(list)
        self.weight_scales: list[FloatArray] = []
        self.source = ""
        self._failures: list[tuple[str, str, str]] = []
        self._node_names: set[str] = set()
        self._touching: defaultdict[str, list[Node]] = defaultdict(list)
        self._counts: dict[str, int] = {}
        self._operands = 0

    def input(self, name: str, shape: Shape) -> Act:
        """Declare a graph input of shape (None, ...)."""
        self.require_memory(shape, f"input '{name}'")
        self.graph.inputs.append(TensorInfo(name, shape))
        self.shapes[name] = shape
        return Act(name)

    def constant(self, array: np.ndarray, name: str) -> str:
        """Store ``array`` as float32 under ``name``, or under ``name_1``, ... where that is taken by another."""
        value = np.ascontiguousarray(array, dtype=np.float32).reshape(array.shape or (1,))
        candidate, count = name, 0
        while candidate in self.shapes:
            held = self.graph.constants.get(candidate)
            if held is not None and held.shape == value.shape and np.array_equal(held, value):
                return candidate
            count += 1
            candidate = f"{name}_{count}"
        self.graph.constants[candidate] = value
        self.shapes[candidate] = value.shape
        return candidate

    def require_memory(self, shape: Sequence[int | None], what: str) -> None:
        """Raise MemoryLimitError if floats of this shape, for one image, are more than a model may claim."""
        require_memory(4 * math.prod(int(d or 1) for d in shape), f"{what} of shape {tuple(shape)}")

    def unique_name(self, name: str) -> str:
        """``name``, or ``name_1``, ... where a node or tensor of that name exists."""
        candidate, count = name, self._counts.get(name, 0)
        while candidate in self._node_names or candidate in self.shapes:
            count += 1
            candidate = f"{name}_{count}"
        self._counts[name] = count
        return candidate

    def unique_node(self, name: str) -> str:
        """``name``, or ``name_1``, ... where a node of that name exists, for a node whose tensor has another name."""
        candidate, count = name, self._counts.get(name, 0)
        while candidate in self._node_names:
            count += 1
            candidate = f"{name}_{count}"
        self._counts[name] = count
        return candidate

    def node(self, op: str, site: Site, inputs: Sequence[str], attrs: dict[str, Any] | None = None) -> Act:
        """Append a node and infer its shape.

        Raises:
            GraphError: the inputs do not fit the op, or it needs all of one that is partial.
            Unsupported: an input is padded with -inf, which only a max pooling can take over.
            MemoryLimitError: the graph becomes larger than any may be, or its tensor than the limit.
        """
        for name in inputs:
            if name in self.minus_inf:
                raise Unsupported("padding with -inf is supported only right in front of a max pooling")
        require_countable(
            nodes=len(self.graph.nodes) + 1,
            operands=self._operands,
            constants=0,
            ports=len(self.graph.inputs),
        )
        # A helper node's name may be that of something else in the source network.
        tensor = self.unique_name(site.tensor) if site.tensor in self.shapes else site.tensor
        node = Node(op, self.unique_node(site.name), list(inputs), [tensor], attrs or {})
        shapes = [self.shapes[n] if n else None for n in node.inputs]
        self.shapes[tensor] = infer_shape(node, shapes, self.graph.constants)
        partial = partial_of(node, self.shapes, self.partial)
        if partial is not None:
            self.partial[tensor] = partial
        self.require_memory(self.shapes[tensor], f"'{tensor}'")
        self._node_names.add(node.name)
        self.graph.nodes.append(node)
        self._operands += len(node.inputs)
        for name in {*node.inputs, tensor}:
            self._touching[name].append(node)
        return Act(tensor)

    def forget(self, count: int) -> None:
        """Remove all nodes but the first ``count``: those of an attempt that failed."""
        for node in reversed(self.graph.nodes[count:]):
            self._node_names.discard(node.name)
            self._operands -= len(node.inputs)
            for name in {*node.inputs, node.output}:
                self._touching[name].pop()
            for kept in (self.shapes, self.partial, self.minus_inf):
                kept.pop(node.output, None)
            self.graph.quantization.pop(node.output, None)
            for name in node.inputs:
                self.rounded.pop(name, None)
        del self.graph.nodes[count:]
        self.joined = {key: pair for key, pair in self.joined.items() if pair[1].tensor in self.shapes}

    def maker(self, tensor: str) -> Node | None:
        """The node that makes ``tensor``; None for inputs and stand-ins."""
        return next((node for node in self._touching.get(tensor, ()) if node.output == tensor), None)

    def stand_in(self, tensor: str, shape: Shape) -> Act:
        """A tensor nothing makes, so that the nodes behind an unsupported one can be examined too."""
        self.shapes[tensor] = shape
        return Act(tensor)

    def fail(self, name: str, op: str, hint: str) -> None:
        """Note an unsupported source node; ``finish`` raises one error that lists them all."""
        self._failures.append((name, op, one_line(hint)))

    @property
    def failed(self) -> bool:
        """Whether any node so far was unsupported."""
        return bool(self._failures)

    def finish(self, outputs: Sequence[tuple[str, Value | None]]) -> tuple[Graph, dict[str, str]]:
        """Name the outputs, check everything, hand over the graph.

        Args:
            outputs: wanted output name and the value it stands for (None: what an unsupported node made).

        Returns:
            the graph and the tensors that were renamed on the way, old name → new name.

        Raises:
            UnsupportedOpError: at least one node was unsupported; its ``reasons`` list every one.
            GraphError: the network breaks a rule of the graph, for instance a NaN among its weights.
        """
        for wanted, value in outputs:
            if isinstance(value, Const):
                self.fail(wanted, "output", "does not depend on the input; leave it out of the network")
            elif value is not None and value.tensor in self.minus_inf:
                self.fail(wanted, "output", "is padded with -inf; drop the padding or pad with a number")
        if self._failures:
            reasons = [f"'{name}' ({op}): {hint}" for name, op, hint in self._failures]
            raise UnsupportedOpError(self._report(), reasons)
        made, named = {node.output for node in self.graph.nodes}, set()
        # A layer may be called as an output is that it does not make.
        renamed = {
            wanted: self.rename(wanted, f"{wanted}.inner")
            for wanted, value in outputs
            if isinstance(value, Act) and wanted in made and wanted != value.tensor
        }
        made.update(renamed.values())
        for wanted, value in outputs:
            assert isinstance(value, Act)
            tensor = renamed.get(value.tensor, value.tensor)
            if tensor != wanted and (tensor in named or tensor not in made):
                tensor = self.node("identity", Site(wanted, wanted), [tensor]).tensor
            elif tensor != wanted:
                name = self.unique_name(wanted) if wanted in self.shapes else wanted
                self._rename(tensor, name)
                renamed[value.tensor] = tensor = name
            self.graph.outputs.append(tensor)
            named.add(tensor)
            made.add(tensor)
        self.graph.drop_unused_constants()
        for _, name, weight in self.graph.weights() if self.weight_scales else ():
            grid = grid_of_weight(weight, self.weight_scales)
            if grid is not None:
                self.graph.quantization[name] = grid
        self.graph.verify()
        return self.graph, renamed

    def rename(self, old: str, new: str) -> str:
        """Give a tensor another name, or ``new_1``, ... where that is taken; returns the name."""
        name = self.unique_name(new)
        self._rename(old, name)
        return name

    def _rename(self, old: str, new: str) -> None:
        touching = self._touching.pop(old, [])
        for node in touching:
            node.inputs = [new if name == old else name for name in node.inputs]
            node.outputs = [new if name == old else name for name in node.outputs]
        self._touching[new] += touching
        self.shapes[new] = self.shapes.pop(old)
        if old in self.graph.quantization:
            self.graph.quantization[new] = self.graph.quantization.pop(old)

    def _report(self) -> str:
        count = len(self._failures)
        nodes = "1 unsupported node" if count == 1 else f"{count} unsupported nodes"
        source = f" ({self.source})" if self.source else ""
        return f"'{self.graph.name}'{source} has {nodes}"


def explain(error: Unsupported | GraphError) -> str:
    """The hint for a node that failed: a rule's own words, or why its shapes do not fit the op."""
    text = str(error)
    return text.split(": ", 1)[1] if isinstance(error, GraphError) and ": " in text else text
