"""The plan under construction: values in the forms that their readers want, stages, constants and decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Node
from sparsenet.graph.types import F32, QUAD, U8X4, FloatArray
from sparsenet.plan.lowering.builder import ONLY_KERNEL, LoweringBuilder
from sparsenet.plan.plan import Decision
from sparsenet.targets.c99.choice import Choice, chosen
from sparsenet.targets.c99.constant import Constant, Word
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.machine import Machine
from sparsenet.targets.c99.stage import Read, Stage
from sparsenet.targets.c99.value import Value, is_image, map_shape


@dataclass(frozen=True)
class Options:
    """What the caller asked of the exporter.

    Attributes:
        machine: what the code is for.
        values: how weights are stored: ``f32`` or ``i8``.
        sparse: whether zeros among the weights may be left out.
        u8: whether the caller's images are bytes.
        mean, std: of bytes: the number of channel c is ``(byte - mean[c]) / std[c]``; one for all, or one each.
        layout: ``chw`` or ``hwc``: how the caller's images are laid out.
    """

    machine: Machine
    values: str = "f32"
    sparse: bool = True
    u8: bool = False
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (255.0,)
    layout: str = "chw"

    def numbers(self, images: npt.NDArray[np.uint8]) -> FloatArray:
        """The float32 numbers that ``images`` (..., C, H, W) in bytes stand for."""
        mean, std = (np.asarray(given, np.float64).reshape(-1, 1, 1) for given in (self.mean, self.std))
        return ((images - mean) / std).astype(np.float32)


@dataclass
class Builder(LoweringBuilder[Constant]):
    """Collects the stages of one graph.

    Attributes:
        sides: zeros that readers of each tensor need beside its lines.
        flats: tensors that some reader wants in C order.
        results: graph output → which of the caller's arrays it is written to, of those that a stage may write.
        sums: result of a conv2d in integers → the sums of its channels, where only their mean is wanted.
        rounded: the tensors that integer nodes have made: in any form, their numbers are on the grid.
        choices: stages whose kernel is still to be chosen.
        pooled: conv2d → the node behind it that takes the mean of its result, for those that may make it themselves.
    """

    options: Options
    sides: Mapping[str, int]
    flats: set[str]
    results: Mapping[str, int]
    pooled: Mapping[str, Node] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    constants_made: list[Constant] = field(default_factory=list)
    _values: dict[str, Value] = field(default_factory=dict)
    _rows: dict[str, Value] = field(default_factory=dict)
    _quads: dict[str, Value] = field(default_factory=dict)
    _on_grid: dict[str, Value] = field(default_factory=dict)
    sums: dict[str, Value] = field(default_factory=dict)
    rounded: set[str] = field(default_factory=set)

    @property
    def batch(self) -> int:
        """Images of one run."""
        return 1

    def _place(self, array: npt.NDArray[Any]) -> Constant:
        self.constants_made.append(Constant(len(self.constants_made), array, self.layer))
        return self.constants_made[-1]

    def map_shape(self, tensor: str) -> tuple[int, int, int]:
        """(channels, height, width) of one image of ``tensor``; see ``value.map_shape``."""
        return map_shape(self.image_shape(tensor))

    def is_map(self, tensor: str) -> bool:
        """Whether ``tensor`` is an image of more than one pixel."""
        shape = self.image_shape(tensor)
        return is_image(shape) and shape[-2] * shape[-1] > 1

    def new(self, tensor: str) -> Value:
        """A value for a stage to make: ``tensor`` in the form that its readers want, or the caller's array."""
        flat = tensor in self.flats or tensor in self.results or not self.is_map(tensor)
        side = 0 if flat else self.sides.get(tensor, 0)
        value = Value(tensor, self.map_shape(tensor), F32, side, flat, self.results.get(tensor))
        self._values[tensor] = value
        return value

    def view(self, tensor: str, source: Value) -> None:
        """``tensor`` is the numbers of ``source``, which is flat, under another shape."""
        assert source.root.flat
        root = source.root
        self._values[tensor] = Value(
            tensor, self.map_shape(tensor), flat=True, output=root.output, fixed=root.fixed, viewed=root
        )

    def alias(self, tensor: str, source: Value) -> None:
        """``tensor`` is ``source``."""
        self._values[tensor] = source

    def any(self, tensor: str) -> Value:
        """``tensor`` in the form that there is; a constant is flat, in flash."""
        if tensor not in self._values and tensor in self.graph.constants:
            array = self.graph.constants[tensor]
            shape = (1, 1, array.size)
            self._values[tensor] = Value(tensor, shape, flat=True, capacity=1, fixed=self.constant(array))
        if tensor not in self._values and tensor in self._quads:
            self._dequantize(self.new(tensor), self._quads[tensor])
        return self._values[tensor]

    # --- maps in bytes

    def new_quads(self, tensor: str) -> Value:
        """A value for a stage to make: ``tensor`` in bytes, the channels of a pixel by fours."""
        channels, height, width = self.map_shape(tensor)
        side = self.sides.get(tensor, 0)
        shape, zero = (-(-channels // QUAD), height, width), self.graph.quantization[tensor].zero_point
        value = Value(tensor, shape, U8X4, side, flat=not side and not self.is_map(tensor), zero=zero)
        self._quads[tensor] = value
        return value

    def alias_quads(self, tensor: str, source: Value) -> None:
        """``tensor`` in bytes is ``source``."""
        self._quads[tensor] = source

    def in_quads(self, tensor: str) -> Value | None:
        """``tensor`` in bytes, if it has been made so."""
        return self._quads.get(tensor)

    def quads(self, tensor: str) -> Value:
        """``tensor`` in bytes: rounded to its grid, if it is known in float32 only."""
        if tensor not in self._quads:
            x, out = self._values[tensor], self.new_quads(tensor)
            self.add(out, Kernel("u8x4_quantize_none_rows"), [Read(x)], self._grid(tensor, x, out, x.shape))
        return self._quads[tensor]

    def take_quads(self, tensor: str, number: int, in_pixels: bool) -> None:
        """Round one of the caller's arrays to bytes; ``in_pixels``: the channels of a pixel lie together."""
        channels, _, width = self.map_shape(tensor)
        grid, out = self.graph.quantization[tensor], self.new_quads(tensor)
        known: dict[str, Word] = {"channels": channels, "width": width, "out_channel": out.channel}
        if self.options.u8:
            tables = grid.round(
                self.options.numbers(np.tile(np.arange(256, dtype=np.uint8), (channels, 1, 1)))
            )
            alike = bool((tables == tables[0]).all())
            known |= {"table": self.constant(tables[0] if alike else tables), "apart": 0 if alike else 256}
        else:
            known |= {"scale": float(grid.scale), "zero": grid.zero_point}
        family = "u8x4_input_bytes_rows" if self.options.u8 else "u8x4_input_quads_rows"
        self.add(out, Kernel(family, (channels if in_pixels else 1,)), [], known).input = number
        self.rounded.add(tensor)

    @contextmanager
    def on_grid(self, tensors: Sequence[str]) -> Iterator[None]:
        """A context in which the numbers of ``tensors`` in float32 are those that their bytes stand for."""
        before = dict(self._values)
        for tensor in tensors:
            if tensor not in self.rounded and tensor not in self.graph.constants:
                if tensor not in self._on_grid:
                    known = self.any(tensor)
                    value = Value(tensor, known.shape, side=known.side, flat=known.flat)
                    self._dequantize(value, self.quads(tensor))
                    self._on_grid[tensor] = value
                self._values[tensor] = self._on_grid[tensor]
        try:
            yield
        finally:
            self._values.update({name: before[name] for name in tensors if name in before})

    def _dequantize(self, out: Value, x: Value) -> None:
        kernel = Kernel("f32_dequantize_none_rows")
        self.add(out, kernel, [Read(x)], self._grid(out.tensor, x, out, out.shape))

    def _grid(self, tensor: str, x: Value, out: Value, shape: tuple[int, int, int]) -> dict[str, Word]:
        grid = self.graph.quantization[tensor]
        return {
            "scale": float(grid.scale),
            "zero": grid.zero_point,
            "channels": shape[0],
            "width": shape[2],
            "x_channel": x.channel,
            "out_channel": out.channel,
        }

    # --- maps in float32

    def rows(self, tensor: str, side: int = 0, farthest: int | None = None) -> Value:
        """``tensor`` with at least ``side`` zeros beside its lines: a copy, if its only form is flat, also where the
        numbers of a row are then more than ``farthest`` apart.
        """
        value = self.any(tensor)
        far = farthest is not None and value.flat and (value.shape[0] - 1) * value.channel > farthest
        if value.side >= side and not (far and value.height > 1):
            return value
        if tensor not in self._rows:
            copy = Value(tensor, value.shape, side=self.sides.get(tensor, 0))
            self._rows[tensor] = copy
            self.copy(copy, value)
        return self._rows[tensor]

    def flat(self, tensor: str) -> Value:
        """``tensor`` in C order."""
        value = self.any(tensor)
        assert value.root.flat
        return value

    def new_flat(self, tensor: str) -> Value:
        """A value for a stage to make: ``tensor`` in C order."""
        self.flats.add(tensor)
        return self.new(tensor)

    def copy(
        self,
        out: Value,
        source: Value,
        fused: tuple[str, ...] = (),
        reads: Sequence[Read] = (),
        **arguments: Word,
    ) -> Kernel:
        """Add a stage that copies rows, or numbers in C order, and does fused ops to them; returns its kernel."""
        kernel = Kernel("f32_copy_none_rows", (), fused)
        if source.shape == out.shape:
            known: dict[str, Word] = {
                "channels": out.shape[0],
                "width": out.width,
                "x_channel": source.channel,
                "out_channel": out.channel,
            }
            self.add(out, kernel, [Read(source), *reads], {**known, **arguments})
        else:
            assert source.root.flat
            assert out.flat
            line: dict[str, Word] = {"channels": 1, "width": out.size, "x_channel": 0, "out_channel": 0}
            self.add(out, kernel, [Read(source, whole=True)], line, units=1, by_rows=False)
        return kernel

    def add(
        self,
        out: Value,
        kernel: Kernel,
        reads: list[Read],
        arguments: Mapping[str, Word],
        *,
        units: int | None = None,
        by_rows: bool = True,
        scratch: Value | None = None,
    ) -> Stage:
        """Append a stage; a unit is a row of ``out`` unless told otherwise."""
        missing = {a.name for a in kernel.signature} ^ arguments.keys()
        assert not missing, (kernel.name, missing)
        stage = Stage(
            self.layer,
            out,
            kernel,
            arguments,
            reads,
            out.height if units is None else units,
            by_rows,
            scratch,
        )
        self.stages.append(stage)
        return stage

    def add_best(
        self,
        out: Value,
        instructions: Mapping[Kernel, int],
        settle: Callable[[Kernel], Mapping[str, Word]],
        reads: list[Read],
        *,
        units: int,
        by_rows: bool = True,
    ) -> None:
        """Append a stage whose kernel is chosen when all nodes are lowered, by ``settle_choices``.

        Args:
            out, reads, units, by_rows: of the stage.
            instructions: of a unit, by each kernel that may do it.
            settle: the arguments for the kernel that is chosen.
        """
        stage = Stage(self.layer, out, next(iter(instructions)), {}, reads, units, by_rows)
        self.stages.append(stage)
        whole = {kernel: each * units for kernel, each in instructions.items()}
        self.choices.append(Choice(stage, whole, settle))

    def settle_choices(self) -> None:
        """Choose the kernels of the stages that wait for it."""
        for choice, kernel in zip(self.choices, chosen(self.choices), strict=True):
            self.layer, choice.stage.kernel = choice.stage.layer, kernel
            choice.stage.arguments = choice.settle(kernel)
        self.choices.clear()
        places = {node.name: place for place, node in enumerate(self.graph.nodes)}
        self.decisions.sort(key=lambda decision: places[decision.layer])

    def choose(
        self, node: Node, weight_format: str, kernel: Kernel, reason: str = ONLY_KERNEL, **counts: int
    ) -> None:
        """Record the choice made for ``node``."""
        self.decisions.append(Decision(node.name, node.op, weight_format, kernel.name, reason, **counts))
