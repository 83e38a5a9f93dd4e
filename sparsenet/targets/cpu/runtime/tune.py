"""Choice by measurement: the candidates of a layer raced on this machine, with its real weights.

Processor time counts; runs disturbed by other work are dropped. Times are kept on disk under a name that hashes the
layer, the candidates and everything machine code depends on, so a layer is measured once per CPU and kernel version.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sparsenet.errors import InputError
from sparsenet.graph.types import F32
from sparsenet.io import strict_json
from sparsenet.io.cache import keep, kept
from sparsenet.plan.assemble import Step, aligned_bytes, encode_tape, pack_constants
from sparsenet.plan.builder import Builder
from sparsenet.plan.candidate import Candidate
from sparsenet.plan.layout import Flattened, FlattenedStrideToDepth, Plain, round_up
from sparsenet.plan.ref import Ref, Word
from sparsenet.plan.stage import Stage, Value
from sparsenet.plan.weights import Weights
from sparsenet.targets.abi import ARENA, WEIGHTS, encode_pointer
from sparsenet.targets.cpu.runtime import jit, tape
from sparsenet.targets.registry import Kernel
from sparsenet.timing import THREAD, Clock, rounds_for, take_rounds, turns_of

#: Rounds, fewest and most, and seconds for each candidate.
FEWEST_ROUNDS, MOST_ROUNDS, SECONDS = 2, 12, 0.15
#: The folder of the cache in which times are kept.
FOLDER = "tuning"
#: Part of the name under which times are kept: what was measured.
MEANING = "whole layer"
#: A race works on few rows of a large map: what streams through the cache is timed as it will be run.
STREAMED_ROWS = 8


def race(builder: Builder, candidates: Sequence[Candidate], key: str) -> list[float] | None:
    """Seconds that the whole layer takes with every candidate; None where the machine is too noisy to tell.

    ``key`` identifies the layer's weights and shape.

    Raises:
        InputError: the plan is for a machine that this one is not.
    """
    if not builder.target.features <= jit.cpu_features():
        raise InputError(f"candidates are timed on this machine, which is no {builder.target.name}")
    names = [candidate.name for candidate in candidates]
    identity = "\n".join([jit.fingerprint(), MEANING, key, *names])
    name = f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(ValueError, KeyError, TypeError):
        known = strict_json.parse(kept(FOLDER, name) or b"")
        return [float(known[candidate]) for candidate in names]
    seconds = _measure([_Contestant(builder, candidate) for candidate in candidates])
    if seconds is None:
        return None
    keep(FOLDER, name, json.dumps(dict(zip(names, seconds, strict=True))).encode())
    return seconds


def _measure(contestants: Sequence[_Contestant], clock: Clock = THREAD) -> list[float] | None:
    """The least time of each contestant's undisturbed runs; None if some contestant had none."""
    turns = turns_of({str(number): contestant.run for number, contestant in enumerate(contestants)}, clock)
    rounds = rounds_for(turns, SECONDS * len(turns), FEWEST_ROUNDS, MOST_ROUNDS, tries=1)
    taken = take_rounds(turns, rounds, clock, settle=0.0)
    if not taken.enough:
        return None
    # Contestants are not paired by round: every contestant's own undisturbed runs count.
    best = [taken.seconds(name)[0].min() for name in turns]
    return [float(seconds) / contestant.share for seconds, contestant in zip(best, contestants, strict=True)]


class _Contestant:
    """One candidate, packed, compiled and ready to run alone on random pixels."""

    def __init__(self, builder: Builder, candidate: Candidate) -> None:
        weights = Weights(constants=list(builder.constants))  # what the epilogue reads is there already
        stage = candidate.make(weights)
        stage.pack(weights, [(0, stage.channel_blocks)])
        bench = _Bench(stage, builder.target.whole_map_bytes)
        #: The share of the layer that is run: candidates differ in what they call a row.
        self.share = bench.write()
        arguments = [value for step in bench.steps for value in step.arguments.values()]
        used = sorted({v.index for v in arguments if isinstance(v, Ref) and v.space == "weights"})
        self._weights, starts = pack_constants([weights.constants[index] for index in used])
        offsets = dict(zip(used, starts, strict=True))
        self._arena = aligned_bytes(bench.size + 64)
        pixels = np.random.default_rng(0).standard_normal(self._arena.size // F32.itemsize - 1, F32.dtype)
        self._arena[: pixels.nbytes] = pixels.view(np.uint8)

        def place(ref: Ref) -> int:
            if ref.space == "weights":
                return encode_pointer(WEIGHTS, offsets[ref.index] + ref.offset)
            return encode_pointer(ARENA, ref.offset)

        self._tape = encode_tape(bench.steps, place)
        self._tape[:, 0] = [step.kernel.address() for step in bench.steps]
        self._bases = np.array([self._weights.ctypes.data, self._arena.ctypes.data], np.int64)
        self._function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 3)(tape.address("run_tape"))

    def run(self) -> None:
        """Run the candidate once."""
        self._function(self._tape.ctypes.data, len(self._tape), self._bases.ctypes.data)


@dataclass
class _Bench:
    """Records the kernel calls of a stage that runs alone: every value has a place, rows from the first needed one."""

    stage: Stage
    whole_map_bytes: int
    steps: list[Step] = field(default_factory=list)
    size: int = 0
    _places: dict[Value, tuple[int, int]] = field(default_factory=dict)

    def write(self) -> float:
        """Write the calls; returns their share of the layer: a few row blocks of a large map, all of a small one."""
        stage = self.stage
        streamed = stage.out.size_bytes >= self.whole_map_bytes
        row_block = stage.row_block if streamed else stage.units
        units = min(stage.units, round_up(STREAMED_ROWS, row_block)) if streamed else stage.units
        for value, first, last in [*stage.needs(0, units), (stage.out, 0, units)]:
            self._place(value.root, first, last)
        for first in range(0, units, row_block):
            stage.emit(self, first, min(first + row_block, units), (0, stage.channel_blocks))
        return units / stage.units

    def _place(self, value: Value, first: int, last: int) -> None:
        if value in self._places:
            return
        layout = value.layout
        self._places[value] = (
            self.size + layout.front_bytes,
            0 if isinstance(layout, Flattened | FlattenedStrideToDepth) else first,
        )
        size = layout.size_bytes if isinstance(layout, Plain) else layout.buffer_bytes(last - first)
        self.size += round_up(size, 64) + 64 * 65  # an odd number of lines apart

    def call(self, kernel: Kernel, **arguments: Word) -> None:
        """Append a kernel call; see ``Emitter.call``."""
        self.steps.append(Step(kernel, arguments, self.stage.layer))

    def row(self, value: Value, y: int) -> Ref:
        """Where row ``y`` of a value is stored; see ``Emitter.row``."""
        start, first = self._places[value]
        assert not isinstance(value.layout, Plain)
        return Ref("arena", 0, start + (y - first) * value.layout.row_bytes)

    def whole(self, value: Value) -> Ref:
        """Where element 0 of a plain value is stored; see ``Emitter.whole``."""
        return Ref("arena", 0, self._places[value.root][0])

    def begun(self, stage: Stage) -> bool:
        """Whether some units of ``stage`` are done; see ``Emitter.begun``."""
        return False
