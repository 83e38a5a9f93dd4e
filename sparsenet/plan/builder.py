"""The plan under construction: constants, values, stages and decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from sparsenet.graph import Node
from sparsenet.plan.candidate import Candidate
from sparsenet.plan.layout import Flattened, Layout, Plain, Rows
from sparsenet.plan.lowering.builder import LoweringBuilder
from sparsenet.plan.ref import Ref
from sparsenet.plan.relayout import FlatCopy, MapCopy
from sparsenet.plan.stage import Stage, Value
from sparsenet.plan.weights import Weights
from sparsenet.targets.host import host, rings_available
from sparsenet.targets.registry import Kernel
from sparsenet.targets.target import Target, Vector

#: (builder, candidates, what identifies the layer's weights and shape) -> seconds that the whole layer takes with each
#: candidate; None where the machine is too noisy to tell.
Race = Callable[["Builder", Sequence[Candidate], str], Sequence[float] | None]


@dataclass(frozen=True)
class Options:
    """What the caller asked of the planner.

    Attributes:
        kernels: "auto" chooses per layer; "dense" is the baseline; "sparse" takes sparse kernels wherever there are
            any, whatever they cost, for measuring where they pay.
        threads: threads that will share the work.
        race: what times candidates, rather than choose by a model; it runs them on this machine.
        rings: whether rows between layers may be stored in ring buffers (see ``rings``).
        stream: whether rows flow through several layers while they are in the cache; False runs layer by layer.
        target: what the plan is for.
    """

    kernels: Literal["auto", "sparse", "dense"] = "auto"
    threads: int = 1
    race: Race | None = None
    rings: bool = field(default_factory=rings_available)
    stream: bool = True
    target: Target = field(default_factory=host)


#: How the lowering of an op reads maps: as rows, or in whichever layout exists (rows or C order).
Reads = Literal["rows", "any"]
#: Rows above a map, rows below it, columns at either side.
Halo = tuple[int, int, int]


@dataclass
class Builder(Weights, LoweringBuilder[Ref]):
    """Collects the stages of one graph, and its weights.

    ``halos`` holds what each tensor's readers need around it, ``pitches`` the pitch of flattened maps by their
    height and width, ``reads`` how ops read maps that prefer one way.
    """

    options: Options
    halos: dict[str, Halo]
    pitches: dict[tuple[int, int], int]
    reads: Mapping[str, Reads]
    stages: list[Stage] = field(default_factory=list)
    windows: dict[tuple[Any, ...], Value] = field(default_factory=dict)
    _values: dict[tuple[str, str], Value] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """Images of one inference."""
        return 1

    @property
    def target(self) -> Target:
        """What the plan is for."""
        return self.options.target

    @cached_property
    def vector(self) -> Vector:
        """The target's longest vector of the elements that the network computes with."""
        return self.target.vector()

    def kernel(self, algorithm: str, tile: Sequence[int] = (), epilogue: tuple[str, ...] = ()) -> Kernel:
        """A kernel of the longest vectors; see ``Vector.kernel``. A kernel for lines is made by the lines' layout."""
        return self.vector.kernel(algorithm, tile, epilogue)

    # --- stages and values

    def add(self, stage: Stage) -> None:
        """Append a stage; it becomes the producer of its value."""
        stage.out.producer = stage
        self.stages.append(stage)

    def is_map(self, tensor: str) -> bool:
        """Whether ``tensor`` is an image of more than one pixel: it is then stored as rows."""
        shape = self.image_shape(tensor)
        return len(shape) == 3 and shape[1] * shape[2] > 1

    @cached_property
    def read_as_rows(self) -> set[str]:
        """Tensors that some node reads as rows, if they are maps."""
        return {
            name for node in self.graph.nodes if self.reads.get(node.op) == "rows" for name in node.inputs
        }

    @cached_property
    def _wants_rows(self) -> set[str]:
        return {name for node in self.graph.nodes if self.reads.get(node.op) != "any" for name in node.inputs}

    def moves_in_rows(self, node: Node) -> bool:
        """Whether ``node``, which only moves elements, should make rows where it can: if its input or a reader does."""
        read = any(self.get(name, Rows) for name in node.inputs)
        return read or node.output in self._wants_rows

    def put(self, tensor: str, value: Value) -> Value:
        """Record that ``tensor`` is also available as ``value``; returns ``value``."""
        self._values[tensor, "Rows" if isinstance(value.layout, Rows) else "Plain"] = value
        return value

    def get(self, tensor: str, layout: type[Layout]) -> Value | None:
        """``tensor`` in this kind of layout, or None if no stage makes it yet."""
        return self._values.get((tensor, layout.__name__))

    def any(self, tensor: str) -> Value:
        """``tensor`` in whichever layout exists: as rows if both do."""
        value = self.get(tensor, Rows) or self.get(tensor, Plain)
        return value if value is not None else self.bounded(tensor)

    def new_rows(self, tensor: str, row_by_row: bool = False) -> Value:
        """A new value for a stage to make: ``tensor`` as rows, with the halo its readers need.

        A stage that writes whole vectors ``row_by_row`` gets plain rows where it would write over the next row of a
        flattened map; they are flattened when a reader needs them so.
        """
        channels, height, width = self.image_shape(tensor)
        halo = self.halos.get(tensor, (0, 0, 0))
        pitch = self.pitches.get((height, width), 0)
        if pitch and not (row_by_row and width > self.vector.fitting(width).lanes):
            return self.put(
                tensor, Value(tensor, Flattened(self.vector, channels, height, width, *halo, pitch))
            )
        layout = Rows(self.vector, channels, height, width, *(() if pitch else halo))
        return self.put(tensor, Value(tensor, layout))

    def new_plain(self, tensor: str) -> Value:
        """A new value for a stage to make: ``tensor`` in C order."""
        return self.put(tensor, Value(tensor, self.plain_layout(tensor)))

    def plain_layout(self, tensor: str) -> Plain:
        """The layout of ``tensor`` in C order."""
        return Plain(self.vector, self.image_shape(tensor))

    def rows(self, tensor: str) -> Value:
        """``tensor`` as rows; a stage that converts it is added if necessary."""
        value = self.get(tensor, Rows) or self._copied_map(tensor, self.any(tensor), self.new_rows(tensor))
        if self.pitches.get((value.rows.height, value.rows.width), 0) and not isinstance(
            value.layout, Flattened
        ):
            return self._copied_map(tensor, value, self.new_rows(tensor))
        return value

    def plain(self, tensor: str) -> Value:
        """``tensor`` in C order, where whole vectors may be read past its end: a copy, if it is the caller's array."""
        value = self.bounded(tensor)
        given = value.root
        if given.fixed is None or given.fixed.space != "input":
            return value
        copy = self.get(given.tensor, Plain)
        if copy is None or copy.root is given:
            copy = self.new_plain(given.tensor)
            self.add(FlatCopy(self.layer, copy, 1, given))
        return self.put(tensor, copy.view(tensor, self.plain_layout(tensor)))

    def bounded(self, tensor: str) -> Value:
        """``tensor`` in C order for readers that stop at its end; a stage that converts it is added if necessary."""
        value = self.get(tensor, Plain)
        if value is None and tensor in self.graph.constants:
            array = self.graph.constants[tensor]
            layout = Plain(self.vector, array.shape)
            value = self.put(tensor, Value(tensor, layout, self.padded_constant(array.reshape(-1))))
        return value or self._copied_map(tensor, self.any(tensor), self.new_plain(tensor))

    def _copied_map(self, tensor: str, source: Value, out: Value) -> Value:
        shape = self.image_shape(tensor)
        self.add(MapCopy(self.layer, out, shape[1], source, shape))
        return out
