"""The plan under construction: constants, values, launches and decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt

from sparsenet.graph import FloatArray, Graph, Node, Shape
from sparsenet.limits import Budget
from sparsenet.plan.plan import Decision
from sparsenet.targets.cuda.layout import LINE_FLOATS, Maps, map_sizes, round_up
from sparsenet.targets.cuda.pack import RowGroups
from sparsenet.targets.registry import Kernel

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
        """Floats."""
        return prod(self.shape) if self.layout is None else self.layout.size

    @property
    def root(self) -> Value:
        """The tensor whose memory it is."""
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
    """A place within a value."""

    value: Value
    floats: int


Argument = int | Value | Place


@dataclass
class Epilogue:
    """Words after an op and what they read."""

    words: list[str] = field(default_factory=list)
    tensors: list[Argument] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)


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
        """The values it reads or writes."""
        places = [*self.arguments.values(), *self.tensors]
        values = [place.value if isinstance(place, Place) else place for place in places]
        return [value for value in values if isinstance(value, Value)]


class Block:
    """Packed constants of one dtype, end to end, each at a multiple of 128 bytes."""

    def __init__(self, dtype: type[np.float32] | type[np.int32], budget: Budget) -> None:
        self._dtype, self._budget = dtype, budget
        self._parts: list[npt.NDArray[np.float32 | np.int32]] = []
        self._end = 0

    def add(self, array: npt.ArrayLike) -> int:
        """The offset at which ``array`` will stand."""
        flat = np.asarray(array, self._dtype).reshape(-1)
        self._budget.take(flat.nbytes)
        padded = np.zeros(round_up(max(flat.size, 1), LINE_FLOATS), self._dtype)
        padded[: flat.size] = flat
        start = self._end
        self._parts.append(padded)
        self._end += padded.size
        return start

    def join(self) -> npt.NDArray[np.float32 | np.int32]:
        """All of them."""
        return np.concatenate([np.zeros(0, self._dtype), *self._parts, np.zeros(OVERREAD, self._dtype)])


@dataclass
class Builder:
    """Collects the launches of one graph; lowering functions write into it.

    ``halos`` holds, for each size of map (height, width), the zero rows and columns between its images and rows;
    ``pairs`` the depthwise convolutions that wait for the 1x1 convolution that is named, to be lowered with it;
    ``overread`` how many floats behind a tensor some kernel reads, for results that it then drops.
    """

    graph: Graph
    shapes: dict[str, Shape]
    options: Options
    halos: dict[tuple[int, int], tuple[int, int]]
    pairs: dict[str, Node] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    weights: Block = field(init=False)
    tables: Block = field(init=False)
    layer: str = ""
    overread: int = 0

    def __post_init__(self) -> None:
        budget = Budget("packed weights of the network")
        self.weights, self.tables = Block(np.float32, budget), Block(np.int32, budget)

    # --- values

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of ``tensor`` with the batch in numbers."""
        return tuple(self.options.batch if d is None else d for d in self.shapes[tensor])

    def layout(self, shape: Sequence[int]) -> Maps:
        """Where a tensor of this shape, the batch first, lies by default."""
        channels, height, width = map_sizes(shape[1:])
        halo = self.halos.get((height, width), (0, 0)) if len(shape) == 4 else (0, 0)
        return Maps(channels, height, width, shape[0], *halo)

    def new(self, tensor: str) -> Value:
        """``tensor`` as maps, for a launch to make."""
        shape = self.shape(tensor)
        value = Value(tensor, shape, self.layout(shape))
        self.values[tensor] = value
        return value

    def temporary(self, shape: Sequence[int], layout: Maps | None) -> Value:
        """A tensor of this layer alone."""
        return Value(f"{self.layer}: temporary", tuple(shape), layout)

    def get(self, tensor: str) -> Value:
        """``tensor`` as maps, or, of a constant, in C order."""
        if tensor not in self.values:
            array = np.ascontiguousarray(self.graph.constants[tensor])
            self.values[tensor] = Value(tensor, array.shape, None, fixed=array)
        return self.values[tensor]

    def add_groups(self, packed: RowGroups) -> dict[str, int]:
        """Arguments that tell a kernel where the groups of a matrix stand."""
        return {
            "spans": self.tables.add(packed.spans),
            "columns": self.tables.add(packed.columns),
            "values": self.weights.add(packed.values),
            "channels": self.tables.add(packed.channels),
            "groups": len(packed.channels),
        }

    # --- launches

    def call(
        self, kernel: Kernel, blocks: tuple[int, int], threads: int, epilogue: Epilogue | None = None,
        /, **arguments: Argument,
    ) -> None:  # fmt: skip
        """Append a launch."""
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

    def over_lines(
        self, family: str, lines: int, size: int, stride: int, numbers: Sequence[float] = (),
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
        kernel = Kernel(family, 1, (threads, together))
        epilogue = Epilogue(numbers=list(numbers))
        self.call(kernel, (-(-lines // together), 1), threads * together, epilogue, **arguments)
        return kernel

    def across(self, along: int, channels: int) -> int:
        """Blocks that share ``channels`` where there are ``along`` for each."""
        return max(1, min(channels, BLOCKS_PER_PROCESSOR * self.options.processors // along))

    def decide(self, node: Node, weight_format: str, kernel: Kernel, reason: str, **counts: int) -> None:
        """Record the choice made for ``node``."""
        self.decisions.append(Decision(node.name, node.op, weight_format, kernel.name, reason, **counts))

    def refer(self, node: Node, value: Value, reason: str) -> None:
        """``node`` computes nothing: its output is ``value``."""
        self.values[node.output] = value
        self.decisions.append(Decision(node.name, node.op, "none", "none", reason))
