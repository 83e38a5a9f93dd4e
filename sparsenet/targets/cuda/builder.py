"""The GPU plan under construction: constants, values, launches and decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray
from sparsenet.graph.types import F32
from sparsenet.plan.lowering.builder import LoweringBuilder
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.targets.cuda.layout import LINE_FLOATS, Maps, map_sizes, round_up
from sparsenet.targets.cuda.pack import RowGroups
from sparsenet.targets.registry import Kernel
from sparsenet.targets.target import Vector

#: Threads of a block of kernels whose threads each make one pixel, or one vector of pixels.
THREADS = 256
#: Blocks of such a kernel on each multiprocessor; more of them take turns by a loop over channels.
BLOCKS_PER_PROCESSOR = 16
#: Threads that a multiprocessor runs at once.
THREADS_PER_PROCESSOR = 2048
#: Elements behind the last constant that kernels may read ahead of time: one step of each of 32 splits.
OVERREAD = 256


class NoKernelError(Exception):
    """A node that has no CUDA kernel; the message says what about it."""


@dataclass(frozen=True)
class Options:
    """What the caller asked of the planner.

    Attributes:
        batch: images of one inference.
        sparse: whether sparse kernels may be chosen.
        processors: multiprocessors of the GPU.
        trial: which candidate every layer takes, to be measured; None for the one to run.
        measured: seconds of the candidates of each layer, in their order, where they are known; of a depthwise
            convolution, which has one way to run, those of each time.
    """

    batch: int = 1
    sparse: bool = True
    processors: int = 132
    trial: int | None = None
    measured: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(eq=False)
class Value:
    """A tensor in device memory.

    Attributes:
        shape: batch included.
        layout: None for C order.
        offset: in floats; known once the plan is complete.
        fixed: what it holds from the beginning, of a constant that kernels read like an activation.
        same_as: the tensor in whose place this one is.
    """

    name: str
    shape: tuple[int, ...]
    layout: Maps | None
    offset: int = 0
    fixed: FloatArray | None = None
    same_as: Value | None = None

    @property
    def size(self) -> int:
        """Number of floats."""
        return prod(self.shape) if self.layout is None else self.layout.size

    @property
    def root(self) -> Value:
        """The tensor whose memory this value uses."""
        return self if self.same_as is None else self.same_as.root

    @property
    def maps(self) -> Maps:
        """The layout of a value that is maps."""
        assert self.layout is not None
        return self.layout

    def __add__(self, floats: int) -> Place:
        return Place(self, floats)


@dataclass(frozen=True)
class Place:
    """An offset within a value."""

    value: Value
    floats: int


Argument = int | Value | Place


@dataclass
class Epilogue:
    """The fused ops after an op, and what they read."""

    ops: tuple[str, ...] = ()
    tensors: list[Argument] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)

    def extend(self, other: Epilogue) -> None:
        """Append the fused ops of ``other`` and what they read."""
        self.ops += other.ops
        self.tensors += other.tensors
        self.numbers += other.numbers


@dataclass
class Call:
    """A launch whose tensors have no addresses yet."""

    layer: str
    kernel: Kernel
    blocks: tuple[int, int]
    threads: int
    arguments: dict[str, Argument]
    tensors: list[Argument]
    numbers: list[float]

    def touches(self) -> list[Value]:
        """The values that this launch reads or writes."""
        places = [*self.arguments.values(), *self.tensors]
        values = [place.value if isinstance(place, Place) else place for place in places]
        return [value for value in values if isinstance(value, Value)]


class Block:
    """Packed constants of one dtype, end to end, each at a multiple of 128 bytes."""

    def __init__(self, dtype: type[np.float32] | type[np.int32]) -> None:
        self._dtype = dtype
        self._parts: list[tuple[int, npt.NDArray[np.float32 | np.int32]]] = []
        self._end = 0

    def add(self, array: npt.NDArray[np.float32 | np.int32]) -> int:
        """Append ``array``; returns the offset at which it will be."""
        start = self._end
        self._parts.append((start, array))
        self._end += round_up(max(array.size, 1), LINE_FLOATS)
        return start

    def join(self) -> npt.NDArray[np.float32 | np.int32]:
        """All constants as one array."""
        whole = np.zeros(self._end + OVERREAD, self._dtype)
        for start, array in self._parts:
            whole[start : start + array.size] = array.reshape(-1)
        return whole


@dataclass
class Builder(LoweringBuilder[int]):
    """Collects the launches of one graph; constants are placed at offsets in a block of float32 or one of int32.

    ``halos`` holds, for each size of map (height, width), the zero rows and columns between its images and rows;
    ``pairs`` the depthwise convolutions that wait for the 1x1 convolution that is named, to be lowered with it;
    ``overread`` how many floats behind a tensor some kernel reads, for results that it then drops.
    """

    options: Options
    halos: dict[tuple[int, int], tuple[int, int]]
    pairs: dict[str, Convolution] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    weights: Block = field(default_factory=lambda: Block(np.float32))
    tables: Block = field(default_factory=lambda: Block(np.int32))
    overread: int = 0
    _values: dict[str, Value] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """Images of one inference."""
        return self.options.batch

    @cached_property
    def waiting(self) -> set[str]:
        """Names of the depthwise convolutions of ``pairs``."""
        return {conv.node.name for conv in self.pairs.values()}

    def _place(self, array: npt.NDArray[Any]) -> int:
        blocks = {"float32": self.weights, "int32": self.tables}
        return blocks[array.dtype.name].add(array)

    def kernel(
        self, algorithm: str, tile: Sequence[int] = (), epilogue: tuple[str, ...] = (), lanes: int = 1
    ) -> Kernel:
        """A kernel whose threads load and store ``lanes`` elements at a time; see ``Vector.kernel``."""
        return Vector(F32, lanes).kernel(algorithm, tile, epilogue)

    # --- values

    def layout(self, shape: Sequence[int]) -> Maps:
        """The default layout of a tensor of this shape, the batch first."""
        channels, height, width = map_sizes(shape[1:])
        halo = self.halos.get((height, width), (0, 0)) if len(shape) == 4 else (0, 0)
        return Maps(channels, height, width, shape[0], *halo)

    def put(self, tensor: str, value: Value) -> Value:
        """Record that ``tensor`` is available as ``value``; returns ``value``."""
        self._values[tensor] = value
        return value

    def get(self, tensor: str) -> Value:
        """``tensor`` as maps, or, of a constant, in C order."""
        if tensor not in self._values:
            array = np.ascontiguousarray(self.graph.constants[tensor])
            self.put(tensor, Value(tensor, array.shape, None, fixed=array))
        return self._values[tensor]

    def new_maps(self, tensor: str) -> Value:
        """A new value for a launch to make: ``tensor`` as maps."""
        shape = self.shape(tensor)
        return self.put(tensor, Value(tensor, shape, self.layout(shape)))

    def temporary(self, shape: Sequence[int], layout: Maps | None) -> Value:
        """A new tensor that only this layer uses."""
        return Value(f"{self.layer}: temporary", tuple(shape), layout)

    def row_groups(self, packed: RowGroups) -> dict[str, int]:
        """Arguments that tell a kernel where the groups of a matrix are."""
        return {
            "spans": self.constant(packed.spans),
            "columns": self.constant(packed.columns),
            "values": self.constant(packed.values),
            "channels": self.constant(packed.channels),
            "groups": len(packed.channels),
        }

    # --- launches

    def call(
        self, kernel: Kernel, blocks: tuple[int, int], threads: int, epilogue: Epilogue | None = None,
        /, **arguments: Argument,
    ) -> None:  # fmt: skip
        """Append a launch of a kernel with these arguments."""
        extra = epilogue or Epilogue()
        self.calls.append(Call(self.layer, kernel, blocks, threads, arguments, extra.tensors, extra.numbers))

    def over_pixels(
        self, kernel: Kernel, positions: int, channels: int, epilogue: Epilogue | None = None,
        /, **arguments: Argument,
    ) -> None:  # fmt: skip
        """Append a launch of one thread for every ``lanes`` positions, which goes from channel to channel."""
        work = -(-positions // kernel.lanes)
        threads = min(THREADS, round_up(work, 32))
        along = -(-work // threads)
        self.call(kernel, (along, self.across(along, channels)), threads, epilogue, **arguments)

    def over_output(
        self, kernel: Kernel, out: Value, epilogue: Epilogue | None = None, /, **arguments: Argument
    ) -> None:
        """Append a launch of one thread for every ``lanes`` positions of ``out``, which are maps."""
        maps = out.maps
        self.over_pixels(
            kernel, maps.pitch, maps.channels, epilogue,
            channels=maps.channels, **maps.geometry(), out=out, pitch=maps.pitch, **arguments,
        )  # fmt: skip

    def over_lines(
        self, algorithm: str, lines: int, size: int, stride: int, numbers: Sequence[float] = (),
        /, **arguments: Argument,
    ) -> Kernel:  # fmt: skip
        """Append a launch in which some threads share each of ``lines`` lines of ``size`` numbers, ``stride`` apart.

        Each has four numbers or more, and there are no more of them than the GPU runs at once; but at least eight,
        who read one sector of memory, where the numbers are neighbours. Tile: threads of a line, lines of a block.
        """
        most = min(size // 4, THREADS, THREADS_PER_PROCESSOR * self.options.processors // lines)
        sharers = max(most, min(8, size) if stride == 1 else 1)
        threads = 1 << (sharers.bit_length() - 1)
        together = min(THREADS // threads, lines)
        kernel = self.kernel(algorithm, (threads, together))
        epilogue = Epilogue(numbers=list(numbers))
        self.call(kernel, (-(-lines // together), 1), threads * together, epilogue, **arguments)
        return kernel

    def across(self, along: int, channels: int) -> int:
        """Blocks that share ``channels`` where there are ``along`` for each."""
        return max(1, min(channels, BLOCKS_PER_PROCESSOR * self.options.processors // along))
