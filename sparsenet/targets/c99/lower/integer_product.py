"""Convolutions and fully connected layers in integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Node
from sparsenet.graph.integer import MOST_SUM, Product, Rounding
from sparsenet.graph.ops import split_inputs
from sparsenet.graph.types import I32, QUAD
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.lowering.weights import zeros_in_words
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.errors import NoKernelError
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.bytes import FIXED, MOST_ROUNDED
from sparsenet.targets.c99.kernels.conv_quads import END, phases
from sparsenet.targets.c99.lower.fixed_point import fixed_point
from sparsenet.targets.c99.lower.mve_product import ways_by_vectors
from sparsenet.targets.c99.lower.product_ways import Layer, Numbers, Way
from sparsenet.targets.c99.machine import bytes_instructions, depthwise_bytes_instructions, quads_instructions
from sparsenet.targets.c99.stage import Read
from sparsenet.targets.c99.value import Value
from sparsenet.targets.c99.weights import MOST_PLACE

#: Sums that a tile may keep in registers.
_MOST_SUMS = 6


def lower_product(builder: Builder, node: Node) -> None:
    """In the way that takes the fewest instructions."""
    product = Product.of(builder.graph, node)
    assert product is not None
    conv = Convolution.of(builder.graph, builder.shapes, node)
    shape = product.weights.shape + (1,) * (4 - product.weights.ndim)
    layer = Layer(
        builder, conv, product, product.weights.reshape(shape).astype(np.int64), builder.quads(conv.x)
    )
    pooled = builder.pooled.get(node.name)
    width = conv.geometry.out[1]
    ways = [way for way in _ways(layer) if pooled is None or not (way.overlaps and width % way.width)]
    if not ways:
        raise NoKernelError("its rows are longer than 16 bits can tell")
    way = min(ways, key=lambda way: way.instructions)
    kernel = _add(layer, way, pooled)
    nnz = int(np.count_nonzero(layer.weights))
    zeros = zeros_in_words(nnz / layer.weights.size)
    builder.choose(node, "int8 dense" if conv.depthwise else "int8 csr", kernel, zeros, **conv.counts(nnz))


def _ways(layer: Layer) -> Iterator[Way]:
    vectors = list(ways_by_vectors(layer)) if layer.builder.options.machine.mve else []
    if vectors:
        yield from vectors
        return
    if layer.conv.depthwise:
        yield from _depthwise(layer)
        return
    yield from _by_weight(layer)
    if layer.conv.groups == 1 and layer.product.out is not None:
        yield from _by_quad(layer)


def _depthwise(layer: Layer) -> Iterator[Way]:
    geometry, machine = layer.conv.geometry, layer.builder.options.machine
    width, stride = geometry.out[1], geometry.stride[1]
    c_out, _, k_h, k_w = layer.weights.shape
    in_pairs = machine.dot and k_h > 1 and c_out == layer.conv.groups
    for tile in range(1, min(_MOST_SUMS, width) + 1):
        count, shape = (
            depthwise_bytes_instructions(k_h, k_w, width, tile, stride),
            (tile, stride, k_w, layer.columns),
        )
        weights = layer.weights.astype(np.int8)
        if in_pairs:
            seen = (width - 1) * stride + (k_w - 1) * layer.columns + 1
            packed = {"weights": weights, "x_zero": layer.product.x.zero_point, "seen": seen}
            yield Way(count, "depthwise_densepairs", (*shape, k_h), packed, seen)
        else:
            yield Way(count, "depthwise_dense", shape, {"weights": weights, "absent": _absent(layer)})


def _absent(layer: Layer) -> Numbers:
    """What a row of the window adds to a channel's sum if it is padding: the zero point times its weights."""
    c_out, _, k_h, _ = layer.weights.shape
    sums = layer.weights.transpose(0, 2, 1, 3).reshape(c_out * k_h, -1).sum(axis=1)
    return (layer.product.x.zero_point * sums).astype(np.int32)


def _by_weight(layer: Layer) -> Iterator[Way]:
    geometry = layer.conv.geometry
    c_out, c_in, k_h, k_w = layer.weights.shape
    matrix = layer.weights.transpose(0, 2, 1, 3).reshape(c_out * k_h, c_in * k_w)
    rows, columns = np.nonzero(matrix)
    group = np.repeat(np.arange(c_out) // (c_out // layer.conv.groups), k_h)[rows]
    channel = group * c_in + columns // k_w
    places = QUAD * (channel // QUAD * layer.x.channel + columns % k_w * layer.columns) + channel % QUAD
    counts = np.count_nonzero(matrix, axis=1)
    if max(places.max(initial=0), counts.max(initial=0)) > MOST_PLACE:
        return
    one_row = k_h == 1 and not any(geometry.halo[:2])
    packed = {
        "weights": matrix[rows, columns].astype(np.int8),
        "places": places.astype(np.uint16),
        "counts": counts.astype(np.uint16),
        "absent": np.zeros(0, np.int32) if one_row else _absent(layer),
    }
    width = geometry.out[1]
    for tile in range(1, min(_MOST_SUMS, width) + 1):
        count = bytes_instructions(len(rows), c_out, k_h, width, tile)
        yield Way(count, "conv_csr", (int(one_row), tile, geometry.stride[1]), packed)


def _by_quad(layer: Layer) -> Iterator[Way]:
    geometry, dot = layer.conv.geometry, layer.builder.options.machine.dot
    c_out, c_in, k_h, k_w = layer.weights.shape
    quads, width, stride = -(-c_in // QUAD), geometry.out[1], geometry.stride[1]
    padded = np.pad(layer.weights, ((0, 0), (0, -c_in % QUAD), (0, 0), (0, 0)))
    blocks = padded.reshape(c_out, quads, QUAD, k_h, k_w).transpose(
        0, 3, 1, 4, 2
    )  # c_out, row, quad, column, channel
    rows, row, quad, column = np.nonzero(blocks.any(axis=-1))
    ahead, phase = np.divmod(np.arange(k_w) * layer.columns, stride)
    for tile in range(1, min(_MOST_SUMS, width) + 1):
        lengths = phases(tile, stride, k_w, layer.columns)
        seen = sum(lengths.values())
        before = np.array([sum(length for p, length in lengths.items() if p < own) for own in phase])
        places = (row * quads + quad) * seen + (before + ahead)[column]
        stream = _stream(rows, places, blocks[rows, row, quad, column], c_out, tile)
        if stream is None:
            continue
        packed = {"stream": stream, "quads": quads, "x_zero": layer.product.x.zero_point}
        unpacked = k_h * quads * seen
        count = quads_instructions(len(rows), c_out, unpacked, width, tile, dot=dot)
        yield Way(count, "conv_csrquads", (tile, stride, k_w, layer.columns), packed, 2 * unpacked)


def _stream(channels: Numbers, places: Numbers, quads: Numbers, c_out: int, tile: int) -> Numbers | None:
    """Of each quad the step to its place from the end of the tile of the one before, and its weights, in bytes; None
    if a step is more than 16 bits hold.
    """
    first = np.diff(channels, prepend=-1) != 0
    steps = places - np.where(first, 0, np.roll(places, 1) + tile)
    if np.abs(steps).max(initial=0) >= -END:
        return None
    records = np.concatenate(
        [steps.astype("<i2")[:, None].view(np.uint8), quads.astype(np.int8).view(np.uint8)], axis=1
    )
    ends = records.shape[1] * np.bincount(channels, minlength=c_out).cumsum()
    return np.insert(
        records.reshape(-1), np.repeat(ends, 2), np.tile(np.array([END], "<i2").view(np.uint8), c_out)
    )


def _add(layer: Layer, way: Way, pooled: Node | None) -> Kernel:
    builder, product, geometry = layer.builder, layer.product, layer.conv.geometry
    node, c_out = product.node, len(layer.weights)
    if pooled is not None:
        out = Value(f"{node.output} (sums)", (c_out, 1, 1), I32, flat=True)
        builder.sums[node.output] = out
    else:
        out = builder.new(node.output) if product.out is None else builder.new_quads(node.output)
    finish, known = _finish(layer, way.middle, pooled is not None)
    numbers = (int(product.out is None),) if way.family == "conv_csr" else ()
    kernel = Kernel(f"u8x4_{way.family}_rows", (*way.tile, *finish, *numbers))
    known |= {
        name: builder.constant(packed) if isinstance(packed, np.ndarray) else packed
        for name, packed in way.packed.items()
    }
    known |= {
        "out_channel": out.channel,
        "x_channel": layer.x.channel,
        "multiple": c_out // layer.conv.groups,
    }
    reads = [Read(layer.x, geometry.kernel[0], geometry.stride[0], -geometry.before[0], geometry.dilation[0])]
    if product.other is not None:
        other = builder.quads(split_inputs(node)[1][0])
        reads.append(Read(other))
        known["other_channel"] = other.channel
    scratch = Value(f"{node.output} (unpacked)", (1, 1, way.scratch), I32, flat=True) if way.scratch else None
    own = {argument.name: known[argument.name] for argument in kernel.signature}
    builder.add(out, kernel, reads, own, units=geometry.out[0], by_rows=pooled is None, scratch=scratch)
    return kernel


def _may_be_fixed(layer: Layer, rounding: Rounding) -> bool:
    """Whether bytes may be made of sums in fixed point: the target is fast at it, and nothing else is done to them."""
    return layer.builder.options.machine.high and rounding.bend is None and layer.product.other is None


def _finish(layer: Layer, middle: int, mean: bool) -> tuple[Sequence[int], dict[str, Word]]:
    """How sums become bytes: the tile parameters that tell it, and the arguments."""
    product, builder, geometry = layer.product, layer.builder, layer.conv.geometry
    c_out = len(layer.weights)
    each = layer.weights.reshape(c_out, -1)
    # The sums are of bytes less ``middle``, not of distances from the zero point.
    bias = product.bias.astype(np.int64) - (product.x.zero_point - middle) * each.sum(axis=1)
    largest = np.abs(bias) + 255 * np.abs(each).sum(axis=1)
    if largest.max() > MOST_SUM:
        raise NoKernelError("its sums are more than 32 bits hold")
    rounding = product.rounding if product.out is not None else None
    low, high = (np.uint8(0), np.uint8(255)) if rounding is None else (rounding.low, rounding.high)
    numbers = largest * np.abs(product.multiplier.astype(np.float64)) + 255 * float(product.other_multiplier)
    if rounding is not None and rounding.bend is not None:
        numbers = numbers * max(1.0, abs(rounding.bend))
    clamp = 2 if numbers.max() > MOST_ROUNDED else int(bool((low > 0).any() or (high < 255).any()))
    bent = rounding is not None and rounding.bend is not None
    multiplier, terms, plain = np.broadcast_to(product.multiplier, (c_out,)), np.zeros(0), c_out
    if rounding is not None and clamp == 0 and _may_be_fixed(layer, rounding):
        sums = [
            (bias - middle * each.sum(axis=1)) + 255 * part.sum(axis=1)
            for part in (each.clip(max=0), each.clip(0))
        ]
        fixed = fixed_point(multiplier, rounding.zero_point, *sums)
        if 2 * fixed.lines > c_out:
            terms = np.stack([bias + fixed.moved, fixed.factor, fixed.added], axis=1)
            clamp, plain = FIXED, 0
    known: dict[str, Word] = {
        "bias": builder.table(_of_channels(bias, plain)),
        "multiplier": builder.constant(_of_channels(multiplier, plain)),
        "low": builder.constant(_of_channels(low, plain if clamp else 0)),
        "high": builder.constant(_of_channels(high, plain if clamp else 0)),
        "terms": builder.table(terms),
        "zero": 0 if rounding is None else rounding.zero_point,
        "bend": float(rounding.bend) if rounding is not None and rounding.bend is not None else 1.0,
        "other_channel": 0,
        "other_zero": product.other.zero_point if product.other else 0,
        "share": float(product.other_multiplier),
        "c_out": c_out,
        "kernel_rows": geometry.kernel[0],
        "before": geometry.before[1],
        "width": geometry.out[1],
    }
    return (int(bent), int(product.other is not None), clamp, int(mean)), known


def _of_channels(numbers: npt.ArrayLike, channels: int) -> Numbers:
    """One number for each of the first channels, and zeros up to a whole quad of them."""
    each = np.asarray(numbers)
    return np.pad(np.broadcast_to(each[:channels] if each.ndim else each, (channels,)), (0, -channels % QUAD))
