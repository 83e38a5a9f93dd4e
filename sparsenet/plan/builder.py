"""The plan under construction: constants, values, stages and decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from sparsenet.graph import Node
from sparsenet.graph.types import EVERY_BYTE, F32, QUAD, U8, U8X4
from sparsenet.plan.candidate import Candidate
from sparsenet.plan.cast import FlatCast, MapCast
from sparsenet.plan.layout import Flattened, Layout, Plain, Rows
from sparsenet.plan.lowering.builder import ONLY_KERNEL, LoweringBuilder
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


class Form(NamedTuple):
    """In which layout a tensor is, and whether in bytes: its rows are then quads."""

    layout: type[Layout]
    in_bytes: bool


FLOAT_ROWS, FLOAT_PLAIN, BYTE_ROWS, BYTE_PLAIN = (
    Form(layout, in_bytes) for in_bytes in (False, True) for layout in (Rows, Plain)
)
#: Form → those that a stage makes it of; all others become float32 in C order first, which loses nothing.
SOURCES = {
    FLOAT_ROWS: (FLOAT_PLAIN, BYTE_ROWS),
    FLOAT_PLAIN: (FLOAT_ROWS, FLOAT_PLAIN, BYTE_ROWS, BYTE_PLAIN),
    BYTE_ROWS: (BYTE_PLAIN, FLOAT_ROWS, FLOAT_PLAIN),
    BYTE_PLAIN: (BYTE_ROWS, FLOAT_PLAIN),
}


@dataclass
class Builder(Weights, LoweringBuilder[Ref]):
    """Collects the stages of one graph, and its weights.

    A tensor has up to four forms: in C order or, of maps, as rows, each in float32 or in bytes. Those that a method
    names are in what the node that is being lowered computes with; they are made when they are first needed.

    Attributes:
        halos: what each tensor's readers need around it.
        pitches: the pitch of flattened maps by their height and width.
        reads: how ops read maps that prefer one way.
        in_bytes: whether the node that is being lowered computes in integers.
        in_order: whether it knows no maps: all its tensors are wanted in C order.
    """

    options: Options
    halos: dict[str, Halo]
    pitches: dict[tuple[int, int], int]
    reads: Mapping[str, Reads]
    in_bytes: bool = False
    in_order: bool = False
    stages: list[Stage] = field(default_factory=list)
    windows: dict[tuple[Any, ...], Value] = field(default_factory=dict)
    _values: dict[tuple[str, Form], Value] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """Images of one inference."""
        return 1

    @property
    def target(self) -> Target:
        """What the plan is for."""
        return self.options.target

    @cached_property
    def _vectors(self) -> dict[Form, Vector]:
        """The target's longest vector of the elements of each form."""
        elements = {FLOAT_ROWS: F32, FLOAT_PLAIN: F32, BYTE_ROWS: U8X4, BYTE_PLAIN: U8}
        return {form: self.target.vector(element) for form, element in elements.items()}

    @property
    def vector(self) -> Vector:
        """The target's longest vector of the elements of maps: float32, or quads of bytes."""
        return self._vectors[Form(Plain if self.in_order else Rows, self.in_bytes)]

    @property
    def plain_vector(self) -> Vector:
        """The target's longest vector of the elements of tensors in C order: float32, or bytes."""
        return self._vectors[BYTE_PLAIN if self.in_bytes else FLOAT_PLAIN]

    @contextmanager
    def computing(self, *, in_bytes: bool, in_order: bool = False) -> Iterator[None]:
        """A context in which tensors are wanted in float32, or in bytes, and maps, too, perhaps in C order."""
        before = self.in_bytes, self.in_order
        self.in_bytes, self.in_order = in_bytes, in_order
        try:
            yield
        finally:
            self.in_bytes, self.in_order = before

    def kernel(self, algorithm: str, tile: Sequence[int] = (), epilogue: tuple[str, ...] = ()) -> Kernel:
        """A kernel of the longest vectors of maps; see ``Vector.kernel``. That for lines is made by their layout."""
        return self.vector.kernel(algorithm, tile, epilogue)

    def decide(
        self, node: Node, weight_format: str, kernel: Kernel, reason: str = ONLY_KERNEL, **counts: int
    ) -> None:
        """Record the choice made for ``node``; of one in integers the format says so."""
        if self.in_bytes:
            weight_format = f"int8 {weight_format}".removesuffix(" none")
        super().decide(node, weight_format, kernel, reason, **counts)

    # --- stages and values

    def add(self, stage: Stage) -> None:
        """Append a stage; it becomes the producer of its value."""
        stage.out.producer = stage
        self.stages.append(stage)

    def is_map(self, tensor: str) -> bool:
        """Whether ``tensor`` is an image of more than one pixel: it is then stored as rows."""
        shape = self.image_shape(tensor)
        return not self.in_order and len(shape) == 3 and shape[1] * shape[2] > 1

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
        read = self.in_bytes or any(self.get(name, Rows) for name in node.inputs)
        return read or node.output in self._wants_rows

    def put(self, tensor: str, value: Value) -> Value:
        """Record that ``tensor`` is also available as ``value``; returns ``value``."""
        rows, is_float = isinstance(value.layout, Rows), value.layout.vector.element.is_float
        self._values[tensor, Form(Rows if rows else Plain, in_bytes=not is_float)] = value
        return value

    def get(self, tensor: str, layout: type[Layout]) -> Value | None:
        """``tensor`` in this kind of layout, or None if no stage makes it yet."""
        return self._values.get((tensor, Form(layout, self.in_bytes)))

    def any(self, tensor: str) -> Value:
        """``tensor`` in whichever layout exists, as rows if both do; bytes are in quads, unless wanted in C order."""
        if self.in_bytes:
            return self.bounded(tensor) if self.in_order else self.rows(tensor)
        value = self.get(tensor, Rows) or self.get(tensor, Plain)
        if value is not None:
            return value
        as_rows = tensor not in self.graph.constants and self.is_map(tensor)
        return self.rows(tensor) if as_rows else self.bounded(tensor)

    def map_shape(self, tensor: str) -> tuple[int, int, int]:
        """(channels, height, width) of a map in the elements that it is stored in: there may be four to a quad."""
        channels, height, width = self.image_shape(tensor)
        return (-(-channels // QUAD) if self.in_bytes else channels), height, width

    def new_map(self, tensor: str, layout: Layout) -> Value:
        """A new value in this layout for a stage to make; it is no form of the tensor that others know."""
        grid = self.graph.quantization.get(tensor)
        return Value(tensor, layout, zero=grid.zero_point * EVERY_BYTE if grid and self.in_bytes else 0)

    def new_rows(self, tensor: str, row_by_row: bool = False) -> Value:
        """A new value for a stage to make: ``tensor`` as rows, with the halo its readers need.

        A stage that writes whole vectors ``row_by_row`` gets plain rows where it would write over the next row of a
        flattened map; they are flattened when a reader needs them so.
        """
        channels, height, width = self.map_shape(tensor)
        halo = self.halos.get(tensor, (0, 0, 0))
        pitch = self.pitches.get((height, width), 0)
        if pitch and not (row_by_row and width > self.vector.fitting(width).lanes):
            layout: Rows = Flattened(self.vector, channels, height, width, *halo, pitch)
        else:
            layout = Rows(self.vector, channels, height, width, *(() if pitch else halo))
        return self.put(tensor, self.new_map(tensor, layout))

    def new_plain(self, tensor: str) -> Value:
        """A new value for a stage to make: ``tensor`` in C order."""
        return self.put(tensor, Value(tensor, self.plain_layout(tensor)))

    def plain_layout(self, tensor: str) -> Plain:
        """The layout of ``tensor`` in C order."""
        return Plain(self.plain_vector, self.image_shape(tensor))

    def rows(self, tensor: str) -> Value:
        """``tensor`` as rows; a stage that makes them is added if necessary."""
        value = self.get(tensor, Rows)
        if value is None:
            value = self._form(tensor, Rows)
        if self.pitches.get((value.rows.height, value.rows.width), 0) and not isinstance(
            value.layout, Flattened
        ):
            return self.cast(tensor, value, self.new_rows(tensor))
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
        """``tensor`` in C order for readers that stop at its end; a stage that makes it is added if necessary."""
        value = self.get(tensor, Plain)
        if value is None and tensor in self.graph.constants:
            array = self.graph.constants[tensor]
            layout = Plain(self.plain_vector, array.shape)
            value = self.put(tensor, Value(tensor, layout, self.padded_constant(array.reshape(-1))))
        return value or self._form(tensor, Plain)

    def _form(self, tensor: str, layout: type[Layout]) -> Value:
        """A new form of ``tensor``, and the stage that makes it."""
        source = self.source(tensor, Form(layout, self.in_bytes))
        return self.cast(tensor, source, self.new_rows(tensor) if layout is Rows else self.new_plain(tensor))

    def source(self, tensor: str, form: Form) -> Value:
        """A form of ``tensor`` of which ``cast`` makes this one."""
        for other in SOURCES[form]:
            if (tensor, other) in self._values:
                return self._values[tensor, other]
        with self.computing(in_bytes=False):
            return self.bounded(tensor)

    def cast(self, tensor: str, source: Value, out: Value) -> Value:
        """Add the stage that makes ``out`` of another form of ``tensor``; returns ``out``."""
        layer, shape = self.layer, self.image_shape(tensor)
        elements = [value.layout.vector.element for value in (source, out)]
        # A window that leaves one pixel writes rows of it.
        as_map = self.is_map(tensor) or any(isinstance(value.layout, Rows) for value in (source, out))
        if elements[0] is elements[1]:
            if as_map:
                self.add(MapCopy(layer, out, shape[1], source, self.map_shape(tensor)))
            else:
                self.add(FlatCopy(layer, out, 1, source))
            return out
        grid = self.graph.quantization[tensor]
        if as_map and U8X4 in elements:
            quads = -(-shape[0] // QUAD)
            self.add(MapCast(layer, out, shape[1], source, grid, shape, self.target, channel_blocks=quads))
        else:
            self.add(FlatCast(layer, out, 1, source, grid))
        return out
