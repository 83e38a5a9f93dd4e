"""Tiles of every element type, against NumPy: loads, arithmetic, masks and stores by vectors of up to 64 lanes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sparsenet.graph.types import F32, I8, I32, U8, ElementType
from sparsenet.targets.cpu.device import kernel_entry
from sparsenet.targets.cpu.vector_ir import Tile, load_i64
from sparsenet.targets.cpu.vector_ir.window import maximum_of
from sparsenet.targets.lane_masks import lane_masks

Array = npt.NDArray[Any]

#: With vectors of 512, 256 and 128 bits, and of lanes that fill none.
TILES = [(F32, 16), (F32, 4), (I32, 16), (I8, 64), (I8, 16), (U8, 64), (U8, 32), (U8, 8)]
tiles = pytest.mark.parametrize("element, lanes", TILES, ids=[f"{e}x{n}" for e, n in TILES])


def called(kernel: Callable[..., None], *arguments: Array | int) -> None:
    """Compile ``kernel(args, _)`` and call it with int64 ``args``: arrays by their addresses."""
    args = np.array([a if isinstance(a, int) else a.ctypes.data for a in arguments], np.int64)
    entry = kernel_entry(kernel)
    ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(entry.address)(args.ctypes.data, 0)


def numbers(element: ElementType, count: int, seed: int) -> Array:
    """Any that the type can hold, its limits among them."""
    rng = np.random.default_rng(seed)
    if element.is_float:
        return rng.standard_normal(count).astype(element.dtype)
    info = np.iinfo(element.dtype)
    out = rng.integers(info.min, info.max, count, element.dtype, endpoint=True)
    out[:2] = info.min, info.max
    return out


@tiles
def test_two_arrays_are_added_by_vectors_and_a_masked_tail(element: ElementType, lanes: int) -> None:
    tile = Tile(element, lanes)
    load, store, add, item = tile.load, tile.store, tile.add, tile.item
    load_between, store_between = tile.load_between, tile.store_between

    def kernel(args, _):  # type: ignore[no-untyped-def]
        x, y, out, size = load_i64(args, 0), load_i64(args, 1), load_i64(args, 2), load_i64(args, 3)
        for k in range(0, size, lanes):
            if k + lanes <= size:
                store(out + k * item, 0, add(load(x + k * item, 0), load(y + k * item, 0)))
            else:
                some = add(load_between(x + k * item, 0, size - k), load_between(y + k * item, 0, size - k))
                store_between(out + k * item, 0, size - k, some)

    for size in (3 * lanes, 2 * lanes + lanes // 2 + 1, lanes - 1):
        x, y = numbers(element, size, 1), numbers(element, size, 2)
        out = np.full(size + lanes, 7, element.dtype)
        called(kernel, x, y, out, size)
        np.testing.assert_array_equal(out[:size], x + y)
        assert (out[size:] == 7).all(), "written past the end"


@tiles
def test_a_tile_of_rows_and_vectors_is_a_product_plus_a_sum_per_channel(
    element: ElementType, lanes: int
) -> None:
    rows, vectors, channels = 2, 2, 3
    tile = Tile(element, lanes, rows, vectors, channels)
    load, store, start, mul_add = tile.load_channels, tile.store_channels, tile.splat_channels, tile.mul_add
    row, channel = vectors * tile.vector_bytes, rows * vectors * tile.vector_bytes

    def kernel(args, _):  # type: ignore[no-untyped-def]
        x, bias, out = load_i64(args, 0), load_i64(args, 1), load_i64(args, 2)
        values = load(x, channel, row)
        store(out, channel, row, mul_add(values, values, start(bias)))

    x, bias = numbers(element, channels * rows * vectors * lanes, 3), numbers(element, channels, 4)
    out = np.empty_like(x)
    called(kernel, x, bias, out)
    lines = x.reshape(channels, -1)
    expected = lines * lines + bias[:, None]
    np.testing.assert_allclose(
        out.reshape(channels, -1), expected, rtol=1e-6 if element.is_float else 0, atol=1e-6
    )


@tiles
def test_masks_in_memory_have_a_bit_for_every_lane(element: ElementType, lanes: int) -> None:
    tile = Tile(element, lanes, 1, 3)
    load, store, keep_pixels, keep_lanes, lowest = (
        tile.load,
        tile.store,
        tile.keep_pixels,
        tile.keep_lanes,
        tile.lowest,
    )
    length = 3 * tile.vector_bytes

    def kernel(args, _):  # type: ignore[no-untyped-def]
        x, bits, out = load_i64(args, 0), load_i64(args, 1), load_i64(args, 2)
        store(out, 0, keep_pixels(load(x, 0), bits))
        store(out + length, 0, keep_lanes(load(x, 0), bits, lowest))

    x, kept = numbers(element, 3 * lanes, 5), np.random.default_rng(6).random((3, lanes)) < 0.5
    masks, out = lane_masks(kept), np.empty((2, 3 * lanes), element.dtype)
    assert masks.nbytes == 3 * tile.mask_bytes
    called(kernel, x, masks, out)
    np.testing.assert_array_equal(out[0], np.where(kept.ravel(), x, 0))
    np.testing.assert_array_equal(out[1], np.where(kept.ravel(), x, lowest))


@tiles
def test_order_is_that_of_the_type(element: ElementType, lanes: int) -> None:
    """Of bytes with the first bit set, a signed type makes the smallest, an unsigned one the largest."""
    tile = Tile(element, lanes)
    load, store, maximum, minimum, above = (
        tile.load,
        tile.store,
        tile.maximum,
        tile.minimum,
        tile.compare(">"),
    )
    largest, smallest, store_number = tile.largest, tile.smallest, tile.store_number
    windows, size = maximum_of(tile, 3), tile.vector_bytes

    def kernel(args, _):  # type: ignore[no-untyped-def]
        x, y, out = load(load_i64(args, 0), 0), load(load_i64(args, 1), 0), load_i64(args, 2)
        store(out, 0, maximum(x, y))
        store(out + size, 0, minimum(x, y))
        store(out + 2 * size, 0, above(x, y))
        store(out + 3 * size, 0, windows(x, y, x))
        store_number(out + 4 * size, 0, largest(x))
        store_number(out + 4 * size, 1, smallest(x))

    x, y, out = numbers(element, lanes, 7), numbers(element, lanes, 8), np.empty((5, lanes), element.dtype)
    called(kernel, x, y, out)
    expected = [np.maximum(x, y), np.minimum(x, y), x > y, np.maximum(x, y)]
    np.testing.assert_array_equal(out[:4], np.stack(expected).astype(element.dtype))
    assert out[4, :2].tolist() == [x.max(), x.min()]


@tiles
def test_numbers_are_gathered_by_their_index(element: ElementType, lanes: int) -> None:
    tile = Tile(element, lanes)
    gather, store, load_number, store_number = (
        tile.gather_numbers(I32.itemsize),
        tile.store,
        tile.load_number,
        tile.store_number,
    )

    def kernel(args, _):  # type: ignore[no-untyped-def]
        x, indices, out = load_i64(args, 0), load_i64(args, 1), load_i64(args, 2)
        store(out, 0, gather(x, indices))
        store_number(out, lanes, load_number(x, 1))

    x = numbers(element, 1000, 9)
    indices = np.random.default_rng(10).integers(0, 1000, lanes).astype(I32.dtype)
    out = np.empty(lanes + 1, element.dtype)
    called(kernel, x, indices, out)
    np.testing.assert_array_equal(out, [*x[indices], x[1]])


@pytest.mark.parametrize("operation", ["div", "exp"])
def test_what_only_floats_have_is_an_error_of_other_tiles(operation: str) -> None:
    with pytest.raises(TypeError, match=f"{operation} is not defined for a tile of u8"):
        getattr(Tile(U8, 64), operation)
    with pytest.raises(TypeError, match="sigmoid is not defined for a tile of i8"):
        Tile(I8, 64).activation("sigmoid")
