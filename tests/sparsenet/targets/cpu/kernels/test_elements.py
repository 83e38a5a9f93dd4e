"""Kernels that move or compare numbers serve any element type: a family of bytes is an entry in the table, no code."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sparsenet.graph.types import I8, U8, ElementType
from sparsenet.targets.abi import encode_pointer
from sparsenet.targets.lane_masks import lane_masks
from sparsenet.targets.registry import BROADCAST_OPERATIONS, FAMILIES, TRANSPOSE_WAYS, Kernel

Array = npt.NDArray[Any]

of_bytes = pytest.mark.parametrize("element", [U8, I8], ids=str)
LANES = 64


def run(
    monkeypatch: pytest.MonkeyPatch,
    element: ElementType,
    algorithm: str,
    tile: tuple[int, ...],
    lanes: int = LANES,
    **given: Array | int,
) -> None:
    """Call the kernel of this family for another element type, arguments by name."""
    family = replace(FAMILIES[f"f32_{algorithm}"], element=element)
    monkeypatch.setitem(FAMILIES, family.name, family)
    kernel = Kernel(family.name, lanes, tile)
    assert given.keys() == set(kernel.arguments)
    words = [given[name] for name in kernel.arguments]
    row = np.array([w if isinstance(w, int) else encode_pointer(0, w.ctypes.data) for w in words], np.int64)
    entry = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(kernel.build().address)  # type: ignore[attr-defined]
    entry(row.ctypes.data, np.zeros(1, np.int64).ctypes.data)


def numbers(element: ElementType, *shape: int) -> Array:
    info = np.iinfo(element.dtype)
    return np.random.default_rng(len(shape)).integers(info.min, info.max, shape, element.dtype, endpoint=True)


def table(values: Any) -> Array:
    return np.ascontiguousarray(values, np.int32)


@of_bytes
@pytest.mark.parametrize("stride", [1, 2])
def test_a_map_changes_its_layout(monkeypatch: pytest.MonkeyPatch, element: ElementType, stride: int) -> None:
    channels, height, width, pad = 3, 4, 150, 1
    x, columns = numbers(element, channels, height, width), (width + 2 * pad) // stride
    out = np.full((height, channels, stride, columns), 9, element.dtype)
    run(
        monkeypatch, element, "relayout_none_any", (stride,), x=x, x_row=width, x_channel=height * width, x_rows=height,
        x_columns=width, first_row=0, row_step=1, first_column=-pad, phases=stride, channels=channels, rows=height,
        columns=columns, column_step=stride, out=out, out_row=channels * stride * columns,
        out_channel=stride * columns, out_phase=columns, outside=5,
    )  # fmt: skip
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad)), constant_values=5).transpose(1, 0, 2)
    for phase in range(stride):
        np.testing.assert_array_equal(out[:, :, phase], padded[:, :, phase::stride])


@of_bytes
def test_numbers_are_taken_by_tables(monkeypatch: pytest.MonkeyPatch, element: ElementType) -> None:
    x, rows, columns = numbers(element, 20, 90), [3, 3, 19, 0], [*range(89, 10, -1), 5]
    out = np.zeros(len(rows) * len(columns) + LANES, element.dtype)
    tables = table([*(90 * r for r in rows), *columns, *[0] * LANES])
    shape = table([len(rows), len(columns)])
    run(monkeypatch, element, "take_none_flat", (0,), x=x, rank=2, shape=shape, tables=tables, out=out)
    np.testing.assert_array_equal(out[:-LANES].reshape(4, -1), x[np.ix_(rows, columns)])


@of_bytes
@pytest.mark.parametrize("operation", ["add", "maximum", "greater"])
def test_two_tensors_are_combined(
    monkeypatch: pytest.MonkeyPatch, element: ElementType, operation: str
) -> None:
    x, y = numbers(element, 6, 128), numbers(element, 128)
    out, tile = np.zeros((6, 128), element.dtype), (BROADCAST_OPERATIONS.index(operation),)
    run(
        monkeypatch, element, "broadcast_none_flat", tile, x=x, y=y, rank=2, shape=table(x.shape),
        x_strides=table([128, 1]), y_strides=table([0, 1]), out=out,
    )  # fmt: skip
    np.testing.assert_array_equal(out, getattr(np, operation)(x, y))


@of_bytes
def test_one_of_two_tensors_is_chosen(monkeypatch: pytest.MonkeyPatch, element: ElementType) -> None:
    x, y, out = (
        numbers(element, 3, 64),
        numbers(element, 3, 64)[::-1].copy(),
        np.zeros((3, 64), element.dtype),
    )
    condition, strides = numbers(element, 64) % 2, table([64, 1])
    run(
        monkeypatch, element, "where_none_flat", (), condition=condition, x=x, y=y, rank=2, shape=table(x.shape),
        condition_strides=table([0, 1]), x_strides=strides, y_strides=strides, out=out,
    )  # fmt: skip
    np.testing.assert_array_equal(out, np.where(condition != 0, x, y))


@of_bytes
def test_numbers_are_picked_at_computed_places(monkeypatch: pytest.MonkeyPatch, element: ElementType) -> None:
    x, indices, out = (
        numbers(element, 30, 5),
        np.array([4, -1, 29, 0], np.float32),
        np.zeros((4, 5), element.dtype),
    )
    run(
        monkeypatch, element, "pick_none_flat", (), x=x, indices=indices, blocks=1, rows=4, inner=5, x_block=150,
        columns=1, depth=1, sizes=table([30]), strides=table([5]), out=out,
    )  # fmt: skip
    np.testing.assert_array_equal(out, x[indices.astype(int)])


@of_bytes
@pytest.mark.parametrize("lines", [2, 0])
def test_lines_are_interleaved(monkeypatch: pytest.MonkeyPatch, element: ElementType, lines: int) -> None:
    rows, width = 3, 100
    x, out = numbers(element, 2, rows, width), np.zeros((rows, 2 * width), element.dtype)
    run(
        monkeypatch, element, "interleave_none_any", (lines,), x=x, x_row=width, x_channel=0, x_down=0,
        x_across=rows * width, x_columns=width, block_rows=1, block_columns=2, first_row=0, channels=1, rows=rows,
        columns=2 * width, out=out, out_row=2 * width, out_channel=0,
    )  # fmt: skip
    np.testing.assert_array_equal(out, x.transpose(1, 2, 0).reshape(rows, -1))


@of_bytes
@pytest.mark.parametrize("way", ["contiguous", "stride_2", "strided", "transposed"])
def test_axes_are_transposed(monkeypatch: pytest.MonkeyPatch, element: ElementType, way: str) -> None:
    """Lines copied whole, by every second number or every third; and a matrix transposed by square tiles."""
    x = numbers(element, 41, 60)
    step = {"contiguous": 1, "stride_2": 2, "strided": 3}.get(way, 60)
    expected = x.T if way == "transposed" else x[:, ::step]
    lines, columns = expected.shape
    out = np.zeros((lines, columns), element.dtype)
    run(
        monkeypatch, element, "transpose_none_any", (TRANSPOSE_WAYS.index(way),), lanes=16, x=x, x_row=0,
        x_line=1 if way == "transposed" else 60, x_step=step, x_columns=columns, rank=0, shape=table([0]),
        x_jumps=table([0]), out_jumps=table([0]), rows=1, lines=lines, columns=columns, out=out, out_row=0,
        out_line=columns,
    )  # fmt: skip
    np.testing.assert_array_equal(out, expected)


@of_bytes
def test_the_largest_of_a_window(monkeypatch: pytest.MonkeyPatch, element: ElementType) -> None:
    """Windows of 2 x 3, a column of padding on the left, masks of 64 lanes."""
    channels, height, width, line = 2, 5, 70, 128
    x, space = (
        numbers(element, channels, height, width),
        numbers(element, LANES + channels * height * line + LANES),
    )
    lines = space[LANES:-LANES].reshape(channels, height, line)
    lines[:, :, :width] = x
    out = np.full((channels, height - 1, line), 9, element.dtype)
    column = np.arange(line).reshape(2, LANES)
    seen = np.stack([column - 1, column, column + 1])
    inside = lane_masks((seen >= 0) & (seen < width))
    run(
        monkeypatch, element, "maxpool_none_rows", (1, 3, 1, 1), x=space[LANES - 1 :], taps_x=table([0]),
        tap_bits=inside, n_taps_x=3, n_taps_y=2, tap_row=line, inner_first=0, inner_end=0, x_row=line,
        x_channel=height * line, channels=channels, height=height - 1, full_vectors=1,
        lane_bits=lane_masks(column < width), line_vectors=2, halo_vectors=0, out=out, out_row=line,
        out_channel=(height - 1) * line, outside=3,
    )  # fmt: skip
    lowest = np.iinfo(element.dtype).min
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)), constant_values=lowest)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2, 3), (1, 2)).max((-2, -1))
    np.testing.assert_array_equal(out[:, :, :width], windows)
    assert (out[:, :, width:] == 3).all()
