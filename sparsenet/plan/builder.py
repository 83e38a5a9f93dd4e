"""The plan under construction: steps, buffers, packed constants, and where each tensor stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sparsenet.errors import GraphError
from sparsenet.graph import FloatArray, Graph, Node, Shape
from sparsenet.kernels.abi import encode_float
from sparsenet.kernels.jit import max_lanes
from sparsenet.kernels.registry import Kernel
from sparsenet.plan.layout import Layout, Plain, Rows, lanes_for


@dataclass(frozen=True)
class Ref:
    """A place in memory: a space ("weights", "arena", "input", "output"), which one of it, and a byte offset."""

    space: str
    index: int
    offset: int

    def __add__(self, offset: int) -> Ref:
        return Ref(self.space, self.index, self.offset + offset)


@dataclass
class Step:
    """One kernel call: the kernel, its arguments by name, the layer it belongs to."""

    kernel: Kernel
    arguments: dict[str, int | Ref]
    layer: str


@dataclass(frozen=True)
class Place:
    """A tensor in memory: its layout and where pixel (or element) 0 stands."""

    layout: Layout
    first: Ref


@dataclass
class Decision:
    """What was chosen for one layer and why, for ``explain``."""

    layer: str
    op: str
    format: str
    kernel: str
    reason: str
    macs: int = 0
    nnz: int = 0
    weights: int = 0


@dataclass(frozen=True)
class Options:
    """What the caller asked of the planner.

    Attributes:
        kernels: "auto" chooses per layer; "dense" is the baseline; "sparse" takes sparse kernels wherever there are
            any, whatever they cost, for measuring where they pay.
        threads: threads that will share each step.
    """

    kernels: Literal["auto", "sparse", "dense"] = "auto"
    threads: int = 1


@dataclass
class Builder:
    """Collects the plan of one graph; lowering functions write into it."""

    graph: Graph
    shapes: dict[str, Shape]
    options: Options
    halos: dict[str, tuple[int, int, int]]
    steps: list[Step] = field(default_factory=list)
    buffer_sizes: list[int] = field(default_factory=list)
    constants: list[npt.NDArray[Any]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    layer: str = ""
    _places: dict[tuple[str, str], Place] = field(default_factory=dict)
    _lane_bits: dict[Rows, Ref] = field(default_factory=dict)
    windows: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    # --- memory

    def constant(self, array: npt.NDArray[Any]) -> Ref:
        """Put packed weights or a table into the weight block."""
        self.constants.append(np.ascontiguousarray(array))
        return Ref("weights", len(self.constants) - 1, 0)

    def padded_constant(self, vector: FloatArray, fill: float = 0.0) -> Ref:
        """A per-channel vector, padded so that whole vectors may be read from any of its elements."""
        out = np.full(vector.size + 64, fill, np.float32)
        out[: vector.size] = vector
        return self.constant(out)

    def buffer(self, layout: Layout) -> Place:
        """A new arena buffer of this layout."""
        return Place(layout, self.scratch(layout.size_bytes) + layout.first_bytes)

    def scratch(self, size_bytes: int) -> Ref:
        """A new arena buffer of so many bytes.

        Raises:
            GraphError: kernels reach any tap of a map by a 32-bit byte offset; this one is too large for that.
        """
        if size_bytes >= 2**31:
            raise GraphError(
                f"layer '{self.layer}' needs a buffer of {size_bytes:,} bytes; the limit is 2 GiB per image"
            )
        self.buffer_sizes.append(size_bytes)
        return Ref("arena", len(self.buffer_sizes) - 1, 0)

    def lines(self, layout: Rows, height: int | None = None) -> dict[str, int | Ref]:
        """The arguments that tell a kernel how its output lies: ``height`` rows (the whole map's by default)."""
        if layout not in self._lane_bits:
            self._lane_bits[layout] = self.constant(layout.lane_bits())
        return {
            "height": layout.height if height is None else height,
            "full_vectors": layout.full_vectors,
            "lane_bits": self._lane_bits[layout],
            "line_vectors": layout.line_vectors,
            "halo_vectors": layout.halo_vectors,
        }

    # --- steps

    def emit(self, kernel: Kernel, **arguments: int | Ref) -> None:
        """Append a kernel call; every argument must be given (the epilogue's as ``scale.1``), none beside them."""
        if set(arguments) != set(kernel.arguments):
            wrong = sorted(set(arguments) ^ set(kernel.arguments))
            raise ValueError(f"{kernel.name}: arguments {wrong} missing or unknown")
        self.steps.append(Step(kernel, arguments, self.layer))

    def decide(self, node: Node, weight_format: str, kernel: Kernel, reason: str, **counts: int) -> None:
        """Record the choice made for ``node``."""
        self.decisions.append(Decision(node.name, node.op, weight_format, kernel.name, reason, **counts))

    # --- tensors

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of one image of ``tensor``: without the batch."""
        return tuple(int(d or 0) for d in self.shapes[tensor][1:])

    def set_place(self, tensor: str, place: Place) -> None:
        """Tell where a tensor stands now."""
        self._places[tensor, type(place.layout).__name__] = place

    def has_rows(self, tensor: str) -> bool:
        """Whether ``tensor`` already stands as rows."""
        return (tensor, "Rows") in self._places

    def new_rows(self, tensor: str) -> Place:
        """A buffer for ``tensor`` as rows, with the halo its readers need; halo rows are zeroed here."""
        channels, height, width = self.shape(tensor)
        top, bottom, side = self.halos.get(tensor, (0, 0, 0))
        layout = Rows(channels, height, width, top, bottom, side)
        place = self.buffer(layout)
        if top or bottom or side:
            fill = Kernel("f32_fill_none_any", max_lanes())
            start = Ref("arena", place.first.index, 0)
            before = layout.first_bytes
            after = layout.first_bytes + height * layout.row_bytes
            self.emit(fill, value=encode_float(0.0), size=before // 4, out=start)
            self.emit(fill, value=encode_float(0.0), size=(layout.size_bytes - after) // 4, out=start + after)
        self.set_place(tensor, place)
        return place

    def new_plain(self, tensor: str) -> Place:
        """A buffer for ``tensor`` in C order."""
        place = self.buffer(Plain(self.shape(tensor)))
        self.set_place(tensor, place)
        return place

    def source(self, tensor: str) -> tuple[Ref, int, int]:
        """First element, row stride and channel stride in bytes of a (C, H, W) tensor, whatever its layout."""
        for kind in ("Rows", "Plain"):
            place = self._places.get((tensor, kind))
            if place is not None:
                if isinstance(place.layout, Rows):
                    return place.first, place.layout.row_bytes, place.layout.channel_bytes
                _, height, width = self.shape(tensor)
                return place.first, width * 4, height * width * 4
        raise KeyError(tensor)

    def rows(self, tensor: str) -> Place:
        """``tensor`` as rows; converted now if it is not."""
        if not self.has_rows(tensor):
            first, x_row, x_channel = self.source(tensor)
            place = self.new_rows(tensor)
            layout = place.layout
            assert isinstance(layout, Rows)
            self.relayout(
                first, x_row, x_channel, (layout.channels, layout.height, layout.width),
                place.first, layout.row_bytes, layout.channel_bytes, columns=layout.line,
            )  # fmt: skip
        return self._places[tensor, "Rows"]

    def plain(self, tensor: str) -> Place:
        """``tensor`` in C order; converted now if it is not."""
        if (tensor, "Plain") not in self._places:
            if tensor in self.graph.constants:
                array = self.graph.constants[tensor]
                place = Place(Plain(array.shape), self.padded_constant(array.reshape(-1)))
                self.set_place(tensor, place)
                return place
            first, x_row, x_channel = self.source(tensor)
            channels, height, width = self.shape(tensor)
            place = self.new_plain(tensor)
            self.relayout(
                first, x_row, x_channel, (channels, height, width),
                place.first, width * 4, height * width * 4, columns=width,
            )  # fmt: skip
        return self._places[tensor, "Plain"]

    def relayout(
        self, x: Ref, x_row: int, x_channel: int, source: Sequence[int], out: Ref, out_row: int, out_channel: int, *,
        columns: int, rows: int | None = None, first_row: int = 0, row_step: int = 1, first_column: int = 0,
        column_step: int = 1, phases: int = 1, out_phase: int = 0,
    ) -> None:  # fmt: skip
        """Copy a (channels, rows, columns) source, zeros where it ends; see ``kernels/cpu/relayout.py``."""
        channels, x_rows, x_columns = source
        stride = column_step if column_step <= 2 else 0
        self.emit(
            Kernel("f32_relayout_none_any", lanes_for(columns), (stride,)),
            x=x, x_row=x_row, x_channel=x_channel, x_rows=x_rows, x_columns=x_columns, first_row=first_row,
            row_step=row_step, first_column=first_column, phases=phases, channels=channels,
            rows=x_rows if rows is None else rows, columns=columns, column_step=column_step,
            out=out, out_row=out_row, out_channel=out_channel, out_phase=out_phase,
        )  # fmt: skip
