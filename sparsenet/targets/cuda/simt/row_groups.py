"""Rows of a matrix times pixels: the loop of every convolution, wherever its pixels come from.

A thread computes ``rows`` output channels at ``vectors x lanes`` pixels. Rows that share many columns form a group,
which lists every column that any of them uses once: a pixel is loaded once for all of them, and rows without that
column multiply it by zero, which costs nothing while loads are the bound (an SM loads 128 bytes in the time of 128
multiply-adds, so four rows of four pixels keep both busy; cf. the one-dimensional tiles of Gale et al.,
arXiv 2006.10901). A dense layer is the case where all groups share one list of all columns.

Columns come in steps of four, to be read by one 128-bit load that the whole warp shares. Groups are sorted by length
and dealt to the blocks in turn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparsenet.targets.cuda.simt.machine import LOAD_INTO, STORE_FROM, device, load

#: Columns of one step.
STEP = 4


def row_sums(rows: int, vectors: int, lanes: int, apart: int | None, load_pixels: Any) -> Any:
    """``f(pixels_of, source, weights, tables, columns, values, first, last, stride, ...local arrays)``.

    Into ``total`` goes each row's sum over the steps ``first``, ``first + stride`` and so on before ``last``.

    Args:
        apart: elements between a thread's vectors where all are at one address and constant distances; None: each has
            its own place in ``source``.
        load_pixels: reads a vector of ``pixels_of`` into registers.
    """
    each = vectors * lanes
    load_four, zero = LOAD_INTO[4], np.float32(0)

    @device
    def sums(  # type: ignore[no-untyped-def]
        pixels_of, source, weights, tables, columns, values, first, last, stride,
        total, pixels, weight, column, following,
    ):  # fmt: skip
        for i in range(rows * each):
            total[i] = zero
        load_four(tables, columns + STEP * first, column, 0)
        for step in range(first, last, stride):
            # The next step's columns are on their way while this one's pixels are; the table goes on far enough.
            load_four(tables, columns + STEP * (step + stride), following, 0)
            for r in range(rows):
                load_four(weights, values + STEP * (rows * step + r), weight, STEP * r)
            for j in range(STEP):
                for v in range(vectors):
                    at = source[v] if apart is None else source[0] + v * apart
                    load_pixels(pixels_of, at + column[j], pixels, v * lanes)
                for r in range(rows):
                    for i in range(each):
                        total[r * each + i] += weight[j * rows + r] * pixels[i]
            for j in range(STEP):
                column[j] = following[j]

    return sums


def finish_rows(rows: int, vectors: int, lanes: int, finish: Any) -> Any:
    """``f(total, pixels, keep, place, memory, weights, tables, bias, channels, group, out, pitch, tensors, numbers)``.

    The function adds the bias, runs the epilogue ``finish``, and writes the pixels, with zeros between them.
    """
    store, zero = STORE_FROM[lanes], np.float32(0)

    @device
    def finished(  # type: ignore[no-untyped-def]
        total, pixels, keep, place, memory, weights, tables, bias, channels, group, out, pitch, tensors, numbers,
    ):  # fmt: skip
        for r in range(rows):
            channel = load(tables, channels + rows * group + r)
            start = load(weights, bias + channel)
            for v in range(vectors):
                at = (r * vectors + v) * lanes
                if place[v] < pitch:
                    for i in range(lanes):
                        total[at + i] += start
                    finish(total, at, pixels, memory, weights, tensors, numbers, channel, place[v])
                    for i in range(lanes):
                        if keep[v * lanes + i] == zero:
                            total[at + i] = zero
                    store(memory, out + channel * pitch + place[v], total, at)

    return finished
