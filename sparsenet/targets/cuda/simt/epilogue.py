"""Fused epilogues: the fused ops after an op, applied to a thread's numbers while they are in registers.

A kernel's last two arguments carry what they read: ``tensors``, int64 offsets, in the order of the ops (``affine``:
scale and shift in ``weights``; ``add``: the residual in ``memory`` and its floats per channel), and ``numbers``, the
float32 parameters of the activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparsenet.graph.ops import ACTIVATIONS
from sparsenet.targets.cuda.families import epilogue_arguments
from sparsenet.targets.cuda.simt.activations import FUNCTIONS
from sparsenet.targets.cuda.simt.machine import LOAD_INTO, device, load


def epilogue(ops: Sequence[str], lanes: int, before: Sequence[str] = ()) -> Any:
    """``f(sums, at, scratch, memory, weights, tensors, numbers, channel, position)``, in place.

    ``sums[at : at + lanes]`` are consecutive positions of one channel from ``position`` on; ``scratch`` is a local
    array of ``lanes`` floats. ``before``: fused ops that use the first of ``tensors`` and ``numbers``.
    """

    @device
    def chain(sums, at, scratch, memory, weights, tensors, numbers, channel, position):  # type: ignore[no-untyped-def]
        pass

    done = list(before)
    for op in ops:
        chain = _after(chain, _step(op, lanes, *epilogue_arguments(done)))
        done.append(op)
    return chain


def _after(first: Any, second: Any) -> Any:
    @device
    def both(sums, at, scratch, memory, weights, tensors, numbers, channel, position):  # type: ignore[no-untyped-def]
        first(sums, at, scratch, memory, weights, tensors, numbers, channel, position)
        second(sums, at, scratch, memory, weights, tensors, numbers, channel, position)

    return both


def _step(op: str, lanes: int, tensor: int, number: int) -> Any:
    if op == "affine":

        @device
        def affine(sums, at, scratch, memory, weights, tensors, numbers, channel, position):  # type: ignore[no-untyped-def]
            scale, shift = (
                load(weights, tensors[tensor] + channel),
                load(weights, tensors[tensor + 1] + channel),
            )
            for lane in range(lanes):
                sums[at + lane] = sums[at + lane] * scale + shift

        return affine
    if op == "add":
        load_into = LOAD_INTO[lanes]

        @device
        def add(sums, at, scratch, memory, weights, tensors, numbers, channel, position):  # type: ignore[no-untyped-def]
            load_into(memory, tensors[tensor] + channel * tensors[tensor + 1] + position, scratch, 0)
            for lane in range(lanes):
                sums[at + lane] += scratch[lane]

        return add
    return _activation(op, lanes, number)


def _activation(op: str, lanes: int, number: int) -> Any:
    function, parameters = FUNCTIONS[op], len(ACTIVATIONS[op].parameters)
    zero = np.float32(0)
    if parameters == 0:

        @device
        def plain(sums, at, scratch, memory, weights, tensors, numbers, channel, position):  # type: ignore[no-untyped-def]
            for lane in range(lanes):
                sums[at + lane] = function(sums[at + lane], zero, zero)

        return plain
    second = number + parameters - 1

    @device
    def with_numbers(sums, at, scratch, memory, weights, tensors, numbers, channel, position):  # type: ignore[no-untyped-def]
        for lane in range(lanes):
            sums[at + lane] = function(sums[at + lane], numbers[number], numbers[second])

    return with_numbers
