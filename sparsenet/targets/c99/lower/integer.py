"""Nodes in integers (see ``graph.integer``), to the bit as the reference computes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from sparsenet.graph import Node
from sparsenet.graph.integer import Rounding, product_ratio, ratio
from sparsenet.graph.ops import OPS, attributes, split_inputs
from sparsenet.graph.types import I32
from sparsenet.plan.lowering.geometry import Geometry, window_counts
from sparsenet.reference.integer import table
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.lower.integer_product import lower_product
from sparsenet.targets.c99.lower.mve_lines import lines_kernel, max_pool_in_vectors
from sparsenet.targets.c99.lower.pooling import inside
from sparsenet.targets.c99.lower.resize import resize
from sparsenet.targets.c99.stage import Read
from sparsenet.targets.c99.value import Value


def lower_integer(builder: Builder, node: Node) -> bool:
    """Lower a node that is computed in integers; False if it only moves numbers that may as well be float32."""
    kind = OPS[node.op].integer
    if kind == "choice":
        return node.op in _CHOICES and _CHOICES[node.op](builder, node)
    _KINDS[kind](builder, node)
    return True


def _lines(x: Value, out: Value) -> dict[str, Word]:
    return {"channels": out.shape[0], "width": out.width, "x_channel": x.channel, "out_channel": out.channel}


def _clamps(rounding: Rounding) -> dict[str, Word]:
    """How numbers become bytes, the same for all channels."""
    return {
        "zero": rounding.zero_point,
        "low": int(rounding.low),
        "high": int(rounding.high),
        "bend": 1.0 if rounding.bend is None else float(rounding.bend),
    }


def _sum(builder: Builder, node: Node) -> None:
    grids = builder.graph.quantization
    out_grid, own = grids[node.output], split_inputs(node)[0]
    rounding = Rounding.of(node, out_grid)
    assert rounding is not None
    x, z = (builder.quads(name) for name in own)
    out = builder.new_quads(node.output)
    kernel = lines_kernel(builder, "add", out.width, int(rounding.bend is not None))
    known: dict[str, Word] = {
        "x_zero": grids[own[0]].zero_point,
        "x_share": float(ratio(grids[own[0]], out_grid)),
        "z_zero": grids[own[1]].zero_point,
        "z_share": float(ratio(grids[own[1]], out_grid)),
        **_clamps(rounding),
        "z_channel": z.channel,
    }
    builder.add(out, kernel, [Read(x), Read(z)], {**known, **_lines(x, out)})
    builder.choose(node, "int8", kernel)


def _factors(builder: Builder, node: Node) -> None:
    """Of two maps, or of a map and one number per channel."""
    grids = builder.graph.quantization
    names = sorted(split_inputs(node)[0], key=builder.is_map, reverse=True)
    x_grid, z_grid, out_grid = (grids[name] for name in (*names, node.output))
    rounding = Rounding.of(node, out_grid)
    assert rounding is not None
    x, z = (builder.quads(name) for name in names)
    out = builder.new_quads(node.output)
    per_channel = x.shape != z.shape
    kernel = Kernel("u8x4_mul_none_rows", (int(rounding.bend is not None), int(per_channel)))
    known: dict[str, Word] = {
        "x_zero": x_grid.zero_point,
        "z_zero": z_grid.zero_point,
        "share": float(product_ratio(x_grid, z_grid, out_grid)),
        **_clamps(rounding),
        "z_channel": z.channel,
    }
    builder.add(out, kernel, [Read(x), Read(z, whole=per_channel)], {**known, **_lines(x, out)})
    builder.choose(node, "int8", kernel)


def _mean(builder: Builder, node: Node) -> None:
    grids = builder.graph.quantization
    x_grid, out_grid = grids[node.inputs[0]], grids[node.output]
    channels, height, width = builder.map_shape(node.inputs[0])
    if node.op == "global_avg_pool2d":
        sums = builder.sums.get(node.inputs[0])
        if sums is None:
            sums = Value(f"{node.output} (sums)", (channels, 1, 1), I32, flat=True)
            x = builder.quads(node.inputs[0])
            known: dict[str, Word] = {
                "channels": channels,
                "width": width,
                "x_channel": x.channel,
                "x_zero": x_grid.zero_point,
            }
            builder.add(sums, Kernel("i32_sum_none_rows"), [Read(x)], known, units=height, by_rows=False)
        out, kernel = builder.new_quads(node.output), Kernel("u8_mean_none_flat")
        share = float(np.float32(np.float64(x_grid.scale) / (np.float64(out_grid.scale) * height * width)))
        means: dict[str, Word] = {
            "channels": channels,
            "out_channel": out.channel,
            "share": share,
            "zero": out_grid.zero_point,
        }
        builder.add(out, kernel, [Read(sums, whole=True)], means)
    else:
        out, kernel = _pool(builder, node, partial(_average, node))
    builder.choose(node, "int8", kernel)


#: The kernel of a pooling, the arguments that others do not have, and its scratch memory.
_Pooling = tuple[Kernel, dict[str, Word], Value | None]


def _pool(
    builder: Builder, node: Node, how: Callable[[Builder, Geometry, Value, Value], _Pooling]
) -> tuple[Value, Kernel]:
    geometry, x = Geometry.of(node, builder.shapes), builder.quads(node.inputs[0])
    out = builder.new_quads(node.output)
    kernel, own, scratch = how(builder, geometry, x, out)
    known: dict[str, Word] = {"before": geometry.before[1], "x_width": x.width, **_lines(x, out), **own}
    read = Read(x, geometry.kernel[0], geometry.stride[0], -geometry.before[0], geometry.dilation[0])
    builder.add(out, kernel, [read], known, scratch=scratch)
    return out, kernel


def _average(node: Node, builder: Builder, geometry: Geometry, _x: Value, _out: Value) -> _Pooling:
    x_grid, out_grid = (builder.graph.quantization[name] for name in (node.inputs[0], node.output))
    counts = np.multiply.outer(*(window_counts(node, geometry, axis) for axis in (0, 1)))
    shares = (np.float64(x_grid.scale) / (np.float64(out_grid.scale) * counts)).astype(np.float32)
    kernel = Kernel("u8x4_avgpool_none_rows", (geometry.stride[1], geometry.kernel[1], geometry.dilation[1]))
    own: dict[str, Word] = {
        "shares": builder.constant(shares),
        "kernel_rows": geometry.kernel[0],
        "x_zero": x_grid.zero_point,
        "zero": out_grid.zero_point,
    }
    return kernel, own, None


def _largest(builder: Builder, geometry: Geometry, x: Value, out: Value) -> _Pooling:
    begin, end = inside(geometry)
    own: dict[str, Word] = {"begin": begin, "end": end}
    vectors = max_pool_in_vectors(builder, geometry, x, out)
    if vectors is not None:
        kernel, scratch = vectors
        return kernel, {**own, "length": scratch.width}, scratch
    tile = (geometry.stride[1], geometry.kernel[1], geometry.dilation[1], geometry.kernel[0])
    return Kernel("u8x4_maxpool_none_rows", tile), own, None


def _table(builder: Builder, node: Node) -> None:
    grids = builder.graph.quantization
    x, out = builder.quads(node.inputs[0]), builder.new_quads(node.output)
    bytes_made = builder.constant(table(node, grids[node.inputs[0]], grids[node.output]))
    kernel = lines_kernel(builder, "table", out.width)
    builder.add(out, kernel, [Read(x)], {"table": bytes_made, **_lines(x, out)})
    builder.choose(node, "int8", kernel)


def _max_pool(builder: Builder, node: Node) -> bool:
    _, kernel = _pool(builder, node, _largest)
    builder.choose(node, "int8", kernel)
    return True


def _concat(builder: Builder, node: Node) -> bool:
    """Channels of maps or vectors are put together row by row."""
    if len(builder.image_shape(node.output)) not in (1, 3) or attributes(node)["axis"] != 1:
        return False
    values, out = [builder.quads(name) for name in node.inputs], builder.new_quads(node.output)
    kernel = Kernel("u8x4_concat_none_rows")
    known: dict[str, Word] = {
        "lines": builder.table([builder.map_shape(name)[0] for name in node.inputs]),
        "steps": builder.table([value.channel for value in values]),
        "operands": len(values),
        "width": out.width,
        "out_step": out.channel,
    }
    builder.add(out, kernel, [Read(value) for value in values], known)
    builder.choose(node, "int8", kernel)
    return True


def _resize(builder: Builder, node: Node) -> bool:
    x, out = builder.quads(node.inputs[0]), builder.new_quads(node.output)
    builder.choose(node, "int8", resize(builder, node, x, out, "u8x4_nearest_none_rows"))
    return True


def _same(builder: Builder, node: Node) -> bool:
    """The same bytes under another name: all of one pixel, or of an op that gives its input."""
    x = builder.in_quads(node.inputs[0])
    if x is None or node.output in builder.results:
        return False
    if not (attributes(node).keys() <= {"p"} and x.shape[1:] == builder.map_shape(node.output)[1:]):
        one_line = x.shape[1:] == (1, 1) and builder.map_shape(node.output)[1:] == (1, 1)
        if not one_line:
            return False
    builder.alias_quads(node.output, x)
    builder.choose(
        node, "int8", Kernel("u8x4_table_none_rows"), "no instruction: the same bytes in their place"
    )
    return True


_KINDS: dict[str, Callable[[Builder, Node], None]] = {
    "product": lower_product,
    "sum": _sum,
    "mean": _mean,
    "factors": _factors,
    "table": _table,
}
#: Ops that take numbers as they are, of those that have a kernel for bytes.
_CHOICES: dict[str, Callable[[Builder, Node], bool]] = {
    "max_pool2d": _max_pool,
    "concat": _concat,
    "resize": _resize,
    **dict.fromkeys(("flatten", "reshape", "identity", "dropout"), _same),
}
